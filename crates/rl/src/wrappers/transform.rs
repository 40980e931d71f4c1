use std::fmt::Debug;

use serde_json::Value;

use crate::environment::{Environment, Step};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// Observes what a function makes of each observation: other units, a logarithm, fewer numbers.
///
/// ```
/// use rl::Environment;
/// use rl::environments::CartPole;
/// use rl::space::Space;
/// use rl::wrappers::TransformObservation;
///
/// // Only what can be seen in a photograph: no velocities.
/// let seen = Space::symmetric(2, f64::INFINITY);
/// let mut poles =
///     TransformObservation::new(CartPole::new(), seen, |[x, _, angle, _]: &[f64; 4]| [*x, *angle])?;
/// assert_eq!(poles.reset(42)?.len(), 2);
/// # Ok::<_, rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TransformObservation<E, F> {
    inner: E,
    space: Space,
    transform: F,
}

impl<E, F> TransformObservation<E, F> {
    /// The environment seen through `transform`, whose values lie in `space`.
    ///
    /// # Errors
    ///
    /// [`Error::Spaces`] for a space of no numbers.
    pub fn new(inner: E, space: Space, transform: F) -> Result<Self> {
        if space.features() == 0 {
            return Err(Error::spaces("observation", space, "at least 1 number"));
        }
        Ok(Self { inner, space, transform })
    }

    /// The environment within.
    pub fn inner(&self) -> &E {
        &self.inner
    }
}

impl<E, O, F> Environment for TransformObservation<E, F>
where
    E: Environment,
    O: Clone + Debug + Send,
    F: Fn(&E::Observation) -> O,
{
    type Observation = O;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        Spaces { observation: self.space.clone(), action: self.inner.spaces().action }
    }

    fn reset(&mut self, seed: u64) -> Result<O> {
        Ok((self.transform)(&self.inner.reset(seed)?))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<O>> {
        let step = self.inner.step(action)?;
        Ok(step.map(|observation| (self.transform)(&observation)))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.inner.mask()
    }

    fn state(&self) -> Result<Value> {
        self.inner.state()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.inner.restore(state)
    }
}
