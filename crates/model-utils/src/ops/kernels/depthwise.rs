//! The gradients of a depthwise two-dimensional convolution: direct sums over padded planes.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::parallel::{LANES, vectorised};

/// The gradients of input and weight, each where it is wanted.
pub(in crate::ops) fn backward(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    match geometry.taps() {
        9 => with_taps::<9>(x, weight, gradient, geometry, wanted),
        25 => with_taps::<25>(x, weight, gradient, geometry, wanted),
        _ => unreachable!("`Geometry::is_depthwise` was asked"),
    }
}

/// Both planes of a depthwise convolution are written into wider ones with zeros between and
/// around, in which each tap is one shift: the inner loops are long and have no edges.
fn with_taps<const TAPS: usize>(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    [wants_x, wants_weight]: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
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
        let mut of_x = vec![0.0; geometry.batch * channels * space_in];
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
    [of_x, of_weight]
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
