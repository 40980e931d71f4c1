//! A graph without some of its channels computes what the whole graph computes without their
//! contribution, in every family of models.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

mod contribution;

use burn::tensor::{Int, Tensor, TensorData};
use compress::prune::{Dependencies, MemberRole};
use contribution::{agrees, flex, images, outputs, uniform};
use gan::{DcganConfig, Generator, Networks};
use mobilenet_densenet::{Architecture, BuildOptions, Classifier, Stem, VggConfig};
use model_utils::graph::{AnyTensor, Graph, Whole};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use transformer::{EncoderDecoder, NormOrder, Padded, Transformer, TransformerConfig, Tying};

fn family(architecture: Architecture, width: f64, side: usize) -> Graph {
    let options = BuildOptions::new().with_width(width).with_classes(5).with_side(side);
    let model = architecture.build(&options, &flex()).unwrap();
    let graph = Graph::trace(&model, [1, 3, side, side], Classifier::forward).unwrap();
    agrees(&architecture.to_string(), &graph, &[images([2, 3, side, side], 7).into()], 2);
    graph
}

#[test]
fn vgg_with_its_flattened_features() {
    let graph = family(Architecture::Vgg11, 0.125, 32);
    assert!(Dependencies::new(&graph).left_alone().is_empty());
    family(Architecture::Vgg11Bn, 0.125, 32);
    let config = VggConfig::vgg11()
        .with_batch_norm(true)
        .with_width(0.125)
        .with_pooled(2)
        .with_hidden(24)
        .with_classes(5);
    let model = config.init(&flex()).unwrap();
    let graph = Graph::trace(&model, [1, 3, 64, 64], Classifier::forward).unwrap();
    let dependencies = Dependencies::new(&graph);
    // Eight convolutions and two hidden layers.
    assert_eq!(dependencies.groups().len(), 10);
    // The first linear layer takes a block of features for each channel.
    let last = &dependencies.groups()[7];
    let taking = last.members.iter().find(|member| member.role == MemberRole::Takes).unwrap();
    assert!(taking.places.iter().all(|places| places.len() == 4), "{taking:?}");
    agrees("a VGG", &graph, &[images([2, 3, 64, 64], 1).into()], 2);
}

#[test]
fn resnet_with_its_sums() {
    let graph = family(Architecture::ResNet18, 0.125, 32);
    let dependencies = Dependencies::new(&graph);
    // One group a stage for the sums, and one inside each of eight blocks.
    assert_eq!(dependencies.groups().len(), 4 + 8);
    family(Architecture::ResNet50, 0.125, 32);
}

#[test]
fn densenet_with_its_concatenations() {
    family(Architecture::DenseNet121, 0.25, 32);
    let config = mobilenet_densenet::DenseNetConfig::new(4, vec![3, 2], 8)
        .with_stem(Stem::Small)
        .with_classes(3);
    let model = config.init(&flex()).unwrap();
    let graph = Graph::trace(&model, [1, 3, 8, 8], Classifier::forward).unwrap();
    agrees("a small DenseNet", &graph, &[images([2, 3, 8, 8], 1).into()], 8);
}

#[test]
fn mobilenets_with_depthwise_convolutions_and_squeeze_excite() {
    family(Architecture::MobileNetV1, 0.25, 32);
    let graph = family(Architecture::MobileNetV2, 0.35, 32);
    assert!(Dependencies::new(&graph).left_alone().is_empty());
    family(Architecture::MobileNetV3Small, 0.35, 32);
    family(Architecture::MobileNetV3Large, 0.35, 32);
}

#[test]
fn the_generator_and_discriminator_of_a_dcgan() {
    let config = DcganConfig::for_size(32).with_width(6).with_latent(9);
    let (generator, discriminator) = config.init(1, &flex()).unwrap();
    let graph = Graph::trace(&generator, [1, 9], |generator, z| generator.forward(z, None));
    let graph = graph.unwrap();
    assert_eq!(Dependencies::new(&graph).groups().len(), 3);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let z = Tensor::<2>::from_data(uniform(&[2, 9], -1.0, 1.0, &mut rng), &flex());
    agrees("the generator", &graph, &[z.into()], 4);
    let graph = Graph::trace(&discriminator, [1, 3, 32, 32], |discriminator, x| {
        gan::Discriminator::forward(discriminator, x, None)
    });
    agrees("the discriminator", &graph.unwrap(), &[images([2, 3, 32, 32], 2).into()], 4);
}

/// A translation model on fixed lengths of source and target.
fn translator(config: &TransformerConfig) -> (Graph, [AnyTensor; 2]) {
    let model = config.init(&flex()).unwrap();
    let ids = |rows: usize, time: usize| {
        let values: Vec<i64> = (0..(rows * time) as i64).map(|at| (at * 5 + at / 3) % 11).collect();
        Tensor::<2, Int>::from_data(TensorData::new(values, [rows, time]), &flex())
    };
    let padded = |ids: Tensor<2, Int>| {
        let [rows, time] = ids.dims();
        Padded { ids, lengths: vec![time; rows] }
    };
    // The causal mask is made for a batch.
    let example = (Whole(ids(2, 6)), Whole(ids(2, 5)));
    let graph = Graph::trace(&model, example, |model: &Transformer, (source, target)| {
        model.logits(&padded(source), &padded(target))
    });
    (graph.unwrap(), [ids(2, 6).into(), ids(2, 5).into()])
}

#[test]
fn the_transformer_with_whole_heads() {
    let base = TransformerConfig::new(11, 13)
        .with_d_model(24)
        .with_heads(6)
        .with_encoder_layers(2)
        .with_decoder_layers(1)
        .with_d_ff(20);
    for (norm, tying) in [(NormOrder::Pre, Tying::None), (NormOrder::Post, Tying::Output)] {
        let (graph, inputs) = translator(&base.clone().with_norm(norm).with_tying(tying));
        let dependencies = Dependencies::new(&graph);
        let count = |channels: usize| {
            dependencies.groups().iter().filter(|group| group.channels() == channels).count()
        };
        // Four attentions of six heads, three feed-forward layers, the widths of both sides.
        assert_eq!((count(6), count(20), count(24)), (4, 3, 2), "{norm:?}, {tying:?}");
        assert_eq!(dependencies.groups().len(), 9);
        let heads = dependencies.groups().iter().find(|group| group.channels() == 6).unwrap();
        let weights = heads.members.iter().filter(|member| member.role != MemberRole::Other);
        assert!(weights.clone().all(|member| member.places.iter().all(|at| at.len() == 4)));
        assert_eq!(weights.count(), 4);
        agrees("a transformer", &graph, &inputs, 3);

        // The width goes through layer norms: smaller, and it still computes.
        let width = dependencies.groups().iter().position(|group| group.channels() == 24).unwrap();
        assert!(dependencies.groups()[width].is_normalised_over);
        let mut removed = vec![Vec::new(); dependencies.groups().len()];
        removed[width] = vec![0, 5, 6, 23];
        let smaller = dependencies.without(&removed).unwrap();
        assert_eq!(outputs(&smaller, &inputs)[0].len(), outputs(&graph, &inputs)[0].len());
        let gone = graph.learnable_parameters() - smaller.learnable_parameters();
        assert!(gone > 1000, "{gone}");
    }
}
