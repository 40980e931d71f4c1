//! Where a token stands in its sentence.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::config::ConfigError;
use model_utils::ops;
use serde::{Deserialize, Serialize};

use crate::layers::embedding;

/// The wave lengths of sinusoids and rotations go from 2π to this times 2π.
const LONGEST_WAVE: f64 = 10_000.0;

/// How a model is told where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Positions {
    /// Sines and cosines of falling frequency, in turn (Vaswani et al. 2017).
    #[default]
    Sinusoidal,
    /// The same numbers, all sines before all cosines (tensor2tensor, Marian).
    SinusoidalHalves,
    /// A table that is learned.
    Learned,
    /// Queries and keys of self-attention are turned by angles that grow with the position
    /// (Su et al. 2021, <https://arxiv.org/abs/2104.09864>, in halves).
    Rotary,
}

impl std::str::FromStr for Positions {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "sinusoidal" => Ok(Self::Sinusoidal),
            "sinusoidal_halves" => Ok(Self::SinusoidalHalves),
            "learned" => Ok(Self::Learned),
            "rotary" => Ok(Self::Rotary),
            _ => Err(ConfigError::new(
                "positions",
                format!("{name:?}"),
                "sinusoidal, sinusoidal_halves, learned or rotary",
            )),
        }
    }
}

/// `[time, width]` sines and cosines of positions `from..from + time`: column pair `i` has the
/// angle `position / 10000^(2i / width)`. Sines and cosines in turn, or in halves. `width` is even.
pub fn sinusoids(
    from: usize,
    time: usize,
    width: usize,
    halves: bool,
    device: &Device,
) -> Tensor<2> {
    let pairs = width / 2;
    let mut table = vec![0.0_f32; time * width];
    for (at, row) in table.chunks_mut(width).enumerate() {
        for pair in 0..pairs {
            let (sine, cosine) = angle(from + at, pair, pairs).sin_cos();
            let [first, second] =
                if halves { [pair, pairs + pair] } else { [2 * pair, 2 * pair + 1] };
            (row[first], row[second]) = (sine as f32, cosine as f32);
        }
    }
    Tensor::from_data(TensorData::new(table, [time, width]), device)
}

fn angle(position: usize, pair: usize, pairs: usize) -> f64 {
    position as f64 / LONGEST_WAVE.powf(pair as f64 / pairs as f64)
}

/// What is added to the embeddings for their positions.
#[derive(Module, Debug)]
pub struct PositionalEncoding {
    learned: Option<Embedding>,
    #[module(skip)]
    positions: Positions,
}

impl PositionalEncoding {
    pub(super) fn new(positions: Positions, most: usize, width: usize, device: &Device) -> Self {
        let learned = (positions == Positions::Learned).then(|| embedding(most, width, device));
        Self { learned, positions }
    }

    /// Adds those of positions `from..from + time` to `[batch, time, width]`.
    pub fn forward(&self, x: Tensor<3>, from: usize) -> Tensor<3> {
        let [_, time, width] = x.dims();
        let encoding = match (&self.learned, self.positions) {
            (Some(table), _) => {
                let places = from as i64..(from + time) as i64;
                let device = table.weight.val().device().without_autodiff();
                let places = Tensor::<1, Int>::arange(places, &device).unsqueeze();
                return x + ops::embedding(table, places);
            }
            (None, Positions::Rotary) => return x,
            (None, positions) => {
                let halves = positions == Positions::SinusoidalHalves;
                sinusoids(from, time, width, halves, &x.device().without_autodiff())
            }
        };
        x + encoding.unsqueeze()
    }

    pub(super) fn learned_weight(&self) -> Option<&Param<Tensor<2>>> {
        self.learned.as_ref().map(|table| &table.weight)
    }
}

/// The angles of rotary positions, for queries or keys at the same places.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    /// `[time, width / 2]` each.
    sines: Tensor<2>,
    cosines: Tensor<2>,
}

impl Rotation {
    /// Of positions `from..from + time`, for heads of this width.
    pub(super) fn new(from: usize, time: usize, width: usize, device: &Device) -> Self {
        let pairs = width / 2;
        let table = sinusoids(from, time, width, true, &device.clone().without_autodiff());
        let half = |at: usize| table.clone().narrow(1, at * pairs, pairs);
        Self { sines: half(0), cosines: half(1) }
    }

    /// Turns each head's first half and second half, taken as pairs; `[batch, time, heads · width]`.
    pub(super) fn turn(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        ops::rotary_embedding(x, self.sines.clone(), self.cosines.clone(), heads)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    /// The first rows of the table in the paper's formula, by hand.
    #[test]
    fn sinusoids_are_the_papers() {
        let device = Device::flex();
        let in_turn = sinusoids(1, 2, 4, false, &device).into_data();
        let (a, b) = (1.0_f32, 0.01_f32);
        let expected = [
            [a.sin(), a.cos(), b.sin(), b.cos()],
            [(2.0 * a).sin(), (2.0 * a).cos(), (2.0 * b).sin(), (2.0 * b).cos()],
        ];
        in_turn.assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-6));
        let halves = sinusoids(2, 1, 4, true, &device).into_data();
        let [_, [s, c, t, d]] = expected;
        halves
            .assert_approx_eq::<f32>(&TensorData::from([[s, t, c, d]]), Tolerance::absolute(1e-6));
    }

    /// The product of a turned query and a turned key depends on their distance alone.
    #[test]
    fn rotations_keep_distances() {
        let device = Device::flex();
        let x = |start: f32| {
            let numbers = (0..8).map(|i| (start + i as f32).sin()).collect::<Vec<_>>();
            Tensor::<3>::from_data(TensorData::new(numbers, [1, 1, 8]), &device)
        };
        let product = |query: usize, key: usize| {
            let turned = |at, x| Rotation::new(at, 1, 4, &device).turn(x, 2);
            (turned(query, x(0.3)) * turned(key, x(2.0))).sum().into_scalar::<f32>()
        };
        assert!((product(3, 1) - product(13, 11)).abs() < 1e-5);
        assert!((product(3, 1) - product(3, 2)).abs() > 1e-2);
    }
}
