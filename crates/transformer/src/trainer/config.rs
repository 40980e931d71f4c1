//! How a translation model is trained.

use burn::config::Config;
use model_utils::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

/// The learning rate over the steps, which count from 1. All begin with a linear warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// `rate` after the warm-up.
    Constant {
        /// The rate.
        rate: f64,
        /// Steps of warm-up.
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
        /// Steps of warm-up.
        warm_up: u64,
    },
    /// `rate` at the end of the warm-up, then in a straight line to 0 at `steps`: the most from a
    /// budget that is known beforehand.
    Linear {
        /// The highest rate.
        rate: f64,
        /// Steps of warm-up.
        warm_up: u64,
        /// Where it is 0.
        steps: u64,
    },
}

impl Schedule {
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
                let left = steps.saturating_sub(step) as f64;
                let all = steps.saturating_sub(warm_up).max(1) as f64;
                rate * warm(warm_up) * (left / all).min(1.0)
            }
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
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
        }
    }
}

/// Configuration of a [`Trainer`](crate::Trainer).
#[derive(Config, Debug, PartialEq)]
pub struct TrainingConfig {
    /// The most tokens of a batch on either side, padding included.
    #[config(default = 2000)]
    pub batch_tokens: usize,
    /// Batches whose gradients make one step; each counts by its tokens.
    #[config(default = 1)]
    pub accumulate: usize,
    /// The learning rate.
    #[config(default = "Schedule::InverseSquareRoot { rate: 1e-3, warm_up: 400 }")]
    pub schedule: Schedule,
    /// Adam's decay of the mean and of the mean square of gradients.
    #[config(default = "[0.9, 0.98]")]
    pub betas: [f32; 2],
    /// ε of label smoothing.
    #[config(default = 0.1)]
    pub label_smoothing: f64,
    /// The largest L2 norm of all gradients together.
    #[config(default = "Some(1.0)")]
    pub clip_norm: Option<f64>,
    /// The share that stays at each step in an average of the weights, which then is what is
    /// evaluated and kept.
    pub ema_decay: Option<f64>,
    /// How many of the last validations' weights are averaged into what is evaluated and kept.
    #[config(default = 1)]
    pub average_last: usize,
    /// Steps between two validations.
    #[config(default = 500)]
    pub valid_every: u64,
    /// The most sentences that are translated in a validation; perplexity is of all.
    #[config(default = 500)]
    pub valid_sentences: usize,
    /// Validations without a better BLEU before the run ends.
    pub patience: Option<usize>,
    /// Steps between two events.
    #[config(default = 10)]
    pub log_every: u64,
    /// What all random draws follow from.
    #[config(default = 42)]
    pub seed: u64,
}

impl TrainingConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        config::at_least("batch_tokens", self.batch_tokens, 1)?;
        config::at_least("accumulate", self.accumulate, 1)?;
        self.schedule.check()?;
        for beta in self.betas {
            config::share_below_one("betas", beta)?;
        }
        config::share_below_one("label_smoothing", self.label_smoothing)?;
        let norm = self.clip_norm;
        config::require(norm.is_none_or(|norm| norm > 0.0), "clip_norm", norm, "above 0")?;
        config::share_below_one("ema_decay", self.ema_decay.unwrap_or(0.0))?;
        config::at_least("average_last", self.average_last, 1)?;
        config::require(
            self.average_last == 1 || self.ema_decay.is_none(),
            "average_last",
            self.average_last,
            "1 where there is an `ema_decay`: one average or the other",
        )?;
        config::at_least("valid_every", self.valid_every, 1)?;
        config::at_least("valid_sentences", self.valid_sentences, 1)?;
        config::at_least("log_every", self.log_every, 1)
    }
}
