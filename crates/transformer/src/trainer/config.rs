//! How a translation model is trained.

use burn::config::Config;
use model_utils::config::{self, ConfigError};
use model_utils::train::Schedule;

use super::keep_by::KeepBy;

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
    /// By what the weights of a validation are better than those kept so far; of translations that
    /// score alike, those of the lower perplexity are.
    #[config(default = "KeepBy::default()")]
    pub keep_by: KeepBy,
    /// Validations without better weights before the run ends.
    pub patience: Option<usize>,
    /// Steps between two events.
    #[config(default = 10)]
    pub log_every: u64,
    /// What all random draws follow from.
    #[config(default = 42)]
    pub seed: u64,
}

impl TrainingConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
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
        config::at_least("patience", self.patience.unwrap_or(1), 1)?;
        config::at_least("valid_every", self.valid_every, 1)?;
        config::at_least("valid_sentences", self.valid_sentences, 1)?;
        config::at_least("log_every", self.log_every, 1)
    }
}
