use serde_json::Value;

use super::{Actions, Transitions, VectorEnvironment};
use crate::environment::{from_state, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};
use crate::wrappers::Moments;

/// Environments whose observations have mean 0 and deviation 1 by what was seen in all of them, within
/// ±10.
///
/// To judge an agent that learned in it, give
/// [`Normalize::frozen`](crate::wrappers::Normalize::frozen) its [`moments`](Self::moments).
///
/// ```
/// use rl::environments::MountainCar;
/// use rl::vector::{NormalizedVector, VectorEnvironment as _};
///
/// let cars = NormalizedVector::new(MountainCar::make_vec(4, 42)?)?;
/// assert!(cars.observations().iter().all(|x| x.abs() < 2.0));
/// # Ok::<(), rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NormalizedVector<V> {
    inner: V,
    spaces: Spaces,
    moments: Moments,
    learning: bool,
    observations: Vec<f32>,
    transitions: Transitions,
}

impl<V: VectorEnvironment> NormalizedVector<V> {
    /// The environments, seen so.
    ///
    /// # Errors
    ///
    /// [`Error::Spaces`] for observations that are not numbers.
    pub fn new(inner: V) -> Result<Self> {
        let Spaces { observation, action } = inner.spaces().clone();
        let Space::Continuous { low, .. } = &observation else {
            return Err(Error::spaces("observation", observation, "numbers"));
        };
        let (length, count) = (low.len(), inner.count());
        let mut all = Self {
            inner,
            spaces: Spaces { observation: Space::symmetric(length, Moments::MOST), action },
            moments: Moments::new(length),
            learning: true,
            observations: Vec::new(),
            transitions: Transitions::new(count, length),
        };
        all.observe();
        Ok(all)
    }

    /// The statistics stay as they are.
    #[must_use]
    pub fn freeze(mut self) -> Self {
        self.learning = false;
        self
    }

    /// What was seen.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    fn observe(&mut self) {
        let rows = self.inner.observations();
        if self.learning {
            rows.chunks(self.moments.mean().len()).for_each(|row| self.moments.push(row));
        }
        self.observations = self.moments.normalized(rows);
    }
}

impl<V: VectorEnvironment> VectorEnvironment for NormalizedVector<V> {
    fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    fn count(&self) -> usize {
        self.inner.count()
    }

    fn observations(&self) -> &[f32] {
        &self.observations
    }

    fn masks(&self) -> Option<&[bool]> {
        self.inner.masks()
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.inner.reset(seed)?;
        self.observe();
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions> {
        self.transitions.clone_from(self.inner.step(actions)?);
        self.observe();
        let last = &mut self.transitions.final_observations;
        *last = self.moments.normalized(last);
        Ok(&self.transitions)
    }

    fn state(&self) -> Result<Value> {
        to_state(&(&self.moments, &self.observations, self.inner.state()?))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let (moments, observations, inner): (Moments, Vec<f32>, Value) = from_state(state)?;
        moments.expect(self.moments.mean().len())?;
        if observations.len() != self.observations.len() {
            return Err(Error::Resume("observations of another shape".to_owned()));
        }
        self.inner.restore(&inner)?;
        // Whether the statistics stay is not theirs to say.
        (self.moments, self.observations) = (moments, observations);
        Ok(())
    }
}
