//! APV-MCTS: AlphaGo's asynchronous policy and value search.

use model_utils_core::{ConfigError, config};

use super::{Rule, Second};
use crate::error::Result;
use crate::nodes::Children;

/// AlphaGo's rule (Silver et al. 2016): `Q + c P √(Σ n) / (1 + n)` with
/// `Q = (1 − λ) · net's mean + λ · rollouts' mean`.
///
/// Values of the net and results of rollouts are kept apart, so a net may answer later than a
/// rollout. A child that the net has not yet seen is judged by its rollouts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apv {
    /// Exploration: 5 in the paper.
    pub c: f32,
    /// The weight of rollouts, λ: 0.5 in the paper; 0 for the net alone, 1 for rollouts alone.
    pub lambda: f32,
    /// Lost visits for one on its way: 3 in the paper.
    pub virtual_loss: u32,
    /// After how many visits a leaf gets children, `n_thr`: 40 in the paper.
    pub expand_after: u32,
}

impl Default for Apv {
    fn default() -> Self {
        Self { c: 5.0, lambda: 0.5, virtual_loss: 3, expand_after: 40 }
    }
}

impl Apv {
    /// Rollouts and net mixed, for a child.
    #[inline]
    fn value(&self, children: &Children<'_>, child: usize) -> f32 {
        if children.has_proven()
            && let Some(proven) = children.proven(child)
        {
            return proven.value();
        }
        let rollouts = children.mean(child);
        match children.second(child) {
            (0, _) => rollouts,
            (_, net) => (1.0 - self.lambda) * net + self.lambda * rollouts,
        }
    }
}

impl Rule for Apv {
    type Root = ();

    fn check(&self) -> Result<(), ConfigError> {
        config::not_negative("c", self.c)?;
        config::share("lambda", self.lambda)?;
        config::at_least("virtual_loss", self.virtual_loss, 1)
    }

    #[inline]
    fn choose(&self, children: &Children<'_>) -> usize {
        let visits: u32 = (0..children.len()).map(|child| children.visits(child)).sum();
        // The square root would hide the priors from the first choice.
        let explore = self.c * (visits.max(1) as f32).sqrt();
        children.argmax(|child| {
            self.value(children, child)
                + explore * children.prior(child) / (1.0 + children.visits(child) as f32)
        })
    }

    fn expand_after(&self) -> u32 {
        self.expand_after
    }

    fn virtual_loss(&self) -> u32 {
        self.virtual_loss
    }

    fn second(&self) -> Option<Second> {
        Some(Second::Net)
    }
}
