//! The heads of attention, apart and together.

use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::run::Run;

pub fn operations() -> [Operation; 2] {
    [
        Operation {
            name: "split_heads",
            generate: |draw| split(draw, false),
            misfit: Some(|draw| split(draw, true)),
        },
        Operation { name: "join_heads", generate: join, misfit: None },
    ]
}

#[derive(Debug)]
struct Split {
    heads: usize,
}

#[derive(Debug)]
struct Join;

/// Batch, time, heads and their width.
fn sizes(draw: &mut Draw) -> [usize; 4] {
    let [heads, width] = draw.pair(1, 5);
    let time = draw.between(1, 7);
    let batch =
        if draw.large { 66_000_usize.div_ceil(time * heads * width) } else { draw.batch(4) };
    [batch, time, heads, width]
}

fn split(draw: &mut Draw, misfit: bool) -> Case {
    let [batch, time, mut heads, d] = sizes(draw);
    let width = heads * d;
    if misfit {
        heads = draw.no_divisor(width);
    }
    Case::new(vec![draw.batch_input("x", &[batch, time, width])], Split { heads })
}

fn join(draw: &mut Draw) -> Case {
    let [batch, time, heads, width] = sizes(draw);
    Case::new(vec![draw.batch_input("x", &[batch, heads, time, width])], Join)
}

impl Call for Split {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let x = &inputs[0];
        let d = x.shape[2] / self.heads;
        let y = Block::of(&[x.shape[0], self.heads, x.shape[1], d], |index| {
            x.at(&[index[0], index[2], index[1] * d + index[3]])
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        run.output("output", ops::split_heads(x, self.heads));
    }

    fn is_element_wise(&self) -> bool {
        true
    }
}

impl Call for Join {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let x = &inputs[0];
        let [batch, heads, time, d] = x.shape[..] else { unreachable!() };
        let y = Block::of(&[batch, time, heads * d], |index| {
            x.at(&[index[0], index[2] / d, index[1], index[2] % d])
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        run.output("output", ops::join_heads(x));
    }

    fn is_element_wise(&self) -> bool {
        true
    }
}
