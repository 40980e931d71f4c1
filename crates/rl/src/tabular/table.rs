use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use crate::environment::Policy;
use model_utils_core::ConfigError;

use crate::error::{Error, Result};

/// A value for each state and action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QTable {
    actions: usize,
    /// `[states, actions]`
    values: Vec<f64>,
}

impl QTable {
    /// A table of one value.
    pub fn new(states: usize, actions: usize, value: f64) -> Self {
        Self { actions, values: vec![value; states * actions] }
    }

    /// States and actions.
    pub fn shape(&self) -> [usize; 2] {
        [self.values.len() / self.actions.max(1), self.actions]
    }

    /// How many actions there are.
    #[inline]
    pub(super) fn actions(&self) -> usize {
        self.actions
    }

    /// The values of a state's actions.
    #[inline]
    pub fn row(&self, state: usize) -> &[f64] {
        &self.values[state * self.actions..(state + 1) * self.actions]
    }

    /// A value.
    #[inline]
    pub fn get(&self, state: usize, action: usize) -> f64 {
        self.values[state * self.actions + action]
    }

    /// Moves a value by a share of its distance towards a goal.
    #[inline]
    pub(super) fn move_towards(&mut self, state: usize, action: usize, goal: f64, share: f64) {
        let value = &mut self.values[state * self.actions + action];
        *value += share * (goal - *value);
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// The best possible action, the first of equals.
    #[inline]
    pub fn best(&self, state: usize, mask: Option<&[bool]>) -> usize {
        best(self.row(state), mask)
    }

    /// The value of the best possible action.
    #[inline]
    pub fn most(&self, state: usize, mask: Option<&[bool]>) -> f64 {
        let row = self.row(state);
        match mask {
            None => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Some(_) => row[best(row, mask)],
        }
    }
}

/// The best possible action, the first of equals.
#[inline]
pub(super) fn best(row: &[f64], mask: Option<&[bool]>) -> usize {
    let (mut choice, mut most) = (0, f64::NEG_INFINITY);
    for (action, value) in row.iter().enumerate() {
        if *value > most && mask.is_none_or(|mask| mask[action]) {
            (choice, most) = (action, *value);
        }
    }
    choice
}

/// The best possible action, one of equals at random.
#[inline]
#[allow(clippy::float_cmp)] // Equal values are meant.
pub(super) fn best_of_equals(row: &[f64], mask: Option<&[bool]>, random: &mut Random) -> usize {
    let (mut choice, mut most, mut equals) = (0, f64::NEG_INFINITY, 0_usize);
    for (action, value) in row.iter().enumerate() {
        if mask.is_some_and(|mask| !mask[action]) {
            continue;
        }
        if *value > most {
            (choice, most, equals) = (action, *value, 1);
        } else if *value == most {
            equals += 1;
        }
    }
    if equals <= 1 {
        return choice;
    }
    let pick = random.below(equals);
    let equal = |(action, value): (usize, &f64)| {
        (*value == most && mask.is_none_or(|mask| mask[action])).then_some(action)
    };
    row.iter().enumerate().filter_map(equal).nth(pick).unwrap_or(choice)
}

/// A state that the table has.
#[inline]
pub(super) fn known(state: usize, states: usize) -> Result<usize> {
    if state < states {
        return Ok(state);
    }
    Err(ConfigError::new("observation", state, format!("one of 0..{states}")).into())
}

/// A mask with an entry for each action, that allows one.
#[inline]
pub(super) fn possible(mask: Option<&[bool]>, actions: usize) -> Result<Option<&[bool]>> {
    let reason = match mask {
        Some(mask) if mask.len() != actions => {
            format!("it has {} entries, expected {actions}", mask.len())
        }
        Some(mask) if !mask.contains(&true) => "it allows nothing".to_owned(),
        _ => return Ok(mask),
    };
    Err(Error::world("action mask", reason))
}

impl Policy<usize, usize> for QTable {
    fn act(&self, observation: &usize, mask: Option<&[bool]>) -> Result<usize> {
        let [states, actions] = self.shape();
        Ok(self.best(known(*observation, states)?, possible(mask, actions)?))
    }
}
