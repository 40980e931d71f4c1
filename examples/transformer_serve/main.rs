//! A translator that answers over HTTP: a page to type into, and JSON for programs.
//!
//! ```console
//! $ cargo run --release --features serve --example transformer_serve -- --load FOLDER
//! $ curl -s localhost:8080/translate -d '{"sentences": ["Onde fica a estação?"], "beam": 4}'
//! $ cargo run --release --features serve --example transformer_serve -- --measure 32
//! ```
//!
//! Without `--load` it first learns a small grammar of Portuguese and English, in half a minute.
//! Sentences that wait at the same time are translated together; where too many wait, requests are
//! refused with 429. It listens on this machine alone unless told otherwise; Ctrl-C ends it once what
//! was asked for is answered. With `--measure` clients of its own ask it for some seconds, one sentence
//! translated at a time and together, in turns.

#![allow(clippy::print_stdout)]

mod http;
mod measure;
mod queue;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use common::flags::{ITEMS, TIME_S, folder, positive, signed, within};
use common::{Common, Metrics, Session, program};
use model_utils::train::Stop;
use transformer::text::Overlong;
use transformer::{Grammar, Translator, TranslatorConfig};

use http::Limits;
use queue::Queue;

/// Serve a translator over HTTP
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The translator in this folder [default: one that learns a small grammar first]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    load: Option<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Sentences translated together at most
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = within(1..=1024_usize))]
    together: usize,
    /// Sentences that may wait; beyond, requests are refused with 429
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = within(1..=ITEMS))]
    waiting: usize,
    /// Sentences of a request
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = within(1..=ITEMS))]
    sentences: usize,
    /// Characters of a sentence
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = within(1..=1_000_000_usize))]
    characters: usize,
    /// Hypotheses of a beam: what is taken unless a request asks for fewer
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=64_usize))]
    beam: usize,
    /// Seconds that an answer may take
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = positive(TIME_S))]
    seconds: f64,
    /// Let so many clients of its own ask, show what they see, and end
    #[arg(long, value_name = "CLIENTS", value_parser = within(1..=512_usize))]
    measure: Option<usize>,
}

fn main() -> ExitCode {
    program("transformer_serve", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let grammar = Grammar::Simple.splits([4000, 100, 200], args.common.seed)?;
    let translator = if let Some(folder) = &args.load {
        Translator::load(folder, &device)?
    } else {
        session.stage("training");
        let config = TranslatorConfig::tiny(500);
        Translator::train(&grammar, &config, &device, &mut session.progress())?
    };
    let translator = translator.with_overlong(Overlong::Truncate);
    if let Some(clients) = args.measure {
        let sentences: Vec<String> =
            grammar.test.pairs().iter().map(|pair| pair.source.clone()).collect();
        return measured(&args, session, translator, clients, &sentences);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let (listener, address) = runtime.block_on(http::listen(args.address))?;
    println!("http://{address}  (Ctrl-C ends it)");
    session.end_by_itself();
    let server = Server::start(args.limits(), args.waiting, args.together, translator);
    runtime.block_on(server.run(listener, session.stop()));
    let [translated, calls] = server.end()?;
    println!("translated {translated} sentences in {calls} calls");
    Ok(())
}

impl Args {
    fn limits(&self) -> Limits {
        Limits {
            // A character is four bytes at most, six as an escape.
            bytes: (6 * self.characters.saturating_mul(self.sentences)).clamp(4096, 16 << 20),
            sentences: self.sentences.min(self.waiting),
            characters: self.characters,
            beam: self.beam,
            time: Duration::from_secs_f64(self.seconds),
            connections: 1024,
        }
    }
}

/// A queue, the thread that empties it, and what requests may be.
struct Server {
    queue: Arc<Queue>,
    limits: Limits,
    translating: std::thread::JoinHandle<Translator>,
}

impl Server {
    fn start(limits: Limits, waiting: usize, together: usize, translator: Translator) -> Self {
        let queue = Arc::new(Queue::new(waiting));
        let emptied = queue.clone();
        let translating = std::thread::spawn(move || {
            emptied.serve(&translator, together);
            translator
        });
        Self { queue, limits, translating }
    }

    /// Answers until it is told to stop, and what was asked for by then.
    async fn run(&self, listener: tokio::net::TcpListener, stop: Stop) {
        let stopped = async {
            while !stop.is_stopped() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let service = http::router(self.queue.clone(), self.limits);
        http::serve(listener, service, self.limits, stopped).await;
    }

    /// Sentences that were translated, and in how many calls.
    fn end(self) -> anyhow::Result<[u64; 2]> {
        self.queue.close();
        self.translating.join().map_err(|_| anyhow::anyhow!("the translator's thread panicked"))?;
        Ok(self.queue.done())
    }
}

/// Turns of each way, and how long one is.
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(4);

/// One sentence at a time and together, in turns; medians.
fn measured(
    args: &Args,
    session: &Session,
    mut translator: Translator,
    clients: usize,
    sentences: &[String],
) -> anyhow::Result<()> {
    session.stage("measuring");
    let runtime = tokio::runtime::Runtime::new()?;
    let ways = [("alone", 1), ("together", args.together)];
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for ((name, together), seen) in ways.into_iter().zip(&mut seen) {
            session.check()?;
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            let (listener, address) = runtime.block_on(http::listen(loopback))?;
            let server = Server::start(args.limits(), args.waiting, together, translator);
            let stop = Stop::new();
            let found = std::thread::scope(|scope| {
                let serving = scope.spawn(|| runtime.block_on(server.run(listener, stop.clone())));
                let found = measure::clients(address, clients, sentences, TURN);
                stop.stop();
                let _ = serving.join();
                found
            });
            server.queue.close();
            translator = server
                .translating
                .join()
                .map_err(|_| anyhow::anyhow!("the translator's thread panicked"))?;
            let found = found?;
            println!(
                "{name:8}  {:7.1} sentences/s, {:6.1} ms (95 of 100 within {:.1})",
                found.sentences_per_s, found.median_ms, found.p95_ms
            );
            seen.push(found);
        }
    }
    let mut metrics = Metrics::default();
    metrics.set("clients", clients);
    metrics.set("together_at_most", args.together);
    let mut rates = [0.0; 2];
    for ((seen, (name, _)), rate) in seen.iter_mut().zip(ways).zip(&mut rates) {
        seen.sort_by(|a, b| a.sentences_per_s.total_cmp(&b.sentences_per_s));
        let median = seen[TURNS / 2];
        *rate = median.sentences_per_s;
        metrics.set(&format!("{name}_sentences_per_s"), median.sentences_per_s);
        metrics.set(&format!("{name}_median_ms"), median.median_ms);
        metrics.set(&format!("{name}_p95_ms"), median.p95_ms);
    }
    metrics.set("times_as_many", rates[1] / rates[0]);
    session.finish(&metrics)
}
