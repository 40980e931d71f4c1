//! Tokenizers: text to subword ids and back, trained here or read from a file.

use std::path::Path;
use std::sync::Arc;

use model_utils::data::read_sentences;
use model_utils::train::{Asks, Stoppable};
use tokenizers::{
    Model as _, ModelWrapper, NormalizedString, Normalizer as _, NormalizerWrapper, OffsetType,
    PreTokenizer as _, SplitDelimiterBehavior, Token,
};

use super::sentence_piece::SentencePiece;
use super::special::{SpecialNames, SpecialTokens};
use super::spellings::Spellings;
use super::subword_trainer;
use super::token_stream::TokenStream;
use super::tokenizer_config::{TokenizerConfig, byte_of, byte_token};
use crate::error::{Error, Result};
use crate::fingerprint::fingerprint;

/// Turns text into ids and ids into text.
///
/// One that is trained here puts the mark `▁` on words where a space stood before them, so that
/// decoding is exact but for white space: runs of it become one space, that at the ends is cut off.
/// Text is brought to the form of Unicode that the configuration names. All of it is kept in the file,
/// but one thing: the format of `WordPiece` knows no bytes, so that other readers of the file see an
/// unknown token where this one has the bytes of a character.
///
/// Text is text: what spells a special token, or the token of a byte, does not become one.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    engine: Arc<Engine>,
    /// The file.
    content: Arc<[u8]>,
    names: SpecialNames,
    special: SpecialTokens,
}

/// What does the work.
#[derive(Debug)]
enum Engine {
    HuggingFace { inner: Box<tokenizers::Tokenizer>, spellings: Spellings, size: usize },
    SentencePiece(Box<SentencePiece>),
}

impl Tokenizer {
    /// Trains on sentences. The same sentences give the same tokenizer.
    ///
    /// `stop.around(&config)` ends it between two sentences that are read or counted, and between two
    /// rounds of a unigram model. Neighbours are joined (BPE, `WordPiece`) in one go, which nothing
    /// ends: a stop meanwhile is told when it is done.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a field that cannot work, and for a vocabulary that the characters do not
    /// fit into; [`Error::Tokenizer`] where there is no sentence;
    /// [`Stopped`](model_utils::Error::Stopped).
    pub fn train<'a, T: AsRef<str>, S: Asks>(
        config: impl Into<Stoppable<&'a TokenizerConfig, S>>,
        sentences: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let (config, stop) = config.into().into_parts();
        let names = SpecialNames::default();
        let inner = subword_trainer::train(config, &names, sentences, &stop)?;
        let place = "in training";
        let content =
            inner.to_string(false).map_err(|error| Error::tokenizer(place, error))?.into_bytes();
        Self::hugging_face(inner, content, names, place)
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

    /// Reads a `tokenizer.json` whose special tokens have the names of this crate, or a `.model` of
    /// SentencePiece, which says itself how they are called; which of the two it is, its content tells.
    ///
    /// A special token that a `.model` lacks, as most lack padding, gets an id behind the last piece.
    ///
    /// # Errors
    ///
    /// As [`load_named`](Self::load_named).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), None)
    }

    /// Reads a `tokenizer.json` or a `.model` from anywhere, with the names of its special tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] for a file that cannot be read, [`Error::Tokenizer`] with the path for one that
    /// is no tokenizer, or does not know one of the special tokens.
    pub fn load_named(path: impl AsRef<Path>, names: SpecialNames) -> Result<Self> {
        Self::read(path.as_ref(), Some(names))
    }

    fn read(path: &Path, names: Option<SpecialNames>) -> Result<Self> {
        let content = std::fs::read(path).map_err(model_utils::Error::io("read", path))?;
        Self::from_bytes(content, names, &path.display().to_string())
    }

    /// Reads the content of a file; `place` is told in errors.
    pub(crate) fn from_bytes(
        content: Vec<u8>,
        names: Option<SpecialNames>,
        place: &str,
    ) -> Result<Self> {
        if SentencePiece::is(&content) {
            let (model, names, special) = SentencePiece::read(&content, names, place)?;
            let engine = Arc::new(Engine::SentencePiece(Box::new(model)));
            return Ok(Self { engine, content: content.into(), names, special });
        }
        let inner = tokenizers::Tokenizer::from_bytes(&content).map_err(|error| {
            let reason = format!(
                "it cannot be read as `tokenizer.json`, nor as a model of SentencePiece: {error}"
            );
            Error::tokenizer(place, reason)
        })?;
        Self::hugging_face(inner, content, names.unwrap_or_default(), place)
    }

    /// One that a model of SentencePiece cuts and a vocabulary numbers, as Marian's are; `special` are
    /// the ids of padding, begin and end.
    pub(super) fn numbered(
        content: &[u8],
        vocabulary: &[String],
        [pad, bos, eos]: [u32; 3],
        place: &str,
    ) -> Result<Self> {
        let (mut model, names, _) = SentencePiece::read(content, None, place)?;
        let unk = model.number(vocabulary, [pad, bos, eos], &names.unk, place)?;
        let name = |id: u32| {
            let name = vocabulary.get(id as usize).cloned();
            name.ok_or_else(|| {
                Error::tokenizer(place, format!("the vocabulary lacks the special id {id}"))
            })
        };
        let names = SpecialNames { pad: name(pad)?, bos: name(bos)?, eos: name(eos)?, ..names };
        let special = SpecialTokens { pad, bos, eos, unk };
        // What tells it from others is both.
        let pieces = vocabulary.iter().flat_map(|piece| [piece.as_bytes(), b"\0"]).flatten();
        let content = content.iter().chain(pieces).copied().collect();
        let engine = Arc::new(Engine::SentencePiece(Box::new(model)));
        Ok(Self { engine, content, names, special })
    }

    fn hugging_face(
        mut inner: tokenizers::Tokenizer,
        content: Vec<u8>,
        names: SpecialNames,
        place: &str,
    ) -> Result<Self> {
        let special = names.resolve(|name| inner.token_to_id(name), place)?;
        inner.set_encode_special_tokens(true);
        let vocabulary = inner.get_vocab(true);
        // There may be ids without a token.
        let size = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
        let added = inner.get_added_tokens_decoder();
        let added = added.into_values().filter(|token| token.special).map(|token| token.content);
        let bytes = vocabulary.into_keys().filter(|token| byte_of(token).is_some());
        let named = names.all().map(str::to_owned);
        let spellings = Spellings::new(added.chain(named).chain(bytes));
        let inner = Box::new(inner);
        let engine = Arc::new(Engine::HuggingFace { inner, spellings, size });
        Ok(Self { engine, content: content.into(), names, special })
    }

    /// Writes the file, whole or not at all: `tokenizer.json`, or the `.model` that was read.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] where the file cannot be written, [`Error::Tokenizer`] for one of a Marian
    /// model, which is a part of the files of its translator.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        if matches!(&*self.engine, Engine::SentencePiece(model) if model.is_numbered()) {
            let reason = "it is numbered by a vocabulary of both sides, which one file cannot hold: \
                          save the translator";
            return Err(Error::tokenizer("of a Marian model", reason));
        }
        Ok(model_utils::atomic::write(path, &self.content)?)
    }

    /// How the name of the file ends.
    pub(crate) fn extension(&self) -> &'static str {
        match &*self.engine {
            Engine::HuggingFace { .. } => "json",
            Engine::SentencePiece(_) => "model",
        }
    }

    /// The content of the file that [`save`](Self::save) writes; of one of a Marian model all that it
    /// was read from.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The ids of a text, without begin and end.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the model has no token for a part, not even the unknown one.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &*self.engine {
            Engine::HuggingFace { inner, spellings, .. } => self
                .encode_by(inner, spellings, text)
                .map_err(|error| Error::tokenizer("on a sentence", error)),
            Engine::SentencePiece(model) => Ok(model.encode(text)),
        }
    }

    /// The steps of the crate `tokenizers`, with a cut where the text spells a special token, and
    /// without what a file may say of filling up and cutting off.
    fn encode_by(
        &self,
        inner: &tokenizers::Tokenizer,
        spellings: &Spellings,
        text: &str,
    ) -> tokenizers::Result<Vec<u32>> {
        let added = inner.get_added_vocabulary();
        let mut text = added.extract_and_normalize(inner.get_normalizer(), text);
        if let Some(pre_tokenizer) = inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text)?;
        }
        text.split(|_, part| part.split(spellings, SplitDelimiterBehavior::Isolated))?;
        let model = inner.get_model();
        text.tokenize(|part| {
            let tokens = model.tokenize(part.get())?;
            let unknown = matches!(tokens.as_slice(), [one] if one.id == self.special.unk);
            if unknown && matches!(model, ModelWrapper::WordPiece(_)) {
                return Ok(as_bytes(model, part.get()).unwrap_or(tokens));
            }
            Ok(tokens)
        })?;
        Ok(text.into_encoding(None, 0, OffsetType::None)?.get_ids().to_vec())
    }

    /// A text as the model gets it: its white space, normalisation form and letter case. What a
    /// translation is measured against goes through this, as what it was learned from did.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the normaliser fails.
    pub fn normalize(&self, text: &str) -> Result<String> {
        let inner = match &*self.engine {
            Engine::HuggingFace { inner, .. } => inner,
            Engine::SentencePiece(model) => return Ok(model.normalize(text)),
        };
        let mut text = NormalizedString::from(text);
        let mut has_margins = true;
        for step in inner.get_normalizer().map(of_text).unwrap_or_default() {
            step.normalize(&mut text).map_err(|error| Error::tokenizer("on a sentence", error))?;
            has_margins &= !matches!(step, NormalizerWrapper::StripNormalizer(_));
        }
        // A space at the head becomes the mark of the first word, which has one anyway.
        let text = text.get();
        Ok(if has_margins { text } else { text.trim_start() }.to_owned())
    }

    /// The text of ids; special tokens leave no trace.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let special = self.special;
        let ids: Vec<u32> = ids.iter().copied().filter(|&id| !special.is_special(id)).collect();
        match &*self.engine {
            Engine::HuggingFace { inner, .. } => {
                inner.decode(&ids, true).map_err(|error| Error::tokenizer("on ids", error))
            }
            Engine::SentencePiece(model) => Ok(model.decode(&ids)),
        }
    }

    /// The tokens behind ids as they stand in the vocabulary, for pictures and inspection.
    pub fn tokens(&self, ids: &[u32]) -> Vec<String> {
        let token = |id| match &*self.engine {
            Engine::HuggingFace { inner, .. } => inner.id_to_token(id),
            Engine::SentencePiece(model) => model.piece(id).map(str::to_owned),
        };
        ids.iter().map(|&id| token(id).unwrap_or_else(|| format!("#{id}"))).collect()
    }

    /// Text as it grows, id by id.
    pub fn stream(&self) -> TokenStream<'_> {
        TokenStream::new(self)
    }

    /// How many ids a model must know: the largest id and one.
    pub fn vocabulary_size(&self) -> usize {
        match &*self.engine {
            Engine::HuggingFace { size, .. } => *size,
            Engine::SentencePiece(model) => model.size(),
        }
    }

    /// A hash of the vocabulary, by which folders of earlier versions name their tokenizers.
    pub(crate) fn vocabulary_fingerprint(&self) -> String {
        let Engine::HuggingFace { inner, .. } = &*self.engine else {
            return self.fingerprint();
        };
        let mut tokens: Vec<(u32, String)> =
            inner.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        tokens.sort_unstable();
        fingerprint(tokens.into_iter().flat_map(|(id, token)| {
            id.to_le_bytes().into_iter().chain(token.into_bytes()).collect::<Vec<u8>>()
        }))
    }

    /// A hash of the whole file: two tokenizers with the same do the same.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(self.content.iter().copied())
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

/// The tokens of the bytes of a text, where the vocabulary has them.
fn as_bytes(model: &ModelWrapper, text: &str) -> Option<Vec<Token>> {
    text.bytes()
        .map(|byte| {
            let token = byte_token(byte);
            model.token_to_id(&token).map(|id| Token::new(id, token, (0, text.len())))
        })
        .collect()
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
