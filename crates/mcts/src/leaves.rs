//! A batch of leaves on its way from the trees to an evaluator and back.

use crate::game::{Action, Game, Values};

/// Positions that wait for priors and values. All memory is kept between batches.
#[derive(Debug, Clone)]
pub struct Leaves<G> {
    games: Vec<G>,
    values: Vec<Values>,
    /// What a net says, where it is kept apart from rollouts.
    net_values: Vec<Option<Values>>,
    wants_net: Vec<bool>,
    wants_played: Vec<bool>,
    /// What was played from each leaf on, with who played it; longer than there are leaves.
    played: Vec<Vec<(u8, Action)>>,
    /// Legal actions of all leaves, one after another.
    actions: Vec<Action>,
    priors: Vec<f32>,
    /// Where the actions of each leaf end.
    ends: Vec<usize>,
}

impl<G: Game> Default for Leaves<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: Game> Leaves<G> {
    /// No leaves.
    pub const fn new() -> Self {
        Self {
            games: Vec::new(),
            values: Vec::new(),
            net_values: Vec::new(),
            wants_net: Vec::new(),
            wants_played: Vec::new(),
            played: Vec::new(),
            actions: Vec::new(),
            priors: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// How many leaves there are.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all leaves and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.net_values.clear();
        self.wants_net.clear();
        self.wants_played.clear();
        self.actions.clear();
        self.priors.clear();
        self.ends.clear();
    }

    /// Adds a position; `actions` are its legal actions where it will be expanded, else empty.
    /// Its values are 0 and its priors equal until an evaluator sets them.
    pub fn push(&mut self, game: &G, actions: &[Action]) {
        match self.games.get_mut(self.ends.len()) {
            Some(place) => place.clone_from(game),
            None => self.games.push(game.clone()),
        }
        self.values.push(Values::DRAW);
        self.net_values.push(None);
        self.wants_net.push(false);
        self.wants_played.push(false);
        match self.played.get_mut(self.ends.len()) {
            Some(played) => played.clear(),
            None => self.played.push(Vec::new()),
        }
        self.actions.extend_from_slice(actions);
        self.priors.resize(self.actions.len(), 1.0 / actions.len().max(1) as f32);
        self.ends.push(self.actions.len());
    }

    /// The positions, one a leaf.
    pub fn games(&self) -> &[G] {
        &self.games[..self.ends.len()]
    }

    /// The position of a leaf.
    pub fn game(&self, leaf: usize) -> &G {
        &self.games()[leaf]
    }

    /// The legal actions of a leaf; empty where the search wants no priors for it.
    pub fn actions(&self, leaf: usize) -> &[Action] {
        &self.actions[self.range(leaf)]
    }

    /// The priors of a leaf, one an action, in the order of [`Leaves::actions`].
    pub fn priors(&self, leaf: usize) -> &[f32] {
        &self.priors[self.range(leaf)]
    }

    /// The legal actions of a leaf, and its priors to be written: they should add up to 1.
    pub fn actions_and_priors(&mut self, leaf: usize) -> (&[Action], &mut [f32]) {
        let range = self.range(leaf);
        (&self.actions[range.clone()], &mut self.priors[range])
    }

    /// As [`Leaves::actions_and_priors`], with the position.
    #[cfg(feature = "burn")]
    pub(crate) fn game_and_priors(&mut self, leaf: usize) -> (&G, &[Action], &mut [f32]) {
        let range = self.range(leaf);
        (&self.games[leaf], &self.actions[range.clone()], &mut self.priors[range])
    }

    /// What a leaf is worth.
    pub fn values(&self, leaf: usize) -> Values {
        self.values[leaf]
    }

    /// Sets what a leaf is worth for each player.
    pub fn set_values(&mut self, leaf: usize, values: Values) {
        self.values[leaf] = values;
    }

    /// Whether the search wants a net's value of a leaf beside its rollout
    /// ([`Apv`](crate::rule::Apv)).
    pub fn wants_net(&self, leaf: usize) -> bool {
        self.wants_net[leaf]
    }

    pub(crate) fn want_net(&mut self, leaf: usize) {
        self.wants_net[leaf] = true;
    }

    /// What a net says of a leaf, where it was set.
    pub fn net_values(&self, leaf: usize) -> Option<Values> {
        self.net_values[leaf]
    }

    /// Sets what a net says of a leaf; its statistics are kept apart from those of
    /// [`Leaves::set_values`].
    pub fn set_net_values(&mut self, leaf: usize, values: Values) {
        self.net_values[leaf] = Some(values);
    }

    /// Whether the search wants to know what a playout from a leaf played
    /// ([`Rave`](crate::rule::Rave)).
    pub fn wants_played(&self, leaf: usize) -> bool {
        self.wants_played[leaf]
    }

    pub(crate) fn want_played(&mut self, leaf: usize) {
        self.wants_played[leaf] = true;
    }

    /// What was played from a leaf on, in its order: players, counted from 0, with their actions.
    pub fn played(&self, leaf: usize) -> &[(u8, Action)] {
        &self.played[leaf]
    }

    /// Sets what a playout from a leaf played. Players and actions that the game does not have
    /// count for nothing.
    pub fn set_played(&mut self, leaf: usize, played: impl IntoIterator<Item = (u8, Action)>) {
        self.played[leaf].clear();
        self.played[leaf].extend(played);
    }

    fn range(&self, leaf: usize) -> std::ops::Range<usize> {
        let start = if leaf == 0 { 0 } else { self.ends[leaf - 1] };
        start..self.ends[leaf]
    }
}
