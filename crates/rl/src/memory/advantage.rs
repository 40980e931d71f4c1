/// What a step of a rollout is bootstrapped from: what came after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// The value of what was observed next: 0 where the task terminated, that of the final
    /// observation where the episode was truncated.
    pub value: f64,
    /// Whether the episode ended, either way, so that the step after belongs to another.
    pub ended: bool,
}

/// Generalised advantages (Schulman et al. 2016) of a rollout, `[steps, environments]`.
///
/// ```math
/// \hat{A}_t = \delta_t + \gamma \lambda \hat{A}_{t+1}, \qquad
/// \delta_t = r_t + \gamma V(s_{t+1}) - V(s_t)
/// ```
///
/// The chain is cut where an episode ended; `V(s_{t+1})` is 0 only where it *terminated*. λ = 1
/// is the return less the value.
pub fn generalized_advantages(
    rewards: &[f32],
    values: &[f32],
    after: &[Bootstrap],
    environments: usize,
    discount: f64,
    lambda: f64,
) -> Vec<f32> {
    let mut advantages = vec![0.0; rewards.len()];
    for environment in 0..environments {
        let mut next = 0.0;
        for at in (environment..rewards.len()).step_by(environments).rev() {
            let Bootstrap { value, ended } = after[at];
            let delta = f64::from(rewards[at]) + discount * value - f64::from(values[at]);
            next = delta + if ended { 0.0 } else { discount * lambda * next };
            advantages[at] = next as f32;
        }
    }
    advantages
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // Exact values are meant.
mod tests {
    use super::*;

    #[test]
    fn truncated_and_terminated_steps_differ_by_the_value_of_the_end() {
        let bootstraps = |terminated: bool| {
            [
                Bootstrap { value: 4.0, ended: false },
                // The final observation is worth 7.
                Bootstrap { value: if terminated { 0.0 } else { 7.0 }, ended: true },
                Bootstrap { value: 2.0, ended: false },
            ]
        };
        let gae = |after: &[Bootstrap]| {
            generalized_advantages(&[1.0; 3], &[3.0, 4.0, 5.0], after, 1, 0.9, 0.5)
        };
        let terminated = gae(&bootstraps(true));
        let truncated = gae(&bootstraps(false));
        let near = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 1e-6, "{a} {b}");
        near(terminated[2], 1.0 + 0.9 * 2.0 - 5.0);
        near(terminated[1], 1.0 - 4.0);
        near(truncated[1], 1.0 + 0.9 * 7.0 - 4.0);
        near(terminated[0], 1.0 + 0.9 * 4.0 - 3.0 + 0.45 * (1.0 - 4.0));
        near(truncated[0], 1.0 + 0.9 * 4.0 - 3.0 + 0.45 * (1.0 + 0.9 * 7.0 - 4.0));
        // What comes after an end has no part in what came before, either way.
        assert_eq!(terminated[2], truncated[2]);
    }

    #[test]
    fn environments_lie_side_by_side() {
        let after = [Bootstrap { value: 0.0, ended: false }; 4];
        let advantages =
            generalized_advantages(&[1.0, 10.0, 2.0, 20.0], &[0.0; 4], &after, 2, 1.0, 1.0);
        assert_eq!(advantages, [3.0, 30.0, 2.0, 20.0]);
    }
}
