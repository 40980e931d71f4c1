//! Sequence-to-sequence, the same with attention, and the Transformer: as many parameters, the same
//! pairs, tokenizer, loss, search and measure. How good is each on short and on long sentences?
//!
//! ```console
//! $ cargo run --release --example transformer_compare
//! $ cargo run --release --example transformer_compare -- --texts --minutes 15
//! $ cargo run --release --example transformer_compare -- --data MULTI30K --minutes 60
//! ```
//!
//! Without `--data` the pairs are of a grammar of Portuguese and English: sentences, or with `--texts`
//! texts of 5 to 60 words, in which it shows what length does to each model.
//!
//! With `--minutes` each trains for that long: its steps are timed first, so that its learning rate
//! is down when the time is. Without, each makes the same steps. After Ctrl-C the same command with
//! `--resume` goes on exactly.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use burn::tensor::Device;
use clap::Parser;
use common::flags::{ITEMS, RATE, TIME_S, positive, signed, within};
use common::translation::{PairFlags, Recipe, examples, tuned};
use common::{Common, Metrics, Resume, Session, program};
use model_utils::data::{SentencePair, SentencePairs};
use model_utils::ops::learnable_parameters;
use model_utils::picture::Curves;
use model_utils::train::{Budget, History};
use serde::{Deserialize, Serialize};
use transformer::decoding::Greedy;
use transformer::metrics::{Bleu, MetricName, bootstrap_interval, paired_bootstrap};
use transformer::recurrent::{AttentionKind, Cell};
use transformer::{
    Evaluation, Grammar, LengthPenalty, ModelConfig, RecurrentConfig, Schedule, Splits, Tokenizers,
    Translator, TranslatorConfig,
};

/// Compare translation models by the length of sentences
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    #[command(flatten)]
    pairs: PairFlags,
    /// Where no pairs are given, texts of one sentence to many instead of sentences
    #[arg(long, conflicts_with = "data")]
    texts: bool,
    #[command(flatten)]
    recipe: Recipe,
    /// Only these models
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', value_parser = KEYS)]
    only: Vec<String>,
    /// How long each model trains, instead of a number of steps: how many that are depends on the
    /// processor
    #[arg(long, value_name = "MIN", value_parser = positive(TIME_S))]
    minutes: Option<f64>,
    /// `gru` or `lstm`
    #[arg(long, value_name = "NAME", default_value = "gru", value_parser = cell)]
    cell: Cell,
    /// The attention of the recurrent model: `bahdanau` or `luong`
    #[arg(long, value_name = "NAME", default_value = "bahdanau", value_parser = attention)]
    attention: AttentionKind,
    /// The highest learning rate of the recurrent models
    #[arg(long, value_name = "RATE", default_value_t = 2e-3, value_parser = positive(RATE))]
    recurrent_learning_rate: f64,
    /// Hypotheses that the beam keeps; 1 is greedy
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=1000_usize))]
    beam: usize,
    /// Resamples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = within(2..=ITEMS))]
    resamples: usize,
}

fn cell(name: &str) -> Result<Cell, String> {
    match name {
        "gru" => Ok(Cell::Gru),
        "lstm" => Ok(Cell::Lstm),
        _ => Err("expected gru or lstm".to_owned()),
    }
}

fn attention(name: &str) -> Result<AttentionKind, String> {
    match name {
        "bahdanau" => Ok(AttentionKind::Bahdanau),
        "luong" => Ok(AttentionKind::Luong),
        _ => Err("expected bahdanau or luong".to_owned()),
    }
}

/// A trained model and its translations of the test part.
struct System {
    name: &'static str,
    key: &'static str,
    translations: Vec<String>,
    history: History,
}

impl System {
    /// The same in all pictures, whichever models are in them.
    fn color(&self) -> usize {
        KEYS.iter().position(|key| *key == self.key).unwrap_or_default()
    }
}

/// What a model came to on the test part.
#[derive(Serialize, Deserialize)]
struct Judged {
    translations: Vec<String>,
    metrics: Metrics,
}

/// How a finished training went.
#[derive(Clone, Serialize, Deserialize)]
struct Run {
    history: History,
    steps: u64,
    wall_s: f64,
    target_tokens_per_s: f64,
    parameters: usize,
}

/// What the models are called on the command line and in metrics.json.
const KEYS: [&str; 3] = ["seq2seq", "attention", "transformer"];

/// Groups of test sentences of like length.
const GROUPS: usize = 5;

fn main() -> ExitCode {
    program("transformer_compare", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    let seed = args.common.seed;
    let config = args.recipe.config(args.pairs.data.is_some(), seed);
    config.check()?;
    let splits = match args.pairs.open(seed)? {
        Some(splits) => splits,
        None if args.texts => Grammar::Text.splits([60_000, 200, 1000], seed)?,
        None => Grammar::Full.splits([12_000, 200, 1000], seed)?,
    };
    let (splits, _) = splits.deduplicated();
    let tokenizers = config.tokenizers(session.around(&splits))?;

    let mut metrics = Metrics::default();
    let mut systems = Vec::new();
    for (name, key, model) in models(&args, session, &config, &tokenizers, &device)? {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == key) {
            continue;
        }
        let learning_rate = match model {
            ModelConfig::Recurrent(_) => Some(args.recurrent_learning_rate),
            ModelConfig::Transformer(_) => None,
        };
        let config = TranslatorConfig { model, ..config.clone() };
        let setting =
            Setting { session, splits: &splits, tokenizers: &tokenizers, device: &device };
        println!("\n{name}");
        let folder = out.join(key);
        let run: Run = session.part(&format!("{key}-run"), || {
            let config = timed(config, key, &setting, args.minutes, learning_rate)?;
            train(&config, key, &setting, args.recipe.checkpoint_every, &folder)
        })?;
        println!("{} parameters, {} steps", run.parameters, run.steps);
        session.stage(format!("evaluation of {key}"));
        let translator = Translator::load(&folder, &device)?.with_stop(session.stop());
        let judged = session
            .part(&format!("{key}-judged"), || judge(key, &translator, &run, &setting, &args))?;
        examples(&splits.test, &judged.translations, 2);
        metrics.add(judged.metrics);
        session.keep(&metrics);
        let translations = judged.translations;
        systems.push(System { name, key, translations, history: run.history });
    }

    // As the models get text.
    let reference = |pair: &SentencePair| tokenizers.target().normalize(&pair.target);
    let references: Vec<String> =
        splits.test.pairs().iter().map(reference).collect::<Result<_, _>>()?;
    session.check()?;
    by_length(&systems, &splits.test, &references, &args, out, &mut metrics)?;
    draw_learning(&systems, &args.recipe, out)?;
    if let [.., before, last] = systems.as_slice() {
        let (a, b) = (&last.translations, &before.translations);
        let bleu = MetricName::Bleu(args.recipe.words());
        let compared = paired_bootstrap(&bleu, a, b, &references, args.resamples, seed)?;
        println!("\n{} less {}: {} BLEU", last.name, before.name, compared.difference);
        metrics.set("difference_bleu", compared.difference.estimate);
        metrics.set("difference_bleu_low", compared.difference.low);
        metrics.set("difference_bleu_high", compared.difference.high);
    }
    session.finish(&metrics)
}

/// The three models; the recurrent ones are as wide as makes them as large as the Transformer.
fn models(
    args: &Args,
    session: &Session,
    config: &TranslatorConfig,
    tokenizers: &Tokenizers,
    device: &Device,
) -> anyhow::Result<[(&'static str, &'static str, ModelConfig); 3]> {
    let sizes = [tokenizers.source().vocabulary_size(), tokenizers.target().vocabulary_size()];
    let count = |model: &ModelConfig| -> anyhow::Result<usize> {
        let model = model.clone().with_vocabularies(sizes[0], sizes[1]);
        Ok(learnable_parameters(&model.init(device)?))
    };
    let wanted = count(&config.model)?;
    let ModelConfig::Transformer(transformer) = &config.model else {
        anyhow::bail!("the recipe is of a Transformer")
    };
    let matched = |attention: AttentionKind| -> anyhow::Result<ModelConfig> {
        let mut best: Option<(usize, ModelConfig)> = None;
        for d_hidden in (16..=1024).step_by(8) {
            session.check()?;
            let model = ModelConfig::Recurrent(
                RecurrentConfig::new(0, 0)
                    .with_d_embedding(transformer.d_model)
                    .with_d_hidden(d_hidden)
                    .with_cell(args.cell)
                    .with_attention(attention)
                    .with_dropout(transformer.dropout)
                    .with_shared(tokenizers.is_shared()),
            );
            let off = count(&model)?.abs_diff(wanted);
            if best.as_ref().is_none_or(|(least, _)| off < *least) {
                best = Some((off, model));
            }
        }
        best.map(|(_, model)| model).ok_or_else(|| anyhow::anyhow!("no width fits"))
    };
    Ok([
        ("seq2seq", KEYS[0], matched(AttentionKind::None)?),
        ("seq2seq with attention", KEYS[1], matched(args.attention)?),
        ("Transformer", KEYS[2], config.model.clone()),
    ])
}

/// What all models share.
struct Setting<'a> {
    session: &'a Session,
    splits: &'a Splits,
    tokenizers: &'a Tokenizers,
    device: &'a Device,
}

/// The configuration with as many steps as the time holds, and its learning rate.
fn timed(
    mut config: TranslatorConfig,
    key: &str,
    setting: &Setting<'_>,
    minutes: Option<f64>,
    learning_rate: Option<f64>,
) -> anyhow::Result<TranslatorConfig> {
    let Schedule::Linear { mut rate, mut warm_up, mut steps } = config.training.schedule else {
        anyhow::bail!("the recipe has a linear schedule")
    };
    rate = learning_rate.unwrap_or(rate);
    if let Some(minutes) = minutes {
        const PROBE: u64 = 20;
        setting.session.stage(format!("timing {key}"));
        let step_s: f64 = setting.session.part(&format!("{key}-step_s"), || {
            let mut probe = config.clone();
            probe.training.valid_sentences = 1;
            let tokenizers = setting.tokenizers.clone();
            let splits = setting.session.around(setting.splits);
            let mut trainer = probe.trainer_with(tokenizers, splits, setting.device)?;
            let mut progress = setting.session;
            let before = trainer.train(Budget::steps(PROBE / 4), &mut progress)?;
            let after = trainer.train(Budget::steps(PROBE + PROBE / 4), &mut progress)?;
            Ok((after.steps_s - before.steps_s) / PROBE as f64)
        })?;
        // A twentieth for validations.
        steps = ((0.95 * 60.0 * minutes / step_s) as u64).max(2);
        warm_up = (steps / 10).min(400);
        config.training.valid_every = (steps / 10).max(1);
        config.budget = Budget::steps(steps).or_time(Duration::from_secs_f64(60.0 * minutes));
    }
    config.training.schedule = Schedule::Linear { rate, warm_up, steps };
    Ok(config)
}

/// Trains a model to its end and saves it.
fn train(
    config: &TranslatorConfig,
    key: &str,
    setting: &Setting<'_>,
    checkpoint_every: u64,
    folder: &Path,
) -> anyhow::Result<Run> {
    let session = setting.session;
    session.stage(format!("training {key}"));
    let tokenizers = setting.tokenizers.clone();
    let trainer =
        config.trainer_with(tokenizers, session.around(setting.splits), setting.device)?;
    let mut trainer = trainer.resume_in(session.checkpoints(key)?, checkpoint_every)?;
    let parameters = learnable_parameters(trainer.model());
    let log = session.log(session.out().join(format!("{key}.csv")))?;
    let mut observer = (session.progress(), log);
    let trained = trainer.train(config.budget, &mut observer)?;
    observer.1.finish()?;
    session.check()?;
    let history = trainer.history().clone();
    Translator::from_trainer(trainer)?.save(folder)?;
    let (steps, wall_s) = (trained.steps, trained.wall_s);
    let target_tokens_per_s = trained.target_tokens_per_s;
    Ok(Run { history, steps, wall_s, target_tokens_per_s, parameters })
}

/// Translates the test part and scores it.
fn judge(
    key: &str,
    translator: &Translator,
    run: &Run,
    setting: &Setting<'_>,
    args: &Args,
) -> anyhow::Result<Judged> {
    let mut metrics = Metrics::default();
    let splits = setting.splits;
    let greedy = translator.evaluate(&splits.test, &Greedy)?;
    setting.session.check()?;
    let found = if args.beam > 1 {
        let beam = tuned(translator, &splits.valid, args.beam, args.recipe.keep_by)?;
        if let LengthPenalty::Wu(alpha) = beam.length_penalty {
            metrics.set(&format!("{key}_length_penalty"), alpha);
        }
        translator.evaluate(&splits.test, &beam)?
    } else {
        greedy.clone()
    };
    let bleu = Bleu::new().with_tokenizer(args.recipe.words());
    let bleu = |found: &Evaluation| bleu.corpus(&found.translations, &found.references);
    let score = bleu(&found)?;
    println!("{score}");
    let greedy_bleu = bleu(&greedy)?.score;
    let mut set = |what: &str, value: f64| metrics.set(&format!("{key}_{what}"), value);
    set("bleu", score.score);
    set("greedy_bleu", greedy_bleu);
    set("exact_match", found.exact_match);
    set("test_perplexity", found.perplexity);
    set("train_target_tokens_per_s", run.target_tokens_per_s);
    set("decode_target_tokens_per_s", greedy.target_tokens as f64 / greedy.decode_s);
    set("train_wall_s", run.wall_s);
    metrics.set(&format!("{key}_steps"), run.steps);
    metrics.set(&format!("{key}_parameters"), run.parameters);
    Ok(Judged { translations: found.translations, metrics })
}

/// BLEU of five groups of test sentences, from the shortest to the longest, and where it lies for other
/// sentences as long.
fn by_length(
    systems: &[System],
    test: &SentencePairs,
    references: &[String],
    args: &Args,
    out: &Path,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    let words: Vec<usize> =
        test.pairs().iter().map(|pair| pair.source.split_whitespace().count()).collect();
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|&at| (words[at], at));
    // Sentences of one length stay together.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in order {
        let full = words.len().div_ceil(GROUPS);
        match groups.last_mut() {
            Some(group)
                if group.len() < full || group.last().is_some_and(|&l| words[l] == words[at]) =>
            {
                group.push(at);
            }
            _ => groups.push(vec![at]),
        }
    }
    let mut curves = Curves::new("BLEU by the length of the source, 95 % of resamples")
        .x_label("words of the source, mean of the group")
        .y_label("BLEU");
    let bleu = MetricName::Bleu(args.recipe.words());
    println!();
    for system in systems {
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for group in &groups {
            let pick = |of: &dyn Fn(usize) -> String| group.iter().map(|&at| of(at)).collect();
            let found: Vec<String> = pick(&|at| system.translations[at].clone());
            let wanted: Vec<String> = pick(&|at| references[at].clone());
            let seed = args.common.seed;
            let sure = bootstrap_interval(&bleu, &found, &wanted, args.resamples, seed)?;
            let sum: usize = group.iter().map(|&at| words[at]).sum();
            let (low, high) = (words[group[0]], words[group[group.len() - 1]]);
            let mean = sum as f64 / group.len() as f64;
            points.push((mean, sure.estimate));
            band.push((mean, sure.low, sure.high));
            let mut set = |what: &str, value: f64| {
                metrics.set(&format!("{}_bleu_{low}_to_{high}_words{what}", system.key), value);
            };
            set("", sure.estimate);
            set("_low", sure.low);
            set("_high", sure.high);
        }
        curves = curves.color(system.color()).measurements(system.name, &points).band("", &band);
    }
    Ok(curves.save(out.join("bleu_by_length.svg"))?)
}

/// BLEU on the validation part over time.
fn draw_learning(systems: &[System], recipe: &Recipe, out: &Path) -> anyhow::Result<()> {
    let name = format!("valid_{}", MetricName::Bleu(recipe.words()).key());
    let mut curves =
        Curves::new("BLEU on the validation part, greedy").x_label("time, s").y_label("BLEU");
    for system in systems {
        let points = |name: &str| system.history.curve(name).map(|curve| curve.points.clone());
        let (Some(bleu), Some(time)) = (points(&name), points("wall_s")) else { continue };
        let line: Vec<(f64, f64)> =
            time.iter().zip(&bleu).map(|((_, time), (_, bleu))| (*time, *bleu)).collect();
        curves = curves.color(system.color()).measurements(system.name, &line);
    }
    curves.save(out.join("bleu_by_time.svg"))?;
    Ok(())
}
