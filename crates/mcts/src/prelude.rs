//! What a first program needs: `use mcts::prelude::*;`.

#[cfg(feature = "burn")]
pub use model_utils::burn;
#[cfg(feature = "burn")]
pub use model_utils::device::{DeviceSpec, seed};
#[cfg(feature = "burn")]
pub use model_utils::train::{Budget, ProgressBar, Silent};

#[cfg(feature = "burn")]
pub use crate::deep::{AlphaZeroConfig, NetEvaluator, PolicyValueConfig};
pub use crate::error::Error;
pub use crate::evaluator::Evaluator;
pub use crate::found::Found;
pub use crate::game::{Action, Game, Payoff, Turn, Values};
pub use crate::games::{ConnectFour, Othello, TicTacToe};
pub use crate::leaves::Leaves;
pub use crate::limits::Limits;
pub use crate::rollout::Rollout;
pub use crate::rule::{Gumbel, Puct, Uct};
pub use crate::search::Search;
