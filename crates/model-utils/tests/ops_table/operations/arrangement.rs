//! What moves numbers, or drops them.

use burn::module::Param;
use burn::nn::{Dropout, Embedding};
use burn::tensor::Tensor;
use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation, Role};
use crate::draw::Draw;
use crate::run::Run;

pub fn operations() -> [Operation; 5] {
    [
        Operation { name: "dropout", generate: dropout, misfit: None },
        Operation {
            name: "embedding",
            generate: |draw| embedding(draw, true, false),
            misfit: Some(|draw| embedding(draw, true, true)),
        },
        Operation {
            name: "embed",
            generate: |draw| embedding(draw, false, false),
            misfit: Some(|draw| embedding(draw, false, true)),
        },
        Operation {
            name: "concatenate",
            generate: |draw| concatenate(draw, false),
            misfit: Some(|draw| concatenate(draw, true)),
        },
        Operation { name: "to_vec", generate: to_vec, misfit: None },
    ]
}

#[derive(Debug)]
struct Drops {
    rank: usize,
    share: f64,
    training: bool,
}

fn dropout(draw: &mut Draw) -> Case {
    let rank = draw.between(1, 4);
    let shape = draw.shape(rank);
    let x = draw.tamed().batch_input("x", &shape);
    let share = draw.pick(&[0.0, 0.1, 0.25, 0.5, 0.9]);
    let training = draw.chance(0.9);
    Case::new(vec![x], Drops { rank, share, training })
}

impl Drops {
    fn run<const D: usize>(&self, run: &mut Run, ours: bool) {
        let x = run.tensor::<D>(0);
        let dropout = Dropout { prob: self.share, training: Param::from_bool(self.training) };
        let y = if ours { ops::dropout(&dropout, x) } else { dropout.forward(x) };
        run.output("output", y);
    }

    fn run_any(&self, run: &mut Run, ours: bool) {
        match self.rank {
            1 => self.run::<1>(run, ours),
            2 => self.run::<2>(run, ours),
            3 => self.run::<3>(run, ours),
            _ => self.run::<4>(run, ours),
        }
    }
}

impl Call for Drops {
    /// Of what came out, what is 0 was dropped: the share has to be plausible, what was kept to be
    /// scaled, and the gradient to have been dropped with it.
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let x = &inputs[0];
        let mut y = x.clone();
        let seen = given.seen.outputs.first().map(|(_, seen)| &seen.values);
        let seen = seen.filter(|seen| seen.len() == x.vars.len());
        if let Some(seen) =
            seen.filter(|_| given.mode.tracks(Role::Batch) && self.training && self.share > 0.0)
        {
            for (x, &seen) in y.vars.iter_mut().zip(seen) {
                let kept = seen != 0.0 || x.value == 0.0;
                *x = if kept { *x / (1.0 - self.share) } else { x.function(0.0, 0.0) };
            }
            let count = seen.len() as f64;
            let dropped = seen.iter().filter(|&&seen| seen == 0.0).count() as f64;
            let deviation = (count * self.share * (1.0 - self.share)).sqrt();
            if (dropped - count * self.share).abs() > 6.0 * deviation + 1.0 {
                // Nothing that could come out agrees with this.
                y.vars.iter_mut().for_each(|x| *x = x.function(f64::NAN, 0.0));
            }
        }
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        self.run_any(run, true);
    }

    fn burns(&self, run: &mut Run) -> bool {
        self.run_any(run, false);
        true
    }

    fn depends_on_run(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Lookup {
    /// Whether as a layer.
    layer: bool,
    ids: Vec<i32>,
    shape: [usize; 2],
}

fn embedding(draw: &mut Draw, layer: bool, misfit: bool) -> Case {
    let [rows, width] = draw.pair(1, 12);
    let mut shape = [draw.batch(4), draw.between(0, 6)];
    if draw.large {
        shape = [66_000_usize.div_ceil(10 * width), 10];
    }
    if misfit {
        shape = shape.map(|length| length.max(1));
    }
    let mut ids: Vec<i32> =
        (0..shape[0] * shape[1]).map(|_| draw.between(0, rows - 1) as i32).collect();
    if misfit {
        let at = draw.between(0, ids.len() - 1);
        ids[at] = draw.pick(&[rows as i32, rows as i32 + 500, -1]);
    }
    Case::new(vec![draw.weight("weight", &[rows, width])], Lookup { layer, ids, shape })
}

impl Call for Lookup {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let table = &inputs[0];
        let shape = [self.shape[0], self.shape[1], table.shape[1]];
        let y = Block::of(&shape, |index| {
            let id = self.ids[index[0] * shape[1] + index[1]];
            table.at(&[id as usize, index[2]])
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let ids = self.ids(run);
        let y = if self.layer {
            ops::embedding(&Embedding { weight: run.param(0) }, ids)
        } else {
            ops::embed(run.tensor(0), ids)
        };
        run.output("output", y);
    }

    fn burns(&self, run: &mut Run) -> bool {
        let (embedding, ids) = (Embedding { weight: run.param(0) }, self.ids(run));
        run.output("output", embedding.forward(ids));
        true
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![self.shape.to_vec()]
    }
}

impl Lookup {
    fn ids(&self, run: &Run) -> Tensor<2, burn::tensor::Int> {
        run.integers(&self.ids, self.shape)
    }
}

#[derive(Debug)]
struct Concatenation {
    rank: usize,
    axis: usize,
}

fn concatenate(draw: &mut Draw, misfit: bool) -> Case {
    let rank = draw.between(1, 4);
    let first = draw.shape(rank);
    let mut axis = draw.between(0, rank - 1);
    let mut second = first.clone();
    second[axis] = draw.between(0, 9);
    if draw.large {
        second[axis] = second[axis].max(1).min(70_000 / first.iter().product::<usize>().max(1));
    }
    if misfit {
        if rank > 1 && draw.chance(0.6) {
            second[(axis + 1) % rank] += draw.between(1, 2);
        } else {
            axis = rank + draw.between(0, 2);
        }
    }
    let first = draw.batch_input("first", &first);
    let second = draw.array(&second);
    let second = draw.input("second", Role::Weight, second);
    Case::new(vec![first, second], Concatenation { rank, axis })
}

impl Concatenation {
    fn run<const D: usize>(&self, run: &mut Run, ours: bool) {
        let (first, second) = (run.tensor::<D>(0), run.tensor::<D>(1));
        let y = if ours {
            ops::concatenate(first, second, self.axis)
        } else {
            Tensor::cat(vec![first, second], self.axis)
        };
        run.output("output", y);
    }

    fn run_any(&self, run: &mut Run, ours: bool) {
        match self.rank {
            1 => self.run::<1>(run, ours),
            2 => self.run::<2>(run, ours),
            3 => self.run::<3>(run, ours),
            _ => self.run::<4>(run, ours),
        }
    }
}

impl Call for Concatenation {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (first, second, axis) = (&inputs[0], &inputs[1], self.axis);
        let mut shape = first.shape.clone();
        shape[axis] += second.shape[axis];
        let y = Block::of(&shape, |index| {
            let mut index = index.to_vec();
            match index[axis].checked_sub(first.shape[axis]) {
                Some(behind) => {
                    index[axis] = behind;
                    second.at(&index)
                }
                None => first.at(&index),
            }
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        self.run_any(run, true);
    }

    fn burns(&self, run: &mut Run) -> bool {
        self.run_any(run, false);
        true
    }

    fn is_element_wise(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct ToVec;

fn to_vec(draw: &mut Draw) -> Case {
    let shape = draw.shape(3);
    Case::new(vec![draw.batch_input("x", &shape)], ToVec)
}

impl Call for ToVec {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let vars = inputs[0].vars.clone();
        vec![Answer::observed("numbers", Block { shape: vec![vars.len()], vars })]
    }

    fn ours(&self, run: &mut Run) {
        let numbers = ops::to_vec(run.tensor::<3>(0));
        run.observe("numbers", Tensor::<1>::from_floats(&numbers[..], &run.device()));
    }
}
