use derive_setters::Setters;
use model_utils::ops;
use model_utils_core::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use super::on_policy::{Algorithm, OnPolicy, OnPolicyConfig, Rollout, on_device, standardized};
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
    /// How far the new value may go from the old one before it stops to count, in units of the
    /// return; none: any way.
    #[serde(default)]
    pub clip_value: Option<f64>,
    /// The passes over a rollout end where the policy has moved so far: 1.5 times this estimate of
    /// the Kullback–Leibler divergence; none: never.
    #[serde(default)]
    pub target_kl: Option<f64>,
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
///
/// With `clip_value` the V in it is the old one and what is left of the difference after clipping, as
/// in stable-baselines3.
impl Algorithm for PpoUpdate {
    const MODEL: &'static str = "ppo";
    const ADAM_EPSILON: f32 = 1e-5;
    const LEAST_STEPS: usize = 2;

    fn defaults() -> PpoConfig {
        let own = Self {
            batch_size: 64,
            epochs: 10,
            clip: 0.2,
            anneal_steps: None,
            clip_value: None,
            target_kl: None,
        };
        OnPolicyConfig::from_algorithm(own, 3e-4, 2048).with_lambda(0.95)
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::at_least("batch_size", self.batch_size, 2)?;
        config::at_least("epochs", self.epochs, 1)?;
        config::require(self.clip > 0.0, "clip", self.clip, "above 0")?;
        config::at_least("anneal_steps", self.anneal_steps.unwrap_or(1), 1)?;
        config::positive("clip_value", self.clip_value.unwrap_or(1.0))?;
        config::positive("target_kl", self.target_kl.unwrap_or(1.0))
    }

    fn update(
        config: &PpoConfig,
        agent: &mut Ppo,
        rollout: &Rollout,
    ) -> Result<Vec<(&'static str, f64)>> {
        let own = &config.algorithm;
        let count = rollout.len();
        // As in stable-baselines3, what is left is taken before this rollout counts.
        let left = own
            .anneal_steps
            .map_or(1.0, |over| (1.0 - agent.steps_before(rollout) as f64 / over as f64).max(0.0));
        let (learning_rate, clip) = (config.learning_rate * left, own.clip * left);
        let mut order: Vec<usize> = (0..count).collect();
        let whole = own.batch_size >= count;
        let mut uploaded = None;
        let mut last = Vec::new();
        'passes: for epoch in 0..own.epochs {
            if !whole {
                for i in (1..count).rev() {
                    order.swap(i, agent.random().below(i + 1));
                }
            }
            for (number, these) in order.chunks(own.batch_size).enumerate() {
                if these.len() < 2 {
                    continue;
                }
                // A rollout that is one batch is uploaded once for all epochs.
                if !whole || uploaded.is_none() {
                    let advantages: Vec<f32> =
                        these.iter().map(|at| rollout.advantages[*at]).collect();
                    let mut rows = agent.rows(rollout, these);
                    rows.advantages = on_device(&standardized(&advantages), &rows.advantages);
                    uploaded = Some(rows);
                }
                let Some(rows) = &uploaded else { continue };
                let live = agent.live();
                let judged = live.judge(rows);
                let reported = (epoch + 1 == own.epochs || own.target_kl.is_some()) && number == 0;
                let entropy = (config.entropy > 0.0 || reported).then(|| judged.entropy());
                let log_ratio = judged.log_probs - rows.log_probs.clone();
                let ratio = log_ratio.clone().exp();
                let free = ratio.clone() * rows.advantages.clone();
                let bound = ratio.clamp(1.0 - clip, 1.0 + clip) * rows.advantages.clone();
                let policy = free.min_pair(bound).mean().neg();
                let values = match own.clip_value {
                    None => judged.values,
                    Some(most) => {
                        let moved = (judged.values - rows.values.clone()).clamp(-most, most);
                        rows.values.clone() + moved
                    }
                };
                let value = (values - rows.returns.clone()).powi_scalar(2).mean();
                let mut loss = policy.clone() + value.clone() * config.value;
                if let Some(entropy) = entropy.clone().filter(|_| config.entropy > 0.0) {
                    loss = loss - entropy * config.entropy;
                }
                let measured = (reported || own.target_kl.is_some()).then(|| {
                    let log_ratio = ops::to_vec(log_ratio.inner());
                    let kl = |x: &f32| f64::from(x.exp() - 1.0 - x);
                    let far = |x: &&f32| f64::from((x.exp() - 1.0).abs()) > clip;
                    let rows = log_ratio.len() as f64;
                    let kl = log_ratio.iter().map(kl).sum::<f64>() / rows;
                    (kl, log_ratio.iter().filter(far).count() as f64 / rows)
                });
                if let (true, Some((kl, far))) = (reported, measured) {
                    let entropy = entropy.map_or(f64::NAN, |e| f64::from(e.into_scalar::<f32>()));
                    last = vec![
                        ("policy_loss", f64::from(policy.into_scalar::<f32>())),
                        ("value_loss", f64::from(value.into_scalar::<f32>())),
                        ("entropy", entropy),
                        ("approx_kl", kl),
                        ("clip_fraction", far),
                        ("learning_rate", learning_rate),
                        ("passes", (epoch + 1) as f64),
                    ];
                }
                if let (Some(most), Some((kl, _))) = (own.target_kl, measured)
                    && kl > 1.5 * most
                {
                    break 'passes;
                }
                agent.descend(&live, &loss, learning_rate)?;
            }
        }
        Ok(last)
    }
}
