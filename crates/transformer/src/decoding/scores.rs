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
    /// The model's log-probability; 0 where the limits force the token.
    pub(super) log_p: f64,
    /// The same after penalties.
    pub(super) score: f64,
}

/// What a row holds already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) ids: &'a [u32],
    /// The most tokens that it may have.
    pub(super) most: usize,
}

/// What penalties are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    OfLogits,
    OfLogProbabilities,
}

/// Logits and normalisers of all rows, and their attention.
///
/// All logits are read and looked through here: a top-k of Burn's on `flex` takes fifty times as long
/// and more (128 rows of 8,000: 98 ms for 1.2), and limits change single logits of single rows.
pub(super) struct Scores {
    /// After penalties, −∞ where forbidden.
    logits: Vec<f32>,
    rows: Vec<Row>,
    vocabulary: usize,
    attention: Option<Vec<f32>>,
}

/// What is known of a row beside its logits.
#[derive(Debug, Clone, Default)]
struct Row {
    /// The logarithm of the sum of all exponentials.
    normaliser: f64,
    /// What is taken from a logit to give a score.
    ranked_by: f64,
    /// The logits of penalised tokens before.
    before: Vec<(u32, f32)>,
    forced: Option<u32>,
}

impl Row {
    /// Forbids and penalises.
    fn limit(&mut self, logits: &mut [f32], limits: &LengthLimits, rule: Rule, written: Written) {
        let Written { ids, most } = written;
        self.forced = limits.forced(ids.len(), most);
        if self.forced.is_some() {
            return;
        }
        let mut changed: Vec<(u32, f32)> = Vec::new();
        let mut change = |id: u32, to: &dyn Fn(f64) -> f64| {
            if let Some(logit) = logits.get_mut(id as usize) {
                let before = *logit;
                *logit = to(f64::from(before)) as f32;
                changed.push((id, before));
            }
        };
        let penalty = limits.repetition_penalty;
        if (penalty - 1.0).abs() > f64::EPSILON {
            let mut seen = ids.to_vec();
            seen.sort_unstable();
            seen.dedup();
            let normaliser = self.normaliser;
            for id in seen {
                change(id, &|logit| match rule {
                    Rule::OfLogProbabilities => normaliser + (logit - normaliser) * penalty,
                    Rule::OfLogits if logit > 0.0 => logit / penalty,
                    Rule::OfLogits => logit * penalty,
                });
            }
        }
        let penalised = changed.len();
        let mut change = |id: u32| {
            if let Some(logit) = logits.get_mut(id as usize) {
                changed.push((id, *logit));
                *logit = f32::NEG_INFINITY;
            }
        };
        let special = limits.special;
        let unknown = (!limits.allow_unknown).then_some(special.unk);
        let early_end = (ids.len() < limits.min_length).then_some(special.eos);
        let forbidden = [Some(special.pad), Some(special.bos), unknown, early_end];
        forbidden.into_iter().flatten().chain(limits.repeating(ids)).for_each(&mut change);
        if limits.renormalize {
            self.ranked_by = normaliser_after(logits, self.normaliser, &changed);
        }
        changed.truncate(penalised);
        self.before = changed;
    }
}

/// The logarithm of the sum of exponentials after some logits have changed.
fn normaliser_after(logits: &[f32], normaliser: f64, changed: &[(u32, f32)]) -> f64 {
    let share = |logit: f32| (f64::from(logit) - normaliser).exp();
    // A token that changed twice counts as what it was at first.
    let mut changed = changed.to_vec();
    changed.sort_by_key(|&(id, _)| id);
    changed.dedup_by_key(|&mut (id, _)| id);
    let more: f64 =
        changed.iter().map(|&(id, before)| share(logits[id as usize]) - share(before)).sum();
    if more > -0.99 {
        return normaliser + more.ln_1p();
    }
    // Little is left: the difference would be of rounding.
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    most + logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>().ln()
}

impl Scores {
    /// Reads a step, and rules out and penalises what the limits say, of all rows that `written`
    /// tells of.
    pub(super) fn read<'a>(
        step: Step,
        limits: &LengthLimits,
        rule: Rule,
        written: impl Fn(usize) -> Option<Written<'a>>,
    ) -> Self {
        let vocabulary = step.logits.dims()[1];
        let normalisers = ops::to_vec(ops::log_sum_exp(step.logits.clone()));
        let mut logits = ops::to_vec(step.logits);
        let limited = |(at, logits): (usize, &mut [f32])| {
            let normaliser = f64::from(normalisers[at]);
            let mut row = Row { normaliser, ranked_by: normaliser, ..Row::default() };
            if let Some(written) = written(at) {
                row.limit(logits, limits, rule, written);
            }
            row
        };
        let rows = logits.chunks_mut(vocabulary).enumerate().map(limited).collect();
        let attention = step.attention.map(ops::to_vec);
        Self { logits, rows, vocabulary, attention }
    }

    /// The logits of a row after penalties, −∞ where forbidden; none where they are not finite.
    pub(super) fn logits(&self, row: usize) -> &[f32] {
        let logits = &self.logits[row * self.vocabulary..][..self.vocabulary];
        if self.rows[row].normaliser.is_finite() { logits } else { &[] }
    }

    /// The only token that may come next, where the limits leave but one.
    pub(super) fn forced(&self, row: usize) -> Option<u32> {
        let Row { forced, normaliser, .. } = &self.rows[row];
        forced.filter(|_| normaliser.is_finite())
    }

    /// The model's log-probability of a token; 0 where it is forced.
    pub(super) fn log_p(&self, row: usize, id: u32) -> f64 {
        let Row { normaliser, before, forced, .. } = &self.rows[row];
        if forced.is_some() {
            return 0.0;
        }
        let before = before.iter().find(|&&(changed, _)| changed == id).map(|&(_, logit)| logit);
        f64::from(before.unwrap_or_else(|| self.logits(row)[id as usize])) - normaliser
    }

    /// The `count` likeliest tokens that are not forbidden, the likeliest first; of equal ones that
    /// of the lower id.
    pub(super) fn top(&self, row: usize, count: usize) -> Vec<Candidate> {
        if let Some(id) = self.forced(row) {
            return vec![Candidate { id, log_p: 0.0, score: 0.0 }];
        }
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
        let ranked_by = self.rows[row].ranked_by;
        let candidate = |(logit, id)| Candidate {
            id,
            log_p: self.log_p(row, id),
            score: f64::from(logit) - ranked_by,
        };
        best.into_iter().map(candidate).collect()
    }

    /// The attention of a row over `length` source tokens.
    pub(super) fn attention(&self, row: usize, length: usize) -> Option<Vec<f32>> {
        let attention = self.attention.as_ref()?;
        let time = attention.len() / self.rows.len();
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
        let ids = vec![7; written];
        let written = |_| Some(Written { ids: &ids, most: 100 });
        Scores::read(Step { logits, attention: None }, &limits, Rule::OfLogits, written)
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
