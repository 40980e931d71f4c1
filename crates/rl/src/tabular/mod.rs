//! Learning in worlds of finitely many states by a table of action values (Sutton and Barto 2018,
//! chapters 5 to 8 and 12).
//!
//! | method | moves Q(s, a) towards |
//! | --- | --- |
//! | [`Method::MonteCarlo`] | the whole return after the first visit |
//! | [`Method::QLearning`] | r + γ max Q(s′, ·) (Watkins 1989) |
//! | [`Method::Sarsa`] | r + γ Q(s′, a′) (Rummery and Niranjan 1994) |
//! | [`Method::ExpectedSarsa`] | r + γ Σ π(a) Q(s′, a) (van Seijen et al. 2009) |
//! | [`Method::DoubleQ`] | r + γ Q₂(s′, argmax Q₁), the two tables in turns (van Hasselt 2010) |
//! | [`Method::NStepSarsa`] | n rewards, then Q(s′, a′) |
//! | [`Method::SarsaLambda`] | as SARSA, for all pairs with a trace |
//! | [`Method::DynaQ`] | as Q-learning, and again for remembered steps (Sutton 1990) |
//!
//! A terminated step has nothing after it; a truncated one is estimated through its final
//! observation, the return of Monte Carlo included.
//!
//! ```
//! use rl::prelude::*;
//! use rl::environments::Maze;
//! use rl::tabular::{Method, Tabular, TabularConfig};
//!
//! let maze = Maze::three_by_three();
//! let mut world = maze.environment();
//! let config = TabularConfig::new(Method::QLearning).with_discount(0.8);
//! let mut agent = Tabular::new(config, &world)?;
//! agent.learn(&mut world, Budget::episodes(300), &mut Silent)?;
//! assert_eq!(maze.path(&agent.policy()), [0, 3, 4, 5, 8]);
//! # Ok::<(), rl::Error>(())
//! ```

mod agent;
mod config;
mod table;

pub use agent::Tabular;
pub use config::{Method, Schedule, TabularConfig, Traces};
pub use table::QTable;
