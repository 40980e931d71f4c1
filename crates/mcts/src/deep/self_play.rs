//! Games of a net against itself, many at once, all leaves in one batch.

use std::time::Instant;

use model_utils_core::{ConfigError, config};
use serde::{Deserialize, Serialize};

use super::replay::Replay;
use crate::arena::draw_chances;
use crate::error::{Error, Result};
use crate::evaluator::Evaluator;
use crate::game::{Action, Encode, Game, Values, draw_chance};
use crate::random::{Random, mix};
use crate::rule::{Dirichlet, Gumbel, Puct, Rule, Scale};
use crate::search::{Progress, Search, SearchSettings};
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
    /// The share of the search's own value in the value that is learned for the player to move, the
    /// rest being what came of the game. 0 in the papers.
    pub value_mix: f32,
    /// How the searches grow their trees.
    #[serde(default)]
    pub search: SearchSettings,
}

impl Default for SelfPlay {
    /// 128 games at once, 32 simulations of Gumbel search among 16 actions.
    fn default() -> Self {
        Self {
            parallel: 128,
            simulations: 32,
            exploration: Exploration::Gumbel { considered: 16 },
            opening_moves: 0,
            value_mix: 0.0,
            search: SearchSettings::default(),
        }
    }
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
    /// Games that ended above 0, at 0 and below 0 for the first player: won, drawn and lost.
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
    /// What was paid since, and how much the rest counts.
    paid: Values,
    weight: f32,
}

impl SelfPlay {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::at_least("parallel", self.parallel, 1)?;
        config::at_least("simulations", self.simulations, 2)?;
        config::share("value_mix", self.value_mix)
    }

    /// Plays a number of games to their end and puts their positions into a replay window: what
    /// each player to move got from there on, rewards included, as a share of
    /// [`Game::most_value`]. Where a search proves a position, the game ends there with that result.
    /// Where chance acts, it is drawn. Same seed, same net: same games.
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
        // Both rules are for values from −1 to 1; mctx's scale is for all.
        let plain = start.most_value() <= 1.0;
        let scale = if plain { Scale::Plain } else { Scale::ParentAndSiblings };
        match self.exploration {
            Exploration::Gumbel { considered } => {
                let c_scale = if plain { 1.0 } else { 0.1 };
                let rule = Gumbel { considered, c_scale, scale, ..Gumbel::default() };
                let search = Search::new(rule, evaluator);
                Run::new(self, search, 0).play(start, games, seed, replay)
            }
            Exploration::Dirichlet { alpha, drawn_moves } => {
                let rule = Puct { scale, ..Puct::default() };
                let rule = rule.with_root_noise(Dirichlet::new(alpha));
                let search = Search::new(rule, evaluator);
                Run::new(self, search, drawn_moves).play(start, games, seed, replay)
            }
        }
    }
}

/// Self-play under one rule.
struct Run<'a, G: Game, R: Rule, E> {
    config: &'a SelfPlay,
    search: Search<G, R, E>,
    drawn_moves: usize,
    /// The positions of each game.
    records: Vec<Vec<Record>>,
    played: Played,
}

impl<'a, G: Encode, R: Rule, E: Evaluator<G>> Run<'a, G, R, E> {
    fn new(config: &'a SelfPlay, search: Search<G, R, E>, drawn_moves: usize) -> Self {
        let search = search.with_settings(config.search);
        Self { config, search, drawn_moves, records: Vec::new(), played: Played::default() }
    }

    fn play(mut self, start: &G, games: u64, seed: u64, replay: &mut Replay) -> Result<Played> {
        let started = Instant::now();
        let simulations = u64::from(self.config.simulations);
        let mut random = Random::new(seed);
        // One game after another is played in each place.
        let (mut trees, mut progress, mut begun) = (Vec::new(), Vec::new(), 0);
        let fresh = Progress { done: 0, end: simulations };
        while begun < games && trees.len() < self.config.parallel {
            let game = self.opening(start, &mut random)?;
            let mut tree = self.search.plant(&game, mix(seed, begun))?;
            tree.begin(Some(simulations))?;
            trees.push(tree);
            progress.push(fresh);
            self.records.push(Vec::new());
            begun += 1;
        }
        while !trees.is_empty() {
            self.played.evaluated += self.search.round(&mut trees, &mut progress)? as u64;
            let mut over = Vec::new();
            for index in 0..trees.len() {
                let (tree, Progress { done, end }) = (&mut trees[index], progress[index]);
                let ready = done >= end
                    || tree.proven().is_some()
                    || self.config.search.is_decided(tree, end - done);
                if !ready || tree.children().is_none() {
                    continue;
                }
                self.played.simulations += done;
                self.played.moves += 1;
                progress[index] = fresh;
                if self.step(tree, index, replay)? {
                    if begun == games {
                        over.push(index);
                        continue;
                    }
                    tree.set_game(&self.opening(start, &mut random)?);
                    begun += 1;
                }
                tree.begin(Some(simulations))?;
            }
            for index in over.into_iter().rev() {
                trees.swap_remove(index);
                progress.swap_remove(index);
                self.records.swap_remove(index);
            }
        }
        self.played.wall_s = started.elapsed().as_secs_f64();
        Ok(self.played)
    }

    /// The start, some random moves on.
    fn opening(&self, start: &G, random: &mut Random) -> Result<G> {
        if start.outcome().is_some() {
            return Err(Error::Ended { game: start.name() });
        }
        let mut actions = Vec::new();
        loop {
            let mut game = start.clone();
            draw_chances(&mut game, random)?;
            for _ in 0..random.below_u32(self.config.opening_moves as u32 + 1) {
                actions.clear();
                game.legal_actions(&mut actions);
                match actions.get(random.below_u32(actions.len() as u32) as usize) {
                    Some(&action) => game.play(action),
                    None => break,
                }
                draw_chances(&mut game, random)?;
            }
            if game.outcome().is_none() {
                return Ok(game);
            }
        }
    }

    /// Records the position, plays a move and what chance plays after it; whether the game is over
    /// and learned from.
    fn step(&mut self, tree: &mut Tree<G, R>, index: usize, replay: &mut Replay) -> Result<bool> {
        let game = tree.game();
        let player = game.turn().player().unwrap_or(0);
        let mut planes = vec![0.0; game.shape().iter().product()];
        game.encode(&mut planes);
        let (mut policy, mut found) = (vec![0.0; game.actions()], Vec::new());
        tree.policy(&mut found);
        let mut value = 0.0;
        if let Some(children) = tree.children() {
            value = children.node_value();
            for (child, probability) in found.iter().enumerate() {
                policy[usize::from(children.action(child))] = *probability;
            }
        }
        let (paid, weight) = (Values::DRAW, 1.0);
        self.records[index].push(Record { planes, policy, player, value, paid, weight });
        if let Some(proven) = tree.proven() {
            let values = Values::two(player, proven.value());
            return self.learn(tree.game(), index, values, replay).map(|()| true);
        }
        let mut next = Some(self.choose(tree, index));
        while let Some(action) = next {
            tree.advance(action)?;
            for record in &mut self.records[index] {
                if G::REWARDS {
                    record.paid = tree.game().rewards().discounted(record.weight, &record.paid);
                }
                record.weight *= self.config.search.discount;
            }
            let game = tree.game().clone();
            if let Some(values) = game.outcome() {
                return self.learn(&game, index, values, replay).map(|()| true);
            }
            next = draw_chance(&game, tree.random())?;
        }
        Ok(false)
    }

    fn choose(&self, tree: &mut Tree<G, R>, index: usize) -> Action {
        let draws = self.records[index].len() <= self.drawn_moves;
        let weights: Vec<f32> = tree.children().map_or_else(Vec::new, |children| {
            (0..children.len()).map(|child| children.visits(child) as f32).collect()
        });
        let child = if draws { tree.random().weighted_f32(&weights) } else { tree.best() };
        let action = tree.children().zip(child);
        action.map_or(0, |(children, child)| children.action(child))
    }

    /// The game ends with these values.
    fn learn(&mut self, game: &G, index: usize, values: Values, replay: &mut Replay) -> Result<()> {
        let first = values.of(0);
        let played = &mut self.played;
        played.results[if first > 0.0 { 0 } else { 1 + usize::from(first < 0.0) }] += 1;
        played.games += 1;
        played.positions += self.records[index].len() as u64;
        let (players, most) = (game.players(), game.most_value());
        let mut targets = vec![0.0; replay.values()];
        for Record { planes, policy, player, value, paid, weight } in self.records[index].drain(..)
        {
            let came = values.discounted(weight, &paid);
            for (after, target) in targets.iter_mut().enumerate() {
                *target = came.of((player + after) % players);
            }
            targets[0] += self.config.value_mix * (value - targets[0]);
            for target in &mut targets {
                *target /= most;
            }
            replay.push(&planes, &policy, &targets)?;
        }
        Ok(())
    }
}
