//! Pooling over windows of maps.

use std::ops::Range;

use burn::nn::pool::{AvgPool2d, MaxPool2d};
use burn::tensor::Tensor;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use rayon::prelude::*;

use super::conv2d::padding_of;
use super::host::{Array, Host, Kernel, one};
use super::kernels::parallel::{channel_sums, sum_pairs, vectorised};

/// The largest value of each window; NaN counts as the largest. Padding is never it.
///
/// `[batch, channels, height, width]` → `[batch, channels, height_out, width_out]`.
///
/// # Panics
///
/// Where the padded map is smaller than a window.
pub fn max_pool2d(pool: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let MaxPool2d { kernel_size, stride, dilation, padding, ceil_mode } = pool;
    let padding = padding_of(padding, [height, width], *kernel_size, *stride, *dilation);
    let windows = Windows {
        kernel: *kernel_size,
        stride: *stride,
        padding,
        dilation: *dilation,
        ceil_mode: *ceil_mode,
    };
    largest("max_pool2d", x, windows)
}

/// The function behind [`max_pool2d`].
///
/// # Panics
///
/// Where the padded map is smaller than a window.
pub fn largest_of_windows(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    ceil_mode: bool,
) -> Tensor<4> {
    let windows = Windows { kernel, stride, padding, dilation, ceil_mode };
    largest("largest_of_windows", x, windows)
}

fn largest(name: &str, x: Tensor<4>, windows: Windows) -> Tensor<4> {
    windows.check(name, x.dims());
    one(Largest(windows), x).unwrap_or_else(|x| {
        let options = MaxPoolOptions::new(windows.kernel)
            .with_stride(windows.stride)
            .with_padding_pairs(windows.padding)
            .with_dilation(windows.dilation)
            .with_ceil_mode(windows.ceil_mode);
        burn::tensor::module::max_pool2d(x, options)
    })
}

/// The mean of each window.
///
/// `[batch, channels, height, width]` → `[batch, channels, height_out, width_out]`.
///
/// # Panics
///
/// Where the padded map is smaller than a window.
pub fn avg_pool2d(pool: &AvgPool2d, x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let AvgPool2d { kernel_size, stride, padding, count_include_pad, ceil_mode } = pool;
    let padding = padding_of(padding, [height, width], *kernel_size, *stride, [1, 1]);
    let windows = Windows {
        kernel: *kernel_size,
        stride: *stride,
        padding,
        dilation: [1, 1],
        ceil_mode: *ceil_mode,
    };
    mean("avg_pool2d", x, windows, *count_include_pad)
}

/// The function behind [`avg_pool2d`].
///
/// # Panics
///
/// Where the padded map is smaller than a window.
pub fn mean_of_windows(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    count_include_pad: bool,
    ceil_mode: bool,
) -> Tensor<4> {
    let windows = Windows { kernel, stride, padding, dilation: [1, 1], ceil_mode };
    mean("mean_of_windows", x, windows, count_include_pad)
}

fn mean(name: &str, x: Tensor<4>, windows: Windows, count_include_pad: bool) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let output = windows.check(name, x.dims());
    let Windows { kernel, stride, padding, ceil_mode, .. } = windows;
    let spans = [0, 1].map(|axis| {
        let (size, (before, after)) = ([height, width][axis], padding[axis]);
        let span = |at: usize| {
            let start = at * stride[axis];
            let end = (start + kernel[axis]).min(size + before + after);
            let inside = start.max(before).min(size + before)..end.clamp(before, size + before);
            let inside = inside.start - before..inside.end.max(inside.start) - before;
            let count = if count_include_pad { end - start } else { inside.len().max(1) };
            Span { inside, count: count as f32 }
        };
        (0..output[axis]).map(span).collect()
    });
    one(Mean(spans), x).unwrap_or_else(|x| {
        let options = AvgPoolOptions::new(kernel)
            .with_stride(stride)
            .with_padding_pairs(padding)
            .with_count_include_pad(count_include_pad)
            .with_ceil_mode(ceil_mode);
        burn::tensor::module::avg_pool2d(x, options)
    })
}

/// The mean of `output` windows that cover the map: `[batch, channels, height, width]` →
/// `[batch, channels, output[0], output[1]]`.
///
/// # Panics
///
/// Where map or output is empty.
pub fn adaptive_avg_pool2d(x: Tensor<4>, output: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    assert!(
        [height, width, output[0], output[1]].iter().all(|&size| size > 0),
        "adaptive_avg_pool2d: input {:?} and output {output:?} have an empty side",
        x.dims()
    );
    let spans = [0, 1].map(|axis| {
        let (size, output) = ([height, width][axis], output[axis]);
        let span = |at: usize| {
            let inside = at * size / output..((at + 1) * size).div_ceil(output);
            Span { count: inside.len() as f32, inside }
        };
        (0..output).map(span).collect()
    });
    one(Mean(spans), x).unwrap_or_else(|x| burn::tensor::module::adaptive_avg_pool2d(x, output))
}

/// The mean over space. `[batch, channels, height, width]` → `[batch, channels]`.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    one(MeanOfPlanes, x).unwrap_or_else(|x| x.mean_dims(&[2, 3]).flatten(1, 3))
}

/// Where windows lie.
#[derive(Debug, Clone, Copy)]
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    ceil_mode: bool,
}

impl Windows {
    /// How many there are along each axis, as PyTorch counts them: none starts behind the map.
    fn output(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let ((before, after), stride) = (self.padding[axis], self.stride[axis]);
            let reach = self.dilation[axis] * self.kernel[axis].checked_sub(1)? + 1;
            let free = (size[axis] + before + after).checked_sub(reach)?;
            if stride == 0 {
                return None;
            }
            let steps = if self.ceil_mode { free.div_ceil(stride) } else { free / stride };
            let is_behind = self.ceil_mode && steps > 0 && steps * stride >= size[axis] + before;
            output[axis] = steps + 1 - usize::from(is_behind);
        }
        Some(output)
    }

    fn check(&self, name: &str, shape: [usize; 4]) -> [usize; 2] {
        self.output([shape[2], shape[3]])
            .unwrap_or_else(|| panic!("{name}: input {shape:?} and {self:?} do not fit"))
    }
}

#[derive(Debug, Clone, Copy)]
struct Largest(Windows);

impl Largest {
    /// Calls `keep(window, value, place)` with the largest of each window of a plane.
    #[inline(always)]
    fn of_plane(
        &self,
        plane: &[f32],
        [height, width]: [usize; 2],
        output: [usize; 2],
        mut keep: impl FnMut(usize, f32, usize),
    ) {
        let Windows { kernel, stride, padding, dilation, .. } = self.0;
        let taps = |axis: usize, at: usize, size: usize| {
            let (start, before) = (at * stride[axis], padding[axis].0);
            let first = before.saturating_sub(start).div_ceil(dilation[axis]);
            let end = (size + before).saturating_sub(start).div_ceil(dilation[axis]);
            (first..end.min(kernel[axis]), start)
        };
        for y in 0..output[0] {
            let (rows, top) = taps(0, y, height);
            for x in 0..output[1] {
                let (columns, left) = taps(1, x, width);
                let (mut largest, mut place) = (f32::NEG_INFINITY, usize::MAX);
                for row in rows.clone() {
                    let row = (top + row * dilation[0] - padding[0].0) * width;
                    for column in columns.clone() {
                        let at = row + left + column * dilation[1] - padding[1].0;
                        let value = plane[at];
                        if value > largest || value.is_nan() || place == usize::MAX {
                            (largest, place) = (value, at);
                        }
                    }
                }
                keep(y * output[1] + x, largest, place);
            }
        }
    }
}

/// Where no number of a window lies on the map.
const NOWHERE: u32 = u32::MAX;

impl Kernel<1> for Largest {
    /// The input's shape, and where in its plane each largest value lies.
    type Saved<B: Host> = ([usize; 4], Vec<u32>);

    fn forward<B: Host>(
        &self,
        [x]: [Array<B>; 1],
        saves: bool,
    ) -> (Array<B>, Option<Self::Saved<B>>) {
        let shape = x.dims();
        let [batch, channels, height, width] = shape;
        let windows = self.0.check("max_pool2d", shape);
        let (space, count) = (height * width, windows[0] * windows[1]);
        let planes = batch * channels;
        let mut output = vec![0.0; planes * count];
        let mut places = vec![0; if saves { planes * count } else { 0 }];
        let plane = |at: usize| &x.numbers()[at * space..][..space];
        if saves {
            let to = output.par_chunks_mut(count.max(1)).zip(places.par_chunks_mut(count.max(1)));
            to.enumerate().with_min_len(least_planes(space)).for_each(|(at, (output, places))| {
                vectorised(|| {
                    self.of_plane(plane(at), [height, width], windows, |window, value, place| {
                        output[window] = value;
                        places[window] = u32::try_from(place).unwrap_or(NOWHERE);
                    });
                });
            });
        } else {
            let to = output.par_chunks_mut(count.max(1));
            to.enumerate().with_min_len(least_planes(space)).for_each(|(at, output)| {
                vectorised(|| {
                    self.of_plane(plane(at), [height, width], windows, |window, value, _| {
                        output[window] = value;
                    });
                });
            });
        }
        let output = Array::new(output, [batch, channels, windows[0], windows[1]]);
        (output, saves.then_some((shape, places)))
    }

    fn backward<B: Host>(
        &self,
        (shape, places): Self::Saved<B>,
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let [batch, channels, height, width] = shape;
        let space = height * width;
        let mut of_x = vec![0.0; batch * channels * space];
        let count = (places.len() / (batch * channels).max(1)).max(1);
        let from = gradient.numbers().par_chunks(count).zip(places.par_chunks(count));
        let planes = of_x.par_chunks_mut(space.max(1)).zip(from);
        planes.with_min_len(least_planes(space)).for_each(|(of_x, (gradient, places))| {
            for (gradient, &place) in gradient.iter().zip(places) {
                if place != NOWHERE {
                    of_x[place as usize] += gradient;
                }
            }
        });
        [Some(Array::new(of_x, shape))]
    }
}

/// Planes that are worth waking another thread for.
fn least_planes(space: usize) -> usize {
    (1_usize << 13).div_ceil(space.max(1))
}

/// What a window covers along an axis.
#[derive(Debug, Clone)]
struct Span {
    /// Of the map.
    inside: Range<usize>,
    /// What counts as its length.
    count: f32,
}

/// The mean of each window of rows and columns.
#[derive(Debug, Clone)]
struct Mean([Vec<Span>; 2]);

impl Kernel<1> for Mean {
    /// The input's shape.
    type Saved<B: Host> = [usize; 4];

    fn forward<B: Host>(&self, [x]: [Array<B>; 1], saves: bool) -> (Array<B>, Option<[usize; 4]>) {
        let shape = x.dims();
        let [batch, channels, height, width] = shape;
        let [rows, columns] = &self.0;
        let (space, count) = (height * width, rows.len() * columns.len());
        let mut output = vec![0.0; batch * channels * count];
        let planes = output.par_chunks_mut(count.max(1)).enumerate();
        planes.with_min_len(least_planes(space)).for_each(|(at, output)| {
            let plane = &x.numbers()[at * space..][..space];
            let windows =
                rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            for (output, (row, column)) in output.iter_mut().zip(windows) {
                let lines = row.inside.clone().map(|y| &plane[y * width..][column.inside.clone()]);
                let sum: f32 = lines.map(|line| line.iter().sum::<f32>()).sum();
                *output = sum / (row.count * column.count);
            }
        });
        let output = Array::new(output, [batch, channels, rows.len(), columns.len()]);
        (output, saves.then_some(shape))
    }

    fn backward<B: Host>(
        &self,
        shape: [usize; 4],
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let [batch, channels, height, width] = shape;
        let [rows, columns] = &self.0;
        let (space, count) = (height * width, rows.len() * columns.len());
        let mut of_x = vec![0.0; batch * channels * space];
        let from = gradient.numbers().par_chunks(count.max(1));
        let planes = of_x.par_chunks_mut(space.max(1)).zip(from);
        planes.with_min_len(least_planes(space)).for_each(|(of_x, gradient)| {
            for (row, gradient) in rows.iter().zip(gradient.chunks(columns.len().max(1))) {
                for (column, gradient) in columns.iter().zip(gradient) {
                    let share = gradient / (row.count * column.count);
                    for y in row.inside.clone() {
                        let line = &mut of_x[y * width..][column.inside.clone()];
                        for number in line {
                            *number += share;
                        }
                    }
                }
            }
        });
        [Some(Array::new(of_x, shape))]
    }
}

#[derive(Debug, Clone, Copy)]
struct MeanOfPlanes;

impl Kernel<1> for MeanOfPlanes {
    /// The input's shape.
    type Saved<B: Host> = [usize; 4];

    fn forward<B: Host>(&self, [x]: [Array<B>; 1], saves: bool) -> (Array<B>, Option<[usize; 4]>) {
        let ([batch, channels, space], numbers) = (x.planes(), x.numbers());
        let sums = channel_sums([1, batch * channels, space], |_, plane| {
            sum_pairs(&numbers[plane.clone()], &numbers[plane], |x, _| [x])
        });
        let means = sums.into_iter().map(|[sum]| (sum / space as f64) as f32).collect();
        (Array::new(means, [batch, channels]), saves.then(|| x.dims()))
    }

    fn backward<B: Host>(
        &self,
        shape: [usize; 4],
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let space = shape[2] * shape[3];
        let mut of_x = Vec::with_capacity(gradient.numbers().len() * space);
        for &gradient in gradient.numbers() {
            of_x.resize(of_x.len() + space, gradient / space as f32);
        }
        [Some(Array::new(of_x, shape))]
    }
}
