//! The server over real connections, with a translator that has learned next to nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use model_utils::device::DeviceSpec;
use model_utils::train::{Budget, Silent, Stop};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use transformer::decoding::Beam;
use transformer::text::Overlong;
use transformer::{Grammar, Translator, TranslatorConfig};

use super::http::{self, Limits};
use super::queue::{Queue, Refused, Wish};
use super::{Server, measure};

static TRANSLATOR: LazyLock<std::sync::Mutex<Translator>> = LazyLock::new(|| {
    let device = "flex".parse::<DeviceSpec>().unwrap().open().unwrap();
    let pairs = Grammar::Simple.splits([200, 20, 20], 1).unwrap();
    let config = TranslatorConfig::tiny(400).with_budget(Budget::steps(30));
    let translator = Translator::train(&pairs, &config, &device, &mut Silent).unwrap();
    std::sync::Mutex::new(translator.with_overlong(Overlong::Truncate))
});

fn translator() -> Translator {
    TRANSLATOR.lock().unwrap().clone()
}

const LIMITS: Limits = Limits {
    bytes: 4096,
    sentences: 40,
    characters: 100,
    beam: 4,
    time: Duration::from_secs(20),
    connections: 64,
};

/// Runs a server while `work` asks it.
fn served<R>(limits: Limits, waiting: usize, work: impl FnOnce(SocketAddr, &Stop) -> R) -> R {
    let runtime = Runtime::new().unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let (listener, address) = runtime.block_on(http::listen(loopback)).unwrap();
    let server = Server::start(limits, waiting, 16, translator());
    let stop = Stop::new();
    let result = std::thread::scope(|scope| {
        let serving = scope.spawn(|| runtime.block_on(server.run(listener, stop.clone())));
        // Where a claim fails the server stops all the same.
        let result = catch_unwind(AssertUnwindSafe(|| work(address, &stop)));
        stop.stop();
        serving.join().unwrap();
        result.unwrap_or_else(|panic| resume_unwind(panic))
    });
    server.end().unwrap();
    result
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().new_agent()
}

/// Status and body of an answer.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut answer = agent().get(format!("http://{address}{path}")).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn post(address: SocketAddr, body: &[u8]) -> (u16, Value) {
    let mut answer = agent().post(format!("http://{address}/translate")).send(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
}

fn ask(address: SocketAddr, body: &Value) -> (u16, Value) {
    post(address, body.to_string().as_bytes())
}

#[test]
fn answers_are_those_of_the_translator() {
    let sentences =
        ["Onde fica a estação?", "O gato dorme.", "a", "x".repeat(100).as_str()].map(str::to_owned);
    let alone = translator().translate(&sentences, &Beam::new(4)).unwrap();
    served(LIMITS, 64, |address, _| {
        let (status, found) = ask(address, &json!({"sentences": sentences, "attention": true}));
        assert_eq!(status, 200, "{found}");
        for (told, alone) in found["translations"].as_array().unwrap().iter().zip(&alone) {
            assert_eq!(told["text"], alone.text);
            let attention = told["attention"].as_array().unwrap();
            assert_eq!(attention[0].as_array().unwrap().len(), alone.source_tokens.len());
        }
        let (status, found) = ask(address, &json!({"text": sentences[1], "beam": 1}));
        assert_eq!((status, found["translations"].as_array().unwrap().len()), (200, 1));
        assert!(found["translations"][0].get("attention").is_none());
    });
}

#[test]
fn a_text_is_cut_into_its_sentences_and_joined() {
    let text = "Onde fica a estação? O gato dorme.\n\n  Maria corre.\n";
    let beam = Beam::new(4);
    let whole = translator().translate_text(text, &beam).unwrap();
    let sentences = ["Onde fica a estação?", "O gato dorme.", "Maria corre."];
    let alone = translator().translate(&sentences, &beam).unwrap();
    served(LIMITS, 64, |address, _| {
        let (status, found) = ask(address, &json!({"text": text}));
        assert_eq!(status, 200, "{found}");
        assert_eq!(found["text"], whole);
        let told: Vec<&str> = found["translations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|told| told["text"].as_str().unwrap())
            .collect();
        assert_eq!(told, alone.iter().map(|found| found.text.as_str()).collect::<Vec<_>>());
        // Nothing is translated as nothing.
        let (status, found) = ask(address, &json!({"text": " \n"}));
        assert_eq!((status, found), (200, json!({"text": " \n", "translations": []})));
    });
}

#[test]
fn many_clients_get_their_own_answers() {
    let pairs = Grammar::Simple.splits([200, 20, 20], 1).unwrap();
    let sentences: Vec<String> =
        pairs.test.pairs().iter().map(|pair| pair.source.clone()).collect();
    let alone = translator().translate(&sentences, &Beam::new(2)).unwrap();
    served(LIMITS, 64, |address, _| {
        std::thread::scope(|scope| {
            for client in 0..24 {
                let (sentences, alone) = (&sentences, &alone);
                scope.spawn(move || {
                    let at = client % sentences.len();
                    let asked = json!({"text": sentences[at], "beam": 2});
                    let (status, found) = ask(address, &asked);
                    assert_eq!(status, 200, "{found}");
                    assert_eq!(found["translations"][0]["text"], alone[at].text);
                });
            }
        });
        let seen = measure::clients(address, 4, &sentences, Duration::from_millis(200)).unwrap();
        assert!(seen.sentences_per_s > 0.0 && seen.median_ms <= seen.p95_ms);
    });
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    served(LIMITS, 64, |address, _| {
        let long = "ü".repeat(101);
        for (body, status, names) in [
            (json!({}), 400, "expected `text` or some `sentences`"),
            (json!({"text": "a", "sentences": ["b"]}), 400, "one of them"),
            (json!({"sentences": []}), 400, "some `sentences`"),
            (json!({"text": "A. ".repeat(41)}), 400, "41 sentences, expected at most 40"),
            (json!({"text": format!("a\n{long}")}), 400, "sentence 2 has more than 100"),
            (json!({"sentences": vec!["a"; 41]}), 400, "41 sentences"),
            (json!({"sentences": ["a", long]}), 400, "sentence 2 has more than 100"),
            (json!({"text": "a", "beam": 0}), 400, "expected 1 to 4"),
            (json!({"text": "a", "beam": 5}), 400, "expected 1 to 4"),
            (json!({"text": "a", "beam": -1}), 400, "invalid value"),
            (json!({"text": 1}), 400, "invalid type"),
            (json!({"txt": "a"}), 400, "unknown field `txt`"),
            (json!(["a"]), 400, "invalid"),
            (json!({"sentences": vec!["ab".repeat(50); 40]}), 413, "length limit"),
        ] {
            let (found, answer) = ask(address, &body);
            let reason = answer["error"].as_str().unwrap();
            assert!(found == status && reason.contains(names), "{body}: {found} {reason}");
        }
        let deep = "[".repeat(3000);
        for body in [b"".as_slice(), b"{", b"\xFF\xFE", b"{\"text\": \"\\ud800\"}", deep.as_bytes()]
        {
            assert_eq!(post(address, body).0, 400);
        }
        // And it still answers.
        assert_eq!(ask(address, &json!({"text": "O gato dorme."})).0, 200);
    });
}

#[test]
fn a_full_queue_refuses_and_takes_back() {
    let queue = Queue::new(3);
    let wish = Wish { beam: 1, attention: false };
    let texts = |count: usize| vec!["a".to_owned(); count];
    let first = queue.push(texts(2), wish).unwrap();
    assert_eq!(queue.push(texts(2), wish).unwrap_err(), Refused::Full);
    let second = queue.push(texts(1), wish).unwrap();
    assert_eq!(queue.push(texts(1), wish).unwrap_err(), Refused::Full);
    // Who has gone makes room.
    drop(first);
    let third = queue.push(texts(2), wish).unwrap();
    assert_eq!(queue.len(), 3);
    queue.close();
    assert_eq!(queue.push(texts(1), wish).unwrap_err(), Refused::Closed);
    // What waited is answered.
    queue.serve(&translator(), 2);
    for mut answer in second.into_iter().chain(third) {
        assert!(answer.try_recv().unwrap().is_ok());
    }
    assert_eq!(queue.done(), [3, 2]);
}

/// A service whose queue nobody empties.
fn stuck<R>(limits: Limits, waiting: usize, work: impl FnOnce(SocketAddr) -> R) -> R {
    let runtime = Runtime::new().unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let (listener, address) = runtime.block_on(http::listen(loopback)).unwrap();
    let service = http::router(Arc::new(Queue::new(waiting)), limits);
    runtime.spawn(http::serve(listener, service, limits, std::future::pending()));
    let result = work(address);
    runtime.shutdown_background();
    result
}

#[test]
fn clients_are_told_when_it_is_full_or_takes_too_long() {
    let limits = Limits { time: Duration::from_millis(400), ..LIMITS };
    stuck(limits, 1, |address| {
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || ask(address, &json!({"text": "a"})));
            std::thread::sleep(Duration::from_millis(150));
            let (status, answer) = ask(address, &json!({"text": "b"}));
            assert_eq!(status, 429, "{answer}");
            let (status, answer) = waits.join().unwrap();
            assert!(status == 504 && answer["error"].as_str().unwrap().contains("400ms"));
        });
        // Its place is free again.
        assert_eq!(ask(address, &json!({"text": "c"})).0, 504);
    });
}

#[test]
fn slow_and_broken_clients_keep_nobody() {
    let limits = Limits { time: Duration::from_millis(300), connections: 3, ..LIMITS };
    served(limits, 64, |address, _| {
        let begins = |head: &[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(head).unwrap();
            stream
        };
        let started = Instant::now();
        // All connections are taken: by silence, by a head and a body that do not end.
        let mut slow = [
            begins(b""),
            begins(b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Le"),
            begins(b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"),
        ];
        let (status, _) = ask(address, &json!({"text": "a", "beam": 1}));
        assert_eq!(status, 200);
        assert!(started.elapsed() < Duration::from_secs(8));
        let mut text = Vec::new();
        let _ = slow[2].read_to_end(&mut text);
        assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 504"));
        for garbage in [b"\x16\x03\x01\x02".as_slice(), b"GET /\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
            drop(begins(garbage));
        }
        assert_eq!(ask(address, &json!({"text": "a", "beam": 1})).0, 200);
    });
}

#[test]
fn a_stop_answers_what_was_asked() {
    served(LIMITS, 64, |address, stop| {
        std::thread::scope(|scope| {
            let sentences: Vec<String> = (0..32).map(|n| format!("O gato {n} dorme.")).collect();
            let asked =
                scope.spawn(move || ask(address, &json!({"sentences": sentences, "beam": 4})));
            // Once it has come in.
            while get(address, "/health").1.contains(r#""translated":0,"waiting":0"#) {
                std::thread::sleep(Duration::from_millis(1));
            }
            stop.stop();
            let (status, found) = asked.join().unwrap();
            assert_eq!((status, found["translations"].as_array().unwrap().len()), (200, 32));
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(TcpStream::connect(address).is_err(), "it listens no more");
    });
}

#[test]
fn the_page_is_there_and_nothing_else() {
    served(LIMITS, 64, |address, _| {
        let (status, page) = get(address, "/");
        assert!(status == 200 && page.contains("<textarea"));
        for (path, status) in [("/health", 200), ("/translate", 405), ("/etc/passwd", 404)] {
            assert_eq!(get(address, path).0, status, "{path}");
        }
    });
}
