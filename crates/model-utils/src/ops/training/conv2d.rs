//! The gradients of a two-dimensional convolution: matrix products over columns for a dense one,
//! direct sums over padded planes for a depthwise one.

use std::ops::Range;

use burn::tensor::ops::ConvOptions;
use rayon::prelude::*;

use super::matrix::{Matrix, product};
use super::parallel::{LANES, vectorised};

/// The sizes of a convolution.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Before the first row and column, and after the last.
    pub(super) padding: [(usize, usize); 2],
    pub(super) groups: usize,
}

impl Geometry {
    /// Of an input `[batch, channels_in, height, width]`, a weight
    /// `[channels_out, channels_in / groups, height, width]` and the output's height and width.
    pub(super) fn new(
        x: [usize; 4],
        weight: [usize; 4],
        output: [usize; 2],
        options: &ConvOptions<2>,
    ) -> Self {
        Self {
            batch: x[0],
            channels_in: x[1],
            channels_out: weight[0],
            input: [x[2], x[3]],
            output,
            kernel: [weight[2], weight[3]],
            stride: options.stride,
            dilation: options.dilation,
            padding: options.padding,
            groups: options.groups,
        }
    }

    /// Of a forward pass; none where the shapes do not fit together or the output is empty.
    pub(super) fn of_forward(
        x: [usize; 4],
        weight: [usize; 4],
        options: &ConvOptions<2>,
    ) -> Option<Self> {
        let mut geometry = Self::new(x, weight, [0, 0], options);
        for axis in 0..2 {
            let (before, after) = geometry.padding[axis];
            let padded = geometry.input[axis] + before + after;
            let steps = padded.checked_sub(geometry.reach(axis) + 1)?;
            geometry.output[axis] = steps / geometry.stride[axis] + 1;
        }
        let groups = geometry.groups;
        let fits = groups > 0
            && geometry.channels_in == weight[1] * groups
            && geometry.channels_out.is_multiple_of(groups);
        fits.then_some(geometry)
    }

    /// Of the output.
    pub(super) fn output_shape(&self) -> [usize; 4] {
        let [height, width] = self.output;
        [self.batch, self.channels_out, height, width]
    }

    /// Whether each channel is convolved on its own, with a kernel that [`depthwise`] knows and
    /// no more padding than the kernel reaches.
    fn is_depthwise(&self) -> bool {
        self.groups == self.channels_in
            && self.groups == self.channels_out
            && self.groups > 1
            && [9, 25].contains(&(self.kernel[0] * self.kernel[1]))
            && (0..2).all(|axis| {
                let (before, after) = self.padding[axis];
                before.max(after) <= self.reach(axis)
            })
    }

    /// Whether the gradients are computed here.
    pub(super) fn is_known(&self) -> bool {
        self.batch > 0
            && self.output[0] * self.output[1] > 0
            && (self.groups == 1 || self.is_depthwise())
    }

    /// How far the last tap of the kernel lies from the first.
    pub(super) fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis]
    }

    pub(super) fn space_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub(super) fn space_out(&self) -> usize {
        self.output[0] * self.output[1]
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether the columns of the input are the input itself.
    fn is_pointwise(&self) -> bool {
        self.taps() == 1 && self.stride == [1, 1] && self.padding == [(0, 0); 2]
    }

    /// The outputs along an axis that a tap reads inside the input, and the input of the first.
    fn inside(&self, axis: usize, tap: usize) -> (Range<usize>, usize) {
        let (stride, before) = (self.stride[axis], self.padding[axis].0);
        let shift = tap * self.dilation[axis];
        let first = before.saturating_sub(shift).div_ceil(stride);
        let end = (self.input[axis] + before).saturating_sub(shift).div_ceil(stride);
        let end = end.min(self.output[axis]);
        let from = (first * stride + shift).saturating_sub(before);
        (first..end.max(first), from.min(self.input[axis]))
    }
}

/// Which gradients are wanted, and what came out.
#[derive(Debug, Default)]
pub(super) struct Gradients {
    /// Of the input, `[batch, channels_in, height, width]`.
    pub(super) x: Option<Vec<f32>>,
    /// Of the weight, `[channels_out, channels_in / groups, height, width]`.
    pub(super) weight: Option<Vec<f32>>,
}

/// The gradients of input and weight, each where it is `wanted`.
pub(super) fn backward(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    wanted: [bool; 2],
) -> Gradients {
    if geometry.groups == 1 {
        return dense(x, weight, gradient, geometry, wanted);
    }
    match geometry.taps() {
        9 => depthwise::<9>(x, weight, gradient, geometry, wanted),
        25 => depthwise::<25>(x, weight, gradient, geometry, wanted),
        _ => unreachable!("`Geometry::is_known` was asked"),
    }
}

/// Columns that one product should have: images are put side by side until it has.
const COLUMNS: usize = 512;
/// Products over images are shared among this many tasks, whatever the number of threads, so that
/// the sum over the batch is always taken in the same order.
const TASKS: usize = 16;

fn dense(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    [wants_x, wants_weight]: [bool; 2],
) -> Gradients {
    let (image_in, image_out) =
        (geometry.channels_in * geometry.space_in(), geometry.channels_out * geometry.space_out());
    let rows = geometry.channels_in * geometry.taps();
    let weight = Matrix::new(weight, geometry.channels_out, rows);

    let side_by_side = COLUMNS.div_ceil(geometry.space_out());
    let products = geometry.batch.div_ceil(side_by_side);
    let products_a_task = products.div_ceil(TASKS);
    let images_a_task = products_a_task * side_by_side;

    // The input is read for the weight's gradient alone, and may be missing for the other.
    let x = if wants_weight { x } else { &[] };
    let mut of_x = vec![0.0; if wants_x { geometry.batch * image_in } else { 0 }];
    let tasks: Vec<_> = gradient
        .chunks(images_a_task * image_out)
        .zip(pieces(x, images_a_task * image_in))
        .zip(parts(&mut of_x, images_a_task * image_in))
        .collect();
    let sums: Vec<Vec<f32>> = tasks
        .into_par_iter()
        .map(|((gradient, x), of_x)| {
            let mut of_weight = vec![0.0; if wants_weight { weight.len() } else { 0 }];
            let mut scratch = Scratch::default();
            let pieces =
                gradient.chunks(side_by_side * image_out).zip(pieces(x, side_by_side * image_in));
            for (at, (gradient, x)) in pieces.enumerate() {
                let columns = gradient.len() / geometry.channels_out;
                let gradient = if columns == geometry.space_out() {
                    Matrix::new(gradient, geometry.channels_out, columns)
                } else {
                    scratch.gradient.resize(gradient.len(), 0.0);
                    let planes = gradient.chunks(geometry.space_out());
                    place_side_by_side(
                        planes,
                        geometry.channels_out,
                        columns,
                        &mut scratch.gradient,
                    );
                    Matrix::new(&scratch.gradient, geometry.channels_out, columns)
                };
                if wants_weight {
                    let x = if geometry.is_pointwise() && columns == geometry.space_out() {
                        Matrix::new(x, rows, columns)
                    } else {
                        scratch.columns.resize(rows * columns, 0.0);
                        to_columns(x, geometry, columns, &mut scratch.columns);
                        Matrix::new(&scratch.columns, rows, columns)
                    };
                    product(gradient, x.transposed(), &mut of_weight, true);
                }
                if wants_x {
                    let images = columns / geometry.space_out();
                    let of_x = &mut of_x[at * side_by_side * image_in..][..images * image_in];
                    if geometry.is_pointwise() && columns == geometry.space_out() {
                        product(weight.transposed(), gradient, of_x, false);
                    } else {
                        scratch.columns.resize(rows * columns, 0.0);
                        product(weight.transposed(), gradient, &mut scratch.columns, false);
                        add_columns(&scratch.columns, geometry, columns, of_x);
                    }
                }
            }
            of_weight
        })
        .collect();
    let of_weight = wants_weight.then(|| {
        let mut sums = sums.into_iter();
        let mut total = sums.next().expect("the batch is not empty");
        for sum in sums {
            for (total, addend) in total.iter_mut().zip(sum) {
                *total += addend;
            }
        }
        total
    });
    Gradients { x: wants_x.then_some(of_x), weight: of_weight }
}

/// Room that a task uses again and again.
#[derive(Default)]
struct Scratch {
    gradient: Vec<f32>,
    columns: Vec<f32>,
}

/// Chunks of `numbers`, or empty ones without end where there are none.
fn pieces(numbers: &[f32], chunk: usize) -> Box<dyn Iterator<Item = &[f32]> + '_> {
    if numbers.is_empty() {
        Box::new(std::iter::repeat_with(<&[f32]>::default))
    } else {
        Box::new(numbers.chunks(chunk))
    }
}

/// The same, to be written.
fn parts(numbers: &mut [f32], chunk: usize) -> Box<dyn Iterator<Item = &mut [f32]> + '_> {
    if numbers.is_empty() {
        Box::new(std::iter::repeat_with(<&mut [f32]>::default))
    } else {
        Box::new(numbers.chunks_mut(chunk))
    }
}

/// `[image, channel, space]` → `[channel, image · space]`.
fn place_side_by_side<'a>(
    planes: impl Iterator<Item = &'a [f32]>,
    channels: usize,
    columns: usize,
    to: &mut [f32],
) {
    for (at, plane) in planes.enumerate() {
        let (image, channel) = (at / channels, at % channels);
        to[channel * columns + image * plane.len()..][..plane.len()].copy_from_slice(plane);
    }
}

/// `[image, channel, height, width]` → `[channel · taps, image · space_out]`: what each tap of the
/// kernel reads for each output.
fn to_columns(x: &[f32], geometry: &Geometry, columns: usize, to: &mut [f32]) {
    if geometry.is_pointwise() {
        return place_side_by_side(
            x.chunks(geometry.space_in()),
            geometry.channels_in,
            columns,
            to,
        );
    }
    let width = geometry.output[1];
    for_each_row(geometry, columns, x.len() / geometry.space_in(), |plane, row, taken| {
        let to = &mut to[row..row + geometry.space_out()];
        to.fill(0.0);
        for (y_out, y_in) in taken.rows() {
            let from = &x[plane * geometry.space_in() + y_in * geometry.input[1]..];
            let to = &mut to[y_out * width..][taken.columns.clone()];
            match geometry.stride[1] {
                1 => to.copy_from_slice(&from[taken.first_column..][..to.len()]),
                stride => {
                    let from = from[taken.first_column..].iter().step_by(stride);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    });
}

/// The transpose of [`to_columns`]: adds each column's number to the input that it was read from.
fn add_columns(from: &[f32], geometry: &Geometry, columns: usize, to: &mut [f32]) {
    if geometry.is_pointwise() {
        let space = geometry.space_in();
        for (at, plane) in to.chunks_mut(space).enumerate() {
            let (image, channel) = (at / geometry.channels_in, at % geometry.channels_in);
            plane.copy_from_slice(&from[channel * columns + image * space..][..space]);
        }
        return;
    }
    let width = geometry.output[1];
    for_each_row(geometry, columns, to.len() / geometry.space_in(), |plane, row, taken| {
        let from = &from[row..row + geometry.space_out()];
        for (y_out, y_in) in taken.rows() {
            let from = &from[y_out * width..][taken.columns.clone()];
            let to = &mut to[plane * geometry.space_in() + y_in * geometry.input[1]..];
            let to = &mut to[taken.first_column..];
            match geometry.stride[1] {
                1 => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
                stride => {
                    to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += from);
                }
            }
        }
    });
}

/// What one tap reads of a plane.
struct Taken {
    rows: Range<usize>,
    first_row: usize,
    row_stride: usize,
    columns: Range<usize>,
    first_column: usize,
}

impl Taken {
    /// Each row of the output with the row of the input.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let first = self.first_row;
        self.rows.clone().zip((first..).step_by(self.row_stride))
    }
}

/// Calls `row(plane, start of its columns, what is taken)` for each plane and tap.
fn for_each_row(
    geometry: &Geometry,
    columns: usize,
    planes: usize,
    mut row: impl FnMut(usize, usize, &Taken),
) {
    let [height, width] = geometry.kernel;
    for tap in 0..geometry.taps() {
        let (rows, first_row) = geometry.inside(0, tap / width);
        let (taken_columns, first_column) = geometry.inside(1, tap % width);
        let row_stride = geometry.stride[0];
        let taken = Taken { rows, first_row, row_stride, columns: taken_columns, first_column };
        for plane in 0..planes {
            let (image, channel) = (plane / geometry.channels_in, plane % geometry.channels_in);
            let start = (channel * height * width + tap) * columns + image * geometry.space_out();
            row(plane, start, &taken);
        }
    }
}

/// Both planes of a depthwise convolution are written into wider ones with zeros between and
/// around, in which each tap is one shift: the inner loops are long and have no edges.
fn depthwise<const TAPS: usize>(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    [wants_x, wants_weight]: [bool; 2],
) -> Gradients {
    let channels = geometry.channels_in;
    let (space_in, space_out) = (geometry.space_in(), geometry.space_out());
    let [height, width] = geometry.input;
    let reach = [geometry.reach(0), geometry.reach(1)];

    let of_x = wants_x.then(|| {
        // The gradient, spread by the stride, where the kernel's last tap meets it first.
        let pitch = width + reach[1];
        let shift = [reach[0] - geometry.padding[0].0, reach[1] - geometry.padding[1].0];
        let wide = Wide { rows: height + reach[0], pitch, shift, stride: geometry.stride };
        let offsets: [usize; TAPS] = std::array::from_fn(|tap| {
            let (row, column) = (tap / geometry.kernel[1], tap % geometry.kernel[1]);
            (reach[0] - row * geometry.dilation[0]) * pitch + reach[1]
                - column * geometry.dilation[1]
        });
        let mut of_x = vec![0.0; x.len()];
        let planes = PLANES.div_ceil(space_in);
        let write = |(task, of_x): (usize, &mut [f32])| {
            let mut spread = vec![0.0; wide.len()];
            let mut sums = vec![[0.0; LANES]; (height * pitch).div_ceil(LANES)];
            vectorised(|| {
                for (at, of_x) in of_x.chunks_mut(space_in).enumerate() {
                    let plane = task * planes + at;
                    let taps = &weight[plane % channels * TAPS..][..TAPS];
                    let taps: &[f32; TAPS] = taps.try_into().expect("as long as said");
                    wide.write(
                        &gradient[plane * space_out..][..space_out],
                        geometry.output,
                        &mut spread,
                    );
                    shifted_sums(&spread, taps, &offsets, &mut sums);
                    let sums = sums.as_flattened();
                    for (row, of_x) in of_x.chunks_mut(width).enumerate() {
                        of_x.copy_from_slice(&sums[row * pitch..][..width]);
                    }
                }
            });
        };
        of_x.par_chunks_mut(planes * space_in).enumerate().for_each(write);
        of_x
    });

    let of_weight = wants_weight.then(|| {
        let (before, after): (Vec<_>, Vec<_>) = geometry.padding.into_iter().unzip();
        let pitch = width + before[1] + after[1];
        let rows = height + before[0] + after[0];
        let wide_x = Wide { rows, pitch, shift: [before[0], before[1]], stride: [1, 1] };
        let wide_gradient =
            Wide { rows: rows - reach[0], pitch, shift: [0, 0], stride: geometry.stride };
        let offsets: [usize; TAPS] = std::array::from_fn(|tap| {
            let (row, column) = (tap / geometry.kernel[1], tap % geometry.kernel[1]);
            row * geometry.dilation[0] * pitch + column * geometry.dilation[1]
        });
        let mut of_weight = vec![0.0; channels * TAPS];
        of_weight.par_chunks_mut(TAPS).enumerate().for_each(|(channel, of_weight)| {
            let mut padded = vec![0.0; wide_x.len()];
            let mut spread = vec![0.0; wide_gradient.len()];
            let mut sums = [[0.0; LANES]; TAPS];
            vectorised(|| {
                for image in 0..geometry.batch {
                    let plane = image * channels + channel;
                    wide_x.write(&x[plane * space_in..][..space_in], geometry.input, &mut padded);
                    let gradient = &gradient[plane * space_out..][..space_out];
                    wide_gradient.write(gradient, geometry.output, &mut spread);
                    shifted_products(&spread, &padded, &offsets, &mut sums);
                }
            });
            for (of_weight, lanes) in of_weight.iter_mut().zip(sums) {
                *of_weight = lanes.iter().sum();
            }
        });
        of_weight
    });
    Gradients { x: of_x, weight: of_weight }
}

/// Numbers of the planes that one task takes at least.
const PLANES: usize = 1 << 13;

/// A plane with zeros around and between.
struct Wide {
    rows: usize,
    pitch: usize,
    /// Where the first number goes.
    shift: [usize; 2],
    /// How far apart the numbers go.
    stride: [usize; 2],
}

impl Wide {
    /// With room for every shift of a whole number of lanes.
    fn len(&self) -> usize {
        (self.rows + 1) * self.pitch + LANES
    }

    /// Writes a plane; always the same places, so that the zeros stay.
    #[inline(always)]
    fn write(&self, plane: &[f32], [height, width]: [usize; 2], to: &mut [f32]) {
        for row in 0..height {
            let y = self.shift[0] + row * self.stride[0];
            if y >= self.rows {
                break;
            }
            let from = &plane[row * width..][..width];
            let to = &mut to[y * self.pitch..][..self.pitch][self.shift[1]..];
            match self.stride[1] {
                1 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
                stride => {
                    to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// `sums[i] = Σ taps[t] · from[i + offsets[t]]`.
#[inline(always)]
fn shifted_sums<const TAPS: usize>(
    from: &[f32],
    taps: &[f32; TAPS],
    offsets: &[usize; TAPS],
    sums: &mut [[f32; LANES]],
) {
    for (at, sums) in sums.iter_mut().enumerate() {
        let mut sum = [0.0; LANES];
        for (tap, offset) in taps.iter().zip(offsets) {
            let from = &from[at * LANES + offset..][..LANES];
            for (sum, from) in sum.iter_mut().zip(from) {
                *sum += tap * from;
            }
        }
        *sums = sum;
    }
}

/// `sums[t] += Σ gradient[i] · x[i + offsets[t]]`.
#[inline(always)]
fn shifted_products<const TAPS: usize>(
    gradient: &[f32],
    x: &[f32],
    offsets: &[usize; TAPS],
    sums: &mut [[f32; LANES]; TAPS],
) {
    let (chunks, _) = gradient.as_chunks::<LANES>();
    let mut total = *sums;
    for (at, gradient) in chunks.iter().enumerate() {
        for (total, offset) in total.iter_mut().zip(offsets) {
            let x = &x[(at * LANES + offset).min(x.len() - LANES)..][..LANES];
            for lane in 0..LANES {
                total[lane] += gradient[lane] * x[lane];
            }
        }
    }
    *sums = total;
}
