//! Dynamic programming: the values and the best policy of a world whose table is known (Bellman
//! 1957; Howard 1960; Sutton and Barto 2018, chapter 4).
//!
//! ```math
//! V^*(s) = \max_a \sum_{s'} p(s' \mid s, a) \big[ r + \gamma V^*(s') \big]
//! ```
//!
//! With γ = 1 several actions may be equally good, and a greedy policy that picks among them may
//! never arrive. [`value_iteration`] and [`policy_iteration`] then take, of equally good actions,
//! one that ends soonest. There may also be no values at all: a loop that pays can be gone round for
//! ever, and one that costs may have no way out. Each function refuses such a world by name.
//!
//! `stop.around(&mdp)` ends each of them with [`Stopped`](model_utils_core::Error::Stopped) between two
//! sweeps.

use model_utils_core::config::{self, ConfigError};
use model_utils_core::event::{Asks as _, Stop, Stoppable};

use crate::environments::Mdp;
use crate::error::{Error, Result};

/// How close two action values count as equally good.
const TIE: f64 = 1e-9;
/// Sweeps, and improvements of a policy, after which it is given up.
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

/// What is done in a state.
#[derive(Clone, Copy)]
enum Acts<'a> {
    /// The best that is possible.
    Best,
    /// What a policy says.
    One(&'a [usize]),
    /// Each action with its probability.
    Shares(&'a [f64]),
}

impl Acts<'_> {
    /// The value of a state, and the best action where that is asked for.
    fn value(self, mdp: &Mdp, values: &[f64], discount: f64, state: usize) -> (f64, usize) {
        let worth = |a: usize| worth(mdp, values, discount, state, a);
        match self {
            Self::Best => actions(mdp, state)
                .map(|a| (worth(a), a))
                .fold((f64::NEG_INFINITY, 0), |best, now| if now.0 > best.0 { now } else { best }),
            Self::One(policy) => (worth(policy[state]), policy[state]),
            Self::Shares(shares) => {
                let share = |a: usize| shares[state * mdp.actions() + a];
                (actions(mdp, state).map(|a| share(a) * worth(a)).sum(), 0)
            }
        }
    }

    /// Whether all that is done in a state leads to states of a set. What is best may be the action
    /// that was best in the last sweep (`chosen`) where one is enough, or any.
    fn stays(self, mdp: &Mdp, state: usize, set: &[bool], chosen: Option<&[usize]>) -> bool {
        let leads = |a: usize| {
            let mut outcomes = mdp.outcomes(state, a).iter().filter(|o| o.probability > 0.0);
            outcomes.all(|o| !o.terminated && set[o.next])
        };
        match (self, chosen) {
            (Self::Best, Some(chosen)) => leads(chosen[state]),
            (Self::Best, None) => actions(mdp, state).all(leads),
            (Self::One(policy), _) => leads(policy[state]),
            (Self::Shares(shares), _) => {
                actions(mdp, state).filter(|a| shares[state * mdp.actions() + a] > 0.0).all(leads)
            }
        }
    }
}

/// Repeats a sweep until no value changes by more than the tolerance.
///
/// With γ = 1 each value moves half of its way, so that no loop swings; then the changes on a loop
/// become equal. Where a whole set of states that is never left grew by at least δ, the next sweep
/// lets it grow by at least δ again, for a sweep is monotone: such values have no end, and that is
/// looked for after 8, 16, 32, … sweeps. The same for values that fall.
fn sweep(
    (mdp, stop): (&Mdp, &Stop),
    values: &mut [f64],
    discount: f64,
    tolerance: f64,
    acts: Acts<'_>,
) -> Result<usize> {
    let is_endless = discount >= 1.0;
    let share = if is_endless { 0.5 } else { 1.0 };
    let mut changes = vec![0.0; mdp.states()];
    let mut chosen = vec![0; mdp.states()];
    let mut most = f64::INFINITY;
    for sweeps in 1..=MOST_SWEEPS {
        stop.check("planning", format_args!("sweep {sweeps}"))?;
        let mut largest = 0.0_f64;
        most = 0.0;
        for state in 0..mdp.states() {
            let (new, action) = acts.value(mdp, values, discount, state);
            changes[state] = new - values[state];
            chosen[state] = action;
            values[state] += share * changes[state];
            most = most.max(changes[state].abs());
            largest = largest.max(values[state].abs());
        }
        if !largest.is_finite() {
            let reason = "a value is beyond double precision".to_owned();
            return Err(Error::world("decision process", reason));
        }
        // Sums of rounded numbers may never become equal.
        let rounding = 8.0 * f64::EPSILON * largest;
        if most <= tolerance.max(rounding) {
            return Ok(sweeps);
        }
        if is_endless && sweeps >= 8 && sweeps.is_power_of_two() {
            let least = tolerance.max(1e3 * rounding);
            let grows = lasting(mdp, acts, Some(&chosen), |state| changes[state] > least);
            let falls = lasting(mdp, acts, None, |state| changes[state] < -least);
            if let Some((state, how)) = grows
                .map(|state| (state, "grow without end, on a loop that pays"))
                .or(falls.map(|state| (state, "fall without end, on a loop that costs")))
            {
                let reason = format!(
                    "with a discount of 1 the value of state {state} would {how}: expected a \
                     discount below 1"
                );
                return Err(Error::world("decision process", reason));
            }
        }
    }
    Err(Error::world(
        "decision process",
        format!(
            "after {MOST_SWEEPS} sweeps values still change by {most:e}, expected at most the \
             tolerance {tolerance:e}: a larger one, or a smaller discount than {discount}"
        ),
    ))
}

/// A state of the largest set within these states that is never left.
fn lasting(
    mdp: &Mdp,
    acts: Acts<'_>,
    chosen: Option<&[usize]>,
    is_in: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut set: Vec<bool> = (0..mdp.states()).map(is_in).collect();
    loop {
        let left = |state: &usize| set[*state] && !acts.stays(mdp, *state, &set, chosen);
        let left: Vec<usize> = (0..mdp.states()).filter(left).collect();
        if left.is_empty() {
            return set.iter().position(|is_in| *is_in);
        }
        for state in left {
            set[state] = false;
        }
    }
}

/// The values of a policy, which says for each state with which probability each action is
/// taken: `[states, actions]`.
///
/// # Errors
///
/// [`Error::Config`] for a discount outside 0..=1, a tolerance of 0, or a
/// policy of another shape or whose shares of the possible actions of a state do not sum to 1,
/// [`Error::World`] for values without end.
pub fn evaluate_policy<'a>(
    mdp: impl Into<Stoppable<&'a Mdp>>,
    policy: &[f64],
    discount: f64,
    tolerance: f64,
) -> Result<Vec<f64>> {
    check(discount, tolerance)?;
    let (mdp, stop) = mdp.into().into_parts();
    let expected = mdp.states() * mdp.actions();
    let found = policy.len();
    config::require(found == expected, "policy", found, format!("{expected} shares"))?;
    for (state, shares) in policy.chunks(mdp.actions()).enumerate() {
        let sum: f64 = actions(mdp, state).map(|a| shares[a]).sum();
        let all: f64 = shares.iter().sum();
        let is_one = |sum: f64| (sum - 1.0).abs() < 1e-6;
        let is_sound = is_one(sum) && is_one(all) && shares.iter().all(|share| *share >= 0.0);
        let expected = || format!("shares of the possible actions of state {state} that sum to 1");
        config::require(is_sound, "policy", sum, expected())?;
    }
    let mut values = vec![0.0; mdp.states()];
    sweep((mdp, &stop), &mut values, discount, tolerance, Acts::Shares(policy))?;
    Ok(values)
}

/// The best values by sweeps of the equation above.
///
/// # Errors
///
/// [`Error::Config`] for a discount outside 0..=1 or a tolerance of 0,
/// [`Error::World`] for values without end: a discount of 1 and a loop that
/// pays, or one that costs and has no way out.
pub fn value_iteration<'a>(
    mdp: impl Into<Stoppable<&'a Mdp>>,
    discount: f64,
    tolerance: f64,
) -> Result<Solution> {
    check(discount, tolerance)?;
    let (mdp, stop) = mdp.into().into_parts();
    let mut values = vec![0.0; mdp.states()];
    let iterations = sweep((mdp, &stop), &mut values, discount, tolerance, Acts::Best)?;
    let policy = greedy(mdp, &values, discount, TIE.max(tolerance * 10.0));
    Ok(Solution { values, policy, iterations })
}

/// The best values by evaluating a policy and improving it until it stays; with a discount of 1 it
/// begins with the policy that [`value_iteration`] finds.
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
    let mut policy = if discount < 1.0 {
        // Any action is as good as the other: the policy ends soon, and so do those that improve it.
        greedy(mdp, &values, discount, f64::INFINITY)
    } else {
        // A loop that costs nothing is no better in one step, so a policy that ends dearly never
        // learns of it; and one that ends may not be there. Sweeps know both.
        value_iteration(stop.around(mdp), discount, tolerance)?.policy
    };
    let tie = TIE.max(tolerance * 10.0);
    for iterations in 1..=MOST_SWEEPS {
        sweep((mdp, &stop), &mut values, discount, tolerance, Acts::One(&policy))?;
        let better = greedy(mdp, &values, discount, tie);
        let is_best = (0..mdp.states()).all(|state| {
            let (most, _) = Acts::Best.value(mdp, &values, discount, state);
            most <= worth(mdp, &values, discount, state, policy[state]) + tie
        });
        policy = better;
        if is_best {
            return Ok(Solution { values, policy, iterations });
        }
    }
    let reason = format!("the policy still changes after {MOST_SWEEPS} improvements");
    Err(Error::world("decision process", reason))
}

/// A greedy policy: of equally good actions one by which the task ends soonest.
///
/// States from which an end is in sight are labelled outwards from the end; a state takes the
/// first of its best actions that may lead to a labelled one.
fn greedy(mdp: &Mdp, values: &[f64], discount: f64, tie: f64) -> Vec<usize> {
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
