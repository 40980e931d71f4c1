//! Networks of the user's own behind one interface: their parameters as one vector.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use model_utils::ops;

use crate::error::{Error, Result};

/// A network of the user's own.
pub trait Body: Module + Sync + 'static {
    /// `[rows, inputs]` → `[rows, outputs]`
    fn forward(&self, rows: Tensor<2>) -> Tensor<2>;
}

/// A [`Body`] of any type.
pub(super) trait AnyBody: Debug + Send + Sync {
    /// `[rows, inputs]` → `[rows, outputs]`
    fn forward(&self, rows: Tensor<2>) -> Tensor<2>;

    /// The same module on a device, its parameters these numbers; in training and with gradients
    /// where it is trained.
    fn on(&self, device: &Device, trained: bool, values: &[f32]) -> Box<dyn AnyBody>;

    /// The gradients of all parameters, in their order. A frozen one has zeros.
    fn gradients(&self, gradients: &Gradients) -> Result<Vec<f32>>;
}

/// A parameter of a module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    /// Its path in the module.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
}

impl<M: Body> AnyBody for M {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        Body::forward(self, rows)
    }

    fn on(&self, device: &Device, trained: bool, values: &[f32]) -> Box<dyn AnyBody> {
        let module = if trained { self.clone().train() } else { self.valid() };
        Box::new(module.fork(device).map(&mut Write { device, trained, values }))
    }

    fn gradients(&self, gradients: &Gradients) -> Result<Vec<f32>> {
        let mut read = ReadGradients { path: Path::default(), gradients, values: Ok(Vec::new()) };
        self.visit(&mut read);
        read.values
    }
}

/// What is known of a module that can be a network.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) parameters: Vec<Parameter>,
    pub(super) values: Vec<f32>,
    pub(super) device: Device,
}

/// Reads a module and tries it once.
pub(super) fn read<M: Body>(module: &M, inputs: usize, outputs: usize) -> Result<Read> {
    let refuse = |reason: String| Err(Error::Network(reason));
    let Some(device) = module.devices().into_iter().next() else {
        return refuse("the module has no parameters".to_owned());
    };
    let device = device.inner();
    let ReadValues { parameters, values, .. } = ReadValues::of(module);
    if values.is_empty() {
        return refuse("the module has no parameters".to_owned());
    }
    // Clones share running statistics, and no parameters.
    let others: Vec<f32> = values.iter().map(|x| if *x == 0.0 { 1.0 } else { 0.0 }).collect();
    let write = |values| Write { device: &device, trained: false, values };
    let _ = module.clone().map(&mut write(&others));
    let after = ReadValues::of(module).values;
    let _ = module.clone().map(&mut write(&values));
    let mut at = 0;
    for Parameter { name, shape } in &parameters {
        let part = at..at + shape.iter().product::<usize>();
        at = part.end;
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
        if !values[part.clone()].iter().zip(&after[part]).all(same) {
            return refuse(format!(
                "`{name}` is a running statistic, as of batch norm: its values at acting are not \
                 those at learning, take layer or group norm"
            ));
        }
    }

    let device_of_training = device.clone().autodiff();
    let live = module.on(&device_of_training, true, &values);
    let rows = Tensor::zeros([2, inputs], &device_of_training);
    let output = match catch_unwind(AssertUnwindSafe(|| live.forward(rows))) {
        Ok(output) => output,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            return refuse(format!("the module does not take [2, {inputs}]: {text}"));
        }
    };
    if output.dims() != [2, outputs] {
        let found = output.dims();
        return refuse(format!("the module gives {found:?}, expected [2, {outputs}]"));
    }
    if !output.is_autodiff() {
        return refuse("the module's output has no gradient".to_owned());
    }
    // Burn panics where no parameter takes part.
    let gradients = catch_unwind(AssertUnwindSafe(|| output.sum().backward()));
    let Ok(gradients) = gradients else {
        return refuse("no parameter of the module has a gradient".to_owned());
    };
    live.gradients(&gradients)?;
    Ok(Read { parameters, values, device })
}

/// Where a visitor is.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

#[derive(Default)]
struct ReadValues {
    path: Path,
    parameters: Vec<Parameter>,
    values: Vec<f32>,
}

impl ReadValues {
    fn of(module: &impl Module) -> Self {
        let mut read = Self::default();
        module.visit(&mut read);
        read
    }
}

impl ModuleVisitor for ReadValues {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.base();
        let (name, shape) = (self.path.name(), value.dims().to_vec());
        self.parameters.push(Parameter { name, shape });
        self.values.extend(ops::to_vec(value));
    }
}

struct ReadGradients<'a> {
    path: Path,
    gradients: &'a Gradients,
    values: Result<Vec<f32>>,
}

impl ModuleVisitor for ReadGradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Ok(values) = &mut self.values else { return };
        let value = param.base();
        if !value.is_require_grad() {
            values.resize(values.len() + value.shape().num_elements(), 0.0);
        } else if let Some(gradient) = value.grad(self.gradients) {
            values.extend(ops::to_vec(gradient));
        } else {
            let reason =
                format!("`{}` has none: the output does not depend on it", self.path.name());
            self.values = Err(Error::Network(reason));
        }
    }
}

struct Write<'a> {
    device: &'a Device,
    trained: bool,
    values: &'a [f32],
}

impl ModuleMapper for Write<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // Frozen parameters stay so.
        let trained = self.trained && param.is_require_grad();
        let (id, old, mapper) = param.consume();
        let count = old.shape().num_elements();
        let numbers = self.values.split_off(..count).unwrap_or_default();
        let value = Tensor::from_data(TensorData::new(numbers.to_vec(), old.dims()), self.device);
        let value = if trained { value.require_grad() } else { value };
        Param::from_mapped_value(id, value, mapper)
    }
}
