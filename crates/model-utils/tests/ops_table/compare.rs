//! What came out, against the oracle.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;

use crate::array::Array;
use crate::case::{Case, Given, Role};
use crate::panics;
use crate::run::{Mode, Outcome, Run, loss_weight};
use crate::tape::Tape;

/// How far numbers may be from the oracle's, in parts of the largest of them and at least of 1:
/// some hundred roundings of float32.
const TOLERANCE: f64 = 1e-5;

/// A weight's gradient sums over the output. Of random terms a sum grows with the root of their
/// number n and, added one after the other in float32, its rounding with n: 1e-8 · n. From so many
/// numbers of an output on that comes near the tolerance, which grows with them.
const MANY: f64 = 10_000.0;

/// What the oracle says about a case.
pub struct Expected {
    outputs: Vec<(&'static str, Vec<usize>, Vec<f64>)>,
    /// Of each input; none where no output has gradients.
    gradients: Option<Vec<Vec<f64>>>,
}

impl Expected {
    pub fn of(case: &Case, mode: Mode, seen: &Outcome) -> Self {
        let tape = Tape::default();
        let inputs: Vec<_> = case.inputs.iter().map(|input| input.array.on(&tape)).collect();
        let answers = case.call.oracle(&Given { tape: &tape, mode, seen }, &inputs);
        let weighted = answers.iter().enumerate().filter(|(_, answer)| answer.weighted);
        let weighted = weighted.flat_map(|(which, answer)| {
            let vars = answer.numbers.vars.iter().enumerate();
            vars.map(move |(at, var)| (f64::from(loss_weight(which, at)), var.place()))
        });
        let all = tape.gradients(weighted);
        let of_input = |block: &crate::array::Block| {
            block.vars.iter().map(|var| all[var.place() as usize]).collect()
        };
        let differentiable = answers.iter().any(|answer| answer.weighted);
        let gradients = differentiable.then(|| inputs.iter().map(of_input).collect());
        let outputs = answers.into_iter().map(|answer| {
            let values = answer.numbers.vars.iter().map(|var| var.value).collect();
            (answer.name, answer.numbers.shape, values)
        });
        Self { outputs: outputs.collect(), gradients }
    }
}

/// Which of two operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Ours,
    Burns,
}

/// Runs a case; `None` where Burn has no such operation.
pub fn outcome(
    case: &Case,
    which: Which,
    mode: Mode,
    device: &Device,
) -> Result<Option<Outcome>, String> {
    let run = || {
        let mut run = Run::new(case, mode, device);
        let there = match which {
            Which::Ours => {
                case.call.ours(&mut run);
                true
            }
            Which::Burns => case.call.burns(&mut run),
        };
        there.then(|| run.finish())
    };
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|_| format!("panicked: {}", panics::take().join("; ")))
}

/// The first difference between what came out and what was to come out.
pub fn difference(
    case: &Case,
    mode: Mode,
    found: &Outcome,
    expected: &Expected,
) -> Result<(), String> {
    let names = |all: &[&'static str]| all.join(", ");
    let found_names: Vec<_> = found.outputs.iter().map(|(name, _)| *name).collect();
    let expected_names: Vec<_> = expected.outputs.iter().map(|(name, ..)| *name).collect();
    if found_names != expected_names {
        return Err(format!("outputs {} for {}", names(&found_names), names(&expected_names)));
    }
    let slack = case.call.slack();
    let outputs = found.outputs.iter().zip(&expected.outputs);
    for ((name, found), (_, shape, values)) in outputs {
        near(name, found, shape, values, slack, |_| true)?;
    }
    let Some(gradients) = &expected.gradients else { return Ok(()) };
    let finite = case.is_finite();
    let numbers: usize = expected.outputs.iter().map(|(_, _, values)| values.len()).sum();
    let many = 1.0 + numbers as f64 / MANY;
    for (at, input) in case.inputs.iter().enumerate() {
        let name = format!("gradient of {}", input.name);
        let tracked = mode.tracks(input.role);
        match &found.gradients[at] {
            // Of no numbers there may be no gradient.
            None if tracked && !input.array.values.is_empty() => return Err(format!("no {name}")),
            Some(_) if !tracked => return Err(format!("a {name}, which is not tracked")),
            None => {}
            Some(found) => {
                let shape = &input.array.shape;
                let compared = |at: usize| {
                    finite || case.call.is_element_wise() && input.array.values[at].is_finite()
                };
                let slack = if input.role == Role::Weight { slack * many } else { slack };
                near(&name, found, shape, &gradients[at], slack, compared)?;
            }
        }
    }
    Ok(())
}

fn near(
    name: &str,
    found: &Array,
    shape: &[usize],
    expected: &[f64],
    slack: f64,
    compared: impl Fn(usize) -> bool,
) -> Result<(), String> {
    if found.shape != shape {
        return Err(format!("{name} has shape {:?} for {shape:?}", found.shape));
    }
    let finite = expected.iter().filter(|value| value.is_finite());
    let largest = finite.fold(1.0_f64, |largest, value| largest.max(value.abs()));
    for (at, (&found, &expected)) in found.values.iter().zip(expected).enumerate() {
        let found = f64::from(found);
        let same = if expected.is_finite() {
            (found - expected).abs() <= TOLERANCE * slack * largest
        } else {
            found.total_cmp(&expected).is_eq() || found.is_nan() && expected.is_nan()
        };
        if !same && compared(at) {
            let index = index(shape, at);
            return Err(format!("{name} at {index:?}: {found} for {expected}"));
        }
    }
    Ok(())
}

/// The index of a place in row-major order.
fn index(shape: &[usize], mut at: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = at % shape[axis];
        at /= shape[axis];
    }
    index
}
