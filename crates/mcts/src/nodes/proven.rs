//! Results that are certain.

use serde::{Deserialize, Serialize};

/// What is proven about a node, for the player who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Proven {
    /// Lost, whatever is played.
    Loss,
    /// A draw with best play.
    Draw,
    /// Won with best play.
    Win,
}

impl Proven {
    /// The proof behind an exact value; `None` where the value is none of −1, 0 and 1.
    #[allow(clippy::float_cmp)] // Results are exact.
    pub fn from_value(value: f32) -> Option<Self> {
        [Self::Loss, Self::Draw, Self::Win].into_iter().find(|proven| proven.value() == value)
    }

    /// −1, 0 or 1.
    #[inline]
    pub const fn value(self) -> f32 {
        match self {
            Self::Loss => -1.0,
            Self::Draw => 0.0,
            Self::Win => 1.0,
        }
    }

    /// The same for the other player.
    #[must_use]
    pub const fn turned(self) -> Self {
        match self {
            Self::Loss => Self::Win,
            Self::Draw => Self::Draw,
            Self::Win => Self::Loss,
        }
    }
}
