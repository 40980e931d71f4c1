//! What operations do to channels, on small networks made for one each; what is refused; and that
//! what is pruned is a model like any other.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

mod contribution;

use burn::module::{Module, Param};
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::conv::{Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{prelu, relu, sigmoid, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use compress::Error;
use compress::prune::{Dependencies, Importance, Structured, TaylorProducts};
use contribution::{agrees, difference, flex, images, on_autodiff, outputs, uniform};
use model_utils::graph::{Graph, GraphModule, Op, Quantization, Role};
use model_utils::ops;
use model_utils::train::Stop;
use model_utils::weights::{Manifest, load, same_names, save};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

fn conv(from: usize, to: usize, groups: usize) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3]).with_groups(groups).init(&flex())
}

/// Channels of each group.
fn counts(graph: &Graph) -> Vec<usize> {
    Dependencies::new(graph).groups().iter().map(compress::prune::Group::channels).collect()
}

/// Three convolutions with something between the first and the second.
fn between(groups: usize, between: impl Fn(Tensor<4>) -> Tensor<4>, to: usize) -> Graph {
    let convs = vec![conv(2, 8, 1), conv(to, 8, groups), conv(8, 3, 1)];
    Graph::trace(&convs, [1, 2, 9, 9], |convs: &Vec<Conv2d>, x| {
        let x = between(relu(convs[0].forward(x)));
        convs[2].forward(relu(convs[1].forward(x)))
    })
    .unwrap()
}

fn check(name: &str, graph: &Graph) {
    agrees(name, graph, &[images([2, 2, 9, 9], 3).into()], 6);
}

#[test]
fn grouped_convolutions_lose_whole_groups() {
    let graph = between(4, |x| x, 8);
    assert_eq!(counts(&graph), [4]);
    check("grouped", &graph);
    let pruned = Structured::channels(0.5).prune(&graph).unwrap().graph;
    let groups = pruned.nodes().find_map(|(_, node)| match node.op {
        Op::Conv2d { groups, .. } if groups > 1 => Some(groups),
        _ => None,
    });
    assert_eq!(groups, Some(2));

    // Depthwise with two outputs a channel.
    let convs = vec![conv(2, 5, 1), conv(5, 10, 5), conv(10, 3, 1)];
    let graph = Graph::trace(&convs, [1, 2, 9, 9], |convs: &Vec<Conv2d>, x| {
        convs.iter().fold(x, |x, conv| relu(conv.forward(x)))
    });
    let graph = graph.unwrap();
    assert_eq!(counts(&graph), [5]);
    check("depthwise with a multiplier", &graph);

    let transposed = |from, to, groups| -> ConvTranspose2d {
        ConvTranspose2dConfig::new([from, to], [2, 2]).with_groups(groups).init(&flex())
    };
    let layers = vec![transposed(2, 6, 1), transposed(6, 9, 3), transposed(9, 2, 1)];
    let graph = Graph::trace(&layers, [1, 2, 9, 9], |layers: &Vec<ConvTranspose2d>, x| {
        layers.iter().fold(x, |x, layer| relu(layer.forward(x)))
    });
    let graph = graph.unwrap();
    assert_eq!(counts(&graph), [3]);
    check("grouped transposed", &graph);
}

#[test]
fn channels_are_followed_through_slices_paddings_flips_and_joins() {
    check(
        "halves",
        &between(
            1,
            |x| {
                let [a, b]: [Tensor<4>; 2] = x.chunk(2, 1).try_into().unwrap();
                a * sigmoid(b)
            },
            4,
        ),
    );
    check("flipped", &between(1, |x| x.flip([1]), 8));
    check("a slice in the middle", &between(1, |x| x.narrow(1, 2, 5), 5));
    check(
        "joined with itself",
        &between(1, |x| Tensor::cat(vec![x.clone(), x.narrow(1, 1, 3)], 1), 11),
    );
    check("repeated", &between(1, |x| x.repeat_dim(1, 2), 16));
    check(
        "squeeze-excite",
        &between(
            1,
            |x| {
                let gate = sigmoid(x.clone().mean_dim(2).mean_dim(3));
                x * gate
            },
            8,
        ),
    );
    // Channel shuffle of two groups of four: [2, 4] → [4, 2].
    let shuffle = between(
        1,
        |x: Tensor<4>| {
            let [n, c, h, w] = x.dims();
            x.reshape([n, 2, c / 2, h, w]).swap_dims(1, 2).reshape([n, c, h, w])
        },
        8,
    );
    check("shuffled", &shuffle);
}

#[test]
fn slopes_lines_and_blocks_of_features_follow_their_channels() {
    #[derive(Module, Debug)]
    struct Lines {
        first: burn::nn::conv::Conv1d,
        norm: BatchNorm,
        slopes: Param<Tensor<1>>,
        last: Linear,
    }
    let lines = Lines {
        first: Conv1dConfig::new(2, 6, 3).init(&flex()),
        norm: BatchNormConfig::new(6).init(&flex()),
        slopes: Param::from_tensor(Tensor::ones([6], &flex())),
        last: LinearConfig::new(6 * 5, 3).init(&flex()),
    };
    let graph = Graph::trace(&lines, [1, 2, 7], |lines: &Lines, x: Tensor<3>| {
        let x = prelu(ops::batch_norm(&lines.norm, lines.first.forward(x)), lines.slopes.val());
        ops::linear(&lines.last, x.flatten::<2>(1, 2))
    });
    let graph = graph.unwrap();
    assert_eq!(counts(&graph), [6]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = Tensor::<3>::from_data(uniform(&[2, 2, 7], -1.0, 1.0, &mut rng), &flex());
    agrees("lines", &graph, &[x.into()], 4);
}

#[derive(Module, Debug)]
struct Block {
    norm: LayerNorm,
    attention: MultiHeadAttention,
    layers: Vec<Linear>,
}

impl Block {
    fn new() -> Self {
        Self {
            norm: LayerNormConfig::new(12).init(&flex()),
            attention: MultiHeadAttentionConfig::new(12, 4).with_dropout(0.0).init(&flex()),
            layers: vec![
                LinearConfig::new(5, 12).init(&flex()),
                LinearConfig::new(12, 2).init(&flex()),
                LinearConfig::new(12, 36).init(&flex()),
            ],
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.layers[0].forward(x);
        let input = MhaInput::self_attn(self.norm.forward(x.clone()));
        self.layers[1].forward(x + self.attention.forward(input).context)
    }

    /// Queries, keys and values of one layer.
    fn fused(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, time, _] = x.dims();
        let all = self.layers[2].forward(self.layers[0].forward(x));
        let all = all.reshape([batch, time, 3, 4, 3]).permute([2, 0, 3, 1, 4]);
        let [q, k, v] =
            [0, 1, 2].map(|at| all.clone().narrow(0, at, 1).reshape([batch, 4, time, 3]));
        let weights = softmax(q.matmul(k.swap_dims(2, 3)), 3);
        self.layers[1].forward(weights.matmul(v).swap_dims(1, 2).reshape([batch, time, 12]))
    }
}

#[test]
fn burns_own_attention_loses_whole_heads() {
    let block = Block::new();
    let graph = Graph::trace(&block, [1, 6, 5], Block::forward).unwrap();
    let mut channels = counts(&graph);
    channels.sort_unstable();
    assert_eq!(channels, [4, 12]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = Tensor::<3>::from_data(uniform(&[2, 6, 5], -1.0, 1.0, &mut rng), &flex());
    agrees("a block", &graph, &[x.clone().into()], 4);

    // One layer for queries, keys and values: its heads stay, and that is said.
    let graph = Graph::trace(&block, [1, 6, 5], Block::fused).unwrap();
    let dependencies = Dependencies::new(&graph);
    assert_eq!(counts(&graph), [12]);
    assert!(!dependencies.left_alone().is_empty(), "{graph}");
    agrees("fused", &graph, &[x.into()], 4);
}

#[test]
fn what_mixes_channels_is_named_and_left_alone() {
    let graph = between(1, |x| softmax(x, 1), 8);
    let dependencies = Dependencies::new(&graph);
    assert_eq!(counts(&graph), [8], "the channels behind the softmax");
    let [left] = dependencies.left_alone() else { panic!("{:?}", dependencies.left_alone()) };
    assert_eq!((left.node.as_str(), left.op), ("softmax", "softmax"));
    assert!(left.reason.contains("channels"), "{left:?}");
    let report = Structured::channels(0.5).prune(&graph).unwrap().report.to_string();
    assert!(report.contains("left alone: softmax (softmax)"), "{report}");

    for (name, graph) in [
        ("mean", between(1, |x| x.clone() - x.mean_dim(1), 8)),
        ("max", between(1, |x| x.clone() - x.max_dim(1), 8)),
        ("cumsum", between(1, |x| x.cumsum(1), 8)),
        ("reshape", between(1, |x: Tensor<4>| x.clone().reshape([x.dims()[0], 4, 14, 7]), 4)),
    ] {
        let dependencies = Dependencies::new(&graph);
        assert_eq!(counts(&graph), [8], "{name}");
        assert_eq!(dependencies.left_alone().len(), 1, "{name}: {:?}", dependencies.left_alone());
    }
}

/// A small classifier.
#[derive(Module, Debug)]
struct Net {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    head: Linear,
}

impl Net {
    fn new() -> Self {
        Self {
            convs: vec![conv(2, 8, 1), conv(8, 12, 1)],
            norms: [8, 12].map(|n| BatchNormConfig::new(n).init(&flex())).to_vec(),
            head: LinearConfig::new(12, 3).init(&flex()),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let layers = self.convs.iter().zip(&self.norms);
        let x = layers.fold(x, |x, (conv, norm)| relu(ops::batch_norm(norm, ops::conv2d(conv, x))));
        ops::linear(&self.head, ops::global_avg_pool(x))
    }
}

fn loss(module: &GraphModule, x: Tensor<4>) -> compress::Result<Tensor<1>> {
    let labels = Tensor::<1, Int>::from_ints([0, 1, 2, 1], &x.device());
    let logits: Tensor<2> = module.forward(x)?;
    Ok(ops::cross_entropy(logits, labels, 0.0))
}

#[test]
fn a_pruned_graph_trains_saves_and_loads_with_its_shapes() {
    let net = Net::new();
    let graph = Graph::trace(&net, [1, 2, 9, 9], Net::forward).unwrap();
    let pruned =
        Structured::channels(0.5).with_importance(Importance::BatchNormScale).prune(&graph);
    let small = pruned.unwrap().graph;
    let x = images([4, 2, 9, 9], 1);
    let device = flex().autodiff();
    let mut module = small.init(&device).unwrap();
    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    let at = |module: &_| loss(module, on_autodiff(x.clone())).unwrap();
    let before: f32 = at(&module).into_scalar();
    for _ in 0..20 {
        let gradients = GradientsParams::from_grads(at(&module).backward(), &module);
        module = optimizer.step(0.1, module, gradients);
    }
    let after: f32 = at(&module).into_scalar();
    assert!(after < 0.9 * before, "{before} → {after}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let trained = module.graph();
    trained.save(&path).unwrap();
    let loaded = Graph::load(&path).unwrap();
    assert_eq!(loaded.to_string(), trained.to_string());
    assert_eq!(outputs(&loaded, &[x.clone().into()]), outputs(&trained, &[x.into()]));
    // Into the whole model it does not go, and the shapes are named.
    let manifest = Manifest::new("compress", "net", &1).unwrap();
    let record = folder.path().join("record.safetensors");
    save(&loaded.init(&flex()).unwrap(), &manifest, same_names, &record).unwrap();
    let error = load(net, &manifest, same_names, &record).unwrap_err().to_string();
    assert!(error.contains("convs.0.weight"), "{error}");
    assert!(error.contains("[4, 2, 3, 3]") && error.contains("[8, 2, 3, 3]"), "{error}");
}

#[test]
fn every_importance_ranks_and_the_scale_of_a_norm_is_the_scale() {
    let net = Net::new();
    let mut graph = Graph::trace(&net, [1, 2, 9, 9], Net::forward).unwrap();
    let gamma = graph.find("norms.0.gamma").unwrap();
    let scales = vec![0.3_f32, -0.9, 0.1, 0.5, -0.2, 0.8, 0.7, 0.6];
    graph
        .rewrite(|edit| {
            edit.set_data(gamma, TensorData::new(scales, [8]));
            Ok(())
        })
        .unwrap();
    let batches = || (0..3).map(|seed| on_autodiff(images([4, 2, 9, 9], seed)));
    let taylor = TaylorProducts::new(&graph, &flex(), batches(), loss).unwrap();
    let none = TaylorProducts::new(&graph, &flex(), std::iter::empty(), loss).unwrap_err();
    assert!(none.to_string().contains("batches"), "{none}");
    for importance in [
        Importance::L1,
        Importance::L2,
        Importance::BatchNormScale,
        Importance::GeometricMedian,
        Importance::Taylor(taylor),
        Importance::Random { seed: 1 },
    ] {
        let name = importance.to_string();
        let rule = Structured::half().with_importance(importance.clone());
        let pruned = rule.prune(&graph).unwrap();
        let report = &pruned.report;
        assert!(report.multiply_adds_after * 2 <= report.multiply_adds_before, "{name}");
        assert!(report.groups.iter().all(|group| group.after < group.before), "{name}");
        let global = rule.with_global_ranking(true).prune(&graph).unwrap().report;
        assert!(global.multiply_adds_after * 2 <= global.multiply_adds_before, "{name}");
        if matches!(importance, Importance::BatchNormScale) {
            let rule = Structured::channels(0.5).with_importance(importance);
            let small = rule.prune(&graph).unwrap().graph;
            let kept: Vec<f32> = small.weight(gamma).unwrap().data.iter().collect();
            assert_eq!(kept, [-0.9, 0.8, 0.7, 0.6]);
        }
    }
}

#[test]
fn a_stopped_pruning_gives_no_graph() {
    let graph = Graph::trace(&Net::new(), [1, 2, 9, 9], Net::forward).unwrap();
    let stopped = |rule: &Structured, asked: usize| {
        rule.prune(Stop::after(asked).around(&graph)).unwrap_err().to_string()
    };
    let rule = Structured::half();
    let groups = rule.prune(&graph).unwrap().report.groups;
    let error = stopped(&rule, groups.len() - 1);
    let last = &groups[groups.len() - 1].name;
    assert_eq!(error, format!("pruning was stopped at the ranking of {last}"));
    let error = stopped(&rule, groups.len() + 7);
    assert_eq!(error, "pruning was stopped at look 7 for the share that goes");
    let error = stopped(&rule, groups.len() + 32);
    assert_eq!(error, format!("pruning was stopped at what group {} keeps", groups.len() - 1));
    assert!(rule.prune(Stop::after(2 * groups.len() + 32).around(&graph)).is_ok());
    // Filters are compared with each other one by one.
    let error = stopped(&rule.with_importance(Importance::GeometricMedian), 3);
    assert_eq!(error, "pruning was stopped at the distances of filters");

    // Of three batches two are taken; the third is the error that the loss gives back.
    let batches = (0..3).map(|seed| Ok(on_autodiff(images([4, 2, 9, 9], seed))));
    let mut taken = 0;
    let counted = |module: &GraphModule, batch: compress::Result<Tensor<4>>| {
        let batch = batch?;
        taken += 1;
        loss(module, batch)
    };
    let products = TaylorProducts::new(&graph, &flex(), Stop::after(2).around(batches), counted);
    assert!(products.unwrap_err().to_string().contains("was stopped at the next one"));
    assert_eq!(taken, 2);
}

/// The change of the loss to first order is what the gradient of a gate says.
#[test]
fn taylors_importance_is_the_square_of_what_a_gate_would_feel() {
    let net = Net::new();
    let graph = Graph::trace(&net, [1, 2, 9, 9], Net::forward).unwrap();
    let x = on_autodiff(images([4, 2, 9, 9], 5));
    let sensitivities = TaylorProducts::new(&graph, &flex(), [x.clone()], loss).unwrap();
    // A gate on the channels before the head, by finite differences on its rows.
    let head = graph.find("head.weight").unwrap();
    let with_row = |row: usize, factor: f32| -> f64 {
        let mut changed = graph.clone();
        let mut values: Vec<f32> = graph.weight(head).unwrap().data.iter().collect();
        for value in &mut values[row * 3..row * 3 + 3] {
            *value *= factor;
        }
        changed
            .rewrite(|edit| {
                edit.set_data(head, TensorData::new(values, [12, 3]));
                Ok(())
            })
            .unwrap();
        let module = changed.init(&flex()).unwrap();
        f64::from(loss(&module, x.clone().inner()).unwrap().into_scalar::<f32>())
    };
    let slopes: Vec<f64> =
        (0..12).map(|row| (with_row(row, 1.05) - with_row(row, 0.95)) / 0.1).collect();
    let mut order: Vec<usize> = (0..12).collect();
    order.sort_by(|&a, &b| slopes[a].abs().total_cmp(&slopes[b].abs()));
    let rule = Structured::channels(0.5).with_importance(Importance::Taylor(sensitivities));
    let small = rule.with_excluded("convs.0").prune(&graph).unwrap().graph;
    let bias = graph.find("convs.1.bias").unwrap();
    let all: Vec<f32> = graph.weight(bias).unwrap().data.iter().collect();
    let kept: Vec<f32> = small.weight(bias).unwrap().data.iter().collect();
    let mut expected: Vec<usize> = order[6..].to_vec();
    expected.sort_unstable();
    assert_eq!(kept, expected.iter().map(|&at| all[at]).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_pruned_is_an_error_that_says_why() {
    let graph = Graph::trace(&Net::new(), [1, 2, 9, 9], Net::forward).unwrap();
    let refused = |rule: Structured| rule.prune(&graph).unwrap_err().to_string();
    for (rule, expected) in [
        (Structured::channels(1.0), "`channels` is 1.0"),
        (Structured::channels(f64::NAN), "NaN"),
        (Structured::multiply_adds(0.0), "`multiply_adds` is 0.0"),
        (Structured::multiply_adds(0.001), "`multiply_adds` is 0.001, expected 0.0"),
        (Structured::half().with_least(8), "has its least channels"),
        (Structured::half().with_round_to(0), "`round_to` is 0"),
        (Structured::half().with_least(0), "`least` is 0"),
        (Structured::half().with_most(1.5), "`most` is 1.5"),
        (Structured::half().with_excluded("conv"), "`excluded` is \"conv\""),
    ] {
        let error = refused(rule);
        assert!(error.contains(expected), "{error}");
    }
    // A group is never emptied by a rule, and a caller who empties one is told where.
    let most = Structured::channels(0.999).prune(&graph).unwrap().report;
    assert!(most.groups.iter().all(|group| group.after == 1));
    let dependencies = Dependencies::new(&graph);
    let error = dependencies.without(&[(0..8).collect(), vec![]]).unwrap_err();
    assert!(matches!(&error, Error::Node { .. }), "{error}");
    assert!(error.to_string().contains("nothing would be left along axis"), "{error}");
    let error = dependencies.without(&[vec![8], vec![]]).unwrap_err().to_string();
    assert!(error.contains("channel 8 of `convs.0`"), "{error}");
    assert!(dependencies.without(&[vec![]]).unwrap_err().to_string().contains("2 groups"));
    // No batch normalisation, no channels at all, numbers that are none.
    let rule = Structured::half().with_importance(Importance::BatchNormScale);
    let error = rule.prune(&between(1, |x| x, 8)).unwrap_err().to_string();
    assert!(error.contains("no group") && error.contains("batch normalisation"), "{error}");
    let single =
        Graph::trace(&vec![conv(2, 3, 1)], [1, 2, 9, 9], |m: &Vec<Conv2d>, x| m[0].forward(x));
    let error = Structured::half().prune(&single.unwrap()).unwrap_err().to_string();
    assert!(error.contains("no channel"), "{error}");
    let mut broken = graph.clone();
    let weight = broken.find("convs.0.weight").unwrap();
    broken
        .rewrite(|edit| {
            edit.set_data(weight, TensorData::new(vec![f32::NAN; 144], [8, 2, 3, 3]));
            Ok(())
        })
        .unwrap();
    let error = Structured::half().prune(&broken).unwrap_err().to_string();
    assert!(error.contains("convs.0.weight") && error.contains("finite"), "{error}");
}

#[test]
fn rounding_and_what_is_left_out_are_kept_to() {
    let graph = Graph::trace(&Net::new(), [1, 2, 9, 9], Net::forward).unwrap();
    let report = Structured::channels(0.4).with_round_to(4).prune(&graph).unwrap().report;
    assert_eq!(report.groups.iter().map(|group| group.after).collect::<Vec<_>>(), [8, 8]);
    // Both groups lose 4 at the same share; that of one is enough.
    let two = between(1, |x| x, 8);
    let report = Structured::multiply_adds(0.6).with_round_to(4).prune(&two).unwrap().report;
    assert_eq!(report.groups.iter().map(|group| group.after).collect::<Vec<_>>(), [4, 8]);
    let report = Structured::channels(0.5).with_excluded("convs.0").prune(&graph).unwrap().report;
    assert_eq!(report.groups[0].after, 8);
    assert!(report.groups[0].left_for.is_some() && report.groups[1].after == 6);
    assert_eq!(report.parameters_before, graph.learnable_parameters());
}

#[test]
fn quantization_of_channels_goes_with_them() {
    let mut graph = Graph::trace(&Net::new(), [1, 2, 9, 9], Net::forward).unwrap();
    let weight = graph.find("convs.0.weight").unwrap();
    let quantization = Quantization {
        scale: (1..=8).map(|n| n as f32).collect(),
        zero_point: vec![0; 8],
        axis: Some(0),
        least: -127,
        largest: 127,
    };
    graph
        .rewrite(|edit| {
            edit.set_quantization(weight, Some(quantization));
            Ok(())
        })
        .unwrap();
    let small = Dependencies::new(&graph).without(&[vec![1, 7], vec![]]).unwrap();
    let kept = small.node(weight).quantization.as_ref().unwrap();
    assert_eq!(kept.scale, [1.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert!(small.parameters().all(|(_, weight)| weight.role != Role::Constant));
    let same = outputs(&small, &[images([1, 2, 9, 9], 1).into()]);
    assert!(difference(&same, &same) == 0.0);
}
