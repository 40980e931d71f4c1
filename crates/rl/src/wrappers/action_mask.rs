use serde_json::Value;

use crate::environment::{Element, Environment, Step};
use crate::error::{Error, Result};
use crate::space::Spaces;

/// Says which of an environment's actions are possible, an entry for each of its
/// [`choices`](crate::Space::choices), and refuses the others.
///
/// ```
/// use rl::environments::CartPole;
/// use rl::wrappers::ActionMask;
/// use rl::Environment as _;
///
/// // Never push outwards near the ends of the track.
/// let mut pole = ActionMask::new(CartPole::new(), |_, seen: &[f64; 4], mask: &mut [bool]| {
///     mask[0] = seen[0] > -1.0;
///     mask[1] = seen[0] < 1.0;
/// });
/// pole.reset(42)?;
/// assert_eq!(pole.mask(), Some([true, true].as_slice()));
/// # Ok::<(), rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ActionMask<E, F> {
    inner: E,
    allow: F,
    mask: Vec<bool>,
}

impl<E, F> ActionMask<E, F>
where
    E: Environment,
    E::Action: Element,
    F: Fn(&E, &E::Observation, &mut [bool]),
{
    /// The environment with a rule, which is given the mask of the environment within, or one that
    /// allows everything.
    pub fn new(inner: E, allow: F) -> Self {
        let mask = vec![true; inner.spaces().action.choices()];
        Self { inner, allow, mask }
    }

    fn observe(&mut self, observation: &E::Observation) -> Result<()> {
        match self.inner.mask() {
            Some(mask) if mask.len() == self.mask.len() => self.mask.copy_from_slice(mask),
            Some(mask) => return self.inner.spaces().check_mask(mask),
            None => self.mask.fill(true),
        }
        (self.allow)(&self.inner, observation, &mut self.mask);
        self.inner.spaces().check_mask(&self.mask)
    }
}

impl<E, F> Environment for ActionMask<E, F>
where
    E: Environment,
    E::Action: Element,
    F: Fn(&E, &E::Observation, &mut [bool]),
{
    type Observation = E::Observation;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        self.inner.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<E::Observation> {
        let observation = self.inner.reset(seed)?;
        self.observe(&observation)?;
        Ok(observation)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>> {
        if !self.inner.spaces().action.allows(&action.numbers(), &self.mask) {
            let allowed: Vec<usize> = (0..self.mask.len()).filter(|a| self.mask[*a]).collect();
            let expected = format!("one of {allowed:?}, the others are masked");
            return Err(Error::Action { action: format!("{action:?}"), expected });
        }
        let step = self.inner.step(action)?;
        // Also at an end: what is possible after a truncated step is to be known.
        if !step.terminated {
            self.observe(&step.observation)?;
        }
        Ok(step)
    }

    fn mask(&self) -> Option<&[bool]> {
        Some(&self.mask)
    }

    fn state(&self) -> Result<Value> {
        crate::environment::to_state(&(&self.mask, self.inner.state()?))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let (mask, inner): (Vec<bool>, Value) = crate::environment::from_state(state)?;
        self.inner.spaces().check_mask(&mask).map_err(|e| Error::Resume(e.to_string()))?;
        self.inner.restore(&inner)?;
        self.mask = mask;
        Ok(())
    }
}
