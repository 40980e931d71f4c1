//! What a world of a few numbers is made of.

use std::fmt::Debug;

use model_utils_core::random::Random;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::environment::{Element, refused};
use crate::error::Result;
use crate::space::{Space, Spaces};

/// The numbers of a state: `[f64; N]`.
pub trait Columns:
    Copy + Debug + Default + AsRef<[f64]> + AsMut<[f64]> + Serialize + DeserializeOwned + Send + Sync
{
}

impl<T> Columns for T where
    T: Copy
        + Debug
        + Default
        + AsRef<[f64]>
        + AsMut<[f64]>
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// The equations of a world whose state is a few numbers, and their constants; the state is
/// apart.
pub trait Dynamics: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync {
    /// What the world is in: `[f64; N]`.
    type State: Columns;
    /// What is observed: `[f64; N]`.
    type Observation: Columns + Element;
    /// What can be done: an index or `[f64; N]`.
    type Action: Element + Clone + Debug + Send + Sync;
    /// Its name in Gymnasium.
    const NAME: &'static str;
    /// The steps after which Gymnasium truncates an episode.
    const LIMIT: u64;

    /// What observations and actions may be.
    fn spaces(&self) -> Spaces;

    /// The state that an episode starts in.
    fn start(&self, random: &mut Random) -> Self::State;

    /// One step; the reward, and whether it ends the task. The action was checked.
    fn advance(&self, state: &mut Self::State, action: &Self::Action) -> (f64, bool);

    /// What is observed of a state.
    fn observe(&self, state: &Self::State) -> Self::Observation;

    /// Refuses an action outside the space.
    ///
    /// # Errors
    ///
    /// [`Error::Action`](crate::Error::Action).
    fn check(&self, action: &Self::Action) -> Result<()>;

    /// [`advance`](Self::advance) for many states that lie side by side.
    fn advance_columns(
        &self,
        columns: &mut [Vec<f64>],
        actions: &[Self::Action],
        rewards: &mut [f64],
        terminated: &mut [bool],
    ) {
        for (i, action) in actions.iter().enumerate() {
            let mut state = Self::State::default();
            state.as_mut().iter_mut().zip(&*columns).for_each(|(x, column)| *x = column[i]);
            (rewards[i], terminated[i]) = self.advance(&mut state, action);
            columns.iter_mut().zip(state.as_ref()).for_each(|(column, x)| column[i] = *x);
        }
    }

    /// [`observe`](Self::observe) for many states. `[count, features]`
    fn observe_columns(&self, columns: &[Vec<f64>], out: &mut [f32]) {
        let features = Self::Observation::default().as_ref().len();
        for (i, row) in out.chunks_exact_mut(features).enumerate() {
            let mut state = Self::State::default();
            state.as_mut().iter_mut().zip(columns).for_each(|(x, column)| *x = column[i]);
            let observation = self.observe(&state);
            row.iter_mut().zip(observation.as_ref()).for_each(|(out, x)| *out = *x as f32);
        }
    }
}

/// Refuses an index that the space does not hold.
pub(super) fn check_index(index: usize, space: &Space) -> Result<()> {
    if space.holds_index(index) { Ok(()) } else { Err(refused(&index, space)) }
}

/// Refuses numbers that are not finite. Finite ones beyond the ends are clipped by the dynamics,
/// as in Gymnasium.
pub(super) fn check_numbers(numbers: &[f64], space: &Space) -> Result<()> {
    if numbers.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(refused(&numbers, space)) }
}
