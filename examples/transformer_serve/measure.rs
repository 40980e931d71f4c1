//! Clients on this machine, for so long: how many sentences a second the server answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What clients saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) sentences_per_s: f64,
    /// Of a request: the median, and what 95 of 100 stay under.
    pub(crate) median_ms: f64,
    pub(crate) p95_ms: f64,
}

/// Lets so many clients ask for one sentence after another, each on a connection of its own.
pub(crate) fn clients(
    address: SocketAddr,
    count: usize,
    sentences: &[String],
    time: Duration,
) -> anyhow::Result<Seen> {
    let url = format!("http://{address}/translate");
    let started = Instant::now();
    let ask = |client: usize| -> anyhow::Result<Vec<f64>> {
        let config = ureq::Agent::config_builder().timeout_global(Some(4 * time)).build();
        let (agent, mut times) = (config.new_agent(), Vec::new());
        for sentence in sentences.iter().cycle().skip(client * sentences.len() / count) {
            if started.elapsed() >= time {
                break;
            }
            let asked = Instant::now();
            let body = serde_json::json!({"sentences": [sentence], "beam": 1}).to_string();
            let mut answer = agent.post(&url).send(&body)?;
            let text = answer.body_mut().read_to_string()?;
            let value: serde_json::Value = serde_json::from_str(&text)?;
            anyhow::ensure!(value["translations"][0]["text"].is_string(), "no translation: {text}");
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    let found: Vec<anyhow::Result<Vec<f64>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|client| scope.spawn(move || ask(client))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for of_one in found {
        times.extend(of_one.context("a client")?);
    }
    anyhow::ensure!(!times.is_empty(), "no request was answered in {time:?}");
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Seen { sentences_per_s: times.len() as f64 / seconds, median_ms: at(0.5), p95_ms: at(0.95) })
}
