//! The parameters of a graph: of any kind and rank.

use burn::backend::DispatchTensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId, RunningState};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::structure::Weight;
use super::{ElementKind, Role};

/// Defines [`Value`], a parameter of any kind and rank, and what all of them can do.
macro_rules! values {
    ($($variant:ident($inner:ty)),+ $(,)?) => {
        #[derive(Debug, Clone)]
        pub(super) enum Value {
            $($variant($inner),)+
        }

        impl Value {
            pub(super) fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
                match self {
                    $(Self::$variant(value) => Module::visit(value, visitor),)+
                }
            }

            pub(super) fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
                match self {
                    $(Self::$variant(value) => Self::$variant(Module::map(value, mapper)),)+
                }
            }

            pub(super) fn each(self, change: &impl Change) -> Self {
                match self {
                    $(Self::$variant(value) => Self::$variant(change.of(value)),)+
                }
            }

            pub(super) fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
                match self {
                    $(Self::$variant(value) => value.collect_devices(devices),)+
                }
            }

            pub(super) fn tensor(&self) -> DispatchTensor {
                match self {
                    $(Self::$variant(value) => Current::tensor(value),)+
                }
            }
        }
    };
}

values! {
    Float1(Param<Tensor<1>>),
    Float2(Param<Tensor<2>>),
    Float3(Param<Tensor<3>>),
    Float4(Param<Tensor<4>>),
    Float5(Param<Tensor<5>>),
    Int1(Param<Tensor<1, Int>>),
    Int2(Param<Tensor<2, Int>>),
    Int3(Param<Tensor<3, Int>>),
    Int4(Param<Tensor<4, Int>>),
    Bool1(Param<Tensor<1, Bool>>),
    Bool2(Param<Tensor<2, Bool>>),
    Bool3(Param<Tensor<3, Bool>>),
    Bool4(Param<Tensor<4, Bool>>),
    Running(RunningState<Tensor<1>>),
}

/// A change of any module.
pub(super) trait Change {
    fn of<M: Module>(&self, module: M) -> M;
}

pub(super) struct ToDevice<'a>(pub(super) &'a Device);
pub(super) struct Fork<'a>(pub(super) &'a Device);
pub(super) struct Train;
pub(super) struct Valid;
pub(super) struct Materialize;

impl Change for ToDevice<'_> {
    fn of<M: Module>(&self, module: M) -> M {
        module.to_device(self.0)
    }
}

impl Change for Fork<'_> {
    fn of<M: Module>(&self, module: M) -> M {
        module.fork(self.0)
    }
}

impl Change for Train {
    fn of<M: Module>(&self, module: M) -> M {
        module.train()
    }
}

impl Change for Valid {
    fn of<M: Module>(&self, module: M) -> M {
        module.valid()
    }
}

impl Change for Materialize {
    fn of<M: Module>(&self, module: M) -> M {
        module.materialize()
    }
}

/// The tensor as it is now.
trait Current {
    fn tensor(&self) -> DispatchTensor;
}

impl<const D: usize, K: Basic> Current for Param<Tensor<D, K>>
where
    Tensor<D, K>: burn::module::ParameterValue,
{
    fn tensor(&self) -> DispatchTensor {
        self.val().into_dispatch()
    }
}

impl Current for RunningState<Tensor<1>> {
    fn tensor(&self) -> DispatchTensor {
        self.value_sync().into_dispatch()
    }
}

impl Value {
    pub(super) fn new(weight: &Weight, device: &Device) -> Result<Self, String> {
        let id = if weight.id == 0 { ParamId::new() } else { ParamId::from(weight.id) };
        let data = weight.data.clone();
        let rank = data.shape().len();
        let unknown = |kind| Err(format!("a parameter of {rank} axes that holds {kind}"));
        Ok(match ElementKind::from(data.dtype()) {
            ElementKind::Float if weight.role == Role::Running && rank == 1 => {
                Self::Running(RunningState::with_id(id, Tensor::from_data(data, device)))
            }
            ElementKind::Float => {
                let learnable = weight.role == Role::Learnable;
                match rank {
                    1 => Self::Float1(float(id, data, learnable, device)),
                    2 => Self::Float2(float(id, data, learnable, device)),
                    3 => Self::Float3(float(id, data, learnable, device)),
                    4 => Self::Float4(float(id, data, learnable, device)),
                    5 => Self::Float5(float(id, data, learnable, device)),
                    _ => return unknown("floating-point numbers"),
                }
            }
            ElementKind::Int => match rank {
                1 => Self::Int1(Param::initialized(id, Tensor::from_data(data, device))),
                2 => Self::Int2(Param::initialized(id, Tensor::from_data(data, device))),
                3 => Self::Int3(Param::initialized(id, Tensor::from_data(data, device))),
                4 => Self::Int4(Param::initialized(id, Tensor::from_data(data, device))),
                _ => return unknown("integers"),
            },
            ElementKind::Bool => match rank {
                1 => Self::Bool1(Param::initialized(id, Tensor::from_data(data, device))),
                2 => Self::Bool2(Param::initialized(id, Tensor::from_data(data, device))),
                3 => Self::Bool3(Param::initialized(id, Tensor::from_data(data, device))),
                4 => Self::Bool4(Param::initialized(id, Tensor::from_data(data, device))),
                _ => return unknown("true or false"),
            },
        })
    }
}

fn float<const D: usize>(
    id: ParamId,
    data: TensorData,
    learnable: bool,
    device: &Device,
) -> Param<Tensor<D>> {
    Param::initialized(id, Tensor::from_data(data, device)).set_require_grad(learnable)
}

impl Value {
    /// Whether the parameter gets gradients in training.
    pub(super) fn is_learnable(&self) -> bool {
        struct Learnable(bool);
        impl ModuleVisitor for Learnable {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 = is_learnable(param);
            }
        }
        let mut learnable = Learnable(false);
        self.visit(&mut learnable);
        learnable.0
    }

    /// The parameter's identity.
    pub(super) fn id(&self) -> u64 {
        struct Id(u64);
        impl ModuleVisitor for Id {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 = param.id.val();
            }
            fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
                self.0 = param.id.val();
            }
            fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
                self.0 = param.id.val();
            }
        }
        let mut id = Id(0);
        self.visit(&mut id);
        id.0
    }
}

/// Whether training gives it gradients: training restores the setting, on any device.
pub(super) fn is_learnable<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    param.valid().train().val().is_require_grad()
}
