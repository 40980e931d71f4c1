//! Lottery tickets: sparse networks that train well from where they began.

use derive_setters::Setters;
use model_utils::config;
use model_utils::graph::Graph;

use super::masks::Masks;
use super::unstructured::Unstructured;
use crate::error::Result;

/// Iterative magnitude pruning with rewinding: train, remove a share of what is left, set the rest
/// back to what it was early on, and again.
///
/// Set back to the first weights: J. Frankle and M. Carbin, [The Lottery Ticket
/// Hypothesis](https://arxiv.org/abs/1803.03635); to those after some steps: J. Frankle et al.,
/// [Stabilizing the Lottery Ticket Hypothesis](https://arxiv.org/abs/1903.01611).
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
pub struct Lottery {
    #[setters(skip)]
    share: f64,
    #[setters(skip)]
    rounds: u32,
    /// Sets whether the weights of all layers are ranked together; by default every layer loses
    /// the same share.
    global_ranking: bool,
}

/// What a round found.
#[derive(Debug, Clone)]
#[non_exhaustive]
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
        config::require(share > 0.0 && share < 1.0, "share", share, "above 0 and below 1")?;
        config::at_least("rounds", rounds, 1)?;
        Ok(Self { share, rounds, global_ranking: false })
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
            let rule = Unstructured::magnitude(1.0 - left).with_global_ranking(self.global_ranking);
            let masks = rule.masks(&trained)?;
            let rewound = masks.attach(early)?;
            tickets.push(Ticket { masks, rewound, trained });
        }
        Ok(tickets)
    }
}
