//! Rounding to the real numbers that integers stand for, one pass forward and one back.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::{Flex, TensorMetadata};

use super::parallel::channel_sums;
use super::{CHUNK, FlexTensor, changed, tensor};
use crate::ops::FakeQuantize;
use crate::ops::fake_quantize::LEAST_SCALE;

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
    scale: &FlexTensor,
    zero_point: &FlexTensor,
    how: FakeQuantize,
) -> (Vec<Place>, usize) {
    let (least, largest) = (how.least as f32, how.largest as f32);
    let (scale, zero_point) = (scale.to_contiguous(), zero_point.to_contiguous());
    let places = scale.storage::<f32>().iter().zip(zero_point.storage::<f32>());
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

pub(super) fn forward(
    x: FlexTensor,
    scale: FlexTensor,
    zero_point: FlexTensor,
    how: FakeQuantize,
) -> FlexTensor {
    let (places, inner) = places(&x.shape(), &scale, &zero_point, how);
    changed(x, |at, numbers| {
        by_place((&places, inner), at, numbers, |place, _, numbers| {
            for x in numbers {
                *x = place.round(*x);
            }
        });
    })
}

/// The gradients of the input and, where they are wanted, of scale and zero point.
fn backward(
    gradient: FlexTensor,
    x: FlexTensor,
    (scale, zero_point): (FlexTensor, FlexTensor),
    how: FakeQuantize,
    wants_steps: bool,
) -> (FlexTensor, Option<[FlexTensor; 2]>) {
    let shape = x.shape().to_vec();
    let (places, inner) = places(&shape, &scale, &zero_point, how);
    let x = x.to_contiguous();
    let from = x.storage::<f32>();
    let of_steps = wants_steps.then(|| {
        let gradient = gradient.to_contiguous();
        let gradient = gradient.storage::<f32>();
        steps(gradient, from, (&places, inner), how.gradient_scale)
    });
    let of_x = changed(gradient, |at, numbers| {
        by_place((&places, inner), at, numbers, |place, at, numbers| {
            for (gradient, &x) in numbers.iter_mut().zip(&from[at..]) {
                *gradient = if place.holds(place.integer(x)) { *gradient } else { 0.0 };
            }
        });
    });
    (of_x, of_steps)
}

#[derive(Debug)]
pub(super) struct FakeQuantizeBackward;

impl Backward<Flex, 3> for FakeQuantizeBackward {
    /// Input, scale, zero point.
    type State = (NodeId, FlexTensor, FlexTensor, FakeQuantize);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (x, scale, zero_point, how) = ops.state;
        let x = checkpointer.retrieve_node_output::<FlexTensor>(x);
        let wants_steps = ops.parents[1].is_some() || ops.parents[2].is_some();
        let (of_x, of_steps) = backward(gradient, x, (scale, zero_point), how, wants_steps);
        let [of_scale, of_zero_point] = match of_steps {
            Some(gradients) => gradients.map(Some),
            None => [None, None],
        };
        for (node, gradient) in ops.parents.into_iter().zip([Some(of_x), of_scale, of_zero_point]) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// The gradients of scales and zero points.
fn steps(
    gradient: &[f32],
    x: &[f32],
    (places, inner): (&[Place], usize),
    gradient_scale: f64,
) -> [FlexTensor; 2] {
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
    [0, 1].map(|part| {
        let sums: Vec<f32> = sums.iter().map(|sum| (sum[part] * gradient_scale) as f32).collect();
        let places = sums.len();
        tensor(sums, [places])
    })
}
