//! All gradients, or all parameters, of a module together.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients of a module together so that their global L2 norm is at most
/// `max_norm` (PyTorch's `clip_grad_norm_`; Burn's own clipping is per tensor).
///
/// Returns the gradients and the norm before clipping, `[1]`, on the device: nothing is read
/// back. Parameters without a gradient count as zero.
pub fn clip_grad_norm<M: Module>(
    module: &M,
    grads: GradientsParams,
    max_norm: f64,
) -> (GradientsParams, Tensor<1>) {
    let norm = grad_norm(module, &grads);
    // PyTorch divides by norm + 1e-6; the factor never enlarges.
    let factor = (norm.clone() + 1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    let mut scaled = ScaleGrads { grads, factor };
    module.visit(&mut scaled);
    (scaled.grads, norm)
}

/// The L2 norm of all gradients of a module together, `[1]`, on the device. Parameters without a
/// gradient count as zero.
pub fn grad_norm<M: Module>(module: &M, grads: &GradientsParams) -> Tensor<1> {
    let mut squares = SumOfSquares { grads, sum: None };
    module.visit(&mut squares);
    if let Some(sum) = squares.sum {
        return sum.sqrt();
    }
    let device = module.devices().first().cloned().unwrap_or_default();
    Tensor::zeros([1], &device.without_autodiff())
}

struct SumOfSquares<'a> {
    grads: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = grad.powi_scalar(2).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct ScaleGrads {
    grads: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for ScaleGrads {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            let factor = self.factor.clone().reshape([1; D]);
            self.grads.register(param.id, grad * factor);
        }
    }
}

/// The number of parameters that training moves: all floating-point tensors but the running
/// statistics of normalisation layers, which Burn's `num_params` counts too.
pub fn learnable_parameters<M: Module>(module: &M) -> usize {
    let mut count = Learnable { containers: Vec::new(), total: 0 };
    module.visit(&mut count);
    count.total
}

struct Learnable {
    containers: Vec<String>,
    total: usize,
}

impl ModuleVisitor for Learnable {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.containers.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let running = matches!(
            self.containers.last().map(String::as_str),
            Some("running_mean" | "running_var")
        );
        if !running {
            self.total += param.lazy_shape().num_elements();
        }
    }
}
