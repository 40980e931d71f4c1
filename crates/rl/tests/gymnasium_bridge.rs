//! Environments over a socket: the same as without one, and what peers that do wrong come to.
//! `gymnasium_bridge.py` holds both ways against Gymnasium itself.
#![allow(missing_docs)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rl::environments::{CartPole, Pendulum};
use rl::gymnasium::{MOST_BYTES, RemoteConfig, RemoteEnvironment, RemoteVectorEnvironment, serve};
use rl::prelude::Stop;
use rl::random::{Random, mix};
use rl::vector::{Actions, SyncVectorEnvironment, VectorEnvironment};
use rl::{Environment, Error, Result, Space, Spaces, Step};

/// A world with all that a frame can hold: parts, masks now and then, both ends, info.
#[derive(Debug)]
struct Shop {
    random: Random,
    mask: Option<Vec<bool>>,
    left: Option<usize>,
}

#[derive(Debug, Clone)]
struct Seen {
    stock: [f64; 2],
    day: usize,
}
rl::element!(Seen { stock, day });

impl Shop {
    fn new() -> Self {
        Self { random: Random::new(0), mask: None, left: None }
    }

    fn look(&mut self, left: usize) -> Seen {
        self.left = Some(left);
        let masked = self.random.bernoulli(0.6);
        self.mask = masked
            .then(|| vec![true, self.random.bernoulli(0.5), false, true, left.is_multiple_of(2)]);
        Seen { stock: [self.random.normal(), self.random.uniform()], day: left % 7 }
    }
}

impl Environment for Shop {
    type Observation = Seen;
    type Action = [usize; 2];

    fn spaces(&self) -> Spaces {
        let observation = Space::Dict(vec![
            ("stock".into(), Space::unbounded(2)),
            ("day".into(), Space::Discrete(7)),
        ]);
        Spaces { observation, action: Space::MultiDiscrete(vec![2, 3]) }
    }

    fn reset(&mut self, seed: u64) -> Result<Seen> {
        self.random = Random::new(seed);
        let left = 3 + self.random.below(9);
        Ok(self.look(left))
    }

    fn step(&mut self, action: &[usize; 2]) -> Result<Step<Seen>> {
        let Some(left) = self.left else { return Err(Error::Ended) };
        let numbers = action.map(|index| index as f64);
        let space = self.spaces().action;
        let allowed = self.mask.as_ref().is_none_or(|mask| space.allows(&numbers, mask));
        if !allowed || !space.holds(&numbers) {
            let (action, expected) = (format!("{action:?}"), format!("{:?}", self.mask));
            return Err(Error::Action { action, expected });
        }
        let reward = self.random.normal() / 3.0 + action[1] as f64;
        let seen = self.look(left - 1);
        let (terminated, truncated) = (self.random.bernoulli(0.1), left == 1);
        if terminated || truncated {
            self.left = None;
        }
        let step =
            Step::new(seen, reward).terminated(terminated).truncated(truncated && !terminated);
        Ok(step.info("left", left as f64 / 3.0).info("é", -0.0))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.mask.as_deref()
    }
}

/// Serves shops while something is done there, and hands back what was told of connections that
/// ended with an error.
fn with_shops(work: impl FnOnce(&str)) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, told) = (Stop::new(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let tell = |_, ended: Result<()>| told.lock().unwrap().extend(ended.err());
            serve(&listener, "shop", || Ok(Shop::new()), &stop, tell).unwrap();
        });
        // The server is to end also where an assertion fails.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&address)));
        stop.stop();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let told = told.into_inner().unwrap();
    told.iter().map(ToString::to_string).collect()
}

fn config(name: &str) -> RemoteConfig {
    RemoteConfig::new(name).with_timeout(Duration::from_millis(400))
}

#[test]
fn many_behind_a_socket_are_those_without_one() {
    let told = with_shops(|address| {
        let shops = (0..5).map(|_| Shop::new()).collect();
        let mut near = SyncVectorEnvironment::new(shops, 42).unwrap();
        let config = config("shop").with_count(5).with_seed(42);
        let mut far = RemoteVectorEnvironment::connect(address, &config).unwrap();
        assert_eq!(far.spaces(), near.spaces());
        let mut random = Random::new(1);
        let (mut ends, mut masked) = ([0, 0], 0);
        for step in 0..500 {
            if step == 250 {
                near.reset(7).unwrap();
                far.reset(7).unwrap();
            }
            let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(far.observations()), bits(near.observations()), "step {step}");
            // One that allows all is one.
            let masks = |all: &dyn VectorEnvironment| {
                all.masks().map_or_else(|| vec![true; 25], <[bool]>::to_vec)
            };
            assert_eq!(masks(&far), masks(&near), "step {step}");
            masked += usize::from(far.masks().is_some());
            let all = masks(&near);
            let actions =
                all.chunks(5).flat_map(|mask| near.spaces().action.sample(Some(mask), &mut random));
            let actions: Vec<f64> = actions.collect();
            let expected = near.step(Actions::Numbers(&actions)).unwrap().clone();
            let found = far.step(Actions::Numbers(&actions)).unwrap();
            assert_eq!(*found, expected, "step {step}");
            for end in &expected.episodes {
                ends[usize::from(found.truncated[end.environment])] += 1;
                assert_eq!(end.info.len(), 2);
            }
        }
        assert!(ends.iter().all(|count| *count > 20) && masked > 400, "{ends:?}, {masked}");
        let error = far.step(Actions::Numbers(&[0.0; 9])).unwrap_err().to_string();
        assert!(error.contains("5 actions"), "{error}");
        let error = far.step(Actions::Numbers(&[7.0; 10])).unwrap_err();
        assert!(matches!(error, Error::Action { .. }), "{error}");
        assert!(matches!(far.state().unwrap_err(), Error::Resume(_)));
        // What the world refuses is said, and a reset goes on.
        let error = loop {
            let forbidden = |mask: &[bool]| !mask[2];
            let found = far.step(Actions::Numbers(&[0.0; 10]));
            match found {
                Ok(_) => assert!(far.masks().is_some_and(|all| all.chunks(5).any(forbidden))),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("shop at 127.0.0.1") && error.contains("not possible"), "{error}");
        let error = far.step(Actions::Numbers(&[1.0; 10])).unwrap_err().to_string();
        assert!(error.contains("call `reset`"), "{error}");
        far.reset(1).unwrap();
        assert!(far.waited() > Duration::ZERO);
    });
    assert_eq!(told, [""; 0]);
}

#[test]
fn one_behind_a_socket_is_that_without_one() {
    with_shops(|address| {
        let mut far = RemoteEnvironment::connect(address, &config("shop")).unwrap();
        assert_eq!(rl::check(&mut far), []);
        assert_eq!(rl::check(&mut Shop::new()), []);
        let mut near = Shop::new();
        let numbers = |seen: &Seen| rl::environment::Element::numbers(seen);
        for episode in 0..50 {
            let seed = mix(9, episode);
            assert_eq!(far.reset(seed).unwrap(), numbers(&near.reset(seed).unwrap()));
            loop {
                assert_eq!(far.mask(), near.mask());
                let step = near.step(&[0, 1]).unwrap();
                let (ended, expected) = (step.ended(), step.map(|seen| numbers(&seen)));
                assert_eq!(far.step(&vec![0.0, 1.0]).unwrap(), expected);
                if ended {
                    break;
                }
            }
            assert!(matches!(far.step(&vec![0.0, 1.0]), Err(Error::Ended)));
        }
    });
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 1).to_le_bytes();
    [&length[..], &[kind], body].concat()
}

/// What a server does wrong, and what is said of it.
struct Wrong(&'static str, Vec<u8>, &'static [&'static str]);

/// A server that answers the first frames with these, and then with nothing; `holds` says whether
/// it keeps the connection open.
fn answering(answers: Vec<Vec<u8>>, holds: bool) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for answer in answers {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut body = vec![0; u32::from_le_bytes(length) as usize];
            stream.read_exact(&mut body).unwrap();
            // Who is refused early may be gone.
            let _ = stream.write_all(&answer);
        }
        if holds {
            // Until the client goes.
            let _ = stream.read(&mut [0]);
        }
    });
    (address, server)
}

/// A welcome to two environments of numbers and indices.
fn welcome(change: (&str, &str)) -> Vec<u8> {
    let text = r#"{"protocol":"usagi-gymnasium","version":1,"environment":"shop","count":2,"spaces":
        {"observation":{"Continuous":{"low":["-inf"],"high":["inf"]}},"action":{"Discrete":2}}}"#;
    assert!(text.contains(change.0));
    frame(b'H', text.replace(change.0, change.1).as_bytes())
}

fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The error of a client that connects and takes a step.
fn error_of(answers: Vec<Vec<u8>>, holds: bool) -> String {
    let begun = Instant::now();
    let (address, server) = answering(answers, holds);
    let config = config("shop").with_count(2);
    let mut known = None;
    let done = RemoteVectorEnvironment::connect(&address, &config).and_then(|mut all| {
        let done = all.step(Actions::Indices(&[0, 1])).map(|_| ());
        known = Some((all.reset(1).is_err(), all.state().is_err()));
        done
    });
    let error = done.unwrap_err();
    assert!(known.is_none_or(|refused| refused == (true, true)), "{error}: it goes on");
    server.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{error}: after {:?}", begun.elapsed());
    error.to_string()
}

#[test]
fn servers_that_do_wrong_are_named() {
    let same = ("shop", "shop");
    let seen = |numbers: &[f64]| frame(b'O', &[bytes(numbers), vec![0]].concat());
    let masks = |masks: &[u8]| frame(b'O', &[bytes(&[0.0; 2]), vec![1], masks.to_vec()].concat());
    let brought = |rewards: &[f64], flags: &[u8], rest: &[u8]| {
        frame(b'T', &[&bytes(rewards), flags, &bytes(&[1.0; 2]), &[0], rest].concat())
    };
    let mut long = (MOST_BYTES as u32 + 1).to_le_bytes().to_vec();
    long.push(b'H');
    let half = |mut all: Vec<u8>| {
        all.truncate(all.len() / 2);
        all
    };

    let hellos = [
        Wrong("nothing", vec![], &["0 of 4 bytes", "400ms"]),
        Wrong("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), &["announced a frame of 1347"]),
        Wrong("too long", long, &["16777217 bytes", "expected 1 to 16777216"]),
        Wrong("empty frame", vec![0; 4], &["a frame of 0 bytes"]),
        Wrong("half", half(welcome(same)), &["of a frame came within 400ms"]),
        Wrong("no JSON", frame(b'H', b"\xff\xfe"), &["hello is none"]),
        Wrong("no spaces", welcome(("spaces", "places")), &["missing field `spaces`"]),
        Wrong("version", welcome((":1,", ":2,")), &["version 2, expected", "version 1"]),
        Wrong(
            "version of tomorrow",
            welcome((":1,\"environment\":\"shop\"", ":9")),
            &["version 9"],
        ),
        Wrong("protocol", welcome(("usagi-", "")), &["\"gymnasium\" version 1, expected"]),
        Wrong("another world", welcome(("shop", "taxi")), &["\"taxi\", expected \"shop\""]),
        Wrong("count", welcome((":2,", ":3,")), &["3 environments, expected 2"]),
        Wrong("no action", welcome(("e\":2", "e\":0")), &["action space"]),
        Wrong("NaN", welcome(("[\"inf", "[\"nan")), &["observation space"]),
        Wrong(
            "vast",
            welcome(("[\"-inf\"],\"high\":[\"inf\"]", "[],\"high\":[]")),
            &["at least 1"],
        ),
        Wrong("kind", frame(b'O', b"{}"), &["a frame of the kind 79, expected 72"]),
        Wrong("refused", frame(b'E', br#"{"message":"no module"}"#), &["no module"]),
        Wrong("error of nothing", frame(b'E', b"[]"), &["error without a message"]),
    ];
    for Wrong(what, answer, said) in hellos {
        let error = error_of(vec![answer], true);
        let all = said.iter().chain(&["shop at 127.0.0.1:"]).all(|text| error.contains(text));
        assert!(all, "{what}: {error}");
    }

    let starts = [
        Wrong(
            "short",
            frame(b'O', &bytes(&[0.0])),
            &["observations of 8 bytes, expected at least 16"],
        ),
        Wrong("long", seen(&[0.0; 3]), &["observations of 25 bytes"]),
        Wrong("NaN", seen(&[0.0, f64::NAN]), &["observation of environment 1 is NaN at step 0"]),
        Wrong("inf", seen(&[f64::INFINITY, 0.0]), &["observation of environment 0 is inf"]),
        Wrong("masks of no bits", masks(&[1, 1, 2, 1]), &["2 in a mask", "expected 0 or 1"]),
        Wrong("no choice", masks(&[1, 1, 0, 0]), &["mask is all false"]),
        Wrong("short masks", masks(&[1, 1, 0]), &["observations of 20 bytes"]),
        Wrong("transitions", brought(&[0.0; 2], &[0; 2], &[0; 4]), &["kind 84, expected 79"]),
        Wrong("gone", vec![], &["closed the connection in place of an answer"]),
    ];
    for Wrong(what, answer, said) in starts {
        let error = error_of(vec![welcome(same), answer], what != "gone");
        assert!(said.iter().all(|text| error.contains(text)), "{what}: {error}");
    }

    let steps = [
        Wrong(
            "reward",
            brought(&[0.0, f64::NAN], &[0; 2], &[0; 4]),
            &["reward of environment 1", "step 1"],
        ),
        Wrong("ends", brought(&[0.0; 2], &[0, 7], &[0; 4]), &["7 says how an episode has ended"]),
        Wrong("no final", brought(&[0.0; 2], &[1, 0], &[0; 4]), &["transitions of 39 bytes"]),
        Wrong(
            "final NaN",
            brought(&[0.0; 2], &[0, 2], &[&bytes(&[f64::NAN])[..], &[0; 5]].concat()),
            &["observation of environment 1 is NaN at step 1"],
        ),
        Wrong("info", brought(&[0.0; 2], &[0; 2], &[255; 4]), &["transitions of 39 bytes"]),
        Wrong("more", brought(&[0.0; 2], &[0; 2], &[0; 5]), &["of 40 bytes, expected 39"]),
        Wrong("dies", half(brought(&[0.0; 2], &[0; 2], &[0; 4])), &["closed the connection after"]),
    ];
    for Wrong(what, answer, said) in steps {
        let error = error_of(vec![welcome(same), seen(&[0.0; 2]), answer], false);
        assert!(said.iter().all(|text| error.contains(text)), "{what}: {error}");
    }
}

#[test]
fn a_server_that_dribbles_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let begun = Instant::now();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&100_u32.to_le_bytes()).unwrap();
        // A byte now and then: each in time, the frame never.
        while stream.write_all(b"H").is_ok() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(40));
        }
    });
    let error = RemoteEnvironment::connect(address, &config("")).unwrap_err().to_string();
    assert!(error.contains("of 100 bytes of a frame came within 400ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3));
    server.join().unwrap();
}

/// What a server says to a client that sends these bytes, frame by frame.
fn answers(address: &str, sent: &[u8]) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(sent).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    // A reset, where more was sent than was read.
    let _ = stream.read_to_end(&mut all);
    let (mut rest, mut frames) = (&all[..], Vec::new());
    while let Some((length, more)) = rest.split_first_chunk() {
        let (frame, more) = more.split_at(u32::from_le_bytes(*length) as usize);
        frames.push(String::from_utf8_lossy(frame).into_owned());
        rest = more;
    }
    frames
}

#[test]
fn clients_that_do_wrong_are_told_and_others_go_on() {
    let text = r#"{"protocol":"usagi-gymnasium","version":1,"environment":"shop","arguments":{},
        "count":1,"autoreset":true}"#;
    let hello = |from: &str, to: &str| {
        assert!(text.contains(from));
        frame(b'H', text.replace(from, to).as_bytes())
    };
    let good = || hello("", "");
    let after = |frames: &[Vec<u8>]| [&[good()], frames].concat().concat();
    let reset = || frame(b'R', &[0; 8]);
    let cases = [
        ("version", hello(":1,", ":2,"), "version 2, expected"),
        ("none", hello("count", "sum"), "missing field `count`"),
        ("no environments", hello("\"count\":1", "\"count\":0"), "0 environments"),
        ("too many", hello("\"count\":1", "\"count\":999999999"), "999999999 environments"),
        ("another", hello("\"shop\"", "\"taxi\""), "taxi"),
        ("arguments", hello("{}", r#"{"size":3}"#), "takes no arguments"),
        ("kind", frame(b'R', &[0; 8]), "expected a hello"),
        ("a step first", after(&[frame(b'S', &bytes(&[0.0; 2]))]), "call `reset`"),
        ("seed", after(&[frame(b'R', &[0; 7])]), "8 bytes"),
        ("kind later", after(&[frame(b'X', b"")]), "of the kind 88"),
        ("short", after(&[reset(), frame(b'S', &bytes(&[0.0]))]), "actions of 8 bytes"),
        ("long", after(&[reset(), frame(b'S', &bytes(&[0.0; 3]))]), "actions of 24 bytes"),
        ("NaN", after(&[reset(), frame(b'S', &bytes(&[f64::NAN; 2]))]), "NaN, NaN"),
        ("outside", after(&[reset(), frame(b'S', &bytes(&[0.0, 3.0]))]), "not possible"),
    ];
    let told = with_shops(|address| {
        for (what, sent, said) in &cases {
            let frames = answers(address, sent);
            let last = frames.last().unwrap();
            assert!(last.starts_with('E') && last.contains(said), "{what}: {frames:?}");
        }
        // Those that cannot be answered.
        for sent in [&[255; 9][..], b"GET / HTTP/1.1\r\n\r\n", &[9, 0, 0, 0, 1], &[1, 0]] {
            assert_eq!(answers(address, sent), [""; 0]);
        }
        // One that falls silent in the middle of a frame does not stay.
        let mut silent = TcpStream::connect(address).unwrap();
        silent.write_all(&[9, 0, 0, 0, 1]).unwrap();
        silent.set_read_timeout(Some(Duration::from_secs(9))).unwrap();
        let mut far = RemoteEnvironment::connect(address, &config("shop")).unwrap();
        far.reset(1).unwrap();
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
        far.reset(2).unwrap();
    });
    assert!(told.iter().any(|error| error.contains("1 of 9 bytes of a frame came")), "{told:#?}");
    assert!(told.iter().all(|error| error.starts_with("127.0.0.1:")), "{told:#?}");
}

#[test]
fn worlds_that_a_frame_does_not_hold_are_refused_at_the_hello() {
    let large = welcome((
        r#"{"Continuous":{"low":["-inf"],"high":["inf"]}}"#,
        r#"{"Image":{"shape":[4,512,512],"most":255.0}}"#,
    ));
    let error = error_of(vec![large], true);
    assert!(
        error.contains("2 environments, of which a frame of 16777216 bytes holds 0"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn programs_that_cannot_serve_are_named() {
    let error = |words: &[&str]| {
        let begun = Instant::now();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let error = RemoteEnvironment::spawn(command, &config("shop")).unwrap_err().to_string();
        assert!(begun.elapsed() < Duration::from_secs(3), "{error}");
        error
    };
    let absent = error(&["no-such-python", "x.py"]);
    assert!(absent.contains("`no-such-python x.py --connect") && absent.contains("started"));
    let ended = error(&["sh", "-c", "echo no module named gymnasium >&2; exit 3"]);
    assert!(ended.contains("exit status: 3: no module named gymnasium"), "{ended}");
    let silent = error(&["sh", "-c", "exec sleep 20"]);
    assert!(silent.contains("did not connect within 400ms"), "{silent}");
    let nobody = RemoteEnvironment::connect("127.0.0.1:1", &config("shop")).unwrap_err();
    assert!(nobody.to_string().contains("127.0.0.1:1: "), "{nobody}");
}

/// `gymnasium_bridge.py` runs it, with the Python and the script to be started.
#[test]
#[ignore = "needs Python with Gymnasium: gymnasium_bridge.py runs it"]
fn worlds_of_python_step_as_those_of_rust() {
    let python = || {
        let mut command = Command::new(std::env::var("BRIDGE_PYTHON").unwrap());
        command.arg(std::env::var("BRIDGE_SCRIPT").unwrap());
        command
    };
    let config = RemoteConfig::new("gymnasium_bridge:Cart-v0");
    let mut far = RemoteEnvironment::spawn(python(), &config).unwrap();
    let (mut near, mut steps, mut random, mut most) = (CartPole::new(), 0, Random::new(3), 0.0_f64);
    for episode in 0.. {
        let start = far.reset(episode).unwrap();
        near.start_in(start.try_into().unwrap());
        loop {
            let action = random.below(2);
            let (expected, found) = (near.step(&action).unwrap(), far.step(&vec![action as f64]));
            let found = found.unwrap();
            steps += 1;
            for (x, y) in expected.observation.iter().zip(&found.observation) {
                most = most.max((x - y).abs());
            }
            assert_eq!(
                (expected.reward, expected.terminated, expected.truncated),
                (found.reward, found.terminated, found.truncated),
                "step {steps}"
            );
            if found.ended() {
                break;
            }
        }
        if steps >= 1000 {
            break;
        }
    }
    assert!(most < 1e-9, "{most}");
    assert_eq!(rl::check(&mut far), []);

    // Parts, images and shifted indices.
    let config = RemoteConfig::new("gymnasium_bridge:Parts-v0").with_count(3).with_seed(5);
    let mut all = RemoteVectorEnvironment::spawn(python(), &config).unwrap();
    assert_eq!(
        all.spaces().observation.to_string(),
        "{a: one of 0..3; picture: an image [3, 2, 4] in 0..=255; rest: (2 bits; 2 indices below [2, 3])}"
    );
    assert_eq!(all.spaces().action, Space::Discrete(3));
    let transitions = all.step(Actions::Indices(&[0, 1, 2])).unwrap();
    assert_eq!(transitions.rewards, [-1.0, 0.0, 1.0]);
    assert_eq!(transitions.truncated, [true; 3]);
    assert_eq!(transitions.episodes[2].info, [("twice".into(), 2.0)]);
    // Red is 1 throughout, green counts the places, blue is 255.
    let features = &all.observations()[3..][..24];
    let pixels: Vec<f32> = features.iter().map(|x| (x * 255.0).round()).collect();
    assert_eq!(pixels[..8], [1.0; 8]);
    assert_eq!(pixels[8..16], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(pixels[16..], [255.0; 8]);

    let error = RemoteEnvironment::spawn(python(), &RemoteConfig::new("No-v0")).unwrap_err();
    assert!(error.to_string().contains("NameNotFound"), "{error}");
    let config = RemoteConfig::new("gymnasium_bridge:Words-v0");
    let error = RemoteEnvironment::spawn(python(), &config).unwrap_err().to_string();
    assert!(error.contains("Text is a space that has no fixed count of numbers"), "{error}");
    let mut pendulum =
        RemoteEnvironment::spawn(python(), &RemoteConfig::new("Pendulum-v1")).unwrap();
    assert_eq!(pendulum.spaces().action, Pendulum::new().spaces().action);
    assert_eq!(rl::check(&mut pendulum), []);
}
