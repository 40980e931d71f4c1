use burn::config::Config;
use burn::tensor::Device;

use super::agent::Agent as _;
use super::network::{Activation, read};
use super::on_policy::{Algorithm, Common, Ppo, Rollout, check_rates, standardize};
use crate::error::{Result, require};
use crate::space::Spaces;

/// How a [`Ppo`] learns. The defaults are those of stable-baselines3.
#[derive(Config, Debug, PartialEq)]
pub struct PpoConfig {
    /// Widths of the hidden layers, the same for policy and value.
    #[config(default = "vec![64, 64]")]
    pub hidden: Vec<usize>,
    /// What stands between them.
    #[config(default = "Activation::Tanh")]
    pub activation: Activation,
    /// Adam's learning rate.
    #[config(default = 3e-4)]
    pub learning_rate: f64,
    /// Steps of a rollout in each environment.
    #[config(default = 2048)]
    pub steps: usize,
    /// Rows a minibatch.
    #[config(default = 64)]
    pub batch_size: usize,
    /// Passes over a rollout.
    #[config(default = 10)]
    pub epochs: usize,
    /// γ.
    #[config(default = 0.99)]
    pub discount: f64,
    /// λ of the generalised advantages.
    #[config(default = 0.95)]
    pub lambda: f64,
    /// How far the ratio of probabilities may go from 1.
    #[config(default = 0.2)]
    pub clip: f64,
    /// Learning rate and clipping fall to 0 over so many environment steps, on a straight line;
    /// none: they stay.
    #[config(default = "None")]
    pub anneal_steps: Option<u64>,
    /// What entropy counts.
    #[config(default = 0.0)]
    pub entropy: f64,
    /// What the error of the value counts.
    #[config(default = 0.5)]
    pub value: f64,
    /// The most that the norm of all gradients may be.
    #[config(default = 0.5)]
    pub max_grad_norm: f64,
    /// The logarithm of the deviation of continuous actions at first.
    #[config(default = 0.0)]
    pub log_std: f64,
    /// Observations with mean 0 and deviation 1; the statistics are saved with the agent.
    #[config(default = false)]
    pub normalize_observations: bool,
    /// Rewards over the deviation of the discounted return.
    #[config(default = false)]
    pub normalize_rewards: bool,
    /// What all random draws follow from.
    #[config(default = 0)]
    pub seed: u64,
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

    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<Ppo> {
        Ppo::from_config(self, spaces, device)
    }
}

/// One minibatch after the other:
///
/// ```math
/// L = -\min\big(\rho A,\ \mathrm{clip}(\rho, 1-\epsilon, 1+\epsilon) A\big)
///     + c_v (R - V)^2 - c_e H, \qquad \rho = \pi(a|s) / \pi_{\text{old}}(a|s)
/// ```
impl Algorithm for PpoConfig {
    const MODEL: &'static str = "ppo";

    fn common(&self) -> Common {
        Common {
            hidden: self.hidden.clone(),
            activation: self.activation,
            steps: self.steps,
            discount: self.discount,
            lambda: self.lambda,
            log_std: self.log_std,
            normalize_observations: self.normalize_observations,
            normalize_rewards: self.normalize_rewards,
            epsilon: 1e-5,
            seed: self.seed,
        }
    }

    fn check(&self) -> Result<()> {
        require(self.batch_size > 1, "batch_size", self.batch_size, "at least 2")?;
        require(self.epochs > 0, "epochs", 0, "at least 1")?;
        require(self.clip > 0.0, "clip", self.clip, "above 0")?;
        require(self.anneal_steps != Some(0), "anneal_steps", 0, "at least 1")?;
        check_rates(self.learning_rate, self.entropy, self.value, self.max_grad_norm)
    }

    fn update(&self, agent: &mut Ppo, rollout: &Rollout) -> Result<Vec<(&'static str, f64)>> {
        let count = rollout.returns.len();
        // As in stable-baselines3, what is left is taken before this rollout counts.
        let left = self.anneal_steps.map_or(1.0, |over| {
            let before = agent.journal.steps.saturating_sub(count as u64);
            (1.0 - before as f64 / over as f64).max(0.0)
        });
        let (learning_rate, clip) = (self.learning_rate * left, self.clip * left);
        let mut rows: Vec<usize> = (0..count).collect();
        let whole = self.batch_size >= count;
        let mut uploaded = None;
        let mut last = Vec::new();
        for epoch in 0..self.epochs {
            if !whole {
                for i in (1..count).rev() {
                    rows.swap(i, agent.random.below(i + 1));
                }
            }
            for (number, rows) in rows.chunks(self.batch_size).enumerate() {
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
                let judged = live.judge(batch, self.entropy > 0.0);
                let log_ratio = judged.log_p - batch.old_log_p.clone();
                let ratio = log_ratio.clone().exp();
                let free = ratio.clone() * batch.advantages.clone();
                let bound = ratio.clamp(1.0 - clip, 1.0 + clip) * batch.advantages.clone();
                let policy = free.min_pair(bound).mean().neg();
                let value = (judged.values - batch.returns.clone()).powi_scalar(2).mean();
                let mut loss = policy.clone() + value.clone() * self.value;
                if self.entropy > 0.0 {
                    loss = loss - judged.entropy.clone() * self.entropy;
                }
                let gradients = live.gradients(&loss)?;
                agent.apply(gradients, self.max_grad_norm, learning_rate)?;
                if epoch + 1 == self.epochs && number == 0 {
                    let log_ratio = read(log_ratio.inner())?;
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
