use crate::memory::{NStep, ReplayBuffer};
use crate::vector::Transitions;

/// Keeps a step of all environments: what was observed before it, what was done, what it brought,
/// and what is observed after it.
pub(super) fn remember(
    replay: &mut ReplayBuffer,
    n_steps: &mut [NStep],
    (before, actions): (&[f32], &[f32]),
    transitions: &Transitions,
    after: &[f32],
) {
    let (features, width) = (before.len() / n_steps.len(), actions.len() / n_steps.len());
    for (i, steps) in n_steps.iter_mut().enumerate() {
        let row = i * features..(i + 1) * features;
        let nexts = if transitions.ended(i) { &transitions.final_observations[..] } else { after };
        let action = &actions[i * width..(i + 1) * width];
        let step = (&before[row.clone()], action, f64::from(transitions.rewards[i]));
        let (terminated, truncated) = (transitions.terminated[i], transitions.truncated[i]);
        steps.push(step, &nexts[row], terminated, truncated, |t| replay.push(&t));
    }
}
