use std::fmt;

use serde::{Deserialize, Serialize};

/// The length of one axis of a tensor in a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dim {
    /// Always the same.
    Fixed(usize),
    /// A multiple of the batch size: `Batch(1)` is the batch itself.
    Batch(usize),
}

impl Dim {
    /// The length at a batch size.
    pub fn at(self, batch: usize) -> usize {
        match self {
            Self::Fixed(length) => length,
            Self::Batch(times) => times * batch,
        }
    }

    /// The length that does not depend on the batch size.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Self::Fixed(length) => Some(length),
            Self::Batch(_) => None,
        }
    }

    /// The length that was seen at each of two batch sizes.
    pub(super) fn seen(lengths: [usize; 2], batches: [usize; 2]) -> Option<Self> {
        let [a, b] = lengths;
        if a == b {
            return Some(Self::Fixed(a));
        }
        let times = a / batches[0];
        (times * batches[0] == a && times * batches[1] == b).then_some(Self::Batch(times))
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Batch(1) => f.write_str("N"),
            Self::Batch(times) => write!(f, "{times}N"),
        }
    }
}

/// A shape as text: `[N, 3, 224, 224]`.
pub(super) fn shape_text(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}

/// The lengths of a shape at a batch size.
pub(super) fn lengths(shape: &[Dim], batch: usize) -> Vec<usize> {
    shape.iter().map(|dim| dim.at(batch)).collect()
}

/// How many elements a shape has: a number, times the batch size to a power. Numbers too large to
/// be meant stay at the largest.
pub(super) fn elements(shape: &[Dim]) -> (u128, u32) {
    shape.iter().fold((1, 0), |(number, power): (u128, u32), dim| match dim {
        Dim::Fixed(length) => (number.saturating_mul(*length as u128), power),
        Dim::Batch(times) => (number.saturating_mul(*times as u128), power + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_seen_twice_tell_what_follows_the_batch() {
        assert_eq!(Dim::seen([7, 7], [2, 3]), Some(Dim::Fixed(7)));
        assert_eq!(Dim::seen([8, 12], [2, 3]), Some(Dim::Batch(4)));
        assert_eq!(Dim::seen([3, 4], [2, 3]), None);
        assert_eq!(shape_text(&[Dim::Batch(1), Dim::Fixed(3), Dim::Batch(4)]), "[N, 3, 4N]");
        assert_eq!(elements(&[Dim::Batch(2), Dim::Fixed(3)]), (6, 1));
    }
}
