//! `generation_config.json`: how a model is decoded.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decoding::{Beam, Greedy, LengthLimits, LengthPenalty, Sampling, Strategy};
use crate::error::{Error, Result};
use crate::text::SpecialTokens;

/// The fields that are known here, under the names of `transformers`; those left out have its
/// defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Generation {
    num_beams: usize,
    num_return_sequences: usize,
    length_penalty: f64,
    early_stopping: Value,
    do_sample: bool,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    /// Counts the token that decoding starts from and that of the end.
    max_length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_new_tokens: Option<usize>,
    min_length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_new_tokens: Option<usize>,
    no_repeat_ngram_size: usize,
    repetition_penalty: f64,
    renormalize_logits: bool,
    forced_bos_token_id: Option<u32>,
    forced_eos_token_id: Option<u32>,
    bad_words_ids: Option<Vec<Vec<u32>>>,
    pad_token_id: Option<u32>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<u32>,
    decoder_start_token_id: Option<u32>,
}

impl Default for Generation {
    fn default() -> Self {
        Self {
            num_beams: 1,
            num_return_sequences: 1,
            length_penalty: 1.0,
            early_stopping: Value::Bool(false),
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            max_length: 20,
            max_new_tokens: None,
            min_length: 0,
            min_new_tokens: None,
            no_repeat_ngram_size: 0,
            repetition_penalty: 1.0,
            renormalize_logits: false,
            forced_bos_token_id: None,
            forced_eos_token_id: None,
            bad_words_ids: None,
            pad_token_id: None,
            bos_token_id: None,
            eos_token_id: None,
            decoder_start_token_id: None,
        }
    }
}

/// What `transformers` knows and is not done here, with the values that do nothing.
const UNKNOWN: [(&str, &[&str]); 14] = [
    ("num_beam_groups", &["1"]),
    ("diversity_penalty", &["0.0", "0"]),
    ("typical_p", &["1.0", "1"]),
    ("encoder_repetition_penalty", &["1.0", "1"]),
    ("encoder_no_repeat_ngram_size", &["0"]),
    ("suppress_tokens", &["[]"]),
    ("begin_suppress_tokens", &["[]"]),
    ("sequence_bias", &["{}"]),
    ("force_words_ids", &["[]"]),
    ("constraints", &["[]"]),
    ("exponential_decay_length_penalty", &[]),
    ("guidance_scale", &["1.0", "1"]),
    ("penalty_alpha", &["0.0", "0"]),
    ("min_p", &["0.0", "0"]),
];

impl Generation {
    /// From the files that may tell of it, the last with most weight.
    pub(super) fn read(files: &[&Value], path: &Path) -> Result<Self> {
        let mut fields = Map::new();
        for file in files {
            let told = file.as_object().into_iter().flatten();
            // A field that is null is one that is not told.
            fields.extend(told.filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())));
        }
        for (field, nothing) in UNKNOWN {
            if let Some(found) = fields.get(field).map(Value::to_string)
                && !nothing.contains(&found.as_str())
            {
                let reason = format!("`{field}` is {found}, which is not known here");
                return Err(Error::hugging_face(path, reason));
            }
        }
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| Error::hugging_face(path, error.to_string()))
    }

    pub(super) fn limits(&self, special: SpecialTokens, path: &Path) -> Result<LengthLimits> {
        let bad = |reason: String| Error::hugging_face(path, reason);
        let bad_words = self.bad_words_ids.clone().unwrap_or_default();
        for word in &bad_words {
            if !matches!(word.as_slice(), [id] if special.is_special(*id)) {
                let reason =
                    format!("`bad_words_ids` holds {word:?}, expected special tokens alone");
                return Err(bad(reason));
            }
        }
        if let Some(id) = self.forced_eos_token_id.filter(|&id| id != special.eos) {
            let reason = format!("`forced_eos_token_id` is {id}, expected {}", special.eos);
            return Err(bad(reason));
        }
        let max_length = self.max_new_tokens.unwrap_or(self.max_length.saturating_sub(1));
        Ok(LengthLimits::new(special)
            .with_max_length(max_length)
            .with_min_length(self.min_new_tokens.unwrap_or(self.min_length.saturating_sub(1)))
            .with_max_ratio(None)
            .with_allow_unknown(!bad_words.contains(&vec![special.unk]))
            .with_first_token(self.forced_bos_token_id)
            .with_end_at_limit(self.forced_eos_token_id.is_some())
            .with_no_repeat_ngram(Some(self.no_repeat_ngram_size).filter(|&n| n > 0))
            .with_repetition_penalty(self.repetition_penalty)
            .with_renormalize(self.renormalize_logits))
    }

    pub(super) fn strategy(&self, path: &Path) -> Result<Strategy> {
        let bad = |field: &str, found: &dyn std::fmt::Display, expected: &str| {
            Error::hugging_face(path, format!("`{field}` is {found}, expected {expected}"))
        };
        if self.do_sample {
            if self.num_beams > 1 {
                return Err(bad("num_beams", &self.num_beams, "1 where `do_sample` is true"));
            }
            let mut sampling = Sampling::new(0)
                .with_temperature(self.temperature)
                .with_top_p(self.top_p)
                .with_samples(self.num_return_sequences);
            sampling.top_k = Some(self.top_k).filter(|&k| k > 0);
            return Ok(sampling.into());
        }
        if self.num_beams <= 1 {
            return Ok(Greedy.into());
        }
        let Some(early_stopping) = self.early_stopping.as_bool() else {
            return Err(bad("early_stopping", &self.early_stopping, "true or false"));
        };
        Ok(Beam::new(self.num_beams)
            .with_n_best(self.num_return_sequences)
            .with_length_penalty(LengthPenalty::Power(self.length_penalty))
            .with_early_stopping(early_stopping)
            .into())
    }

    pub(super) fn of(limits: &LengthLimits, strategy: &Strategy) -> Self {
        let special = limits.special;
        let mut forbidden = vec![special.pad, special.bos];
        if !limits.allow_unknown {
            forbidden.push(special.unk);
        }
        forbidden.sort_unstable();
        forbidden.dedup();
        let told = Self {
            max_length: limits.max_length + 1,
            // Of old names and new ones the first counts the start too.
            min_new_tokens: Some(limits.min_length).filter(|&least| least > 0),
            no_repeat_ngram_size: limits.no_repeat_ngram.unwrap_or(0),
            repetition_penalty: limits.repetition_penalty,
            renormalize_logits: limits.renormalize,
            forced_bos_token_id: limits.first_token,
            forced_eos_token_id: limits.end_at_limit.then_some(special.eos),
            bad_words_ids: Some(forbidden.into_iter().map(|id| vec![id]).collect()),
            pad_token_id: Some(special.pad),
            bos_token_id: Some(special.bos),
            eos_token_id: Some(special.eos),
            decoder_start_token_id: Some(special.bos),
            ..Self::default()
        };
        match strategy {
            Strategy::Greedy(_) => told,
            Strategy::Beam(beam) => Self {
                num_beams: beam.size,
                num_return_sequences: beam.n_best,
                length_penalty: match beam.length_penalty {
                    LengthPenalty::Power(alpha) => alpha,
                    LengthPenalty::None => 0.0,
                    LengthPenalty::Wu(_) => told.length_penalty,
                },
                early_stopping: Value::Bool(beam.early_stopping),
                ..told
            },
            Strategy::Sampling(sampling) => Self {
                do_sample: true,
                temperature: sampling.temperature,
                top_k: sampling.top_k.unwrap_or(0),
                top_p: sampling.top_p,
                num_return_sequences: sampling.samples,
                ..told
            },
        }
    }
}
