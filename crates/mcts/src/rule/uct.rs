//! UCT: UCB1 at every node.

use model_utils_core::{ConfigError, config};

use super::Rule;
use crate::error::Result;
use crate::nodes::Children;

/// UCB1 (Kocsis and Szepesvári 2006): `mean + c √(ln N / n)`; children that were never visited
/// come first, in random order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uct {
    /// Exploration c. √2 is right for values in 0..1; for −1..1 twice that explores as much. Less
    /// plays better where rollouts are informed.
    pub c: f32,
    /// After how many visits a leaf gets children.
    pub expand_after: u32,
}

impl Default for Uct {
    fn default() -> Self {
        Self { c: std::f32::consts::SQRT_2, expand_after: 1 }
    }
}

impl Uct {
    /// UCT with an exploration constant.
    pub fn new(c: f32) -> Self {
        Self { c, ..Self::default() }
    }
}

impl Rule for Uct {
    type Root = ();

    fn check(&self) -> Result<(), ConfigError> {
        config::not_negative("c", self.c)
    }

    #[inline]
    fn choose(&self, children: &Children<'_>) -> usize {
        let explore = self.c * (children.node_visits().max(1) as f32).ln().sqrt();
        children.argmax(|child| match children.visits(child) {
            0 => f32::INFINITY,
            n => children.mean(child) + explore / (n as f32).sqrt(),
        })
    }

    fn expand_after(&self) -> u32 {
        self.expand_after
    }

    /// A visit without a result: its own weight sends other threads elsewhere, and statistics that
    /// threads share are written half as often.
    fn virtual_loss(&self) -> u32 {
        0
    }
}
