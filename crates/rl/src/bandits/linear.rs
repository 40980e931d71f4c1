//! A linear model for each arm.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::Choice;
use super::arms::Arms;
use super::ridge::Ridge;
use crate::error::Result;

/// Ridge regression from context to reward, a model for each arm ("disjoint").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Linear {
    pub(super) arms: Arms<Ridge>,
    pub(super) features: usize,
    l2: f64,
    memory: f64,
}

impl Linear {
    pub(super) fn new(arms: usize, features: usize) -> Result<Self> {
        config::require((1..=1 << 12).contains(&features), "features", features, "1 to 4096")?;
        Ok(Self {
            arms: Arms::new(arms, Ridge::new(features, 1.0))?,
            features,
            l2: 1.0,
            memory: 1.0,
        })
    }

    pub(super) fn set_memory(&mut self, share: f64) -> Result<()> {
        config::share_above_zero("memory", share)?;
        self.memory = share;
        Ok(())
    }

    pub(super) fn set_l2(&mut self, l2: f64) -> Result<()> {
        config::positive("l2", l2)?;
        let pulls: f64 = self.arms.open().map(|arm| arm.pulls).sum();
        config::require(pulls == 0.0, "l2", l2, "to be chosen before the first pull")?;
        self.l2 = l2;
        self.arms.open_mut().for_each(|arm| *arm = Ridge::new(self.features, l2));
        Ok(())
    }

    pub(super) fn add(&mut self) -> usize {
        self.arms.add(Ridge::new(self.features, self.l2))
    }

    fn check(&self, context: &[f64]) -> Result<()> {
        let fits = context.len() == self.features && context.iter().all(|x| x.is_finite());
        let expected = || format!("{} finite numbers", self.features);
        Ok(config::require(fits, "context", context, expected())?)
    }

    /// Of each arm a number that follows from θᵀ x and √(xᵀ A⁻¹ x), `removed` of those that were
    /// removed.
    pub(super) fn map(
        &self,
        context: &[f64],
        removed: f64,
        mut of: impl FnMut(f64, f64) -> f64,
    ) -> Result<Vec<f64>> {
        self.check(context)?;
        let mut are_finite = true;
        let numbers = self.arms.map(removed, |arm| {
            let (mean, width) = arm.predict(context);
            let number = of(mean, width);
            are_finite &= number.is_finite();
            number
        });
        config::require(are_finite, "context", context, "numbers that leave predictions finite")?;
        Ok(numbers)
    }

    pub(super) fn scores(
        &self,
        context: &[f64],
        of: impl FnMut(f64, f64) -> f64,
    ) -> Result<Vec<f64>> {
        self.map(context, f64::NEG_INFINITY, of)
    }

    pub(super) fn push(&mut self, context: &[f64], choice: Choice, reward: f64) -> Result<()> {
        config::finite("reward", reward)?;
        self.check(context)?;
        self.arms.check(choice)?;
        let Self { memory, l2, .. } = *self;
        let is_forgetting = memory < 1.0;
        let mut next = self.arms.get(choice.arm)?.clone();
        if is_forgetting {
            next.forget(memory, l2);
        }
        next.push(context, reward);
        config::require(next.is_finite(), "context", context, "numbers whose sums are finite")?;
        if is_forgetting {
            self.arms.open_mut().for_each(|arm| arm.forget(memory, l2));
        }
        *self.arms.get_mut(choice.arm)? = next;
        Ok(())
    }
}

/// What bandits on linear models have in common, but for [`Bandit`](super::Bandit).
macro_rules! predicts {
    () => {
        /// For tastes that drift: each pull leaves this share of what is known of every arm.
        ///
        /// # Errors
        ///
        /// [`Error::Config`](crate::Error::Config) for a share outside (0, 1].
        pub fn with_memory(mut self, share: f64) -> Result<Self> {
            self.models.set_memory(share)?;
            Ok(self)
        }

        /// Another λ than 1, the weight of the prior: larger ones believe the first rewards less.
        ///
        /// # Errors
        ///
        /// [`Error::Config`](crate::Error::Config) for one that is not finite and above 0, and after
        /// the first pull.
        pub fn with_l2(mut self, lambda: f64) -> Result<Self> {
            self.models.set_l2(lambda)?;
            Ok(self)
        }

        /// How often each arm was pulled, as far as it is remembered; 0 for those that were removed.
        pub fn pulls(&self) -> Vec<f64> {
            self.models.arms.map(0.0, |arm| arm.pulls)
        }

        /// The reward expected of each arm in a context; NaN for those that were removed.
        ///
        /// # Errors
        ///
        /// [`Error::Config`](crate::Error::Config) for a context of another length or with a number
        /// that is not finite.
        pub fn means(&self, context: &[f64]) -> Result<Vec<f64>> {
            self.models.map(context, f64::NAN, |mean, _| mean)
        }

        /// The weights θ of an arm's model, and A⁻¹, row by row.
        ///
        /// # Errors
        ///
        /// [`Error::Action`](crate::Error::Action) for an arm that is not there.
        pub fn posterior(&self, arm: usize) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
            let arm = self.models.arms.get(arm)?;
            Ok((arm.weights(), arm.inverse()))
        }
    };
}

/// The part of [`Bandit`](super::Bandit) that bandits on linear models have in common.
macro_rules! learns_linear {
    () => {
        super::arms::has_arms!(models.arms);

        fn features(&self) -> usize {
            self.models.features
        }

        fn update(&mut self, context: &[f64], choice: Choice, reward: f64) -> Result<()> {
            self.models.push(context, choice, reward)
        }

        fn add_arm(&mut self) -> usize {
            self.models.add()
        }
    };
}
pub(super) use {learns_linear, predicts};
