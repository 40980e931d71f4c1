//! The arms that there are, each with what is known of it.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::Choice;
use crate::error::{Error, Result};

/// A `T` for each arm, `None` for those that were removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Arms<T>(Vec<Option<T>>);

pub(super) fn missing(arm: usize) -> Error {
    Error::Action { action: arm.to_string(), expected: "an arm that is there".to_owned() }
}

pub(super) fn none() -> Error {
    Error::Action { action: "none".to_owned(), expected: "a bandit with arms".to_owned() }
}

impl<T: Clone> Arms<T> {
    pub(super) fn new(arms: usize, arm: T) -> Result<Self> {
        config::require((1..=1 << 20).contains(&arms), "arms", arms, "1 to 1048576")?;
        Ok(Self(vec![Some(arm); arms]))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, arm: usize) -> Result<&T> {
        self.0.get(arm).and_then(Option::as_ref).ok_or_else(|| missing(arm))
    }

    pub(super) fn get_mut(&mut self, arm: usize) -> Result<&mut T> {
        self.0.get_mut(arm).and_then(Option::as_mut).ok_or_else(|| missing(arm))
    }

    /// Refuses arms that are not there, and propensities that are none.
    pub(super) fn check(&self, choice: Choice) -> Result<()> {
        self.get(choice.arm)?;
        choice.propensity.map_or(Ok(()), |p| config::share_above_zero("propensity", p))?;
        Ok(())
    }

    pub(super) fn add(&mut self, arm: T) -> usize {
        self.0.push(Some(arm));
        self.0.len() - 1
    }

    pub(super) fn remove(&mut self, arm: usize) -> Result<()> {
        self.get(arm)?;
        config::at_least("arms", self.open().count() - 1, 1)?;
        self.0[arm] = None;
        Ok(())
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub(super) fn open_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }

    /// A number for each arm, `removed` for those that were removed.
    pub(super) fn map(&self, removed: f64, of: impl FnMut(&T) -> f64) -> Vec<f64> {
        let mut of = of;
        self.0.iter().map(|arm| arm.as_ref().map_or(removed, &mut of)).collect()
    }

    pub(super) fn scores(&self, of: impl FnMut(&T) -> f64) -> Vec<f64> {
        self.map(f64::NEG_INFINITY, of)
    }
}

/// The part of [`Bandit`](super::Bandit) that is the same for all: `arms` and what stands for them.
macro_rules! has_arms {
    ($($arms:ident).+) => {
        fn arms(&self) -> usize {
            self.$($arms).+.count()
        }

        fn has(&self, arm: usize) -> bool {
            self.$($arms).+.get(arm).is_ok()
        }

        fn remove_arm(&mut self, arm: usize) -> Result<()> {
            self.$($arms).+.remove(arm)
        }
    };
}
pub(super) use has_arms;
