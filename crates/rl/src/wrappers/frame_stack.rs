use std::collections::VecDeque;

use model_utils_core::config;
use serde_json::Value;

use crate::environment::{Element, Environment, Step, from_state, to_state};
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
    E::Observation: Element,
{
    /// The environment seen through its last `count` observations.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none, [`Error::Spaces`] for observations that are neither numbers nor an
    /// image.
    pub fn new(inner: E, count: usize) -> Result<Self> {
        config::require((1..=1 << 10).contains(&count), "count", count, "1 to 1024")?;
        let space = inner.spaces().observation;
        if !matches!(space, Space::Continuous { .. } | Space::Image { .. }) {
            return Err(Error::spaces("observation", space, "numbers or an image"));
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
    E::Observation: Element,
{
    type Observation = Vec<f64>;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        let Spaces { observation, action } = self.inner.spaces();
        let observation = match observation {
            Space::Continuous { low, high } => {
                Space::Continuous { low: low.repeat(self.count), high: high.repeat(self.count) }
            }
            // The frames' channels one after the other.
            Space::Image { shape: [channels, height, width], most } => {
                Space::Image { shape: [channels * self.count, height, width], most }
            }
            other => other,
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
        let (frames, inner): (VecDeque<Vec<f64>>, Value) = from_state(state)?;
        let length = self.inner.spaces().observation.numbers();
        if frames.len() > self.count || frames.iter().any(|frame| frame.len() != length) {
            return Err(Error::Resume(format!("frames that are not {length} numbers each")));
        }
        self.inner.restore(&inner)?;
        self.frames = frames;
        Ok(())
    }
}
