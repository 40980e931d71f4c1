//! Two-dimensional convolutions of any geometry, by the way that suits it.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::parallel::{channel_sums, sum_pairs};
use super::{columns, convolve, depthwise};
use crate::ops::host::{Array, Host};

/// `[batch, channels_out, height, width]` of an input, a weight and a bias.
pub(in crate::ops) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    geometry: &Geometry,
) -> Vec<f32> {
    if geometry.is_empty() {
        filled(bias, geometry)
    } else if geometry.has_many_small_planes() {
        columns::forward(x, weight, bias, geometry)
    } else if convolve::applies(geometry) {
        convolve::forward(x, weight, bias, geometry)
    } else if geometry.groups == 1 {
        columns::forward(x, weight, bias, geometry)
    } else {
        by_plane(x, weight, bias, geometry)
    }
}

/// The bias alone: there are no numbers to add to it.
fn filled(bias: Option<&[f32]>, geometry: &Geometry) -> Vec<f32> {
    let len = geometry.output_shape().iter().product();
    let space = geometry.space_out().max(1);
    let number = |at: usize| bias.map_or(0.0, |bias| bias[at / space % geometry.channels_out]);
    (0..len).map(number).collect()
}

/// A small plane at a time, tap by tap.
fn by_plane(x: &[f32], weight: &[f32], bias: Option<&[f32]>, geometry: &Geometry) -> Vec<f32> {
    let Geometry { batch, channels_in, channels_out, groups, .. } = *geometry;
    let (space_in, space_out, taps) = (geometry.space_in(), geometry.space_out(), geometry.taps());
    let [a_group_in, a_group_out] = [channels_in / groups, channels_out / groups];
    let mut output = vec![0.0; batch * channels_out * space_out];
    output.par_chunks_mut(space_out).enumerate().with_min_len(64).for_each(|(at, plane)| {
        let (image, channel) = (at / channels_out, at % channels_out);
        plane.fill(bias.map_or(0.0, |bias| bias[channel]));
        for within in 0..a_group_in {
            let from = image * channels_in + channel / a_group_out * a_group_in + within;
            let from = &x[from * space_in..][..space_in];
            let weight = &weight[(channel * a_group_in + within) * taps..][..taps];
            for (tap, weight) in weight.iter().enumerate() {
                let (rows, mut y) = geometry.inside(0, tap / geometry.kernel[1]);
                let (columns, first) = geometry.inside(1, tap % geometry.kernel[1]);
                for row in rows {
                    let to = &mut plane[row * geometry.output[1]..][columns.clone()];
                    let from = from[y * geometry.input[1]..][first..].iter();
                    for (to, x) in to.iter_mut().zip(from.step_by(geometry.stride[1])) {
                        *to += weight * x;
                    }
                    y += geometry.stride[0];
                }
            }
        }
    });
    output
}

/// The gradients of input and weight, each where it is wanted.
pub(in crate::ops) fn backward(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    geometry: &Geometry,
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    if wanted == [false, false] {
        return [None, None];
    }
    if geometry.is_empty() {
        let lengths = [geometry.input_shape(), geometry.weight_shape()];
        let zeros = lengths.map(|shape| vec![0.0; shape.iter().product()]);
        let mut wanted = wanted.into_iter();
        return zeros.map(|zeros| wanted.next().expect("of both").then_some(zeros));
    }
    if geometry.groups == 1 {
        return columns::backward(x, weight, gradient, geometry, wanted);
    }
    if geometry.is_depthwise() {
        return depthwise::backward(x, weight, gradient, geometry, wanted);
    }
    let a_group = geometry.of_a_group();
    let groups: Vec<_> = (0..geometry.groups)
        .map(|group| {
            let x = channels_of(x, geometry, group);
            let len = weight.len() / geometry.groups;
            let weight = &weight[group * len..][..len];
            let gradient = channels_of(gradient, geometry, group);
            columns::backward(&x, weight, &gradient, &a_group, wanted)
        })
        .collect();
    let (of_x, of_weight): (Vec<_>, Vec<_>) = groups.into_iter().map(|[x, w]| (x, w)).unzip();
    let of_x = of_x.into_iter().collect::<Option<Vec<_>>>();
    let of_weight = of_weight.into_iter().collect::<Option<Vec<_>>>();
    [of_x.map(|of_x| interleaved(&of_x, geometry.batch)), of_weight.map(|groups| groups.concat())]
}

/// The channels of a group, `[batch, channels, space]`.
fn channels_of(numbers: &[f32], geometry: &Geometry, group: usize) -> Vec<f32> {
    let image = numbers.len() / geometry.batch;
    let len = image / geometry.groups;
    let images = numbers.chunks(image.max(1));
    images.flat_map(|image| &image[group * len..][..len]).copied().collect()
}

/// Groups of channels side by side again.
fn interleaved(groups: &[Vec<f32>], batch: usize) -> Vec<f32> {
    let len = groups[0].len() / batch;
    let of_image = |image| groups.iter().flat_map(move |group| &group[image * len..][..len]);
    (0..batch).flat_map(of_image).copied().collect()
}

/// Adds a number a channel.
pub(in crate::ops) fn add_bias(output: &mut [f32], bias: &[f32], space: usize) {
    for (at, plane) in output.chunks_mut(space.max(1)).enumerate() {
        let bias = bias[at % bias.len()];
        for number in plane {
            *number += bias;
        }
    }
}

/// The gradient of a bias: the sum over batch and space, `[batch, channels, …]` → `[channels]`.
pub(in crate::ops) fn of_bias<B: Host>(gradient: &Array<B>) -> Array<B> {
    let (numbers, planes) = (gradient.numbers(), gradient.planes());
    let sums = channel_sums(planes, |_, plane| {
        sum_pairs(&numbers[plane.clone()], &numbers[plane], |g, _| [g])
    });
    Array::new(sums.into_iter().map(|[sum]| sum as f32).collect(), [planes[1]])
}
