use std::collections::VecDeque;

use model_utils_core::config;
use serde_json::Value;

use crate::environment::{Environment, Features, Step, from_state, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// Observes the last few observations, the oldest first; the first one stands for those before it.
#[derive(Debug, Clone)]
pub struct FrameStack<E> {
    inner: E,
    count: usize,
    frames: VecDeque<Vec<f64>>,
}

impl<E: Environment> FrameStack<E>
where
    E::Observation: Features,
{
    /// The environment seen through its last `count` observations.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none, [`Error::Spaces`] for observations that are an index.
    pub fn new(inner: E, count: usize) -> Result<Self> {
        config::at_least("count", count, 1)?;
        let space = inner.spaces().observation;
        if let Space::Discrete(_) = space {
            return Err(Error::spaces("observation", space, "numbers"));
        }
        Ok(Self { inner, count, frames: VecDeque::new() })
    }

    fn push(&mut self, observation: &E::Observation) -> Vec<f64> {
        if self.frames.len() == self.count {
            self.frames.pop_front();
        }
        while self.frames.len() < self.count {
            self.frames.push_back(observation.numbers());
        }
        self.frames.iter().flatten().copied().collect()
    }
}

impl<E: Environment> Environment for FrameStack<E>
where
    E::Observation: Features,
{
    type Observation = Vec<f64>;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        let Spaces { observation, action } = self.inner.spaces();
        let observation = match observation {
            Space::Continuous { low, high } => {
                Space::Continuous { low: low.repeat(self.count), high: high.repeat(self.count) }
            }
            other @ Space::Discrete(_) => other,
        };
        Spaces { observation, action }
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        self.frames.clear();
        let observation = self.inner.reset(seed)?;
        Ok(self.push(&observation))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<Vec<f64>>> {
        let step = self.inner.step(action)?;
        let frames = self.push(&step.observation);
        Ok(step.map(|_| frames))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.inner.mask()
    }

    fn state(&self) -> Result<Value> {
        to_state(&(&self.frames, self.inner.state()?))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let inner: Value;
        (self.frames, inner) = from_state(state)?;
        self.inner.restore(&inner)
    }
}
