//! How the game is played: networks, loss, penalty, and the rules of the training.

use burn::module::Module as _;
use burn::tensor::Device;
use model_utils::device::step_seed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, require};
use crate::loss::Loss;
use crate::noise::Prior;
use crate::penalty::Penalty;
use crate::player::{Discriminator, Generator, Networks};
use crate::trainer::Gan;

/// The rules of a training, beside its networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The loss of both players.
    pub loss: Loss,
    /// What holds the discriminator's slope.
    pub penalty: Penalty,
    /// Steps of the discriminator for each of the generator.
    pub discriminator_steps: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// The generator's learning rate.
    pub generator_rate: f64,
    /// The discriminator's learning rate.
    pub discriminator_rate: f64,
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
            generator_rate: rate,
            discriminator_rate: rate,
            betas,
            ema_decay: None,
            packing: 1,
            prior: Prior::Normal,
            anneal_steps: None,
            seed: 42,
            log_every: 10,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let steps = self.discriminator_steps;
        require(steps > 0, "discriminator_steps", steps, "at least 1")?;
        require(self.packing > 0, "packing", self.packing, "at least 1")?;
        let batch = self.batch_size;
        let fills = batch >= 2 && batch.is_multiple_of(self.packing);
        require(fills, "batch_size", batch, "at least 2 and a multiple of `packing`")?;
        let rates = [
            ("generator_rate", self.generator_rate),
            ("discriminator_rate", self.discriminator_rate),
        ];
        for (field, rate) in rates {
            require(rate > 0.0 && rate.is_finite(), field, rate, "a finite number above 0")?;
        }
        let is_share = |beta: f32| (0.0..1.0).contains(&beta);
        require(self.betas.into_iter().all(is_share), "betas", self.betas, "two numbers in 0..1")?;
        let ema = self.ema_decay;
        let is_decay = ema.is_none_or(|decay| (0.0..1.0).contains(&decay));
        require(is_decay, "ema_decay", ema, "at least 0 and below 1")?;
        require(self.anneal_steps != Some(0), "anneal_steps", 0, "at least 1")?;
        require(self.log_every > 0, "log_every", self.log_every, "at least 1")
    }

    /// The rules as they are compared; how often events come changes nothing.
    pub(crate) fn told(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("log_every");
        }
        value
    }

    /// The share of the learning rates at a step.
    pub(crate) fn annealed(&self, step: u64) -> f64 {
        let Some(steps) = self.anneal_steps else { return 1.0 };
        let done = (step as f64 / steps as f64).min(1.0);
        0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

/// Networks and [`Rules`]: what a [`Gan`] is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GanConfig<N> {
    /// Both networks.
    pub networks: N,
    /// How they train.
    pub rules: Rules,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $field:ident, $type:ty;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $field: $type) -> Self {
            self.rules.$field = $field.into();
            self
        }
    )+};
}

impl<N> GanConfig<N> {
    /// Networks with the rules that go with a loss: see [`Rules::new`].
    pub fn new(networks: N, loss: Loss) -> Self {
        Self { networks, rules: Rules::new(loss) }
    }

    setters! {
        /// Sets [`Rules::penalty`].
        with_penalty: penalty, Penalty;
        /// Sets [`Rules::discriminator_steps`].
        with_discriminator_steps: discriminator_steps, usize;
        /// Sets [`Rules::batch_size`].
        with_batch_size: batch_size, usize;
        /// Sets [`Rules::generator_rate`].
        with_generator_rate: generator_rate, f64;
        /// Sets [`Rules::discriminator_rate`].
        with_discriminator_rate: discriminator_rate, f64;
        /// Sets [`Rules::betas`].
        with_betas: betas, [f32; 2];
        /// Sets [`Rules::ema_decay`].
        with_ema_decay: ema_decay, f64;
        /// Sets [`Rules::packing`].
        with_packing: packing, usize;
        /// Sets [`Rules::prior`].
        with_prior: prior, Prior;
        /// Sets [`Rules::anneal_steps`].
        with_anneal_steps: anneal_steps, u64;
        /// Sets [`Rules::seed`].
        with_seed: seed, u64;
        /// Sets [`Rules::log_every`].
        with_log_every: log_every, u64;
    }

    /// Sets both learning rates.
    #[must_use]
    pub fn with_rates(self, rate: f64) -> Self {
        self.with_generator_rate(rate).with_discriminator_rate(rate)
    }

    /// Builds both networks with weights that follow from the seed, and their optimisers.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the field that cannot work,
    /// [`Error::Network`](crate::Error::Network) for a loss or penalty that the discriminator does
    /// not belong to.
    pub fn init<const D: usize>(
        &self,
        device: &Device,
    ) -> Result<Gan<D, N::Generator, N::Discriminator>>
    where
        N: Networks<D>,
    {
        self.rules.check()?;
        let device = device.clone().autodiff();
        model_utils::device::seed(&device, step_seed(self.rules.seed, u64::MAX - 1));
        let (generator, discriminator) = self.networks.init(self.rules.packing, &device)?;
        let generator = generator.fork(&device);
        let discriminator = discriminator.fork(&device);
        let about = serde_json::to_value(&self.networks).unwrap_or_default();
        Gan::with_networks(generator, discriminator, self.rules.clone()).map(|gan| gan.about(about))
    }
}

/// Refuses networks that do not play together.
pub(crate) fn check_networks<const D: usize>(
    generator: &impl Generator<D>,
    discriminator: &impl Discriminator<D>,
    rules: &Rules,
) -> Result<()> {
    rules.check()?;
    let mut packed = generator.sample_shape();
    packed[0] *= rules.packing;
    let (sees, classes) = (discriminator.input_shape(), generator.classes());
    if packed != sees {
        return Err(crate::Error::network(
            "discriminator",
            format!("it sees {sees:?}, and {} packed samples are {packed:?}", rules.packing),
        ));
    }
    if classes != discriminator.classes() {
        return Err(crate::Error::network(
            "discriminator",
            format!("it is told {} classes, and the generator {classes}", discriminator.classes()),
        ));
    }
    rules.loss.check_output(discriminator.output())?;
    rules.penalty.check(discriminator)
}

/// Adds what differs, by the path to it.
pub(crate) fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) if expected.len() == found.len() => {
            for (key, expected) in expected {
                let found = found.get(key).unwrap_or(&Value::Null);
                compare(&format!("{path}.{key}"), expected, found, differences);
            }
        }
        _ if expected != found => {
            differences.push(format!("`{path}` is {expected}, and {found} in the checkpoint"));
        }
        _ => {}
    }
}
