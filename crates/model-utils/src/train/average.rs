use std::collections::VecDeque;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::config::{self, ConfigError};
use crate::error::Result;

/// An exponential moving average of a model's weights and batch-norm statistics.
///
/// The average lives without autodiff and shares nothing with the live model.
#[derive(Debug, Clone)]
pub struct Ema<M> {
    average: M,
    decay: f64,
    updates: u64,
}

impl<M: Module> Ema<M> {
    /// Starts at a model. `decay` in `0..1` is the share that stays at each update; the first
    /// updates use (1 + n)/(10 + n) where that is smaller, so that the start is forgotten soon
    /// (the rule of TensorFlow's `ExponentialMovingAverage`).
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a decay outside `0..1`.
    pub fn new(model: &M, decay: f64) -> Result<Self> {
        config::share_below_one("ema_decay", decay)?;
        Ok(Self { average: model.valid(), decay, updates: 0 })
    }

    /// Goes on with a saved average.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn resume(average: &M, decay: f64, updates: u64) -> Result<Self> {
        Ok(Self { updates, ..Self::new(average, decay)? })
    }

    /// Moves the average towards the model as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a model of other shapes.
    pub fn update(&mut self, model: &M) -> Result<()> {
        let others = tensors(model);
        check_shapes(&tensors(&self.average), &others)?;
        let warm_up = (1 + self.updates) as f64 / (10 + self.updates) as f64;
        let decay = self.decay.min(warm_up);
        self.updates += 1;
        // `average` is a snapshot of its own: mapping it in place touches nothing else.
        self.average = self.average.clone().map(&mut Blend { others, decay });
        Ok(())
    }

    /// The average, ready for inference.
    pub fn model(&self) -> M {
        self.average.valid()
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }
}

/// The mean of several models' weights and batch-norm statistics, ready for inference.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for no models, and for models of other shapes than the first.
pub fn mean_of<M: Module>(models: &[M]) -> Result<M> {
    let Some((first, rest)) = models.split_first() else {
        return Err(ConfigError::new("models", 0, "at least one model to average").into());
    };
    let mut mean = first.valid();
    for (n, model) in (1_u32..).zip(rest) {
        let decay = f64::from(n) / f64::from(n + 1);
        let others = tensors(model);
        check_shapes(&tensors(&mean), &others)?;
        mean = mean.map(&mut Blend { others, decay });
    }
    Ok(mean)
}

/// All floating-point tensors of a model as it is now, flat and without autodiff, with their shapes.
fn tensors<M: Module>(model: &M) -> Tensors {
    struct Collect(Tensors);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let shape = tensor.dims().to_vec();
            self.0.push_back((tensor.flatten(0, D - 1), shape));
        }
    }
    let mut collect = Collect(VecDeque::new());
    model.valid().visit(&mut collect);
    collect.0
}

type Tensors = VecDeque<(Tensor<1>, Vec<usize>)>;

/// Refuses tensors that cannot be averaged with the others.
fn check_shapes(expected: &Tensors, found: &Tensors) -> Result<(), ConfigError> {
    let shapes = |tensors: &Tensors| tensors.iter().map(|(_, shape)| shape.clone()).collect();
    let (expected, found): (Vec<_>, Vec<_>) = (shapes(expected), shapes(found));
    let differ = expected.iter().zip(&found).find(|(a, b)| a != b);
    match differ {
        Some((expected, found)) => {
            let expected = format!("{expected:?}, as the others have");
            Err(ConfigError::new("models", format!("with a tensor of {found:?}"), expected))
        }
        None => config::require(
            expected.len() == found.len(),
            "models",
            found.len(),
            format!("{} tensors, as the others have", expected.len()),
        ),
    }
}

/// `decay` of each tensor and the rest of its counterpart, in visiting order.
struct Blend {
    others: Tensors,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((other, _)) = self.others.pop_front() else {
            return param;
        };
        let decay = self.decay;
        param.map(|tensor| {
            let other = other.reshape(tensor.shape());
            tensor.mul_scalar(decay) + other.mul_scalar(1.0 - decay)
        })
    }
}
