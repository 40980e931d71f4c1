use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use model_utils::config;
use model_utils::graph::{Graph, Quantization};
use serde::{Deserialize, Serialize};

use super::fake_quantize::{check_names, check_real};
use super::plan;
use crate::error::Result;
use crate::graph::check_finite;

/// Weights that are 0 or plus or minus a power of two, by Euclidean projection: LBW-Net (Yin,
/// Zhang, Qi and Xin 2016, <https://arxiv.org/abs/1612.06052>).
///
/// The weights W of a layer become 2ˢ·Q, with the elements of Q among 0 and ±2⁻ᵗ for t = 0 to
/// n − 1 and n = 2ᵇ⁻² for b bits. With Q chosen, `k_t` elements at level t and ‖`W_t`‖₁ the sum of
/// their magnitudes, the best s is
///
/// ```math
/// s = \left\lfloor \log_2 \frac{4 \sum_t 2^{-t} \lVert W_t \rVert_1}{3 \sum_t k_t\,4^{-t}} \right\rfloor
/// ```
///
/// - 2 bits, ternary: the k largest magnitudes become ±2ˢ, and the best k of all is found exactly, in
///   O(N log N): magnitudes are sorted, and each k has its s and its error.
/// - 3 to 6 bits: for each s every weight goes to its nearest level, and the best s of all is taken:
///   the exact projection too, in O(N). The paper avoids it: with M = μ·max|W| an element is ±1 from
///   M on, ±2⁻ᵗ from 2⁻ᵗM to 2¹⁻ᵗM, and 0 below 2¹⁻ⁿM. [`with_mu`](Self::with_mu) does so; its
///   μ = 3/4 puts the borders half-way between two levels where the largest weight is a level itself.
///
/// Multiplying by such a weight is a shift. On processors whose products of integers are as fast,
/// what is gained is size.
///
/// To train, [`project`](Self::project) the module in each step and compute the loss with the
/// projection: the gradient goes through to the module's own weights, which stay in floating point
/// and are what the optimiser moves. At the end, [`quantize`](Self::quantize) the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerOfTwo {
    bits: u32,
    mu: Option<f64>,
    excluded: Vec<String>,
}

/// Weights that were projected.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Projection {
    /// The exponent s of the largest level; `None` where all weights became 0.
    pub exponent: Option<i32>,
    /// The weights.
    pub values: Vec<f32>,
}

/// The exponent that weights of 0 are given.
const LEAST_EXPONENT: i32 = -100;

impl PowerOfTwo {
    /// Weights of 2 to 6 bits.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for other numbers of bits.
    pub fn new(bits: u32) -> Result<Self> {
        config::require((2..=6).contains(&bits), "bits", bits, "2 to 6")?;
        Ok(Self { bits, mu: None, excluded: Vec::new() })
    }

    /// Chooses levels by the paper's thresholds, with μ the share of the largest weight from which on
    /// weights are the largest level. Two bits have no use for it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a share that is not above 0 and at most 1.
    pub fn with_mu(self, mu: f64) -> Result<Self> {
        config::share_above_zero("mu", mu)?;
        Ok(Self { mu: Some(mu), ..self })
    }

    /// Leaves a layer in floating point, by its node's name.
    #[must_use]
    pub fn with_excluded(mut self, layer: impl Into<String>) -> Self {
        self.excluded.push(layer.into());
        self
    }

    /// Levels above 0.
    const fn levels(&self) -> i32 {
        1 << (self.bits - 2)
    }

    /// The projection of the weights of one layer, which are finite.
    pub fn project_values(&self, weights: &[f32]) -> Projection {
        let assigned = match self.mu {
            _ if self.bits == 2 => ternary(weights),
            Some(mu) => self.by_thresholds(weights, mu),
            None => self.nearest(weights),
        };
        let Some((exponent, levels)) = assigned else {
            return Projection { exponent: None, values: vec![0.0; weights.len()] };
        };
        let value = |(weight, level): (&f32, &Option<i32>)| match level {
            Some(level) => 2f32.powi(exponent - level).copysign(*weight),
            None => 0.0,
        };
        let values = weights.iter().zip(&levels).map(value).collect();
        Projection { exponent: Some(exponent), values }
    }

    /// Each weight's nearest level at the exponent of the least squared error.
    fn nearest(&self, weights: &[f32]) -> Option<(i32, Vec<Option<i32>>)> {
        let n = self.levels();
        // How many magnitudes, and their sum, from each half of an octave: all of them share their
        // nearest level.
        let mut octaves: BTreeMap<(i32, bool), (f64, f64)> = BTreeMap::new();
        for weight in weights.iter().filter(|weight| **weight != 0.0) {
            let (count, sum) = octaves.entry(half_octave(*weight)).or_default();
            *count += 1.0;
            *sum += f64::from(weight.abs());
        }
        let (&(least, _), &(largest, _)) = (octaves.keys().next()?, octaves.keys().last()?);
        let error = |s: i32| -> f64 {
            let of = |(&half, &(count, sum)): (&(i32, bool), &(f64, f64))| match level(half, s, n) {
                // ‖W − 2ˢQ‖² without ‖W‖².
                Some(t) => {
                    let value = 2f64.powi(s - t);
                    count * value * value - 2.0 * value * sum
                }
                None => 0.0,
            };
            octaves.iter().map(of).sum()
        };
        let exponents = (least.max(LEAST_EXPONENT)..=largest + 1).rev();
        let (_, s) = exponents.map(|s| (error(s), s)).min_by(|a, b| a.0.total_cmp(&b.0))?;
        let levels = weights
            .iter()
            .map(|weight| if *weight == 0.0 { None } else { level(half_octave(*weight), s, n) })
            .collect();
        Some((s, levels))
    }

    /// Each weight's level by the thresholds, and the best exponent for them.
    fn by_thresholds(&self, weights: &[f32], mu: f64) -> Option<(i32, Vec<Option<i32>>)> {
        let largest = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs()));
        if largest == 0.0 {
            return None;
        }
        let border = mu * f64::from(largest);
        let n = self.levels();
        let level = |weight: &f32| {
            let magnitude = f64::from(weight.abs());
            (0..n).find(|&t| magnitude >= border * 2f64.powi(-t))
        };
        let levels: Vec<Option<i32>> = weights.iter().map(level).collect();
        let (mut a, mut b) = (0.0, 0.0);
        for (weight, t) in weights.iter().zip(&levels).filter_map(|(w, t)| Some((w, (*t)?))) {
            a += 4f64.powi(-t);
            b += 2f64.powi(-t) * f64::from(weight.abs());
        }
        Some((exponent(a, b), levels))
    }

    /// The weights of all layers projected, with their [`Quantization`]: integers that are 0 or
    /// powers of two, times the smallest level. Batch normalisations stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Node`](crate::Error::Node) for a weight that is not finite and for a layer to be left that is not there.
    pub fn quantize(&self, graph: &Graph) -> Result<Graph> {
        check_real(graph)?;
        check_names(graph, &self.excluded)?;
        let mut projected = Vec::new();
        for point in plan::weights(graph, &self.excluded) {
            let Some(weight) = graph.weight(point.weight) else { continue };
            let data = &weight.data;
            let weights: Vec<f32> = data.iter::<f32>().collect();
            check_finite(&graph.node(point.weight).name, weights.iter().copied())?;
            let projection = self.project_values(&weights);
            let data = TensorData::new(projection.values, data.shape().to_vec());
            projected.push((point.weight, data, projection.exponent));
        }
        let mut graph = graph.clone();
        graph.rewrite(|edit| {
            for (weight, data, exponent) in projected {
                let least = exponent.unwrap_or(0) - (self.levels() - 1);
                let largest = 1i64 << (self.levels() - 1);
                edit.set_data(weight, data);
                edit.set_quantization(
                    weight,
                    Some(Quantization {
                        scale: vec![2f32.powi(least.max(LEAST_EXPONENT))],
                        zero_point: vec![0],
                        axis: None,
                        least: -largest,
                        largest,
                    }),
                );
            }
            Ok(())
        })?;
        Ok(graph)
    }

    /// A copy of a module of the graph whose layers compute with projected weights, and whose
    /// gradients go to the module's own. Running statistics are shared with it.
    ///
    /// # Errors
    ///
    /// [`Error::Node`](crate::Error::Node) for a layer to be left that is not there.
    pub fn project<M: Module>(&self, graph: &Graph, module: &M) -> Result<M> {
        check_names(graph, &self.excluded)?;
        let weights = plan::weights(graph, &self.excluded);
        let names = weights.iter().map(|point| graph.node(point.weight).name.clone()).collect();
        let mut projecting = Projecting { how: self, names, path: Vec::new() };
        Ok(module.clone().map(&mut projecting))
    }
}

/// Replaces weights by their projections, and passes gradients through.
struct Projecting<'a> {
    how: &'a PowerOfTwo,
    names: BTreeSet<String>,
    path: Vec<String>,
}

impl ModuleMapper for Projecting<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.names.contains(&self.path.join(".")) {
            return param;
        }
        param.map(|weight| {
            let still = weight.clone().detach();
            let values: Vec<f32> = still.clone().into_data().iter::<f32>().collect();
            let projected = self.how.project_values(&values).values;
            let projected = TensorData::new(projected, still.dims());
            // The difference is 0, and its gradient that of the weight.
            (weight.clone() - still) + Tensor::from_data(projected, &weight.device())
        })
    }
}

/// The octave of a magnitude, `2^octave` to twice that, and whether it is in the upper half.
fn half_octave(weight: f32) -> (i32, bool) {
    let magnitude = f64::from(weight.abs());
    let octave = (magnitude.to_bits() >> 52) as i32 - 1023;
    (octave, magnitude >= 1.5 * 2f64.powi(octave))
}

/// The nearest of the levels `2^(s − t)`, t from 0 to n − 1, to magnitudes of half an octave; `None`
/// where that is 0.
fn level((octave, is_upper): (i32, bool), s: i32, n: i32) -> Option<i32> {
    let t = (s - (octave + i32::from(is_upper))).max(0);
    // Half of the least level is the border to 0.
    if t < n { Some(t) } else { (octave == s - n).then_some(n - 1) }
}

/// ⌊log₂(4B / 3A)⌋
fn exponent(a: f64, b: f64) -> i32 {
    ((4.0 * b / (3.0 * a)).log2().floor() as i32).max(LEAST_EXPONENT)
}

/// The ternary weights with the least squared error: level 0 for the k largest magnitudes.
fn ternary(weights: &[f32]) -> Option<(i32, Vec<Option<i32>>)> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| weights[b].abs().total_cmp(&weights[a].abs()));
    let mut best: Option<(f64, usize, i32)> = None;
    let mut sum = 0.0;
    for (at, &index) in order.iter().enumerate() {
        sum += f64::from(weights[index].abs());
        if sum == 0.0 {
            break;
        }
        let k = at + 1;
        let s = exponent(k as f64, sum);
        let scale = 2f64.powi(s);
        // ‖W − 2ˢQ‖² without ‖W‖².
        let error = k as f64 * scale * scale - 2.0 * scale * sum;
        if best.is_none_or(|(least, ..)| error < least) {
            best = Some((error, k, s));
        }
    }
    let (_, k, s) = best?;
    let mut levels = vec![None; weights.len()];
    order[..k].iter().for_each(|&index| levels[index] = Some(0));
    Some((s, levels))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(seed);
        let uniform = |rng: &mut StdRng| rng.random::<f32>() - 0.5;
        (0..count).map(|_| (0..4).map(|_| uniform(&mut rng)).sum()).collect()
    }

    fn error(weights: &[f32], projected: &[f32]) -> f64 {
        weights.iter().zip(projected).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    #[test]
    fn ternary_weights_are_the_best_of_all() {
        for seed in 0..40 {
            let weights = random(9, seed);
            let found = PowerOfTwo::new(2).unwrap().project_values(&weights);
            let least = error(&weights, &found.values);
            // Every choice of signs and zeros at every exponent.
            for s in -6..4 {
                for code in 0..3usize.pow(9) {
                    let digit = |at: u32| (code / 3usize.pow(at) % 3) as f32 - 1.0;
                    let candidate: Vec<f32> = (0..9).map(|at| digit(at) * 2f32.powi(s)).collect();
                    assert!(error(&weights, &candidate) >= least - 1e-9);
                }
            }
        }
    }

    #[test]
    fn the_exponent_is_the_best_for_the_assignment() {
        for (seed, bits) in (0..30).flat_map(|seed| (3..=6).map(move |bits| (seed, bits))) {
            let weights = random(64, seed);
            let powers = PowerOfTwo::new(bits).unwrap().with_mu(0.75).unwrap();
            let found = powers.project_values(&weights);
            let least = error(&weights, &found.values);
            for shift in [0.25, 0.5, 2.0, 4.0] {
                let other: Vec<f32> = found.values.iter().map(|value| value * shift).collect();
                assert!(error(&weights, &other) >= least - 1e-9, "{bits} bits, {shift}");
            }
        }
    }

    #[test]
    fn every_weight_goes_to_its_nearest_level_at_the_best_exponent() {
        for (seed, bits) in (0..30).flat_map(|seed| (3..=6).map(move |bits| (seed, bits))) {
            let weights = random(50, seed);
            let powers = PowerOfTwo::new(bits).unwrap();
            let found = powers.project_values(&weights);
            let nearest = |s: i32| -> Vec<f32> {
                let magnitudes: Vec<f32> = (0..powers.levels())
                    .map(|t| 2f32.powi(s - t))
                    .flat_map(|value| [value, -value])
                    .chain([0.0])
                    .collect();
                let near = |weight: &f32| {
                    let distance = |value: &&f32| (**value - weight).abs();
                    *magnitudes.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
                };
                weights.iter().map(near).collect()
            };
            let least =
                (-12..5).map(|s| error(&weights, &nearest(s))).min_by(f64::total_cmp).unwrap();
            let difference = (error(&weights, &found.values) - least).abs();
            assert!(difference < 1e-9, "{bits} bits, seed {seed}: {difference}");
            let rule = powers.with_mu(0.75).unwrap().project_values(&weights);
            assert!(error(&weights, &rule.values) >= least - 1e-9);
        }
        // Two bits the same way are what sorting finds.
        for seed in 0..30 {
            let weights = random(40, seed);
            let powers = PowerOfTwo::new(2).unwrap();
            let (s, levels) = powers.nearest(&weights).unwrap();
            let sorted = powers.project_values(&weights);
            let value =
                |(w, level): (&f32, &Option<i32>)| level.map_or(0.0, |_| 2f32.powi(s).copysign(*w));
            let nearest: Vec<f32> = weights.iter().zip(&levels).map(value).collect();
            assert!((error(&weights, &nearest) - error(&weights, &sorted.values)).abs() < 1e-9);
        }
    }

    #[test]
    fn more_bits_have_more_levels_and_less_error() {
        let weights = random(4096, 7);
        let mut last = f64::INFINITY;
        for bits in 2..=6u32 {
            let found = PowerOfTwo::new(bits).unwrap().project_values(&weights);
            let magnitudes: BTreeSet<u32> =
                found.values.iter().map(|value| value.abs().to_bits()).collect();
            assert!(magnitudes.len() as i32 <= (1 << (bits - 2)) + 1);
            let error = error(&weights, &found.values);
            assert!(error <= last, "{bits} bits: {error} after {last}");
            last = error;
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for bits in 2..=6 {
            let found = PowerOfTwo::new(bits).unwrap().project_values(&[0.0; 5]);
            assert_eq!(found, Projection { exponent: None, values: vec![0.0; 5] });
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bits in [0, 1, 7, 8] {
            let error = PowerOfTwo::new(bits).unwrap_err().to_string();
            assert!(error.contains("2 to 6"), "{error}");
        }
        let error = PowerOfTwo::new(4).unwrap().with_mu(0.0).unwrap_err().to_string();
        assert!(error.contains("`mu`"), "{error}");
    }
}
