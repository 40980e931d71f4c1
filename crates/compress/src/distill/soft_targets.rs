use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use model_utils::{config, ops};
use serde::{Deserialize, Serialize};

use super::shapes::{same_batch, same_shape};
use crate::error::{ConfigError, Result};

/// Soft targets (Hinton et al. 2015, <https://arxiv.org/abs/1503.02531>): the student learns the
/// teacher's probabilities at a raised temperature beside the true classes,
///
/// ```math
/// L = \alpha\,\mathrm{CE}(y, \sigma(s)) + (1 - \alpha)\,T^2\,\mathrm{KL}\big(\sigma(t / T) \,\|\, \sigma(s / T)\big)
/// ```
///
/// with the logits `s` of the student and `t` of the teacher, averaged over the batch. `T²` keeps
/// the gradients of both parts alike when the temperature changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SoftTargets {
    /// T: 1 leaves the teacher's probabilities as they are, higher ones show more of the classes
    /// that it holds for unlikely.
    pub temperature: f64,
    /// α: the share of the true classes in the loss; 0.1 unless told otherwise.
    pub alpha: f64,
}

impl SoftTargets {
    /// A temperature, and a tenth for the true classes.
    pub fn new(temperature: f64) -> Self {
        Self { temperature, alpha: 0.1 }
    }

    /// Sets the share of the true classes.
    #[must_use]
    pub fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// The loss of `[batch, classes]` logits, `[1]`. No gradient goes to the teacher. Without labels
    /// it is the part of the soft targets alone, as at α = 0.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a temperature that is not above 0 or an α outside
    /// 0 to 1; [`Error::Shape`](model_utils::Error::Shape) for logits or labels of other shapes.
    pub fn loss(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        labels: Option<Tensor<1, Int>>,
    ) -> Result<Tensor<1>> {
        self.check()?;
        same_shape("the teacher's logits", student.dims(), teacher.dims())?;
        let t = self.temperature;
        let [batch, _] = student.dims();
        let log_p = log_softmax(teacher.without_autodiff() / t, 1);
        let log_q = log_softmax(student.clone() / t, 1);
        let p = log_p.clone().exp();
        let soft = (p * (log_p - log_q)).sum() * (t * t / batch as f64);
        let Some(labels) = labels else { return Ok(soft) };
        same_batch("labels", [batch], labels.dims())?;
        if self.alpha == 0.0 {
            return Ok(soft);
        }
        let hard = ops::cross_entropy(student, labels, 0.0);
        Ok(hard * self.alpha + soft * (1.0 - self.alpha))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        config::positive("temperature", self.temperature)?;
        config::share("alpha", self.alpha)
    }
}
