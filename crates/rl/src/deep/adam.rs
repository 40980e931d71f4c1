use model_utils::ops::vectorised;

use super::network::Network;

/// Adam (Kingma and Ba 2015) over weights that lie on the host, in one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    epsilon: f32,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
}

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;

impl Adam {
    /// For so many weights.
    pub fn new(weights: usize, epsilon: f32) -> Self {
        Self { epsilon, first: vec![0.0; weights], second: vec![0.0; weights], steps: 0 }
    }

    /// Moves the weights of some parts against their gradients, which are one after the other.
    pub fn step(&mut self, parts: &mut [&mut [f32]], gradients: &[f32], learning_rate: f64) {
        self.steps += 1;
        let steps = self.steps.min(i32::MAX as u64) as i32;
        let correct_1 = 1.0 - f64::from(BETA_1).powi(steps);
        let correct_2 = 1.0 - f64::from(BETA_2).powi(steps);
        let size = (learning_rate / correct_1) as f32;
        let scale = (1.0 / correct_2.sqrt()) as f32;
        let rule = Rule { size, scale, epsilon: self.epsilon };
        let mut at = 0;
        for part in parts {
            let range = at..at + part.len();
            at = range.end;
            let (first, second) = (&mut self.first[range.clone()], &mut self.second[range.clone()]);
            vectorised(|| rule.apply(part, first, second, &gradients[range]));
        }
    }

    /// Its moments and steps, for saving.
    pub(super) fn columns(&self, name: &str) -> Vec<(String, Vec<f32>)> {
        let steps = [(self.steps >> 24) as f32, (self.steps & 0xFF_FFFF) as f32];
        vec![
            (format!("{name}_first"), self.first.clone()),
            (format!("{name}_second"), self.second.clone()),
            (format!("{name}_steps"), steps.to_vec()),
        ]
    }

    /// Takes them up again; whether they fit.
    pub(super) fn restore(
        &mut self,
        name: &str,
        mut column: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> bool {
        let mut take = |kind: &str| column(&format!("{name}_{kind}"));
        let (Some(first), Some(second), Some(steps)) =
            (take("first"), take("second"), take("steps"))
        else {
            return false;
        };
        if !first.iter().chain(&second).chain(&steps).all(|x| x.is_finite()) {
            return false;
        }
        let [high, low] = steps[..] else { return false };
        if (first.len(), second.len()) != (self.first.len(), self.second.len()) {
            return false;
        }
        self.steps = ((high as u64) << 24) | low as u64;
        (self.first, self.second) = (first, second);
        true
    }
}

/// One step's numbers.
struct Rule {
    size: f32,
    scale: f32,
    epsilon: f32,
}

/// Weights taken side by side.
const LANES: usize = 16;
/// Moments below this are 0: processors take many times longer over subnormal numbers, which the
/// moments of weights without gradients would become.
const TINY: f32 = 1e-30;

impl Rule {
    #[inline(always)]
    #[allow(clippy::inline_always)] // Becomes vector code only where it is inlined.
    fn apply(&self, weights: &mut [f32], first: &mut [f32], second: &mut [f32], gradients: &[f32]) {
        let (weights, rest_weights) = weights.as_chunks_mut::<LANES>();
        let (first, rest_first) = first.as_chunks_mut::<LANES>();
        let (second, rest_second) = second.as_chunks_mut::<LANES>();
        let (gradients, rest_gradients) = gradients.as_chunks::<LANES>();
        for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradients) {
            for lane in 0..LANES {
                self.one(&mut w[lane], &mut m[lane], &mut v[lane], g[lane]);
            }
        }
        let rest = rest_weights.iter_mut().zip(rest_first).zip(rest_second).zip(rest_gradients);
        for (((w, m), v), g) in rest {
            self.one(w, m, v, *g);
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // Becomes vector code only where it is inlined.
    fn one(&self, w: &mut f32, m: &mut f32, v: &mut f32, g: f32) {
        let first = *m + (1.0 - BETA_1) * (g - *m);
        let second = *v + (1.0 - BETA_2) * (g * g - *v);
        *m = if first.abs() < TINY { 0.0 } else { first };
        *v = if second < TINY { 0.0 } else { second };
        *w -= self.size * *m / (v.sqrt() * self.scale + self.epsilon);
    }
}

/// Scales gradients so that their common L2 norm is at most `most`; the norm before.
pub fn clip(gradients: &mut [f32], most: f64) -> f64 {
    let norm = vectorised(|| {
        // Sums side by side become vectors.
        let mut sums = [0.0_f32; 4 * LANES];
        let (chunks, rest) = gradients.as_chunks::<{ 4 * LANES }>();
        for chunk in chunks {
            for lane in 0..4 * LANES {
                sums[lane] += chunk[lane] * chunk[lane];
            }
        }
        let rest = rest.iter().map(|g| g * g).sum();
        sums.iter().chain(&[rest]).map(|x| f64::from(*x)).sum::<f64>().sqrt()
    });
    let factor = (most / (norm + 1e-6)).min(1.0) as f32;
    if factor < 1.0 {
        vectorised(|| gradients.iter_mut().for_each(|g| *g *= factor));
    }
    norm
}

/// One step for some networks at once.
pub(super) fn step_all(
    adam: &mut Adam,
    networks: &mut [&mut Network],
    gradients: &[f32],
    learning_rate: f64,
) {
    let mut parts: Vec<&mut [f32]> = networks.iter_mut().map(|n| n.values_mut()).collect();
    adam.step(&mut parts, gradients, learning_rate);
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
    use burn::tensor::{Tensor, TensorData};
    use model_utils::ops::{self, clip_grad_norm};
    use model_utils_core::random::Random;

    use super::*;

    #[derive(Module, Debug)]
    struct Vector {
        weights: Param<Tensor<1>>,
    }

    #[test]
    fn steps_as_burn_does() {
        let device = "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap();
        let device = device.autodiff();
        let mut random = Random::new(3);
        let mut draw = |n: usize| (0..n).map(|_| random.normal() as f32).collect::<Vec<f32>>();
        let tensor = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [19]), &device)
        };
        let mut ours = draw(19);
        let mut theirs = Vector { weights: Param::from_tensor(tensor(&ours)) };
        let mut optimizer: ModuleOptimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let mut adam = Adam::new(19, 1e-8);
        for _ in 0..20 {
            let mut gradient = draw(19);
            let loss = (theirs.weights.val() * tensor(&gradient)).sum();
            let grads = GradientsParams::from_grads(loss.backward(), &theirs);
            let (grads, norm) = clip_grad_norm(&theirs, grads, 2.0);
            theirs = optimizer.step(0.01, theirs, grads);
            let norm = f64::from(ops::to_vec(norm)[0]);
            assert!((clip(&mut gradient, 2.0) - norm).abs() < 1e-4 * norm);
            let (a, b) = ours.split_at_mut(7);
            adam.step(&mut [a, b], &gradient, 0.01);
        }
        for (a, b) in ours.iter().zip(ops::to_vec(theirs.weights.val())) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
