//! Batches of pairs of like length, each of about as many tokens.

use model_utils::config;
use model_utils::data::Position;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::encoded::EncodedPair;
use crate::error::{Error, Result};

/// The plan of batches: which pairs go together, in which order, in every epoch.
///
/// A batch holds pairs of like length, as many as fit: `rows × longest side ≤ tokens`. Its pairs are
/// another choice in every epoch, and so is the order of the batches. All of it follows from the seed
/// and the number of the epoch, so that a run goes on at any [`Position`].
#[derive(Debug, Clone)]
pub struct TokenBatches {
    /// The longer side of every pair.
    lengths: Vec<usize>,
    tokens: usize,
    seed: u64,
}

impl TokenBatches {
    /// Batches of at most so many tokens a side, padding included.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where a pair alone has more, [`Error::Pairs`] where there is none.
    pub fn new(pairs: &[EncodedPair], tokens: usize, seed: u64) -> Result<Self> {
        let lengths: Vec<usize> = pairs.iter().map(EncodedPair::longest).collect();
        let Some(longest) = lengths.iter().copied().max() else {
            return Err(Error::pairs("the batches", "there is no pair"));
        };
        let expected = format!("at least the {longest} tokens of the longest sentence");
        config::require(tokens >= longest, "batch_tokens", tokens, expected)?;
        Ok(Self { lengths, tokens, seed })
    }

    /// The batches of an epoch, as places in the list of pairs.
    pub fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        // Pairs of the same length in random order; a little noise mixes neighbouring lengths.
        let mut order: Vec<(f32, usize)> = self
            .lengths
            .iter()
            .enumerate()
            .map(|(at, &length)| (length as f32 + rng.random::<f32>() * 1.5, at))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let (mut batch, mut longest) = (Vec::new(), 0);
        for (_, at) in order {
            let width = longest.max(self.lengths[at]);
            if !batch.is_empty() && width * (batch.len() + 1) > self.tokens {
                batches.push(std::mem::take(&mut batch));
                longest = 0;
            }
            longest = longest.max(self.lengths[at]);
            batch.push(at);
        }
        batches.push(batch);
        batches.shuffle(&mut rng);
        batches
    }

    /// The batches from a position on, without end, each with its position.
    pub fn from(&self, position: Position) -> impl Iterator<Item = (Position, Vec<usize>)> + '_ {
        (position.epoch..).flat_map(move |epoch| {
            let first = if epoch == position.epoch { position.batch } else { 0 };
            self.epoch(epoch)
                .into_iter()
                .enumerate()
                .skip(first)
                .map(move |(batch, pairs)| (Position { epoch, batch }, pairs))
        })
    }
}

/// Batches in order of length, for evaluation: the fewest padded tokens. Rows `rows` at most.
pub(crate) fn by_length(lengths: &[usize], tokens: usize, rows: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // The longest first, so that memory is at its peak at once.
    order.sort_by_key(|&at| (std::cmp::Reverse(lengths[at]), at));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut widest = 0;
    for at in order {
        match batches.last_mut() {
            Some(batch) if batch.len() < rows && (batch.len() + 1) * widest <= tokens => {
                batch.push(at);
            }
            _ => {
                widest = lengths[at];
                batches.push(vec![at]);
            }
        }
    }
    batches
}
