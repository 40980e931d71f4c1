//! Two-dimensional convolutions.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::host::{Array, Host, Kernel, first, two_or_three};
use super::kernels::convolution;
use super::kernels::geometry::Geometry;

/// A convolution. `[batch, channels_in, height, width]` → `[batch, channels_out, height, width]`.
///
/// "Same" padding keeps the size divided by the stride, dilated kernels included, as PyTorch has
/// it.
///
/// # Panics
///
/// As [`convolve2d`].
pub fn conv2d(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let options = conv_options(conv, x.dims());
    let (weight, bias) = (conv.weight.val(), conv.bias.as_ref().map(Param::val));
    let shapes = (x.dims(), weight.dims());
    convolve(|| said("conv2d", shapes), x, weight, bias, options)
}

/// The function behind [`conv2d`], on a weight `[channels_out, channels_in / groups, height,
/// width]` and a bias `[channels_out]`.
///
/// # Panics
///
/// Where the shapes do not fit together, or the padded input is smaller than the kernel.
pub fn convolve2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let shapes = (x.dims(), weight.dims());
    convolve(|| said("convolve2d", shapes), x, weight, bias, options)
}

fn said<const D: usize>(name: &str, (input, weight): ([usize; D], [usize; D])) -> String {
    format!("{name}: input {input:?}, weight {weight:?}")
}

/// `shapes` tells name and shapes of the input and the weight.
fn convolve(
    shapes: impl FnOnce() -> String,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let (input, kernel) = (x.dims(), weight.dims());
    let bias_shape = bias.as_ref().map(Tensor::dims);
    assert!(
        Geometry::of_forward(input, kernel, &options).is_some()
            && bias_shape.is_none_or(|bias| bias == [kernel[0]]),
        "{}, bias {bias_shape:?} and {options:?} do not fit",
        shapes()
    );
    two_or_three(Convolve2d(options.clone()), x, weight, bias)
        .unwrap_or_else(|(x, weight, bias)| burn::tensor::module::conv2d(x, weight, bias, options))
}

/// A one-dimensional convolution: `[batch, channels_in, length]`, a weight `[channels_out,
/// channels_in / groups, length]` and a bias `[channels_out]` → `[batch, channels_out, length_out]`.
///
/// # Panics
///
/// As [`convolve2d`].
pub fn convolve1d(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
) -> Tensor<3> {
    let ConvOptions { stride: [stride], padding: [padding], dilation: [dilation], groups } =
        options;
    let (padding, dilation) = ([(0, 0), padding], [1, dilation]);
    let options = ConvOptions::new_with_padding([1, stride], padding, dilation, groups);
    let shapes = (x.dims(), weight.dims());
    let shapes = || said("convolve1d", shapes);
    convolve(shapes, x.unsqueeze_dim(2), weight.unsqueeze_dim(2), bias, options).squeeze_dim(2)
}

/// What a layer's forward passes to [`convolve2d`] for an input of these sizes.
pub fn conv_options(conv: &Conv2d, [_, _, height, width]: [usize; 4]) -> ConvOptions<2> {
    let Conv2d { kernel_size, stride, dilation, padding, .. } = conv;
    let padding = padding_of(padding, [height, width], *kernel_size, *stride, *dilation);
    ConvOptions::new_with_padding(*stride, padding, *dilation, conv.groups)
}

/// Zeros before and after each axis of a map.
pub(super) fn padding_of(
    padding: &PaddingConfig2d,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
) -> [(usize, usize); 2] {
    match *padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => std::array::from_fn(|axis| {
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let read = (size[axis].div_ceil(stride[axis]).max(1) - 1) * stride[axis] + reach;
            let total = read.saturating_sub(size[axis]);
            (total / 2, total - total / 2)
        }),
    }
}

#[derive(Debug, Clone)]
struct Convolve2d(ConvOptions<2>);

/// Of input and weight, and a bias where it is the third.
impl<const N: usize> Kernel<N> for Convolve2d {
    /// Input and weight.
    type Saved<B: Host> = [Array<B>; 2];

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; N],
        saves: bool,
    ) -> (Array<B>, Option<[Array<B>; 2]>) {
        let [x, weight] = [&inputs[0], &inputs[1]];
        let geometry = Geometry::of_forward(x.dims(), weight.dims(), &self.0).expect("checked");
        let bias = inputs.get(2).map(Array::numbers);
        let output = convolution::forward(x.numbers(), weight.numbers(), bias, &geometry);
        let output = Array::new(output, geometry.output_shape());
        (output, saves.then(|| [x.clone(), weight.clone()]))
    }

    fn backward<B: Host>(
        &self,
        [x, weight]: [Array<B>; 2],
        gradient: Array<B>,
        wanted: [bool; N],
    ) -> [Option<Array<B>>; N] {
        let geometry = Geometry::of_forward(x.dims(), weight.dims(), &self.0).expect("checked");
        let (numbers, of) = (gradient.numbers(), [wanted[0], wanted[1]]);
        let [of_x, of_weight] =
            convolution::backward(x.numbers(), weight.numbers(), numbers, &geometry, of);
        let of_bias = wanted.get(2) == Some(&true);
        first([
            of_x.map(|numbers| Array::new(numbers, x.shape())),
            of_weight.map(|numbers| Array::new(numbers, weight.shape())),
            of_bias.then(|| convolution::of_bias(&gradient)),
        ])
    }
}
