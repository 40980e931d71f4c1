//! Every device of this build that answers gives the numbers of flex.
//!
//! With `--features wgpu` and a software Vulkan this is the cross-device test; where no adapter
//! answers it says so.
#![cfg(feature = "flex")]
#![allow(missing_docs, clippy::print_stderr)]

mod common;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use common::{Net, batches, flex, read};
use model_utils::device::{DeviceClass, DeviceSpec};
use model_utils::layers::{
    Activation, ConvNormActConfig, NormOrder, ResidualBlockConfig, SqueezeExciteConfig,
};
use model_utils::weights::{State, same_names};
use model_utils::{Error, ops};

fn others() -> Vec<DeviceSpec> {
    let found = DeviceSpec::available();
    for family in DeviceSpec::built() {
        match found.iter().find(|info| info.spec.feature() == family.feature()) {
            Some(info) => eprintln!("testing on {info}"),
            None => eprintln!("no {} adapter answers: not tested on it", family.feature()),
        }
    }
    found.into_iter().map(|info| info.spec).filter(|spec| *spec != DeviceSpec::Flex).collect()
}

/// The same module with the same weights elsewhere.
fn moved<M: Module>(module: &M, fresh: M) -> M {
    let state = State::from_module(module, same_names).unwrap();
    let (module, report) = state.apply(fresh, same_names).unwrap();
    assert!(report.is_complete(), "{report}");
    module
}

#[test]
fn both_processor_backends_draw_the_same_weights_from_a_seed() {
    let drawn = |spec: DeviceSpec| {
        let device = spec.open().ok()?;
        model_utils::device::seed(&device, 42);
        let uniform = Tensor::<1>::random([64], Distribution::Uniform(-1.0, 1.0), &device);
        let normal = Tensor::<1>::random([64], Distribution::Normal(0.0, 1.0), &device);
        Some([uniform, normal].map(|tensor| tensor.into_data().try_to_vec::<f32>().unwrap()))
    };
    let Some(expected) = drawn(DeviceSpec::Flex) else { return };
    if let Some(found) = drawn(DeviceSpec::NdArray) {
        assert_eq!(found, expected);
    }
}

fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale;
    eprintln!("  {what}: {off:.1e}");
    assert!(off < tolerance, "{what}: {off:.1e}");
}

fn image(device: &Device) -> Tensor<4> {
    let values: Vec<f32> =
        (0..2 * 8 * 7 * 7).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    Tensor::from_data(burn::tensor::TensorData::new(values, [2, 8, 7, 7]), device)
}

#[test]
fn layers_agree() {
    for spec in others() {
        let there = spec.open().unwrap();
        let here = flex();
        macro_rules! agree {
            ($name:literal, $config:expr) => {{
                let block = $config.init(&here);
                let twin = moved(&block, $config.init(&there));
                let (a, b) = (block.forward(image(&here)), twin.forward(image(&there)));
                assert_close(&format!("{spec} {}", $name), &read(b), &read(a), 1e-5);
            }};
        }
        agree!("convolution", ConvNormActConfig::new([8, 6], 3).with_stride(2));
        agree!(
            "depthwise",
            ConvNormActConfig::new([8, 8], 3).with_groups(8).with_activation(Activation::Relu6)
        );
        agree!(
            "pointwise",
            ConvNormActConfig::new([8, 16], 1).with_activation(Activation::HardSwish)
        );
        agree!("dilated", ConvNormActConfig::new([8, 4], 3).with_dilation(2));
        agree!("residual", ResidualBlockConfig::new([8, 12]).with_stride(2));
        agree!("pre-activation", ResidualBlockConfig::new([8, 8]).with_order(NormOrder::Pre));
        agree!("squeeze-excite", SqueezeExciteConfig::new(8, 4));
    }
}

#[test]
fn gradients_and_clipping_agree() {
    let here = flex().autodiff();
    let net = Net { dropout: burn::nn::DropoutConfig::new(0.0).init(), ..Net::new(&here) };
    for spec in others() {
        let there = spec.open().unwrap().autodiff();
        let fresh = Net { dropout: burn::nn::DropoutConfig::new(0.0).init(), ..Net::new(&there) };
        let twin = moved(&net, fresh);
        let grads = |net: &Net, device: &Device| {
            let (images, labels) = batches(1, device).remove(0);
            let loss = ops::cross_entropy(net.forward(images), labels, 0.1);
            let value = read(loss.clone());
            let grads = GradientsParams::from_grads(loss.backward(), net);
            let (grads, norm) = ops::clip_grad_norm(net, grads, 0.01);
            let clipped = grads.get::<4>(net.conv.weight.id).unwrap();
            (value, read(norm), read(clipped))
        };
        let (a, b) = (grads(&net, &here), grads(&twin, &there));
        assert_close(&format!("{spec} loss"), &b.0, &a.0, 1e-5);
        assert_close(&format!("{spec} gradient norm"), &b.1, &a.1, 1e-4);
        assert_close(&format!("{spec} clipped gradient"), &b.2, &a.2, 1e-4);
    }
}

#[test]
fn seeds_repeat_on_every_device() {
    for spec in DeviceSpec::available().into_iter().map(|info| info.spec) {
        // Flex and ndarray draw from one generator a process; this binary's other tests draw
        // none but at initialisation, so a retry tells a race from a broken seed.
        let device = spec.open().unwrap();
        let draw = |seed| {
            model_utils::device::seed(&device, seed);
            read(Tensor::<1>::random([32], burn::tensor::Distribution::Default, &device))
        };
        assert!((0..20).any(|_| draw(5) == draw(5)), "{spec}");
        assert_ne!(draw(5), draw(6), "{spec}");
    }
}

#[test]
fn a_missing_adapter_is_an_error_and_not_a_panic() {
    for spec in [DeviceSpec::Wgpu(None), DeviceSpec::Wgpu(Some(77)), DeviceSpec::Cuda(77)] {
        match spec.open() {
            Ok(_) => assert_eq!(spec, DeviceSpec::Wgpu(None)),
            Err(error) => assert!(
                matches!(error, Error::DeviceAbsent { .. } | Error::DeviceNotBuilt { .. }),
                "{error}"
            ),
        }
    }
    let processors = DeviceSpec::available().iter().filter(|i| i.class == DeviceClass::Cpu).count();
    assert!(processors >= 1);
}
