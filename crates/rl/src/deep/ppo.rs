use derive_setters::Setters;
use model_utils::ops;
use model_utils_core::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use super::on_policy::{Algorithm, OnPolicy, OnPolicyConfig, Rollout, standardize};
use crate::error::Result;

/// Proximal policy optimisation (Schulman et al. 2017).
pub type Ppo = OnPolicy<PpoUpdate>;
/// How a [`Ppo`] learns. The defaults are those of stable-baselines3: 3e-4 the learning rate,
/// rollouts of 2,048 steps, λ = 0.95.
pub type PpoConfig = OnPolicyConfig<PpoUpdate>;

/// Several passes over a rollout in minibatches, the ratio of new and old probabilities kept near
/// 1. By default 10 passes, minibatches of 64, a clip of 0.2, nothing annealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_", generate_delegates(ty = "PpoConfig", field = "algorithm"))]
pub struct PpoUpdate {
    /// Rows a minibatch.
    pub batch_size: usize,
    /// Passes over a rollout.
    pub epochs: usize,
    /// How far the ratio of probabilities may go from 1.
    pub clip: f64,
    /// Learning rate and clipping fall to 0 over so many environment steps, on a straight line;
    /// none: they stay.
    pub anneal_steps: Option<u64>,
}

impl PpoConfig {
    /// The tuned settings of rl-baselines3-zoo for `CartPole`: 8 environments, 100,000 steps.
    pub fn cart_pole() -> Self {
        Self::new()
            .with_steps(32)
            .with_batch_size(256)
            .with_epochs(20)
            .with_discount(0.98)
            .with_lambda(0.8)
            .with_learning_rate(1e-3)
            .with_anneal_steps(Some(100_000))
    }
}

/// One minibatch after the other:
///
/// ```math
/// L = -\min\big(\rho A,\ \mathrm{clip}(\rho, 1-\epsilon, 1+\epsilon) A\big)
///     + c_v (R - V)^2 - c_e H, \qquad \rho = \pi(a|s) / \pi_{\text{old}}(a|s)
/// ```
impl Algorithm for PpoUpdate {
    const MODEL: &'static str = "ppo";
    const ADAM_EPSILON: f32 = 1e-5;

    fn defaults() -> PpoConfig {
        let own = Self { batch_size: 64, epochs: 10, clip: 0.2, anneal_steps: None };
        OnPolicyConfig::from_algorithm(own, 3e-4, 2048).with_lambda(0.95)
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::at_least("batch_size", self.batch_size, 2)?;
        config::at_least("epochs", self.epochs, 1)?;
        config::require(self.clip > 0.0, "clip", self.clip, "above 0")?;
        config::at_least("anneal_steps", self.anneal_steps.unwrap_or(1), 1)
    }

    fn update(
        config: &PpoConfig,
        agent: &mut Ppo,
        rollout: &Rollout,
    ) -> Result<Vec<(&'static str, f64)>> {
        let own = &config.algorithm;
        let count = rollout.returns.len();
        // As in stable-baselines3, what is left is taken before this rollout counts.
        let left = own.anneal_steps.map_or(1.0, |over| {
            let before = agent.journal.steps().saturating_sub(count as u64);
            (1.0 - before as f64 / over as f64).max(0.0)
        });
        let (learning_rate, clip) = (config.learning_rate * left, own.clip * left);
        let mut rows: Vec<usize> = (0..count).collect();
        let whole = own.batch_size >= count;
        let mut uploaded = None;
        let mut last = Vec::new();
        for epoch in 0..own.epochs {
            if !whole {
                for i in (1..count).rev() {
                    rows.swap(i, agent.random.below(i + 1));
                }
            }
            for (number, rows) in rows.chunks(own.batch_size).enumerate() {
                if rows.len() < 2 {
                    continue;
                }
                // A rollout that is one batch is uploaded once for all epochs.
                if !whole || uploaded.is_none() {
                    let mut batch = agent.minibatch(rollout, rows);
                    standardize(&mut batch.advantages);
                    uploaded = Some(agent.networks.upload(&batch, &agent.device));
                }
                let Some(batch) = &uploaded else { continue };
                let live = agent.networks.on(&agent.device);
                let judged = live.judge(batch, config.entropy > 0.0);
                let log_ratio = judged.log_p - batch.old_log_p.clone();
                let ratio = log_ratio.clone().exp();
                let free = ratio.clone() * batch.advantages.clone();
                let bound = ratio.clamp(1.0 - clip, 1.0 + clip) * batch.advantages.clone();
                let policy = free.min_pair(bound).mean().neg();
                let value = (judged.values - batch.returns.clone()).powi_scalar(2).mean();
                let mut loss = policy.clone() + value.clone() * config.value;
                if config.entropy > 0.0 {
                    loss = loss - judged.entropy.clone() * config.entropy;
                }
                let gradients = live.gradients(&loss)?;
                agent.apply(gradients, config.max_grad_norm, learning_rate)?;
                if epoch + 1 == own.epochs && number == 0 {
                    let log_ratio = ops::to_vec(log_ratio.inner());
                    let kl = |x: &f32| f64::from(x.exp() - 1.0 - x);
                    let far = |x: &&f32| f64::from((x.exp() - 1.0).abs()) > clip;
                    let rows = log_ratio.len() as f64;
                    last = vec![
                        ("policy_loss", f64::from(policy.into_scalar::<f32>())),
                        ("value_loss", f64::from(value.into_scalar::<f32>())),
                        ("approx_kl", log_ratio.iter().map(kl).sum::<f64>() / rows),
                        ("clip_fraction", log_ratio.iter().filter(far).count() as f64 / rows),
                    ];
                }
            }
        }
        Ok(last)
    }
}
