//! The learning rate of a step.

use serde::{Deserialize, Serialize};

use crate::config::{self, ConfigError};

/// The learning rate over the steps: a function of the step alone, so that a run that goes on needs
/// nothing of it.
///
/// ```
/// use model_utils_core::schedule::Schedule;
///
/// let schedule = Schedule::Cosine { first: 0.0, rate: 0.1, last: 0.0, warm_up: 10, steps: 100 };
/// assert_eq!(schedule.rate(11), 0.1); // the eleventh step, behind the warm-up
/// assert!(schedule.rate(101) < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// `rate` after the warm-up.
    Constant {
        /// The rate.
        rate: f64,
        /// Steps of warm-up, in a straight line from 0.
        warm_up: u64,
    },
    /// `factor · width^-½ · min(step^-½, step · warm_up^-3/2)` (Vaswani et al. 2017).
    Noam {
        /// What all is multiplied by; 1 in the paper.
        factor: f64,
        /// The model's width.
        width: usize,
        /// Steps of warm-up; 4000 in the paper.
        warm_up: u64,
    },
    /// `rate` at the end of the warm-up, then `rate · √(warm_up / step)`.
    InverseSquareRoot {
        /// The highest rate.
        rate: f64,
        /// Steps of warm-up, in a straight line from 0.
        warm_up: u64,
    },
    /// `rate` at the end of the warm-up and in the step behind it, then in a straight line down to 0
    /// behind `steps`: the last step has `rate / (steps - warm_up)`. The most from a budget that is
    /// known beforehand.
    Linear {
        /// The highest rate.
        rate: f64,
        /// Steps of warm-up, in a straight line from 0.
        warm_up: u64,
        /// Steps in all; behind them it is 0.
        steps: u64,
    },
    /// From `first` in a straight line to `rate` behind the warm-up, then as half a cosine to `last`
    /// behind `steps` (Loshchilov and Hutter 2017, <https://arxiv.org/abs/1608.03983>), where it stays.
    Cosine {
        /// The rate of the first step, where there is a warm-up.
        first: f64,
        /// The highest rate.
        rate: f64,
        /// The rate at the end.
        last: f64,
        /// Steps of warm-up.
        warm_up: u64,
        /// Steps in all.
        steps: u64,
    },
}

impl Schedule {
    /// The same rate at all steps.
    pub const fn constant(rate: f64) -> Self {
        Self::Constant { rate, warm_up: 0 }
    }

    /// Half a cosine from `rate` to 0 at `steps`.
    pub const fn cosine(rate: f64, steps: u64) -> Self {
        Self::Cosine { first: 0.0, rate, last: 0.0, warm_up: 0, steps }
    }

    /// The rate of a step, counted from 1.
    pub fn rate(&self, step: u64) -> f64 {
        let step_f = step.max(1) as f64;
        let warm = |warm_up: u64| (step_f / warm_up.max(1) as f64).min(1.0);
        match *self {
            Self::Constant { rate, warm_up } => rate * warm(warm_up),
            Self::Noam { factor, width, warm_up } => {
                let rising = step_f * (warm_up.max(1) as f64).powf(-1.5);
                factor * (width as f64).powf(-0.5) * step_f.powf(-0.5).min(rising)
            }
            Self::InverseSquareRoot { rate, warm_up } => {
                let warm_up = warm_up.max(1) as f64;
                rate * (step_f / warm_up).min((warm_up / step_f).sqrt())
            }
            Self::Linear { rate, warm_up, steps } => {
                let left = steps.saturating_sub(step.max(1) - 1) as f64;
                let all = steps.saturating_sub(warm_up).max(1) as f64;
                rate * warm(warm_up) * (left / all).min(1.0)
            }
            Self::Cosine { first, rate, last, warm_up, steps } => {
                let done = step.max(1) - 1;
                if done < warm_up {
                    let left = (warm_up - done) as f64;
                    return rate - (rate - first) / warm_up as f64 * left;
                }
                let all = steps.saturating_sub(warm_up).max(1);
                let share = ((done - warm_up) as f64 / all as f64).min(1.0);
                last + 0.5 * (rate - last) * (1.0 + (share * std::f64::consts::PI).cos())
            }
        }
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for a rate or factor that is not above 0, a width of 0, and fewer steps than
    /// the warm-up has.
    pub fn check(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Noam { factor, width, .. } => {
                config::at_least("schedule.width", width, 1)?;
                config::positive("schedule.factor", factor)
            }
            Self::Constant { rate, .. } | Self::InverseSquareRoot { rate, .. } => {
                config::positive("schedule.rate", rate)
            }
            Self::Linear { rate, steps, warm_up } => {
                let holds = steps > warm_up;
                config::require(holds, "schedule.steps", steps, "more than the warm-up")?;
                config::positive("schedule.rate", rate)
            }
            Self::Cosine { first, rate, last, warm_up, steps } => {
                let holds = steps > warm_up;
                config::require(holds, "schedule.steps", steps, "more than the warm-up")?;
                config::not_negative("schedule.first", first)?;
                config::not_negative("schedule.last", last)?;
                config::positive("schedule.rate", rate)
            }
        }
    }
}

/// The same rate at all steps.
impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Self::constant(rate)
    }
}
