use model_utils_core::random::Random;

use super::dqn::arg_max;
use crate::space::{Head, Space};

/// ln √(2π)
pub(super) const LOG_ROOT_TAU: f32 = 0.918_938_5;

/// What the outputs of a policy network mean: for each index and bit of an action the logits of its
/// choices, for each number the mean of a normal distribution, in halves of its range from the
/// middle where it has ends.
///
/// An action is kept as a *row*: an index as it is, a number as the distribution drew it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heads {
    each: Vec<Head>,
    parts: Vec<Part>,
    outputs: usize,
    choices: usize,
    numbers: usize,
}

/// Heads that are judged together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    /// One of `count` choices.
    Category {
        /// Its place in a row.
        column: usize,
        /// Where its logits begin among the outputs.
        output: usize,
        /// Where its choices begin in a mask.
        choice: usize,
        count: usize,
    },
    /// So many numbers.
    Numbers {
        column: usize,
        output: usize,
        /// Where their deviations begin.
        number: usize,
        count: usize,
    },
}

impl Heads {
    /// Of an action space.
    pub(super) fn new(space: &Space) -> Self {
        let heads = space.heads();
        let mut all =
            Self { each: Vec::new(), parts: Vec::new(), outputs: 0, choices: 0, numbers: 0 };
        for (column, head) in heads.iter().enumerate() {
            let output = all.outputs;
            match head {
                Head::Category(count) => {
                    let (choice, count) = (all.choices, *count);
                    all.parts.push(Part::Category { column, output, choice, count });
                    all.outputs += count;
                    all.choices += count;
                }
                Head::Number { .. } => {
                    if let Some(Part::Numbers { count, .. }) = all.parts.last_mut() {
                        *count += 1;
                    } else {
                        let number = all.numbers;
                        all.parts.push(Part::Numbers { column, output, number, count: 1 });
                    }
                    all.outputs += 1;
                    all.numbers += 1;
                }
            }
        }
        Self { each: heads, ..all }
    }

    /// How many outputs a policy network has.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// The length of a mask.
    pub(super) fn choices(&self) -> usize {
        self.choices
    }

    /// How many numbers have a deviation.
    pub(super) fn numbers(&self) -> usize {
        self.numbers
    }

    /// The length of a row.
    pub(super) fn width(&self) -> usize {
        self.each.len()
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Draws an action's row from outputs; its log-probability.
    pub(super) fn draw(
        &self,
        outputs: &[f32],
        log_std: &[f32],
        mask: Option<&[bool]>,
        random: &mut Random,
        row: &mut Vec<f32>,
    ) -> f32 {
        let mut sum = 0.0;
        for part in &self.parts {
            match *part {
                Part::Category { output, choice, count, .. } => {
                    let logits = &outputs[output..output + count];
                    let mask = mask.map(|mask| &mask[choice..choice + count]);
                    let weights = Weights::new(logits, mask);
                    let each = (0..count).map(|a| f64::from(weights.of(a)));
                    let drawn = random.weighted(each).unwrap_or(0);
                    row.push(drawn as f32);
                    sum += weights.log_prob(drawn);
                }
                Part::Numbers { output, number, count, .. } => {
                    let means = &outputs[output..output + count];
                    for (mean, log_std) in means.iter().zip(&log_std[number..]) {
                        let noise = random.normal() as f32;
                        row.push(mean + log_std.exp() * noise);
                        sum -= 0.5 * noise * noise + log_std + LOG_ROOT_TAU;
                    }
                }
            }
        }
        sum
    }

    /// The most probable row.
    fn mode(&self, outputs: &[f32], mask: Option<&[bool]>) -> Vec<f32> {
        let mut row = Vec::with_capacity(self.width());
        for part in &self.parts {
            match *part {
                Part::Category { output, choice, count, .. } => {
                    let mask = mask.map(|mask| &mask[choice..choice + count]);
                    row.push(arg_max(&outputs[output..output + count], mask) as f32);
                }
                Part::Numbers { output, count, .. } => {
                    row.extend_from_slice(&outputs[output..output + count]);
                }
            }
        }
        row
    }

    /// A row as the flat numbers of an action, within the ends of its space.
    pub(super) fn action(&self, row: &[f32], out: &mut Vec<f64>) {
        out.extend(self.each.iter().zip(row).map(|(head, x)| match head {
            Head::Category(_) => f64::from(*x),
            Head::Number { low, high } => {
                let (middle, half) = unit(*low, *high);
                (middle + half * f64::from(*x)).clamp(*low, *high)
            }
        }));
    }
}

/// The middle and the half of a number's range; 0 and 1 where it has no ends.
pub(super) fn unit(low: f64, high: f64) -> (f64, f64) {
    let half = high / 2.0 - low / 2.0;
    if half.is_finite() && half > 0.0 { (low + half, half) } else { (low.max(0.0).min(high), 1.0) }
}

/// The softmax of logits, before it is divided by its sum.
struct Weights<'a> {
    logits: &'a [f32],
    mask: Option<&'a [bool]>,
    most: f32,
    total: f32,
}

impl<'a> Weights<'a> {
    fn new(logits: &'a [f32], mask: Option<&'a [bool]>) -> Self {
        let mut all = Self { logits, mask, most: f32::MIN, total: 1.0 };
        let allowed = (0..logits.len()).filter(|a| mask.is_none_or(|mask| mask[*a]));
        all.most = allowed.map(|a| logits[a]).fold(f32::MIN, f32::max);
        all.total = (0..logits.len()).map(|a| all.of(a)).sum();
        all
    }

    fn of(&self, choice: usize) -> f32 {
        if self.mask.is_none_or(|mask| mask[choice]) {
            (self.logits[choice] - self.most).exp()
        } else {
            0.0
        }
    }

    fn log_prob(&self, choice: usize) -> f32 {
        if self.mask.is_none_or(|mask| mask[choice]) {
            self.logits[choice] - self.most - self.total.ln()
        } else {
            f32::NEG_INFINITY
        }
    }
}

/// A policy's distribution over the actions of one observation: each part of an action by itself.
///
/// Actions are flat numbers, as [`Element`](crate::environment::Element) makes them.
#[derive(Debug, Clone)]
pub struct Distribution<'a> {
    heads: &'a Heads,
    outputs: Vec<f32>,
    log_std: &'a [f32],
    mask: Option<Vec<bool>>,
}

impl<'a> Distribution<'a> {
    pub(super) fn new(
        heads: &'a Heads,
        outputs: Vec<f32>,
        log_std: &'a [f32],
        mask: Option<&[bool]>,
    ) -> Self {
        Self { heads, outputs, log_std, mask: mask.map(<[bool]>::to_vec) }
    }

    fn weights(&self, output: usize, choice: usize, count: usize) -> Weights<'_> {
        let mask = self.mask.as_ref().map(|mask| &mask[choice..choice + count]);
        Weights::new(&self.outputs[output..output + count], mask)
    }

    /// An action at random.
    pub fn sample(&self, random: &mut Random) -> Vec<f64> {
        let (mut row, mut action) = (Vec::new(), Vec::new());
        self.heads.draw(&self.outputs, self.log_std, self.mask.as_deref(), random, &mut row);
        self.heads.action(&row, &mut action);
        action
    }

    /// The most probable action.
    pub fn mode(&self) -> Vec<f64> {
        let mut action = Vec::new();
        self.heads.action(&self.heads.mode(&self.outputs, self.mask.as_deref()), &mut action);
        action
    }

    /// The probabilities of the choices of each index and bit, one part after the other.
    pub fn probabilities(&self) -> Vec<Vec<f64>> {
        let mut all = Vec::new();
        for part in &self.heads.parts {
            if let Part::Category { output, choice, count, .. } = *part {
                let weights = self.weights(output, choice, count);
                let each = (0..count).map(|a| f64::from(weights.of(a) / weights.total));
                all.push(each.collect());
            }
        }
        all
    }

    /// The logarithm of the probability of an action's indices and bits and of the density of its
    /// numbers, before they are clipped to their ends; −∞ for what the mask forbids and NaN for an
    /// action of another space.
    pub fn log_prob(&self, action: &[f64]) -> f64 {
        if action.len() != self.heads.width() {
            return f64::NAN;
        }
        let mut sum = 0.0;
        for part in &self.heads.parts {
            match *part {
                Part::Category { column, output, choice, count } => {
                    let x = action[column];
                    if !(x >= 0.0 && x < count as f64 && x.fract() == 0.0) {
                        return f64::NAN;
                    }
                    sum += f64::from(self.weights(output, choice, count).log_prob(x as usize));
                }
                Part::Numbers { column, output, number, count } => {
                    for i in 0..count {
                        let Head::Number { low, high } = self.heads.each[column + i] else {
                            continue;
                        };
                        let (middle, half) = unit(low, high);
                        let log_std = f64::from(self.log_std[number + i]);
                        let mean = f64::from(self.outputs[output + i]);
                        let noise = ((action[column + i] - middle) / half - mean) / log_std.exp();
                        sum -= 0.5 * noise * noise + log_std + f64::from(LOG_ROOT_TAU) + half.ln();
                    }
                }
            }
        }
        sum
    }

    /// The entropy: of the choices in nats, of the numbers the differential one.
    pub fn entropy(&self) -> f64 {
        let mut sum = 0.0;
        for choices in self.probabilities() {
            sum -= choices.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>();
        }
        let numbers = self.heads.each.iter().filter_map(|head| match head {
            Head::Number { low, high } => Some(unit(*low, *high).1.ln()),
            Head::Category(_) => None,
        });
        let each = numbers.zip(self.log_std);
        sum + each.map(|(ln, s)| ln + f64::from(s + 0.5 + LOG_ROOT_TAU)).sum::<f64>()
    }
}
