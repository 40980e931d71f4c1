//! A module's numbers in a row, and back.

use std::collections::VecDeque;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use model_utils::ops;

use crate::error::ConfigError;

/// The gradients of a module's learnable parameters in buckets of about so many numbers, zeros where
/// there is none; and for each parameter 1 where there is one.
pub(super) fn gradients<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    bucket: usize,
) -> (Vec<Vec<f32>>, Vec<f32>) {
    struct Collect<'a> {
        grads: &'a mut GradientsParams,
        bucket: usize,
        buckets: Vec<Vec<f32>>,
        found: Vec<f32>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.is_require_grad() {
                return;
            }
            if self.buckets.last().is_none_or(|last| last.len() >= self.bucket) {
                self.buckets.push(Vec::new());
            }
            let Some(last) = self.buckets.last_mut() else { return };
            if let Some(grad) = self.grads.remove::<D>(param.id) {
                last.extend(ops::to_vec(grad));
                self.found.push(1.0);
            } else {
                let elements = param.lazy_shape().num_elements();
                last.resize(last.len() + elements, 0.0);
                self.found.push(0.0);
            }
        }
    }
    let mut collect = Collect { grads, bucket, buckets: Vec::new(), found: Vec::new() };
    module.visit(&mut collect);
    (collect.buckets, collect.found)
}

/// Gradients of a module from [`gradients`] that were added up, times a factor; none for a parameter
/// that nobody found one for.
pub(super) fn to_gradients<M: Module>(
    module: &M,
    buckets: Vec<Vec<f32>>,
    found: &[f32],
    factor: f32,
) -> GradientsParams {
    struct Restore<N> {
        numbers: N,
        found: VecDeque<f32>,
        factor: f32,
        grads: GradientsParams,
    }
    impl<N: Iterator<Item = f32>> ModuleVisitor for Restore<N> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.is_require_grad() {
                return;
            }
            let shape = param.lazy_shape();
            let numbers = self.numbers.by_ref().take(shape.num_elements());
            let numbers: Vec<f32> = numbers.map(|number| number * self.factor).collect();
            if self.found.pop_front().is_some_and(|found| found > 0.0) {
                let device = param.val().device().inner();
                let data = TensorData::new(numbers, shape);
                self.grads.register(param.id, Tensor::<D>::from_data(data, &device));
            }
        }
    }
    let mut restore = Restore {
        numbers: buckets.into_iter().flatten(),
        found: found.iter().copied().collect(),
        factor,
        grads: GradientsParams::new(),
    };
    module.visit(&mut restore);
    restore.grads
}

/// All floating-point numbers of a module without autodiff: weights and running statistics.
pub(super) fn numbers<M: Module>(snapshot: &M) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(ops::to_vec(param.val()));
        }
    }
    let mut collect = Collect(Vec::new());
    snapshot.visit(&mut collect);
    collect.0
}

/// The snapshot with other numbers, from [`numbers`]; the snapshot must be nobody else's.
pub(super) fn with_numbers<M: Module>(snapshot: M, numbers: &[f32]) -> Result<M, ConfigError> {
    struct Replace<'a>(Option<&'a [f32]>);
    impl ModuleMapper for Replace<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let elements = param.lazy_shape().num_elements();
            let Some((first, rest)) = self.0.and_then(|left| left.split_at_checked(elements))
            else {
                self.0 = None;
                return param;
            };
            self.0 = Some(rest);
            param.map(|tensor| {
                let data = TensorData::new(first.to_vec(), tensor.shape());
                Tensor::from_data(data, &tensor.device())
            })
        }
    }
    let mut replace = Replace(Some(numbers));
    let module = snapshot.map(&mut replace);
    if replace.0 == Some(&[]) {
        return Ok(module);
    }
    let value = format!("{} numbers", numbers.len());
    Err(ConfigError::new("weights", value, "as many as the model has"))
}
