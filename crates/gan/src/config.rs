//! What a game is made from: the configuration of both networks, and the rules of the training.

use derive_setters::Setters;
use model_utils::config::{self, ConfigError};
use model_utils::train::Schedule;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::noise::Prior;
use crate::penalty::Penalty;
use crate::player::{Discriminator, Generator};

/// The rules of a training, beside its networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_", strip_option)]
#[setters(generate_delegates(ty = "GanConfig<N>", generics = "<N>", field = "rules"))]
pub struct Rules {
    /// The loss of both players.
    #[setters(skip)]
    pub loss: Loss,
    /// What holds the discriminator's slope.
    pub penalty: Penalty,
    /// Steps of the discriminator for each of the generator.
    pub discriminator_steps: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// The generator's learning rate.
    #[serde(rename = "generator_rate")] // as in checkpoints
    pub generator_learning_rate: f64,
    /// The discriminator's learning rate.
    #[serde(rename = "discriminator_rate")]
    pub discriminator_learning_rate: f64,
    /// Adam's β₁ and β₂.
    pub betas: [f32; 2],
    /// Share that stays at each step in an average of the generator, which is then what samples.
    pub ema_decay: Option<f64>,
    /// Samples that the discriminator judges together (Lin et al. 2018).
    pub packing: usize,
    /// What the random numbers are drawn from.
    pub prior: Prior,
    /// Steps over which both learning rates fall to 0 as half a cosine; constant without.
    pub anneal_steps: Option<u64>,
    /// What every random draw follows from, together with the step's number.
    pub seed: u64,
    /// Steps between two events.
    pub log_every: u64,
}

impl Rules {
    /// DCGAN's for a loss: one step each, batches of 64, Adam with 2e-4 and (0.5, 0.999). The
    /// Wasserstein loss gets the penalty of WGAN-GP with five steps of the discriminator, Adam
    /// (0, 0.9) and 1e-4; the relativistic one R1 and R2.
    pub fn new(loss: Loss) -> Self {
        let (penalty, discriminator_steps, rate, betas) = match loss {
            Loss::Wasserstein => (Penalty::Interpolated { weight: 10.0 }, 5, 1e-4, [0.0, 0.9]),
            Loss::Relativistic => (Penalty::R1R2 { gamma: 1.0 }, 1, 2e-4, [0.0, 0.99]),
            _ => (Penalty::None, 1, 2e-4, [0.5, 0.999]),
        };
        Self {
            loss,
            penalty,
            discriminator_steps,
            batch_size: 64,
            generator_learning_rate: rate,
            discriminator_learning_rate: rate,
            betas,
            ema_decay: None,
            packing: 1,
            prior: Prior::Normal,
            anneal_steps: None,
            seed: 42,
            log_every: 10,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::at_least("discriminator_steps", self.discriminator_steps, 1)?;
        config::at_least("packing", self.packing, 1)?;
        let batch = self.batch_size;
        let fills = batch >= 2 && batch.is_multiple_of(self.packing);
        config::require(fills, "batch_size", batch, "at least 2 and a multiple of `packing`")?;
        config::positive("generator_learning_rate", self.generator_learning_rate)?;
        config::positive("discriminator_learning_rate", self.discriminator_learning_rate)?;
        for beta in self.betas {
            config::share_below_one("betas", beta)?;
        }
        if let Some(decay) = self.ema_decay {
            config::share_below_one("ema_decay", decay)?;
        }
        if let Some(steps) = self.anneal_steps {
            config::at_least("anneal_steps", steps, 1)?;
        }
        config::at_least("log_every", self.log_every, 1)
    }

    /// Refuses networks that do not play together.
    pub(crate) fn check_networks<const D: usize>(
        &self,
        generator: &impl Generator<D>,
        discriminator: &impl Discriminator<D>,
    ) -> Result<()> {
        self.check()?;
        let mut packed = generator.sample_shape();
        packed[0] *= self.packing;
        let (sees, classes) = (discriminator.input_shape(), generator.classes());
        if packed != sees {
            return Err(Error::network(
                "discriminator",
                format!("it sees {sees:?}, and {} packed samples are {packed:?}", self.packing),
            ));
        }
        if classes != discriminator.classes() {
            return Err(Error::network(
                "discriminator",
                format!(
                    "it is told {} classes, and the generator {classes}",
                    discriminator.classes()
                ),
            ));
        }
        self.loss.check_output(discriminator.output())?;
        self.penalty.check(discriminator)
    }

    /// The rules as they are compared; how often events come changes nothing.
    pub(crate) fn compared(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("log_every");
        }
        value
    }

    /// A player's learning rate over the steps.
    pub(crate) fn schedule(&self, rate: f64) -> Schedule {
        self.anneal_steps.map_or(Schedule::constant(rate), |steps| Schedule::cosine(rate, steps))
    }
}

/// Networks and [`Rules`]: what a [`Gan`](crate::Gan) is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GanConfig<N> {
    /// Both networks.
    pub networks: N,
    /// How they train.
    pub rules: Rules,
}

impl<N> GanConfig<N> {
    /// Networks with the rules that go with a loss: see [`Rules::new`].
    pub fn new(networks: N, loss: Loss) -> Self {
        Self { networks, rules: Rules::new(loss) }
    }

    /// Sets the learning rate of both players.
    #[must_use]
    pub fn with_learning_rate(self, rate: f64) -> Self {
        self.with_generator_learning_rate(rate).with_discriminator_learning_rate(rate)
    }
}
