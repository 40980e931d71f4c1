//! Games of a net against itself, many at once, all leaves in one batch.

use std::time::Instant;

use model_utils_core::{ConfigError, config};
use serde::{Deserialize, Serialize};

use super::replay::Replay;
use crate::error::Result;
use crate::evaluator::Evaluator;
use crate::game::{Action, Encode, Game};
use crate::leaves::Leaves;
use crate::random::{Random, mix};
use crate::rule::{Dirichlet, Gumbel, Puct, Rule};
use crate::tree::Tree;

/// How moves are chosen in self-play.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Exploration {
    /// Gumbel `AlphaZero`: sequential halving among so many actions, the improved policy is
    /// learned.
    Gumbel {
        /// Actions considered at the root.
        considered: usize,
    },
    /// `AlphaZero`: Dirichlet noise at the root, the shares of the visits are learned and played
    /// for some moves, the most visited action after them.
    Dirichlet {
        /// Concentration α.
        alpha: f32,
        /// Moves that are drawn by their visits: 30 in the paper.
        drawn_moves: usize,
    },
}

/// How games are played.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfPlay {
    /// Games at once: the batch of the net.
    pub parallel: usize,
    /// Simulations a move.
    pub simulations: u32,
    /// How moves are chosen.
    pub exploration: Exploration,
    /// A game begins with a number of random moves, evenly drawn from 0 to this; they are not
    /// learned from. 0 in the papers.
    pub opening_moves: usize,
    /// The share of the search's own value in the value that is learned, the rest being the
    /// game's result. 0 in the papers.
    pub value_mix: f32,
}

/// What was played.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Played {
    /// Games that have ended.
    pub games: u64,
    /// Positions to learn from.
    pub positions: u64,
    /// Simulations of all searches.
    pub simulations: u64,
    /// Positions that the evaluator judged.
    pub evaluated: u64,
    /// Games won by the first player, drawn, and won by the second.
    pub results: [u64; 3],
    /// Actions played, those of the openings left out.
    pub moves: u64,
    /// How long it took, in seconds.
    pub wall_s: f64,
}

/// A position that waits for the result of its game.
#[derive(Debug, Clone)]
struct Record {
    planes: Vec<f32>,
    policy: Vec<f32>,
    player: usize,
    value: f32,
}

/// A place where one game after another is played.
struct Slot<G, R: Rule> {
    tree: Tree<G, R>,
    records: Vec<Record>,
    done: u64,
}

impl SelfPlay {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::at_least("parallel", self.parallel, 1)?;
        config::at_least("simulations", self.simulations, 2)?;
        config::share("value_mix", self.value_mix)
    }

    /// Plays a number of games to their end and puts their positions into a replay window. Where
    /// a search proves a position, the game ends there with that result. Same seed, same net:
    /// same games.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for what cannot work, and what the evaluator says.
    pub fn play<G: Encode, E: Evaluator<G>>(
        &self,
        start: &G,
        evaluator: &mut E,
        games: u64,
        seed: u64,
        replay: &mut Replay,
    ) -> Result<Played> {
        self.check()?;
        match self.exploration {
            Exploration::Gumbel { considered } => {
                let rule = Gumbel::default().with_considered(considered);
                Run { config: self, rule, drawn_moves: 0 }
                    .play(start, evaluator, games, seed, replay)
            }
            Exploration::Dirichlet { alpha, drawn_moves } => {
                let rule = Puct::default().with_root_noise(Dirichlet::new(alpha));
                Run { config: self, rule, drawn_moves }.play(start, evaluator, games, seed, replay)
            }
        }
    }
}

/// Self-play under one rule.
struct Run<'a, R> {
    config: &'a SelfPlay,
    rule: R,
    drawn_moves: usize,
}

impl<R: Rule> Run<'_, R> {
    fn play<G: Encode, E: Evaluator<G>>(
        &self,
        start: &G,
        evaluator: &mut E,
        games: u64,
        seed: u64,
        replay: &mut Replay,
    ) -> Result<Played> {
        let started = Instant::now();
        let simulations = u64::from(self.config.simulations);
        let mut random = Random::new(seed);
        let mut played = Played::default();
        let mut begun = 0;
        let mut slots = Vec::new();
        while begun < games && slots.len() < self.config.parallel {
            let game = self.opening(start, &mut random);
            let tree = Tree::new(self.rule.clone(), &game, mix(seed, begun))?
                .with_priors(evaluator.has_priors());
            let mut slot = Slot { tree, records: Vec::new(), done: 0 };
            slot.tree.begin(Some(simulations))?;
            slots.push(slot);
            begun += 1;
        }
        let mut leaves = Leaves::new();
        while !slots.is_empty() {
            leaves.clear();
            for slot in &mut slots {
                slot.tree.select_leaf(&mut leaves, &mut slot.done, simulations)?;
            }
            if !leaves.is_empty() {
                evaluator.evaluate(&mut leaves)?;
                played.evaluated += leaves.len() as u64;
            }
            let mut over = Vec::new();
            for (index, slot) in slots.iter_mut().enumerate() {
                slot.tree.back_up(&leaves)?;
                let ready = slot.done >= simulations || slot.tree.proven().is_some();
                if !ready || slot.tree.children().is_none() {
                    continue;
                }
                played.simulations += slot.done;
                played.moves += 1;
                if !self.step(slot, &mut played, replay)? {
                    continue;
                }
                if begun < games {
                    slot.tree.set_game(&self.opening(start, &mut random));
                    slot.tree.begin(Some(simulations))?;
                    begun += 1;
                } else {
                    over.push(index);
                }
            }
            for index in over.into_iter().rev() {
                slots.swap_remove(index);
            }
        }
        played.wall_s = started.elapsed().as_secs_f64();
        Ok(played)
    }

    /// The start, some random moves on.
    fn opening<G: Game>(&self, start: &G, random: &mut Random) -> G {
        let mut actions = Vec::new();
        loop {
            let mut game = start.clone();
            for _ in 0..random.below_u32(self.config.opening_moves as u32 + 1) {
                actions.clear();
                game.legal_actions(&mut actions);
                match actions.get(random.below_u32(actions.len() as u32) as usize) {
                    Some(&action) => game.play(action),
                    None => break,
                }
            }
            if game.outcome().is_none() {
                return game;
            }
        }
    }

    /// Records the position, plays a move; whether the game is over and learned from.
    fn step<G: Encode>(
        &self,
        slot: &mut Slot<G, R>,
        played: &mut Played,
        replay: &mut Replay,
    ) -> Result<bool> {
        let game = slot.tree.game();
        let player = game.turn().player().unwrap_or(0);
        let mut planes = vec![0.0; game.shape().iter().product()];
        game.encode(&mut planes);
        let (mut policy, mut found) = (vec![0.0; game.actions()], Vec::new());
        slot.tree.policy(&mut found);
        let mut value = 0.0;
        if let Some(children) = slot.tree.children() {
            value = children.node_value();
            for (child, probability) in found.iter().enumerate() {
                policy[usize::from(children.action(child))] = *probability;
            }
        }
        slot.records.push(Record { planes, policy, player, value });
        if let Some(proven) = slot.tree.proven() {
            self.learn(slot, player, proven.value(), played, replay)?;
            return Ok(true);
        }
        let action = self.choose(slot);
        slot.tree.advance(action)?;
        if let Some(values) = slot.tree.game().outcome() {
            self.learn(slot, 0, values.of(0), played, replay)?;
            return Ok(true);
        }
        slot.tree.begin(Some(u64::from(self.config.simulations)))?;
        slot.done = 0;
        Ok(false)
    }

    fn choose<G: Game>(&self, slot: &mut Slot<G, R>) -> Action {
        let draws = slot.records.len() <= self.drawn_moves;
        let weights: Vec<f32> = slot.tree.children().map_or_else(Vec::new, |children| {
            (0..children.len()).map(|child| children.visits(child) as f32).collect()
        });
        let child =
            if draws { slot.tree.random().weighted_f32(&weights) } else { slot.tree.best() };
        let action = slot.tree.children().zip(child);
        action.map_or(0, |(children, child)| children.action(child))
    }

    /// The game ends with `value` for `player`, and the negative for the other.
    fn learn<G: Encode>(
        &self,
        slot: &mut Slot<G, R>,
        player: usize,
        value: f32,
        played: &mut Played,
        replay: &mut Replay,
    ) -> Result<()> {
        let first = if player == 0 { value } else { -value };
        played.results[if first > 0.0 { 0 } else { 1 + usize::from(first < 0.0) }] += 1;
        played.games += 1;
        played.positions += slot.records.len() as u64;
        for record in slot.records.drain(..) {
            let result = if record.player == 0 { first } else { -first };
            let mixed = result + self.config.value_mix * (record.value - result);
            replay.push(&record.planes, &record.policy, mixed)?;
        }
        slot.done = 0;
        Ok(())
    }
}
