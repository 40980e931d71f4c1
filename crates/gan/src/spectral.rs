//! Spectral normalisation (Miyato et al. 2018): each weight is divided by its largest singular
//! value, as a reparameterization of any module.
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::LinearConfig;
//! use gan::spectral::Spectral;
//! # let device = model_utils::device::DeviceSpec::default().open()?.autodiff();
//!
//! let layer = LinearConfig::new(8, 8).init(&device).apply_reparameterization(Spectral::new());
//! for _ in 0..50 {
//!     layer.weight.val(); // each use is one step of the power iteration
//! }
//! # Ok::<(), gan::Error>(())
//! ```

use burn::module::{Module, Param, Reparameterization, Reparameterizer, RunningState};
use burn::tensor::{Tensor, TensorData};

use crate::noise::Noise;

/// Attaches [`SpectralNorm`] to every weight of rank 2 or more but embeddings.
#[derive(Debug, Clone, Default)]
pub struct Spectral {
    seen: u64,
}

impl Spectral {
    /// For one module.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Reparameterizer for Spectral {
    type Reparam = SpectralNorm;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<SpectralNorm>) {
        if D < 2 || path.contains("embedding") {
            return (param, None);
        }
        self.seen += 1;
        let rows = param.lazy_shape()[0];
        let start = Noise::new(0x5BEC, self.seen).normal(rows);
        let device = param.lazy_device().without_autodiff();
        let start = Tensor::<1>::from_data(TensorData::new(start, [rows]), &device);
        let start = if param.lazy_device().is_autodiff() {
            Tensor::from_inner(normalised(start))
        } else {
            normalised(start)
        };
        (param, Some(SpectralNorm { left: RunningState::new(start) }))
    }
}

/// One weight's normalisation: `W / σ(W)`, σ being estimated by power iteration, one step at each
/// use in training, from the singular vector that it keeps. The weight is taken as
/// `[first axis, all others]`; PyTorch takes the second axis of a transposed convolution first.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    /// The left singular vector, `[first axis]`.
    left: RunningState<Tensor<1>>,
}

impl Reparameterization for SpectralNorm {
    const NAME: &'static str = "spectral_norm";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let rows = base.dims()[0] as i32;
        let matrix: Tensor<2> = base.clone().reshape([rows, -1]);
        let is_training = matrix.device().is_autodiff();
        let still = if is_training { matrix.clone().inner() } else { matrix.clone() };
        let mut left = self.left.value_sync();
        if left.device().is_autodiff() {
            left = left.inner();
        }
        let mut left: Tensor<2> = left.unsqueeze_dim(1);
        let right = unit(still.clone().transpose().matmul(left.clone()));
        if is_training {
            left = unit(still.matmul(right.clone()));
            self.left.update(Tensor::from_inner(left.clone().squeeze_dim(1)));
        }
        let (left, right) = if is_training {
            (Tensor::from_inner(left), Tensor::from_inner(right))
        } else {
            (left, right)
        };
        let sigma = left.transpose().matmul(matrix).matmul(right);
        base / sigma.reshape([1; D])
    }
}

fn normalised(x: Tensor<1>) -> Tensor<1> {
    let norm = x.clone().powi_scalar(2).sum().sqrt().clamp_min(1e-12);
    x / norm
}

/// `[n, 1]` of length 1.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let norm = x.clone().powi_scalar(2).sum_dim(0).sqrt().clamp_min(1e-12);
    x / norm
}
