//! `ndarray` alone: a module of one's own is traced, summarised and computed as a graph;
//! a generator and a discriminator play.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use gan::{GanConfig, Loss, Mixture, MlpConfig};
use mobilenet_densenet::{Classifier, DenseNetConfig};
use model_utils::device::DeviceSpec;
use model_utils::graph::Graph;
use model_utils::train::{Budget, Silent};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new([1, 4], [3, 3]).init(device),
            norm: BatchNormConfig::new(4).init(device),
            head: LinearConfig::new(4, 2).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm.forward(self.conv.forward(x)));
        self.head.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(DeviceSpec::built(), [DeviceSpec::NdArray]);
    let device = "ndarray".parse::<DeviceSpec>()?.open()?;
    assert!("flex".parse::<DeviceSpec>()?.open().is_err());

    let net = Net::new(&device);
    let mut graph = Graph::trace(&net, [1, 1, 8, 8], Net::forward)?;
    let summary = graph.summary(1)?;
    println!("{summary}");
    assert_eq!(summary.learnable_parameters, 4 * 9 + 4 + 8 + 4 * 2 + 2);
    assert_eq!(summary.multiply_adds, 36 * 36 + 8);
    assert_eq!(graph.fold_batch_norm()?, 1);
    let x = Tensor::<4>::ones([3, 1, 8, 8], &device);
    let found: Tensor<2> = graph.init(&device)?.forward(x.clone())?;
    let off = (found - net.forward(x)).abs().max().into_scalar::<f32>();
    assert!(off < 1e-5, "{off}");

    let model = DenseNetConfig::new(4, vec![2, 2], 8).with_classes(3).init(&device)?;
    let logits = model.forward(Tensor::ones([1, 3, 16, 16], &device));
    assert_eq!(logits.dims(), [1, 3]);

    let networks = MlpConfig::new(2).with_hidden(vec![8]);
    let mut gan = GanConfig::new(networks, Loss::Relativistic).init(&device)?;
    gan.train(&Mixture::ring(), Budget::steps(2), &mut Silent)?;
    assert_eq!(gan.sample(3, 1)?.len(), 3);
    Ok(())
}
