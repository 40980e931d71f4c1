//! Scalars in float64 that remember how they came about: the oracle's arithmetic and its gradients.

use std::cell::RefCell;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What was computed, in order.
#[derive(Default)]
pub struct Tape {
    nodes: RefCell<Vec<Node>>,
}

/// A number, made of at most two others with these derivatives.
struct Node {
    of: [(u32, f64); 2],
}

/// The place of what is no function of the inputs.
const NOWHERE: u32 = u32::MAX;

/// A number on a tape.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    place: u32,
    /// Its value.
    pub value: f64,
}

impl Tape {
    /// A number whose gradient is asked for.
    pub fn input(&self, value: f64) -> Var<'_> {
        self.push(value, [(NOWHERE, 0.0); 2])
    }

    /// A number that no gradient reaches.
    pub fn constant(&self, value: f64) -> Var<'_> {
        Var { tape: self, place: NOWHERE, value }
    }

    fn push(&self, value: f64, of: [(u32, f64); 2]) -> Var<'_> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { of });
        Var { tape: self, place: nodes.len() as u32 - 1, value }
    }

    fn derived(&self, value: f64, of: [(u32, f64); 2]) -> Var<'_> {
        if of.iter().all(|&(place, _)| place == NOWHERE) {
            return self.constant(value);
        }
        self.push(value, of)
    }

    /// The gradient of Σ weight · number, of every number of the tape.
    pub fn gradients(&self, weighted: impl IntoIterator<Item = (f64, u32)>) -> Vec<f64> {
        let nodes = self.nodes.borrow();
        let mut gradients = vec![0.0; nodes.len()];
        for (weight, place) in weighted {
            if place != NOWHERE {
                gradients[place as usize] += weight;
            }
        }
        for (at, node) in nodes.iter().enumerate().rev() {
            let gradient = gradients[at];
            // Where no gradient comes, 0 · ∞ does not count.
            if gradient != 0.0 {
                for (place, slope) in node.of {
                    if place != NOWHERE {
                        gradients[place as usize] += gradient * slope;
                    }
                }
            }
        }
        gradients
    }
}

impl<'t> Var<'t> {
    /// Its place on the tape.
    pub fn place(self) -> u32 {
        self.place
    }

    /// A function of one number, by its value and derivative.
    pub fn function(self, value: f64, slope: f64) -> Var<'t> {
        self.tape.derived(value, [(self.place, slope), (NOWHERE, 0.0)])
    }

    fn binary(self, other: Var<'t>, value: f64, slopes: [f64; 2]) -> Var<'t> {
        self.tape.derived(value, [(self.place, slopes[0]), (other.place, slopes[1])])
    }

    pub fn exp(self) -> Var<'t> {
        let value = self.value.exp();
        self.function(value, value)
    }

    pub fn ln(self) -> Var<'t> {
        self.function(self.value.ln(), self.value.recip())
    }

    pub fn sqrt(self) -> Var<'t> {
        let value = self.value.sqrt();
        self.function(value, 0.5 / value)
    }

    pub fn tanh(self) -> Var<'t> {
        let value = self.value.tanh();
        self.function(value, 1.0 - value * value)
    }

    pub fn sigmoid(self) -> Var<'t> {
        let value = 1.0 / (1.0 + (-self.value).exp());
        self.function(value, value * (1.0 - value))
    }

    /// The same number, which no gradient passes.
    pub fn detached(self) -> Var<'t> {
        self.tape.constant(self.value)
    }

    /// The first largest of several; NaN is larger than any number.
    pub fn largest(several: impl IntoIterator<Item = Var<'t>>) -> Option<Var<'t>> {
        several.into_iter().reduce(|best, next| {
            let larger = next.value > best.value || next.value.is_nan();
            if larger && !best.value.is_nan() { next } else { best }
        })
    }
}

impl<'t> Add for Var<'t> {
    type Output = Var<'t>;
    fn add(self, other: Var<'t>) -> Var<'t> {
        self.binary(other, self.value + other.value, [1.0, 1.0])
    }
}

impl<'t> Sub for Var<'t> {
    type Output = Var<'t>;
    fn sub(self, other: Var<'t>) -> Var<'t> {
        self.binary(other, self.value - other.value, [1.0, -1.0])
    }
}

impl<'t> Mul for Var<'t> {
    type Output = Var<'t>;
    fn mul(self, other: Var<'t>) -> Var<'t> {
        self.binary(other, self.value * other.value, [other.value, self.value])
    }
}

impl<'t> Div for Var<'t> {
    type Output = Var<'t>;
    fn div(self, other: Var<'t>) -> Var<'t> {
        let value = self.value / other.value;
        self.binary(other, value, [other.value.recip(), -value / other.value])
    }
}

impl<'t> Neg for Var<'t> {
    type Output = Var<'t>;
    fn neg(self) -> Var<'t> {
        self.function(-self.value, -1.0)
    }
}

impl<'t> Add<f64> for Var<'t> {
    type Output = Var<'t>;
    fn add(self, other: f64) -> Var<'t> {
        self.function(self.value + other, 1.0)
    }
}

impl<'t> Mul<f64> for Var<'t> {
    type Output = Var<'t>;
    fn mul(self, other: f64) -> Var<'t> {
        self.function(self.value * other, other)
    }
}

impl<'t> Div<f64> for Var<'t> {
    type Output = Var<'t>;
    fn div(self, other: f64) -> Var<'t> {
        self.function(self.value / other, other.recip())
    }
}

/// A sum, which has at least one term.
impl<'t> Sum for Var<'t> {
    fn sum<I: Iterator<Item = Var<'t>>>(terms: I) -> Var<'t> {
        terms.reduce(|sum, term| sum + term).expect("a sum of at least one term")
    }
}

#[test]
fn gradients_are_those_of_small_differences() {
    let value = |tape: &Tape, [a, b]: [f64; 2]| {
        let (a, b) = (tape.input(a), tape.input(b));
        let c = (a * b + 1.5).sqrt() / (a - b * 0.25).exp() + (-a).tanh() * b.sigmoid();
        let d = c + (a * a + b * b).ln() / 3.0;
        let loss = [d, Var::largest([a, b, c]).unwrap() * 2.0].into_iter().sum::<Var>();
        (loss.value, tape.gradients([(1.0, loss.place())]))
    };
    let at = [0.7, 1.3];
    let (_, gradients) = value(&Tape::default(), at);
    for which in 0..2 {
        let moved = |by: f64| {
            let mut at = at;
            at[which] += by;
            value(&Tape::default(), at).0
        };
        let numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((numeric - gradients[which]).abs() < 1e-8, "{numeric} {}", gradients[which]);
    }
}
