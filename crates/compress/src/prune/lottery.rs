//! Lottery tickets: sparse networks that train well from where they began.

use model_utils::graph::Graph;

use super::masks::Masks;
use super::unstructured::Unstructured;
use crate::error::{Result, require};

/// Iterative magnitude pruning with rewinding: train, remove a share of what is left, set the rest
/// back to what it was early on, and again.
///
/// Set back to the first weights: J. Frankle and M. Carbin, [The Lottery Ticket
/// Hypothesis](https://arxiv.org/abs/1803.03635); to those after some steps: J. Frankle et al.,
/// [Stabilizing the Lottery Ticket Hypothesis](https://arxiv.org/abs/1903.01611).
#[derive(Debug, Clone)]
pub struct Lottery {
    share: f64,
    rounds: u32,
    is_global: bool,
}

/// What a round found.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Which weights are left.
    pub masks: Masks,
    /// The early weights under the masks, from which the next training starts.
    pub rewound: Graph,
    /// What the round's training gave, before pruning.
    pub trained: Graph,
}

impl Lottery {
    /// Takes a share of what is left (0.2 in the paper) in each of some rounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a share that is not between 0 and 1, and for no
    /// rounds.
    pub fn new(share: f64, rounds: u32) -> Result<Self> {
        require(share > 0.0 && share < 1.0, "share", share, "above 0 and below 1")?;
        require(rounds > 0, "rounds", rounds, "1 or more")?;
        Ok(Self { share, rounds, is_global: false })
    }

    /// Ranks the weights of all layers together; by default every layer loses the same share.
    #[must_use]
    pub fn globally(mut self) -> Self {
        self.is_global = true;
        self
    }

    /// Finds a ticket a round. `early` holds the weights that are rewound to; `train` trains a
    /// graph, the first time `early` itself, and later `early` under masks.
    ///
    /// # Errors
    ///
    /// Errors of `train`; [`Error::Node`](crate::Error::Node) where it gives a graph with other
    /// weights.
    pub fn tickets(
        &self,
        early: &Graph,
        mut train: impl FnMut(&Graph) -> Result<Graph>,
    ) -> Result<Vec<Ticket>> {
        let mut tickets: Vec<Ticket> = Vec::new();
        for round in 1..=self.rounds {
            let start = tickets.last().map_or(early, |ticket| &ticket.rewound);
            let trained = train(start)?;
            let left = (1.0 - self.share).powi(round as i32);
            let rule = Unstructured::magnitude(1.0 - left);
            let rule = if self.is_global { rule.globally() } else { rule };
            let masks = rule.masks(&trained)?;
            let rewound = masks.attach(early)?;
            tickets.push(Ticket { masks, rewound, trained });
        }
        Ok(tickets)
    }
}
