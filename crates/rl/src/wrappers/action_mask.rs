use serde_json::Value;

use crate::environment::{Environment, Step};
use crate::error::{Error, Result};
use crate::space::Spaces;

/// Says which of an environment's indexed actions are possible, and refuses the others.
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
    E: Environment<Action = usize>,
    F: Fn(&E, &E::Observation, &mut [bool]),
{
    /// The environment with a rule, which is given a mask that allows everything.
    pub fn new(inner: E, allow: F) -> Self {
        let mask = vec![true; inner.spaces().action.features()];
        Self { inner, allow, mask }
    }

    fn observe(&mut self, observation: &E::Observation) -> Result<()> {
        self.mask.fill(true);
        (self.allow)(&self.inner, observation, &mut self.mask);
        if self.mask.contains(&true) {
            return Ok(());
        }
        Err(Error::world("action mask", format!("it allows nothing at {observation:?}")))
    }
}

impl<E, F> Environment for ActionMask<E, F>
where
    E: Environment<Action = usize>,
    F: Fn(&E, &E::Observation, &mut [bool]),
{
    type Observation = E::Observation;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        self.inner.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<E::Observation> {
        let observation = self.inner.reset(seed)?;
        self.observe(&observation)?;
        Ok(observation)
    }

    fn step(&mut self, action: &usize) -> Result<Step<E::Observation>> {
        if self.mask.get(*action) == Some(&false) {
            let allowed: Vec<usize> = (0..self.mask.len()).filter(|a| self.mask[*a]).collect();
            let expected = format!("one of {allowed:?}, the others are masked");
            return Err(Error::Action { action: action.to_string(), expected });
        }
        let step = self.inner.step(action)?;
        if !step.ended() {
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
        let inner: Value;
        (self.mask, inner) = crate::environment::from_state(state)?;
        self.inner.restore(&inner)
    }
}
