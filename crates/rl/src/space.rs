//! What observations and actions may be, as values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A set of observations or actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Space {
    /// 0, 1, …, n − 1.
    Discrete(usize),
    /// A vector of numbers, each between its own ends.
    Continuous {
        /// The least values; −∞ where there is none.
        #[serde(with = "ends")]
        low: Vec<f64>,
        /// The greatest values; ∞ where there is none.
        #[serde(with = "ends")]
        high: Vec<f64>,
    },
}

impl Space {
    /// A vector of `length` numbers, each between −`most` and `most`.
    pub fn symmetric(length: usize, most: f64) -> Self {
        Self::Continuous { low: vec![-most; length], high: vec![most; length] }
    }

    /// A vector whose numbers are between minus and plus these.
    pub fn within(most: &[f64]) -> Self {
        Self::Continuous { low: most.iter().map(|x| -x).collect(), high: most.to_vec() }
    }

    /// How many numbers describe an element to a network: discrete ones are one-hot.
    pub fn features(&self) -> usize {
        match self {
            Self::Discrete(count) => *count,
            Self::Continuous { low, .. } => low.len(),
        }
    }

    /// Whether it holds an index.
    pub fn holds_index(&self, index: usize) -> bool {
        matches!(self, Self::Discrete(count) if index < *count)
    }

    /// Whether it holds a vector.
    pub fn holds(&self, values: &[f64]) -> bool {
        match self {
            Self::Discrete(_) => false,
            Self::Continuous { low, high } => {
                values.len() == low.len()
                    && values.iter().zip(low.iter().zip(high)).all(|(x, (l, h))| l <= x && x <= h)
            }
        }
    }
}

impl fmt::Display for Space {
    #[allow(clippy::float_cmp)] // The same ends are meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discrete(count) => write!(f, "one of 0..{count}"),
            Self::Continuous { low, high } => {
                let same = |v: &[f64]| v.iter().all(|x| *x == v[0]);
                if !low.is_empty() && same(low) && same(high) {
                    write!(f, "{} numbers in {}..={}", low.len(), low[0], high[0])
                } else {
                    write!(f, "{} numbers in {low:?}..={high:?}", low.len())
                }
            }
        }
    }
}

/// The spaces of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spaces {
    /// What is observed.
    pub observation: Space,
    /// What can be done.
    pub action: Space,
}

impl Spaces {
    /// Refuses spaces that are not these.
    pub(crate) fn expect(&self, found: &Self) -> Result<()> {
        for (what, expected, found) in [
            ("observation", &self.observation, &found.observation),
            ("action", &self.action, &found.action),
        ] {
            if expected != found {
                return Err(Error::spaces(what, found, expected.to_string()));
            }
        }
        Ok(())
    }
}

/// JSON has no infinity: `null` stands for it.
mod ends {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(ends: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let finite: Vec<Option<f64>> = ends.iter().map(|x| x.is_finite().then_some(*x)).collect();
        (finite, ends.iter().any(|x| *x < 0.0)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let (ends, negative): (Vec<Option<f64>>, bool) = Deserialize::deserialize(from)?;
        let infinite = if negative { f64::NEG_INFINITY } else { f64::INFINITY };
        Ok(ends.into_iter().map(|x| x.unwrap_or(infinite)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_survive_json_with_their_infinities() {
        let space = Space::within(&[2.4, f64::INFINITY]);
        let text = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&text).unwrap(), space);
        assert!(space.holds(&[-2.4, 1e9]) && !space.holds(&[2.5, 0.0]) && !space.holds(&[0.0]));
        assert!(!space.holds(&[f64::NAN, 0.0]));
        assert_eq!(Space::symmetric(2, 1.0).to_string(), "2 numbers in -1..=1");
    }
}
