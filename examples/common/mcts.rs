//! Games by name.

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
