//! An operation of the table, and one case of it.

use std::fmt::Debug;

use crate::array::{Array, Block, Layout};
use crate::draw::Draw;
use crate::run::{Mode, Outcome, Run};
use crate::tape::Tape;

/// A public operation of `ops`.
pub struct Operation {
    /// Its name in `ops`.
    pub name: &'static str,
    /// Draws a case.
    pub generate: fn(&mut Draw) -> Case,
    /// Draws a case whose shapes or arguments do not fit each other, where there are such.
    pub misfit: Option<fn(&mut Draw) -> Case>,
}

/// What an operation is given.
pub struct Case {
    pub inputs: Vec<Input>,
    pub call: Box<dyn Call>,
}

/// A float tensor that an operation is given.
pub struct Input {
    pub name: &'static str,
    pub role: Role,
    pub array: Array,
    pub layout: Layout,
}

/// Whom a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To the batch.
    Batch,
    /// To the model.
    Weight,
    /// To neither: never tracked.
    Constant,
}

/// An operation with its plain arguments, which `Debug` tells.
pub trait Call: Debug {
    /// The operation as scalars, on the inputs in their order.
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>>;

    /// The operation of `ops`.
    fn ours(&self, run: &mut Run);

    /// Burn's own; `false` where it has none.
    fn burns(&self, _run: &mut Run) -> bool {
        false
    }

    /// Whether the outputs depend on whether the batch is tracked, or on what is drawn.
    fn depends_on_run(&self) -> bool {
        false
    }

    /// By what the tolerance is multiplied.
    fn slack(&self) -> f64 {
        1.0
    }

    /// Whether gradients are compared beside numbers that are not finite: where each output
    /// depends on one number alone.
    fn is_element_wise(&self) -> bool {
        false
    }

    /// Shapes that a message about a misfit may name, beside the inputs'.
    fn shapes(&self) -> Vec<Vec<usize>> {
        Vec::new()
    }
}

/// What an oracle knows beside the inputs.
pub struct Given<'t, 'o> {
    pub tape: &'t Tape,
    /// What is tracked.
    pub mode: Mode,
    /// What came out, for operations that draw.
    pub seen: &'o Outcome,
}

/// An output of an oracle.
pub struct Answer<'t> {
    pub name: &'static str,
    pub numbers: Block<'t>,
    /// Whether it is part of the loss.
    pub weighted: bool,
}

impl<'t> Answer<'t> {
    /// Part of the loss.
    pub fn output(name: &'static str, numbers: Block<'t>) -> Self {
        Self { name, numbers, weighted: true }
    }

    /// Without gradients.
    pub fn observed(name: &'static str, numbers: Block<'t>) -> Self {
        Self { name, numbers, weighted: false }
    }
}

impl Case {
    pub fn new(inputs: Vec<Input>, call: impl Call + 'static) -> Self {
        Self { inputs, call: Box::new(call) }
    }

    /// Inputs and arguments in words.
    pub fn description(&self) -> String {
        let inputs: Vec<String> = self
            .inputs
            .iter()
            .map(|input| {
                let finite = if input.array.is_finite() { "" } else { " not finite" };
                format!("{} {:?}{finite} {:?}", input.name, input.array.shape, input.layout)
            })
            .collect();
        format!("{}; {:?}", inputs.join(", "), self.call)
    }

    pub fn is_finite(&self) -> bool {
        self.inputs.iter().all(|input| input.array.is_finite())
    }
}
