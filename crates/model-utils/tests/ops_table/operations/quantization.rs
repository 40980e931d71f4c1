//! Fake quantization.

use model_utils::ops::{self, FakeQuantize};

use crate::array::{Array, Block};
use crate::case::{Answer, Call, Case, Given, Operation, Role};
use crate::draw::Draw;
use crate::run::Run;

pub fn operations() -> [Operation; 1] {
    [Operation {
        name: "fake_quantize",
        generate: |draw| fake_quantize(draw, false),
        misfit: Some(|draw| fake_quantize(draw, true)),
    }]
}

#[derive(Debug)]
struct Rounding {
    rank: usize,
    how: FakeQuantize,
}

/// What a scale counts as at least.
const LEAST_SCALE: f64 = f32::EPSILON as f64;

fn fake_quantize(draw: &mut Draw, misfit: bool) -> Case {
    let rank = draw.between(1, 4);
    let shape = draw.shape(rank);
    let axis = draw.chance(0.6).then(|| draw.between(0, rank - 1));
    let (least, largest) = draw.pick(&[(-128, 127), (0, 255), (-8, 7), (-127, 127), (0, 15)]);
    let elements = shape.iter().product::<usize>().max(1) as f64;
    let gradient_scale = draw.pick(&[1.0, (elements * largest as f64).sqrt().recip()]);
    let places = axis.map_or(1, |axis| shape[axis]);
    // Scales of powers of 2 leave halves exact.
    let exact = draw.chance(0.3);
    let scales: Vec<f32> =
        (0..places)
            .map(|_| {
                if exact { draw.pick(&[0.125, 0.25, 0.5]) } else { draw.uniform(0.02, 0.5) as f32 }
            })
            .collect();
    let zero_points: Vec<f32> = (0..places)
        .map(|_| {
            let outside = if draw.chance(0.05) { 300.0 } else { 0.0 };
            let whole = draw.uniform(least as f64, largest as f64).round() + outside;
            (whole + draw.uniform(-0.3, 0.3)) as f32
        })
        .collect();
    let mut x = draw.batch_input("x", &shape);
    let mut numbers = x.array.values.iter_mut();
    crate::array::for_each_index(&shape, |index| {
        let scale = scales[axis.map_or(0, |axis| index[axis])];
        let x = numbers.next().expect("a number");
        if x.is_finite() {
            // Far enough from a half for float32 to round as float64 does, or on it.
            let steps = draw.uniform(1.3 * least as f64 - 2.0, 1.3 * largest as f64 + 2.0).round();
            let half = exact && draw.chance(0.1);
            let part = if half { 0.5 } else { draw.uniform(-0.4, 0.4) };
            *x = (f64::from(scale) * (steps + part)) as f32;
        }
    });
    let mut shape = vec![places];
    if misfit {
        shape = vec![places + draw.between(1, 2)];
    }
    let of = |mut values: Vec<f32>| {
        values.resize(shape[0], 1.0);
        Array { shape: shape.clone(), values }
    };
    let inputs = vec![
        x,
        draw.input("scale", Role::Weight, of(scales)),
        draw.input("zero point", Role::Weight, of(zero_points)),
    ];
    Case::new(inputs, Rounding { rank, how: FakeQuantize { axis, least, largest, gradient_scale } })
}

impl Rounding {
    fn run<const D: usize>(&self, run: &mut Run) {
        let (x, scale, zero_point) = (run.tensor::<D>(0), run.tensor(1), run.tensor(2));
        run.output("output", ops::fake_quantize(x, scale, zero_point, self.how));
    }
}

impl Call for Rounding {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let FakeQuantize { axis, least, largest, gradient_scale } = self.how;
        let (least, largest) = (least as f64, largest as f64);
        let x = &inputs[0];
        let y = Block::of(&x.shape, |index| {
            let place = axis.map_or(0, |axis| index[axis]);
            let (x, scale, zero) = (x.at(index), inputs[1].at(&[place]), inputs[2].at(&[place]));
            let (s, z) =
                (scale.value.max(LEAST_SCALE), zero.value.round_ties_even().clamp(least, largest));
            let steps = x.value / s;
            let unclamped = steps.round_ties_even() + z;
            let q = unclamped.clamp(least, largest);
            let clamped = unclamped < least || unclamped > largest;
            let (of_x, of_scale, of_zero) =
                if clamped { (0.0, q - z, -s) } else { (1.0, q - z - steps, 0.0) };
            x.function(s * (q - z), of_x)
                + scale.function(0.0, gradient_scale * of_scale)
                + zero.function(0.0, gradient_scale * of_zero)
        });
        vec![Answer::output("output", y)]
    }

    fn ours(&self, run: &mut Run) {
        match self.rank {
            1 => self.run::<1>(run),
            2 => self.run::<2>(run),
            3 => self.run::<3>(run),
            _ => self.run::<4>(run),
        }
    }

    /// Of up to 255 steps only the part behind the point is left in a scale's gradient.
    fn slack(&self) -> f64 {
        16.0
    }
}
