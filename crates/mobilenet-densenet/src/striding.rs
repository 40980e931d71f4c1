//! How the strides of a model become dilation beyond its output stride.

use crate::classifier::Stage;

/// Follows the stride through a model. Where a step would go beyond the output stride, it is not
/// taken; what comes after looks with holes instead (à trous: Chen et al. 2017, section 3.1), so
/// that every place of the coarser map is found, with its value, in the finer one.
#[derive(Debug)]
pub(crate) struct Striding {
    limit: usize,
    /// Pixels between two neighbours here.
    pub(crate) reached: usize,
    /// Distance between the taps of kernels here.
    pub(crate) dilation: usize,
}

/// How a layer walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
}

impl Striding {
    pub(crate) fn new(output_stride: usize) -> Self {
        Self { limit: output_stride, reached: 1, dilation: 1 }
    }

    /// How a layer of this stride walks.
    pub(crate) fn step(&mut self, stride: usize) -> Step {
        let dilation = self.dilation;
        if self.reached * stride <= self.limit {
            self.reached *= stride;
            Step { stride, dilation }
        } else {
            self.dilation *= stride;
            Step { stride: 1, dilation }
        }
    }

    /// The stage that ends here.
    pub(crate) fn stage(&self, channels: usize) -> Stage {
        Stage { channels, stride: self.reached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_beyond_the_output_stride_become_dilation() {
        let mut striding = Striding::new(8);
        let steps: Vec<_> =
            [2, 2, 1, 2, 2, 1, 2, 1].map(|stride| striding.step(stride)).into_iter().collect();
        let walked = |stride, dilation| Step { stride, dilation };
        let expected = [(2, 1), (2, 1), (1, 1), (2, 1), (1, 1), (1, 2), (1, 2), (1, 4)];
        assert_eq!(steps, expected.map(|(stride, dilation)| walked(stride, dilation)));
        assert_eq!(striding.stage(7), Stage { channels: 7, stride: 8 });
    }
}
