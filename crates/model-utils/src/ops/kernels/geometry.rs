//! The sizes of a two-dimensional convolution.

use std::ops::Range;

use burn::tensor::ops::ConvOptions;

use super::parallel::LANES;

/// The sizes of a convolution.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Geometry {
    pub(in crate::ops) batch: usize,
    pub(in crate::ops) channels_in: usize,
    pub(in crate::ops) channels_out: usize,
    pub(in crate::ops) input: [usize; 2],
    pub(in crate::ops) output: [usize; 2],
    pub(in crate::ops) kernel: [usize; 2],
    pub(in crate::ops) stride: [usize; 2],
    pub(in crate::ops) dilation: [usize; 2],
    /// Before the first row and column, and after the last.
    pub(in crate::ops) padding: [(usize, usize); 2],
    pub(in crate::ops) groups: usize,
}

impl Geometry {
    /// Of an input `[batch, channels_in, height, width]`, a weight
    /// `[channels_out, channels_in / groups, height, width]` and the output's height and width.
    pub(in crate::ops) fn new(
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
    pub(in crate::ops) fn of_forward(
        x: [usize; 4],
        weight: [usize; 4],
        options: &ConvOptions<2>,
    ) -> Option<Self> {
        let mut geometry = Self::new(x, weight, [0, 0], options);
        let steps = geometry.stride.iter().chain(&geometry.dilation);
        if geometry.taps() == 0 || steps.into_iter().any(|&step| step == 0) {
            return None;
        }
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

    /// `[batch, channels_in, height, width]`.
    pub(in crate::ops) fn input_shape(&self) -> [usize; 4] {
        let [height, width] = self.input;
        [self.batch, self.channels_in, height, width]
    }

    /// `[channels_out, channels_in / groups, height, width]`.
    pub(in crate::ops) fn weight_shape(&self) -> [usize; 4] {
        let [height, width] = self.kernel;
        [self.channels_out, self.channels_in / self.groups, height, width]
    }

    /// `[batch, channels_out, height, width]`.
    pub(in crate::ops) fn output_shape(&self) -> [usize; 4] {
        let [height, width] = self.output;
        [self.batch, self.channels_out, height, width]
    }

    /// Whether there is nothing to be multiplied.
    pub(in crate::ops) fn is_empty(&self) -> bool {
        [self.input_shape(), self.weight_shape(), self.output_shape()].concat().contains(&0)
    }

    /// Of one group by itself.
    pub(in crate::ops) fn of_a_group(&self) -> Self {
        let [channels_in, channels_out] =
            [self.channels_in / self.groups, self.channels_out / self.groups];
        Self { channels_in, channels_out, groups: 1, ..self.clone() }
    }

    /// Whether each channel is convolved on its own, with a kernel that is known there and
    /// no more padding than the kernel reaches.
    pub(in crate::ops) fn is_depthwise(&self) -> bool {
        self.groups == self.channels_in
            && self.groups == self.channels_out
            && self.groups > 1
            && [9, 25].contains(&(self.kernel[0] * self.kernel[1]))
            && (0..2).all(|axis| {
                let (before, after) = self.padding[axis];
                before.max(after) <= self.reach(axis)
            })
    }

    /// Whether matrix products over columns are the way to go: each plane would fill few vectors,
    /// all together many.
    pub(in crate::ops) fn has_many_small_planes(&self) -> bool {
        let outputs = self.batch * self.space_out();
        self.groups == 1 && (1..=2 * LANES).contains(&self.space_out()) && outputs >= 8 * LANES
    }

    /// How far the last tap of the kernel lies from the first.
    pub(in crate::ops) fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis]
    }

    pub(in crate::ops) fn space_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub(in crate::ops) fn space_out(&self) -> usize {
        self.output[0] * self.output[1]
    }

    pub(in crate::ops) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether the columns of the input are the input itself.
    pub(in crate::ops) fn is_pointwise(&self) -> bool {
        self.taps() == 1
            && self.stride == [1, 1]
            && self.padding == [(0, 0); 2]
            // The input of a transposed convolution's may reach further.
            && self.input == self.output
    }

    /// The outputs along an axis that a tap reads inside the input, and the input of the first.
    pub(in crate::ops) fn inside(&self, axis: usize, tap: usize) -> (Range<usize>, usize) {
        let (stride, before) = (self.stride[axis], self.padding[axis].0);
        let shift = tap * self.dilation[axis];
        let end = (self.input[axis] + before).saturating_sub(shift).div_ceil(stride);
        let end = end.min(self.output[axis]);
        let first = before.saturating_sub(shift).div_ceil(stride).min(end);
        let from = (first * stride + shift).saturating_sub(before);
        (first..end, from.min(self.input[axis]))
    }
}
