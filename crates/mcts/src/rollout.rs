//! Evaluators without nets: random rollouts, and the mixture of two evaluators.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluator::{Evaluator, Fork};
use crate::game::{Action, Game, Turn, Values};
use crate::leaves::Leaves;
use crate::random::{Random, mix};

/// Plays each leaf at random to its end, by [`Game::rollout`]; where a search wants to know what was
/// played ([`Leaves::wants_played`]), evenly among the legal actions. It serialises, to go on with the
/// same rollouts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Rollout<G> {
    seed: u64,
    random: Random,
    count: u32,
    #[serde(skip)]
    actions: Vec<Action>,
    #[serde(skip)]
    played: Vec<(u8, Action)>,
    #[serde(skip)]
    game: Option<G>,
}

impl<G: Game> Rollout<G> {
    /// One rollout a leaf.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            count: 1,
            actions: Vec::new(),
            played: Vec::new(),
            game: None,
        }
    }

    /// The mean of so many rollouts a leaf.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for 0.
    pub fn with_count(mut self, count: u32) -> Result<Self> {
        config::at_least("count", count, 1)?;
        self.count = count;
        Ok(self)
    }

    /// One rollout from a position.
    ///
    /// # Errors
    ///
    /// [`Error::NoActions`] where neither an action nor an outcome is there.
    #[inline]
    pub fn play(&mut self, game: &G) -> Result<Values> {
        let scratch = copy_to(&mut self.game, game);
        scratch
            .rollout(&mut self.random, &mut self.actions)
            .ok_or_else(|| Error::NoActions { game: game.name() })
    }

    /// One rollout with all that its players played.
    fn play_seen(&mut self, game: &G) -> Result<Values> {
        let Self { random, actions, played, game: scratch, .. } = self;
        let scratch = copy_to(scratch, game);
        played.clear();
        let see = |player, action| played.push((player, action));
        play_evenly(scratch, random, actions, see)
            .ok_or_else(|| Error::NoActions { game: game.name() })
    }
}

/// The position in a place that is kept.
pub(crate) fn copy_to<'a, G: Clone>(place: &'a mut Option<G>, game: &G) -> &'a mut G {
    match place {
        Some(place) => {
            place.clone_from(game);
            place
        }
        None => place.insert(game.clone()),
    }
}

/// Plays to the end, each player evenly among the legal actions, chance by its probabilities; `see`
/// gets what players do.
pub(crate) fn play_evenly<G: Game>(
    game: &mut G,
    random: &mut Random,
    actions: &mut Vec<Action>,
    mut see: impl FnMut(u8, Action),
) -> Option<Values> {
    let mut chances = Vec::new();
    loop {
        if let Some(values) = game.outcome() {
            return Some(values);
        }
        actions.clear();
        game.legal_actions(actions);
        let turn = game.turn();
        let index = if turn == Turn::Chance {
            chances.clear();
            game.chances(&mut chances);
            random.weighted_f32(&chances)?
        } else {
            random.below_u32(actions.len() as u32) as usize
        };
        let action = *actions.get(index)?;
        if let Turn::Player(player) = turn {
            see(player, action);
        }
        game.play(action);
    }
}

impl<G: Game> Evaluator<G> for Rollout<G> {
    #[inline]
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        for leaf in 0..leaves.len() {
            let seen = leaves.wants_played(leaf);
            let mut values = if seen {
                self.play_seen(leaves.game(leaf))
            } else {
                self.play(leaves.game(leaf))
            }?;
            if seen {
                leaves.set_played(leaf, self.played.iter().copied());
            }
            for done in 1..self.count {
                let next = self.play(leaves.game(leaf))?;
                values = values.mix(&next, 1.0 / (done + 1) as f32);
            }
            leaves.set_values(leaf, values);
        }
        Ok(())
    }

    fn has_priors(&self) -> bool {
        false
    }
}

impl<G: Game> Fork for Rollout<G> {
    fn fork(&self, worker: u64) -> Self {
        let seed = mix(self.seed, worker);
        Self { count: self.count, ..Self::new(seed) }
    }
}

/// (1 − λ) · one evaluator + λ · another; priors come from the first, where it has them.
#[derive(Debug, Clone)]
pub struct Mixture<A, B> {
    first: A,
    second: B,
    lambda: f32,
    values: Vec<Values>,
}

impl<A, B> Mixture<A, B> {
    /// A mixture, for example of a net and a rollout.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where `lambda` does not lie in 0..1.
    pub fn new(first: A, second: B, lambda: f32) -> Result<Self> {
        config::share("lambda", lambda)?;
        Ok(Self { first, second, lambda, values: Vec::new() })
    }
}

impl<G: Game, A: Evaluator<G>, B: Evaluator<G>> Evaluator<G> for Mixture<A, B> {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        // The second may write priors of its own: it comes first and is overwritten.
        self.second.evaluate(leaves)?;
        self.values.clear();
        self.values.extend((0..leaves.len()).map(|leaf| leaves.values(leaf)));
        self.first.evaluate(leaves)?;
        for (leaf, second) in self.values.iter().enumerate() {
            let mixed = leaves.values(leaf).mix(second, self.lambda);
            leaves.set_values(leaf, mixed);
        }
        Ok(())
    }

    fn has_priors(&self) -> bool {
        self.first.has_priors()
    }
}

impl<A: Fork, B: Fork> Fork for Mixture<A, B> {
    fn fork(&self, worker: u64) -> Self {
        Self {
            first: self.first.fork(worker),
            second: self.second.fork(worker),
            lambda: self.lambda,
            values: Vec::new(),
        }
    }
}
