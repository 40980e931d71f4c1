//! What was played lately, to learn from.

use model_utils_core::{ConfigError, config};

use crate::error::Result;
use crate::game::{Action, Symmetry};
use crate::random::Random;

/// The symmetries of a game as tables: where each point and each action goes.
#[derive(Debug, Clone)]
pub struct SymmetryTables {
    points: Vec<Vec<usize>>,
    actions: Vec<Vec<usize>>,
}

impl SymmetryTables {
    /// The tables of a game.
    pub fn new<G: Symmetry>(game: &G) -> Self {
        let [_, height, width] = game.shape();
        let all = || 0..game.symmetries().max(1);
        let points = |symmetry| {
            (0..height * width).map(|point| game.transform_point(symmetry, point)).collect()
        };
        let actions = |symmetry| {
            (0..game.actions() as Action)
                .map(|action| usize::from(game.transform_action(symmetry, action)))
                .collect()
        };
        Self { points: all().map(points).collect(), actions: all().map(actions).collect() }
    }

    /// How many symmetries there are.
    #[allow(clippy::len_without_is_empty)] // There is always the identity.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Planes `[planes, height, width]` under a symmetry.
    pub fn transform_planes(&self, symmetry: usize, from: &[f32], to: &mut [f32]) {
        let points = &self.points[symmetry];
        let size = points.len();
        for (from, to) in from.chunks_exact(size).zip(to.chunks_exact_mut(size)) {
            for (value, &point) in from.iter().zip(points) {
                to[point] = *value;
            }
        }
    }

    /// A policy `[actions]` under a symmetry.
    pub fn transform_policy(&self, symmetry: usize, from: &[f32], to: &mut [f32]) {
        for (value, &action) in from.iter().zip(&self.actions[symmetry]) {
            to[action] = *value;
        }
    }
}

/// A batch of samples, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// `[batch, planes, height, width]`.
    pub planes: Vec<f32>,
    /// `[batch, actions]`: probabilities.
    pub policies: Vec<f32>,
    /// `[batch, values]`: as a net has them
    /// ([`PolicyValueConfig::values`](super::PolicyValueConfig::values)).
    pub values: Vec<f32>,
}

/// The latest positions: planes, the policy that a search found, what came of it.
///
/// Planes hold values from 0 to 1 and are kept in 255 steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    size: usize,
    actions: usize,
    window: usize,
    /// How many values a position has.
    width: usize,
    next: usize,
    planes: Vec<u8>,
    policies: Vec<f32>,
    values: Vec<f32>,
}

impl Replay {
    /// An empty window of so many positions, for planes of `size` numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a size of 0.
    pub fn new(size: usize, actions: usize, window: usize) -> Result<Self> {
        for (field, value) in [("size", size), ("actions", actions), ("window", window)] {
            config::at_least(field, value, 1)?;
        }
        let (planes, policies, values) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { size, actions, window, width: 1, next: 0, planes, policies, values })
    }

    /// The same for positions of so many values, 1 unless set, and empty.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for 0.
    pub fn with_values(self, values: usize) -> Result<Self> {
        config::at_least("values", values, 1)?;
        Ok(Self { width: values, ..Self::new(self.size, self.actions, self.window)? })
    }

    /// How many positions there are.
    pub const fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// How many values each has.
    pub const fn values(&self) -> usize {
        self.width
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a position; the oldest one goes where the window is full.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for planes outside 0..1 or slices of another length.
    pub fn push(&mut self, planes: &[f32], policy: &[f32], values: &[f32]) -> Result<()> {
        for (field, slice, len) in [
            ("planes", planes, self.size),
            ("policy", policy, self.actions),
            ("values", values, self.width),
        ] {
            config::require(slice.len() == len, field, slice.len(), len.to_string())?;
        }
        if let Some(wrong) = planes.iter().find(|plane| !(0.0..=1.0).contains(*plane)) {
            return Err(ConfigError::new("planes", wrong, "values from 0 to 1").into());
        }
        if let Some(wrong) = policy.iter().chain(values).find(|number| !number.is_finite()) {
            return Err(ConfigError::new("policy and values", wrong, "finite numbers").into());
        }
        let bytes = planes.iter().map(|plane| (plane * 255.0).round() as u8);
        if self.len() < self.window {
            self.planes.extend(bytes);
            self.policies.extend_from_slice(policy);
            self.values.extend_from_slice(values);
        } else {
            let at = self.next;
            let place = &mut self.planes[at * self.size..(at + 1) * self.size];
            place.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
            self.policies[at * self.actions..(at + 1) * self.actions].copy_from_slice(policy);
            self.values[at * self.width..(at + 1) * self.width].copy_from_slice(values);
        }
        self.next = (self.next + 1) % self.window;
        Ok(())
    }

    /// Draws positions, each under a symmetry that is drawn too.
    pub fn draw(&self, batch: usize, symmetries: &SymmetryTables, random: &mut Random) -> Samples {
        let mut samples = Samples {
            planes: vec![0.0; batch * self.size],
            policies: vec![0.0; batch * self.actions],
            values: Vec::with_capacity(batch * self.width),
        };
        let mut planes = vec![0.0; self.size];
        if self.is_empty() {
            return Samples::default();
        }
        for row in 0..batch {
            let at = random.below_u32(self.len() as u32) as usize;
            let symmetry = random.below_u32(symmetries.len() as u32) as usize;
            for (plane, &byte) in planes.iter_mut().zip(&self.planes[at * self.size..]) {
                *plane = f32::from(byte) / 255.0;
            }
            let to = &mut samples.planes[row * self.size..(row + 1) * self.size];
            symmetries.transform_planes(symmetry, &planes, to);
            let from = &self.policies[at * self.actions..(at + 1) * self.actions];
            let to = &mut samples.policies[row * self.actions..(row + 1) * self.actions];
            symmetries.transform_policy(symmetry, from, to);
            let values = &self.values[at * self.width..(at + 1) * self.width];
            samples.values.extend_from_slice(values);
        }
        samples
    }

    /// All positions in order, in batches, as they are.
    pub fn chunks(&self, batch: usize) -> impl Iterator<Item = Samples> {
        let all = 0..self.len();
        all.step_by(batch.max(1)).map(move |start| {
            let end = (start + batch.max(1)).min(self.len());
            let bytes = &self.planes[start * self.size..end * self.size];
            Samples {
                planes: bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
                policies: self.policies[start * self.actions..end * self.actions].to_vec(),
                values: self.values[start * self.width..end * self.width].to_vec(),
            }
        })
    }

    /// All of it as bytes, for a checkpoint.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.size, self.actions, self.window, self.next, self.len()] {
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
        bytes.extend_from_slice(&self.planes);
        for number in self.policies.iter().chain(&self.values) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// What [`Replay::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) for bytes that are none, or of other sizes than this
    /// replay's.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        let wrong = |what: &str| model_utils_core::Error::data("of the replay window", what);
        let (head, rest) = bytes.split_at_checked(40).ok_or_else(|| wrong("it is cut off"))?;
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[8 * index..8 * index + 8]);
            usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        if [number(0), number(1), number(2)] != [self.size, self.actions, self.window] {
            return Err(wrong("it has other sizes").into());
        }
        let (next, len) = (number(3), number(4));
        if len > self.window || next >= self.window {
            return Err(wrong("it is damaged").into());
        }
        let expected = len * (self.size + 4 * self.actions + 4 * self.width);
        if rest.len() != expected {
            let reason = format!("it has {} bytes, expected {expected}", rest.len());
            return Err(wrong(&reason).into());
        }
        let (planes, numbers) = rest.split_at(len * self.size);
        let (numbers, _) = numbers.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
        self.planes = planes.to_vec();
        self.policies = numbers.by_ref().take(len * self.actions).collect();
        self.values = numbers.collect();
        self.next = next;
        Ok(())
    }
}
