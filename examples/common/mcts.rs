//! Games by name, and Connect Four positions to grade players with.

use ::mcts::arena::Player;
use ::mcts::games::{ConnectFour, ConnectFourSolver};
use ::mcts::random::Random;
use ::mcts::{Action, Game};
use clap::ValueEnum;

/// The games that examples know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choose {
    /// 3×3
    #[value(name = "tic_tac_toe")]
    TicTacToe,
    /// 7×6
    #[value(name = "connect_four")]
    ConnectFour,
    /// 8×8
    Othello,
}

/// Evaluates an expression with a game of the chosen type at its start.
#[allow(unused_macros)]
macro_rules! with_game {
    ($choice:expr, $game:ident => $body:expr) => {
        match $choice {
            $crate::common::mcts::Choose::TicTacToe => {
                let $game = ::mcts::games::TicTacToe::new();
                $body
            }
            $crate::common::mcts::Choose::ConnectFour => {
                let $game = ::mcts::games::ConnectFour::new();
                $body
            }
            $crate::common::mcts::Choose::Othello => {
                let $game = ::mcts::games::Othello::new();
                $body
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use with_game;

/// A Connect Four position and the moves that keep its exact result.
#[derive(Debug, Clone)]
pub struct Keeps {
    pub game: ConnectFour,
    pub moves: Vec<Action>,
}

/// Random positions that go on, with a number of stones drawn evenly from a range, none twice.
pub fn random_positions(
    count: usize,
    stones: std::ops::RangeInclusive<u32>,
    seed: u64,
) -> Vec<ConnectFour> {
    let mut random = Random::new(seed);
    let mut positions = Vec::new();
    let mut actions = Vec::new();
    while positions.len() < count {
        let wanted = stones.start() + random.below(stones.end() - stones.start() + 1);
        let mut game = ConnectFour::new();
        while game.outcome().is_none() && game.stones() < wanted {
            actions.clear();
            game.legal_actions(&mut actions);
            game.play(actions[random.below(actions.len() as u32) as usize]);
        }
        if game.outcome().is_none() && !positions.contains(&game) {
            positions.push(game);
        }
    }
    positions
}

/// Labels positions by the exact solver.
pub fn labelled(games: &[ConnectFour]) -> anyhow::Result<Vec<Keeps>> {
    let mut solver = ConnectFourSolver::new();
    games
        .iter()
        .map(|game| {
            let results = solver.results(game)?;
            let best = results.iter().map(|(_, result)| *result).max();
            let keeps = results.iter().filter(|(_, result)| Some(*result) == best);
            Ok(Keeps { game: *game, moves: keeps.map(|(action, _)| *action).collect() })
        })
        .collect()
}

/// The share of positions in which a player's move keeps the exact result.
pub fn grade(player: &mut dyn Player<ConnectFour>, positions: &[Keeps]) -> anyhow::Result<f64> {
    let mut right = 0;
    for positions in positions.chunks(125) {
        let games: Vec<_> = positions.iter().map(|keeps| keeps.game).collect();
        let actions = player.act(&games)?;
        right += positions.iter().zip(actions).filter(|(p, a)| p.moves.contains(a)).count();
    }
    Ok(right as f64 / positions.len().max(1) as f64)
}
