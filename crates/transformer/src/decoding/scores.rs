//! What a step says of the next token, read from the device.

use model_utils::ops;

use super::length_limits::LengthLimits;
use crate::encoder_decoder::Step;

/// Columns whose largest number is looked for at once.
const LANES: usize = 16;

/// A token that may come next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) id: u32,
    /// Its logit less that of the row.
    pub(super) log_p: f64,
}

/// Logits and normalisers of all rows, and their attention.
pub(super) struct Scores {
    logits: Vec<f32>,
    normalisers: Vec<f32>,
    vocabulary: usize,
    attention: Option<Vec<f32>>,
}

impl Scores {
    /// Reads a step, and rules out what the limits forbid after `written` tokens.
    pub(super) fn read(step: Step, limits: &LengthLimits, written: usize) -> Self {
        let vocabulary = step.logits.dims()[1];
        let normalisers = ops::to_vec(ops::log_sum_exp(step.logits.clone()));
        let mut logits = ops::to_vec(step.logits);
        let special = limits.special;
        let unknown = (!limits.allow_unknown).then_some(special.unk);
        let early_end = (written < limits.min_length).then_some(special.eos);
        let forbidden = [Some(special.pad), Some(special.bos), unknown, early_end];
        for row in logits.chunks_mut(vocabulary) {
            for id in forbidden.into_iter().flatten() {
                if let Some(logit) = row.get_mut(id as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        let attention = step.attention.map(ops::to_vec);
        Self { logits, normalisers, vocabulary, attention }
    }

    /// The logits of a row, −∞ where forbidden.
    pub(super) fn logits(&self, row: usize) -> &[f32] {
        &self.logits[row * self.vocabulary..][..self.vocabulary]
    }

    pub(super) fn log_p(&self, row: usize, id: u32) -> f64 {
        f64::from(self.logits(row)[id as usize]) - f64::from(self.normalisers[row])
    }

    /// The `count` likeliest tokens that are not forbidden, the likeliest first; of equal ones that
    /// of the lower id.
    pub(super) fn top(&self, row: usize, count: usize) -> Vec<Candidate> {
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
        let mut least = f32::NEG_INFINITY;
        for (chunk, logits) in self.logits(row).chunks(LANES).enumerate() {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if largest <= least {
                continue;
            }
            for (lane, &logit) in logits.iter().enumerate() {
                if logit > least {
                    let place = best.partition_point(|&(better, _)| better >= logit);
                    best.insert(place, (logit, (chunk * LANES + lane) as u32));
                    best.truncate(count);
                    if best.len() == count {
                        least = best[count - 1].0;
                    }
                }
            }
        }
        let normaliser = f64::from(self.normalisers[row]);
        let candidate = |(logit, id)| Candidate { id, log_p: f64::from(logit) - normaliser };
        best.into_iter().map(candidate).collect()
    }

    /// The attention of a row over `length` source tokens.
    pub(super) fn attention(&self, row: usize, length: usize) -> Option<Vec<f32>> {
        let attention = self.attention.as_ref()?;
        let time = attention.len() / self.normalisers.len();
        Some(attention[row * time..][..length].to_vec())
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::text::SpecialTokens;
    use burn::tensor::{Device, Tensor, TensorData};

    fn scores(logits: &[f32], written: usize) -> Scores {
        let data = TensorData::new(logits.to_vec(), [1, logits.len()]);
        let logits = Tensor::<2>::from_data(data, &Device::flex());
        let limits = LengthLimits::new(SpecialTokens::default()).with_min_length(2);
        Scores::read(Step { logits, attention: None }, &limits, written)
    }

    #[test]
    fn the_best_come_first_and_the_forbidden_not_at_all() {
        let mut logits: Vec<f32> = (0..40).map(|i| ((i * 7) % 40) as f32 * 0.1).collect();
        logits[..4].fill(9.0); // pad, begin, end, unknown
        logits[30] = 9.0;
        logits[5] = 9.0;
        let ids = |written, count| {
            scores(&logits, written).top(0, count).iter().map(|c| c.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(0, 3), [5, 30, 17]);
        assert_eq!(ids(2, 3), [2, 5, 30]);
        assert_eq!(ids(0, 100).len(), 36);
    }

    #[test]
    fn probabilities_are_of_all_tokens() {
        let scores = scores(&[1.0, 2.0, 0.5, -1.0, 3.0, 0.0], 5);
        let all: f64 = [1.0, 2.0, 0.5, -1.0, 3.0, 0.0_f64].iter().map(|x| x.exp()).sum();
        assert!((scores.top(0, 1)[0].log_p - (3.0_f64.exp() / all).ln()).abs() < 1e-6);
    }
}
