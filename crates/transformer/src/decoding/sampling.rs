//! Tokens by chance.

use derive_setters::Setters;
use model_utils::config::{self, ConfigError};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::length_limits::LengthLimits;
use super::rows;
use super::scores::Scores;
use super::strategy::{DecodingStrategy, Hypothesis, MOST_ROWS};
use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;

/// Draws each token by its probability.
///
/// What is drawn for a sentence follows from the seed, its tokens and the number of the sample, not
/// from its place in the batch.
#[derive(Debug, Clone, PartialEq, Setters, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[setters(prefix = "with_")]
pub struct Sampling {
    /// Divides the logits: below 1 the likely become likelier.
    pub temperature: f64,
    /// Only so many of the likeliest tokens are drawn from; all without.
    #[setters(strip_option)]
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability are drawn from (nucleus
    /// sampling, Holtzman et al. 2020); 1 takes all.
    pub top_p: f64,
    /// Hypotheses a sentence.
    pub samples: usize,
    /// What the draws follow from.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Sampling {
    /// From all tokens at temperature 1, one sample.
    pub fn new(seed: u64) -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, samples: 1, seed }
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::positive("temperature", self.temperature)?;
        config::at_least("top_k", self.top_k.unwrap_or(1), 1)?;
        config::share_above_zero("top_p", self.top_p)?;
        let what = format!("1 to {MOST_ROWS}");
        config::require((1..=MOST_ROWS).contains(&self.samples), "samples", self.samples, what)
    }

    /// The tokens that may be drawn and their probabilities up to a factor, the likeliest first.
    fn candidates(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let mut ranked: Vec<(u32, f32)> = (0..)
            .zip(logits.iter().copied())
            .filter(|&(_, logit)| logit > f32::NEG_INFINITY)
            .collect();
        let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let count = self.top_k.unwrap_or(usize::MAX).min(ranked.len());
        if (1..ranked.len()).contains(&count) {
            ranked.select_nth_unstable_by(count - 1, order);
            ranked.truncate(count);
        }
        ranked.sort_unstable_by(order);
        let Some(&(_, largest)) = ranked.first() else { return Vec::new() };
        let weigh =
            |(id, logit)| (id, ((f64::from(logit) - f64::from(largest)) / self.temperature).exp());
        let mut weighed: Vec<(u32, f64)> = ranked.into_iter().map(weigh).collect();
        let total: f64 = weighed.iter().map(|(_, weight)| weight).sum();
        if self.top_p < 1.0 {
            let mut reached = 0.0;
            let kept = weighed.iter().take_while(|(_, weight)| {
                let is_kept = reached < self.top_p * total;
                reached += weight;
                is_kept
            });
            let kept = kept.count();
            weighed.truncate(kept);
        }
        weighed
    }

    /// One generator a row of the source and sample.
    fn generators(&self, source: &Padded) -> Vec<Vec<ChaCha8Rng>> {
        let ids = source.ids.clone().into_data().convert::<i64>().try_into_vec::<i64>();
        let ids = ids.expect("they were converted");
        let rows = ids.chunks(source.time()).zip(&source.lengths);
        rows.map(|(row, &length)| {
            let mix = |seed, &id: &i64| model_utils::device::step_seed(seed, id as u64);
            let of_sentence = row[..length].iter().fold(self.seed, mix);
            let of_sample = |sample| model_utils::device::step_seed(of_sentence, u64::MAX - sample);
            (0..self.samples as u64).map(|s| ChaCha8Rng::seed_from_u64(of_sample(s))).collect()
        })
        .collect()
    }
}

impl DecodingStrategy for Sampling {
    fn decode<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &LengthLimits,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        self.check()?;
        limits.check_for(model, source)?;
        let mut generators = self.generators(source);
        let choose = |scores: &Scores, place: rows::Place| {
            let candidates = self.candidates(scores.logits(place.row));
            let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
            let rng = &mut generators[place.sentence][place.sample];
            let mut left = rng.random::<f64>() * total;
            let drawn = candidates.iter().find(|(_, weight)| {
                left -= weight;
                left < 0.0
            });
            drawn.or(candidates.last()).map(|(id, _)| *id)
        };
        let mut found = rows::decode(model, source, limits, self.samples, choose);
        for samples in &mut found {
            samples.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Ok(found)
    }

    fn rows(&self) -> usize {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(sampling: &Sampling, logits: &[f32]) -> Vec<u32> {
        sampling.candidates(logits).iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn only_the_likeliest_are_drawn_from() {
        // Probabilities 0.5, 0.25, 0.15, 0.1.
        let logits = [0.15_f32.ln(), 0.5_f32.ln(), f32::NEG_INFINITY, 0.1_f32.ln(), 0.25_f32.ln()];
        let all = Sampling::new(1);
        assert_eq!(ids(&all, &logits), [1, 4, 0, 3]);
        assert_eq!(ids(&all.clone().with_top_k(2), &logits), [1, 4]);
        assert_eq!(ids(&all.clone().with_top_p(0.5), &logits), [1]);
        assert_eq!(ids(&all.clone().with_top_p(0.7), &logits), [1, 4]);
        assert_eq!(ids(&all.clone().with_top_p(0.76), &logits), [1, 4, 0]);
        let weights: Vec<f64> =
            all.with_temperature(0.5).candidates(&logits).iter().map(|(_, w)| *w).collect();
        assert!((weights[1] - 0.25).abs() < 1e-6, "{weights:?}");
    }
}
