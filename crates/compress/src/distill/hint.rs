use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use model_utils::{config, ops};

use super::shapes::{same_shape, wrong};
use crate::error::{ConfigError, Result};

/// Hint layers (`FitNets`, Romero et al. 2014, <https://arxiv.org/abs/1412.6550>): what a layer in the
/// middle of the student gives, passed through a [regressor](MapRegressor), is to be what a layer of
/// the teacher gives. The mean of the squared differences,
///
/// ```math
/// L = \frac{1}{n} \sum (h_t - r(h_s))^2
/// ```
///
/// where the paper has half the sum over an example: the factor is that of the loss's weight. No
/// gradient goes to the teacher.
///
/// # Errors
///
/// [`Error::Shape`](model_utils::Error::Shape) for tensors of different shapes.
pub fn hint_loss<const D: usize>(student: Tensor<D>, teacher: Tensor<D>) -> Result<Tensor<1>> {
    same_shape("the teacher's hint", student.dims(), teacher.dims())?;
    Ok((student - teacher.without_autodiff()).powi_scalar(2).mean())
}

/// A 1×1 convolution that brings feature maps to the teacher's channels; it trains with the student
/// and is dropped afterwards.
#[derive(Module, Debug)]
pub struct MapRegressor {
    conv: Conv2d,
}

impl MapRegressor {
    /// From the student's channels to the teacher's.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no channels.
    pub fn new(student: usize, teacher: usize, device: &Device) -> Result<Self> {
        check(student, teacher)?;
        Ok(Self { conv: Conv2dConfig::new([student, teacher], [1, 1]).init(device) })
    }

    /// `[batch, channels_student, height, width]` → `[batch, channels_teacher, height, width]`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`](model_utils::Error::Shape) for maps of other channels.
    pub fn forward(&self, maps: Tensor<4>) -> Result<Tensor<4>> {
        let channels = self.conv.weight.val().dims()[1];
        if maps.dims()[1] != channels {
            let expected = format!("[batch, {channels}, height, width]");
            return Err(wrong("the regressor's input", expected, &maps.dims()));
        }
        Ok(ops::conv2d(&self.conv, maps))
    }
}

/// A linear layer that brings features to the teacher's number; it trains with the student and is
/// dropped afterwards.
#[derive(Module, Debug)]
pub struct FeatureRegressor {
    linear: Linear,
}

impl FeatureRegressor {
    /// From the student's features to the teacher's.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no features.
    pub fn new(student: usize, teacher: usize, device: &Device) -> Result<Self> {
        check(student, teacher)?;
        Ok(Self { linear: LinearConfig::new(student, teacher).init(device) })
    }

    /// `[…, features_student]` → `[…, features_teacher]`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`](model_utils::Error::Shape) for other features.
    pub fn forward<const D: usize>(&self, features: Tensor<D>) -> Result<Tensor<D>> {
        let count = self.linear.weight.val().dims()[0];
        if features.dims()[D - 1] != count {
            let expected = format!("[…, {count}]");
            return Err(wrong("the regressor's input", expected, &features.dims()));
        }
        Ok(ops::linear(&self.linear, features))
    }
}

fn check(student: usize, teacher: usize) -> Result<(), ConfigError> {
    config::at_least("student", student, 1)?;
    config::at_least("teacher", teacher, 1)
}
