//! Building blocks that several topics share: convolution–norm–activation, the residual block,
//! squeeze-excite, channel rounding and initialisers.

mod activation;
mod conv;
mod init;
mod layer_norm;
mod residual;
mod squeeze_excite;

pub use activation::Activation;
pub use conv::{ConvNormAct, ConvNormActConfig, NormConfig};
pub use init::{he_normal, normal};
pub use layer_norm::LayerNorm;
pub use residual::{NormOrder, ResidualBlock, ResidualBlockConfig};
pub use squeeze_excite::{SqueezeExcite, SqueezeExciteConfig};

/// Rounds a channel count to a multiple of `divisor`, never below it and never more than 10 %
/// down (the rule of the MobileNet reference code, `_make_divisible`).
///
/// ```
/// use model_utils::layers::make_divisible;
///
/// assert_eq!(make_divisible(32.0 * 0.75, 8), 24);
/// assert_eq!(make_divisible(16.0 * 0.35, 8), 8); // 5.6 → 8, the least
/// assert_eq!(make_divisible(24.0 * 0.8, 8), 24); // 19.2 → 16 would lose more than 10 %
/// ```
///
/// # Panics
///
/// If `divisor` is 0.
pub fn make_divisible(channels: f64, divisor: usize) -> usize {
    assert!(divisor > 0, "the divisor of a channel count must not be 0");
    let nearest = ((channels + divisor as f64 / 2.0) as usize) / divisor * divisor;
    let rounded = nearest.max(divisor);
    if (rounded as f64) < 0.9 * channels { rounded + divisor } else { rounded }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::module::Module as _;
    use burn::tensor::{Device, Distribution, Tensor};

    #[test]
    fn channels_of_mobilenet_widths() {
        let widths = |alpha: f64| {
            [32, 16, 24, 32, 64, 96, 160, 320].map(|c| make_divisible(f64::from(c) * alpha, 8))
        };
        assert_eq!(widths(1.0), [32, 16, 24, 32, 64, 96, 160, 320]);
        assert_eq!(widths(0.75), [24, 16, 24, 24, 48, 72, 120, 240]);
        assert_eq!(widths(0.35), [16, 8, 8, 16, 24, 32, 56, 112]);
        assert_eq!(widths(1.4), [48, 24, 32, 48, 88, 136, 224, 448]);
    }

    #[test]
    fn blocks_keep_or_halve_the_space() {
        let device = Device::flex();
        let x = Tensor::<4>::random([2, 6, 9, 9], Distribution::Default, &device);
        for order in [NormOrder::Post, NormOrder::Pre] {
            let same = ResidualBlockConfig::new([6, 6]).with_order(order).init(&device);
            assert!(same.shortcut.is_none());
            assert_eq!(same.forward(x.clone()).dims(), [2, 6, 9, 9]);
            let down =
                ResidualBlockConfig::new([6, 8]).with_stride(2).with_order(order).init(&device);
            assert!(down.shortcut.is_some());
            assert_eq!(down.forward(x.clone()).dims(), [2, 8, 5, 5]);
        }
        let squeeze = SqueezeExciteConfig::new(6, 2).init(&device);
        assert_eq!(squeeze.forward(x).dims(), [2, 6, 9, 9]);
    }

    #[test]
    fn a_post_activation_block_of_zero_weights_is_relu() {
        let device = Device::flex();
        let block = ResidualBlockConfig::new([3, 3]).init(&device);
        let zeroed = block.map(&mut Zero);
        let x = Tensor::<4>::random([1, 3, 4, 4], Distribution::Normal(0.0, 1.0), &device);
        let out = zeroed.forward(x.clone());
        out.into_data().assert_eq(&x.clamp_min(0.0).into_data(), true);
    }

    struct Zero;

    impl burn::module::ModuleMapper for Zero {
        fn map_float<const D: usize>(
            &mut self,
            param: burn::module::Param<Tensor<D>>,
        ) -> burn::module::Param<Tensor<D>> {
            param.map(|tensor| tensor.zeros_like())
        }
    }

    #[test]
    fn initialisers_have_the_stated_spread() {
        let device = Device::flex();
        crate::device::seed(&device, 3);
        let config = ConvNormActConfig::new([64, 128], 3).with_initializer(he_normal());
        let weight = config.init(&device).conv.weight.val();
        let std = weight.var_mean(0).0.mean().into_scalar::<f32>().sqrt();
        let expected = (2.0_f32 / (64.0 * 9.0)).sqrt();
        assert!((std / expected - 1.0).abs() < 0.03, "{std} against {expected}");
    }
}
