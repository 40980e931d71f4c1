//! Single weights: which go, that they stay away, and what a file makes of them.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use compress::prune::{
    Importance, Lottery, Masks, Movement, SparsitySchedule, Structured, Unstructured,
};
use compress::share::{DeepCompression, Sharing};
use model_utils::graph::{Graph, NodeId, Role, Weight};
use model_utils::ops;
use model_utils::train::Stop;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

fn flex() -> Device {
    Device::flex()
}

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
}

impl Net {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(&self.second, ops::relu(ops::linear(&self.first, x)))
    }
}

/// Six inputs, nine hidden units, four outputs, with weights from the host's generator.
fn net() -> Graph {
    let net = Net {
        first: LinearConfig::new(6, 9).init(&flex()),
        second: LinearConfig::new(9, 4).init(&flex()),
    };
    let mut graph = Graph::trace(&net, [1, 6], Net::forward).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let random: Vec<_> = graph
        .parameters()
        .map(|(id, weight)| {
            let shape = weight.data.shape().to_vec();
            let count = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|_| rng.random_range(-0.6..0.6)).collect();
            (id, TensorData::new(values, shape))
        })
        .collect();
    with(&mut graph, random);
    graph
}

fn with(graph: &mut Graph, values: Vec<(NodeId, TensorData)>) {
    graph
        .rewrite(|edit| {
            for (id, data) in values {
                edit.set_data(id, data);
            }
            Ok(())
        })
        .unwrap();
}

fn values(graph: &Graph, name: &str) -> Vec<f32> {
    let id = graph.find(name).unwrap_or_else(|| panic!("{name} in {graph}"));
    graph.weight(id).unwrap().data.iter().collect()
}

fn inputs() -> (Tensor<2>, Tensor<1, Int>) {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let x: Vec<f32> = (0..16 * 6).map(|_| rng.random_range(-1.0..1.0)).collect();
    let labels: Vec<i64> = (0..16).map(|at| at % 4).collect();
    let device = flex().autodiff();
    (
        Tensor::from_data(TensorData::new(x, [16, 6]), &device),
        Tensor::from_data(TensorData::new(labels, [16]), &device),
    )
}

fn output(graph: &Graph) -> Vec<f32> {
    let x = inputs().0.inner();
    let y: Tensor<2> = graph.init(&flex()).unwrap().forward(x).unwrap();
    y.into_data().iter().collect()
}

/// Some steps of gradient descent.
fn trained(graph: &Graph, steps: usize) -> Graph {
    let mut module = graph.init(&flex().autodiff()).unwrap();
    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    let (x, labels) = inputs();
    for _ in 0..steps {
        let logits: Tensor<2> = module.forward(x.clone()).unwrap();
        let loss = ops::cross_entropy(logits, labels.clone(), 0.0);
        let gradients = GradientsParams::from_grads(loss.backward(), &module);
        module = optimizer.step(0.3, module, gradients);
    }
    module.graph()
}

fn fixture() -> Value {
    let path = format!("{}/tests/fixtures/prune.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// PyTorch's rows are outputs; here columns are.
fn transposed(rows: &Value) -> TensorData {
    let rows: Vec<Vec<f32>> = serde_json::from_value(rows.clone()).unwrap();
    let (outputs, inputs) = (rows.len(), rows[0].len());
    let values: Vec<f32> =
        (0..inputs).flat_map(|input| rows.iter().map(move |row| row[input])).collect();
    TensorData::new(values, [inputs, outputs])
}

fn from_fixture(fixture: &Value) -> Graph {
    let mut graph = net();
    let weights = ["first", "second"].map(|layer| {
        (graph.find(&format!("{layer}.weight")).unwrap(), transposed(&fixture[layer]))
    });
    with(&mut graph, weights.to_vec());
    graph
}

#[test]
fn magnitudes_are_ranked_as_pytorch_ranks_them() {
    let fixture = fixture();
    let graph = from_fixture(&fixture);
    for (scope, is_global) in [("layer", false), ("global", true)] {
        for (amount, expected) in fixture[scope].as_object().unwrap() {
            let rule = Unstructured::magnitude(amount.parse().unwrap());
            let rule = rule.with_global_ranking(is_global);
            let masks = rule.masks(&graph).unwrap();
            for (layer, expected) in ["first", "second"].iter().zip(expected.as_array().unwrap()) {
                let id = graph.find(&format!("{layer}.weight")).unwrap();
                let expected: Vec<bool> =
                    transposed(expected).iter::<f32>().map(|kept| kept != 0.0).collect();
                assert_eq!(masks.get(id).unwrap(), expected, "{scope}, {amount}, {layer}");
            }
        }
    }
}

#[test]
fn channels_are_ranked_as_pytorch_ranks_them() {
    let fixture = fixture();
    let mut graph = from_fixture(&fixture);
    // The weight that takes the channels weighs all alike.
    let second = graph.find("second.weight").unwrap();
    with(&mut graph, vec![(second, TensorData::ones::<f32, _>([9, 4]))]);
    let before = values(&graph, "first.weight");
    for (name, importance) in [("l1", Importance::L1), ("l2", Importance::L2)] {
        let pruned = Structured::channels(4.0 / 9.0 + 1e-9).with_importance(importance);
        let pruned = pruned.prune(&graph).unwrap();
        assert_eq!((pruned.report.groups[0].before, pruned.report.groups[0].after), (9, 5));
        let expected: Vec<usize> =
            serde_json::from_value(fixture["structured"][name].clone()).unwrap();
        let kept: Vec<f32> = before
            .chunks(9)
            .flat_map(|row| row.iter().zip(&expected).filter(|(_, kept)| **kept == 1))
            .map(|(value, _)| *value)
            .collect();
        assert_eq!(values(&pruned.graph, "first.weight"), kept, "{name}");
    }
}

#[test]
fn zeros_stay_through_training_and_the_rest_moves() {
    let graph = net();
    let masks = Unstructured::magnitude(0.5).masks(&graph).unwrap();
    assert!((masks.sparsity() - 0.5).abs() < 0.01);
    let sparse = masks.attach(&graph).unwrap();
    let after = Masks::detach(&trained(&sparse, 5)).unwrap();
    assert_eq!(after.nodes().count(), graph.nodes().count());
    for name in ["first.weight", "second.weight"] {
        let kept = masks.get(graph.find(name).unwrap()).unwrap();
        let (before, after) = (values(&graph, name), values(&after, name));
        let mut moved = 0;
        for ((&kept, before), after) in kept.iter().zip(before).zip(after) {
            assert!(kept || after == 0.0, "{name}: {before} {after}");
            moved += usize::from(kept && after.to_bits() != before.to_bits());
        }
        assert!(moved > 10, "{name}: {moved}");
    }
    // Pruned further, what is gone stays gone; the same masks are found again.
    assert_eq!(Masks::from_graph(&sparse), masks);
    let further = Unstructured::magnitude(0.7).masks(&trained(&sparse, 2)).unwrap();
    for (id, kept) in masks.iter() {
        let further = further.get(id).unwrap();
        assert!(kept.iter().zip(further).all(|(before, after)| *before || !after));
    }
    let twice = further.attach(&sparse).unwrap();
    assert_eq!(twice.nodes().count(), sparse.nodes().count());
    assert_eq!(Masks::from_graph(&twice), further);
}

#[test]
fn layers_can_be_left_out_and_wrong_shares_are_refused() {
    let graph = net();
    let masks = Unstructured::magnitude(0.9).with_excluded("second").masks(&graph).unwrap();
    assert_eq!(masks.iter().count(), 1);
    for (rule, expected) in [
        (Unstructured::magnitude(1.0), "`sparsity` is 1.0"),
        (Unstructured::magnitude(f64::NAN), "`sparsity` is NaN"),
        (Unstructured::magnitude(0.5).with_excluded("third"), "third"),
    ] {
        let error = rule.masks(&graph).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut broken = graph.clone();
    let first = broken.find("first.weight").unwrap();
    with(&mut broken, vec![(first, TensorData::new(vec![f32::NAN; 54], [6, 9]))]);
    let error = Unstructured::magnitude(0.5).masks(&broken).unwrap_err().to_string();
    assert!(error.contains("first.weight") && error.contains("finite"), "{error}");
    let error = Sharing::bits(3).share(&broken).unwrap_err().to_string();
    assert!(error.contains("first.weight"), "{error}");
    // Masks of another graph.
    let smaller = Structured::half().prune(&graph).unwrap().graph;
    let error = masks.attach(&smaller).unwrap_err().to_string();
    assert!(error.contains("first.weight") && error.contains("expected 54"), "{error}");
}

#[test]
fn movement_scores_are_the_papers_and_masked_weights_have_one_too() {
    let graph = net();
    let half = Unstructured::magnitude(0.5).masks(&graph).unwrap();
    let mut movement = Movement::new(0.1);
    let watched = movement.watch(&graph, &half).unwrap();
    let (x, labels) = inputs();
    let module = watched.init(&flex().autodiff()).unwrap();
    let logits: Tensor<2> = module.forward(x.clone()).unwrap();
    let loss = ops::cross_entropy(logits, labels.clone(), 0.0).backward();
    let mut gradients = GradientsParams::from_grads(loss, &module);
    let before = gradients.len();
    movement.observe(&module, &mut gradients).unwrap();
    assert_eq!(gradients.len(), before - 2, "the optimiser sees no probe");

    // The same by the formula: the gradient of the product, times the weight.
    let name = "second.weight";
    let id = graph.find(name).unwrap();
    let mut unmasked = half.attach(&graph).unwrap();
    unmasked = Masks::detach(&unmasked).unwrap();
    let module = unmasked.init(&flex().autodiff()).unwrap();
    let logits: Tensor<2> = module.forward(x).unwrap();
    let loss = ops::cross_entropy(logits, labels, 0.0);
    let gradient = Found::gradient(&module, &loss.backward(), name);
    let scores: Vec<f32> =
        gradient.iter().zip(values(&graph, name)).map(|(g, w)| -0.1 * g * w).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let chosen = movement.masks(&graph, &Unstructured::magnitude(0.25)).unwrap();
    let gone: Vec<usize> = (0..36).filter(|&at| !chosen.get(id).unwrap()[at]).collect();
    let mut expected = order[..9].to_vec();
    expected.sort_unstable();
    assert_eq!(gone, expected);
    let came_back = chosen.get(id).unwrap().iter().zip(half.get(id).unwrap());
    assert!(came_back.filter(|(now, before)| **now && !**before).count() > 0);

    // And back to a plain graph.
    let plain = Masks::detach(&Movement::unwatch(&watched).unwrap()).unwrap();
    assert_eq!(output(&plain), output(&unmasked));
    let error = movement.observe(&module, &mut GradientsParams::new()).unwrap_err().to_string();
    assert!(error.contains("not watched"), "{error}");
}

/// The gradient of a parameter by its name.
struct Found<'a> {
    path: Vec<String>,
    name: &'a str,
    gradients: &'a burn::tensor::Gradients,
    values: Vec<f32>,
}

impl<'a> Found<'a> {
    fn gradient(
        module: &impl Module,
        gradients: &'a burn::tensor::Gradients,
        name: &'a str,
    ) -> Vec<f32> {
        let mut found = Self { path: Vec::new(), name, gradients, values: Vec::new() };
        module.visit(&mut found);
        found.values
    }
}

impl burn::module::ModuleVisitor for Found<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        if self.path.join(".") == self.name {
            let gradient = param.val().grad(self.gradients).unwrap();
            self.values = gradient.into_data().iter().collect();
        }
    }
}

#[test]
fn tickets_are_the_early_weights_under_ever_fewer() {
    let early = net();
    let lottery = Lottery::new(0.2, 3).unwrap();
    let mut starts = Vec::new();
    let tickets = lottery.tickets(&early, |graph| {
        starts.push(graph.clone());
        Ok(trained(graph, 3))
    });
    let tickets = tickets.unwrap();
    for (round, ticket) in tickets.iter().enumerate() {
        let left = 0.8_f64.powi(round as i32 + 1);
        assert!((1.0 - ticket.masks.sparsity() - left).abs() < 0.02, "{round}");
        let plain = Masks::detach(&ticket.rewound).unwrap();
        for name in ["first.weight", "second.weight"] {
            let kept = ticket.masks.get(early.find(name).unwrap()).unwrap();
            for ((&kept, early), now) in
                kept.iter().zip(values(&early, name)).zip(values(&plain, name))
            {
                assert_eq!(now.to_bits(), if kept { early } else { 0.0 }.to_bits());
            }
        }
        assert_eq!(values(&plain, "first.bias"), values(&early, "first.bias"));
    }
    assert_eq!(output(&starts[2]), output(&tickets[1].rewound));
    assert!(Lottery::new(1.0, 1).is_err() && Lottery::new(0.2, 0).is_err());
}

#[test]
fn centroids_get_the_sum_of_their_weights_gradients() {
    let graph = net();
    let sparse = Unstructured::magnitude(0.5).masks(&graph).unwrap().attach(&graph).unwrap();
    let stopped = Sharing::bits(5).share(Stop::after(1).around(&sparse)).unwrap_err().to_string();
    assert!(stopped.starts_with("sharing was stopped at second"), "{stopped}");
    let shared = Sharing::bits(5).with_bits("second", 2).share(&sparse).unwrap();
    let plain = Sharing::unshare(&shared).unwrap();
    assert_eq!(output(&shared), output(&plain));
    let different = |graph: &Graph, name: &str| {
        let mut values: Vec<f32> = values(graph, name).into_iter().filter(|x| *x != 0.0).collect();
        values.sort_unstable_by(f32::total_cmp);
        values.dedup();
        values.len()
    };
    assert!(different(&plain, "second.weight") <= 4);

    let loss = |graph: &Graph| {
        let module = graph.init(&flex().autodiff()).unwrap();
        let (x, labels) = inputs();
        let logits: Tensor<2> = module.forward(x).unwrap();
        let gradients = ops::cross_entropy(logits, labels, 0.0).backward();
        (module, gradients)
    };
    let (module, gradients) = loss(&shared);
    let found = Found::gradient(&module, &gradients, "second.weight.codebook");
    let (module, gradients) = loss(&plain);
    let of_weights = Found::gradient(&module, &gradients, "second.weight");
    let book = values(&shared, "second.weight.codebook");
    for (centroid, found) in book.iter().zip(found) {
        let own = values(&plain, "second.weight").into_iter().zip(&of_weights);
        let sum: f32 =
            own.filter(|(weight, _)| weight.to_bits() == centroid.to_bits()).map(|(_, g)| g).sum();
        assert!((sum - found).abs() < 1e-5, "{sum} {found}");
    }
    // Training moves the values that are shared and nothing else.
    let after = Sharing::unshare(&trained(&shared, 3)).unwrap();
    assert!(different(&after, "second.weight") <= 4);
    assert_ne!(values(&after, "second.weight"), values(&plain, "second.weight"));
    let zeros = |graph: &Graph| values(graph, "first.weight").iter().filter(|x| **x == 0.0).count();
    assert_eq!(zeros(&after), zeros(&plain));
    for (sharing, expected) in [
        (Sharing::bits(0), "`bits` is 0"),
        (Sharing::bits(13), "13"),
        (Sharing::bits(3).with_bits("third", 3), "third"),
    ] {
        let error = sharing.share(&graph).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_gives_the_graph_back_exactly_and_refuses_others() {
    let graph = net();
    let sparse = Unstructured::magnitude(0.8).masks(&graph).unwrap().attach(&graph).unwrap();
    let shared = trained(&Sharing::bits(3).share(&sparse).unwrap(), 2);
    let plain = Masks::detach(&Sharing::unshare(&shared).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.dc");
    let packed = DeepCompression::new(&shared).unwrap();
    packed.save(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), packed.bytes());
    let again = DeepCompression::load(&path).unwrap();
    assert_eq!(again.structure().unwrap(), plain.structure().unwrap());
    let weights = |graph: &Graph| -> Vec<(String, TensorData, Role)> {
        let named = |(id, weight): (_, &Weight)| {
            (graph.node(id).name.clone(), weight.data.clone(), weight.role)
        };
        let mut weights: Vec<_> = graph.parameters().map(named).collect();
        weights.sort_by(|a, b| a.0.cmp(&b.0));
        weights
    };
    assert_eq!(weights(&again), weights(&plain));
    assert_eq!(output(&again), output(&shared));
    // Of any graph, sparse or not, with running statistics and constants.
    DeepCompression::new(&graph).unwrap().save(&path).unwrap();
    let again = DeepCompression::load(&path).unwrap();
    assert_eq!(output(&again), output(&graph));
    assert!(again.parameters().all(|(_, weight)| weight.role == Role::Learnable));

    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 5, 8, 11, 12, 40, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = DeepCompression::load(&path).unwrap_err().to_string();
        assert!(error.contains("net.dc is not a valid Deep Compression file"), "{error}");
    }
    let mut changed = bytes.clone();
    changed[bytes.len() / 3] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let error = DeepCompression::load(&path).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    graph.save(&path).unwrap();
    let error = DeepCompression::load(&path).unwrap_err().to_string();
    assert!(error.contains("USAGIDC1"), "{error}");
    assert!(DeepCompression::load(folder.path().join("none")).is_err());
}

#[test]
fn a_schedule_prunes_step_by_step_during_training() {
    let schedule = SparsitySchedule::cubic(0.0, 0.8, 2..10, 4).unwrap();
    let mut graph = net();
    let mut seen = Vec::new();
    for step in 0..12 {
        if let Some(sparsity) = schedule.at(step) {
            let masks = Unstructured::magnitude(sparsity).masks(&graph).unwrap();
            graph = masks.attach(&graph).unwrap();
            seen.push((step, masks.sparsity()));
        }
        graph = trained(&graph, 1);
    }
    assert_eq!(seen.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [2, 6, 10]);
    let expected = [0.0, 0.7, 0.8];
    assert!(
        seen.iter().zip(expected).all(|((_, found), expected)| (found - expected).abs() < 0.02)
    );
    let zeros = values(&graph, "first.weight").iter().filter(|x| **x == 0.0).count();
    assert_eq!(zeros, 43);
}
