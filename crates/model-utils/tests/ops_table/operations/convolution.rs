//! Convolutions, plain and transposed.

use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::tensor::Tensor;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use model_utils::ops;

use crate::array::{Block, for_each_index, place};
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::operations::bias;
use crate::run::Run;

pub fn operations() -> [Operation; 5] {
    [
        Operation {
            name: "conv2d",
            generate: |draw| convolution(draw, Form::Layer, false),
            misfit: Some(|draw| convolution(draw, Form::Layer, true)),
        },
        Operation {
            name: "convolve2d",
            generate: |draw| convolution(draw, Form::Function, false),
            misfit: Some(|draw| convolution(draw, Form::Function, true)),
        },
        Operation {
            name: "convolve1d",
            generate: |draw| convolution(draw, Form::Line, false),
            misfit: Some(|draw| convolution(draw, Form::Line, true)),
        },
        Operation {
            name: "conv_transpose2d",
            generate: |draw| transposed(draw, true, false),
            misfit: Some(|draw| transposed(draw, true, true)),
        },
        Operation {
            name: "convolve_transposed2d",
            generate: |draw| transposed(draw, false, false),
            misfit: Some(|draw| transposed(draw, false, true)),
        },
    ]
}

/// How a convolution is called.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Layer,
    Function,
    /// Of one dimension: maps and kernels of height 1.
    Line,
}

#[derive(Debug, Clone)]
struct Convolution {
    form: Form,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    padding: PaddingConfig2d,
    bias: bool,
}

/// Channels in and out, and groups: dense, depthwise (with a multiplier) or grouped.
fn channels(draw: &mut Draw) -> ([usize; 2], usize) {
    match draw.between(0, 3) {
        0 => {
            let [channels, times] = [draw.between(1, 9), draw.between(1, 2)];
            ([channels, channels * times], channels)
        }
        1 => {
            let (groups, [from, to]) = (draw.between(2, 3), draw.pair(1, 3));
            ([groups * from, groups * to], groups)
        }
        _ => ([draw.between(1, 6), draw.between(1, 9)], 1),
    }
}

/// What a kernel with its dilation covers.
fn reach(kernel: [usize; 2], dilation: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) + 1)
}

impl Convolution {
    /// Rows before and behind, then columns.
    fn pads(&self, size: [usize; 2]) -> [(usize, usize); 2] {
        match self.padding {
            PaddingConfig2d::Valid => [(0, 0); 2],
            PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
            PaddingConfig2d::Same => [0, 1].map(|axis| {
                let steps = size[axis].div_ceil(self.stride[axis]).max(1) - 1;
                let read = steps * self.stride[axis] + reach(self.kernel, self.dilation)[axis];
                let total = read.saturating_sub(size[axis]);
                (total / 2, total - total / 2)
            }),
        }
    }
}

fn convolution(draw: &mut Draw, form: Form, misfit: bool) -> Case {
    let ([from, to], groups) = channels(draw);
    let mut kernel = match draw.between(0, 4) {
        0 => [1, 1],
        1 | 2 => [3, 3],
        _ => draw.pair(1, 4),
    };
    let stride = if draw.chance(0.5) { [1, 1] } else { draw.pair(1, 3) };
    let dilation = if draw.chance(0.6) { [1, 1] } else { draw.pair(1, 3) };
    let mut padding = match draw.between(0, 3) {
        0 => PaddingConfig2d::Valid,
        1 if form == Form::Layer => PaddingConfig2d::Same,
        2 => {
            let [y, x] = draw.pair(0, 3);
            PaddingConfig2d::Explicit(y, x, y, x)
        }
        _ => {
            let [top, left] = draw.pair(0, 3);
            PaddingConfig2d::Explicit(top, left, draw.between(0, 3), draw.between(0, 3))
        }
    };
    let mut size = if draw.large { draw.pair(60, 80) } else { draw.pair(1, 9) };
    let mut batch = draw.batch(3);
    if draw.large {
        // More than 65,536 numbers, of few products each.
        batch = 66_000_usize.div_ceil(from * size[0] * size[1]);
        kernel = [kernel[0].min(2), kernel[1].min(2)];
    }
    if form == Form::Line {
        (kernel[0], size[0]) = (1, 1);
        if let PaddingConfig2d::Explicit(top, _, bottom, _) = &mut padding {
            (*top, *bottom) = (0, 0);
        }
        batch = if draw.large { 66_000_usize.div_ceil(from * size[1]) } else { batch };
    }
    let reach = reach(kernel, dilation);
    let pads = match padding {
        PaddingConfig2d::Explicit(top, left, bottom, right) => [top + bottom, left + right],
        _ => [0, 0],
    };
    if padding != PaddingConfig2d::Same {
        size = [0, 1].map(|axis| size[axis].max(reach[axis].saturating_sub(pads[axis])).max(1));
    }
    let bias = draw.chance(0.6);
    let (mut groups, mut of_bias, mut of_weight) = (groups, to, [to, from / groups]);
    if misfit {
        batch = batch.max(1);
        match draw.between(0, 3) {
            0 => of_weight[1] += 1,
            1 => groups = to + 1,
            2 if bias => of_bias += draw.between(1, 2),
            _ => {
                padding = PaddingConfig2d::Valid;
                let axis = if form == Form::Line { 1 } else { draw.between(0, 1) };
                size[axis] = 1;
                kernel[axis] = draw.between(2, 3);
            }
        }
    }
    let mut of_x = vec![batch, from, size[0], size[1]];
    let mut of_weight = vec![of_weight[0], of_weight[1], kernel[0], kernel[1]];
    if form == Form::Line {
        of_x.remove(2);
        of_weight.remove(2);
    }
    let mut inputs = vec![draw.batch_input("x", &of_x), draw.weight("weight", &of_weight)];
    inputs.extend(bias.then(|| draw.weight("bias", &[of_bias])));
    Case::new(inputs, Convolution { form, kernel, stride, dilation, groups, padding, bias })
}

impl Convolution {
    fn layer(&self, run: &mut Run) -> Conv2d {
        Conv2d {
            weight: run.param(1),
            bias: self.bias.then(|| run.param(2)),
            stride: self.stride,
            kernel_size: self.kernel,
            dilation: self.dilation,
            groups: self.groups,
            padding: self.padding.clone(),
        }
    }

    fn bias(&self, run: &mut Run) -> Option<Tensor<1>> {
        self.bias.then(|| run.tensor(2))
    }

    fn line_options(&self) -> ConvOptions<1> {
        let ([_, stride], [_, padding], [_, dilation]) =
            (self.stride, self.pads([0, 0]), self.dilation);
        ConvOptions::new_with_padding([stride], [padding], [dilation], self.groups)
    }

    fn options(&self) -> ConvOptions<2> {
        let pads = self.pads([0, 0]);
        ConvOptions::new_with_padding(self.stride, pads, self.dilation, self.groups)
    }
}

impl Call for Convolution {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (mut x, mut weight) = (inputs[0].clone(), inputs[1].clone());
        if self.form == Form::Line {
            x.shape.insert(2, 1);
            weight.shape.insert(2, 1);
        }
        let size = [x.shape[2], x.shape[3]];
        let [to, inner] = [weight.shape[0], weight.shape[1]];
        let (pads, reach) = (self.pads(size), reach(self.kernel, self.dilation));
        let out = [0, 1].map(|axis| {
            (size[axis] + pads[axis].0 + pads[axis].1 - reach[axis]) / self.stride[axis] + 1
        });
        let mut y = Block::of(&[x.shape[0], to, out[0], out[1]], |index| {
            let [image, channel, at @ ..] = index else { unreachable!() };
            let group = channel / (to / self.groups);
            let mut sum = bias(given, inputs, *channel);
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    let within = [ky, kx];
                    let read = [0, 1].map(|axis| {
                        let place =
                            at[axis] * self.stride[axis] + within[axis] * self.dilation[axis];
                        place.checked_sub(pads[axis].0).filter(|&place| place < size[axis])
                    });
                    let [Some(row), Some(column)] = read else { continue };
                    for from in 0..inner {
                        let x = x.at(&[*image, group * inner + from, row, column]);
                        sum = sum + x * weight.at(&[*channel, from, ky, kx]);
                    }
                }
            }
            sum
        });
        if self.form == Form::Line {
            y.shape.remove(2);
        }
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        match self.form {
            Form::Layer => {
                let (x, layer) = (run.tensor(0), self.layer(run));
                run.output("output", ops::conv2d(&layer, x));
            }
            Form::Function => {
                let (x, weight, bias) = (run.tensor(0), run.tensor(1), self.bias(run));
                run.output("output", ops::convolve2d(x, weight, bias, self.options()));
            }
            Form::Line => {
                let (x, weight, bias) = (run.tensor(0), run.tensor(1), self.bias(run));
                run.output("output", ops::convolve1d(x, weight, bias, self.line_options()));
            }
        }
    }

    fn burns(&self, run: &mut Run) -> bool {
        use burn::tensor::module;
        match self.form {
            Form::Layer => {
                let (x, layer) = (run.tensor(0), self.layer(run));
                run.output("output", layer.forward(x));
            }
            Form::Function => {
                let (x, weight, bias) = (run.tensor(0), run.tensor(1), self.bias(run));
                run.output("output", module::conv2d(x, weight, bias, self.options()));
            }
            Form::Line => {
                let (x, weight, bias) = (run.tensor(0), run.tensor(1), self.bias(run));
                run.output("output", module::conv1d(x, weight, bias, self.line_options()));
            }
        }
        true
    }
}

#[derive(Debug, Clone)]
struct Transposed {
    /// Whether as a layer.
    layer: bool,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    padding: [usize; 2],
    padding_out: [usize; 2],
    bias: bool,
    channels: [usize; 2],
}

fn transposed(draw: &mut Draw, layer: bool, misfit: bool) -> Case {
    let ([from, to], mut groups) = channels(draw);
    let (mut kernel, stride) = (draw.pair(1, 4), draw.pair(1, 3));
    let dilation = if draw.chance(0.6) { [1, 1] } else { draw.pair(1, 3) };
    let mut size = draw.pair(1, 7);
    let mut batch = draw.batch(3);
    if draw.large {
        size = draw.pair(60, 80);
        batch = 66_000_usize.div_ceil(from * size[0] * size[1]);
        kernel = [kernel[0].min(2), kernel[1].min(2)];
    }
    let padding_out = [0, 1].map(|axis| draw.between(0, stride[axis].max(dilation[axis]) - 1));
    // What is cut off leaves at least one row and column.
    let whole = [0, 1].map(|axis| {
        (size[axis] - 1) * stride[axis] + reach(kernel, dilation)[axis] + padding_out[axis]
    });
    let mut padding = [0, 1].map(|axis| draw.between(0, 3).min((whole[axis] - 1) / 2));
    let bias = draw.chance(0.6);
    let (mut of_bias, mut of_weight) = (to, [from, to / groups]);
    if misfit {
        batch = batch.max(1);
        match draw.between(0, 3) {
            0 => of_weight[0] += 1,
            1 => groups = from + 1,
            2 if bias => of_bias += draw.between(1, 2),
            _ => padding[0] = whole[0].div_ceil(2) + 1,
        }
    }
    let mut inputs = vec![
        draw.batch_input("x", &[batch, from, size[0], size[1]]),
        draw.weight("weight", &[of_weight[0], of_weight[1], kernel[0], kernel[1]]),
    ];
    inputs.extend(bias.then(|| draw.weight("bias", &[of_bias])));
    let channels = [from, to];
    Case::new(
        inputs,
        Transposed {
            layer,
            kernel,
            stride,
            dilation,
            groups,
            padding,
            padding_out,
            bias,
            channels,
        },
    )
}

impl Transposed {
    fn layer(&self, run: &mut Run) -> ConvTranspose2d {
        ConvTranspose2d {
            weight: run.param(1),
            bias: self.bias.then(|| run.param(2)),
            stride: self.stride,
            kernel_size: self.kernel,
            dilation: self.dilation,
            groups: self.groups,
            padding: self.padding,
            padding_out: self.padding_out,
            channels: self.channels,
        }
    }
}

impl Call for Transposed {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let size = [x.shape[2], x.shape[3]];
        let [from, inner] = [weight.shape[0] / self.groups, weight.shape[1]];
        let out = [0, 1].map(|axis| {
            (size[axis] - 1) * self.stride[axis]
                + reach(self.kernel, self.dilation)[axis]
                + self.padding_out[axis]
                - 2 * self.padding[axis]
        });
        let shape = [x.shape[0], inner * self.groups, out[0], out[1]];
        let mut y = Block::of(&shape, |index| bias(given, inputs, index[1]));
        // Each number is spread over what a convolution would read it for.
        for_each_index(&x.shape, |index| {
            let [image, channel, at @ ..] = index else { unreachable!() };
            let (number, group) = (x.at(index), channel / from);
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    let within = [ky, kx];
                    let written = [0, 1].map(|axis| {
                        let place =
                            at[axis] * self.stride[axis] + within[axis] * self.dilation[axis];
                        place.checked_sub(self.padding[axis]).filter(|&place| place < out[axis])
                    });
                    let [Some(row), Some(column)] = written else { continue };
                    for to in 0..inner {
                        let index = [*image, group * inner + to, row, column];
                        let at = place(&shape, &index);
                        let term = number * weight.at(&[*channel, to, ky, kx]);
                        y.vars[at] = y.vars[at] + term;
                    }
                }
            }
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        let x = run.tensor(0);
        let y = if self.layer {
            ops::conv_transpose2d(&self.layer(run), x)
        } else {
            let options = ConvTransposeOptions::new(
                self.stride,
                self.padding,
                self.padding_out,
                self.dilation,
                self.groups,
            );
            let (weight, bias) = (run.tensor(1), self.bias.then(|| run.tensor(2)));
            ops::convolve_transposed2d(x, weight, bias, options)
        };
        run.output("output", y);
    }

    fn burns(&self, run: &mut Run) -> bool {
        let x = run.tensor(0);
        let y = self.layer(run).forward(x);
        run.output("output", y);
        true
    }
}
