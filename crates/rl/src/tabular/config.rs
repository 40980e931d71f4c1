use model_utils_core::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

/// Remembered steps after each real one, at most.
const MOST_PLANNING: usize = 1_000_000;

/// A number that may change as learning goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Schedule {
    /// Always the same.
    Constant(f64),
    /// On a straight line, and then the same.
    Linear {
        /// At the first step.
        from: f64,
        /// After `over` steps.
        to: f64,
        /// So many steps.
        over: u64,
    },
}

impl Schedule {
    /// The value after so many steps.
    #[inline]
    pub fn at(&self, step: u64) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Linear { to, over, .. } if step >= over => to,
            Self::Linear { from, to, over } => from + (to - from) * (step as f64 / over as f64),
        }
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<(), ConfigError> {
        match *self {
            Self::Constant(value) => config::share(field, value),
            Self::Linear { from, to, .. } => {
                config::share(field, from)?;
                config::share(field, to)
            }
        }
    }
}

/// What a visit makes of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Traces {
    /// Adds 1.
    Accumulating,
    /// Sets it to 1 (Singh and Sutton 1996).
    Replacing,
}

/// How the table learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// From the whole return after the first visit of an episode.
    MonteCarlo,
    /// Off-policy, from the best next action.
    QLearning,
    /// On-policy, from the next action.
    Sarsa,
    /// On-policy, from all next actions by their probability.
    ExpectedSarsa,
    /// Two tables, each judging the other's choice.
    DoubleQ,
    /// SARSA after this many rewards.
    NStepSarsa(usize),
    /// SARSA with traces.
    SarsaLambda {
        /// How fast a trace fades, beside the discount: 0 is SARSA, 1 near Monte Carlo.
        lambda: f64,
        /// What a visit does.
        traces: Traces,
    },
    /// Q-learning with so many remembered steps after each real one.
    DynaQ {
        /// Remembered steps.
        planning: usize,
    },
}

/// How a [`Tabular`](super::Tabular) agent learns and explores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TabularConfig {
    /// How the table learns.
    pub method: Method,
    /// How far a value moves: the share of the error.
    pub learning_rate: Schedule,
    /// γ, what a reward is worth one step later.
    pub discount: f64,
    /// The share of actions taken at random.
    pub epsilon: Schedule,
    /// The values before learning; high ones make it try everything.
    pub initial_value: f64,
    /// What all random draws follow from.
    pub seed: u64,
}

impl TabularConfig {
    /// Learning rate 0.1, discount 0.99, 0.1 of the actions at random, values from 0, seed 0.
    pub fn new(method: Method) -> Self {
        Self {
            method,
            learning_rate: Schedule::Constant(0.1),
            discount: 0.99,
            epsilon: Schedule::Constant(0.1),
            initial_value: 0.0,
            seed: 0,
        }
    }

    /// Sets the learning rate.
    #[must_use]
    pub fn with_learning_rate(self, learning_rate: Schedule) -> Self {
        Self { learning_rate, ..self }
    }

    /// Sets the discount.
    #[must_use]
    pub fn with_discount(self, discount: f64) -> Self {
        Self { discount, ..self }
    }

    /// Sets the share of random actions.
    #[must_use]
    pub fn with_epsilon(self, epsilon: Schedule) -> Self {
        Self { epsilon, ..self }
    }

    /// Sets the values before learning.
    #[must_use]
    pub fn with_initial_value(self, initial_value: f64) -> Self {
        Self { initial_value, ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.learning_rate.check("learning_rate")?;
        self.epsilon.check("epsilon")?;
        config::share("discount", self.discount)?;
        config::finite("initial_value", self.initial_value)?;
        match self.method {
            Method::NStepSarsa(steps) => config::at_least("steps", steps, 1),
            Method::SarsaLambda { lambda, .. } => config::share("lambda", lambda),
            Method::DynaQ { planning } => {
                config::require(planning <= MOST_PLANNING, "planning", planning, "at most 1000000")
            }
            _ => Ok(()),
        }
    }
}
