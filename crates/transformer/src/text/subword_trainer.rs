//! From sentences to a tokenizer of the crate `tokenizers`.

use std::collections::{BTreeMap, BTreeSet};

use model_utils::config;
use model_utils::train::Asks;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainerBuilder};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFC, NFKC, NormalizerWrapper, Sequence, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, ModelWrapper, NormalizedString, Normalizer as _, OffsetReferential, OffsetType,
    PostProcessorWrapper, PreTokenizedString, PreTokenizer as _, SplitDelimiterBehavior,
};

use super::special::SpecialNames;
use super::tokenizer_config::{Normalization, Subwords, TokenizerConfig, byte_token};
use super::unigram_trainer;
use crate::error::{Error, Result};

/// The mark of a space.
const MARK: char = '▁';
/// The most characters that `WordPiece` looks at together: it tries all ways to end a piece.
const WORD: usize = 100;

/// What a part of the training says.
fn in_training(error: impl std::fmt::Display) -> Error {
    Error::tokenizer("in training", error)
}

/// Trains on sentences; see [`Tokenizer::train`](super::Tokenizer::train).
pub(super) fn train<T: AsRef<str>>(
    config: &TokenizerConfig,
    names: &SpecialNames,
    sentences: impl IntoIterator<Item = T>,
    stop: &impl Asks,
) -> Result<tokenizers::Tokenizer> {
    const WORK: &str = "training of the tokenizer";
    config.check()?;
    let listen = |at: usize| stop.check(WORK, format_args!("sentence {at}"));
    let sentences: Vec<String> = sentences
        .into_iter()
        .enumerate()
        .map(|(at, sentence)| listen(at).map(|()| sentence.as_ref().to_owned()))
        .collect::<Result<_, _>>()?;
    if sentences.iter().all(|sentence| sentence.trim().is_empty()) {
        return Err(Error::tokenizer("in training", "there is no sentence to learn from"));
    }
    let trainer = SubwordTrainer::new(config, names)?;
    let words = trainer.words(&sentences, listen)?;
    let letters = trainer.letters(&words)?;
    let model = match config.subwords {
        Subwords::Unigram => trainer.unigram(&words, &letters, |round| {
            stop.check(WORK, format_args!("round {}", round + 1))
        })?,
        Subwords::Bpe | Subwords::WordPiece => {
            let mut learning = trainer.assemble(trainer.untrained()?, &letters)?;
            learning.with_pre_tokenizer(Some(trainer.learned_from(Some(&letters))?));
            learning
                .train(&mut trainer.of_merges(&letters), sentences.into_iter())
                .map_err(in_training)?;
            learning.get_model().clone()
        }
    };
    stop.check(WORK, "its end")?;
    let mut inner = trainer.assemble(model, &letters)?;
    inner.add_special_tokens(&added(names.all()));
    let symbols = trainer.symbols.iter().map(|name| AddedToken::from(name.as_str(), false));
    inner.add_tokens(&symbols.collect::<Vec<_>>());
    Ok(inner)
}

/// Special tokens.
fn added<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<AddedToken> {
    names.into_iter().map(|name| AddedToken::from(name, true)).collect()
}

/// A pattern for any of these characters.
fn class(letters: &BTreeSet<char>) -> String {
    let code = |&letter: &char| format!(r"\x{{{:X}}}", u32::from(letter));
    letters.iter().map(code).collect::<Vec<_>>().concat()
}

struct SubwordTrainer<'a> {
    config: &'a TokenizerConfig,
    names: &'a SpecialNames,
    normalizer: NormalizerWrapper,
    /// The user's symbols as they are once normalised.
    symbols: Vec<String>,
}

impl<'a> SubwordTrainer<'a> {
    fn new(config: &'a TokenizerConfig, names: &'a SpecialNames) -> Result<Self> {
        let form: Option<NormalizerWrapper> = match config.normalization {
            Normalization::None => None,
            Normalization::Nfc => Some(NFC.into()),
            Normalization::Nfkc => Some(NFKC.into()),
        };
        let letters = config.lowercase.then(|| Lowercase.into());
        // What becomes of letters, in symbols as well.
        let written: Vec<NormalizerWrapper> = form.into_iter().chain(letters).collect();
        let plain: NormalizerWrapper = Sequence::new(written.clone()).into();
        let mut symbols = Vec::new();
        for symbol in &config.user_symbols {
            let mut text = NormalizedString::from(symbol.as_str());
            plain.normalize(&mut text).map_err(in_training)?;
            symbols.push(text.get().to_owned());
        }
        symbols.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        symbols.dedup();
        // A mark in the text is a space as well: it could not be told from one.
        let spaces =
            Replace::new(ReplacePattern::Regex(r"[\s▁]+".to_owned()), " ").map_err(in_training)?;
        let marks: [NormalizerWrapper; 2] = [spaces.into(), Strip::new(false, true).into()];
        let normalizer = Sequence::new(written.into_iter().chain(marks).collect()).into();
        Ok(Self { config, names, normalizer, symbols })
    }

    /// How words are told apart.
    fn pre_tokenizer(&self, letters: &BTreeSet<char>) -> Result<PreTokenizerWrapper> {
        let mut steps = words_apart();
        if self.config.subwords == Subwords::WordPiece {
            // A character without a token would make its whole word unknown.
            let unknown = format!("[^{}]", class(letters));
            steps.push(split(unknown, SplitDelimiterBehavior::Isolated)?);
            steps.push(split(format!(r"\S{{{WORD}}}"), SplitDelimiterBehavior::Isolated)?);
        }
        Ok(PreTokenizers::new(steps).into())
    }

    /// What is learned from: words without the user's symbols and without characters that have no
    /// token.
    fn learned_from(&self, letters: Option<&BTreeSet<char>>) -> Result<PreTokenizerWrapper> {
        let mut steps = Vec::new();
        if !self.symbols.is_empty() {
            let any: Vec<String> =
                self.symbols.iter().map(|symbol| class_by_class(symbol)).collect();
            steps.push(split(any.join("|"), SplitDelimiterBehavior::Removed)?);
        }
        steps.extend(words_apart());
        if let Some(letters) = letters {
            let pattern = format!("[^{}]", class(letters));
            steps.push(split(pattern, SplitDelimiterBehavior::Removed)?);
        }
        Ok(PreTokenizers::new(steps).into())
    }

    /// How often each word comes: normalised, with its mark.
    /// `listen` is called before each sentence, and may end it.
    fn words(
        &self,
        sentences: &[String],
        listen: impl Fn(usize) -> model_utils::Result<()>,
    ) -> Result<BTreeMap<String, u64>> {
        let pre_tokenizer = self.learned_from(None)?;
        let mut words = BTreeMap::new();
        for (at, sentence) in sentences.iter().enumerate() {
            listen(at)?;
            let mut text = NormalizedString::from(sentence.as_str());
            self.normalizer.normalize(&mut text).map_err(in_training)?;
            let mut text = PreTokenizedString::from(text);
            pre_tokenizer.pre_tokenize(&mut text).map_err(in_training)?;
            for (word, ..) in text.get_splits(OffsetReferential::Normalized, OffsetType::None) {
                *words.entry(word.to_owned()).or_insert(0) += 1;
            }
        }
        Ok(words)
    }

    /// The characters that get tokens: the most frequent ones that make up the share asked for, of
    /// equals those that come first in Unicode; and the mark.
    fn letters(&self, words: &BTreeMap<String, u64>) -> Result<BTreeSet<char>> {
        let mut counts: BTreeMap<char, u64> = BTreeMap::new();
        for (word, count) in words {
            for letter in word.chars() {
                *counts.entry(letter).or_insert(0) += count;
            }
        }
        let all = counts.values().sum::<u64>() as f64;
        let mut ranked: Vec<(char, u64)> = counts.into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut letters = BTreeSet::from([MARK]);
        let mut covered = 0;
        for (letter, count) in ranked {
            if covered as f64 >= self.config.character_coverage * all {
                break;
            }
            letters.insert(letter);
            covered += count;
        }
        // Letters that go on a word are tokens of their own.
        let forms = if self.config.subwords == Subwords::WordPiece { 2 } else { 1 };
        let told = self.told().len();
        let least = told + forms * letters.len();
        let expected = format!(
            "at least {least}: {told} special tokens, bytes and symbols, and every character that \
             `character_coverage` keeps"
        );
        config::require(
            self.config.vocabulary >= least,
            "vocabulary",
            self.config.vocabulary,
            expected,
        )?;
        Ok(letters)
    }

    /// The tokens that are there before anything is learned.
    fn told(&self) -> Vec<String> {
        let bytes = self.config.byte_fallback.then(|| (0..=u8::MAX).map(byte_token));
        let names = self.names.all().map(str::to_owned);
        names.into_iter().chain(bytes.into_iter().flatten()).chain(self.symbols.clone()).collect()
    }

    fn untrained(&self) -> Result<ModelWrapper> {
        let unknown = self.names.unk.clone();
        Ok(match self.config.subwords {
            Subwords::Bpe => BPE::builder()
                .unk_token(unknown)
                .byte_fallback(self.config.byte_fallback)
                .build()
                .map_err(in_training)?
                .into(),
            Subwords::WordPiece => {
                WordPiece::builder().unk_token(unknown).build().map_err(in_training)?.into()
            }
            Subwords::Unigram => Unigram::default().into(),
        })
    }

    /// The trainer of what is made by joining neighbours.
    fn of_merges(&self, letters: &BTreeSet<char>) -> TrainerWrapper {
        let told = self.told();
        let told = added(told.iter().map(String::as_str));
        if self.config.subwords != Subwords::WordPiece {
            return BpeTrainerBuilder::new()
                .vocab_size(self.config.vocabulary)
                .min_frequency(self.config.min_frequency)
                .special_tokens(told)
                .show_progress(false)
                .build()
                .into();
        }
        // The trainer numbers letters that go on a word as it meets them, which is in no order: told
        // beforehand, they have one, and ties between pairs are broken the same way.
        let continuing: Vec<String> = letters
            .iter()
            .filter(|letter| !letter.is_ascii_punctuation())
            .map(|letter| format!("##{letter}"))
            .collect();
        let told = told.into_iter().chain(added(continuing.iter().map(String::as_str)));
        WordPieceTrainerBuilder::new()
            .vocab_size(self.config.vocabulary)
            .min_frequency(self.config.min_frequency)
            .special_tokens(told.collect())
            .show_progress(false)
            .build()
            .into()
    }

    fn unigram(
        &self,
        words: &BTreeMap<String, u64>,
        letters: &BTreeSet<char>,
        listen: impl Fn(usize) -> model_utils::Result<()>,
    ) -> Result<ModelWrapper> {
        let mut known = BTreeMap::new();
        for (word, count) in words {
            let parts = word.split(|letter| !letters.contains(&letter));
            for part in parts.filter(|part| !part.is_empty()) {
                *known.entry(part.to_owned()).or_insert(0) += count;
            }
        }
        let told = self.told();
        let unknown = told.iter().position(|name| *name == self.names.unk);
        let size = self.config.vocabulary - told.len();
        let learned = unigram_trainer::train(&known, size, listen)?;
        let pieces = told.iter().map(|name| (name.clone(), 0.0)).chain(learned).collect();
        Ok(Unigram::from(pieces, unknown, self.config.byte_fallback).map_err(in_training)?.into())
    }

    fn assemble(
        &self,
        model: ModelWrapper,
        letters: &BTreeSet<char>,
    ) -> Result<tokenizers::Tokenizer> {
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_normalizer(Some(self.normalizer.clone()));
        inner.with_pre_tokenizer(Some(self.pre_tokenizer(letters)?));
        inner.with_post_processor(None::<PostProcessorWrapper>);
        inner.with_decoder(Some(self.decoder()?));
        Ok(inner)
    }

    fn decoder(&self) -> Result<DecoderWrapper> {
        let mut steps: Vec<DecoderWrapper> = Vec::new();
        if self.config.subwords == Subwords::WordPiece {
            // `#` is punctuation and stands alone: no token but a continuing one begins with two.
            let marks =
                Replace::new(ReplacePattern::String("##".to_owned()), "").map_err(in_training)?;
            steps.push(marks.into());
        }
        if self.config.byte_fallback {
            steps.push(ByteFallback::new().into());
        }
        steps.push(Metaspace::new(MARK, PrependScheme::Always, true).into());
        Ok(Decoders::new(steps).into())
    }
}

/// Words begin at their marks, the first one as if a space stood before it, and punctuation stands
/// alone.
fn words_apart() -> Vec<PreTokenizerWrapper> {
    let marks = Metaspace::new(MARK, PrependScheme::First, true);
    vec![marks.into(), Punctuation::default().into()]
}

fn split(pattern: String, behavior: SplitDelimiterBehavior) -> Result<PreTokenizerWrapper> {
    Ok(Split::new(SplitPattern::Regex(pattern), behavior, false).map_err(in_training)?.into())
}

/// A pattern for this text alone.
fn class_by_class(text: &str) -> String {
    text.chars().map(|letter| class(&BTreeSet::from([letter]))).collect()
}
