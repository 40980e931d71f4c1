//! The guided tour: one stage a topic, each under 40 seconds on two processor cores, and at the end
//! a page that tells what happened, with its pictures in it.
//!
//! ```console
//! $ cargo run --release --example tour
//! ```

#![allow(clippy::print_stdout)]

mod compress;
mod gan;
mod mcts;
mod rl;
mod story;
mod transformer;
mod vision;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use common::flags::signed;
use common::{Common, Metrics, Resume, Session, program};
use model_utils::compare::Machine;
use model_utils::picture::Section;
use serde::{Deserialize, Serialize};

use story::{Language, STAGES, Stage};

/// The guided tour through all topics
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// One topic only
    #[arg(long, value_name = "TOPIC", value_enum)]
    only: Option<Topic>,
    /// The language of the page [default: that of the environment, else en]
    #[arg(long, value_enum)]
    lang: Option<Language>,
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
    language: Language,
}

impl Context<'_> {
    /// What is said in the page's language.
    fn say<T>(&self, english: T, japanese: T) -> T {
        self.language.pick(english, japanese)
    }

    /// A picture of the stage as the page finds it.
    fn picture(&self, file: &str) -> String {
        format!("{}/{file}", self.name)
    }
}

/// What a stage gives back.
#[derive(Serialize, Deserialize)]
struct Shown {
    /// All figures, for metrics.json; the tour puts the topic before their keys.
    metrics: Metrics,
    /// What the page shows of it.
    section: Section,
}

fn main() -> ExitCode {
    program("tour", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let language = args.lang.unwrap_or_else(Language::of_environment);
    let device = args.common.open()?;
    let machine = Machine::describe(&[args.common.device]);
    let mut all = Metrics::default();
    let mut page = story::page(language, &machine).embed_from(out);
    for stage in &STAGES {
        if args.only.is_some_and(|only| only != stage.topic) {
            continue;
        }
        let name =
            stage.topic.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        session.stage(&name);
        // What the page says if the stage does not come to its end.
        page.clone().text(story::stopped(language, &name)).save(out.join("index.html"))?;
        let Shown { metrics, section } = session.part(&name, || {
            let folder = out.join(&name);
            std::fs::create_dir_all(&folder)?;
            let seed = args.common.seed;
            let (name, device, out) = (name.as_str(), &device, folder.as_path());
            stage.tell(&Context { session, name, device, seed, out, language })
        })?;
        for (what, value) in section.figures() {
            println!("{value:>10}  {what}");
        }
        page = page.section(section);
        all.extend(&name, metrics);
        session.keep(&all);
    }
    page.save(out.join("index.html"))?;
    session.finish_silently(&all)?;
    println!("\nopen {} in a browser", out.join("index.html").display());
    Ok(())
}

impl Stage {
    /// Runs it, and tells of it: the question, what was seen, and what to try next.
    fn tell(&self, context: &Context<'_>) -> anyhow::Result<Shown> {
        let language = context.language;
        let (title, question) = (language.of(self.title), language.of(self.question));
        println!("\n{title}\n  {question}");
        let started = Instant::now();
        let section = Section::new(title).text(question);
        let Shown { mut metrics, section } = (self.run)(context, section)?;
        metrics.set("stage_wall_s", started.elapsed().as_secs_f64());
        let chapter = language.pick("Chapter:", "解説：");
        let section = section
            .text(format!("{} {chapter} {}", language.of(self.next), self.chapter))
            .command(self.command);
        Ok(Shown { metrics, section })
    }
}
