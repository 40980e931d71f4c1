//! Transposed two-dimensional convolutions.

use burn::module::Param;
use burn::nn::conv::ConvTranspose2d;
use burn::tensor::Tensor;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::host::{Array, Host, Kernel, first, two_or_three};
use super::kernels::convolution;
use super::kernels::geometry::Geometry;

/// A transposed convolution, the gradient of [`conv2d`](super::conv2d()) taken as an operation of
/// its own. `[batch, channels_in, height, width]` → `[batch, channels_out, height_out, width_out]`.
///
/// # Panics
///
/// As [`convolve_transposed2d`].
pub fn conv_transpose2d(conv: &ConvTranspose2d, x: Tensor<4>) -> Tensor<4> {
    let options = ConvTransposeOptions::new(
        conv.stride,
        conv.padding,
        conv.padding_out,
        conv.dilation,
        conv.groups,
    );
    let bias = conv.bias.as_ref().map(Param::val);
    convolve("conv_transpose2d", x, conv.weight.val(), bias, options)
}

/// The function behind [`conv_transpose2d`], on a weight `[channels_in, channels_out / groups,
/// height, width]` and a bias `[channels_out]`.
///
/// # Panics
///
/// Where the shapes do not fit together, the input is empty, or the padding leaves no output.
pub fn convolve_transposed2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvTransposeOptions<2>,
) -> Tensor<4> {
    convolve("convolve_transposed2d", x, weight, bias, options)
}

fn convolve(
    name: &str,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvTransposeOptions<2>,
) -> Tensor<4> {
    let (input, kernel) = (x.dims(), weight.dims());
    let bias_shape = bias.as_ref().map(Tensor::dims);
    assert!(
        of_gradient(input, kernel, &options)
            .is_some_and(|of| bias_shape.is_none_or(|bias| bias == [of.channels_in])),
        "{name}: input {input:?}, weight {kernel:?}, bias {bias_shape:?} and {options:?} \
         do not fit"
    );
    two_or_three(ConvolveTransposed2d(options.clone()), x, weight, bias).unwrap_or_else(
        |(x, weight, bias)| burn::tensor::module::conv_transpose2d(x, weight, bias, options),
    )
}

/// The convolution that sends the input back as a gradient: from the output to the input. `None`
/// where there is none.
fn of_gradient(
    [batch, channels_in, height, width]: [usize; 4],
    weight: [usize; 4],
    options: &ConvTransposeOptions<2>,
) -> Option<Geometry> {
    let &ConvTransposeOptions { stride, padding, padding_out, dilation, groups } = options;
    let side = |axis: usize, input: usize| {
        let reach = dilation[axis] * weight[2 + axis].checked_sub(1)? + 1;
        let full = input.checked_sub(1)? * stride[axis] + reach + padding_out[axis];
        full.checked_sub(2 * padding[axis]).filter(|&side| side > 0)
    };
    let output = [batch, weight[1] * groups, side(0, height)?, side(1, width)?];
    let fits = groups > 0
        && stride.iter().chain(&dilation).all(|&step| step > 0)
        && channels_in == weight[0]
        && channels_in.is_multiple_of(groups);
    let padding = padding.map(|padding| (padding, padding));
    let options = ConvOptions::new_with_padding(stride, padding, dilation, groups);
    fits.then(|| Geometry::new(output, weight, [height, width], &options))
}

#[derive(Debug, Clone)]
struct ConvolveTransposed2d(ConvTransposeOptions<2>);

/// Of input and weight, and a bias where it is the third.
impl<const N: usize> Kernel<N> for ConvolveTransposed2d {
    /// Input and weight.
    type Saved<B: Host> = [Array<B>; 2];

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; N],
        saves: bool,
    ) -> (Array<B>, Option<[Array<B>; 2]>) {
        let [x, weight] = [&inputs[0], &inputs[1]];
        let geometry = of_gradient(x.dims(), weight.dims(), &self.0).expect("checked");
        // The convolution that it is the transpose of would send this gradient back.
        let (numbers, weights) = (x.numbers(), weight.numbers());
        let [output, _] = convolution::backward(&[], weights, numbers, &geometry, [true, false]);
        let mut output = output.expect("it is wanted");
        if let Some(bias) = inputs.get(2) {
            convolution::add_bias(&mut output, bias.numbers(), geometry.space_in());
        }
        let output = Array::new(output, geometry.input_shape());
        (output, saves.then(|| [x.clone(), weight.clone()]))
    }

    fn backward<B: Host>(
        &self,
        [x, weight]: [Array<B>; 2],
        gradient: Array<B>,
        wanted: [bool; N],
    ) -> [Option<Array<B>>; N] {
        let geometry = of_gradient(x.dims(), weight.dims(), &self.0).expect("checked");
        let (numbers, weights) = (gradient.numbers(), weight.numbers());
        let of_x = wanted[0].then(|| {
            Array::new(convolution::forward(numbers, weights, None, &geometry), x.shape())
        });
        let [_, of_weight] =
            convolution::backward(numbers, weights, x.numbers(), &geometry, [false, wanted[1]]);
        let of_bias = wanted.get(2) == Some(&true);
        first([
            of_x,
            of_weight.map(|numbers| Array::new(numbers, weight.shape())),
            of_bias.then(|| convolution::of_bias(&gradient)),
        ])
    }
}
