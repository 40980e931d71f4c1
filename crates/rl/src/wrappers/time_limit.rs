use model_utils_core::config;
use serde_json::Value;

use crate::environment::{Environment, Step, from_state, to_state};
use crate::error::{Error, Result};
use crate::space::Spaces;

/// Truncates episodes after so many steps.
#[derive(Debug, Clone)]
pub struct TimeLimit<E> {
    inner: E,
    limit: u64,
    elapsed: u64,
    running: bool,
}

impl<E: Environment> TimeLimit<E> {
    /// The environment with a limit.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for 0 steps.
    pub fn new(inner: E, limit: u64) -> Result<Self> {
        config::at_least("limit", limit, 1)?;
        Ok(Self { inner, limit, elapsed: 0, running: false })
    }

    /// The environment within.
    pub fn inner(&self) -> &E {
        &self.inner
    }
}

impl<E: Environment> Environment for TimeLimit<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        self.inner.spaces()
    }

    #[inline]
    fn reset(&mut self, seed: u64) -> Result<E::Observation> {
        self.running = false;
        let observation = self.inner.reset(seed)?;
        (self.elapsed, self.running) = (0, true);
        Ok(observation)
    }

    #[inline]
    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>> {
        if !self.running {
            return Err(Error::Ended);
        }
        let mut step = self.inner.step(action)?;
        self.elapsed += 1;
        step.truncated |= self.elapsed >= self.limit && !step.terminated;
        self.running = !step.ended();
        Ok(step)
    }

    #[inline]
    fn mask(&self) -> Option<&[bool]> {
        self.inner.mask()
    }

    fn state(&self) -> Result<Value> {
        to_state(&(self.elapsed, self.running, self.inner.state()?))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let (elapsed, running, inner): (_, _, Value) = from_state(state)?;
        self.inner.restore(&inner)?;
        (self.elapsed, self.running) = (elapsed, running);
        Ok(())
    }
}
