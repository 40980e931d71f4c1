//! A graph as a module.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use burn::backend::{DispatchTensor, TensorMetadata};
use burn::module::{
    Content, Flag, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId, RunningState,
};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};

use super::dim::shape_text;
use super::run::run;
use super::structure::Weight;
use super::value::{Change, Fork, Materialize, ToDevice, Train, Valid, Value};
use super::{AnyTensor, Dim, ElementKind, Graph, NodeId, Op, Role, Tensors};
use crate::error::{Error, Result};
use crate::ops;

/// A graph that computes, as a Burn module: it trains, moves between devices, saves and loads as
/// any other. Its parameters keep the paths, identities and settings of the module that was
/// traced, so that weights and optimiser states of the one fit the other.
///
/// It behaves as the traced module does: on a device with autodiff its batch normalisations take
/// the batch's statistics and move the running ones. Two things a recording of inference does not
/// hold: dropout, which is gone, and the momentum of batch normalisations, which is 0.1 unless
/// [`Op::BatchNorm`] says otherwise.
#[derive(Debug, Clone)]
pub struct GraphModule {
    /// Without the weights.
    structure: Arc<Structure>,
    slots: Vec<Slot>,
    flags: Vec<FlagSlot>,
}

/// What does not change while the module trains.
struct Structure {
    graph: Graph,
    /// For each node, in order, the tensors that are not needed after it.
    last_uses: Vec<Vec<NodeId>>,
    /// The flag of a batch normalisation.
    flag_of: BTreeMap<NodeId, usize>,
    slot_of: BTreeMap<NodeId, usize>,
}

impl fmt::Debug for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.graph)
    }
}

/// A parameter or constant.
#[derive(Debug, Clone)]
struct Slot {
    node: NodeId,
    role: Role,
    path: Path,
    value: Value,
}

/// Whether a batch normalisation trains.
#[derive(Debug, Clone)]
struct FlagSlot {
    path: Path,
    flag: Param<Flag>,
}

/// The parts of a path, and for each the type of the module that it is a field of.
#[derive(Debug, Clone)]
struct Path(Arc<[(String, String)]>);

impl Path {
    fn new(name: &str, containers: &[String]) -> Self {
        let container = |at: usize| containers.get(at).map_or("Struct:Graph", String::as_str);
        let part = |(at, part): (usize, &str)| (part.to_owned(), container(at).to_owned());
        Self(name.split('.').enumerate().map(part).collect())
    }
}

impl Graph {
    /// The graph as a module on a device.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] for a tensor that is still stored as quantized integers (see
    /// [`dequantize`](Self::dequantize)), a parameter of more than five axes, and a batch
    /// normalisation whose scale, shift or statistics are computed.
    pub fn init(&self, device: &Device) -> Result<GraphModule> {
        let mut slots = Vec::new();
        let mut slot_of = BTreeMap::new();
        let mut flags: Vec<FlagSlot> = Vec::new();
        let mut flag_of: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut flag_of_scale: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (id, node) in self.nodes() {
            if let Some(weight) = self.weight(id) {
                if node.kind == ElementKind::Float
                    && ElementKind::from(weight.data.dtype()) == ElementKind::Int
                {
                    return Err(node.error("it is stored in integers: dequantize the graph first"));
                }
                let value = Value::new(weight, device).map_err(|reason| node.error(reason))?;
                slot_of.insert(id, slots.len());
                let path = Path::new(&node.name, &weight.containers);
                slots.push(Slot { node: id, role: weight.role, path, value });
            }
            let Op::BatchNorm { training, .. } = node.op else { continue };
            let scale = node.inputs[1];
            for (&input, name) in
                node.inputs[1..].iter().zip(["scale", "shift", "running mean", "running variance"])
            {
                let Some(weight) = self.weight(input) else {
                    return Err(node.error(format!("its {name} is computed, expected a parameter")));
                };
                if name.starts_with("running") && training && weight.role != Role::Running {
                    return Err(node.error(format!("its {name} is no running statistic")));
                }
            }
            let flag = *flag_of_scale.entry(scale).or_insert_with(|| {
                let name = &self.node(scale).name;
                let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
                let path = format!("{layer}.training");
                let containers = &self.weights[&scale].containers;
                flags.push(FlagSlot {
                    path: Path::new(path.trim_start_matches('.'), containers),
                    flag: Param::from_bool(training),
                });
                flags.len() - 1
            });
            flag_of.insert(id, flag);
        }
        let mut graph = self.clone();
        graph.weights.clear();
        let structure = Structure { last_uses: last_uses(&graph), graph, flag_of, slot_of };
        Ok(GraphModule { structure: Arc::new(structure), slots, flags })
    }
}

/// For each node, in order, the tensors that nothing needs after it.
fn last_uses(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut last: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (at, (id, node)) in graph.nodes().enumerate() {
        last.insert(id, at);
        for &input in &node.inputs {
            last.insert(input, at);
        }
    }
    for output in &graph.outputs {
        last.remove(output);
    }
    let mut uses = vec![Vec::new(); graph.order.len()];
    for (id, at) in last {
        uses[at].push(id);
    }
    uses
}

impl GraphModule {
    /// Computes the outputs from the inputs: one tensor or a tuple each.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for inputs that the graph does not take, and where the outputs are not of
    /// the rank and kind that is asked for.
    pub fn forward<I: Tensors, O: Tensors>(&self, inputs: I) -> Result<O> {
        let outputs = self.run(inputs.into_any(), &mut |_, _| {})?;
        let given = outputs.len();
        let mut outputs = outputs.into_iter();
        let typed = O::from_any(&mut outputs)?;
        let left = outputs.count();
        if left > 0 {
            return Err(Error::Shape {
                what: "the outputs of a graph".into(),
                expected: format!("{} tensors", given - left),
                found: format!("{given} tensors"),
            });
        }
        Ok(typed)
    }

    /// Computes the outputs, and shows the tensor of every node as it is computed: to calibrate,
    /// or to read what lies between.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for inputs that the graph does not take.
    pub fn run(
        &self,
        inputs: Vec<AnyTensor>,
        observe: &mut dyn FnMut(NodeId, &AnyTensor),
    ) -> Result<Vec<AnyTensor>> {
        let graph = &self.structure.graph;
        let batch = self.check(&inputs)?;
        let device = match inputs.first() {
            Some(input) => input.device(),
            None => match self.devices().into_iter().next() {
                Some(device) => device,
                None => return Err(Error::data("a graph", "it has no inputs and no parameters")),
            },
        };
        let mut tensors: BTreeMap<NodeId, DispatchTensor> = BTreeMap::new();
        for (&id, input) in graph.inputs.iter().zip(inputs) {
            tensors.insert(id, input.0);
        }
        for ((id, node), done) in graph.nodes().zip(&self.structure.last_uses) {
            if !tensors.contains_key(&id) {
                let tensor = match &node.op {
                    Op::Parameter | Op::Constant => self.slot(id).value.tensor(),
                    Op::BatchNorm { epsilon, momentum, .. } => {
                        let x = tensors[&node.inputs[0]].clone();
                        self.batch_norm(id, x, *epsilon, *momentum)
                    }
                    op => {
                        // What is not needed any more is given away, so that it may be reused.
                        let mut operands = Vec::with_capacity(node.inputs.len());
                        for (at, input) in node.inputs.iter().enumerate() {
                            let last =
                                done.contains(input) && !node.inputs[at + 1..].contains(input);
                            let operand = if last {
                                tensors.remove(input)
                            } else {
                                tensors.get(input).cloned()
                            };
                            operands.extend(operand);
                        }
                        run(op, operands, node.kind, batch, &device)
                    }
                };
                tensors.insert(id, tensor);
            }
            let tensor = AnyTensor(tensors[&id].clone());
            observe(id, &tensor);
            drop(tensor);
            for id in done {
                tensors.remove(id);
            }
        }
        Ok(graph.outputs.iter().map(|id| AnyTensor(tensors[id].clone())).collect())
    }

    fn slot(&self, id: NodeId) -> &Slot {
        &self.slots[self.structure.slot_of[&id]]
    }

    fn batch_norm(
        &self,
        id: NodeId,
        x: DispatchTensor,
        epsilon: f64,
        momentum: f64,
    ) -> DispatchTensor {
        let inputs = &self.structure.graph.nodes[&id].inputs;
        let scale_or_shift = |at: usize| match &self.slot(inputs[at]).value {
            Value::Float1(param) => param.clone(),
            other => Param::initialized(ParamId::new(), Tensor::from_dispatch(other.tensor())),
        };
        // A clone shares the statistics: what the layer moves, this module has.
        let running = |at: usize| match &self.slot(inputs[at]).value {
            Value::Running(state) => state.clone(),
            other => RunningState::new(Tensor::from_dispatch(other.tensor())),
        };
        let norm = BatchNorm {
            gamma: scale_or_shift(1),
            beta: scale_or_shift(2),
            training: self.flags[self.structure.flag_of[&id]].flag.clone(),
            running_mean: running(3),
            running_var: running(4),
            momentum,
            epsilon,
        };
        // The rank is that of the input; the layer only asks for two axes or more.
        match x.shape().num_dims() {
            2 => ops::batch_norm(&norm, Tensor::<2>::from_dispatch(x)).into_dispatch(),
            3 => ops::batch_norm(&norm, Tensor::<3>::from_dispatch(x)).into_dispatch(),
            5 => ops::batch_norm(&norm, Tensor::<5>::from_dispatch(x)).into_dispatch(),
            _ => ops::batch_norm(&norm, Tensor::<4>::from_dispatch(x)).into_dispatch(),
        }
    }

    /// Refuses other inputs than the graph was made for, and finds the batch size.
    fn check(&self, inputs: &[AnyTensor]) -> Result<usize> {
        let graph = &self.structure.graph;
        let wrong =
            |what: String, expected: String, found: String| Error::Shape { what, expected, found };
        if inputs.len() != graph.inputs.len() {
            let (expected, found) = (graph.inputs.len(), inputs.len());
            let what = "the inputs of a graph".to_owned();
            return Err(wrong(what, format!("{expected} tensors"), format!("{found} tensors")));
        }
        let mut batch = None;
        for (id, input) in graph.inputs.iter().zip(inputs) {
            let (node, shape) = (&graph.nodes[id], input.shape());
            let fits = node.kind == input.kind()
                && node.shape.len() == shape.len()
                && node.shape.iter().zip(&shape).all(|(dim, &length)| match *dim {
                    Dim::Fixed(expected) => length == expected,
                    Dim::Batch(times) => {
                        let here = length / times.max(1);
                        here * times == length && *batch.get_or_insert(here) == here
                    }
                });
            if !fits {
                let expected = match batch {
                    Some(batch) => format!("{} with N = {batch}", shape_text(&node.shape)),
                    None => shape_text(&node.shape),
                };
                let found = format!("{shape:?}, {:?}", input.kind());
                let expected = format!("{expected}, {:?}", node.kind);
                return Err(wrong(format!("`{}` of a graph", node.name), expected, found));
            }
        }
        Ok(batch.unwrap_or(1))
    }

    /// The graph with the weights as they are now, statistics up to date, and what is frozen
    /// frozen; the module is not touched.
    pub fn graph(&self) -> Graph {
        let mut graph = self.structure.graph.clone();
        for (id, &flag) in &self.structure.flag_of {
            let enabled = self.flags[flag].flag.valid().train().is_enabled();
            if let Some(Op::BatchNorm { training, .. }) =
                graph.nodes.get_mut(id).map(|node| &mut node.op)
            {
                *training = enabled;
            }
        }
        for slot in &self.slots {
            let data = match &slot.value {
                Value::Running(state) => state.value_sync().into_data(),
                value => AnyTensor(value.tensor()).into_data(),
            };
            let id = match &slot.value {
                _ if slot.role == Role::Constant => 0,
                value => value.id(),
            };
            let role = match (slot.role, slot.value.is_learnable()) {
                (Role::Learnable | Role::Frozen, true) => Role::Learnable,
                (Role::Learnable | Role::Frozen, false) => Role::Frozen,
                (role, _) => role,
            };
            let containers = slot.path.0.iter().map(|(_, container)| container.clone()).collect();
            let weight = Weight { data, role, id, containers };
            graph.weights.insert(slot.node, Arc::new(weight));
        }
        graph
    }

    fn with(&self, change: &impl Change) -> Self {
        let slots = self
            .slots
            .iter()
            .map(|slot| Slot { value: slot.value.clone().each(change), ..slot.clone() });
        let flags = self
            .flags
            .iter()
            .map(|slot| FlagSlot { flag: change.of(slot.flag.clone()), ..slot.clone() });
        Self {
            structure: Arc::clone(&self.structure),
            slots: slots.collect(),
            flags: flags.collect(),
        }
    }
}

impl Module for GraphModule {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.slots.iter().fold(devices, |devices, slot| slot.value.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.with(&Fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(&ToDevice(device))
    }

    fn train(self) -> Self {
        self.with(&Train)
    }

    fn valid(&self) -> Self {
        self.with(&Valid)
    }

    fn materialize(self) -> Self {
        self.with(&Materialize)
    }

    /// Constants are no parameters and are not shown.
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for slot in self.slots.iter().filter(|slot| slot.role != Role::Constant) {
            slot.path.0.iter().for_each(|(name, of)| visitor.enter_module(name, of));
            slot.value.visit(visitor);
            slot.path.0.iter().rev().for_each(|(name, of)| visitor.exit_module(name, of));
        }
        for slot in &self.flags {
            slot.path.0.iter().for_each(|(name, of)| visitor.enter_module(name, of));
            slot.flag.visit(visitor);
            slot.path.0.iter().rev().for_each(|(name, of)| visitor.exit_module(name, of));
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let mut slots = Vec::with_capacity(self.slots.len());
        for mut slot in self.slots {
            if slot.role != Role::Constant {
                slot.path.0.iter().for_each(|(name, of)| mapper.enter_module(name, of));
                slot.value = slot.value.map(mapper);
                slot.path.0.iter().rev().for_each(|(name, of)| mapper.exit_module(name, of));
            }
            slots.push(slot);
        }
        let mut flags = Vec::with_capacity(self.flags.len());
        for mut slot in self.flags {
            slot.path.0.iter().for_each(|(name, of)| mapper.enter_module(name, of));
            slot.flag = Module::map(slot.flag, mapper);
            slot.path.0.iter().rev().for_each(|(name, of)| mapper.exit_module(name, of));
            flags.push(slot);
        }
        Self { structure: self.structure, slots, flags }
    }
}

impl ModuleDisplayDefault for GraphModule {
    fn content(&self, content: Content) -> Option<Content> {
        let nodes = format!("{} nodes", self.structure.graph.order.len());
        content.add_formatted(&nodes).optional()
    }
}

impl ModuleDisplay for GraphModule {}

impl fmt::Display for GraphModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.structure.graph)
    }
}
