//! Tokenizers: text to subword ids and back, trained here or read from `tokenizer.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::config::Config;
use model_utils::config::{self, ConfigError};
use model_utils::data::read_sentences;
use model_utils::train::{Asks, Stoppable};
use serde::{Deserialize, Serialize};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainerBuilder};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFC, NormalizerWrapper, Sequence, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::{
    AddedToken, DecodeStream, ModelWrapper, NormalizedString, Normalizer as _, OffsetReferential,
    OffsetType, PostProcessorWrapper, PreTokenizedString, PreTokenizer as _,
};

use super::marian_files::unmatched;
use super::special::{SpecialNames, SpecialTokens};
use crate::error::{Error, Result};
use crate::fingerprint::fingerprint;

/// How words are cut into subwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subwords {
    /// Byte-pair encoding: the most frequent neighbours are joined, again and again (Sennrich et al.
    /// 2016, <https://arxiv.org/abs/1508.07909>).
    #[default]
    Bpe,
    /// `WordPiece`: longest match first; pieces that go on a word begin with `##` (Schuster and
    /// Nakajima 2012).
    WordPiece,
    /// A unigram language model: of all ways to cut a word, the most probable (Kudo 2018,
    /// <https://arxiv.org/abs/1804.10959>).
    Unigram,
}

impl std::str::FromStr for Subwords {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "bpe" => Ok(Self::Bpe),
            "word_piece" | "wordpiece" => Ok(Self::WordPiece),
            "unigram" => Ok(Self::Unigram),
            _ => {
                Err(ConfigError::new("subwords", format!("{name:?}"), "bpe, word_piece or unigram"))
            }
        }
    }
}

/// How a tokenizer is trained.
#[derive(Config, Debug, PartialEq)]
pub struct TokenizerConfig {
    /// How words are cut.
    #[config(default = "Subwords::Bpe")]
    pub subwords: Subwords,
    /// The most ids, with the special tokens; little text gives fewer.
    #[config(default = 6000)]
    pub vocabulary: usize,
    /// Whether letters are made small first; what is decoded then has small letters.
    #[config(default = false)]
    pub lowercase: bool,
    /// Pairs of neighbours that come less often are not joined (BPE and `WordPiece`).
    #[config(default = 2)]
    pub min_frequency: u64,
}

/// Turns text into ids and ids into text.
///
/// Words carry the mark `▁` where a space stood before them, so that decoding is exact but for white
/// space: runs of it become one space, that at the ends is cut off. Text is brought to the
/// normalisation form NFC. All of it is kept in the file.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    names: SpecialNames,
    special: SpecialTokens,
}

impl Tokenizer {
    /// Trains on sentences. The same sentences give the same tokenizer.
    ///
    /// `stop.around(&config)` ends it between two sentences that are read or counted. What the crate
    /// `tokenizers` then makes of them it does in one go, which nothing ends: a stop meanwhile is told
    /// when it is done.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a vocabulary that the characters do not fit into, [`Error::Tokenizer`]
    /// where there is no sentence; [`Stopped`](model_utils::Error::Stopped).
    pub fn train<'a, T: AsRef<str>, S: Asks>(
        config: impl Into<Stoppable<&'a TokenizerConfig, S>>,
        sentences: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let (config, stop) = config.into().into_parts();
        let names = SpecialNames::default();
        let listen =
            |at: usize| stop.check("training of the tokenizer", format_args!("sentence {at}"));
        let sentences: Vec<String> = sentences
            .into_iter()
            .enumerate()
            .map(|(at, sentence)| listen(at).map(|()| sentence.as_ref().to_owned()))
            .collect::<Result<_, _>>()?;
        if sentences.iter().all(|sentence| sentence.trim().is_empty()) {
            return Err(Error::tokenizer("in training", "there is no sentence to learn from"));
        }
        let words = words(config, &sentences, listen)?;
        let letters: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
        // Letters that go on a word are tokens of their own.
        let forms = if config.subwords == Subwords::WordPiece { 2 } else { 1 };
        let least = names.all().len() + forms * letters.len();
        config::require(
            config.vocabulary >= least,
            "vocabulary",
            config.vocabulary,
            format!("at least {least}: the special tokens and every character"),
        )?;
        let model = match config.subwords {
            Subwords::Unigram => unigram(config, &names, words)?,
            Subwords::Bpe | Subwords::WordPiece => {
                let mut learning = assemble(untrained(config.subwords, &names)?, config)?;
                learning
                    .train(&mut trainer(config, &names, &letters), sentences.into_iter())
                    .map_err(in_training)?;
                learning.get_model().clone()
            }
        };
        stop.check("training of the tokenizer", "its end")?;
        let mut inner = assemble(model, config)?;
        inner.add_special_tokens(&added(names.all()));
        Self::new(inner, names, "in training")
    }

    /// Trains on text files with a sentence a line, gzipped or not.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train), and what reading brings.
    pub fn train_from_files<'a, S: Asks>(
        config: impl Into<Stoppable<&'a TokenizerConfig, S>>,
        paths: &[impl AsRef<Path>],
    ) -> Result<Self> {
        let mut sentences = Vec::new();
        for path in paths {
            sentences.extend(read_sentences(path)?);
        }
        Self::train(config, sentences)
    }

    /// Reads a `tokenizer.json` whose special tokens have the names of this crate.
    ///
    /// # Errors
    ///
    /// As [`load_named`](Self::load_named).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_named(path, SpecialNames::default())
    }

    /// Reads a `tokenizer.json` from anywhere, with the names of its special tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] with the path for a file that cannot be read, is no tokenizer, or does
    /// not know one of the special tokens.
    pub fn load_named(path: impl AsRef<Path>, names: SpecialNames) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read(path).map_err(model_utils::Error::io("read", path))?;
        let place = path.display().to_string();
        let inner = tokenizers::Tokenizer::from_bytes(&text)
            .map_err(|error| Error::tokenizer(&place, format!("it cannot be read: {error}")))?;
        Self::new(inner, names, &place)
    }

    pub(super) fn new(
        mut inner: tokenizers::Tokenizer,
        names: SpecialNames,
        place: &str,
    ) -> Result<Self> {
        let special = names.resolve(|name| inner.token_to_id(name), place)?;
        // Text that spells a special token is text.
        inner.set_encode_special_tokens(true);
        Ok(Self { inner, names, special })
    }

    /// Writes `tokenizer.json`, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] where the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(model_utils::atomic::write(path, self.to_json()?.as_bytes())?)
    }

    /// The text of `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] for a part that cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|error| Error::tokenizer("to JSON", error))
    }

    /// The ids of a text, without begin and end.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the model has no token for a part, not even the unknown one.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let failed = |error| Error::tokenizer("on a sentence", error);
        let fast = self.inner.encode_fast(text, false).map_err(failed)?;
        let unknown = self.special.unk;
        if !fast.get_ids().contains(&unknown) {
            return Ok(fast.get_ids().to_vec());
        }
        // What a side cannot cut may be a piece of the other side's, where a vocabulary is of both.
        let whole = self.inner.encode(text, false).map_err(failed)?;
        let of_other_side = |surface: &str| {
            let id = self.inner.token_to_id(&unmatched(surface))?;
            (!self.special.is_special(id)).then_some(id)
        };
        let tokens = whole.get_ids().iter().zip(whole.get_tokens());
        let id = |(&id, surface): (&u32, &String)| {
            if id == unknown { of_other_side(surface).unwrap_or(id) } else { id }
        };
        Ok(tokens.map(id).collect())
    }

    /// A text as the model gets it: its white space, normalisation form and letter case. What a
    /// translation is measured against goes through this, as what it was learned from did.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the normaliser fails.
    pub fn normalize(&self, text: &str) -> Result<String> {
        let mut text = NormalizedString::from(text);
        let normalizer = self.inner.get_normalizer();
        for step in normalizer.map(of_text).unwrap_or_default() {
            step.normalize(&mut text).map_err(|error| Error::tokenizer("on a sentence", error))?;
        }
        Ok(text.get().to_owned())
    }

    /// The text of ids; special tokens leave no trace.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let special = self.special;
        let ids: Vec<u32> = ids.iter().copied().filter(|&id| !special.is_special(id)).collect();
        self.inner.decode(&ids, true).map_err(|error| Error::tokenizer("on ids", error))
    }

    /// The tokens behind ids as they stand in the vocabulary, for pictures and inspection.
    pub fn tokens(&self, ids: &[u32]) -> Vec<String> {
        ids.iter()
            .map(|&id| self.inner.id_to_token(id).unwrap_or_else(|| format!("#{id}")))
            .collect()
    }

    /// Text as it grows, id by id.
    pub fn stream(&self) -> TokenStream<'_> {
        TokenStream { inner: self.inner.decode_stream(true), special: self.special }
    }

    /// How many ids there are, with the special tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// A hash of the vocabulary: two tokenizers with the same give the same meaning to ids.
    pub(crate) fn fingerprint(&self) -> String {
        let mut tokens: Vec<(u32, String)> =
            self.inner.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        tokens.sort_unstable();
        fingerprint(tokens.into_iter().flat_map(|(id, token)| {
            id.to_le_bytes().into_iter().chain(token.into_bytes()).collect::<Vec<u8>>()
        }))
    }

    /// The ids of the special tokens.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// The names of the special tokens.
    pub fn special_names(&self) -> &SpecialNames {
        &self.names
    }
}

/// Text that grows with every id: of a prefix it gives what later ids do not change.
pub struct TokenStream<'a> {
    inner: DecodeStream<
        'a,
        ModelWrapper,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >,
    special: SpecialTokens,
}

impl TokenStream<'_> {
    /// Takes one more id and gives the text that it adds; special tokens add none.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if self.special.is_special(id) {
            return Ok(String::new());
        }
        let text = self.inner.step(id).map_err(|error| Error::tokenizer("on ids", error))?;
        Ok(text.unwrap_or_default())
    }
}

/// What a part of the training says.
fn in_training(error: impl std::fmt::Display) -> Error {
    Error::tokenizer("in training", error)
}

fn untrained(subwords: Subwords, names: &SpecialNames) -> Result<ModelWrapper> {
    Ok(match subwords {
        Subwords::Bpe => {
            BPE::builder().unk_token(names.unk.clone()).build().map_err(in_training)?.into()
        }
        Subwords::WordPiece => WordPiece::builder()
            .unk_token(names.unk.clone())
            .max_input_chars_per_word(1000)
            .build()
            .map_err(in_training)?
            .into(),
        Subwords::Unigram => Unigram::default().into(),
    })
}

/// How often each word comes, as the trainers see words: normalised, with their marks.
/// `listen` is called before each sentence, and may end it.
fn words(
    config: &TokenizerConfig,
    sentences: &[String],
    listen: impl Fn(usize) -> model_utils::Result<()>,
) -> Result<BTreeMap<String, u32>> {
    let (normalizer, pre_tokenizer) = (normalizer(config.lowercase)?, pre_tokenizer());
    let mut words = BTreeMap::new();
    for (at, sentence) in sentences.iter().enumerate() {
        listen(at)?;
        let mut text = NormalizedString::from(sentence.as_str());
        normalizer.normalize(&mut text).map_err(in_training)?;
        let mut text = PreTokenizedString::from(text);
        pre_tokenizer.pre_tokenize(&mut text).map_err(in_training)?;
        for (word, ..) in text.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *words.entry(word.to_owned()).or_insert(0) += 1;
        }
    }
    Ok(words)
}

fn added<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<AddedToken> {
    names.into_iter().map(|name| AddedToken::from(name, true)).collect()
}

fn assemble(model: ModelWrapper, config: &TokenizerConfig) -> Result<tokenizers::Tokenizer> {
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_normalizer(Some(normalizer(config.lowercase)?));
    inner.with_pre_tokenizer(Some(pre_tokenizer()));
    inner.with_post_processor(None::<PostProcessorWrapper>);
    inner.with_decoder(Some(decoder(config.subwords)?));
    Ok(inner)
}

fn trainer(
    config: &TokenizerConfig,
    names: &SpecialNames,
    letters: &BTreeSet<char>,
) -> TrainerWrapper {
    let special = added(names.all());
    match config.subwords {
        Subwords::Bpe | Subwords::Unigram => BpeTrainerBuilder::new()
            .vocab_size(config.vocabulary)
            .min_frequency(config.min_frequency)
            .special_tokens(special)
            .show_progress(false)
            .build()
            .into(),
        Subwords::WordPiece => {
            // The trainer numbers letters that go on a word as it meets them, which is in no order:
            // told beforehand, they have one, and ties between pairs are broken the same way.
            let continuing: Vec<String> = letters
                .iter()
                .filter(|letter| !letter.is_ascii_punctuation())
                .map(|letter| format!("##{letter}"))
                .collect();
            let told = special.into_iter().chain(added(continuing.iter().map(String::as_str)));
            WordPieceTrainerBuilder::new()
                .vocab_size(config.vocabulary)
                .min_frequency(config.min_frequency)
                .special_tokens(told.collect())
                .show_progress(false)
                .build()
                .into()
        }
    }
}

/// Trains a unigram model in one thread on words in order: sums of floating-point numbers are then
/// always the same.
fn unigram(
    config: &TokenizerConfig,
    names: &SpecialNames,
    words: BTreeMap<String, u32>,
) -> Result<ModelWrapper> {
    let trainer = UnigramTrainer::builder()
        .vocab_size(config.vocabulary as u32)
        .special_tokens(added(names.all()))
        .unk_token(Some(names.unk.clone()))
        .show_progress(false)
        .build()
        .map_err(in_training)?;
    let words: Vec<(String, u32)> = words.into_iter().collect();
    let mut model = Unigram::default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(in_training)?;
    pool.install(|| trainer.do_train(words, &mut model)).map_err(in_training)?;

    // Letters that the model has no use for get the lowest scores, which letter which is left to
    // chance; equal scores stand in no order. Here both follow the letters.
    let special = names.all().len();
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    let lowest = pieces[special..].iter().map(|piece| piece.1).fold(f64::INFINITY, f64::min);
    let is_letter = |piece: &(String, f64)| piece.0.chars().nth(1).is_none();
    let span = 1e-4 * pieces.iter().filter(|piece| is_letter(piece)).count() as f64;
    let is_left = |piece: &&mut (String, f64)| is_letter(piece) && piece.1 <= lowest + span;
    let left: Vec<&mut (String, f64)> = pieces[special..].iter_mut().filter(is_left).collect();
    let mut scores: Vec<f64> = left.iter().map(|piece| piece.1).collect();
    let mut letters: Vec<String> = left.iter().map(|piece| piece.0.clone()).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    letters.sort_unstable();
    for (piece, told) in left.into_iter().zip(letters.into_iter().zip(scores)) {
        *piece = told;
    }
    pieces[special..].sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let unknown = names.all().iter().position(|name| *name == names.unk);
    Ok(Unigram::from(pieces, unknown, false).map_err(in_training)?.into())
}

fn normalizer(lowercase: bool) -> Result<NormalizerWrapper> {
    let spaces =
        Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(in_training)?;
    let mut steps: Vec<NormalizerWrapper> =
        vec![NFC.into(), spaces.into(), Strip::new(true, true).into()];
    if lowercase {
        steps.push(Lowercase.into());
    }
    Ok(Sequence::new(steps).into())
}

/// The steps of a normaliser that leave text, without those that put marks for spaces or bytes.
fn of_text(normalizer: &NormalizerWrapper) -> Vec<&NormalizerWrapper> {
    match normalizer {
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().flat_map(of_text).collect(),
        NormalizerWrapper::Prepend(_) | NormalizerWrapper::ByteLevel(_) => Vec::new(),
        NormalizerWrapper::Replace(replace) if replace.content.contains('▁') => Vec::new(),
        step => vec![step],
    }
}

fn pre_tokenizer() -> PreTokenizerWrapper {
    let spaces = Metaspace::new('▁', PrependScheme::Always, true);
    PreTokenizers::new(vec![spaces.into(), Punctuation::default().into()]).into()
}

fn decoder(subwords: Subwords) -> Result<DecoderWrapper> {
    let spaces = Metaspace::new('▁', PrependScheme::Always, true);
    if subwords != Subwords::WordPiece {
        return Ok(spaces.into());
    }
    // `#` is punctuation and stands alone: no token but a continuing one begins with two.
    let marks = Replace::new(ReplacePattern::String("##".to_owned()), "").map_err(in_training)?;
    Ok(tokenizers::decoders::sequence::Sequence::new(vec![marks.into(), spaces.into()]).into())
}
