use serde::{Deserialize, Serialize};

/// The least and the largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The least.
    pub min: f32,
    /// The largest.
    pub max: f32,
}

impl Bounds {
    /// Of numbers; 0 and 0 of none.
    pub(crate) fn of(numbers: impl Iterator<Item = f32>) -> Self {
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        for number in numbers {
            min = min.min(number);
            max = max.max(number);
        }
        if min <= max { Self { min, max } } else { Self { min: 0.0, max: 0.0 } }
    }

    pub(crate) fn scaled(self, factor: f32) -> Self {
        Self { min: self.min * factor, max: self.max * factor }
    }
}
