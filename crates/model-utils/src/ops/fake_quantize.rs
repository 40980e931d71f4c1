//! Rounding to the real numbers that integers stand for.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Scalar, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::host::{Array, Host, Kernel, three};
use super::kernels::parallel::channel_sums;

/// The integers that a [fake quantization](fake_quantize) rounds to, and how it is learned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FakeQuantize {
    /// The axis with a scale a place; `None` where one scale holds for the whole tensor.
    pub axis: Option<usize>,
    /// The least integer, 0 or below.
    pub least: i64,
    /// The largest integer, 0 or above.
    pub largest: i64,
    /// What the gradients of scale and zero point are multiplied by: `1 / √(N · largest)` for N
    /// elements a scale, as LSQ has it (Esser et al. 2020, <https://arxiv.org/abs/1902.08153>).
    pub gradient_scale: f64,
}

/// The least scale that is divided by; what is learned may fall below it.
const LEAST_SCALE: f32 = f32::EPSILON;

/// Rounds `x` of any shape to the real numbers that integers stand for:
///
/// ```math
/// \hat x = s\,(q - z), \qquad
/// q = \operatorname{clamp}\big(\lfloor x / s \rceil + z,\; q_{\min},\; q_{\max}\big)
/// ```
///
/// with a scale s and a zero point z, `[1]` each, or `[places of the axis]`; z is rounded and
/// clamped first. Halves are rounded to even. The gradient is that of
/// `torch._fake_quantize_learnable_per_tensor_affine`: straight through to `x` where q is not
/// clamped, and with g = `gradient_scale`
///
/// ```math
/// \frac{\partial \hat x}{\partial s} = g \cdot \begin{cases}
///   q - z - x / s & \text{not clamped} \\ q - z & \text{clamped}
/// \end{cases} \qquad
/// \frac{\partial \hat x}{\partial z} = g \cdot \begin{cases}
///   0 & \text{not clamped} \\ -s & \text{clamped}
/// \end{cases}
/// ```
///
/// NaN stays NaN. A scale below 2⁻²³ counts as 2⁻²³.
///
/// # Panics
///
/// Where scale and zero point have not as many places as the axis.
pub fn fake_quantize<const D: usize>(
    x: Tensor<D>,
    scale: Tensor<1>,
    zero_point: Tensor<1>,
    how: FakeQuantize,
) -> Tensor<D> {
    let (input, steps) = (x.shape(), [scale.dims(), zero_point.dims()]);
    let places = how.axis.map_or(Some(1), |axis| input.get(axis).copied());
    assert!(
        places.is_some_and(|places| steps == [[places], [places]]),
        "fake_quantize: input {input:?}, scale {:?} and zero point {:?} do not fit along {:?}",
        steps[0],
        steps[1],
        how.axis
    );
    three(how, x, scale, zero_point).unwrap_or_else(|(x, scale, zero_point)| {
        Tensor::from_dispatch(composed(
            x.into_dispatch(),
            scale.into_dispatch(),
            zero_point.into_dispatch(),
            how,
        ))
    })
}

/// Of general operations, on any device and for any rank.
fn composed(
    x: DispatchTensor,
    scale: DispatchTensor,
    zero_point: DispatchTensor,
    how: FakeQuantize,
) -> DispatchTensor {
    let FakeQuantize { axis, least, largest, gradient_scale } = how;
    let of = Scalar::Float;
    // Beside the input, so that they repeat along the other axes.
    let mut beside = vec![1; x.shape().num_dims()];
    if let Some(axis) = axis {
        beside[axis] = x.shape()[axis];
    }
    let beside = |steps| Dispatch::float_reshape(steps, Shape::from(beside.clone()));
    // The value of `to` with the gradient of `x`.
    let through = |x: DispatchTensor, to: DispatchTensor| {
        let difference = Dispatch::float_detach(Dispatch::float_sub(to, x.clone()));
        Dispatch::float_add(x, difference)
    };
    let slowed = |x: DispatchTensor| {
        let slow = Dispatch::float_mul_scalar(x.clone(), of(gradient_scale));
        through(slow, x)
    };
    let scale = Dispatch::float_clamp_min(slowed(beside(scale)), of(f64::from(LEAST_SCALE)));
    let zero_point = slowed(beside(zero_point));
    let whole = Dispatch::float_clamp(
        Dispatch::float_round(zero_point.clone()),
        of(least as f64),
        of(largest as f64),
    );
    let zero_point = through(zero_point, whole);
    let steps = Dispatch::float_mul(x, Dispatch::float_recip(scale.clone()));
    let rounded = through(steps.clone(), Dispatch::float_round(steps));
    let integers = Dispatch::float_clamp(
        Dispatch::float_add(rounded, zero_point.clone()),
        of(least as f64),
        of(largest as f64),
    );
    Dispatch::float_mul(Dispatch::float_sub(integers, zero_point), scale)
}

impl Kernel<3> for FakeQuantize {
    /// Input, scale, zero point.
    type Saved<B: Host> = [Array<B>; 3];

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; 3],
        saves: bool,
    ) -> (Array<B>, Option<[Array<B>; 3]>) {
        let saved = saves.then(|| inputs.clone());
        let [x, scale, zero_point] = inputs;
        let (places, inner) = places(&x.shape(), scale.numbers(), zero_point.numbers(), *self);
        let output = x.changed(|at, numbers| {
            by_place((&places, inner), at, numbers, |place, _, numbers| {
                for x in numbers {
                    *x = place.round(*x);
                }
            });
        });
        (output, saved)
    }

    fn backward<B: Host>(
        &self,
        [x, scale, zero_point]: [Array<B>; 3],
        gradient: Array<B>,
        wanted: [bool; 3],
    ) -> [Option<Array<B>>; 3] {
        let (places, inner) = places(&x.shape(), scale.numbers(), zero_point.numbers(), *self);
        let from = x.numbers();
        let [mut of_scale, mut of_zero_point] = [None, None];
        if wanted[1] || wanted[2] {
            let sums = steps(gradient.numbers(), from, (&places, inner), self.gradient_scale);
            let [scales, zero_points] = sums.map(|sums| Array::new(sums, scale.shape()));
            (of_scale, of_zero_point) = (Some(scales), Some(zero_points));
        }
        let of_x = gradient.changed(|at, numbers| {
            by_place((&places, inner), at, numbers, |place, at, numbers| {
                for (gradient, &x) in numbers.iter_mut().zip(&from[at..]) {
                    *gradient = if place.holds(place.integer(x)) { *gradient } else { 0.0 };
                }
            });
        });
        [Some(of_x), of_scale, of_zero_point]
    }
}

/// Numbers whose gradients are summed up at once.
const CHUNK: usize = 1 << 12;

/// The numbers of one place of the axis.
#[derive(Clone, Copy)]
struct Place {
    scale: f32,
    inverse: f32,
    zero: f32,
    least: f32,
    largest: f32,
}

impl Place {
    /// The integer before it is clamped.
    #[inline(always)]
    fn integer(self, x: f32) -> f32 {
        (x * self.inverse).round_ties_even() + self.zero
    }

    #[inline(always)]
    fn round(self, x: f32) -> f32 {
        (self.integer(x).clamp(self.least, self.largest) - self.zero) * self.scale
    }

    #[inline(always)]
    fn holds(self, integer: f32) -> bool {
        integer >= self.least && integer <= self.largest
    }

    /// The derivatives by scale and zero point.
    #[inline(always)]
    fn derivatives(self, x: f32) -> [f32; 2] {
        let integer = self.integer(x);
        if self.holds(integer) {
            [integer - self.zero - x * self.inverse, 0.0]
        } else {
            [integer.clamp(self.least, self.largest) - self.zero, -self.scale]
        }
    }
}

/// The places, and how many numbers of each lie side by side.
fn places(
    shape: &[usize],
    scale: &[f32],
    zero_point: &[f32],
    how: FakeQuantize,
) -> (Vec<Place>, usize) {
    let (least, largest) = (how.least as f32, how.largest as f32);
    let places = scale.iter().zip(zero_point);
    let place = |(&scale, &zero): (&f32, &f32)| {
        let scale = scale.max(LEAST_SCALE);
        let zero = zero.round_ties_even().clamp(least, largest);
        Place { scale, inverse: scale.recip(), zero, least, largest }
    };
    let inner = how.axis.map_or(1, |axis| shape[axis + 1..].iter().product());
    (places.map(place).collect(), inner)
}

/// Calls `change(place, numbers from, numbers to)` for numbers of one place side by side.
#[inline(always)]
fn by_place(
    (places, inner): (&[Place], usize),
    at: usize,
    numbers: &mut [f32],
    change: impl Fn(Place, usize, &mut [f32]),
) {
    if let [place] = places {
        return change(*place, at, numbers);
    }
    let inner = inner.max(1);
    let mut done = 0;
    while done < numbers.len() {
        let index = at + done;
        let run = (inner - index % inner).min(numbers.len() - done);
        change(places[index / inner % places.len()], index, &mut numbers[done..done + run]);
        done += run;
    }
}

/// The gradients of scales and zero points.
fn steps(
    gradient: &[f32],
    x: &[f32],
    (places, inner): (&[Place], usize),
    gradient_scale: f64,
) -> [Vec<f32>; 2] {
    let sum = |place: Place, range: std::ops::Range<usize>| {
        gradient[range.clone()].iter().zip(&x[range]).fold([0.0; 2], |[s, z], (g, &x)| {
            let [of_scale, of_zero] = place.derivatives(x);
            [s + g * of_scale, z + g * of_zero]
        })
    };
    let sums: Vec<[f64; 2]> = if let [place] = places {
        // Many short sums, then theirs: exact enough, and shared among the cores.
        let chunks = x.len() / CHUNK;
        let mut sums = channel_sums([1, chunks, CHUNK], |_, range| sum(*place, range));
        sums.push(sum(*place, chunks * CHUNK..x.len()).map(f64::from));
        vec![sums.iter().fold([0.0; 2], |[s, z], [of_s, of_z]| [s + of_s, z + of_z])]
    } else {
        let outer = x.len() / (places.len() * inner).max(1);
        channel_sums([outer, places.len(), inner], |place, range| sum(places[place], range))
    };
    [0, 1].map(|part| sums.iter().map(|sum| (sum[part] * gradient_scale) as f32).collect())
}
