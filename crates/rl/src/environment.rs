//! What an environment is.

use std::borrow::Cow;
use std::fmt::Debug;

use model_utils_core::event::Stoppable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// What a step brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<O> {
    /// What is observed after it; at the end of an episode, its final observation.
    pub observation: O,
    /// The reward.
    pub reward: f64,
    /// Whether the task has ended: nothing comes after, and nothing is to be expected.
    pub terminated: bool,
    /// Whether the episode was cut off from outside (a time limit): the task would have gone on,
    /// so that what was to be expected is estimated from the final observation.
    pub truncated: bool,
}

impl<O> Step<O> {
    /// Whether the episode has ended, either way.
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }

    /// The step with another observation.
    pub fn map<P>(self, change: impl FnOnce(O) -> P) -> Step<P> {
        Step {
            observation: change(self.observation),
            reward: self.reward,
            terminated: self.terminated,
            truncated: self.truncated,
        }
    }
}

/// A world in which an agent acts, in plain Rust.
///
/// All of an episode follows from the seed of its reset and the actions.
pub trait Environment {
    /// What is observed: an index or numbers.
    type Observation: Clone + Debug + Send;
    /// What can be done: an index or numbers.
    type Action: Clone + Debug + Send;

    /// What observations and actions may be.
    fn spaces(&self) -> Spaces;

    /// Starts an episode.
    ///
    /// # Errors
    ///
    /// Where the environment cannot start.
    fn reset(&mut self, seed: u64) -> Result<Self::Observation>;

    /// Does one thing.
    ///
    /// # Errors
    ///
    /// [`Error::Action`] for an action outside the space, [`Error::Ended`] after the end of an
    /// episode and before the first reset.
    fn step(&mut self, action: &Self::Action) -> Result<Step<Self::Observation>>;

    /// Which actions are possible now; `None` where all are.
    fn mask(&self) -> Option<&[bool]> {
        None
    }

    /// All that the rest of the episode follows from.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for an environment that cannot save itself.
    fn state(&self) -> Result<Value> {
        Err(Error::Resume("this environment cannot save its state".to_owned()))
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] where the state is not of this environment.
    fn restore(&mut self, _state: &Value) -> Result<()> {
        Err(Error::Resume("this environment cannot take up a state".to_owned()))
    }
}

/// A state as JSON, for [`Environment::state`].
///
/// # Errors
///
/// [`Error::Resume`] for what JSON cannot hold.
pub fn to_state(state: &impl Serialize) -> Result<Value> {
    serde_json::to_value(state).map_err(|error| Error::Resume(error.to_string()))
}

/// A state from JSON, for [`Environment::restore`].
///
/// # Errors
///
/// [`Error::Resume`] where it is not of this type.
pub fn from_state<S: DeserializeOwned>(state: &Value) -> Result<S> {
    S::deserialize(state).map_err(|error| Error::Resume(error.to_string()))
}

/// An observation that a network can read and a file can keep.
pub trait Features: Sized {
    /// Writes it as numbers, as many as `space` has [`features`](Space::features).
    fn write(&self, space: &Space, out: &mut [f32]);

    /// The first number that is NaN or infinite.
    fn not_finite(&self) -> Option<f64>;

    /// All of it as numbers.
    fn numbers(&self) -> Vec<f64>;

    /// From such numbers; `None` where they are not those of such an observation.
    fn from_numbers(numbers: &[f64]) -> Option<Self>;
}

impl Features for usize {
    fn write(&self, _space: &Space, out: &mut [f32]) {
        out.fill(0.0);
        if let Some(one) = out.get_mut(*self) {
            *one = 1.0;
        }
    }

    fn not_finite(&self) -> Option<f64> {
        None
    }

    fn numbers(&self) -> Vec<f64> {
        vec![*self as f64]
    }

    fn from_numbers(numbers: &[f64]) -> Option<Self> {
        numbers.first().map(|x| *x as Self)
    }
}

/// [`Features`] of a vector of numbers.
macro_rules! vector_features {
    ($vector:ty $(, const $length:ident)?) => {
        impl$(<const $length: usize>)? Features for $vector {
            fn write(&self, _space: &Space, out: &mut [f32]) {
                out.iter_mut().zip(self).for_each(|(out, x)| *out = *x as f32);
            }

            fn not_finite(&self) -> Option<f64> {
                self.iter().copied().find(|x| !x.is_finite())
            }

            fn numbers(&self) -> Vec<f64> {
                self.to_vec()
            }

            fn from_numbers(numbers: &[f64]) -> Option<Self> {
                numbers.try_into().ok()
            }
        }
    };
}
vector_features!(Vec<f64>);
vector_features!([f64; N], const N);

/// What an agent decided, before it is an environment's own action type.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice<'a> {
    /// An index.
    Index(usize),
    /// Numbers.
    Numbers(Cow<'a, [f32]>),
}

/// An action that can be made of an agent's [`Choice`].
pub trait Act: Sized {
    /// The action; `None` where the choice is of the other kind or length.
    fn from_choice(choice: &Choice<'_>) -> Option<Self>;
}

impl Act for usize {
    #[inline]
    fn from_choice(choice: &Choice<'_>) -> Option<Self> {
        let Choice::Index(index) = choice else { return None };
        Some(*index)
    }
}

impl Act for Vec<f64> {
    fn from_choice(choice: &Choice<'_>) -> Option<Self> {
        let Choice::Numbers(numbers) = choice else { return None };
        Some(numbers.iter().map(|x| f64::from(*x)).collect())
    }
}

impl<const N: usize> Act for [f64; N] {
    #[inline]
    fn from_choice(choice: &Choice<'_>) -> Option<Self> {
        match choice {
            Choice::Numbers(numbers) if numbers.len() == N => {
                Some(std::array::from_fn(|i| f64::from(numbers[i])))
            }
            _ => None,
        }
    }
}

/// An agent's choice as an action, or an error that names what was expected.
pub(crate) fn action<A: Act>(choice: &Choice<'_>, space: &Space) -> Result<A> {
    A::from_choice(choice).ok_or_else(|| refused(choice, space))
}

/// An [`Error::Action`].
pub(crate) fn refused(action: &impl Debug, space: &Space) -> Error {
    Error::Action { action: format!("{action:?}"), expected: space.to_string() }
}

/// Decides what to do.
pub trait Policy<O, A> {
    /// The action for an observation, among those that the mask allows.
    ///
    /// # Errors
    ///
    /// Where the observation is not what the policy was made for.
    fn act(&self, observation: &O, mask: Option<&[bool]>) -> Result<A>;
}

/// The same policy, until the switch is turned on:
/// `evaluate(&stop.around(&agent), &mut world, 100, 7)` then ends with
/// [`Stopped`](model_utils_core::Error::Stopped).
impl<O, A, P: Policy<O, A> + ?Sized> Policy<O, A> for Stoppable<&P> {
    fn act(&self, observation: &O, mask: Option<&[bool]>) -> Result<A> {
        self.inner("acting", "the next action")?.act(observation, mask)
    }
}

impl<O, A, F: Fn(&O) -> A> Policy<O, A> for F {
    fn act(&self, observation: &O, _mask: Option<&[bool]>) -> Result<A> {
        Ok(self(observation))
    }
}
