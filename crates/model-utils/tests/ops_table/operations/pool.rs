//! Pooling.

use burn::nn::PaddingConfig2d;
use burn::nn::pool::{AvgPool2d, MaxPool2d};
use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::run::Run;
use crate::tape::Var;

pub fn operations() -> [Operation; 6] {
    [
        Operation {
            name: "max_pool2d",
            generate: |draw| pool(draw, true, Kind::Max, false),
            misfit: Some(|draw| pool(draw, true, Kind::Max, true)),
        },
        Operation {
            name: "largest_of_windows",
            generate: |draw| pool(draw, false, Kind::Max, false),
            misfit: Some(|draw| pool(draw, false, Kind::Max, true)),
        },
        Operation {
            name: "avg_pool2d",
            generate: |draw| average(draw, true, false),
            misfit: Some(|draw| average(draw, true, true)),
        },
        Operation {
            name: "mean_of_windows",
            generate: |draw| average(draw, false, false),
            misfit: Some(|draw| average(draw, false, true)),
        },
        Operation { name: "adaptive_avg_pool2d", generate: adaptive, misfit: None },
        Operation { name: "global_avg_pool", generate: global, misfit: None },
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Max,
    Average { count_include_pad: bool },
}

#[derive(Debug)]
struct Pool {
    /// Whether as a layer.
    layer: bool,
    kind: Kind,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: PaddingConfig2d,
    ceil_mode: bool,
}

/// What a window covers along an axis: its places in the map, and how many it has with padding.
struct Window {
    places: Vec<usize>,
    padded: usize,
}

impl Pool {
    fn pads(&self, axis: usize, size: usize) -> (usize, usize) {
        match self.padding {
            PaddingConfig2d::Valid => (0, 0),
            PaddingConfig2d::Explicit(top, left, bottom, right) => {
                [(top, bottom), (left, right)][axis]
            }
            PaddingConfig2d::Same => {
                let read = (size.div_ceil(self.stride[axis]) - 1) * self.stride[axis];
                let total = (read + self.reach(axis)).saturating_sub(size);
                (total / 2, total - total / 2)
            }
        }
    }

    fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// PyTorch's windows along an axis.
    fn windows(&self, axis: usize, size: usize) -> Vec<Window> {
        let (before, behind) = self.pads(axis, size);
        let (stride, whole) = (self.stride[axis], before + size + behind);
        let moves = whole - self.reach(axis);
        let mut count = moves / stride + 1;
        if self.ceil_mode {
            count = moves.div_ceil(stride) + 1;
            // The last window begins within the map or the padding before it.
            if (count - 1) * stride >= size + before {
                count -= 1;
            }
        }
        let window = |at: usize| {
            let read = (0..self.kernel[axis]).map(|k| at * stride + k * self.dilation[axis]);
            let read: Vec<usize> = read.filter(|&place| place < whole).collect();
            let places = read.iter().filter_map(|place| place.checked_sub(before));
            Window { places: places.filter(|&place| place < size).collect(), padded: read.len() }
        };
        (0..count).map(window).collect()
    }

    fn fits(&self, size: [usize; 2]) -> bool {
        [0, 1].iter().all(|&axis| {
            let (before, behind) = self.pads(axis, size[axis]);
            before + size[axis] + behind >= self.reach(axis)
                && self.windows(axis, size[axis]).iter().all(|window| !window.places.is_empty())
        })
    }
}

fn map(draw: &mut Draw) -> [usize; 4] {
    let (channels, [height, width]) = (draw.between(1, 5), draw.pair(1, 9));
    let batch =
        if draw.large { 66_000_usize.div_ceil(channels * height * width) } else { draw.batch(3) };
    [batch, channels, height, width]
}

fn average(draw: &mut Draw, layer: bool, misfit: bool) -> Case {
    let kind = Kind::Average { count_include_pad: draw.chance(0.5) };
    pool(draw, layer, kind, misfit)
}

fn pool(draw: &mut Draw, layer: bool, kind: Kind, misfit: bool) -> Case {
    let [mut batch, channels, mut height, mut width] = map(draw);
    let kernel = if draw.chance(0.5) { [draw.between(1, 3); 2] } else { draw.pair(1, 4) };
    let stride = draw.pair(1, 3);
    let same = layer && draw.chance(0.2);
    let dilates = kind == Kind::Max && !same && draw.chance(0.3);
    let dilation = if dilates { draw.pair(1, 2) } else { [1, 1] };
    let mut pads = || [0, 1].map(|axis| draw.between(0, kernel[axis] / 2));
    let ([top, left], [bottom, right]) = (pads(), pads());
    let padding = match draw.between(0, 2) {
        _ if same => PaddingConfig2d::Same,
        0 => PaddingConfig2d::Valid,
        1 => PaddingConfig2d::Explicit(top, left, top, left),
        _ => PaddingConfig2d::Explicit(top, left, bottom, right),
    };
    let ceil_mode = draw.chance(0.3);
    let mut pool = Pool { layer, kind, kernel, stride, dilation, padding, ceil_mode };
    if misfit {
        batch = batch.max(1);
        pool.padding = PaddingConfig2d::Valid;
        pool.ceil_mode = false;
        pool.kernel[draw.between(0, 1)] = height.max(width) + 1;
    } else if !pool.fits([height, width]) {
        pool.padding = PaddingConfig2d::Valid;
        [height, width] = [height.max(pool.reach(0)), width.max(pool.reach(1))];
    }
    let mut x = draw.batch_input("x", &[batch, channels, height, width]);
    // With ties, of which the first wins.
    if draw.chance(0.3) {
        x.array.values.iter_mut().for_each(|x| *x = x.round());
    }
    Case::new(vec![x], pool)
}

impl Call for Pool {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let x = &inputs[0];
        let [batch, channels, height, width] = x.shape[..] else { unreachable!() };
        let (rows, columns) = (self.windows(0, height), self.windows(1, width));
        let y = Block::of(&[batch, channels, rows.len(), columns.len()], |index| {
            let (row, column) = (&rows[index[2]], &columns[index[3]]);
            let read = row.places.iter().flat_map(|&y| column.places.iter().map(move |&x| [y, x]));
            let read = read.map(|[row, column]| x.at(&[index[0], index[1], row, column]));
            match self.kind {
                Kind::Max => Var::largest(read).expect("a number"),
                Kind::Average { count_include_pad } => {
                    let count = if count_include_pad {
                        row.padded * column.padded
                    } else {
                        row.places.len() * column.places.len()
                    };
                    read.sum::<Var>() / count as f64
                }
            }
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        let Self { kernel, stride, dilation, ceil_mode, .. } = *self;
        let pads = || [self.pads(0, 1), self.pads(1, 1)];
        let y = match self.kind {
            Kind::Max if self.layer => ops::max_pool2d(&self.max(), x),
            Kind::Max => ops::largest_of_windows(x, kernel, stride, pads(), dilation, ceil_mode),
            Kind::Average { count_include_pad } if self.layer => {
                ops::avg_pool2d(&self.average(count_include_pad), x)
            }
            Kind::Average { count_include_pad } => {
                ops::mean_of_windows(x, kernel, stride, pads(), count_include_pad, ceil_mode)
            }
        };
        run.output("output", y);
    }

    fn burns(&self, run: &mut Run) -> bool {
        let x = run.tensor(0);
        let y = match self.kind {
            Kind::Max => self.max().forward(x),
            Kind::Average { count_include_pad } => self.average(count_include_pad).forward(x),
        };
        run.output("output", y);
        true
    }
}

impl Pool {
    fn max(&self) -> MaxPool2d {
        MaxPool2d {
            stride: self.stride,
            kernel_size: self.kernel,
            padding: self.padding.clone(),
            dilation: self.dilation,
            ceil_mode: self.ceil_mode,
        }
    }

    fn average(&self, count_include_pad: bool) -> AvgPool2d {
        AvgPool2d {
            stride: self.stride,
            kernel_size: self.kernel,
            padding: self.padding.clone(),
            count_include_pad,
            ceil_mode: self.ceil_mode,
        }
    }
}

#[derive(Debug)]
struct Adaptive {
    output: [usize; 2],
}

fn adaptive(draw: &mut Draw) -> Case {
    let shape = map(draw);
    let x = draw.batch_input("x", &shape);
    Case::new(vec![x], Adaptive { output: draw.pair(1, 11) })
}

impl Call for Adaptive {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let x = &inputs[0];
        let covers = |axis: usize, at: usize| {
            let (size, count) = (x.shape[2 + axis], self.output[axis]);
            at * size / count..((at + 1) * size).div_ceil(count)
        };
        let shape = [x.shape[0], x.shape[1], self.output[0], self.output[1]];
        let y = Block::of(&shape, |index| {
            let (rows, columns) = (covers(0, index[2]), covers(1, index[3]));
            let count = rows.len() * columns.len();
            let read = rows.flat_map(|row| columns.clone().map(move |column| [row, column]));
            let read = read.map(|[row, column]| x.at(&[index[0], index[1], row, column]));
            read.sum::<Var>() / count as f64
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        run.output("output", ops::adaptive_avg_pool2d(x, self.output));
    }

    fn burns(&self, run: &mut Run) -> bool {
        let x = run.tensor(0);
        run.output("output", burn::tensor::module::adaptive_avg_pool2d(x, self.output));
        true
    }
}

#[derive(Debug)]
struct Global;

fn global(draw: &mut Draw) -> Case {
    let shape = map(draw);
    Case::new(vec![draw.batch_input("x", &shape)], Global)
}

impl Call for Global {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let x = &inputs[0];
        let size = x.shape[2] * x.shape[3];
        let mean = |map: &[Var<'t>]| map.iter().copied().sum::<Var>() / size as f64;
        let vars = x.vars.chunks(size).map(mean).collect();
        vec![Answer::output("output", Block { shape: x.shape[..2].to_vec(), vars })]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        run.output("output", ops::global_avg_pool(x));
    }
}
