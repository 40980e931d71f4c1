//! What is told of a leaf after its simulation.

use super::back_up::back_up_net;
use crate::game::{Action, Game};
use crate::leaves::Leaves;
use crate::nodes::{Arena, NET};

/// What a leaf still wants once its simulation is over.
pub(crate) struct Request<G> {
    pub(super) path: Vec<u32>,
    pub(super) game: G,
    pub(super) actions: Vec<Action>,
    pub(super) wants_net: bool,
}

impl<G: Game> Request<G> {
    /// Puts the position into a batch.
    pub(crate) fn ask(&self, leaves: &mut Leaves<G>) {
        leaves.push(&self.game, &self.actions);
        if self.wants_net {
            leaves.want_net(leaves.len() - 1);
        }
    }

    /// Writes what an evaluator says of a leaf of the batch: priors, and a net's values.
    pub(crate) fn answer(&self, arena: &Arena, leaves: &Leaves<G>, leaf: usize) {
        let link = arena.link(self.leaf());
        // Without room it stayed a leaf.
        if link.is_expanded() && link.count() == self.actions.len() {
            for (child, &prior) in link.children().zip(leaves.priors(leaf)) {
                arena.set_prior(child, prior);
            }
        }
        if let Some(values) = leaves.net_values(leaf) {
            back_up_net::<true>(arena, &self.path, values);
        }
    }

    /// Lets the net be asked again.
    pub(crate) fn give_up(&self, arena: &Arena) {
        if self.wants_net {
            arena.unmark(self.leaf(), NET);
        }
    }

    fn leaf(&self) -> u32 {
        self.path[self.path.len() - 1]
    }
}
