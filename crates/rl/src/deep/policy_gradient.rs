use serde::{Deserialize, Serialize};

use super::on_policy::{Algorithm, OnPolicy, OnPolicyConfig, Rollout, on_device, standardized};
use crate::error::Result;

/// Advantage actor-critic (Mnih et al. 2016), synchronous.
pub type A2c = OnPolicy<A2cUpdate>;
/// How an [`A2c`] learns: 7e-4 the learning rate, rollouts of 5 steps.
pub type A2cConfig = OnPolicyConfig<A2cUpdate>;
/// REINFORCE with a learned baseline (Williams 1992).
pub type Reinforce = OnPolicy<ReinforceUpdate>;
/// How a [`Reinforce`] learns: 2e-3 the learning rate, rollouts of 256 steps.
pub type ReinforceConfig = OnPolicyConfig<ReinforceUpdate>;

/// One update on the whole rollout, by its advantages as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct A2cUpdate {}

/// One update on the whole rollout, by its advantages less their mean and over their deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReinforceUpdate {}

impl Algorithm for A2cUpdate {
    const MODEL: &'static str = "a2c";
    const ADAM_EPSILON: f32 = 1e-5;

    fn defaults() -> A2cConfig {
        OnPolicyConfig::from_algorithm(Self {}, 7e-4, 5)
    }

    fn update(
        config: &A2cConfig,
        agent: &mut A2c,
        rollout: &Rollout,
    ) -> Result<Vec<(&'static str, f64)>> {
        update(config, agent, rollout, false)
    }
}

impl Algorithm for ReinforceUpdate {
    const MODEL: &'static str = "reinforce";
    const ADAM_EPSILON: f32 = 1e-8;

    fn defaults() -> ReinforceConfig {
        OnPolicyConfig::from_algorithm(Self {}, 2e-3, 256)
    }

    fn update(
        config: &ReinforceConfig,
        agent: &mut Reinforce,
        rollout: &Rollout,
    ) -> Result<Vec<(&'static str, f64)>> {
        update(config, agent, rollout, true)
    }
}

/// One update on the whole rollout: `−A log π(a|s) + c_v (R − V)² − c_e H`.
fn update<A: Algorithm>(
    config: &OnPolicyConfig<A>,
    agent: &mut OnPolicy<A>,
    rollout: &Rollout,
    standardizes: bool,
) -> Result<Vec<(&'static str, f64)>> {
    let all: Vec<usize> = (0..rollout.len()).collect();
    let (mut rows, live) = (agent.rows(rollout, &all), agent.live());
    if standardizes {
        rows.advantages = on_device(&standardized(&rollout.advantages), &rows.advantages);
    }
    let judged = live.judge(&rows);
    let entropy = judged.entropy();
    let policy = (judged.log_probs * rows.advantages).mean().neg();
    let value = (judged.values - rows.returns).powi_scalar(2).mean();
    let loss = policy.clone() + value.clone() * config.value - entropy.clone() * config.entropy;
    agent.descend(&live, &loss, config.learning_rate)?;
    Ok(vec![
        ("policy_loss", f64::from(policy.into_scalar::<f32>())),
        ("value_loss", f64::from(value.into_scalar::<f32>())),
        ("entropy", f64::from(entropy.into_scalar::<f32>())),
    ])
}
