use model_utils::stats::{Interval, McNemar};
use serde::Serialize;

/// Above this chance a difference is none.
pub(super) const LEVEL: f64 = 0.05;

/// The figures of a variant.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// Bytes that its parameters take.
    pub bytes: u64,
    /// Elements of its parameters; running statistics are not counted.
    pub parameters: usize,
    /// How many of them are exactly 0.
    pub zeros: usize,
    /// Multiply–adds of an example.
    pub multiply_adds: u64,
    /// The median time of a batch in ms.
    pub latency_ms: f64,
    /// Which examples it has right.
    #[serde(skip)]
    pub correct: Vec<bool>,
    /// The share of them, with its 95 % interval (Wilson).
    pub accuracy: Option<Interval>,
    /// The test against the first row, where it is another.
    pub against_first: Option<McNemar>,
}

/// What a difference in accuracy comes to, at a level of 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is the original itself.
    Original,
    /// Chance explains the difference.
    NotDistinguishable,
    /// More right answers than chance explains.
    Better,
    /// Fewer right answers than chance explains.
    Worse,
}

impl Row {
    /// What the difference from the first row comes to.
    pub fn verdict(&self) -> Verdict {
        match self.against_first {
            None => Verdict::Original,
            Some(test) if test.p_value > LEVEL => Verdict::NotDistinguishable,
            Some(test) if test.only_b > test.only_a => Verdict::Better,
            Some(_) => Verdict::Worse,
        }
    }

    /// The share of right answers.
    pub fn share_right(&self) -> f64 {
        self.accuracy.map_or(f64::NAN, |accuracy| accuracy.estimate)
    }

    /// Accuracy above that of the first row, in points of a hundred; 0 for the first itself.
    pub fn gained_points(&self) -> f64 {
        self.against_first.map_or(0.0, |test| {
            100.0 * (test.only_b as f64 - test.only_a as f64) / test.n.max(1) as f64
        })
    }
}
