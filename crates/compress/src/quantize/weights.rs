//! The weights of a layer as integers.

use burn::tensor::TensorData;
use model_utils::graph::Quantization;
use serde::{Deserialize, Serialize};

use super::{Bounds, Scheme};
use crate::error::Result;
use crate::graph::check_finite;

/// How the bounds of weights are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WeightRange {
    /// From the least weight to the largest: none is clamped.
    MinMax,
    /// The share of that range, of 5 % to 100 % in steps of 1 %, with the least squared error: few
    /// bits gain from clamping the rare large weights.
    MeanSquaredError,
}

/// Candidates for the share of the range.
const LEAST_SHARE: u32 = 5;

/// The places of an axis: how many there are, and how many numbers of each lie side by side.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) count: usize,
    inner: usize,
}

impl Places {
    pub(crate) fn new(shape: &[usize], axis: Option<usize>) -> Self {
        match axis {
            Some(axis) => Self {
                count: shape[axis],
                inner: shape[axis + 1..].iter().product::<usize>().max(1),
            },
            None => Self { count: 1, inner: 1 },
        }
    }

    pub(crate) fn of(self, index: usize) -> usize {
        index / self.inner % self.count.max(1)
    }
}

/// The quantization of weights `node` by a scheme.
pub(crate) fn quantization(
    node: &str,
    data: &TensorData,
    axis: Option<usize>,
    scheme: Scheme,
    range: WeightRange,
) -> Result<Quantization> {
    check_finite(node, data.iter::<f32>())?;
    let axis = axis.filter(|_| scheme.is_per_channel());
    let places = Places::new(data.shape(), axis);
    let mut channels: Vec<Vec<f32>> = vec![Vec::new(); places.count];
    for (index, weight) in data.iter::<f32>().enumerate() {
        channels[places.of(index)].push(weight);
    }
    let bounds: Vec<Bounds> = channels
        .iter()
        .map(|channel| {
            let whole = Bounds::of(channel.iter().copied());
            match range {
                WeightRange::MinMax => whole,
                WeightRange::MeanSquaredError => (LEAST_SHARE..=100)
                    .rev()
                    .map(|share| whole.scaled(share as f32 / 100.0))
                    .map(|bounds| (error(channel, scheme, bounds), bounds))
                    .min_by(|a, b| a.0.total_cmp(&b.0))
                    .map_or(whole, |(_, bounds)| bounds),
            }
        })
        .collect();
    Ok(scheme.quantization(&bounds, axis))
}

fn error(weights: &[f32], scheme: Scheme, bounds: Bounds) -> f64 {
    let (scale, zero) = scheme.step(bounds);
    let (least, largest) = (scheme.least() as f32, scheme.largest() as f32);
    let (inverse, zero) = (scale.recip(), zero as f32);
    let rounded = |weight: f32| {
        (((weight * inverse).round_ties_even() + zero).clamp(least, largest) - zero) * scale
    };
    weights.iter().map(|&weight| f64::from(weight - rounded(weight)).powi(2)).sum()
}

/// The integers that real numbers become, as `fake_quantize` rounds them.
pub(crate) fn integers(data: &TensorData, quantization: &Quantization) -> Vec<i64> {
    if !data.dtype().is_float() {
        return data.iter::<i64>().collect();
    }
    let places = Places::new(data.shape(), quantization.axis);
    data.iter::<f32>()
        .enumerate()
        .map(|(index, weight)| {
            let place = places.of(index);
            let zero_point = quantization.zero_point[place];
            let steps = (weight * quantization.scale[place].recip()).round_ties_even() as i64;
            steps.saturating_add(zero_point).clamp(quantization.least, quantization.largest)
        })
        .collect()
}

/// The bits that a file needs for each integer: those of the whole range, or, where they are 0 and
/// powers of two, those that tell these apart.
pub(crate) fn bits(quantization: &Quantization) -> u32 {
    let Quantization { least, largest, .. } = *quantization;
    let are_powers = largest > 0 && largest.unsigned_abs().is_power_of_two() && least == -largest;
    let count = if are_powers {
        2 * u64::from(largest.ilog2() + 1) + 1
    } else {
        largest.abs_diff(least).saturating_add(1)
    };
    u64::BITS - (count.max(2) - 1).leading_zeros()
}

/// Integers in the smallest type that holds them.
pub(crate) fn stored(
    integers: Vec<i64>,
    shape: &[usize],
    quantization: &Quantization,
) -> TensorData {
    let data = TensorData::new(integers, shape.to_vec());
    let holds =
        |least: i64, largest: i64| least <= quantization.least && quantization.largest <= largest;
    if holds(i8::MIN.into(), i8::MAX.into()) {
        data.convert::<i8>()
    } else if holds(0, u8::MAX.into()) {
        data.convert::<u8>()
    } else if holds(i16::MIN.into(), i16::MAX.into()) {
        data.convert::<i16>()
    } else if holds(i32::MIN.into(), i32::MAX.into()) {
        data.convert::<i32>()
    } else {
        data
    }
}

/// Weights rounded to what a quantization can hold.
pub(crate) fn rounded(data: &TensorData, quantization: &Quantization) -> TensorData {
    let integers = TensorData::new(integers(data, quantization), data.shape().to_vec());
    quantization.real(&integers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_scale_and_the_rounding_is_within_half_a_step() {
        let values: Vec<f32> =
            (0..24).map(|i| ((i * 7 % 11) as f32 - 5.0) * [1.0, 100.0][i / 12]).collect();
        let data = TensorData::new(values.clone(), [2, 3, 4]);
        let scheme = Scheme::symmetric(8).per_channel();
        let found = quantization("w", &data, Some(0), scheme, WeightRange::MinMax).unwrap();
        assert_eq!(found.scale.len(), 2);
        assert!((found.scale[1] / found.scale[0] - 100.0).abs() < 1e-3);
        let back = rounded(&data, &found);
        for (index, (a, b)) in values.iter().zip(back.iter::<f32>()).enumerate() {
            assert!((a - b).abs() <= found.scale[index / 12] * 0.5001, "{a} {b}");
        }
        // What is rounded once stays.
        assert_eq!(rounded(&back, &found), back);
    }

    #[test]
    fn the_squared_error_is_never_larger_than_from_end_to_end() {
        let mut values: Vec<f32> =
            (0..200).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        values[0] = 8.0;
        let data = TensorData::new(values.clone(), [200]);
        let of = |how| {
            let found = quantization("w", &data, None, Scheme::symmetric(4), how).unwrap();
            let back = rounded(&data, &found);
            values.iter().zip(back.iter::<f32>()).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
        };
        assert!(of(WeightRange::MeanSquaredError) < 0.7 * of(WeightRange::MinMax));
    }

    #[test]
    fn weights_that_are_not_finite_are_named() {
        let data = TensorData::new(vec![0.0, f32::NAN], [2]);
        let error =
            quantization("conv.weight", &data, None, Scheme::symmetric(8), WeightRange::MinMax)
                .unwrap_err();
        assert!(error.to_string().contains("`conv.weight`: element 1 is NaN"), "{error}");
    }
}
