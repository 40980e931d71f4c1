//! A dense two-dimensional convolution and its gradients as matrix products over columns.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::matrix::{Matrix, product};
use super::parallel::{vectorised, written};

/// Columns that one product should have: images are put side by side until it has.
const COLUMNS: usize = 512;
/// Rows of columns that are made at once, as whole channels: they stay in the second cache.
const ROWS: usize = 256;
/// The weight's gradient is summed up by this many tasks, whatever the number of threads, so that
/// the sum over the batch is always taken in the same order.
const TASKS: usize = 16;

/// A dense convolution as matrix products: images side by side in pieces, whose columns are made
/// for some channels at a time.
struct Dense<'a> {
    geometry: &'a Geometry,
    /// `[channels_out, channels_in · taps]`.
    weight: Matrix<'a>,
    /// Images of a piece.
    side_by_side: usize,
}

impl<'a> Dense<'a> {
    fn new(weight: &'a [f32], geometry: &'a Geometry) -> Self {
        let rows = geometry.channels_in * geometry.taps();
        let weight = Matrix::new(weight, geometry.channels_out, rows);
        Self { geometry, weight, side_by_side: COLUMNS.div_ceil(geometry.space_out()) }
    }

    /// Numbers of an image of the input.
    fn image_in(&self) -> usize {
        self.geometry.channels_in * self.geometry.space_in()
    }

    /// Numbers of an image of the output.
    fn image_out(&self) -> usize {
        self.geometry.channels_out * self.geometry.space_out()
    }

    /// The channels of the input, some at a time.
    fn channels(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (channels, at_once) = (self.geometry.channels_in, ROWS.div_ceil(self.geometry.taps()));
        (0..channels).step_by(at_once).map(move |from| from..(from + at_once).min(channels))
    }

    /// The columns of the weight that read these channels.
    fn taps(&self, channels: &Range<usize>) -> Range<usize> {
        channels.start * self.geometry.taps()..channels.end * self.geometry.taps()
    }

    /// Numbers in the shape of the output as pieces `[channels_out, columns]`.
    fn pieces<'b>(&self, output: &'b [f32]) -> Vec<Cow<'b, [f32]>> {
        let images = output.par_chunks(self.side_by_side * self.image_out());
        images
            .map(|images| {
                if images.len() == self.image_out() {
                    return Cow::Borrowed(images);
                }
                let mut piece = vec![0.0; images.len()];
                let planes = images.chunks(self.geometry.space_out());
                place_side_by_side(planes, self.geometry.channels_out, &mut piece);
                Cow::Owned(piece)
            })
            .collect()
    }

    fn piece<'b>(&self, piece: &'b [f32]) -> Matrix<'b> {
        let channels = self.geometry.channels_out;
        Matrix::new(piece, channels, piece.len() / channels)
    }

    /// The output.
    fn forward(&self, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let space = self.geometry.space_out();
        let len = self.geometry.batch * self.image_out();
        written(len, self.side_by_side * self.image_out(), |at, output| {
            let images = output.len() / self.image_out();
            let x = &x[at * self.side_by_side * self.image_in()..][..images * self.image_in()];
            let count = output.len() / self.geometry.channels_out;
            let mut piece = vec![0.0; output.len()];
            if let Some(bias) = bias {
                piece.chunks_mut(count).zip(bias).for_each(|(row, bias)| row.fill(*bias));
            }
            let mut columns = Vec::new();
            for channels in self.channels() {
                let taps = self.taps(&channels);
                columns.resize(taps.len() * count, 0.0);
                to_columns(x, self.geometry, channels, &mut columns);
                let columns = Matrix::new(&columns, taps.len(), count);
                product(self.weight.columns(taps), columns, &mut piece, true);
            }
            let planes = output.chunks_mut(space).enumerate();
            for (at, plane) in planes {
                let (image, channel) =
                    (at / self.geometry.channels_out, at % self.geometry.channels_out);
                plane.copy_from_slice(&piece[channel * count + image * space..][..space]);
            }
        })
    }

    /// The gradient of the input.
    fn of_x(&self, pieces: &[Cow<[f32]>]) -> Vec<f32> {
        let len = self.geometry.batch * self.image_in();
        written(len, self.side_by_side * self.image_in(), |at, of_x| {
            let gradient = self.piece(&pieces[at]);
            if self.geometry.is_pointwise() && of_x.len() == self.image_in() {
                return product(self.weight.transposed(), gradient, of_x, false);
            }
            let mut columns = Vec::new();
            for channels in self.channels() {
                let taps = self.taps(&channels);
                columns.resize(taps.len() * gradient.columns, 0.0);
                product(self.weight.columns(taps).transposed(), gradient, &mut columns, false);
                add_columns(&columns, self.geometry, channels, of_x);
            }
        })
    }

    /// The gradient of the weight.
    fn of_weight(&self, x: &[f32], pieces: &[Cow<[f32]>]) -> Vec<f32> {
        let blocks: Vec<_> = self.channels().collect();
        let a_group = pieces.len().div_ceil(TASKS.div_ceil(blocks.len()));
        let images = self.side_by_side * self.image_in();
        let tasks: Vec<_> = blocks
            .into_iter()
            .flat_map(|channels| {
                let groups = x.chunks(a_group * images).zip(pieces.chunks(a_group));
                groups.map(move |group| (channels.clone(), group))
            })
            .collect();
        let sums: Vec<_> = tasks
            .into_par_iter()
            .map(|(channels, (x, pieces))| {
                let taps = self.taps(&channels);
                let mut sum = vec![0.0; self.geometry.channels_out * taps.len()];
                let mut columns = Vec::new();
                let pieces = x.chunks(images).zip(pieces);
                let add = |(x, gradient): (&[f32], &Cow<[f32]>)| {
                    let gradient = self.piece(gradient);
                    let x = if self.geometry.is_pointwise() && x.len() == self.image_in() {
                        let space = self.geometry.space_in();
                        &x[channels.start * space..channels.end * space]
                    } else {
                        columns.resize(taps.len() * gradient.columns, 0.0);
                        to_columns(x, self.geometry, channels.clone(), &mut columns);
                        &columns
                    };
                    let x = Matrix::new(x, taps.len(), gradient.columns);
                    product(gradient, x.transposed(), &mut sum, true);
                };
                vectorised(|| pieces.for_each(add));
                (taps, sum)
            })
            .collect();
        let mut of_weight = vec![0.0; self.weight.rows * self.weight.columns];
        for (taps, sum) in sums {
            let rows = of_weight.chunks_mut(self.weight.columns).zip(sum.chunks(taps.len()));
            for (row, sum) in rows {
                row[taps.clone()].iter_mut().zip(sum).for_each(|(to, from)| *to += from);
            }
        }
        of_weight
    }
}

/// The forward pass, for small planes.
pub(in crate::ops) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    geometry: &Geometry,
) -> Vec<f32> {
    let mut dense = Dense::new(weight, geometry);
    // A piece a thread at least.
    let a_thread = geometry.batch.div_ceil(rayon::current_num_threads());
    dense.side_by_side = dense.side_by_side.min(a_thread);
    dense.forward(x, bias)
}

/// The gradients of input and weight, each where it is wanted.
pub(in crate::ops) fn backward(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    [wants_x, wants_weight]: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    let dense = Dense::new(weight, geometry);
    let pieces = dense.pieces(gradient);
    [wants_x.then(|| dense.of_x(&pieces)), wants_weight.then(|| dense.of_weight(x, &pieces))]
}

/// `[image, channel, space]` → `[channel, image · space]`.
#[inline(always)]
fn place_side_by_side<'a>(
    planes: impl Iterator<Item = &'a [f32]>,
    channels: usize,
    to: &mut [f32],
) {
    let columns = to.len() / channels;
    for (at, plane) in planes.enumerate() {
        let (image, channel) = (at / channels, at % channels);
        to[channel * columns + image * plane.len()..][..plane.len()].copy_from_slice(plane);
    }
}

/// `[image, channel, height, width]` → `[channel · taps, image · space_out]` of some channels: what
/// each tap of the kernel reads for each output.
#[inline(always)]
fn to_columns(x: &[f32], geometry: &Geometry, channels: Range<usize>, to: &mut [f32]) {
    let space = geometry.space_in();
    if geometry.is_pointwise() {
        let images = x.chunks(geometry.channels_in * space);
        let planes = images
            .flat_map(|image| image[channels.start * space..channels.end * space].chunks(space));
        return place_side_by_side(planes, channels.len(), to);
    }
    let width = geometry.output[1];
    let images = x.len() / (geometry.channels_in * space);
    for_each_row(geometry, channels, images, |plane, row, taken| {
        let to = &mut to[row..row + geometry.space_out()];
        to.fill(0.0);
        for (y_out, y_in) in taken.rows() {
            let from = &x[plane * space + y_in * geometry.input[1]..][..geometry.input[1]];
            let from = &from[taken.first_column..];
            let to = &mut to[y_out * width..][taken.columns.clone()];
            match geometry.stride[1] {
                1 => to.copy_from_slice(&from[..to.len()]),
                2 => take_every_second(from, to),
                stride => {
                    to.iter_mut()
                        .zip(from.iter().step_by(stride))
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
    });
}

/// The transpose of [`to_columns`]: adds each column's number to the input that it was read from.
#[inline(always)]
fn add_columns(from: &[f32], geometry: &Geometry, channels: Range<usize>, to: &mut [f32]) {
    let (space, width) = (geometry.space_in(), geometry.output[1]);
    let images = to.len() / (geometry.channels_in * space);
    for_each_row(geometry, channels, images, |plane, row, taken| {
        let from = &from[row..row + geometry.space_out()];
        for (y_out, y_in) in taken.rows() {
            let from = &from[y_out * width..][taken.columns.clone()];
            let to = &mut to[plane * space + y_in * geometry.input[1]..][..geometry.input[1]];
            let to = &mut to[taken.first_column..];
            match geometry.stride[1] {
                1 => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
                2 => add_to_every_second(from, to),
                stride => {
                    to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += from);
                }
            }
        }
    });
}

/// `to[i] = from[2i]`, in pairs that the compiler turns into vectors.
#[inline(always)]
fn take_every_second(from: &[f32], to: &mut [f32]) {
    let (pairs, rest) = from.as_chunks::<2>();
    to.iter_mut().zip(pairs).for_each(|(to, [first, _])| *to = *first);
    if let (Some(to), Some(last)) = (to.get_mut(pairs.len()), rest.first()) {
        *to = *last;
    }
}

/// `to[2i] += from[i]`.
#[inline(always)]
fn add_to_every_second(from: &[f32], to: &mut [f32]) {
    let (pairs, rest) = to.as_chunks_mut::<2>();
    if let (Some(from), Some(last)) = (from.get(pairs.len()), rest.first_mut()) {
        *last += from;
    }
    pairs.iter_mut().zip(from).for_each(|([first, _], from)| *first += from);
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

/// Calls `row(plane, start of its columns, what is taken)` for each tap and plane of some channels.
#[inline(always)]
fn for_each_row(
    geometry: &Geometry,
    channels: Range<usize>,
    images: usize,
    mut row: impl FnMut(usize, usize, &Taken),
) {
    let (taps, width, space) = (geometry.taps(), geometry.kernel[1], geometry.space_out());
    for tap in 0..taps {
        let (rows, first_row) = geometry.inside(0, tap / width);
        let (taken_columns, first_column) = geometry.inside(1, tap % width);
        let row_stride = geometry.stride[0];
        let taken = Taken { rows, first_row, row_stride, columns: taken_columns, first_column };
        for image in 0..images {
            for (at, channel) in channels.clone().enumerate() {
                let start = ((at * taps + tap) * images + image) * space;
                row(image * geometry.channels_in + channel, start, &taken);
            }
        }
    }
}
