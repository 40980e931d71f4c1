//! Games that are ready to be searched.

mod connect_four;
mod connect_four_solver;
mod othello;
mod square;
mod tic_tac_toe;

pub use connect_four::ConnectFour;
pub use connect_four_solver::{ConnectFourSolver, read_positions};
pub use othello::Othello;
pub use tic_tac_toe::TicTacToe;

use crate::game::Game;

/// How many positions lie exactly `depth` actions below a position, counted once for each way to
/// reach them: the usual test of a game's rules.
///
/// ```
/// use mcts::games::{TicTacToe, perft};
///
/// assert_eq!(perft(&TicTacToe::new(), 3), 9 * 8 * 7);
/// ```
pub fn perft<G: Game>(game: &G, depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    if game.outcome().is_some() {
        return 0;
    }
    let mut actions = Vec::new();
    game.legal_actions(&mut actions);
    if depth == 1 {
        return actions.len() as u64;
    }
    let below = |action| {
        let mut next = game.clone();
        next.play(action);
        perft(&next, depth - 1)
    };
    actions.into_iter().map(below).sum()
}
