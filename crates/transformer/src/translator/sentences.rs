//! Sentences and what a translator answers to them.

use std::fmt;

use model_utils::train::Asks as _;

use super::Translator;
use crate::decoding::{DecodingStrategy, Greedy, Hypothesis, LengthLimits, decode_batched};
use crate::encoder_decoder::Padded;
use crate::error::{Error, Result};
use crate::text::{Paragraph, TokenStream};

/// A translation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Translation {
    /// The text.
    pub text: String,
    /// The tokens of the source, its end included.
    pub source_tokens: Vec<String>,
    /// How many tokens at the end of the source were cut off, where
    /// [`Overlong::Truncate`](crate::text::Overlong::Truncate) allows it; 0 for none.
    pub truncated_tokens: usize,
    /// The tokens of the text, without an end.
    pub tokens: Vec<String>,
    /// What was found: ids, scores, attention.
    pub hypothesis: Hypothesis,
}

impl Translation {
    fn of_nothing() -> Self {
        Self {
            text: String::new(),
            source_tokens: Vec::new(),
            truncated_tokens: 0,
            tokens: Vec::new(),
            hypothesis: Hypothesis::empty(),
        }
    }
}

impl AsRef<str> for Translation {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A sentence as the model reads it.
struct Source {
    ids: Vec<u32>,
    truncated_tokens: usize,
}

fn place(at: usize) -> String {
    format!("sentence {}", at + 1)
}

fn untranslated(at: usize, reason: &str) -> Error {
    Error::Untranslated { place: place(at), reason: reason.to_owned() }
}

impl Translator {
    /// Translates sentences; the answers come in their order, one a sentence, each the same as if it
    /// were alone. A sentence in which nothing stands is translated as nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] and [`Error::Untranslated`] with the number of the first sentence that is
    /// too long or for which nothing was found ([`translate_each`](Self::translate_each) goes on
    /// with the others), [`Error::Config`] for a strategy that cannot work.
    pub fn translate<S: AsRef<str>>(
        &self,
        sentences: &[S],
        strategy: &impl DecodingStrategy,
    ) -> Result<Vec<Translation>> {
        self.translate_each(sentences, strategy)?.into_iter().collect()
    }

    /// As [`translate`](Self::translate), with an answer or an error for each sentence: one that is
    /// too long or cannot be translated does not keep the others from it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a strategy that cannot work, and
    /// [`Stopped`](model_utils::Error::Stopped).
    pub fn translate_each<S: AsRef<str>>(
        &self,
        sentences: &[S],
        strategy: &impl DecodingStrategy,
    ) -> Result<Vec<Result<Translation>>> {
        let found = self.n_best_each(sentences, strategy, &self.limits())?;
        let first = |found: Vec<Translation>| found.into_iter().next();
        let missing = |at| untranslated(at, "the strategy gave no hypothesis");
        let best = found.into_iter().enumerate().map(|(at, found)| match found.map(first) {
            Ok(best) => best.ok_or_else(|| missing(at)),
            Err(error) => Err(error),
        });
        Ok(best.collect())
    }

    /// Translates a text sentence by sentence, as [`Paragraph`] cuts and joins them.
    ///
    /// # Errors
    ///
    /// As [`translate`](Self::translate); sentences are counted through the whole text.
    pub fn translate_text(&self, text: &str, strategy: &impl DecodingStrategy) -> Result<String> {
        let text = Paragraph::new(text);
        Ok(text.join(&self.translate(&text.sentences(), strategy)?))
    }

    /// All hypotheses that the strategy keeps of each sentence, the best first; at least one.
    ///
    /// # Errors
    ///
    /// As [`translate`](Self::translate), and for limits that cannot be kept.
    pub fn n_best<S: AsRef<str>>(
        &self,
        sentences: &[S],
        strategy: &impl DecodingStrategy,
        limits: &LengthLimits,
    ) -> Result<Vec<Vec<Translation>>> {
        self.n_best_each(sentences, strategy, limits)?.into_iter().collect()
    }

    /// As [`n_best`](Self::n_best), with an answer or an error for each sentence.
    ///
    /// # Errors
    ///
    /// As [`translate_each`](Self::translate_each), and for limits that cannot be kept.
    pub fn n_best_each<S: AsRef<str>>(
        &self,
        sentences: &[S],
        strategy: &impl DecodingStrategy,
        limits: &LengthLimits,
    ) -> Result<Vec<Result<Vec<Translation>>>> {
        let mut encoded = Vec::with_capacity(sentences.len());
        for (at, sentence) in sentences.iter().enumerate() {
            self.stop.check("translation", place(at))?;
            encoded.push(self.encode(at, sentence.as_ref()));
        }
        let wanted: Vec<Vec<u32>> =
            encoded.iter().flatten().flatten().map(|source| source.ids.clone()).collect();
        let listen = |done| self.stop.check("translation", format!("sentence {done}"));
        let found = decode_batched(&self.model, &wanted, strategy, limits, &self.device, &listen)?;
        let mut found = found.into_iter();
        let answer = |(at, source): (usize, Result<Option<Source>>)| {
            let Some(source) = source? else { return Ok(vec![Translation::of_nothing()]) };
            let found = found.next().unwrap_or_default();
            if found.is_empty() {
                let reason = "the model's logits are not finite, or the limits forbid every token";
                return Err(untranslated(at, reason));
            }
            found.into_iter().map(|one| self.told(&source, one)).collect()
        };
        Ok(encoded.into_iter().enumerate().map(answer).collect())
    }

    fn told(&self, source: &Source, hypothesis: Hypothesis) -> Result<Translation> {
        let target = self.tokenizers.target();
        Ok(Translation {
            text: target.decode(&hypothesis.ids)?,
            source_tokens: self.tokenizers.source().tokens(&source.ids),
            truncated_tokens: source.truncated_tokens,
            tokens: target.tokens(&hypothesis.ids),
            hypothesis,
        })
    }

    /// Translates one sentence greedily and gives its text piece by piece, as it is found.
    ///
    /// # Errors
    ///
    /// As [`translate`](Self::translate).
    pub fn stream(&self, sentence: &str) -> Result<impl Iterator<Item = Result<String>> + '_> {
        let source = self.encode(0, sentence)?;
        let limits = self.limits();
        let mut text = Some(self.tokenizers.target().stream());
        let tokens = source.map(|source| {
            let source = Padded::new(&[source.ids], limits.special.pad, &self.device);
            Greedy.stream(&self.model, &source, &limits)
        });
        let mut tokens = tokens.transpose()?.into_iter().flatten();
        Ok(std::iter::from_fn(move || {
            if let Some(id) = tokens.next() {
                return text.as_mut().map(|text| text.push(id));
            }
            let left = text.take().map(TokenStream::finish);
            left.filter(|left| left.as_ref().map_or(true, |text| !text.is_empty()))
        }))
    }

    /// Nothing where nothing stands in the sentence.
    fn encode(&self, at: usize, text: &str) -> Result<Option<Source>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let (ids, truncated_tokens) =
            self.tokenizers.encode_source(text, self.limit, || place(at))?;
        Ok((ids.len() > 1 || truncated_tokens > 0).then_some(Source { ids, truncated_tokens }))
    }
}
