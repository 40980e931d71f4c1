//! Sentence pairs as ids.

use std::sync::Arc;

use model_utils::data::{SentencePair, SentencePairs};
use model_utils::train::{Asks, Stoppable};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::marian_files::MarianFiles;
use super::token_limit::{Overlong, OverlongReport, TokenLimit};
use super::tokenizer::Tokenizer;
use super::tokenizer_config::TokenizerConfig;
use crate::encoder_decoder::EncoderDecoder;
use crate::error::{Error, Result};

/// Pairs that are encoded between two looks at the switch.
const AT_ONCE: usize = 1024;

/// A pair as ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EncodedPair {
    /// The sentence to translate and its end.
    pub source: Vec<u32>,
    /// Begin, the translation, and its end.
    pub target: Vec<u32>,
}

impl EncodedPair {
    /// Tokens that are predicted: all of the target but its begin.
    pub fn target_tokens(&self) -> usize {
        self.target.len().saturating_sub(1)
    }

    /// The length of the longer side.
    pub fn longest(&self) -> usize {
        self.source.len().max(self.target_tokens())
    }
}

/// A set of pairs as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPairs {
    /// The pairs that are left, in their order.
    pub pairs: Vec<EncodedPair>,
    /// What became of those with too many tokens.
    pub overlong: OverlongReport,
}

/// What became of a pair.
enum Encoded {
    Whole(EncodedPair),
    Truncated(EncodedPair),
    Skipped,
}

/// The tokenizers of both sides, one for both or one each.
#[derive(Debug, Clone)]
pub struct Tokenizers {
    source: Tokenizer,
    /// None: the source's.
    target: Option<Tokenizer>,
    /// What they were read from, where that was a folder of Marian's.
    files: Option<Arc<MarianFiles>>,
}

impl Tokenizers {
    /// One for both sides, trained on both. `stop.around(&pairs)` ends it as [`Tokenizer::train`] says.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::train`].
    pub fn train_shared<'a, S: Asks>(
        config: &TokenizerConfig,
        pairs: impl Into<Stoppable<&'a SentencePairs, S>>,
    ) -> Result<Self> {
        let (pairs, stop) = pairs.into().into_parts();
        let both = pairs.pairs().iter().flat_map(|pair| [&pair.source, &pair.target]);
        Ok(Self::shared(Tokenizer::train(Stoppable::new(config, stop), both)?))
    }

    /// One a side. `stop.around(&pairs)` ends it as [`Tokenizer::train`] says.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::train`].
    pub fn train_each<'a, S: Asks + Clone>(
        source: &TokenizerConfig,
        target: &TokenizerConfig,
        pairs: impl Into<Stoppable<&'a SentencePairs, S>>,
    ) -> Result<Self> {
        let (pairs, stop) = pairs.into().into_parts();
        let sources = pairs.pairs().iter().map(|pair| &pair.source);
        let targets = pairs.pairs().iter().map(|pair| &pair.target);
        let source = Tokenizer::train(Stoppable::new(source, stop.clone()), sources)?;
        Ok(Self::each(source, Tokenizer::train(Stoppable::new(target, stop), targets)?))
    }

    /// One for both sides.
    pub fn shared(tokenizer: Tokenizer) -> Self {
        Self { source: tokenizer, target: None, files: None }
    }

    /// One a side.
    pub fn each(source: Tokenizer, target: Tokenizer) -> Self {
        Self { source, target: Some(target), files: None }
    }

    /// With the files that they were read from, for writing them again.
    pub(crate) fn with_files(self, files: Option<MarianFiles>) -> Self {
        Self { files: files.map(Arc::new), ..self }
    }

    /// What they were read from, where that was a folder of Marian's.
    pub(crate) fn files(&self) -> Option<&MarianFiles> {
        self.files.as_deref()
    }

    /// The tokenizer of what is translated.
    pub fn source(&self) -> &Tokenizer {
        &self.source
    }

    /// The tokenizer of translations.
    pub fn target(&self) -> &Tokenizer {
        self.target.as_ref().unwrap_or(&self.source)
    }

    /// Whether both sides have one.
    pub fn is_shared(&self) -> bool {
        self.target.is_none()
    }

    /// Refuses a model that knows other numbers of ids, and tokenizers that disagree on what is
    /// special.
    pub(crate) fn check_model(&self, model: &impl EncoderDecoder) -> Result<()> {
        let [source, target] = model.vocabularies();
        let sides = [("source", source, self.source()), ("target", target, self.target())];
        for (side, knows, tokenizer) in sides {
            let has = tokenizer.vocabulary_size();
            if knows != has {
                return Err(Error::Model(format!(
                    "it knows {knows} ids on the {side} side, and its tokenizer has {has}"
                )));
            }
        }
        let (source, target) = (self.source().special(), self.target().special());
        if source != target {
            let reason =
                format!("its special tokens are {target:?}, those of the source {source:?}");
            return Err(Error::tokenizer("of the target", reason));
        }
        Ok(())
    }

    /// The ids of a sentence to translate, with its end, and how many were cut. `place` is told in
    /// errors.
    pub(crate) fn encode_source(
        &self,
        text: &str,
        limit: TokenLimit,
        place: impl FnOnce() -> String,
    ) -> Result<(Vec<u32>, usize)> {
        let mut ids = self.source.encode(text)?;
        ids.push(self.source.special().eos);
        let cut = limit.fit(&mut ids, place)?;
        Ok((ids, cut))
    }

    /// The ids of a translation between begin and end, and how many were cut; the begin does not
    /// count.
    fn encode_target(
        &self,
        text: &str,
        limit: TokenLimit,
        place: impl FnOnce() -> String,
    ) -> Result<(Vec<u32>, usize)> {
        let special = self.target().special();
        let mut ids = vec![special.bos];
        ids.extend(self.target().encode(text)?);
        ids.push(special.eos);
        let limit = TokenLimit::new(limit.max_tokens.saturating_add(1), limit.overlong);
        let cut = limit.fit(&mut ids, place)?;
        Ok((ids, cut))
    }

    /// All pairs as ids, in their order, and how many were cut or left out. `what` names the set in
    /// errors, beside the line. `stop.around(&pairs)` ends it.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] for the first pair with more tokens on a side, where those are refused;
    /// [`Error::Pairs`] if none is left; [`Stopped`](model_utils::Error::Stopped).
    pub fn encode<'a, S: Asks>(
        &self,
        pairs: impl Into<Stoppable<&'a SentencePairs, S>>,
        what: &str,
        limit: TokenLimit,
    ) -> Result<EncodedPairs> {
        let (pairs, stop) = pairs.into().into_parts();
        let encode = |(at, pair): (usize, &SentencePair)| {
            let place = |side: &str| format!("{what}, line {}, {side}", pairs.line(at));
            let source = self.encode_source(&pair.source, limit, || place("source"));
            let target = self.encode_target(&pair.target, limit, || place("target"));
            match (source, target) {
                (Err(Error::TooLong { .. }), _) | (_, Err(Error::TooLong { .. }))
                    if limit.overlong == Overlong::Skip =>
                {
                    Ok(Encoded::Skipped)
                }
                (source, target) => {
                    let ((source, source_cut), (target, target_cut)) = (source?, target?);
                    let pair = EncodedPair { source, target };
                    let is_cut = source_cut + target_cut > 0;
                    Ok(if is_cut { Encoded::Truncated(pair) } else { Encoded::Whole(pair) })
                }
            }
        };
        let mut encoded = Vec::with_capacity(pairs.pairs().len());
        let mut overlong = OverlongReport {
            pairs: pairs.pairs().len(),
            truncated: 0,
            skipped: 0,
            first_line: None,
            max_tokens: limit.max_tokens,
        };
        for (number, part) in pairs.pairs().chunks(AT_ONCE).enumerate() {
            let first = number * AT_ONCE;
            stop.check("encoding", format_args!("{what}, line {}", pairs.line(first)))?;
            let numbered = part.par_iter().enumerate().map(|(at, pair)| (first + at, pair));
            let part: Vec<Result<Encoded>> = numbered.map(encode).collect();
            // In their order, so that the first pair at fault is the one that is told.
            for (at, pair) in (first..).zip(part) {
                let pair = pair?;
                if !matches!(pair, Encoded::Whole(_)) {
                    overlong.first_line.get_or_insert_with(|| pairs.line(at));
                }
                match pair {
                    Encoded::Whole(pair) => encoded.push(pair),
                    Encoded::Truncated(pair) => {
                        overlong.truncated += 1;
                        encoded.push(pair);
                    }
                    Encoded::Skipped => overlong.skipped += 1,
                }
            }
        }
        if encoded.is_empty() {
            let reason = match overlong.skipped {
                0 => "no pair is left".to_owned(),
                _ => format!("no pair is left: {overlong}"),
            };
            return Err(Error::pairs(what, reason));
        }
        Ok(EncodedPairs { pairs: encoded, overlong })
    }
}
