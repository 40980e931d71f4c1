//! Players against each other: results, Elo and its interval.

use std::fmt;
use std::ops::AddAssign;
use std::time::Instant;

use model_utils_core::{ConfigError, config};
use rand_core::Rng as _;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluator::Evaluator;
use crate::game::{Action, Game, draw_chance};
use crate::limits::Limits;
use crate::random::{Random, mix};
use crate::rule::Rule;
use crate::search::{Progress, Search, too_few};
use crate::tree::Tree;

/// Somebody who chooses actions in many games at once.
pub trait Player<G: Game> {
    /// An action for each position; each is legal.
    ///
    /// # Errors
    ///
    /// What the player runs on may fail.
    fn act(&mut self, games: &[G]) -> Result<Vec<Action>>;
}

/// Plays at random.
#[derive(Debug, Clone)]
pub struct RandomPlayer(Random);

impl RandomPlayer {
    /// A player that follows from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }
}

impl<G: Game> Player<G> for RandomPlayer {
    fn act(&mut self, games: &[G]) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        games
            .iter()
            .map(|game| {
                actions.clear();
                game.legal_actions(&mut actions);
                let index = self.0.below_u32(actions.len() as u32) as usize;
                actions.get(index).copied().ok_or_else(|| Error::NoActions { game: game.name() })
            })
            .collect()
    }
}

/// Searches each position as a [`Search`] would, all positions in common batches. Each tree starts
/// empty.
///
/// ```
/// use mcts::arena::{RandomPlayer, SearchPlayer, play_pairs};
/// use mcts::games::ConnectFour;
/// use mcts::rule::Uct;
/// use mcts::{Limits, Rollout, Search};
///
/// let search = Search::new(Uct::default(), Rollout::new(1)).with_seed(2);
/// let mut player = SearchPlayer::new(search, Limits::simulations(50))?;
/// let mut random = RandomPlayer::new(3);
/// let score = play_pairs(&ConnectFour::new(), &mut player, &mut random, 10, 2, 7)?;
/// assert!(score.wins > 15);
/// # Ok::<(), mcts::Error>(())
/// ```
#[derive(Debug)]
pub struct SearchPlayer<G: Game, R: Rule, E> {
    search: Search<G, R, E>,
    limits: Limits,
    random: Random,
    trees: Vec<Tree<G, R>>,
}

impl<G: Game, R: Rule, E: Evaluator<G>> SearchPlayer<G, R, E> {
    /// A player with a search and its limits. Simulations and nodes are those of each position;
    /// time is that of all positions of a call together.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for limits of 0, fewer than 2 simulations, as one judges the root, and a
    /// search that looks at [some actions](Search::allow) alone.
    pub fn new(mut search: Search<G, R, E>, limits: Limits) -> Result<Self> {
        limits.check()?;
        config::at_least("simulations", limits.simulation_limit().unwrap_or(u64::MAX), 2)?;
        if let Some(allowed) = search.allowed() {
            let expected = "none: they are those of one position";
            return Err(ConfigError::new("allowed", format!("{allowed:?}"), expected).into());
        }
        search.rule.check()?;
        search.clear();
        Ok(Self { random: Random::new(search.seed), search, limits, trees: Vec::new() })
    }

    /// The evaluator.
    pub const fn evaluator(&mut self) -> &mut E {
        self.search.evaluator()
    }

    /// The trees of the last call, one a position.
    pub fn trees(&self) -> &[Tree<G, R>] {
        &self.trees
    }
}

impl<G: Game, R: Rule, E: Evaluator<G>> Player<G> for SearchPlayer<G, R, E> {
    fn act(&mut self, games: &[G]) -> Result<Vec<Action>> {
        let started = Instant::now();
        self.trees.truncate(games.len());
        for (index, game) in games.iter().enumerate() {
            if let Some(tree) = self.trees.get_mut(index) {
                tree.set_game(game);
            } else {
                self.trees.push(self.search.plant(game, self.random.next_u64())?);
            }
            self.trees[index].begin(self.limits.simulation_limit())?;
        }
        let mut progress = vec![Progress::default(); games.len()];
        self.search.grow(&mut self.trees, &mut progress, self.limits, started)?;
        let best = self.trees.iter().zip(progress).map(|(tree, Progress { done, .. })| {
            let best = tree.children().zip(tree.best());
            best.map(|(children, child)| children.action(child)).ok_or_else(|| too_few(done).into())
        });
        best.collect()
    }
}

/// Results of one player against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Games won.
    pub wins: u64,
    /// Games drawn.
    pub draws: u64,
    /// Games lost.
    pub losses: u64,
}

/// A number and its interval of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self { value, low, high } = self;
        write!(f, "{value:.digits$} ({low:.digits$} to {high:.digits$})")
    }
}

impl Score {
    /// Games in all.
    pub const fn games(&self) -> u64 {
        self.wins + self.draws + self.losses
    }

    /// The share of the points, a draw being half a point, with its interval (Wilson's, with the
    /// variance that draws leave).
    pub fn rate(&self) -> Estimate {
        let n = self.games().max(1) as f64;
        let value = (self.wins as f64 + 0.5 * self.draws as f64) / n;
        // Draws lessen the variance: as if so many games had been played to a decision.
        let square = (self.wins as f64 + 0.25 * self.draws as f64) / n - value * value;
        let binomial = value * (1.0 - value);
        let games = if square > 1e-9 { n * binomial / square } else { n };
        let z = 1.959_964;
        let centre = (value + z * z / (2.0 * games)) / (1.0 + z * z / games);
        let half =
            z / (1.0 + z * z / games) * (binomial / games + z * z / (4.0 * games * games)).sqrt();
        Estimate { value, low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
    }

    /// The difference in Elo, `400 log₁₀(p / (1 − p))`; infinite where all was won or lost.
    pub fn elo(&self) -> Estimate {
        let elo = |p: f64| 400.0 * (p / (1.0 - p)).log10();
        let Estimate { value, low, high } = self.rate();
        Estimate { value: elo(value), low: elo(low), high: elo(high) }
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.wins += other.wins;
        self.draws += other.draws;
        self.losses += other.losses;
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wins, draws, losses } = self;
        write!(
            f,
            "{wins} won, {draws} drawn, {losses} lost: {:.3}, Elo {:.0}",
            self.rate(),
            self.elo()
        )
    }
}

/// Plays pairs of games, all at once: each opening twice, each player beginning once. Openings
/// are `opening_moves` random moves from a seed, so that players without randomness of their own
/// do not play one game again and again.
///
/// # Errors
///
/// [`Error::Config`] for 0 pairs and a game that is not of two players, [`Error::Illegal`] for an
/// action that a player may not play,
/// [`Error::NoActions`] where chance has none.
pub fn play_pairs<G: Game>(
    start: &G,
    first: &mut dyn Player<G>,
    second: &mut dyn Player<G>,
    pairs: usize,
    opening_moves: usize,
    seed: u64,
) -> Result<Score> {
    config::at_least("pairs", pairs, 1)?;
    let players = start.players();
    config::require(players == 2, "players", players, "2, who are compared")?;
    // (game, whether `first` has the seat of the player to move at the start)
    let mut open = Vec::new();
    for pair in 0..pairs {
        let game = opening(start, opening_moves, mix(seed, pair as u64))?;
        let mover = game.turn().player().unwrap_or(0);
        open.push((game.clone(), mover));
        open.push((game, mover ^ 1));
    }
    let mut score = Score::default();
    let mut chance = Random::new(mix(seed, u64::MAX));
    // An opening may have ended by chance.
    count_ended(&mut open, &mut score);
    while !open.is_empty() {
        for players in 0..2 {
            let mine = |(game, seat): &(G, usize)| {
                game.turn().player().is_some_and(|player| (player == *seat) == (players == 0))
            };
            let indices: Vec<usize> = (0..open.len()).filter(|&index| mine(&open[index])).collect();
            if indices.is_empty() {
                continue;
            }
            let games: Vec<G> = indices.iter().map(|&index| open[index].0.clone()).collect();
            let actions = if players == 0 { first.act(&games)? } else { second.act(&games)? };
            for (&index, action) in indices.iter().zip(actions) {
                let game = &mut open[index].0;
                game.try_play(action)?;
                draw_chances(game, &mut chance)?;
            }
            count_ended(&mut open, &mut score);
        }
    }
    Ok(score)
}

/// Counts the games that have ended, by the seat beside each, and leaves the others.
fn count_ended<G: Game>(open: &mut Vec<(G, usize)>, score: &mut Score) {
    open.retain(|(game, seat)| {
        let Some(values) = game.outcome() else { return true };
        let value = values.of(*seat);
        if value > 0.0 {
            score.wins += 1;
        } else if value < 0.0 {
            score.losses += 1;
        } else {
            score.draws += 1;
        }
        false
    });
}

/// Plays what chance plays, until a player is to move or the game has ended.
pub(crate) fn draw_chances<G: Game>(game: &mut G, random: &mut Random) -> Result<()> {
    while let Some(action) = draw_chance(game, random)? {
        game.play(action);
    }
    Ok(())
}

/// The position after some random moves of the players, and what chance plays between them; fewer
/// where the game would end.
fn opening<G: Game>(start: &G, moves: usize, seed: u64) -> Result<G> {
    let mut random = Random::new(seed);
    let mut actions = Vec::new();
    let mut game = start.clone();
    draw_chances(&mut game, &mut random)?;
    for _ in 0..moves {
        actions.clear();
        game.legal_actions(&mut actions);
        let mut next = game.clone();
        match actions.get(random.below_u32(actions.len() as u32) as usize) {
            Some(&action) => next.play(action),
            None => break,
        }
        draw_chances(&mut next, &mut random)?;
        if next.outcome().is_some() {
            break;
        }
        game = next;
    }
    Ok(game)
}
