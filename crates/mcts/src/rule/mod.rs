//! Selection rules: how a search chooses a child on its way down. Each is a small type.

mod apv;
mod dirichlet;
mod gumbel;
mod puct;
mod rave;
mod uct;

pub use apv::Apv;
pub use dirichlet::Dirichlet;
#[cfg(feature = "burn")]
pub(crate) use gumbel::softmax;
pub use gumbel::{Gumbel, GumbelRoot};
pub use puct::{Fpu, Puct, Scale};
pub use rave::Rave;
pub use uct::Uct;

use model_utils_core::ConfigError;

use crate::nodes::Children;
use crate::random::Random;

/// A statistic that a search keeps of each child beside that of its own simulations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// The values of a net, apart from those of rollouts.
    Net,
    /// All moves as first: every simulation through the node in which its player played the
    /// child's action at any later time, as the first to play it.
    Amaf,
}

/// Chooses children.
///
/// A rule sees a node and the statistics of its children; what it keeps for one search (noise,
/// a schedule) is its [`Rule::Root`].
pub trait Rule: Clone + std::fmt::Debug + Send + Sync {
    /// What the rule keeps about the root of one search.
    type Root: Clone + Default + std::fmt::Debug + Send + Sync;

    /// Refuses parameters that cannot work.
    ///
    /// # Errors
    ///
    /// With the field.
    fn check(&self) -> Result<(), ConfigError>;

    /// Which child is visited next, below the root.
    fn choose(&self, children: &Children<'_>) -> usize;

    /// Which child of the root is visited next.
    fn choose_at_root(&self, _root: &Self::Root, children: &Children<'_>) -> usize {
        self.choose(children)
    }

    /// Called once the root is expanded, before its first child is chosen. `simulations` is the
    /// limit, where it is one of simulations.
    fn prepare(
        &self,
        _children: &Children<'_>,
        _simulations: Option<u64>,
        _random: &mut Random,
    ) -> Self::Root {
        Self::Root::default()
    }

    /// Whether the rule needs to know the number of simulations before a search.
    fn needs_simulations(&self) -> bool {
        false
    }

    /// The child to play: the most visited one, of equals the one with the higher value.
    fn best(&self, _root: &Self::Root, children: &Children<'_>) -> usize {
        children.argmax(|child| children.visits(child) as f32 + children.mean(child) * 1e-3)
    }

    /// The policy that the search found, one probability a child, appended: what a net should
    /// learn. The share of the visits, unless said otherwise.
    fn policy(&self, _root: &Self::Root, children: &Children<'_>, policy: &mut Vec<f32>) {
        let total: u32 = (0..children.len()).map(|child| children.visits(child)).sum();
        let even = 1.0 / children.len() as f32;
        policy.extend((0..children.len()).map(|child| match total {
            0 => even,
            _ => children.visits(child) as f32 / total as f32,
        }));
    }

    /// How much noise is mixed into the priors of the root.
    fn root_noise(&self) -> Option<Dirichlet> {
        None
    }

    /// After how many visits a leaf gets children. With 0, a leaf is expanded when it is judged.
    fn expand_after(&self) -> u32 {
        0
    }

    /// How many lost visits stand in for one that is still on its way; with 0, it counts as a
    /// visit that is neither won nor lost.
    fn virtual_loss(&self) -> u32 {
        1
    }

    /// What a search keeps of each child beside its own simulations: nothing, unless said
    /// otherwise.
    fn second(&self) -> Option<Second> {
        None
    }
}
