//! Recurrent cells and rotary positions.

use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation, Role};
use crate::draw::Draw;
use crate::run::Run;

pub fn operations() -> [Operation; 3] {
    [
        Operation {
            name: "gru_cell",
            generate: |draw| cell(draw, Cell::Gru, false),
            misfit: Some(|draw| cell(draw, Cell::Gru, true)),
        },
        Operation {
            name: "lstm_cell",
            generate: |draw| cell(draw, Cell::Lstm, false),
            misfit: Some(|draw| cell(draw, Cell::Lstm, true)),
        },
        Operation {
            name: "rotary_embedding",
            generate: |draw| rotary(draw, false),
            misfit: Some(|draw| rotary(draw, true)),
        },
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Gru,
    Lstm,
}

fn cell(draw: &mut Draw, cell: Cell, misfit: bool) -> Case {
    let width = draw.length(6, 40);
    let rows = if draw.large { 66_000 / width } else { draw.batch(9) };
    let mut shapes = match cell {
        Cell::Gru => vec![[rows, 3 * width], [rows, 3 * width], [rows, width]],
        Cell::Lstm => vec![[rows, 4 * width], [rows, width]],
    };
    if misfit {
        let (which, axis) = (draw.between(0, shapes.len() - 1), draw.between(0, 1));
        shapes[which][axis] += draw.between(1, 2);
    }
    let names = match cell {
        Cell::Gru => &["input", "state", "hidden"][..],
        Cell::Lstm => &["gates", "cell"],
    };
    let mut inputs = vec![draw.batch_input(names[0], &shapes[0])];
    for (name, shape) in names.iter().zip(&shapes).skip(1) {
        inputs.push(draw.weight(name, shape));
    }
    Case::new(inputs, cell)
}

impl Call for Cell {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let before = inputs.last().expect("what was before");
        let width = before.shape[1];
        let part = |of: usize, index: &[usize], at: usize| {
            inputs[of].at(&[index[0], at * width + index[1]])
        };
        match self {
            Self::Gru => {
                let state = Block::of(&before.shape, |index| {
                    let gate = |at| (part(0, index, at) + part(1, index, at)).sigmoid();
                    let (reset, update) = (gate(0), gate(1));
                    let new = (part(0, index, 2) + reset * part(1, index, 2)).tanh();
                    (-update + 1.0) * new + update * before.at(index)
                });
                vec![Answer::output("state", state)]
            }
            Self::Lstm => {
                let cell = Block::of(&before.shape, |index| {
                    let kept = part(0, index, 1).sigmoid() * before.at(index);
                    kept + part(0, index, 0).sigmoid() * part(0, index, 2).tanh()
                });
                let output = Block::of(&before.shape, |index| {
                    part(0, index, 3).sigmoid() * cell.at(index).tanh()
                });
                vec![Answer::output("output", output), Answer::output("cell", cell)]
            }
        }
    }

    fn ours(&self, run: &mut Run) {
        match self {
            Self::Gru => {
                let (input, state, hidden) = (run.tensor(0), run.tensor(1), run.tensor(2));
                run.output("state", ops::gru_cell(input, state, hidden));
            }
            Self::Lstm => {
                let (output, cell) = ops::lstm_cell(run.tensor(0), run.tensor(1));
                run.output("output", output);
                run.output("cell", cell);
            }
        }
    }
}

#[derive(Debug)]
struct Rotary {
    heads: usize,
}

fn rotary(draw: &mut Draw, misfit: bool) -> Case {
    let (mut heads, pairs) = (draw.between(1, 4), draw.between(1, 6));
    let width = heads * 2 * pairs;
    let time = draw.between(1, 7);
    let batch = if draw.large { 66_000_usize.div_ceil(time * width) } else { draw.batch(4) };
    // Tables may be longer than the time, but not shorter.
    let mut rows = time + draw.pick(&[0, 0, 1, 5]);
    let mut columns = pairs;
    let mut batch = batch;
    if misfit {
        batch = batch.max(1);
        match draw.between(0, 2) {
            0 => rows = time - 1,
            1 => columns += 1,
            _ => heads += width,
        }
    }
    let x = draw.batch_input("x", &[batch, time, width]);
    let mut table = |name| {
        let mut array = draw.array(&[rows, columns]);
        array.values.iter_mut().for_each(|angle| *angle = angle.sin());
        draw.input(name, Role::Constant, array)
    };
    let inputs = vec![x, table("sines"), table("cosines")];
    Case::new(inputs, Rotary { heads })
}

impl Call for Rotary {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (x, sines, cosines) = (&inputs[0], &inputs[1], &inputs[2]);
        let head = x.shape[2] / self.heads;
        let pairs = head / 2;
        let y = Block::of(&x.shape, |index| {
            let [row, time, feature] = index else { unreachable!() };
            let (start, within) = (feature / head * head, feature % head);
            let pair = within % pairs;
            let (sine, cosine) = (sines.at(&[*time, pair]), cosines.at(&[*time, pair]));
            let a = x.at(&[*row, *time, start + pair]);
            let b = x.at(&[*row, *time, start + pairs + pair]);
            if within < pairs { a * cosine - b * sine } else { b * cosine + a * sine }
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let (x, sines, cosines) = (run.tensor(0), run.tensor(1), run.tensor(2));
        run.output("output", ops::rotary_embedding(x, sines, cosines, self.heads));
    }
}
