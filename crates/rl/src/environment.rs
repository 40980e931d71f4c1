//! What an environment is.

use std::borrow::Cow;
use std::fmt::Debug;

use model_utils_core::event::Stoppable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::space::{Misfit, Space, Spaces};

/// Numbers beside a step, by name: what a user wants to see of the world and an agent must not.
pub type Info = Vec<(Cow<'static, str>, f64)>;

/// What a step brought.
///
/// ```
/// use rl::Step;
///
/// let step = Step::new([0.5], 1.0).truncated(true).info("fuel", 3.5);
/// assert!(step.ended() && !step.terminated);
/// ```
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
    /// What else there is to know; agents do not see it.
    pub info: Info,
}

impl<O> Step<O> {
    /// A step after which the episode goes on.
    pub fn new(observation: O, reward: f64) -> Self {
        Self { observation, reward, terminated: false, truncated: false, info: Info::new() }
    }

    /// Says whether the task has ended.
    #[must_use]
    pub fn terminated(self, terminated: bool) -> Self {
        Self { terminated, ..self }
    }

    /// Says whether the episode was cut off from outside.
    #[must_use]
    pub fn truncated(self, truncated: bool) -> Self {
        Self { truncated, ..self }
    }

    /// Adds a number by name.
    #[must_use]
    pub fn info(mut self, name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        self.info.push((name.into(), value));
        self
    }

    /// Whether the episode has ended, either way.
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }

    /// The step with another observation.
    pub fn map<P>(self, change: impl FnOnce(O) -> P) -> Step<P> {
        let Self { observation, reward, terminated, truncated, info } = self;
        Step { observation: change(observation), reward, terminated, truncated, info }
    }
}

/// A world in which an agent acts, in plain Rust.
///
/// All of an episode follows from the seed of its reset and the actions. [`check`](fn@crate::check)
/// plays one and says what it does not keep.
pub trait Environment {
    /// What is observed: an index, numbers, a structure of them ([`Element`]).
    type Observation: Clone + Debug + Send;
    /// What can be done, likewise.
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

    /// Which actions are possible now, an entry for each of the action space's
    /// [`choices`](Space::choices); `None` where all are.
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

/// [`Environment`] of what points to one.
macro_rules! points {
    ($pointer:ty) => {
        impl<E: Environment + ?Sized> Environment for $pointer {
            type Observation = E::Observation;
            type Action = E::Action;

            fn spaces(&self) -> Spaces {
                (**self).spaces()
            }

            fn reset(&mut self, seed: u64) -> Result<E::Observation> {
                (**self).reset(seed)
            }

            fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>> {
                (**self).step(action)
            }

            fn mask(&self) -> Option<&[bool]> {
                (**self).mask()
            }

            fn state(&self) -> Result<Value> {
                (**self).state()
            }

            fn restore(&mut self, state: &Value) -> Result<()> {
                (**self).restore(state)
            }
        }
    };
}
points!(Box<E>);
points!(&mut E);

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

/// An element of a [`Space`]: an observation that a network can read and a file can keep, an action
/// that can be made of what a network chose.
///
/// [`element!`](crate::element) makes a structure one.
pub trait Element: Sized {
    /// Appends its flat numbers.
    fn write(&self, out: &mut Vec<f64>);

    /// From flat numbers, as many as the space has; `None` where they are not those of such an
    /// element.
    fn read(space: &Space, numbers: &[f64]) -> Option<Self>;

    /// Its flat numbers.
    fn numbers(&self) -> Vec<f64> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Whether it has the form of an element of the space.
    ///
    /// # Errors
    ///
    /// As [`Space::form`].
    fn form(&self, space: &Space) -> Result<(), Misfit> {
        space.form(&self.numbers())
    }

    /// Writes it as features.
    ///
    /// # Errors
    ///
    /// As [`Space::form`].
    fn encode(&self, space: &Space, out: &mut [f32]) -> Result<(), Misfit> {
        space.encode(&self.numbers(), out)
    }
}

impl Element for usize {
    fn write(&self, out: &mut Vec<f64>) {
        out.push(*self as f64);
    }

    #[inline]
    fn read(space: &Space, numbers: &[f64]) -> Option<Self> {
        match (space, numbers) {
            (Space::Discrete(_), [x]) => Some(*x as Self),
            _ => None,
        }
    }

    #[inline]
    fn form(&self, space: &Space) -> Result<(), Misfit> {
        if space.holds_index(*self) { Ok(()) } else { space.form(&[*self as f64]) }
    }
}

/// [`Element`] of numbers of one type in a row.
macro_rules! rows {
    ($row:ty $([const $length:ident])?, $spaces:pat, $to:expr, $from:expr) => {
        impl$(<const $length: usize>)? Element for $row {
            fn write(&self, out: &mut Vec<f64>) {
                out.extend(self.iter().copied().map($to));
            }

            fn read(space: &Space, numbers: &[f64]) -> Option<Self> {
                if !matches!(space, $spaces) {
                    return None;
                }
                numbers.iter().copied().map($from).collect::<Vec<_>>().try_into().ok()
            }
        }
    };
}
rows!([usize; N] [const N], Space::MultiDiscrete(_), |x| x as f64, |x| x as usize);
rows!(Vec<usize>, Space::MultiDiscrete(_), |x| x as f64, |x| x as usize);
rows!([bool; N] [const N], Space::MultiBinary(_), |x| f64::from(u8::from(x)), |x| x > 0.5);
rows!(Vec<bool>, Space::MultiBinary(_), |x| f64::from(u8::from(x)), |x| x > 0.5);
rows!(Vec<u8>, Space::Image { .. }, f64::from, |x| x as u8);

impl Element for Vec<f64> {
    fn write(&self, out: &mut Vec<f64>) {
        out.extend_from_slice(self);
    }

    fn read(_space: &Space, numbers: &[f64]) -> Option<Self> {
        Some(numbers.to_vec())
    }

    fn form(&self, space: &Space) -> Result<(), Misfit> {
        space.form(self)
    }

    fn encode(&self, space: &Space, out: &mut [f32]) -> Result<(), Misfit> {
        space.encode(self, out)
    }
}

impl<const N: usize> Element for [f64; N] {
    fn write(&self, out: &mut Vec<f64>) {
        out.extend_from_slice(self);
    }

    #[inline]
    fn read(space: &Space, numbers: &[f64]) -> Option<Self> {
        match space {
            Space::Continuous { .. } | Space::Image { .. } => numbers.try_into().ok(),
            _ => None,
        }
    }

    #[inline]
    fn form(&self, space: &Space) -> Result<(), Misfit> {
        space.form(self)
    }

    #[inline]
    fn encode(&self, space: &Space, out: &mut [f32]) -> Result<(), Misfit> {
        space.encode(self, out)
    }
}

/// Reads the parts of a [`Space::Tuple`] or [`Space::Dict`] one after the other.
#[derive(Debug)]
pub struct Parts<'a> {
    space: &'a Space,
    numbers: &'a [f64],
    next: usize,
}

impl<'a> Parts<'a> {
    /// Of flat numbers.
    pub fn new(space: &'a Space, numbers: &'a [f64]) -> Self {
        Self { space, numbers, next: 0 }
    }

    /// The next part; `None` where there is none, and where it is not of this type.
    pub fn read<T: Element>(&mut self) -> Option<T> {
        let (part, numbers) = self.space.along(self.numbers).nth(self.next)?;
        self.next += 1;
        if numbers.len() == part.numbers() { T::read(part, numbers) } else { None }
    }

    /// The next part, which has this name.
    pub fn named<T: Element>(&mut self, name: &str) -> Option<T> {
        let Space::Dict(parts) = self.space else { return None };
        let (found, _) = parts.get(self.next)?;
        if found == name { self.read() } else { None }
    }

    /// What was read, where nothing is left.
    pub fn end<T>(self, read: T) -> Option<T> {
        self.space.along(self.numbers).nth(self.next).is_none().then_some(read)
    }
}

/// [`Element`] of tuples.
macro_rules! tuples {
    ($($part:ident $place:tt),+) => {
        impl<$($part: Element),+> Element for ($($part,)+) {
            fn write(&self, out: &mut Vec<f64>) {
                $(self.$place.write(out);)+
            }

            fn read(space: &Space, numbers: &[f64]) -> Option<Self> {
                let mut parts = Parts::new(space, numbers);
                let read = ($(parts.read::<$part>()?,)+);
                parts.end(read)
            }
        }
    };
}
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);

/// Makes a structure an [`Element`](crate::environment::Element) of a
/// [`Space::Dict`](crate::Space::Dict) with its fields' names, in this order.
///
/// ```
/// use rl::Space;
/// use rl::environment::Element as _;
///
/// #[derive(Debug, Clone)]
/// struct Seen {
///     stock: [f64; 2],
///     weekday: usize,
/// }
/// rl::element!(Seen { stock, weekday });
///
/// let space = Space::Dict(vec![
///     ("stock".into(), Space::symmetric(2, 9.0)),
///     ("weekday".into(), Space::Discrete(7)),
/// ]);
/// let seen = Seen { stock: [3.0, 5.0], weekday: 6 };
/// assert_eq!(seen.numbers(), [3.0, 5.0, 6.0]);
/// assert_eq!(space.features(), 2 + 7);
/// assert_eq!(Seen::read(&space, &[3.0, 5.0, 6.0]).unwrap().weekday, 6);
/// ```
#[macro_export]
macro_rules! element {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::environment::Element for $type {
            fn write(&self, out: &mut Vec<f64>) {
                $($crate::environment::Element::write(&self.$field, out);)+
            }

            fn read(space: &$crate::Space, numbers: &[f64]) -> Option<Self> {
                let mut parts = $crate::environment::Parts::new(space, numbers);
                let read = Self { $($field: parts.named(stringify!($field))?,)+ };
                parts.end(read)
            }
        }
    };
}

/// Flat numbers as an action, or an error that names what was expected.
pub(crate) fn action<A: Element>(numbers: &[f64], space: &Space) -> Result<A> {
    let read = space.form(numbers).ok().and_then(|()| A::read(space, numbers));
    read.ok_or_else(|| refused(&numbers, space))
}

/// An [`Error::Action`].
pub(crate) fn refused(action: &impl Debug, space: &Space) -> Error {
    Error::Action { action: format!("{action:?}"), expected: space.to_string() }
}

/// An observation at fault, as an error.
pub(crate) fn misfit(fault: Misfit, space: &Space, environment: usize, step: u64) -> Error {
    match fault {
        Misfit::NotFinite(value) => {
            Error::NotFinite { what: "observation", value, environment, step }
        }
        other => Error::Observation {
            found: other.to_string(),
            expected: space.to_string(),
            environment,
            step,
        },
    }
}

/// A reward that is not a finite number in single precision, as an error.
pub(crate) fn check_reward(value: f64, environment: usize, step: u64) -> Result<()> {
    if (value as f32).is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { what: "reward", value, environment, step })
}

/// Decides what to do.
pub trait Policy<O, A> {
    /// The action for an observation, among those that the mask allows.
    ///
    /// # Errors
    ///
    /// Where the observation is not what the policy was made for.
    fn act(&self, observation: &O, mask: Option<&[bool]>) -> Result<A>;

    /// The spaces that it was made for, where it was made for some.
    fn spaces(&self) -> Option<&Spaces> {
        None
    }
}

/// The same policy, until the switch is turned on:
/// `evaluate(&stop.around(&agent), &mut world, 100, 7)` then ends with
/// [`Stopped`](model_utils_core::Error::Stopped).
impl<O, A, P: Policy<O, A> + ?Sized> Policy<O, A> for Stoppable<&P> {
    fn act(&self, observation: &O, mask: Option<&[bool]>) -> Result<A> {
        self.inner("acting", "the next action")?.act(observation, mask)
    }

    fn spaces(&self) -> Option<&Spaces> {
        self.get_ref().spaces()
    }
}

impl<O, A, F: Fn(&O) -> A> Policy<O, A> for F {
    fn act(&self, observation: &O, _mask: Option<&[bool]>) -> Result<A> {
        Ok(self(observation))
    }
}
