//! Where cases come from.

use model_utils::random::{Random, mix};

use crate::array::{Array, Layout};
use crate::case::{Input, Role};

/// Draws the numbers of one case.
pub struct Draw {
    random: Random,
    /// Whether the case is one of the few large ones, which reach what is divided among threads.
    pub large: bool,
    /// Whether the batch may hold numbers that are not finite.
    wild: bool,
}

/// One of so many cases is large, beginning with this one.
const LARGE: (u64, u64) = (251, 17);

impl Draw {
    /// For the case of this number of an operation.
    pub fn new(operation: &str, number: u64) -> Self {
        let name = operation.bytes().fold(0, |name, byte| mix(name, u64::from(byte)));
        let mut random = Random::new(mix(name, number));
        let wild = random.bernoulli(0.15);
        Self { random, large: number % LARGE.0 == LARGE.1, wild }
    }

    /// The same, of finite numbers alone.
    pub fn tamed(&mut self) -> &mut Self {
        self.wild = false;
        self
    }

    /// Even in `least..=most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.random.below(most + 1 - least)
    }

    /// Even in `1..=most`, now and then in `1..=wide`.
    pub fn length(&mut self, most: usize, wide: usize) -> usize {
        let most = if self.chance(0.1) { wide } else { most };
        self.between(1, most)
    }

    pub fn pair(&mut self, least: usize, most: usize) -> [usize; 2] {
        [self.between(least, most), self.between(least, most)]
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.random.bernoulli(probability)
    }

    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.random.below(among.len())].clone()
    }

    pub fn uniform(&mut self, from: f64, to: f64) -> f64 {
        self.random.uniform_in(from..to)
    }

    /// So many parts that a width doesn't fall into.
    pub fn no_divisor(&mut self, width: usize) -> usize {
        if width > 2 { self.pick(&[width - 1, width + 1]) } else { width + 1 }
    }

    /// The length of a batch: 1 and 0 more often than by chance.
    pub fn batch(&mut self, most: usize) -> usize {
        match self.between(0, 19) {
            0 => 0,
            1..5 => 1,
            _ => self.between(1, most),
        }
    }

    /// A rank-D shape of few numbers, or of more than 65,536; seldom with an empty axis.
    pub fn shape(&mut self, rank: usize) -> Vec<usize> {
        let most = [40, 12, 6, 4][rank - 1];
        let mut shape: Vec<usize> = (0..rank).map(|_| self.between(1, most)).collect();
        let axis = self.between(0, rank - 1);
        if self.large {
            let others: usize = shape.iter().product::<usize>() / shape[axis];
            shape[axis] = (65_537 + self.between(0, 3000)).div_ceil(others);
        } else if self.chance(0.03) {
            shape[axis] = 0;
        }
        shape
    }

    /// Normal numbers.
    pub fn array(&mut self, shape: &[usize]) -> Array {
        let count = shape.iter().product();
        let values = (0..count).map(|_| self.random.normal() as f32).collect();
        Array { shape: shape.to_vec(), values }
    }

    /// How a tensor of this shape lies in memory.
    pub fn layout(&mut self, shape: &[usize]) -> Layout {
        let axis = self.between(0, shape.len() - 1);
        match self.between(0, 9) {
            0 | 1 if shape.len() > 1 => {
                let other = (axis + self.between(1, shape.len() - 1)) % shape.len();
                Layout::Swapped(axis, other)
            }
            2 if shape[axis] > 0 => Layout::Narrowed(axis, self.between(0, 3), self.between(0, 3)),
            3 if shape[axis] > 0 => Layout::Stepped(axis, self.between(2, 3)),
            _ => Layout::Plain,
        }
    }

    /// What is learned: finite numbers.
    pub fn weight(&mut self, name: &'static str, shape: &[usize]) -> Input {
        let array = self.array(shape);
        self.input(name, Role::Weight, array)
    }

    /// What comes with the batch; in some cases with ±∞, NaN and −0 among it.
    pub fn batch_input(&mut self, name: &'static str, shape: &[usize]) -> Input {
        let mut array = self.array(shape);
        if self.wild {
            for value in &mut array.values {
                if self.random.bernoulli(0.1) {
                    *value = self.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0]);
                }
            }
        }
        self.input(name, Role::Batch, array)
    }

    /// An input of these numbers.
    pub fn input(&mut self, name: &'static str, role: Role, array: Array) -> Input {
        let layout = self.layout(&array.shape);
        Input { name, role, array, layout }
    }
}
