//! Cross-entropy, and what belongs to it.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

use super::host::{self, Array, Host, Kernel, one};
use super::kernels::exponential::{exp, largest};
use super::kernels::parallel::{LANES, WORTH_SHARING, sum_pairs, vectorised};

/// The cross-entropy of `[batch, classes]` logits with `[batch]` class indices, averaged over
/// the batch:
///
/// ```math
/// L = -\frac1N \sum_n \Big[(1-\varepsilon)\,\log p_{n,y_n} + \frac{\varepsilon}{K}\sum_k \log p_{n,k}\Big]
/// ```
///
/// with ε = `smoothing`, PyTorch's `label_smoothing`; 0 is the plain cross-entropy. No dense
/// target is built. An empty batch has none: NaN.
///
/// # Panics
///
/// Where there are not as many targets as rows, and on `flex` and `ndarray` where a target is not a
/// class; other devices do not look, since that would have to wait for them.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    mean_cross_entropy("cross_entropy", logits, targets, None, smoothing)
}

/// [`cross_entropy`] of `[batch, classes]` logits over the rows alone whose target is not
/// `ignore_index`, any number, averaged over these; 0 where all are ignored.
///
/// # Panics
///
/// As [`cross_entropy`].
pub fn cross_entropy_ignoring(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    ignore_index: i64,
    smoothing: f64,
) -> Tensor<1> {
    mean_cross_entropy("cross_entropy_ignoring", logits, targets, Some(ignore_index), smoothing)
}

fn mean_cross_entropy(
    name: &str,
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    ignored: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    let ([rows, classes], count) = (logits.dims(), targets.dims());
    assert!([rows] == count, "{name}: logits {:?} and targets {count:?} do not fit", logits.dims());
    if host::holds(&logits) {
        let ids = targets.into_data().convert::<i64>();
        let of_row = |id: i64| {
            (ignored != Some(id)).then(|| {
                let target = u32::try_from(id).ok().filter(|&id| (id as usize) < classes);
                target
                    .unwrap_or_else(|| panic!("{name}: target {id} of logits [{rows}, {classes}]"))
            })
        };
        let of_rows = ids.iter::<i64>().map(of_row).collect();
        let of_none = if ignored.is_some() { 0.0 } else { f32::NAN };
        let targets = Targets { classes, of_rows, smoothing, of_none };
        return one(targets, logits).expect("it was asked");
    }
    let (counted, targets) = match ignored {
        None => (None, targets),
        Some(ignored) => {
            let is_ignored = targets.clone().equal_elem(ignored);
            let counted = is_ignored.clone().bool_not().float();
            (Some(counted), targets.mask_fill(is_ignored, 0))
        }
    };
    // Of one class it is 0; Burn's fused reductions cannot take an axis of one.
    let log_p = if classes == 1 { logits.clone() - logits } else { log_softmax(logits, 1) };
    let picked = log_p.clone().gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1);
    let gained = if smoothing == 0.0 || classes == 1 {
        picked
    } else {
        picked * (1.0 - smoothing) + log_p.mean_dim(1).squeeze_dim::<1>(1) * smoothing
    };
    match counted {
        None => gained.mean().neg(),
        Some(counted) => {
            let count = counted.clone().sum().clamp_min(1.0);
            (gained * counted).sum().neg() / count
        }
    }
}

/// log Σ exp of each row, `[rows, columns]` → `[rows]`: what turns logits into log-probabilities.
pub fn log_sum_exp(x: Tensor<2>) -> Tensor<1> {
    one(LogSumExp, x).unwrap_or_else(|x| {
        let largest = x.clone().max_dim(1);
        ((x - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim(1)
    })
}

/// How many rows of `[batch, classes]` logits have their largest value, the first of several and NaN
/// before all numbers, at the target.
///
/// # Panics
///
/// Where there are not as many targets as rows.
pub fn count_correct(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1, Int> {
    let ([rows, _], count) = (logits.dims(), targets.dims());
    assert!([rows] == count, "count_correct: logits {:?}, targets {count:?}", logits.dims());
    let found = host::read(&logits, |numbers, shape| {
        let first_largest = |row: &[f32]| {
            let is_larger = |a: f32, b: f32| a > b || (a.is_nan() && !b.is_nan());
            (1..row.len()).fold(0, |best, at| if is_larger(row[at], row[best]) { at } else { best })
        };
        let of_rows = numbers.chunks(shape[1].max(1)).map(first_largest);
        let targets = targets.clone().into_data().convert::<i64>();
        of_rows.zip(targets.iter::<i64>()).filter(|&(found, target)| found as i64 == target).count()
    });
    match found {
        Some(count) => {
            let count = TensorData::new(vec![count as i32], [1]);
            Tensor::from_data(count, &targets.device())
        }
        None => logits.argmax(1).squeeze_dim::<1>(1).equal(targets).int().sum(),
    }
}

impl Kernel<1> for Targets {
    /// Logits, and the log Σ exp of each row.
    type Saved<B: Host> = (Array<B>, Vec<f32>);

    fn forward<B: Host>(
        &self,
        [logits]: [Array<B>; 1],
        saves: bool,
    ) -> (Array<B>, Option<Self::Saved<B>>) {
        let normalisers = log_sums(logits.numbers(), self.of_rows.len(), self.classes);
        let loss = forward(logits.numbers(), &normalisers, self);
        (Array::new(vec![loss], [1]), saves.then_some((logits, normalisers)))
    }

    fn backward<B: Host>(
        &self,
        (mut logits, normalisers): Self::Saved<B>,
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        backward(logits.numbers_mut(), &normalisers, self, gradient.numbers()[0]);
        [Some(logits)]
    }
}

#[derive(Debug, Clone, Copy)]
struct LogSumExp;

impl Kernel<1> for LogSumExp {
    /// The input.
    type Saved<B: Host> = Array<B>;

    fn forward<B: Host>(&self, [x]: [Array<B>; 1], saves: bool) -> (Array<B>, Option<Array<B>>) {
        let [rows, columns] = x.dims();
        let mut sums = log_sums(x.numbers(), rows, columns);
        for (sum, row) in sums.iter_mut().zip(x.numbers().chunks(columns.max(1))) {
            // ∞ − ∞ on the way, where nothing is unknown.
            if sum.is_nan() && !row.iter().any(|x| x.is_nan()) {
                *sum = largest(row);
            }
        }
        (Array::new(sums, [rows]), saves.then_some(x))
    }

    fn backward<B: Host>(
        &self,
        mut x: Array<B>,
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let [_, columns] = x.dims();
        let rows = x.numbers_mut().chunks_mut(columns.max(1)).zip(gradient.numbers());
        vectorised(|| {
            for (row, &gradient) in rows {
                let largest = largest(row);
                let scale = gradient / sum_exp(row, largest);
                for x in row {
                    *x = exp(*x - largest) * scale;
                }
            }
        });
        [Some(x)]
    }
}

/// Rows that one task takes.
const ROWS: usize = 16;

/// log Σ exp of each row.
fn log_sums(logits: &[f32], rows: usize, classes: usize) -> Vec<f32> {
    if classes == 0 {
        return vec![f32::NEG_INFINITY; rows];
    }
    let mut sums = vec![0.0; rows];
    let task = |(logits, sums): (&[f32], &mut [f32])| {
        vectorised(|| {
            for (row, sum) in logits.chunks(classes).zip(sums) {
                let largest = largest(row);
                *sum = largest + sum_exp(row, largest).ln();
            }
        });
    };
    if logits.len() < WORTH_SHARING {
        task((logits, &mut sums));
    } else {
        logits.par_chunks(ROWS * classes).zip(sums.par_chunks_mut(ROWS)).for_each(task);
    }
    sums
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
struct Targets {
    classes: usize,
    /// One a row; `None` where the row is not counted.
    of_rows: Vec<Option<u32>>,
    smoothing: f64,
    /// The loss of a batch without rows.
    of_none: f32,
}

impl Targets {
    /// Rows that are counted; at least 1.
    fn count(&self) -> f64 {
        self.of_rows.iter().flatten().count().max(1) as f64
    }
}

/// The mean loss of the counted rows, given the log Σ exp of each.
fn forward(logits: &[f32], normalisers: &[f32], targets: &Targets) -> f32 {
    if targets.of_rows.is_empty() {
        return targets.of_none;
    }
    let smoothing = targets.smoothing;
    let loss = |((row, &normaliser), target): ((&[f32], &f32), &Option<u32>)| {
        let Some(target) = target else { return 0.0 };
        let normaliser = f64::from(normaliser);
        let picked = normaliser - f64::from(row[*target as usize]);
        if smoothing == 0.0 {
            return picked;
        }
        let [sum] = vectorised(|| sum_pairs(row, row, |x, _| [x]));
        let mean = normaliser - f64::from(sum) / targets.classes as f64;
        (1.0 - smoothing) * picked + smoothing * mean
    };
    let classes = targets.classes.max(1);
    let losses: Vec<f64> = if logits.len() < WORTH_SHARING {
        let rows = logits.chunks(classes).zip(normalisers);
        rows.zip(&targets.of_rows).map(loss).collect()
    } else {
        let rows = logits.par_chunks(classes).zip(normalisers);
        rows.zip(&targets.of_rows).map(loss).collect()
    };
    (losses.iter().sum::<f64>() / targets.count()) as f32
}

/// Turns the logits into their gradient, where that of the loss is `gradient`.
fn backward(logits: &mut [f32], normalisers: &[f32], targets: &Targets, gradient: f32) {
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
    let classes = targets.classes.max(1);
    if logits.len() < WORTH_SHARING {
        logits.chunks_mut(classes).zip(normalisers).zip(&targets.of_rows).for_each(task);
    } else {
        let rows = logits.par_chunks_mut(classes).zip(normalisers);
        rows.zip(&targets.of_rows).for_each(task);
    }
}
