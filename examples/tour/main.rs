//! The guided tour: one stage a topic, each under 40 seconds on two processor cores, a table
//! and a page of pictures at the end.
//!
//! ```console
//! $ cargo run --release --example tour
//! ```

#![allow(clippy::print_stdout)]

mod compress;
mod gan;
mod mcts;
mod rl;
mod transformer;
mod vision;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use common::{Common, Metrics, Session, program};
use model_utils::picture::{Page, Section};

/// The guided tour through all topics
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// One topic only
    #[arg(long, value_name = "TOPIC", value_enum)]
    only: Option<Topic>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Topic {
    Vision,
    Rl,
    Mcts,
    Gan,
    Transformer,
    Compress,
}

/// What a stage gets.
struct Context<'a> {
    session: &'a Session,
    name: &'a str,
    device: &'a Device,
    seed: u64,
    /// The stage's own folder.
    out: &'a Path,
}

/// What a stage gives back.
struct Shown {
    /// Figures for the table and metrics.json; the tour puts the topic before their keys.
    metrics: Metrics,
    /// Pictures in the stage's folder: file name and what they show.
    pictures: Vec<(&'static str, &'static str)>,
}

/// A topic's heading, the line of what it shows, and its stage.
struct Stage {
    topic: Topic,
    title: &'static str,
    shows: &'static str,
    run: fn(&Context<'_>) -> anyhow::Result<Shown>,
}

const STAGES: [Stage; 6] = [
    Stage {
        topic: Topic::Vision,
        title: "MobileNetV2 and DenseNet",
        shows: "A light image model learns to tell drawn shapes apart, from nothing.",
        run: vision::run,
    },
    Stage {
        topic: Topic::Rl,
        title: "Reinforcement learning",
        shows: "Agents find the way out of a maze, the best advertisement, and their balance.",
        run: rl::run,
    },
    Stage {
        topic: Topic::Mcts,
        title: "Tree search",
        shows: "A search tree grows where it is promising, and a net learns a game from itself.",
        run: mcts::run,
    },
    Stage {
        topic: Topic::Gan,
        title: "Generative adversarial networks",
        shows: "A generator learns to make shapes against a discriminator that learns to tell them.",
        run: gan::run,
    },
    Stage {
        topic: Topic::Transformer,
        title: "Machine translation with attention",
        shows: "A Transformer learns to translate Portuguese, and shows where it looks.",
        run: transformer::run,
    },
    Stage {
        topic: Topic::Compress,
        title: "Compression",
        shows: "A classifier gives up half of its work, then three quarters of its bits; is it worse?",
        run: compress::run,
    },
];

fn main() -> ExitCode {
    program("tour", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    let mut all = Metrics::default();
    let mut page = Page::new("Usagi: the tour");
    for stage in &STAGES {
        if args.only.is_some_and(|only| only != stage.topic) {
            continue;
        }
        let name =
            stage.topic.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        println!("\n{}: {}", stage.title, stage.shows);
        let folder = out.join(&name);
        std::fs::create_dir_all(&folder)?;
        let started = Instant::now();
        let context =
            Context { session, name: &name, device: &device, seed: args.common.seed, out: &folder };
        session.stage(&name);
        // What the page says if the stage does not come to its end.
        let told = page.clone().text(format!("Stopped in {name}: what is here was done by then."));
        told.save(out.join("index.html"))?;
        let Shown { mut metrics, pictures } = (stage.run)(&context)?;
        metrics.set("stage_wall_s", started.elapsed().as_secs_f64());
        let mut section = Section::new(stage.title).text(stage.shows).header(&["figure", "value"]);
        for row in metrics.rows() {
            section = section.row(&row);
        }
        for (file, caption) in pictures {
            section = section.picture(format!("{name}/{file}"), caption);
        }
        page = page.section(section);
        all.extend(&name, metrics);
        session.keep(&all);
    }
    page.save(out.join("index.html"))?;
    session.finish(&all)?;
    println!("open {} in a browser", out.join("index.html").display());
    Ok(())
}
