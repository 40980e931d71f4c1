//! The operations of the table: each joins by an entry here.

mod arrangement;
mod attention;
mod cells;
mod convolution;
mod gradients;
mod heads;
mod linear;
mod losses;
mod norm;
mod perceptron;
mod pointwise;
mod pool;
mod quantization;

use crate::array::Block;
use crate::case::{Given, Operation};
use crate::tape::Var;

/// Where Burn's own differs from the convention here, and how.
pub const BURN_DIFFERS: [(&str, &str); 5] = [
    ("conv2d", "`Same` padding forgets the dilation"),
    ("convolve1d", "the weight's gradient of some grouped ones is not that of small differences"),
    ("batch_norm", "the running variance moves by the biased one; a plain batch is not trained on"),
    ("relu6", "a clamp passes the gradient at its limits"),
    ("leaky_relu", "the gradient at 0 is 1"),
];

/// Every public operation of `ops`.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    all.extend(convolution::operations());
    all.extend(linear::operations());
    all.extend(perceptron::operations());
    all.extend(norm::operations());
    all.extend(pool::operations());
    all.extend(pointwise::operations());
    all.extend(arrangement::operations());
    all.extend(losses::operations());
    all.extend(gradients::operations());
    all.extend(attention::operations());
    all.extend(heads::operations());
    all.extend(quantization::operations());
    all.extend(cells::operations());
    all
}

/// The third input's number for an output; 0 where there is no third.
fn bias<'t>(given: &Given<'t, '_>, inputs: &[Block<'t>], output: usize) -> Var<'t> {
    inputs.get(2).map_or(given.tape.constant(0.0), |bias| bias.at(&[output]))
}
