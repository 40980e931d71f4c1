//! Worlds of finitely many states, as a table of what may happen.

use std::sync::Arc;

use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{Environment, Step, from_state, refused, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// One thing that an action may lead to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// How probable it is.
    pub probability: f64,
    /// The state after it.
    pub next: usize,
    /// The reward.
    pub reward: f64,
    /// Whether the task ends there.
    pub terminated: bool,
}

impl Outcome {
    /// What certainly happens.
    pub fn certain(next: usize, reward: f64, terminated: bool) -> Self {
        Self { probability: 1.0, next, reward, terminated }
    }
}

/// A Markov decision process: for each state and action, what may happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Mdp {
    states: usize,
    actions: usize,
    /// Where the outcomes of each pair begin; one more at the end.
    offsets: Vec<u32>,
    outcomes: Vec<Outcome>,
    /// `[states, actions]`, where not every action is possible everywhere.
    allowed: Option<Vec<bool>>,
    starts: Vec<f64>,
}

impl Mdp {
    /// The process in which `happens(state, action)` says what may happen; an action without
    /// outcomes is impossible there. `starts` are the probabilities of the first state.
    ///
    /// # Errors
    ///
    /// [`Error::World`] where there are no states or actions, a state has no possible action,
    /// probabilities do not sum to 1, a reward is not finite, or an outcome leads nowhere.
    pub fn new(
        actions: usize,
        starts: Vec<f64>,
        mut happens: impl FnMut(usize, usize) -> Vec<Outcome>,
    ) -> Result<Self> {
        let bad = |reason: String| Err(Error::world("decision process", reason));
        let states = starts.len();
        if states == 0 || actions == 0 {
            return bad(format!("{states} states and {actions} actions, expected at least 1"));
        }
        if states.checked_mul(actions).is_none_or(|pairs| pairs > 1 << 28) {
            return bad(format!("{states} states and {actions} actions, at most 2²⁸ pairs"));
        }
        let is_one = |sum: f64| (sum - 1.0).abs() < 1e-9;
        if !is_one(starts.iter().sum()) || starts.iter().any(|p| *p < 0.0) {
            return bad(format!("the probabilities of the first state are {starts:?}"));
        }
        let (mut offsets, mut outcomes) = (vec![0], Vec::new());
        let mut allowed = Vec::with_capacity(states * actions);
        for state in 0..states {
            for action in 0..actions {
                let here = happens(state, action);
                allowed.push(!here.is_empty());
                let sum: f64 = here.iter().map(|o| o.probability).sum();
                let sound =
                    |o: &Outcome| o.next < states && o.reward.is_finite() && o.probability >= 0.0;
                if !here.is_empty() && !is_one(sum) || !here.iter().all(sound) {
                    return bad(format!("state {state}, action {action}: {here:?}"));
                }
                outcomes.extend(here);
                offsets.push(outcomes.len() as u32);
            }
            if !allowed[state * actions..].contains(&true) {
                return bad(format!("state {state} has no action"));
            }
        }
        let allowed = allowed.contains(&false).then_some(allowed);
        Ok(Self { states, actions, offsets, outcomes, allowed, starts })
    }

    /// How many states there are.
    pub fn states(&self) -> usize {
        self.states
    }

    /// How many actions there are.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// The probability that an episode starts in each state.
    pub fn starts(&self) -> &[f64] {
        &self.starts
    }

    /// What an action in a state may lead to; nothing where it is impossible.
    #[inline]
    pub fn outcomes(&self, state: usize, action: usize) -> &[Outcome] {
        let pair = state * self.actions + action;
        &self.outcomes[self.offsets[pair] as usize..self.offsets[pair + 1] as usize]
    }

    /// Which actions are possible in a state; `None` where all are.
    #[inline]
    pub fn mask(&self, state: usize) -> Option<&[bool]> {
        let allowed = self.allowed.as_ref()?;
        Some(&allowed[state * self.actions..(state + 1) * self.actions])
    }

    /// The world to act in.
    pub fn environment(self) -> Finite {
        let start = self.starts.iter().position(|p| (*p - 1.0).abs() < 1e-12);
        Finite { mdp: Arc::new(self), start, now: Now::default() }
    }
}

/// A world of finitely many states. Its clones share the table.
#[derive(Debug, Clone)]
pub struct Finite {
    mdp: Arc<Mdp>,
    /// The first state, where it is certain.
    start: Option<usize>,
    now: Now,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Now {
    state: usize,
    running: bool,
    random: Random,
}

impl Default for Now {
    fn default() -> Self {
        Self { state: 0, running: false, random: Random::new(0) }
    }
}

impl Finite {
    /// The table.
    pub fn mdp(&self) -> &Mdp {
        &self.mdp
    }

    /// Goes on in a given state.
    ///
    /// # Errors
    ///
    /// [`Error::World`] for a state that is not there.
    pub fn start_in(&mut self, state: usize) -> Result<()> {
        if state >= self.mdp.states {
            let reason = format!("state {state} of {}", self.mdp.states);
            return Err(Error::world("decision process", reason));
        }
        (self.now.state, self.now.running) = (state, true);
        Ok(())
    }
}

impl Environment for Finite {
    type Observation = usize;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces {
            observation: Space::Discrete(self.mdp.states),
            action: Space::Discrete(self.mdp.actions),
        }
    }

    #[inline]
    fn reset(&mut self, seed: u64) -> Result<usize> {
        let mut random = Random::new(seed);
        let starts = &self.mdp.starts;
        let state = self.start.or_else(|| random.weighted(starts.iter().copied())).unwrap_or(0);
        self.now = Now { state, running: true, random };
        Ok(state)
    }

    #[inline]
    fn step(&mut self, action: &usize) -> Result<Step<usize>> {
        if !self.now.running {
            return Err(Error::Ended);
        }
        if *action >= self.mdp.actions {
            return Err(refused(action, &Space::Discrete(self.mdp.actions)));
        }
        let outcome = match self.mdp.outcomes(self.now.state, *action) {
            [certain] => certain,
            [] => {
                let possible = (0..self.mdp.actions)
                    .filter(|a| !self.mdp.outcomes(self.now.state, *a).is_empty());
                let expected = format!(
                    "one of {:?} in state {}",
                    possible.collect::<Vec<_>>(),
                    self.now.state
                );
                return Err(Error::Action { action: action.to_string(), expected });
            }
            many => {
                let drawn = self.now.random.weighted(many.iter().map(|o| o.probability));
                &many[drawn.unwrap_or(0)]
            }
        };
        self.now.state = outcome.next;
        self.now.running = !outcome.terminated;
        Ok(Step::new(outcome.next, outcome.reward).terminated(outcome.terminated))
    }

    #[inline]
    fn mask(&self) -> Option<&[bool]> {
        self.mdp.mask(self.now.state)
    }

    fn state(&self) -> Result<Value> {
        to_state(&self.now)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let now: Now = from_state(state)?;
        if now.state >= self.mdp.states {
            return Err(Error::Resume(format!("state {} of {}", now.state, self.mdp.states)));
        }
        self.now = now;
        Ok(())
    }
}
