//! A translator is trained on sentence pairs, measured, and then translates what it is given.
//!
//! ```console
//! $ cargo run --release --example transformer_translate
//! $ cargo run --release --example transformer_translate -- --data MULTI30K --vocabulary 6000
//! $ cargo run --release --example transformer_translate -- --data TATOEBA --columns 2,1
//! $ echo "Ein Hund läuft am Strand." | cargo run --release --example transformer_translate -- \
//!     --load out/transformer_translate/translator
//! ```
//!
//! Without `--data` it learns a small grammar of Portuguese and English in half a minute. A folder
//! holds `train`, `valid` (or `val`, `dev`) and `test` parts, or one set that is cut by its different
//! target sentences into 90, 5 and 5 %; each is two files `NAME.LANGUAGE`, a table (`.tsv`, or `.txt`
//! with tabs: `--columns`) or a `.jsonl`, packed or not. Where several may be a part, `--test-part
//! newstest2014` names it. Ctrl-C stops; with `--resume` the same command goes on exactly.

#![allow(clippy::print_stdout)]

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use common::flags::{ITEMS, folder, signed, within};
use common::translation::{PairFlags, Recipe, draw_training, examples, tuned};
use common::{Common, Metrics, Resume, Session, end_on_ctrl_c, program};
use model_utils::checkpoint::Checkpoints;
use model_utils::data::SentencePairs;
use model_utils::ops::learnable_parameters;
use model_utils::picture::Curves;
use model_utils::train::Budget;
use transformer::decoding::{Beam, Greedy};
use transformer::metrics::Bleu;
use transformer::text::{Overlong, TokenLimit};
use transformer::{Evaluation, Grammar, Model, Trainer, Translator, TranslatorConfig};

/// Train a translator, or use one
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    #[command(flatten)]
    pairs_from: PairFlags,
    /// Where no pairs are given, sentences of one clause only
    #[arg(long)]
    simple: bool,
    /// Where no pairs are given, how many are drawn to learn from
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = within(1..=ITEMS))]
    pairs: usize,
    #[command(flatten)]
    recipe: Recipe,
    /// Hypotheses that the beam keeps in the evaluation; 1 is greedy
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=1000_usize))]
    beam: usize,
    /// Measure chrF on the test part at every validation too, without influence on which weights are
    /// kept: how good was the choice?
    #[arg(long, conflicts_with_all = ["load", "ema"])]
    test_each: bool,
    /// Use the translator in this folder instead of training one
    #[arg(long, value_name = "DIR", value_parser = folder())]
    load: Option<PathBuf>,
}

fn main() -> ExitCode {
    program("transformer_translate", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let translator = match &args.load {
        Some(folder) => Translator::load(folder, &device)?,
        None => train(&args, &device, session)?,
    };
    end_on_ctrl_c()?;
    answer(&translator.with_overlong(Overlong::Truncate), args.beam)
}

fn train(
    args: &Args,
    device: &burn::tensor::Device,
    session: &Session,
) -> anyhow::Result<Translator> {
    let out = session.out();
    let config = args.recipe.config(args.pairs_from.data.is_some(), args.common.seed);
    config.check()?;
    session.stage("reading the pairs");
    let seed = args.common.seed;
    let grammar = if args.simple { Grammar::Simple } else { Grammar::Full };
    let splits = match args.pairs_from.open(seed)? {
        Some(splits) => splits,
        None => grammar.splits([args.pairs, 500, 1000], seed)?,
    };
    let (splits, gone) = splits.deduplicated();
    let counts = [&splits.train, &splits.valid, &splits.test].map(|part| part.pairs().len());
    println!(
        "data: {} training, {} validation and {} test pairs; {gone} training pairs repeat others",
        counts[0], counts[1], counts[2]
    );

    session.stage("training the tokenizer");
    let trainer = config.trainer(session.around(&splits), device)?;
    let tokenizers = trainer.tokenizers();
    let parameters = learnable_parameters(trainer.model());
    println!(
        "model: {parameters} parameters; {} source and {} target ids, {} target tokens a pass",
        tokenizers.source().vocabulary_size(),
        tokenizers.target().vocabulary_size(),
        trainer.epoch_tokens()
    );
    for (part, overlong) in ["training", "validation"].into_iter().zip(trainer.overlong()) {
        println!("{part} part: {overlong}");
    }
    session.stage("training");
    let every = args.recipe.checkpoint_every;
    // More `--steps` lengthen a run that has ended; the rate and the validations go by them.
    let checkpoints = ["training.schedule", "training.valid_every"]
        .into_iter()
        .fold(session.checkpoints("translator")?, Checkpoints::allow_change);
    let mut trainer = trainer.resume_in(checkpoints, every)?;
    let mut observer = (session.progress(), session.log(out.join("train.csv"))?);
    let mut tested = Vec::new();
    if args.test_each {
        let last = config.budget.steps.unwrap_or(u64::MAX);
        for step in (0..last).step_by(config.training.valid_every as usize).skip(1) {
            trainer.train(Budget::steps(step), &mut observer)?;
            tested.push((step, test(&trainer, &config, &splits.test, session)?));
        }
    }
    let trained = trainer.train(config.budget, &mut observer)?;
    observer.1.finish()?;
    session.check()?;
    if args.test_each {
        tested.push((trained.steps, test(&trainer, &config, &splits.test, session)?));
    }
    draw_training(trainer.history(), args.recipe.keep_by, out)?;

    let translator = Translator::from_trainer(trainer)?
        .with_overlong(Overlong::Truncate)
        .with_stop(session.stop());
    translator.save(out.join("translator"))?;
    session.stage("evaluation");
    let greedy = translator.evaluate(&splits.test, &Greedy)?;
    session.check()?;
    let mut metrics = Metrics::default();
    metrics.set("train_pairs", counts[0]);
    metrics.set("parameters", parameters);
    metrics.set("steps", trained.steps);
    metrics.set("epochs", trained.epochs);
    if let Some(best) = trained.best {
        metrics.set("best_step", best.step);
        metrics.set("valid_bleu", best.bleu);
        metrics.set(&format!("valid_{}", args.recipe.keep_by.key()), best.score);
        metrics.set("valid_perplexity", best.perplexity);
        metrics.set("valid_token_accuracy", best.token_accuracy);
    }
    if let Some(kept) = trained.best.filter(|_| args.test_each) {
        draw_choice(&tested, kept.step, greedy.chrf, out, &mut metrics)?;
    }
    let best = if args.beam > 1 {
        let beam = tuned(&translator, &splits.valid, args.beam, args.recipe.keep_by)?;
        translator.evaluate(&splits.test, &beam)?
    } else {
        greedy.clone()
    };
    let bleu = Bleu::new().with_tokenizer(args.recipe.words());
    let bleu = |found: &Evaluation| bleu.corpus(&found.translations, &found.references);
    metrics.set("greedy_bleu", bleu(&greedy)?.score);
    metrics.set("bleu", bleu(&best)?.score);
    metrics.set("chrf", best.chrf);
    metrics.set("ter", best.ter);
    metrics.set("exact_match", best.exact_match);
    metrics.set("test_perplexity", best.perplexity);
    metrics.set("train_target_tokens_per_s", trained.target_tokens_per_s);
    metrics.set("decode_target_tokens_per_s", greedy.target_tokens as f64 / greedy.decode_s);
    metrics.set("beam_target_tokens_per_s", best.target_tokens as f64 / best.decode_s);
    metrics.set("train_wall_s", trained.wall_s);
    session.check()?;
    println!("\n{}", bleu(&best)?);
    examples(&splits.test, &best.translations, 5);
    session.finish(&metrics)?;
    Ok(translator)
}

/// chrF on the test part of the weights as they are.
fn test(
    trainer: &Trainer<Model>,
    config: &TranslatorConfig,
    test: &SentencePairs,
    session: &Session,
) -> anyhow::Result<f64> {
    let step = trainer.steps();
    session.part(&format!("test-{step}"), || {
        let limit = TokenLimit::new(config.max_tokens, config.overlong);
        let (model, tokenizers) = (trainer.model().clone(), trainer.tokenizers().clone());
        let translator = Translator::new(model, tokenizers, limit)?;
        let found = translator.with_stop(session.stop()).evaluate(test, &Greedy)?;
        println!("step {step}: chrF {:.2} on the test part", found.chrf);
        Ok(found.chrf)
    })
}

/// What was kept beside all that could have been.
fn draw_choice(
    tested: &[(u64, f64)],
    kept: u64,
    chrf: f64,
    out: &Path,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    let points: Vec<_> = tested.iter().map(|&(step, chrf)| (step as f64, chrf)).collect();
    Curves::new("chrF on the test part, greedy")
        .x_label("step")
        .y_label("chrF")
        .measurements("", &points)
        .marker(kept as f64, "kept")
        .save(out.join("test_chrf.svg"))?;
    let most = points.iter().map(|(_, chrf)| *chrf).fold(chrf, f64::max);
    println!(
        "the weights that were kept: chrF {chrf:.2} on the test part; the best of all: {most:.2}"
    );
    metrics.set("greedy_chrf", chrf);
    metrics.set("greedy_chrf_of_best_checkpoint", most);
    Ok(())
}

/// Translates standard input line by line.
fn answer(translator: &Translator, beam: usize) -> anyhow::Result<()> {
    let input = std::io::stdin().lock();
    if input.is_terminal() {
        println!("\ntype a sentence a line (end with Ctrl-D):");
    }
    for line in input.lines() {
        let line = line.context("standard input")?;
        if line.trim().is_empty() {
            println!();
            continue;
        }
        if beam == 1 {
            // As it is found.
            for piece in translator.stream(&line)? {
                print!("{}", piece?);
                std::io::stdout().flush()?;
            }
            println!();
            continue;
        }
        for translation in translator.translate(&[line], &Beam::new(beam))? {
            println!("{translation}");
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
