use burn::config::Config;
use model_utils::config::{self, ConfigError};
use model_utils::train::Budget;
use serde::{Deserialize, Serialize};

use super::Compression;

/// When workers share what they learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// At every step: their gradients are averaged before all take the same step, which is that of
    /// one worker with the batches of all.
    #[default]
    Synchronous,
    /// Each by itself, on weights that all of them move: a worker takes the weights as they are,
    /// computes a gradient, and applies it to what they are by then (Ho et al. 2013, stale
    /// synchronous parallel). Which worker comes when is chance: no two runs are alike.
    Asynchronous {
        /// Steps that a worker may be ahead of the slowest one.
        staleness: u64,
    },
    /// Each takes so many steps by itself, then their weights are averaged (local SGD, Stich 2018,
    /// <https://arxiv.org/abs/1805.09767>).
    Local {
        /// Steps between two averages.
        steps: u64,
    },
}

impl Mode {
    /// Whether workers differ between two steps.
    pub(super) const fn is_apart(self) -> bool {
        matches!(self, Self::Local { .. })
    }
}

/// Configuration of [`DataParallel`](super::DataParallel).
#[derive(Config, Debug, PartialEq)]
pub struct DataParallelConfig {
    /// How long to train, in steps of all workers together.
    pub budget: Budget,
    /// When workers share what they learned.
    #[config(default = "Mode::Synchronous")]
    pub mode: Mode,
    /// What is left out of the gradients that are exchanged; synchronous mode alone.
    #[config(default = "Compression::None")]
    pub compression: Compression,
    /// Whether batch normalisations take the statistics of all workers' batches together, in
    /// synchronous mode. It is what makes the result that of one worker with all batches, and costs an
    /// exchange in every such layer, forward and backward. On `flex`.
    #[config(default = true)]
    pub sync_batch_norm: bool,
    /// Processor threads of a worker; an equal part of all there are unless told otherwise.
    pub threads: Option<usize>,
    /// Numbers of a bucket of gradients, about; workers add up different buckets at the same time.
    #[config(default = 65536)]
    pub bucket: usize,
    /// The largest global L2 norm of the gradients.
    pub clip_norm: Option<f64>,
    /// Steps between two events.
    #[config(default = 1)]
    pub log_every: u64,
    /// Steps between two checkpoints; one is saved after every epoch in any case.
    pub checkpoint_every: Option<u64>,
}

impl DataParallelConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.budget.require_any_of(&["steps", "epochs", "time"])?;
        config::at_least("bucket", self.bucket, 1)?;
        config::at_least("log_every", self.log_every, 1)?;
        config::require(self.threads != Some(0), "threads", self.threads, "at least 1")?;
        let every = self.checkpoint_every;
        config::require(every != Some(0), "checkpoint_every", every, "at least 1")?;
        let clip = self.clip_norm;
        config::require(clip.is_none_or(|norm| norm > 0.0), "clip_norm", clip, "above 0")?;
        if let Mode::Local { steps } = self.mode {
            config::at_least("steps", steps, 1)?;
        }
        self.compression.check()?;
        let fits = self.mode == Mode::Synchronous || self.compression == Compression::None;
        let expected = format!("none in mode {:?}: it is for synchronous mode", self.mode);
        config::require(fits, "compression", self.compression, expected)
    }

    /// Threads of each of so many workers.
    pub(super) fn threads_of(&self, workers: usize) -> usize {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or((all / workers.max(1)).max(1))
    }
}
