use std::panic::resume_unwind;
use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use model_utils::ops::AllReduce;

use super::Exchange;

/// What ends a forward or backward pass whose exchange failed. Nothing is reported: who failed has
/// said why.
pub(super) struct Stopped;

/// Sums of batch normalisations over an exchange.
#[derive(Debug)]
pub(super) struct Statistics(pub(super) Arc<dyn Exchange>);

impl AllReduce for Statistics {
    fn all_reduce(&self, numbers: &mut [f64]) {
        if self.0.all_reduce_f64(numbers).is_err() {
            // There is no way out of a backward pass but this.
            resume_unwind(Box::new(Stopped));
        }
    }
}

/// Whether a module has running statistics.
pub(super) fn has_statistics<M: Module>(module: &M) -> bool {
    #[derive(Default)]
    struct Find {
        path: Vec<String>,
        found: bool,
    }
    impl ModuleVisitor for Find {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.found |= self.path.last().is_some_and(|name| name == "running_mean");
        }
    }
    let mut find = Find::default();
    module.visit(&mut find);
    find.found
}
