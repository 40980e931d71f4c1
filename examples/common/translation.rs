//! Training translators and showing what they do.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model_utils::data::{Columns, SentencePairs};
use model_utils::picture::{Curves, HeatMap};
use model_utils::train::{Budget, History};
use transformer::decoding::{Beam, Greedy};
use transformer::metrics::{BleuTokenizer, Metric as _, MetricName};
use transformer::text::{Filter, LengthUnit, Overlong, Side, Splits, SplitsConfig, Subwords};
use transformer::{
    KeepBy, LengthPenalty, ModelConfig, Positions, Schedule, TokenizerConfig, TrainingConfig,
    TransformerConfig, Translator, TranslatorConfig, Tying,
};

use super::flags::{ITEMS, RATE, STEPS, UNITS, below_one, folder, positive, text, within};

/// The flags of what is learnt from.
#[derive(Debug, Clone, clap::Args)]
pub struct PairFlags {
    /// Sentence pairs [default: a grammar of Portuguese and English]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub data: Option<PathBuf>,
    /// The language to translate from, as files, columns or keys are called [default: the one that
    /// is not English]
    #[arg(long, value_name = "LANGUAGE", requires = "to", value_parser = text)]
    pub from: Option<String>,
    /// The language to translate to
    #[arg(long, value_name = "LANGUAGE", requires = "from", value_parser = text)]
    pub to: Option<String>,
    /// The columns of a table that are source and target, by number from 1 or by name
    #[arg(long, value_name = "SOURCE,TARGET", requires = "data")]
    pub columns: Option<Columns>,
    /// The training part, where several may be it
    #[arg(long, value_name = "NAME", requires = "data", value_parser = text)]
    pub train_part: Option<String>,
    /// The validation part, where several may be it
    #[arg(long, value_name = "NAME", requires = "data", value_parser = text)]
    pub valid_part: Option<String>,
    /// The test part, where several may be it
    #[arg(long, value_name = "NAME", requires = "data", value_parser = text)]
    pub test_part: Option<String>,
    /// Where one set is cut into three parts: the side, `source` or `target`, of which no sentence is to
    /// stand in two of them
    #[arg(long, value_name = "NAME", default_value = "target", value_parser = side)]
    pub unique_by: Side,
    /// Count `--min-length`, `--max-length` and `--max-ratio` in characters instead of words: for
    /// languages that put no space between words
    #[arg(long, requires = "data")]
    pub in_characters: bool,
    /// Leave out training pairs of which a side is shorter
    #[arg(long, value_name = "N", requires = "data", value_parser = within(1..=ITEMS))]
    pub min_length: Option<usize>,
    /// Leave out training pairs of which a side is longer
    #[arg(long, value_name = "N", requires = "data", value_parser = within(1..=ITEMS))]
    pub max_length: Option<usize>,
    /// Leave out training pairs of which one side is more than so many times as long as the other
    #[arg(long, value_name = "N", requires = "data", value_parser = within(1.0..=1000.0_f64))]
    pub max_ratio: Option<f64>,
    /// Leave out training pairs of which a side has a smaller share of letters
    #[arg(long, value_name = "SHARE", requires = "data", value_parser = positive(1.0))]
    pub min_letters: Option<f64>,
}

fn side(name: &str) -> Result<Side, String> {
    match name {
        "source" => Ok(Side::Source),
        "target" => Ok(Side::Target),
        _ => Err("expected source or target".to_owned()),
    }
}

impl PairFlags {
    /// The pairs of the folder, if one is given; what was dropped is printed.
    pub fn open(&self, seed: u64) -> anyhow::Result<Option<Splits>> {
        let Some(folder) = &self.data else { return Ok(None) };
        let direction = self.from.clone().zip(self.to.clone()).map(|(from, to)| [from, to]);
        let config = SplitsConfig::new()
            .with_direction(direction)
            .with_columns(self.columns.clone().unwrap_or_default())
            .with_train(self.train_part.clone())
            .with_valid(self.valid_part.clone())
            .with_test(self.test_part.clone())
            .with_unique(self.unique_by)
            .with_seed(seed);
        let mut splits = Splits::open_with(folder, &config)?;
        splits.train = self.filter().apply(splits.train)?;
        for report in splits.reports().iter().filter(|report| report.dropped() > 0) {
            println!("{report}");
        }
        Ok(Some(splits))
    }

    fn filter(&self) -> Filter {
        let unit = if self.in_characters { LengthUnit::Characters } else { LengthUnit::Words };
        Filter::new()
            .with_unit(unit)
            .with_min_length(self.min_length.unwrap_or_default())
            .with_max_length(self.max_length)
            .with_max_ratio(self.max_ratio)
            .with_min_letters(self.min_letters.unwrap_or_default())
    }
}

/// The flags of a training.
#[derive(Debug, Clone, clap::Args)]
pub struct Recipe {
    /// `bpe`, `word_piece` or `unigram`
    #[arg(long, value_name = "NAME", default_value = "bpe")]
    pub subwords: Subwords,
    /// Ids of the tokenizer, for both sides together [default: 1000 for the grammar, else 6000]
    #[arg(long, value_name = "N", value_parser = within(1..=100_000_usize))]
    pub vocabulary: Option<usize>,
    /// A tokenizer a side, each with that many ids
    #[arg(long)]
    pub separate: bool,
    /// Small letters only
    #[arg(long)]
    pub lowercase: bool,
    /// The most tokens of a sentence; longer ones are cut off
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = within(2..=10_000_usize))]
    pub max_tokens: usize,
    /// Width of the vectors between the layers [default: 64 for the grammar, else 256]
    #[arg(long, value_name = "N", value_parser = within(2..=4096_usize))]
    pub d_model: Option<usize>,
    /// Heads of each attention
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=256_usize))]
    pub heads: usize,
    /// Layers of either side [default: 2 for the grammar, else 3]
    #[arg(long, value_name = "N", value_parser = within(1..=64_usize))]
    pub layers: Option<usize>,
    /// Width inside the feed-forward layers [default: twice the width]
    #[arg(long, value_name = "N", value_parser = within(1..=UNITS))]
    pub d_ff: Option<usize>,
    /// `sinusoidal`, `sinusoidal_halves`, `learned` or `rotary`
    #[arg(long, value_name = "NAME", default_value = "sinusoidal")]
    pub positions: Positions,
    /// Dropout [default: 0 for the grammar, else 0.2]
    #[arg(long, value_name = "SHARE", value_parser = below_one())]
    pub dropout: Option<f64>,
    /// Let target tokens see those that they are to predict, for the ablation
    #[arg(long)]
    pub without_causal_mask: bool,
    /// Optimiser steps [default: 1500 for the grammar, else 5000]
    #[arg(long, value_name = "N", value_parser = within(1..=STEPS))]
    pub steps: Option<u64>,
    /// The most tokens a side and step [default: 500 for the grammar, else 2000]
    #[arg(long, value_name = "N", value_parser = within(1..=ITEMS))]
    pub batch_tokens: Option<usize>,
    /// Batches whose gradients make one step
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=10_000_usize))]
    pub accumulate: usize,
    /// The highest learning rate; it rises over the warm-up and falls in a straight line
    /// [default: 0.005 for the grammar, else 0.002]
    #[arg(long, value_name = "RATE", value_parser = positive(RATE))]
    pub learning_rate: Option<f64>,
    /// Steps over which the learning rate rises [default: a tenth of all, at most 400]
    #[arg(long, value_name = "N", value_parser = within(0..=STEPS))]
    pub warm_up: Option<u64>,
    /// Label smoothing
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = below_one())]
    pub label_smoothing: f64,
    /// Share that stays at each step in the average of the weights
    #[arg(long, value_name = "SHARE", value_parser = below_one())]
    pub ema: Option<f64>,
    /// Steps between two validations [default: a tenth of all]
    #[arg(long, value_name = "N", value_parser = within(1..=STEPS))]
    pub valid_every: Option<u64>,
    /// By what weights are kept and the beam's length penalty is chosen: `bleu` and BLEU of other words
    /// (`bleu:char`, `bleu:zh`, `bleu:intl`, `bleu:none`), `chrf`, `chrf++`, `ter` or `loss`; BLEU is
    /// told of the words that are named here
    #[arg(long, value_name = "METRIC", default_value_t)]
    pub keep_by: KeepBy,
    /// Validations without a better one before the run ends
    #[arg(long, value_name = "N", value_parser = within(1..=10_000_usize))]
    pub patience: Option<usize>,
    /// Steps between two checkpoints
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = within(1..=STEPS))]
    pub checkpoint_every: u64,
}

impl Recipe {
    /// The configuration; the defaults are others where the pairs are real ones.
    pub fn config(&self, real: bool, seed: u64) -> TranslatorConfig {
        let or = |small: usize, large: usize| if real { large } else { small };
        let d_model = self.d_model.unwrap_or(or(64, 256));
        let layers = self.layers.unwrap_or(or(2, 3));
        let model = TransformerConfig::new(0, 0)
            .with_d_model(d_model)
            .with_heads(self.heads)
            .with_encoder_layers(layers)
            .with_decoder_layers(layers)
            .with_d_ff(self.d_ff.unwrap_or(2 * d_model))
            .with_positions(self.positions)
            .with_causal(!self.without_causal_mask)
            .with_dropout(self.dropout.unwrap_or(if real { 0.2 } else { 0.0 }))
            .with_tying(if self.separate { Tying::Output } else { Tying::All });
        let steps = self.steps.unwrap_or(if real { 5000 } else { 1500 });
        let schedule = Schedule::Linear {
            rate: self.learning_rate.unwrap_or(if real { 2e-3 } else { 5e-3 }),
            warm_up: self.warm_up.unwrap_or((steps / 10).min(400)),
            steps,
        };
        let training = TrainingConfig::new()
            .with_batch_tokens(self.batch_tokens.unwrap_or(or(500, 2000)))
            .with_accumulate(self.accumulate)
            .with_schedule(schedule)
            .with_label_smoothing(self.label_smoothing)
            .with_ema_decay(self.ema)
            .with_valid_every(self.valid_every.unwrap_or((steps / 10).max(1)))
            .with_keep_by(self.keep_by)
            .with_patience(self.patience)
            .with_seed(seed);
        let tokenizer = TokenizerConfig::new()
            .with_subwords(self.subwords)
            .with_vocabulary(self.vocabulary.unwrap_or(or(1000, 6000)))
            .with_lowercase(self.lowercase);
        TranslatorConfig::new(ModelConfig::Transformer(model))
            .with_budget(Budget::steps(steps))
            .with_tokenizer(tokenizer)
            .with_shared(!self.separate)
            .with_max_tokens(self.max_tokens)
            .with_overlong(Overlong::Truncate)
            .with_training(training)
    }

    /// The words that BLEU is told of.
    pub fn words(&self) -> BleuTokenizer {
        match self.keep_by {
            KeepBy::Metric(MetricName::Bleu(words)) => words,
            _ => BleuTokenizer::default(),
        }
    }
}

/// Loss and perplexity over the steps, BLEU, and what weights are kept by.
pub fn draw_training(history: &History, keep_by: KeepBy, out: &Path) -> anyhow::Result<()> {
    let curve = |name: &str, width: usize| {
        history.curve(name).map(|curve| curve.smoothed(width)).unwrap_or_default()
    };
    let losses = history.curve("train_loss").map_or(1, |curve| curve.points.len().div_ceil(200));
    if !curve("train_loss", losses).is_empty() {
        let perplexity: Vec<(f64, f64)> = curve("valid_perplexity", 1)
            .into_iter()
            .map(|(step, perplexity)| (step, perplexity.ln()))
            .collect();
        Curves::new("Loss of a token")
            .x_label("step")
            .y_label("nats")
            .line("training, with label smoothing", &curve("train_loss", losses))
            .measurements("validation, without", &perplexity)
            .save(out.join("loss.svg"))?;
    }
    let drawn = |key: &str, name: &str| -> anyhow::Result<()> {
        let points = curve(&format!("valid_{key}"), 1);
        if !points.is_empty() {
            Curves::new(format!("{name} on the validation part, greedy"))
                .x_label("step")
                .y_label(name)
                .measurements("", &points)
                .save(out.join(format!("{key}.svg")))?;
        }
        Ok(())
    };
    drawn("bleu", "BLEU")?;
    // The perplexity stands beside the loss.
    if let Some(metric) = keep_by.metric() {
        drawn(&metric.key(), metric.name())?;
    }
    Ok(())
}

/// The beam with the length penalty that is best on the validation part by what weights are kept by
/// (chrF, where that is the loss), `((5 + length) / 6)^α` with an α from 0 to 2: what makes sentences
/// long enough depends on how sure the model is.
pub fn tuned(
    translator: &Translator,
    valid: &SentencePairs,
    size: usize,
    keep_by: KeepBy,
) -> anyhow::Result<Beam> {
    let penalties = [0.6, 0.0, 0.3, 1.0, 1.5, 2.0].map(LengthPenalty::Wu);
    let metric = keep_by.metric().unwrap_or(MetricName::Chrf);
    Ok(translator.tune(valid, &Beam::new(size), &penalties, &metric)?)
}

/// Prints some sentences, their translations and the references, spread over the set, and gives them
/// back.
pub fn examples(pairs: &SentencePairs, translations: &[String], count: usize) -> Vec<[String; 3]> {
    let every = (pairs.pairs().len() / count.max(1)).max(1);
    let spread = pairs.pairs().iter().zip(translations).step_by(every).take(count);
    spread
        .map(|(pair, translation)| {
            println!(
                "\n  source       {}\n  translation  {translation}\n  reference    {}",
                pair.source, pair.target
            );
            [pair.source.clone(), translation.clone(), pair.target.clone()]
        })
        .collect()
}

/// Where a translator looks while it writes: rows are the tokens it writes, columns those it reads.
pub fn draw_attention(translator: &Translator, source: &str, path: &Path) -> anyhow::Result<()> {
    let limits = translator.limits().with_attention(true);
    let found = translator.n_best(&[source], &Greedy, &limits)?;
    let best = found.into_iter().flatten().next().context("there is no translation")?;
    let attention = best.hypothesis.attention.context("the model has no attention")?;
    let rows: Vec<Vec<f64>> =
        attention.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    let mut written = best.tokens;
    written.resize(rows.len(), "<eos>".to_owned());
    HeatMap::new(best.text, &rows)?
        .x_label("read")
        .y_label("written")
        .row_labels(&written)
        .column_labels(&best.source_tokens)
        .range(0.0, 1.0)
        .decimals(2)
        .save(path)?;
    Ok(())
}
