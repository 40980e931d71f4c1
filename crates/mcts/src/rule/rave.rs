//! RAVE: what was played later counts as if it had been played first.

use model_utils_core::{ConfigError, config};

use super::{Fpu, Rule, Second};
use crate::error::Result;
use crate::nodes::Children;

/// Rapid action value estimation (Gelly and Silver, *Monte-Carlo tree search and rapid action value
/// estimation in computer Go*, 2011): `(1 − β) · Q + β · AMAF + c · P √N / (1 + n)`, where AMAF is the
/// mean of all simulations through the node in which its player played the child's action at any
/// time ([`Second::Amaf`]), and `β = m / (m + n + n · m / equivalence)` with m such simulations and n
/// visits.
///
/// For games in which an action means much the same now and later, as a stone in Go does. What
/// playouts play is told by the evaluator: [`Knowledge`](crate::go::Knowledge) and
/// [`Rollout`](crate::Rollout) do; after others AMAF rests on the actions within the tree alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rave {
    /// The weight of the priors.
    pub c: f32,
    /// At how many visits, with many more AMAF simulations, both count alike.
    pub equivalence: f32,
    /// The value of a child without visits and AMAF simulations.
    pub fpu: Fpu,
    /// Lost visits for one on its way: 1.
    pub virtual_loss: u32,
}

impl Default for Rave {
    fn default() -> Self {
        Self { c: 0.3, equivalence: 3000.0, fpu: Fpu::Reduction(0.1), virtual_loss: 1 }
    }
}

impl Rule for Rave {
    type Root = ();

    fn check(&self) -> Result<(), ConfigError> {
        config::not_negative("c", self.c)?;
        config::positive("equivalence", self.equivalence)?;
        config::at_least("virtual_loss", self.virtual_loss, 1)?;
        self.fpu.check()
    }

    #[inline]
    fn choose(&self, children: &Children<'_>) -> usize {
        let explore = self.c * (children.node_visits() as f32).sqrt();
        let fpu = self.fpu.value(children);
        children.argmax(|child| {
            let n = children.visits(child) as f32;
            let (amaf_visits, amaf) = children.second(child);
            let m = amaf_visits as f32;
            let known = m == 0.0 || children.has_proven() && children.proven(child).is_some();
            let beta = if known { 0.0 } else { m / (m + n + n * m / self.equivalence) };
            let value = if n == 0.0 { fpu } else { children.mean(child) };
            (1.0 - beta) * value + beta * amaf + explore * children.prior(child) / (1.0 + n)
        })
    }

    fn virtual_loss(&self) -> u32 {
        self.virtual_loss
    }

    fn second(&self) -> Option<Second> {
        Some(Second::Amaf)
    }
}
