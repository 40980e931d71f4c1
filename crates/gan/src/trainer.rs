//! The game: a few steps of the discriminator, one of the generator, and again.

use burn::module::Module as _;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use model_utils::checkpoint::{Checkpoints, HoldsModules as _, Saved, TakesModules as _};
use model_utils::ops;
use model_utils::random::mix;
use model_utils::train::{Asks as _, Budget, Ema, Ended, History, Observer, Run, Stop, StopReason};
use model_utils::weights::snapshot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{GanConfig, Rules};
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::penalty::{
    GradientPenalty, Penalty, check_jvp, clip, frozen, gradient_penalty,
    zero_centred_gradient_penalty,
};
use crate::player::{Discriminator, Generator, Networks};
use crate::reals::Reals;

/// Two networks in training. Samples are of rank `D`, with the batch.
///
/// It is made by [`GanConfig::init`](crate::GanConfig::init), or of networks of one's own by
/// [`new`](Self::new).
pub struct Gan<const D: usize, G, N> {
    generator: G,
    discriminator: N,
    average: Option<Ema<G>>,
    /// The generator's and the discriminator's.
    optimizers: [ModuleOptimizer; 2],
    rules: Rules,
    network_config: Value,
    device: Device,
    /// What it learns from, and what the run did that it goes on from.
    samples: Value,
    resumed: Option<Value>,
    run: Run,
    /// Of sampling.
    stop: Stop,
}

impl<N> GanConfig<N> {
    /// Builds both networks with weights that follow from the seed, and their optimisers.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the field that cannot work, [`Error::Network`] for a loss or
    /// penalty that the discriminator does not belong to.
    pub fn init<const D: usize>(
        &self,
        device: &Device,
    ) -> Result<Gan<D, N::Generator, N::Discriminator>>
    where
        N: Networks<D>,
    {
        self.rules.check()?;
        let device = device.clone().autodiff();
        model_utils::device::seed(&device, mix(self.rules.seed, u64::MAX - 1));
        let (generator, discriminator) = self.networks.init(self.rules.packing, &device)?;
        let generator = generator.fork(&device);
        let discriminator = discriminator.fork(&device);
        let config = serde_json::to_value(&self.networks).unwrap_or_default();
        Ok(Gan::new(generator, discriminator, self.rules.clone())?.with_network_config(config))
    }
}

/// What a step of the discriminator measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiscriminatorStep {
    /// The loss without penalty.
    pub loss: f64,
    /// The penalty's value.
    pub penalty: f64,
    /// The L2 norm of all gradients.
    pub grad_norm: f64,
    /// The mean of σ(D(x)) over real samples.
    pub real: f64,
    /// The mean of σ(D(G(z))) over made samples.
    pub fake: f64,
}

/// What a step of the generator measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GeneratorStep {
    /// The loss.
    pub loss: f64,
    /// The L2 norm of all gradients.
    pub grad_norm: f64,
    /// The mean of σ(D(G(z))) over made samples.
    pub fake: f64,
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Trained {
    /// Steps of the generator, in all.
    pub steps: u64,
    /// Time spent in seconds, the parts before a resume included.
    pub wall_s: f64,
    /// Real images or points seen a second of the time in steps.
    pub samples_per_s: f64,
    /// Why it ended.
    pub reason: StopReason,
}

impl Trained {
    /// The same where the training came to its end.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Stopped`] where it was asked to stop.
    pub fn or_stopped(self) -> Result<Self> {
        Ok(self.reason.or_stopped("training", self.steps).map(|()| self)?)
    }
}

/// What a checkpoint holds beside the networks.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    average_updates: Option<u64>,
    /// What it learned from.
    samples: Value,
}

/// Names in a checkpoint.
const PLAYERS: [&str; 2] = ["generator", "discriminator"];
const AVERAGE: &str = "average";
const OPTIMIZERS: [&str; 2] = ["generator_optimizer", "discriminator_optimizer"];

/// What the streams of random numbers are for.
const OF_DISCRIMINATOR: u64 = 0xD15C;
const OF_GENERATOR: u64 = 0x6E4E;
const OF_SAMPLES: u64 = 0x5A3F;

impl<const D: usize, G: Generator<D>, N: Discriminator<D>> Gan<D, G, N> {
    /// A game of networks of one's own, on a device with autodiff.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for rules that cannot work, [`Error::Network`] for networks that do not
    /// play together: shapes, classes, a last layer or penalty that does not go with the loss.
    pub fn new(generator: G, discriminator: N, rules: Rules) -> Result<Self> {
        rules.check_networks(&generator, &discriminator)?;
        let device = generator.devices().into_iter().next().unwrap_or_default();
        if !device.is_autodiff() {
            return Err(Error::network("generator", "its device is without autodiff"));
        }
        let optimizer = || {
            let [beta_1, beta_2] = rules.betas;
            AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(1e-8).init()
        };
        let average = rules.ema_decay.map(|decay| Ema::new(&generator, decay)).transpose()?;
        Ok(Self {
            optimizers: [optimizer(), optimizer()],
            generator,
            discriminator,
            average,
            rules,
            network_config: Value::Null,
            device,
            samples: Value::Null,
            resumed: None,
            run: Run::new("gan", &Value::Null)?,
            stop: Stop::new(),
        })
    }

    /// Sets a switch that ends [`generate`](Self::generate), and so all sampling, with
    /// [`Stopped`](model_utils::Error::Stopped) between two parts. Training listens to its observer;
    /// a callback of it that is stopped ends it unsaved, so that this is for before or after.
    #[must_use]
    pub fn with_stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Sets what tells this configuration of networks from another when a run is resumed.
    #[must_use]
    pub fn with_network_config(mut self, config: Value) -> Self {
        self.network_config = config;
        self
    }

    /// Keeps checkpoints, one every so many steps and one at the end, and goes on from the latest
    /// that is there, exactly: both networks, the average, optimisers and random numbers.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with every difference for a checkpoint of another
    /// configuration, and what reading one brings.
    pub fn resume_in(mut self, checkpoints: Checkpoints, every: u64) -> Result<Self> {
        let (networks, rules) = (&self.network_config, self.rules.compared());
        self.run.set_about(&json!({ "networks": networks, "rules": rules }))?;
        match self.run.resume_in(checkpoints, Some(every))? {
            Some(saved) => self.resume(&saved),
            None => Ok(self),
        }
    }

    /// The generator in training. Its average, where one is kept, is [`average`](Self::average).
    pub fn generator(&self) -> &G {
        &self.generator
    }

    /// The discriminator.
    pub fn discriminator(&self) -> &N {
        &self.discriminator
    }

    /// The generator that samples are made with, ready for inference: the average where one is
    /// kept, else as it is.
    pub fn average(&self) -> G {
        match &self.average {
            Some(average) => average.model(),
            None => self.generator.valid(),
        }
    }

    /// The rules it trains by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Steps of the generator so far.
    pub fn steps(&self) -> u64 {
        self.run.steps()
    }

    /// Every metric over the steps, the parts before a resume included.
    pub fn history(&self) -> &History {
        self.run.history()
    }

    /// Random numbers for `count` samples, `[count, latent]`, on the device without autodiff.
    pub fn latents(&self, count: usize, seed: u64) -> Tensor<2> {
        let device = self.device.clone().without_autodiff();
        let mut noise = Noise::new(seed, OF_SAMPLES);
        self.rules.prior.draw(&mut noise, count, self.generator.latent(), &device)
    }

    /// Samples of random numbers, `[count, latent]`, and of classes where there are any.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] for random numbers of another length, classes that are missing, too
    /// many, or unknown; [`Stopped`](model_utils::Error::Stopped).
    pub fn generate(&self, z: Tensor<2>, classes: Option<&[usize]>) -> Result<Tensor<D>> {
        let [count, latent] = z.dims();
        let fail = |reason: String| Err(Error::network("generator", reason));
        if latent != self.generator.latent() {
            let expected = self.generator.latent();
            return fail(format!("it takes {expected} random numbers a sample, found {latent}"));
        }
        let known = self.generator.classes();
        match classes {
            None if known > 0 => return fail(format!("it wants one of {known} classes a sample")),
            Some(_) if known == 0 => return fail("it knows no classes".to_owned()),
            Some(classes) if classes.len() != count => {
                return fail(format!("{} classes for {count} samples", classes.len()));
            }
            Some(classes) if classes.iter().any(|&class| class >= known) => {
                return fail(format!("classes {classes:?}, expected each below {known}"));
            }
            _ => {}
        }
        let generator = self.average();
        let device = self.device.clone().without_autodiff();
        let z = z.to_device(&device);
        if count == 0 {
            return fail("no sample was asked for".to_owned());
        }
        let parts: Vec<Tensor<D>> = (0..count)
            .step_by(SAMPLES_AT_ONCE)
            .map(|from| {
                self.stop.check("sampling", format_args!("sample {from} of {count}"))?;
                let some = SAMPLES_AT_ONCE.min(count - from);
                let classes = classes.map(|classes| indices(&classes[from..][..some], &device));
                Ok(generator.forward(z.clone().narrow(0, from, some), classes))
            })
            .collect::<Result<_>>()?;
        Ok(Tensor::cat(parts, 0))
    }

    /// Trains until the budget is spent or the observer asks to stop. Steps are the generator's.
    ///
    /// Metrics: `discriminator_loss`, `generator_loss`, `penalty` where there is one, `real` and
    /// `fake` (means of σ(D)), `discriminator_grad_norm`, `generator_grad_norm`, `samples_per_s`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a budget without steps, epochs and time, [`Error::Network`] for samples
    /// that the networks are not for, [`Error::Reals`] for too few, [`Error::NotFinite`] for a loss or gradient that is NaN or infinite: the networks stay as
    /// they were before that step, and are saved where checkpoints are kept.
    pub fn train(
        &mut self,
        reals: &impl Reals<D>,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Trained> {
        self.train_with_callback(reals, budget, progress, u64::MAX, |_| Ok(()))
    }

    /// [`train`](Self::train), and shows itself to `callback` at the start and every so many steps.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train), and those of `callback`.
    pub fn train_with_callback(
        &mut self,
        reals: &impl Reals<D>,
        budget: Budget,
        progress: &mut dyn Observer,
        every: u64,
        mut callback: impl FnMut(&Self) -> Result<()>,
    ) -> Result<Trained> {
        self.check(reals)?;
        self.samples = json!({ "count": reals.len(), "classes": reals.classes() });
        if let Some(before) = self.resumed.as_ref().filter(|before| **before != self.samples) {
            let reason = format!("{}, and the run learned from {before}", self.samples);
            return Err(Error::Reals(reason));
        }
        self.resumed = None;
        if self.rules.penalty.needs_jvp() {
            let (seed, number) = (self.rules.seed, self.run.steps());
            let (x, classes) = reals.batch(seed, number, self.rules.batch_size, &self.device)?;
            let classes = classes.filter(|_| self.discriminator.classes() > 0);
            check_jvp(&self.discriminator, self.packed(x), classes)?;
        }
        self.run.start(budget, None, progress)?;
        if self.run.steps() == 0 {
            callback(self)?;
        }
        while self.run.next(progress) {
            let (critic, generator) = match self.turn(reals) {
                Ok(turn) => turn,
                Err(error) => {
                    self.save(progress)?;
                    return Err(error);
                }
            };
            self.run.set_epochs(self.epochs(reals));
            if self.run.is_report_due(self.rules.log_every) {
                let mut metrics = vec![
                    ("discriminator_loss", critic.loss),
                    ("generator_loss", generator.loss),
                    ("real", critic.real),
                    ("fake", critic.fake),
                    ("discriminator_grad_norm", critic.grad_norm),
                    ("generator_grad_norm", generator.grad_norm),
                    ("samples_per_s", self.run.items_per_s()),
                ];
                if self.rules.penalty.needs_jvp() {
                    metrics.push(("penalty", critic.penalty));
                }
                self.run.report(&metrics, progress);
            }
            if self.run.steps().is_multiple_of(every) {
                self.run.pause();
                callback(self)?;
            }
            if self.run.is_save_due() {
                self.save(progress)?;
            }
        }
        if !self.run.is_saved() {
            self.save(progress)?;
        }
        let Ended { steps, wall_s, items_per_s, reason, .. } = self.run.finish(progress);
        Ok(Trained { steps, wall_s, samples_per_s: items_per_s, reason })
    }

    /// One turn: the discriminator's steps, then the generator's.
    fn turn(&mut self, reals: &impl Reals<D>) -> Result<(DiscriminatorStep, GeneratorStep)> {
        let mut critic = self.discriminator_step(reals, 0)?;
        for round in 1..self.rules.discriminator_steps {
            critic = self.discriminator_step(reals, round)?;
        }
        Ok((critic, self.generator_step(reals)?))
    }

    /// One step of the discriminator, the `round`-th before the next of the generator, from 0. The
    /// generator makes samples; neither its weights nor its running statistics change.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    pub fn discriminator_step(
        &mut self,
        reals: &impl Reals<D>,
        round: usize,
    ) -> Result<DiscriminatorStep> {
        let rules = &self.rules;
        let before = snapshot(&self.discriminator);
        let number = self.run.steps() * rules.discriminator_steps as u64 + round as u64;
        let mut noise = Noise::new(rules.seed ^ OF_DISCRIMINATOR, number);
        let (real, real_classes) =
            reals.batch(rules.seed, number, rules.batch_size, &self.device)?;
        let real_classes = real_classes.filter(|_| self.discriminator.classes() > 0);
        let (z, classes) = self.inputs(&mut noise);
        let fake = frozen(&self.generator).forward(z, classes.clone()).detach();
        let (real, fake) = (self.packed(real), self.packed(fake));

        let real_logits = self.discriminator.forward(real.clone(), real_classes.clone());
        let fake_logits = self.discriminator.forward(fake.clone(), classes.clone());
        let loss = rules.loss.discriminator(real_logits.clone(), fake_logits.clone());
        let penalised = self.penalised((real, real_classes), (fake, classes), &mut noise)?;
        let value = loss.clone().into_scalar::<f64>();
        let penalty =
            penalised.iter().fold(0.0, |sum, part| sum + part.value.clone().into_scalar::<f64>());
        let total = penalised.into_iter().fold(loss, |sum, penalised| sum + penalised.surrogate);
        let gradients = GradientsParams::from_grads(total.backward(), &self.discriminator);
        let grad_norm = ops::grad_norm(&self.discriminator, &gradients).into_scalar::<f64>();
        if let Err(error) = self.finite("discriminator", value + penalty, grad_norm) {
            self.discriminator = before;
            return Err(error);
        }

        let rate = rules.schedule(rules.discriminator_learning_rate).rate(self.run.steps() + 1);
        let [_, optimizer] = &mut self.optimizers;
        self.discriminator = optimizer.step(rate, self.discriminator.clone(), gradients);
        if let Penalty::Clip { limit } = rules.penalty {
            self.discriminator = clip(self.discriminator.clone(), limit);
        }
        let (real, fake) = (probability(real_logits), probability(fake_logits));
        Ok(DiscriminatorStep { loss: value, penalty, grad_norm, real, fake })
    }

    /// One step of the generator. Gradients flow to it through the discriminator, of which neither
    /// weights nor running statistics change.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    pub fn generator_step(&mut self, reals: &impl Reals<D>) -> Result<GeneratorStep> {
        let rules = &self.rules;
        let before = snapshot(&self.generator);
        let mut noise = Noise::new(rules.seed ^ OF_GENERATOR, self.run.steps());
        let (z, classes) = self.inputs(&mut noise);
        let fake = self.packed(self.generator.forward(z, classes.clone()));

        let discriminator = frozen(&self.discriminator);
        let logits = discriminator.forward(fake, classes);
        let real = if rules.loss.pairs() {
            // The pairs of the discriminator's last step.
            let rounds = rules.discriminator_steps as u64;
            let number = self.run.steps() * rounds + rounds - 1;
            let (real, classes) =
                reals.batch(rules.seed, number, rules.batch_size, &self.device)?;
            let classes = classes.filter(|_| discriminator.classes() > 0);
            Some(discriminator.forward(self.packed(real), classes).detach())
        } else {
            None
        };
        let loss = rules.loss.generator(real, logits.clone());
        let value = loss.clone().into_scalar::<f64>();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.generator);
        let grad_norm = ops::grad_norm(&self.generator, &gradients).into_scalar::<f64>();
        if let Err(error) = self.finite("generator", value, grad_norm) {
            self.generator = before;
            return Err(error);
        }

        let rate = rules.schedule(rules.generator_learning_rate).rate(self.run.steps() + 1);
        let [optimizer, _] = &mut self.optimizers;
        self.generator = optimizer.step(rate, self.generator.clone(), gradients);
        if let Some(average) = &mut self.average {
            average.update(&self.generator)?;
        }
        self.run.step(self.rules.batch_size * self.rules.discriminator_steps);
        Ok(GeneratorStep { loss: value, grad_norm, fake: probability(logits) })
    }

    /// Random numbers and random classes for a batch.
    fn inputs(&self, noise: &mut Noise) -> (Tensor<2>, Option<Tensor<1, Int>>) {
        let (count, known) = (self.rules.batch_size, self.generator.classes());
        let z = self.rules.prior.draw(noise, count, self.generator.latent(), &self.device);
        let classes = (known > 0).then(|| {
            let classes: Vec<usize> = (0..count).map(|_| noise.below(known)).collect();
            indices(&classes, &self.device)
        });
        (z, classes)
    }

    /// Neighbours in the batch behind each other in one sample of a longer first axis.
    fn packed(&self, x: Tensor<D>) -> Tensor<D> {
        let packing = self.rules.packing;
        if packing == 1 {
            return x;
        }
        let mut shape = x.dims();
        shape[0] /= packing;
        shape[1] *= packing;
        x.reshape(shape)
    }

    fn penalised(
        &self,
        (real, real_classes): (Tensor<D>, Option<Tensor<1, Int>>),
        (fake, fake_classes): (Tensor<D>, Option<Tensor<1, Int>>),
        noise: &mut Noise,
    ) -> Result<Vec<GradientPenalty>> {
        let discriminator = &self.discriminator;
        Ok(match self.rules.penalty {
            Penalty::None | Penalty::Clip { .. } => Vec::new(),
            Penalty::Interpolated { weight } => {
                let count = real.dims()[0];
                let shares: Vec<f32> = (0..count).map(|_| noise.uniform() as f32).collect();
                let shape: [usize; D] = std::array::from_fn(|at| if at == 0 { count } else { 1 });
                let shares = Tensor::<D>::from_data(TensorData::new(shares, shape), &self.device);
                let between = real.clone() * shares.clone() + fake * (shares.neg() + 1.0);
                vec![gradient_penalty(discriminator, between, real_classes, 1.0, weight)?]
            }
            Penalty::R1 { gamma } => {
                vec![zero_centred_gradient_penalty(discriminator, real, real_classes, gamma)?]
            }
            Penalty::R1R2 { gamma } => vec![
                zero_centred_gradient_penalty(discriminator, real, real_classes, gamma)?,
                zero_centred_gradient_penalty(discriminator, fake, fake_classes, gamma)?,
            ],
        })
    }

    fn finite(&self, network: &'static str, loss: f64, grad_norm: f64) -> Result<()> {
        for (what, value) in [("loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { network, what, value, step: self.run.steps() + 1 });
            }
        }
        Ok(())
    }

    /// Passes over the real samples so far.
    fn epochs(&self, reals: &impl Reals<D>) -> u64 {
        let batches = reals.len().map_or(0, |len| (len / self.rules.batch_size) as u64);
        (self.run.steps() * self.rules.discriminator_steps as u64).checked_div(batches).unwrap_or(0)
    }

    fn check(&self, reals: &impl Reals<D>) -> Result<()> {
        let (makes, found) = (self.generator.sample_shape(), reals.sample_shape());
        if makes != found {
            let reason = format!("it makes {makes:?}, and the real samples are {found:?}");
            return Err(Error::network("generator", reason));
        }
        let known = self.generator.classes();
        if known > 0 && known != reals.classes() {
            let classes = reals.classes();
            let reason = format!("it knows {known} classes, and the real samples have {classes}");
            return Err(Error::network("generator", reason));
        }
        if let Some([low, high]) = self.generator.range() {
            let fits = reals.range().is_some_and(|[least, most]| least >= low && most <= high);
            if !fits {
                let reason = format!(
                    "its values lie within {low} and {high}, and those of the real samples need not"
                );
                return Err(Error::network("generator", reason));
            }
        }
        match reals.len() {
            Some(len) if len < self.rules.batch_size => Err(Error::Reals(format!(
                "{len} samples do not fill a batch of {}",
                self.rules.batch_size
            ))),
            _ => Ok(()),
        }
    }

    fn save(&mut self, progress: &mut dyn Observer) -> Result<()> {
        let Self { generator, discriminator, average, optimizers, samples, run, .. } = self;
        Ok(run.save(progress, |checkpoint| {
            let average_updates = average.as_ref().map(Ema::updates);
            let mut checkpoint = checkpoint
                .module(PLAYERS[0], generator)?
                .module(PLAYERS[1], discriminator)?
                .state(&Journal { average_updates, samples: samples.clone() })?;
            for (name, optimizer) in OPTIMIZERS.iter().zip(optimizers) {
                checkpoint = checkpoint.optimizer(name, optimizer)?;
            }
            match average {
                Some(average) => checkpoint.module(AVERAGE, &average.model()),
                None => Ok(checkpoint),
            }
        })?)
    }

    fn resume(mut self, saved: &Saved) -> Result<Self> {
        let Journal { average_updates, samples } = saved.state()?;
        self.resumed = Some(samples);
        self.generator = saved.module(PLAYERS[0], self.generator)?;
        self.discriminator = saved.module(PLAYERS[1], self.discriminator)?;
        let [first, second] = self.optimizers;
        self.optimizers =
            [saved.optimizer(OPTIMIZERS[0], first)?, saved.optimizer(OPTIMIZERS[1], second)?];
        if let (Some(decay), Some(updates)) = (self.rules.ema_decay, average_updates) {
            let average = saved.module(AVERAGE, self.generator.valid())?;
            self.average = Some(Ema::resume(&average, decay, updates)?);
        }
        Ok(self)
    }
}

/// Samples that are made in one pass.
const SAMPLES_AT_ONCE: usize = 256;

fn indices(classes: &[usize], device: &Device) -> Tensor<1, Int> {
    let classes: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
    let shape = [classes.len()];
    Tensor::from_data(TensorData::new(classes, shape), device)
}

/// The mean of σ of logits.
fn probability(logits: Tensor<2>) -> f64 {
    activation::sigmoid(logits.inner()).mean().into_scalar()
}
