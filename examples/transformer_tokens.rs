//! What a model sees of a text: its tokens with their ids, a line each, between start and end.
//!
//! ```console
//! $ cargo run --release --example transformer_tokens -- "O coelho comprou três maçãs."
//! $ cargo run --release --example transformer_tokens -- --tokenizer source.spm "Ein Hund 😺"
//! ```
//!
//! The tokenizer is one of a file (`tokenizer.json` or a `.model` of SentencePiece), that of a saved
//! translator, or one that is trained on sentence pairs; without a flag on a small grammar of
//! Portuguese and English, in a second.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use common::flags::{file, folder, signed, text, within};
use common::{Common, Metrics, Session, program};
use transformer::text::{SpecialNames, Subwords};
use transformer::{Grammar, Splits, Tokenizer, TokenizerConfig, Tokenizers, Translator};

/// Show the tokens of a text
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The text
    #[arg(value_name = "TEXT", value_parser = text, default_value = "O coelho 🐇 dorme na colina.")]
    text: String,
    /// A `tokenizer.json`, or a `.model` of SentencePiece
    #[arg(long, value_name = "FILE", value_parser = file(), conflicts_with_all = ["translator", "data"])]
    tokenizer: Option<PathBuf>,
    /// How the file names padding, start, end and unknown, with commas between
    /// [default: those of this project, or what a `.model` says]
    #[arg(long, value_name = "TEXT", value_parser = text, requires = "tokenizer")]
    special: Option<String>,
    /// A saved translator, whose tokenizer is shown
    #[arg(long, value_name = "DIR", value_parser = folder(), conflicts_with = "data")]
    translator: Option<PathBuf>,
    /// The tokenizer of translations, where a translator has two
    #[arg(long, requires = "translator")]
    target: bool,
    /// Sentence pairs to train one on [default: a grammar of Portuguese and English]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    data: Option<PathBuf>,
    /// `bpe`, `word_piece` or `unigram`, where one is trained
    #[arg(long, value_name = "NAME", default_value = "bpe")]
    subwords: Subwords,
    /// Ids, where one is trained [default: 1000 for the grammar, else 6000]
    #[arg(long, value_name = "N", value_parser = within(1..=100_000_usize))]
    vocabulary: Option<usize>,
}

fn main() -> ExitCode {
    program("transformer_tokens", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let tokenizer = if let Some(folder) = &args.translator {
        let translator = Translator::load(folder, &device)?;
        let both = translator.tokenizers();
        if args.target { both.target().clone() } else { both.source().clone() }
    } else if let Some(path) = &args.tokenizer {
        match args.special.as_deref().map(names).transpose()? {
            Some(names) => Tokenizer::load_named(path, names)?,
            None => Tokenizer::load(path)?,
        }
    } else {
        train(&args, session)?
    };

    let special = tokenizer.special();
    let mut ids = vec![special.bos];
    ids.extend(tokenizer.encode(&args.text)?);
    ids.push(special.eos);
    println!();
    for (id, token) in ids.iter().zip(tokenizer.tokens(&ids)) {
        println!("{id} ----> {token}");
    }
    println!("\n{}", tokenizer.decode(&ids)?);

    let mut metrics = Metrics::default();
    metrics.set("vocabulary", tokenizer.vocabulary_size());
    metrics.set("tokens", ids.len());
    metrics.set("unknown_tokens", ids.iter().filter(|&&id| id == special.unk).count());
    metrics.set("characters", args.text.chars().count());
    session.finish(&metrics)
}

fn train(args: &Args, session: &Session) -> anyhow::Result<Tokenizer> {
    let seed = args.common.seed;
    let usual = if args.data.is_some() { 6000 } else { 1000 };
    let config = TokenizerConfig::new()
        .with_subwords(args.subwords)
        .with_vocabulary(args.vocabulary.unwrap_or(usual));
    config.check()?;
    session.stage("reading the pairs");
    let splits = match &args.data {
        Some(folder) => Splits::open(folder, None, seed)?,
        None => Grammar::Full.splits([5000, 10, 10], seed)?,
    };
    session.stage("training the tokenizer");
    let both = Tokenizers::train_shared(&config, session.around(&splits.train))?;
    Ok(both.source().clone())
}

/// The four names.
fn names(told: &str) -> anyhow::Result<SpecialNames> {
    let names: Vec<&str> = told.split(',').map(str::trim).collect();
    let [pad, bos, eos, unk] = names[..] else {
        bail!(
            "--special {told:?}: {} names, expected 4: padding, start, end, unknown",
            names.len()
        );
    };
    let [pad, bos, eos, unk] = [pad, bos, eos, unk].map(str::to_owned);
    Ok(SpecialNames { pad, bos, eos, unk })
}
