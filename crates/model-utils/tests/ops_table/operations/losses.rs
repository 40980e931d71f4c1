//! Losses, and what classifies.

use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::run::Run;
use crate::tape::Var;

pub fn operations() -> [Operation; 4] {
    [
        Operation {
            name: "cross_entropy",
            generate: |draw| cross_entropy(draw, false, false),
            misfit: Some(|draw| cross_entropy(draw, false, true)),
        },
        Operation {
            name: "cross_entropy_ignoring",
            generate: |draw| cross_entropy(draw, true, false),
            misfit: Some(|draw| cross_entropy(draw, true, true)),
        },
        Operation { name: "log_sum_exp", generate: log_sum_exp, misfit: None },
        Operation {
            name: "count_correct",
            generate: |draw| count_correct(draw, false),
            misfit: Some(|draw| count_correct(draw, true)),
        },
    ]
}

/// log Σ exp of at least one number.
fn log_sum<'t>(row: &[Var<'t>]) -> Var<'t> {
    let largest = Var::largest(row.iter().copied()).expect("a number");
    // A row of −∞ alone has no numbers to add, and +∞ and NaN are their own sum.
    if !largest.value.is_finite() {
        return largest;
    }
    let largest = largest.detached();
    row.iter().map(|&x| (x - largest).exp()).sum::<Var>().ln() + largest
}

/// The same where a softmax divides by it: NaN where that takes ∞ − ∞.
pub fn softmax_log_sum<'t>(row: &[Var<'t>]) -> Var<'t> {
    let sum = log_sum(row);
    if sum.value.is_finite() { sum } else { sum * f64::NAN }
}

#[derive(Debug)]
struct CrossEntropy {
    labels: Vec<i32>,
    ignore: Option<i64>,
    smoothing: f64,
}

fn rows_and_classes(draw: &mut Draw) -> [usize; 2] {
    if draw.large {
        let classes = draw.pick(&[3, 70, 1030]);
        return [66_000 / classes, classes];
    }
    let most = if draw.chance(0.1) { 90 } else { 12 };
    [draw.between(1, 9), draw.between(1, most)]
}

fn labels(draw: &mut Draw, rows: usize, classes: usize) -> Vec<i32> {
    (0..rows).map(|_| draw.between(0, classes - 1) as i32).collect()
}

fn cross_entropy(draw: &mut Draw, ignores: bool, misfit: bool) -> Case {
    let [mut rows, classes] = rows_and_classes(draw);
    if ignores && !misfit && draw.chance(0.03) {
        rows = 0;
    }
    let ignore = ignores.then(|| {
        let within = draw.between(0, classes - 1) as i64;
        draw.pick(&[within, within, 255, classes as i64, -100])
    });
    let mut labels = labels(draw, rows, classes);
    if let Some(ignore) = ignore {
        let share = draw.pick(&[0.0, 0.3, 0.3, 1.0]);
        for label in &mut labels {
            if draw.chance(share) {
                *label = ignore as i32;
            }
        }
    }
    if misfit {
        if draw.chance(0.5) {
            labels.push(0);
        } else {
            let outside = [classes as i32 + 1, classes as i32 + 300, -1];
            let at = draw.between(0, rows - 1);
            labels[at] = draw.pick(&outside);
        }
    }
    let mut logits = draw.batch_input("logits", &[rows, classes]);
    logits.array.values.iter_mut().for_each(|x| *x *= 3.0);
    let smoothing = draw.pick(&[0.0, 0.0, 0.1, 0.6]);
    Case::new(vec![logits], CrossEntropy { labels, ignore, smoothing })
}

impl Call for CrossEntropy {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let counted = |label: i32| self.ignore.is_none_or(|ignore| i64::from(label) != ignore);
        let count = self.labels.iter().filter(|&&label| counted(label)).count();
        let rows = inputs[0].rows().zip(&self.labels).filter(|(_, label)| counted(**label));
        let mut loss = given.tape.constant(0.0);
        for (row, &label) in rows {
            let sum = softmax_log_sum(row);
            loss = loss + (sum - row[label as usize]) * (1.0 - self.smoothing);
            if self.smoothing > 0.0 {
                let all = row.iter().map(|&x| sum - x).sum::<Var>();
                loss = loss + all * (self.smoothing / row.len() as f64);
            }
        }
        let loss = loss / count.max(1) as f64;
        vec![Answer::output("loss", Block { shape: vec![1], vars: vec![loss] })]
    }

    fn ours(&self, run: &mut Run) {
        let logits = run.tensor(0);
        let labels = run.integers(&self.labels, [self.labels.len()]);
        let loss = match self.ignore {
            Some(ignore) => ops::cross_entropy_ignoring(logits, labels, ignore, self.smoothing),
            None => ops::cross_entropy(logits, labels, self.smoothing),
        };
        run.output("loss", loss);
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![vec![self.labels.len()]]
    }
}

#[derive(Debug)]
struct LogSumExp {
    /// What normal numbers were multiplied by.
    wide: f32,
}

fn log_sum_exp(draw: &mut Draw) -> Case {
    let [rows, columns] = rows_and_classes(draw);
    let rows = if draw.chance(0.05) { 0 } else { rows };
    let mut x = draw.batch_input("x", &[rows, columns]);
    let wide = draw.pick(&[1.0, 10.0, 100.0]);
    x.array.values.iter_mut().for_each(|x| *x *= wide);
    Case::new(vec![x], LogSumExp { wide })
}

impl Call for LogSumExp {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let vars: Vec<_> = inputs[0].rows().map(log_sum).collect();
        vec![Answer::output("sums", Block { shape: vec![vars.len()], vars })]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        run.output("sums", ops::log_sum_exp(x));
    }

    /// Gradients are powers of e, in which the rounding of large numbers is one of the result.
    fn slack(&self) -> f64 {
        f64::from(self.wide / 20.0).max(1.0)
    }
}

#[derive(Debug)]
struct CountCorrect {
    labels: Vec<i32>,
}

fn count_correct(draw: &mut Draw, misfit: bool) -> Case {
    let [rows, classes] = rows_and_classes(draw);
    let rows = if !misfit && draw.chance(0.05) { 0 } else { rows };
    let mut labels = labels(draw, rows, classes);
    if misfit {
        labels.push(0);
    }
    let mut logits = draw.batch_input("logits", &[rows, classes]);
    // With ties, of which the first wins.
    if draw.chance(0.3) {
        logits.array.values.iter_mut().for_each(|x| *x = x.round());
    }
    Case::new(vec![logits], CountCorrect { labels })
}

impl Call for CountCorrect {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let correct = |(row, label): &(&[Var<'t>], &i32)| {
            let largest = Var::largest(row.iter().copied()).expect("a class");
            row.iter().position(|x| x.place() == largest.place()) == Some(**label as usize)
        };
        let count = inputs[0].rows().zip(&self.labels).filter(correct).count();
        let count = given.tape.constant(count as f64);
        vec![Answer::observed("count", Block { shape: vec![1], vars: vec![count] })]
    }

    fn ours(&self, run: &mut Run) {
        let logits = run.tensor(0);
        let labels = run.integers(&self.labels, [self.labels.len()]);
        run.observe_integers("count", ops::count_correct(logits, labels));
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![vec![self.labels.len()]]
    }
}
