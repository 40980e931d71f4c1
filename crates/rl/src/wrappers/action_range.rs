use serde_json::Value;

use crate::environment::{Element, Environment, Step, action, refused};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// Takes numbers in other ranges than the environment's own.
///
/// ```
/// use rl::Environment;
/// use rl::environments::Pendulum;
/// use rl::wrappers::ActionRange;
///
/// // Torques in −1..=1 of the greatest.
/// let mut pendulum = ActionRange::rescaled(Pendulum::new())?;
/// pendulum.reset(42)?;
/// pendulum.step(&vec![-1.0])?;
/// // Torques of any size, of which the greatest is taken.
/// let mut pendulum = ActionRange::clipped(Pendulum::new())?;
/// pendulum.reset(42)?;
/// pendulum.step(&vec![-1e9])?;
/// # Ok::<_, rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ActionRange<E> {
    inner: E,
    low: Vec<f64>,
    high: Vec<f64>,
    /// The space within.
    within: Space,
    /// Whether actions are in −1..=1 of the range, or any numbers.
    rescales: bool,
}

impl<E: Environment> ActionRange<E> {
    /// The environment whose actions are in −1..=1 of their ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Spaces`] for actions that are not numbers with finite ends.
    pub fn rescaled(inner: E) -> Result<Self> {
        let all = Self::new(inner, true)?;
        if all.low.iter().chain(&all.high).all(|end| end.is_finite()) {
            return Ok(all);
        }
        Err(Error::spaces("action", all.within, "numbers with finite ends"))
    }

    /// The environment whose actions are any numbers: the nearest end is taken for one beyond it.
    ///
    /// # Errors
    ///
    /// [`Error::Spaces`] for actions that are not numbers.
    pub fn clipped(inner: E) -> Result<Self> {
        Self::new(inner, false)
    }

    fn new(inner: E, rescales: bool) -> Result<Self> {
        let within = inner.spaces().action;
        let Space::Continuous { low, high } = within.clone() else {
            return Err(Error::spaces("action", within, "numbers"));
        };
        Ok(Self { inner, low, high, within, rescales })
    }
}

impl<E: Environment> Environment for ActionRange<E>
where
    E::Action: Element,
{
    type Observation = E::Observation;
    type Action = Vec<f64>;

    fn spaces(&self) -> Spaces {
        let most = if self.rescales { 1.0 } else { f64::INFINITY };
        let action = Space::symmetric(self.low.len(), most);
        Spaces { observation: self.inner.spaces().observation, action }
    }

    fn reset(&mut self, seed: u64) -> Result<E::Observation> {
        self.inner.reset(seed)
    }

    fn step(&mut self, numbers: &Vec<f64>) -> Result<Step<E::Observation>> {
        let space = self.spaces().action;
        if !space.holds(numbers) {
            return Err(refused(numbers, &space));
        }
        let ends = self.low.iter().zip(&self.high);
        let one = |(x, (low, high)): (&f64, (&f64, &f64))| {
            let x = if self.rescales {
                f64::midpoint(*low, *high) + (high - low) / 2.0 * x
            } else {
                *x
            };
            x.clamp(*low, *high)
        };
        let numbers: Vec<f64> = numbers.iter().zip(ends).map(one).collect();
        self.inner.step(&action(&numbers, &self.within)?)
    }

    fn state(&self) -> Result<Value> {
        self.inner.state()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.inner.restore(state)
    }
}
