use model_utils_core::config;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{Element, Environment, Step, from_state, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// The running mean and variance of vectors (Chan, Golub and `LeVeque` 1979).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: f64,
    mean: Vec<f64>,
    /// Sums of squared distances from the mean.
    squares: Vec<f64>,
}

impl Moments {
    /// Normalised values are kept within ± this.
    pub const MOST: f64 = 10.0;

    /// Of vectors of this length, none seen yet.
    pub fn new(length: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; length], squares: vec![0.0; length] }
    }

    /// Takes in a vector.
    pub fn push<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        self.count += 1.0;
        for (x, (mean, squares)) in values.iter().zip(self.mean.iter_mut().zip(&mut self.squares)) {
            let from_old = (*x).into() - *mean;
            *mean += from_old / self.count;
            *squares += from_old * ((*x).into() - *mean);
        }
    }

    /// The means.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The standard deviation of a place; 1 before anything varied there.
    pub fn deviation(&self, place: usize) -> f64 {
        let variance = self.squares[place] / self.count.max(1.0);
        if variance > 0.0 { (variance + 1e-8).sqrt() } else { 1.0 }
    }

    /// A value of a place, less the mean and over the deviation, within ±10.
    pub fn normal(&self, place: usize, value: f64) -> f64 {
        ((value - self.mean[place]) / self.deviation(place)).clamp(-Self::MOST, Self::MOST)
    }

    /// [`normal`](Self::normal) of rows.
    pub(crate) fn normalized(&self, rows: &[f32]) -> Vec<f32> {
        let length = self.mean.len();
        let each = rows.iter().enumerate();
        each.map(|(at, x)| self.normal(at % length, f64::from(*x)) as f32).collect()
    }

    /// Refuses saved ones of vectors of another length, and what no vectors have.
    pub(crate) fn expect(&self, length: usize) -> Result<()> {
        let found = self.mean.len();
        let sound = self.count >= 0.0
            && self.mean.iter().all(|x| x.is_finite())
            && self.squares.iter().all(|x| x.is_finite() && *x >= 0.0);
        if sound && (found, self.squares.len()) == (length, length) {
            return Ok(());
        }
        Err(Error::Resume(format!("statistics of {found} numbers, expected {length} sound ones")))
    }
}

/// Observations with mean 0 and deviation 1 and, if wished, rewards over the deviation of the
/// discounted return, both by what was seen so far in this environment.
///
/// Stop learning with [`freeze`](Self::freeze) to evaluate. Side by side each has statistics of its
/// own: [`NormalizedVector`](crate::vector::NormalizedVector) shares them, and the on-policy agents of
/// `deep` have the same as a switch and save them with their weights.
#[derive(Debug, Clone)]
pub struct Normalize<E> {
    inner: E,
    statistics: Statistics,
    discount: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Statistics {
    observations: Moments,
    returns: Moments,
    sum: f64,
    learning: bool,
}

impl<E: Environment> Normalize<E>
where
    E::Observation: Element,
{
    /// The environment with normalised observations.
    pub fn new(inner: E) -> Self {
        let length = inner.spaces().observation.numbers();
        let statistics = Statistics {
            observations: Moments::new(length),
            returns: Moments::new(1),
            sum: 0.0,
            learning: true,
        };
        Self { inner, statistics, discount: None }
    }

    /// The environment seen by statistics that were gathered elsewhere and stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for those of another length.
    pub fn frozen(inner: E, moments: Moments) -> Result<Self> {
        let mut all = Self::new(inner).freeze();
        moments.expect(all.moments().mean().len())?;
        all.statistics.observations = moments;
        Ok(all)
    }

    /// Rewards are normalised too, for returns of this discount.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for one outside 0..=1.
    pub fn rewards(mut self, discount: f64) -> Result<Self> {
        config::share("discount", discount)?;
        self.discount = Some(discount);
        Ok(self)
    }

    /// The statistics stay as they are.
    #[must_use]
    pub fn freeze(mut self) -> Self {
        self.statistics.learning = false;
        self
    }

    /// What was seen of the observations.
    pub fn moments(&self) -> &Moments {
        &self.statistics.observations
    }

    fn normal(&mut self, observation: &E::Observation) -> Vec<f64> {
        let numbers = observation.numbers();
        if self.statistics.learning {
            self.statistics.observations.push(&numbers);
        }
        let moments = &self.statistics.observations;
        numbers.iter().enumerate().map(|(i, x)| moments.normal(i, *x)).collect()
    }
}

impl<E: Environment> Environment for Normalize<E>
where
    E::Observation: Element,
{
    type Observation = Vec<f64>;
    type Action = E::Action;

    fn spaces(&self) -> Spaces {
        let Spaces { observation, action } = self.inner.spaces();
        Spaces { observation: Space::symmetric(observation.numbers(), Moments::MOST), action }
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        self.statistics.sum = 0.0;
        let observation = self.inner.reset(seed)?;
        Ok(self.normal(&observation))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<Vec<f64>>> {
        let mut step = self.inner.step(action)?;
        if let Some(discount) = self.discount {
            let statistics = &mut self.statistics;
            statistics.sum = statistics.sum * discount + step.reward;
            if statistics.learning {
                statistics.returns.push(&[statistics.sum]);
            }
            step.reward = (step.reward / statistics.returns.deviation(0))
                .clamp(-Moments::MOST, Moments::MOST);
        }
        let observation = self.normal(&step.observation);
        Ok(step.map(|_| observation))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.inner.mask()
    }

    fn state(&self) -> Result<Value> {
        to_state(&(&self.statistics, self.inner.state()?))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let (statistics, inner): (Statistics, Value) = from_state(state)?;
        statistics.observations.expect(self.statistics.observations.mean().len())?;
        statistics.returns.expect(1)?;
        self.inner.restore(&inner)?;
        // Whether they stay is not theirs to say.
        self.statistics = Statistics { learning: self.statistics.learning, ..statistics };
        Ok(())
    }
}
