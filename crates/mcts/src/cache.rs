//! A cache in front of an evaluator: a position that several lines lead to is judged once.

use model_utils_core::config;

use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::game::{Game, Hashed, Values};
use crate::leaves::Leaves;

/// An evaluator that remembers what it said of positions, by their hashes: for nets, and whatever
/// else says the same of the same position each time.
///
/// It holds a fixed number of positions; of two that share a place the later stays. Positions with
/// equal [hashes](Hashed::hash) are taken for equal.
///
/// ```
/// use mcts::games::ConnectFour;
/// use mcts::rule::Uct;
/// use mcts::{Cached, Limits, Rollout, Search};
///
/// // Rollouts stand in for a net here: each position keeps its first one.
/// let evaluator = Cached::new(Rollout::new(42), 1 << 16)?;
/// let mut search = Search::new(Uct::default(), evaluator);
/// for _ in 0..3 {
///     search.run(&ConnectFour::new(), Limits::simulations(3000))?;
///     search.restart();
/// }
/// let (asked, judged) = search.evaluator().counts();
/// assert!(2 * judged < asked);
/// # Ok::<(), mcts::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cached<G, E> {
    inner: E,
    entries: Vec<Option<Entry>>,
    /// What the evaluator is asked about.
    unknown: Leaves<G>,
    places: Vec<usize>,
    asked: u64,
    judged: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    hash: u64,
    values: Values,
    net_values: Option<Values>,
    priors: Box<[f32]>,
}

impl<G: Game, E> Cached<G, E> {
    /// An evaluator and so many positions, rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for none, or more than 2²⁸.
    pub fn new(inner: E, positions: usize) -> Result<Self> {
        config::require((1..=1 << 28).contains(&positions), "positions", positions, "1 to 2²⁸")?;
        let entries = vec![None; positions.next_power_of_two()];
        let (unknown, places) = (Leaves::new(), Vec::new());
        Ok(Self { inner, entries, unknown, places, asked: 0, judged: 0 })
    }

    /// How many leaves it was asked about, and how many of them its evaluator judged.
    pub const fn counts(&self) -> (u64, u64) {
        (self.asked, self.judged)
    }

    /// Forgets all positions, as after a change of the evaluator.
    pub fn clear(&mut self) {
        self.entries.fill(None);
    }

    /// The evaluator. What it says differently from now on is not known of positions that are
    /// remembered: [`Cached::clear`].
    pub const fn inner(&mut self) -> &mut E {
        &mut self.inner
    }
}

impl<G: Hashed, E> Cached<G, E> {
    /// Where a position is remembered.
    fn place(&self, hash: u64) -> usize {
        // Games may leave either end of their hashes poor.
        (hash ^ hash >> 32) as usize & (self.entries.len() - 1)
    }

    /// Sets what is known of a leaf; whether that is all it wants.
    fn recall(&self, leaves: &mut Leaves<G>, leaf: usize) -> bool {
        let hash = leaves.game(leaf).hash();
        let known = self.entries[self.place(hash)].as_ref().filter(|entry| entry.hash == hash);
        let Some(entry) = known else { return false };
        let wants_net = leaves.wants_net(leaf) && entry.net_values.is_none();
        let priors = leaves.actions_and_priors(leaf).1;
        if wants_net || !(priors.is_empty() || priors.len() == entry.priors.len()) {
            return false;
        }
        priors.copy_from_slice(&entry.priors[..priors.len()]);
        leaves.set_values(leaf, entry.values);
        if let Some(values) = entry.net_values.filter(|_| leaves.wants_net(leaf)) {
            leaves.set_net_values(leaf, values);
        }
        true
    }
}

impl<G: Hashed, E: Evaluator<G>> Evaluator<G> for Cached<G, E> {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        let mut unknown = std::mem::take(&mut self.unknown);
        unknown.clear();
        self.places.clear();
        for leaf in 0..leaves.len() {
            if !self.recall(leaves, leaf) {
                unknown.push(leaves.game(leaf), leaves.actions(leaf));
                if leaves.wants_net(leaf) {
                    unknown.want_net(unknown.len() - 1);
                }
                self.places.push(leaf);
            }
        }
        let judged = if unknown.is_empty() { Ok(()) } else { self.inner.evaluate(&mut unknown) };
        if judged.is_ok() {
            self.asked += leaves.len() as u64;
            self.judged += unknown.len() as u64;
            for (from, &to) in self.places.iter().enumerate() {
                let (values, net_values) = (unknown.values(from), unknown.net_values(from));
                leaves.set_values(to, values);
                if let Some(values) = net_values {
                    leaves.set_net_values(to, values);
                }
                leaves.actions_and_priors(to).1.copy_from_slice(unknown.priors(from));
                let (hash, priors) = (leaves.game(to).hash(), unknown.priors(from).into());
                let place = self.place(hash);
                self.entries[place] = Some(Entry { hash, values, net_values, priors });
            }
        }
        self.unknown = unknown;
        judged
    }

    fn has_priors(&self) -> bool {
        self.inner.has_priors()
    }
}

/// Each thread remembers for itself.
impl<G: Game, E: Fork> Fork for Cached<G, E> {
    fn fork(&self, worker: u64) -> Self {
        let (unknown, places) = (Leaves::new(), Vec::new());
        let (inner, entries) = (self.inner.fork(worker), vec![None; self.entries.len()]);
        Self { inner, entries, unknown, places, asked: 0, judged: 0 }
    }
}
