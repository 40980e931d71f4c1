use std::fmt::Debug;
use std::marker::PhantomData;

use serde_json::Value;

use crate::environment::{Environment, Step};
use crate::error::Result;
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
    /// [`Error::Config`](crate::Error::Config) for a space without elements.
    pub fn new(inner: E, space: Space, transform: F) -> Result<Self> {
        space.check("observation space")?;
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

/// Acts by what a function makes of each action: other units, fewer choices, the number of a whole
/// manoeuvre.
///
/// ```
/// use rl::environments::Pendulum;
/// use rl::wrappers::TransformAction;
/// use rl::{Environment, Space};
///
/// // Three torques to choose from.
/// let torque = |choice: &usize| [*choice as f64 - 1.0];
/// let mut pendulum = TransformAction::new(Pendulum::new(), Space::Discrete(3), torque)?;
/// pendulum.reset(42)?;
/// pendulum.step(&2)?;
/// # Ok::<_, rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TransformAction<E, A, F> {
    inner: E,
    space: Space,
    transform: F,
    action: PhantomData<fn() -> A>,
}

impl<E: Environment, A, F: Fn(&A) -> E::Action> TransformAction<E, A, F> {
    /// The environment in which an action of `space` does what `transform` makes of it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a space without elements.
    pub fn new(inner: E, space: Space, transform: F) -> Result<Self> {
        space.check("action space")?;
        Ok(Self { inner, space, transform, action: PhantomData })
    }
}

/// The environment within is seen as it is. Its mask is of its own actions and is not passed on:
/// [`ActionMask`](super::ActionMask) around this says what is possible.
impl<E, A, F> Environment for TransformAction<E, A, F>
where
    E: Environment,
    A: Clone + Debug + Send,
    F: Fn(&A) -> E::Action,
{
    type Observation = E::Observation;
    type Action = A;

    fn spaces(&self) -> Spaces {
        Spaces { observation: self.inner.spaces().observation, action: self.space.clone() }
    }

    fn reset(&mut self, seed: u64) -> Result<E::Observation> {
        self.inner.reset(seed)
    }

    fn step(&mut self, action: &A) -> Result<Step<E::Observation>> {
        self.inner.step(&(self.transform)(action))
    }

    fn state(&self) -> Result<Value> {
        self.inner.state()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.inner.restore(state)
    }
}

/// Pays what a function makes of each reward.
///
/// ```
/// use rl::Environment;
/// use rl::environments::Pendulum;
/// use rl::wrappers::TransformReward;
///
/// let mut pendulum = TransformReward::new(Pendulum::new(), |reward| (reward / 16.0).max(-1.0));
/// pendulum.reset(42)?;
/// assert!(pendulum.step(&[0.0])?.reward >= -1.0);
/// # Ok::<_, rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TransformReward<E, F> {
    inner: E,
    transform: F,
}

impl<E, F: Fn(f64) -> f64> TransformReward<E, F> {
    /// The environment with other rewards.
    pub fn new(inner: E, transform: F) -> Self {
        Self { inner, transform }
    }
}

impl<E: Environment, F: Fn(f64) -> f64> Environment for TransformReward<E, F> {
    type Observation = E::Observation;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        self.inner.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<E::Observation> {
        self.inner.reset(seed)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>> {
        let step = self.inner.step(action)?;
        Ok(Step { reward: (self.transform)(step.reward), ..step })
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
