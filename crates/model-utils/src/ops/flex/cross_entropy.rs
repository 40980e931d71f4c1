//! Cross-entropy over rows of logits.

use rayon::prelude::*;

use super::exponential::exp;
use super::parallel::{LANES, vectorised};

/// Rows that one task takes.
const ROWS: usize = 16;

/// log Σ exp of each row.
pub(super) fn log_sum_exp(logits: &[f32], classes: usize) -> Vec<f32> {
    let mut sums = vec![0.0; logits.len() / classes.max(1)];
    let task = |(logits, sums): (&[f32], &mut [f32])| {
        vectorised(|| {
            for (row, sum) in logits.chunks(classes).zip(sums) {
                let largest = largest(row);
                *sum = largest + sum_exp(row, largest).ln();
            }
        });
    };
    logits.par_chunks(ROWS * classes).zip(sums.par_chunks_mut(ROWS)).for_each(task);
    sums
}

#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn sum_exp(row: &[f32], largest: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += exp(chunk[lane] - largest);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| exp(x - largest)).sum::<f32>()
}

/// What the loss needs besides the logits.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    pub(super) classes: usize,
    /// One a row; `None` where the row is not counted.
    pub(super) of_rows: Vec<Option<u32>>,
    pub(super) smoothing: f64,
}

impl Targets {
    /// Rows that are counted; at least 1.
    fn count(&self) -> f64 {
        self.of_rows.iter().flatten().count().max(1) as f64
    }
}

/// The mean loss of the counted rows, given the log Σ exp of each.
pub(super) fn forward(logits: &[f32], normalisers: &[f32], targets: &Targets) -> f32 {
    let smoothing = targets.smoothing;
    let loss = |((row, &normaliser), target): ((&[f32], &f32), &Option<u32>)| {
        let Some(target) = target else { return 0.0 };
        let normaliser = f64::from(normaliser);
        let picked = normaliser - f64::from(row[*target as usize]);
        if smoothing == 0.0 {
            return picked;
        }
        let [sum] = vectorised(|| super::parallel::sum_pairs(row, row, |x, _| [x]));
        let mean = normaliser - f64::from(sum) / targets.classes as f64;
        (1.0 - smoothing) * picked + smoothing * mean
    };
    let rows = logits.par_chunks(targets.classes);
    let losses: Vec<f64> = rows.zip(normalisers).zip(&targets.of_rows).map(loss).collect();
    (losses.iter().sum::<f64>() / targets.count()) as f32
}

/// Turns the logits into their gradient, where that of the loss is `gradient`.
pub(super) fn backward(logits: &mut [f32], normalisers: &[f32], targets: &Targets, gradient: f32) {
    let scale = (f64::from(gradient) / targets.count()) as f32;
    let everywhere = (targets.smoothing / targets.classes as f64) as f32;
    let at_target = 1.0 - targets.smoothing as f32;
    let task = |((row, &normaliser), target): ((&mut [f32], &f32), &Option<u32>)| {
        let Some(target) = target else {
            row.fill(0.0);
            return;
        };
        vectorised(|| {
            for logit in row.iter_mut() {
                *logit = (exp(*logit - normaliser) - everywhere) * scale;
            }
        });
        row[*target as usize] -= at_target * scale;
    };
    logits.par_chunks_mut(targets.classes).zip(normalisers).zip(&targets.of_rows).for_each(task);
}
