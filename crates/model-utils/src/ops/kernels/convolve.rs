//! The forward pass of a two-dimensional convolution, without columns: the input is copied in
//! tiles in which each tap of the kernel reads at one shift, and blocks of outputs by positions are
//! summed up in registers.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::Geometry;

/// Numbers of the widest vector. Smaller planes would leave it empty.
const LANES: usize = 16;
/// Vectors a block.
const VECTORS: usize = 3;
/// Outputs a block, where there are registers for them.
const OUTPUTS: usize = 8;
/// Positions that a tile should have at least.
const POSITIONS: usize = 384;
/// Numbers that a tile should have at most: it stays in the second cache.
const TILE: usize = 1 << 17;
/// Tasks for each core, so that all are busy to the end.
const TASKS: usize = 4;
/// Multiplications that are worth waking a thread for.
const WORTH_SHARING: usize = 1 << 17;

/// Whether [`forward`] is the way to go.
pub(in crate::ops) fn applies(geometry: &Geometry) -> bool {
    geometry.batch > 0 && geometry.space_out() >= LANES
}

/// `[batch, channels_out, height, width]` of an input, a weight and a bias of that geometry.
pub(in crate::ops) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    geometry: &Geometry,
) -> Vec<f32> {
    let conv = Convolution { geometry, x, weight, bias };
    let len = geometry.batch * geometry.channels_out * geometry.space_out();
    let mut output = Vec::with_capacity(len);
    let multiplications = len * conv.row();
    let tasks = conv.tasks(&mut output.spare_capacity_mut()[..len]);
    let least = (WORTH_SHARING * tasks.len()).div_ceil(multiplications.max(1));
    let arch = Arch::new();
    tasks
        .into_par_iter()
        .with_min_len(least)
        .for_each_init(Scratch::default, |scratch, task| arch.dispatch(Run { task, scratch }));
    // SAFETY: the tasks hold all of the `len` numbers, and `Run` writes every position of a task.
    unsafe { output.set_len(len) };
    output
}

struct Convolution<'a> {
    geometry: &'a Geometry,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl Convolution<'_> {
    /// Input channels that an output reads.
    fn channels(&self) -> usize {
        self.geometry.channels_in / self.geometry.groups
    }

    /// Weights of an output.
    fn row(&self) -> usize {
        self.channels() * self.geometry.taps()
    }

    /// Planes of a channel in a tile, one for each phase of the stride.
    fn phases(&self) -> usize {
        self.geometry.stride[0] * self.geometry.stride[1]
    }

    /// Numbers of a tile's row: the padded width, divided among the phases of the stride.
    fn pitch(&self) -> usize {
        let (before, after) = self.geometry.padding[1];
        (self.geometry.input[1] + before + after).div_ceil(self.geometry.stride[1])
    }

    /// The output divided into rows of some outputs of one group of one image.
    fn tasks<'b>(&'b self, mut output: &'b mut [MaybeUninit<f32>]) -> Vec<Task<'b>> {
        let Geometry { batch, channels_out, groups, output: [height, width], .. } = *self.geometry;
        let pitch = self.pitch();
        let a_group = channels_out / groups;
        let wanted = (TASKS * rayon::current_num_threads()).div_ceil(batch * groups);
        let least = POSITIONS.div_ceil(pitch).max(LANES.div_ceil(pitch) + 1);
        let numbers = self.channels() * self.phases() * height * pitch;
        let parts = wanted.max(numbers.div_ceil(TILE)).clamp(1, (height / least).max(1));
        let blocks = a_group.div_ceil(OUTPUTS);
        let a_task = blocks.div_ceil(wanted.div_ceil(parts)) * OUTPUTS;

        let mut tasks = Vec::new();
        for image in 0..batch {
            for group in 0..groups {
                for block in (0..a_group).step_by(a_task) {
                    let count = a_task.min(a_group - block);
                    let first = group * a_group + block;
                    let start = tasks.len();
                    for part in 0..parts {
                        let rows = height * part / parts..height * (part + 1) / parts;
                        let output = Vec::with_capacity(count);
                        tasks.push(Task { conv: self, image, group, first, rows, output });
                    }
                    for _ in 0..count {
                        for task in &mut tasks[start..] {
                            let rows = output.split_off_mut(..task.rows.len() * width);
                            task.output.push(rows.expect("as long as all planes"));
                        }
                    }
                }
            }
        }
        tasks
    }
}

/// Some rows of some planes of the output.
struct Task<'a> {
    conv: &'a Convolution<'a>,
    image: usize,
    group: usize,
    /// The first output.
    first: usize,
    rows: Range<usize>,
    output: Vec<&'a mut [MaybeUninit<f32>]>,
}

/// Room that a thread uses again and again.
#[derive(Default)]
struct Scratch {
    tile: Vec<f32>,
    shifts: Vec<usize>,
}

struct Run<'a, 'b> {
    task: Task<'a>,
    scratch: &'b mut Scratch,
}

impl WithSimd for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut task, scratch } = self;
        let Convolution { geometry, x, .. } = *task.conv;
        let (channels, pitch) = (task.conv.channels(), task.conv.pitch());
        let start =
            (task.image * geometry.channels_in + task.group * channels) * geometry.space_in();
        let x = &x[start..][..channels * geometry.space_in()];

        let plane = task.lay_out(&mut scratch.shifts);
        let is_the_input = geometry.stride == [1, 1]
            && geometry.padding == [(0, 0); 2]
            && [plane / pitch, pitch] == geometry.input;
        let numbers = if is_the_input {
            x
        } else {
            task.copy(x, plane, &mut scratch.tile);
            &scratch.tile
        };
        let channel = plane * task.conv.phases();
        // Positions run on over the ends of rows; what lies there is not kept.
        let positions = (task.rows.len() - 1) * pitch + geometry.output[1];
        let lanes = S::F32_LANES;
        let mut at = 0;
        while at < positions {
            // The last block goes back over what is already there.
            let vectors = (positions - at).div_ceil(lanes).min(positions / lanes).min(VECTORS);
            at = at.min(positions - vectors * lanes);
            let tile = Tile { numbers, channel, shifts: &scratch.shifts, pitch, at };
            match vectors {
                1 => task.block::<S, 1>(simd, &tile),
                2 => task.block::<S, 2>(simd, &tile),
                _ => task.block::<S, VECTORS>(simd, &tile),
            }
            at += vectors * lanes;
        }
    }
}

/// What a block of positions reads.
struct Tile<'a> {
    numbers: &'a [f32],
    /// Numbers of a channel.
    channel: usize,
    /// Of each tap.
    shifts: &'a [usize],
    pitch: usize,
    /// The first position.
    at: usize,
}

impl Task<'_> {
    /// Finds where each tap reads within a channel of the tile, and the numbers of a plane there.
    fn lay_out(&self, shifts: &mut Vec<usize>) -> usize {
        let geometry = self.conv.geometry;
        let [stride_y, stride_x] = geometry.stride;
        let pitch = self.conv.pitch();
        let rows = self.rows.len() + geometry.reach(0) / stride_y;
        shifts.clear();
        shifts.extend((0..geometry.taps()).map(|tap| {
            let y = tap / geometry.kernel[1] * geometry.dilation[0];
            let x = tap % geometry.kernel[1] * geometry.dilation[1];
            let phase = y % stride_y * stride_x + x % stride_x;
            (phase * rows + y / stride_y) * pitch + x / stride_x
        }));
        rows * pitch
    }

    /// Copies the input that the rows read, padded with zeros and divided among the phases.
    #[inline(always)]
    fn copy(&self, x: &[f32], plane: usize, tile: &mut Vec<f32>) {
        let geometry = self.conv.geometry;
        let [height, width] = geometry.input;
        let [(top, _), (left, _)] = geometry.padding;
        let [stride_y, stride_x] = geometry.stride;
        let pitch = self.conv.pitch();
        let channel = plane * self.conv.phases();
        tile.resize(self.conv.channels() * channel, 0.0);
        for (from, to) in x.chunks_exact(height * width).zip(tile.chunks_exact_mut(channel)) {
            for (index, to) in to.chunks_exact_mut(plane).enumerate() {
                let (phase_y, phase_x) = (index / stride_x, index % stride_x);
                // The first column of this phase, and where it goes.
                let first = (phase_x + stride_x - left % stride_x) % stride_x;
                let start = (first + left) / stride_x;
                for (row, to) in to.chunks_exact_mut(pitch).enumerate() {
                    let y = (self.rows.start + row) * stride_y + phase_y;
                    if y < top || y - top >= height || first >= width {
                        to.fill(0.0);
                        continue;
                    }
                    let from = &from[(y - top) * width..][..width];
                    if stride_x == 1 {
                        to[..start].fill(0.0);
                        to[start..start + width].copy_from_slice(from);
                        to[start + width..].fill(0.0);
                    } else {
                        to.fill(0.0);
                        let from = from[first..].iter().step_by(stride_x);
                        to[start..].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }

    /// Computes `V` vectors of positions of all outputs.
    #[inline(always)]
    fn block<S: Simd, const V: usize>(&mut self, simd: S, tile: &Tile) {
        let mut from = 0;
        while from < self.output.len() {
            let left = self.output.len() - from;
            from += if left >= OUTPUTS && S::REGISTER_COUNT >= 32 {
                self.outputs::<S, V, OUTPUTS>(simd, tile, from)
            } else if left >= 4 {
                self.outputs::<S, V, 4>(simd, tile, from)
            } else if left >= 2 {
                self.outputs::<S, V, 2>(simd, tile, from)
            } else {
                self.outputs::<S, V, 1>(simd, tile, from)
            };
        }
    }

    /// The same of `O` outputs, from this one on. Plain indices let the compiler keep the sums in
    /// registers.
    #[allow(clippy::needless_range_loop, clippy::manual_memcpy)]
    #[inline(always)]
    fn outputs<S: Simd, const V: usize, const O: usize>(
        &mut self,
        simd: S,
        tile: &Tile,
        from: usize,
    ) -> usize {
        let lanes = S::F32_LANES;
        let taps = tile.shifts.len();
        let a_row = self.conv.row();
        let weights = &self.conv.weight[(self.first + from) * a_row..][..O * a_row];
        let mut sums = [[simd.splat_f32s(0.0); V]; O];
        if let Some(bias) = self.conv.bias {
            let bias = &bias[self.first + from..][..O];
            for o in 0..O {
                for v in 0..V {
                    sums[o][v] = simd.splat_f32s(bias[o]);
                }
            }
        }
        for (index, channel) in tile.numbers.chunks_exact(tile.channel).enumerate() {
            let channel = &channel[tile.at..];
            let mut rows: [&[f32]; O] = [&[]; O];
            for (o, row) in rows.iter_mut().enumerate() {
                *row = &weights[o * a_row + index * taps..][..taps];
            }
            for (tap, &shift) in tile.shifts.iter().enumerate() {
                let (x, _) = S::as_simd_f32s(&channel[shift..][..V * lanes]);
                for o in 0..O {
                    let weight = simd.splat_f32s(rows[o][tap]);
                    for v in 0..V {
                        sums[o][v] = simd.mul_add_e_f32s(weight, x[v], sums[o][v]);
                    }
                }
            }
        }
        let mut found = [[0.0; VECTORS * LANES]; O];
        for o in 0..O {
            let (to, _) = S::as_mut_simd_f32s(&mut found[o]);
            for v in 0..V {
                to[v] = sums[o][v];
            }
        }
        let width = self.conv.geometry.output[1];
        for (found, output) in found.iter().zip(&mut self.output[from..]) {
            keep(&found[..V * lanes], tile.at, tile.pitch, width, output);
        }
        O
    }
}

/// Writes what lies on the output, from position `at` on.
#[inline(always)]
fn keep(mut from: &[f32], at: usize, pitch: usize, width: usize, to: &mut [MaybeUninit<f32>]) {
    if pitch == width {
        to[at..at + from.len()].write_copy_of_slice(from);
        return;
    }
    let (mut row, mut column) = (at / pitch, at % pitch);
    while !from.is_empty() {
        let count = from.len().min(pitch - column);
        if column < width {
            let kept = count.min(width - column);
            to[row * width + column..][..kept].write_copy_of_slice(&from[..kept]);
        }
        from = &from[count..];
        (row, column) = (row + 1, 0);
    }
}
