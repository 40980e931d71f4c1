//! From a module to a graph: its inference is recorded at two batch sizes, and what differs between
//! the two is what follows the batch.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use burn::backend::Capture;
use burn::backend::capture::{CapturedGraph, TensorId};
use burn::module::{Flag, Module, ModuleVisitor, Param};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::canonical::canonicalize;
use super::dim::shape_text;
use super::record::{Names, Place, record};
use super::tensors::AnyTensor;
use super::value::is_learnable;
use super::{Dim, ElementKind, Example, Graph, NodeId, Op, Role, Tensors};
use crate::error::{Error, Result, catch_panic};

/// Two batch sizes that no fixed length is likely to be taken for.
const BATCHES: [usize; 2] = [2, 3];

thread_local! {
    /// Burn counts capture devices and never takes one back.
    static DEVICE: Device = Device::capture();
}

impl Graph {
    /// Records the inference of any module.
    ///
    /// `forward` is called twice, with tensors that record instead of computing, shaped as
    /// `example` with a batch of 2 and of 3. Dropout and other training behaviour is off. The
    /// module is not touched. Common patterns become one node each: a product and a sum a linear
    /// layer, a mean over space a global pooling, a clamp to 0…6 a `ReLU6`.
    ///
    /// ```
    /// use burn::nn::{Linear, LinearConfig};
    /// use burn::tensor::activation::relu;
    /// use model_utils::device::DeviceSpec;
    /// use model_utils::graph::Graph;
    ///
    /// let device = "flex".parse::<DeviceSpec>()?.open()?;
    /// let layers = vec![LinearConfig::new(8, 16).init(&device), LinearConfig::new(16, 2).init(&device)];
    /// let graph = Graph::trace(&layers, [1, 8], |layers: &Vec<Linear>, x| {
    ///     layers[1].forward(relu(layers[0].forward(x)))
    /// })?;
    /// assert_eq!(graph.learnable_parameters(), 8 * 16 + 16 + 16 * 2 + 2);
    /// println!("{}", graph.summary(1)?);
    /// # Ok::<(), model_utils::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an operation that has no place in a graph, with the place where
    /// it stands; for a `forward` that looks at values, which a recording has not; and where
    /// lengths or constants depend on the batch in another way than as a multiple of it.
    pub fn trace<M: Module, E: Example, O: Tensors>(
        module: &M,
        example: E,
        forward: impl Fn(&M, E::Tensors) -> O,
    ) -> Result<Self> {
        let places = Places::of(module);
        let [first, second] = BATCHES
            .map(|batch| capture(module, &example, &forward, batch, &places))
            .map(|captured| captured.and_then(|(captured, names)| record(captured, &names)));
        let mut graph = merge(first?, second?)?;
        let recorded = graph.clone();
        graph.settle()?;
        for (id, node) in recorded.nodes() {
            let inferred = &graph.nodes[&id];
            if (&inferred.shape, inferred.kind) != (&node.shape, node.kind) {
                return Err(node.error(format!(
                    "it was recorded as {}, but {} is inferred",
                    shape_text(&node.shape),
                    shape_text(&inferred.shape)
                )));
            }
        }
        canonicalize(&mut graph)?;
        graph.name(&places);
        graph.settle()?;
        Ok(graph)
    }

    /// Gives the nodes the names of the module.
    fn name(&mut self, places: &Places) {
        // The paths of parameters are theirs.
        let mut taken: HashSet<String> = self
            .nodes
            .values()
            .filter(|node| node.op == Op::Parameter)
            .map(|node| node.name.clone())
            .collect();
        let mut counts: HashMap<String, usize> = HashMap::new();
        for &id in &self.order {
            let node = &self.nodes[&id];
            // A layer is called by the path of its weight.
            let base = match &node.op {
                Op::Parameter => node.name.clone(),
                op => node
                    .inputs
                    .iter()
                    .skip(1)
                    .chain(matches!(op, Op::Embedding).then(|| &node.inputs[0]))
                    .filter(|input| self.nodes[input].op == Op::Parameter)
                    .find_map(|input| self.nodes[input].name.rsplit_once('.'))
                    .map_or_else(|| op.name().to_owned(), |(layer, _)| layer.to_owned()),
            };
            let mut name = base.clone();
            while node.op != Op::Parameter && !taken.insert(name.clone()) {
                let count = counts.entry(base.clone()).or_insert(1);
                *count += 1;
                name = format!("{base}_{count}");
            }
            let mut training = false;
            if let Op::BatchNorm { .. } = node.op {
                let layer = self.nodes[&node.inputs[1]].name.rsplit_once('.');
                let flag = layer.and_then(|(layer, _)| places.flags.get(layer));
                training = flag.copied().unwrap_or(false);
                for id in &node.inputs[3..] {
                    if let Some(weight) = self.weights.get_mut(id)
                        && weight.role != Role::Constant
                    {
                        Arc::make_mut(weight).role = Role::Running;
                    }
                }
            }
            let node = self.nodes.get_mut(&id).expect("ordered nodes exist");
            node.name = name;
            if let Op::BatchNorm { training: of_node, .. } = &mut node.op {
                *of_node = training;
            }
        }
    }
}

/// What the live module says of its parameters.
#[derive(Debug, Default)]
struct Places {
    /// Whether the parameter of a path gets gradients.
    learnable: HashMap<String, bool>,
    /// Whether the normalisation of a path trains.
    flags: HashMap<String, bool>,
}

impl Places {
    fn of<M: Module>(module: &M) -> Self {
        let mut visitor = LiveVisitor::default();
        module.visit(&mut visitor);
        visitor.places
    }
}

#[derive(Default)]
struct LiveVisitor {
    path: Vec<String>,
    places: Places,
}

impl ModuleVisitor for LiveVisitor {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.places.learnable.insert(self.path.join("."), is_learnable(param));
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        if let Some((_, layer)) = self.path.split_last() {
            let enabled = flag.valid().train().is_enabled();
            self.places.flags.insert(layer.join("."), enabled);
        }
    }
}

/// Finds the parameters of a module on the capture device.
struct CapturedVisitor<'a> {
    path: Vec<String>,
    containers: Vec<String>,
    live: &'a Places,
    found: HashMap<TensorId, Place>,
}

impl CapturedVisitor<'_> {
    fn found<const D: usize, K: Basic>(&mut self, tensor: Tensor<D, K>, id: u64, float: bool) {
        let path = self.path.join(".");
        let learnable = float && self.live.learnable.get(&path) == Some(&true);
        let place = Place {
            path,
            containers: self.containers.clone(),
            id,
            role: if learnable { Role::Learnable } else { Role::Frozen },
        };
        self.found.insert(tensor_id(&tensor.into()), place);
    }
}

impl ModuleVisitor for CapturedVisitor<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found(param.val(), param.id.val(), true);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.found(param.val(), param.id.val(), false);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.found(param.val(), param.id.val(), false);
    }
}

/// The name of a recording tensor.
fn tensor_id(tensor: &AnyTensor) -> TensorId {
    const RECORDING: &str = "a tensor on the capture device";
    let tensor = tensor.clone();
    match tensor.kind() {
        ElementKind::Float => Tensor::<1>::from_dispatch(tensor.0)
            .try_into_primitive::<Capture>()
            .expect(RECORDING)
            .id(),
        ElementKind::Int => Tensor::<1, Int>::from_dispatch(tensor.0)
            .try_into_primitive::<Capture>()
            .expect(RECORDING)
            .id(),
        ElementKind::Bool => Tensor::<1, Bool>::from_dispatch(tensor.0)
            .try_into_primitive::<Capture>()
            .expect(RECORDING)
            .id(),
    }
}

fn capture<M: Module, E: Example, O: Tensors>(
    module: &M,
    example: &E,
    forward: impl Fn(&M, E::Tensors) -> O,
    batch: usize,
    live: &Places,
) -> Result<(CapturedGraph, Names)> {
    let unsupported = |reason: String| Error::Unsupported {
        what: "a recording of this module's forward pass".into(),
        reason,
    };
    let device = DEVICE.with(Clone::clone);
    let mut names = Names::default();
    let captured = catch_panic(|| {
        device.capture_scope(|scope| {
            // Detached from the live one, with statistics up to date.
            let module = module.valid().to_device(&device);
            let mut visitor = CapturedVisitor {
                path: Vec::new(),
                containers: Vec::new(),
                live,
                found: HashMap::new(),
            };
            module.visit(&mut visitor);
            names.places = visitor.found;
            let (inputs, again) = twice(example.place(batch, &device));
            names.inputs = inputs.iter().map(tensor_id).collect();
            let outputs = forward(&module, again).into_any();
            names.outputs = outputs.iter().map(tensor_id).collect();
            let mut unique = names.outputs.clone();
            unique.sort_unstable();
            unique.dedup();
            scope.complete(names.inputs.iter().copied(), unique)
        })
    })
    .map_err(|panic| {
        unsupported(format!("it panics: {panic} (values cannot be looked at while recording)"))
    })?
    .map_err(|error| unsupported(error.to_string()))?;
    Ok((captured, names))
}

/// The tensors, and the same again.
fn twice<T: Tensors>(tensors: T) -> (Vec<AnyTensor>, T) {
    let all = tensors.into_any();
    let again = T::from_any(&mut all.clone().into_iter()).expect("what was just taken apart");
    (all, again)
}

/// One graph of two recordings: lengths that differ follow the batch.
fn merge(mut first: Graph, second: Graph) -> Result<Graph> {
    let differs = |what: String| Error::Unsupported {
        what: "a forward pass that depends on the batch size".into(),
        reason: what,
    };
    if first.order.len() != second.order.len() {
        let (a, b) = (first.order.len(), second.order.len());
        let [m, n] = BATCHES;
        return Err(differs(format!("{a} operations at batch {m}, {b} at batch {n}")));
    }
    let mut nodes: BTreeMap<NodeId, super::Node> = BTreeMap::new();
    for (&id, &other) in first.order.iter().zip(&second.order) {
        let (mut node, twin) = (first.nodes[&id].clone(), &second.nodes[&other]);
        let place = format!("operation {id} ({})", node.op.name());
        let shape = both(&node.shape, &twin.shape)
            .ok_or_else(|| differs(format!("{place}: {:?} and {:?}", node.shape, twin.shape)))?;
        if let (
            Op::Reshape { shape: of_node }
            | Op::Expand { shape: of_node }
            | Op::Full { shape: of_node, .. },
            Op::Reshape { .. } | Op::Expand { .. } | Op::Full { .. },
        ) = (&mut node.op, &twin.op)
        {
            of_node.clone_from(&shape);
        }
        let mut op = twin.op.clone();
        if let Op::Reshape { shape: of_twin }
        | Op::Expand { shape: of_twin }
        | Op::Full { shape: of_twin, .. } = &mut op
        {
            of_twin.clone_from(&shape);
        }
        // As text, since a number that is none is not equal to itself.
        let (here, there) = (format!("{:?}", node.op), format!("{op:?}"));
        if here != there {
            return Err(differs(format!("{place}: {here} and {there}")));
        }
        if (id, &node.inputs, &node.name) != (other, &twin.inputs, &twin.name) {
            return Err(differs(format!("{place}: it takes other tensors")));
        }
        if let (Some(a), Some(b)) = (first.weights.get(&id), second.weights.get(&other))
            && (a.data.shape() != b.data.shape() || a.data.as_bytes() != b.data.as_bytes())
        {
            return Err(differs(format!("{place}: its values differ")));
        }
        node.shape = shape;
        nodes.insert(id, node);
    }
    if first.inputs != second.inputs || first.outputs != second.outputs {
        return Err(differs("its outputs change places".into()));
    }
    first.nodes = nodes;
    Ok(first)
}

/// What two recorded shapes say together.
fn both(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let dims = a.iter().zip(b).map(|pair| match pair {
        (Dim::Fixed(a), Dim::Fixed(b)) => Dim::seen([*a, *b], BATCHES),
        _ => None,
    });
    if a.len() == b.len() { dims.collect() } else { None }
}
