//! Dynamic programming: the values and the best policy of a world whose table is known (Bellman
//! 1957; Howard 1960; Sutton and Barto 2018, chapter 4).
//!
//! ```math
//! V^*(s) = \max_a \sum_{s'} p(s' \mid s, a) \big[ r + \gamma V^*(s') \big]
//! ```
//!
//! With γ = 1 several actions may be equally good, and a greedy policy that picks among them may
//! never arrive. [`value_iteration`] and [`policy_iteration`] then take, of equally good actions,
//! one that ends soonest.
//!
//! `stop.around(&mdp)` ends each of them with [`Stopped`](model_utils_core::Error::Stopped) between two
//! sweeps.

use model_utils_core::config::{self, ConfigError};
use model_utils_core::event::{Asks as _, Stop, Stoppable};

use crate::environments::Mdp;
use crate::error::Result;

/// How close two action values count as equally good.
const TIE: f64 = 1e-9;
/// Sweeps after which values are taken as they are.
const MOST_SWEEPS: usize = 1_000_000;

/// Values, the best actions, and what it took.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Solution {
    /// The value of each state.
    pub values: Vec<f64>,
    /// A best action in each state.
    pub policy: Vec<usize>,
    /// Sweeps over all states, or improvements of the policy.
    pub iterations: usize,
}

/// What an action is worth.
fn worth(mdp: &Mdp, values: &[f64], discount: f64, state: usize, action: usize) -> f64 {
    let worth = |o: &crate::environments::Outcome| {
        let later = if o.terminated { 0.0 } else { discount * values[o.next] };
        o.probability * (o.reward + later)
    };
    mdp.outcomes(state, action).iter().map(worth).sum()
}

/// The possible actions of a state.
fn actions(mdp: &Mdp, state: usize) -> impl Iterator<Item = usize> + '_ {
    (0..mdp.actions()).filter(move |action| !mdp.outcomes(state, *action).is_empty())
}

fn check(discount: f64, tolerance: f64) -> Result<(), ConfigError> {
    config::share("discount", discount)?;
    config::positive("tolerance", tolerance)
}

/// Repeats a sweep until no value changes by more than the tolerance.
fn sweep(
    (mdp, stop): (&Mdp, &Stop),
    values: &mut [f64],
    tolerance: f64,
    value: impl Fn(&[f64], usize) -> f64,
) -> Result<usize> {
    for sweeps in 1..MOST_SWEEPS {
        stop.check("planning", format_args!("sweep {sweeps}"))?;
        let mut most = 0.0_f64;
        for state in 0..mdp.states() {
            let new = value(values, state);
            most = most.max((new - values[state]).abs());
            values[state] = new;
        }
        if most <= tolerance {
            return Ok(sweeps);
        }
    }
    Ok(MOST_SWEEPS)
}

/// The values of a policy, which says for each state with which probability each action is
/// taken: `[states, actions]`.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a discount outside 0..=1, a tolerance of 0, or a
/// policy of another shape.
pub fn evaluate_policy<'a>(
    mdp: impl Into<Stoppable<&'a Mdp>>,
    policy: &[f64],
    discount: f64,
    tolerance: f64,
) -> Result<Vec<f64>> {
    check(discount, tolerance)?;
    let (mdp, stop) = mdp.into().into_parts();
    let expected = mdp.states() * mdp.actions();
    config::require(
        policy.len() == expected,
        "policy",
        policy.len(),
        format!("{expected} shares"),
    )?;
    let mut values = vec![0.0; mdp.states()];
    sweep((mdp, &stop), &mut values, tolerance, |values, state| {
        actions(mdp, state)
            .map(|a| policy[state * mdp.actions() + a] * worth(mdp, values, discount, state, a))
            .sum()
    })?;
    Ok(values)
}

/// The best values by sweeps of the equation above.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a discount outside 0..=1 or a tolerance of 0.
pub fn value_iteration<'a>(
    mdp: impl Into<Stoppable<&'a Mdp>>,
    discount: f64,
    tolerance: f64,
) -> Result<Solution> {
    check(discount, tolerance)?;
    let (mdp, stop) = mdp.into().into_parts();
    let mut values = vec![0.0; mdp.states()];
    let iterations = sweep((mdp, &stop), &mut values, tolerance, |values, state| {
        actions(mdp, state)
            .map(|a| worth(mdp, values, discount, state, a))
            .fold(f64::NEG_INFINITY, f64::max)
    })?;
    let policy = greedy(mdp, &values, discount, tolerance);
    Ok(Solution { values, policy, iterations })
}

/// The best values by evaluating a policy and improving it until it stays.
///
/// # Errors
///
/// As [`value_iteration`].
pub fn policy_iteration<'a>(
    mdp: impl Into<Stoppable<&'a Mdp>>,
    discount: f64,
    tolerance: f64,
) -> Result<Solution> {
    check(discount, tolerance)?;
    let (mdp, stop) = mdp.into().into_parts();
    let mut values = vec![0.0; mdp.states()];
    let mut policy = greedy(mdp, &values, discount, tolerance);
    // There are finitely many policies, and each is better than the one before.
    for iterations in 1.. {
        sweep((mdp, &stop), &mut values, tolerance, |values, state| {
            worth(mdp, values, discount, state, policy[state])
        })?;
        let mut stable = true;
        for (state, chosen) in policy.iter().enumerate() {
            let now = worth(mdp, &values, discount, state, *chosen);
            for action in actions(mdp, state) {
                if worth(mdp, &values, discount, state, action) > now + TIE.max(tolerance * 10.0) {
                    stable = false;
                }
            }
        }
        if stable {
            let policy = greedy(mdp, &values, discount, tolerance);
            return Ok(Solution { values, policy, iterations });
        }
        policy = greedy(mdp, &values, discount, tolerance);
    }
    unreachable!("the loop above only ends by its return")
}

/// A greedy policy: of equally good actions one by which the task ends soonest.
///
/// States from which an end is in sight are labelled outwards from the end; a state takes the
/// first of its best actions that may lead to a labelled one.
fn greedy(mdp: &Mdp, values: &[f64], discount: f64, tolerance: f64) -> Vec<usize> {
    let tie = TIE.max(tolerance * 10.0);
    let best: Vec<Vec<(usize, f64)>> = (0..mdp.states())
        .map(|state| {
            let all: Vec<(usize, f64)> =
                actions(mdp, state).map(|a| (a, worth(mdp, values, discount, state, a))).collect();
            let most = all.iter().map(|(_, w)| *w).fold(f64::NEG_INFINITY, f64::max);
            all.into_iter().filter(|(_, w)| *w >= most - tie).collect()
        })
        .collect();
    let mut policy: Vec<usize> = best
        .iter()
        .map(|all| all.iter().fold((0, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { *b } else { a }).0)
        .collect();
    let mut labelled = vec![false; mdp.states()];
    loop {
        let mut now = Vec::new();
        for state in (0..mdp.states()).filter(|state| !labelled[*state]) {
            let leads = |a: &usize| {
                mdp.outcomes(state, *a)
                    .iter()
                    .any(|o| o.probability > 0.0 && (o.terminated || labelled[o.next]))
            };
            if let Some(action) = best[state].iter().map(|(a, _)| *a).find(leads) {
                now.push((state, action));
            }
        }
        if now.is_empty() {
            return policy;
        }
        for (state, action) in now {
            (policy[state], labelled[state]) = (action, true);
        }
    }
}
