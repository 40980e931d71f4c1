//! Reinforcement learning: from long-term reward, the principle that decides actions.
//!
//! Environments are plain Rust, agents learn from many at once on [Burn](https://burn.dev).
//!
//! # A first program
//!
#![cfg_attr(feature = "flex", doc = "```")]
#![cfg_attr(not(feature = "flex"), doc = "```ignore")]
//! use rl::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let device = "flex".parse::<DeviceSpec>()?.open()?;
//!     let mut envs = CartPole::make_vec(8, 42)?;
//!     let mut agent = PpoConfig::cart_pole().with_seed(42).init(envs.spaces(), &device)?;
//!     // 100,000 steps for all 500 of an episode.
//!     agent.learn(&mut envs, Budget::steps(20_000), &mut ProgressBar::new())?;
//!     let evaluation = evaluate(&agent, &mut CartPole::new(), 10, 7)?;
//!     println!("{evaluation}");
//!     assert!(evaluation.mean() > 100.0); // a random policy: 22
//!     Ok(())
//! }
//! ```
//!
//! Without networks (`default-features = false` builds without Burn):
//!
//! ```
//! use rl::prelude::*;
//!
//! let lake = FrozenLake::four_by_four();
//! let best = value_iteration(&lake.mdp(), 0.99, 1e-9)?;
//! assert!((best.values[0] - 0.542026).abs() < 1e-5);
//!
//! let mut world = TimeLimit::new(lake.environment(), 100)?;
//! let mut agent = Tabular::new(TabularConfig::new(Method::QLearning), &world)?;
//! agent.learn(&mut world, Budget::episodes(1000), &mut Silent)?;
//! # Ok::<(), rl::Error>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`environment`], [`space`] | what an environment is, what observations and actions may be |
//! | [`environments`] | mazes, grids, lakes, classic control (also many in columns), a traffic signal, advertisements |
//! | [`fn@check`] | whether an environment of one's own keeps the contract |
//! | [`wrappers`] | time limit, normalisation, other observations, actions and rewards, frame stack, action mask |
//! | [`vector`] | many environments at once |
//! | [`planning`] | policy evaluation, policy iteration, value iteration |
//! | [`tabular`] | Monte Carlo, Q-learning, SARSA and their relatives |
//! | [`bandits`] | ε-greedy, softmax, UCB, KL-UCB, Thompson, EXP3, `LinUCB`; what a policy is worth, from a log |
//! | [`memory`] | replay, prioritised replay, n-step transitions, generalised advantages |
//! | `deep` | DQN, REINFORCE, A2C, PPO, SAC, TD3 (feature `burn`, on by default) |
//! | `gymnasium` | Gymnasium's environments in Rust and ours in Python, over a socket (feature `gymnasium`) |
//! | [`fn@evaluate`] | how good a policy is |
//! | [`prelude`] | what the programs above need |
//!
//! # Design decisions
//!
//! - `terminated` and `truncated` are told apart everywhere: only a terminated step has nothing
//!   after it, a truncated one is estimated through its final observation. Tests fail where the
//!   two are merged.
//! - All of an episode follows from the seed of its reset; generators are the crate's own and
//!   serialise. A run that is saved and resumed goes on bit for bit: networks, moments, replay,
//!   generators, schedules, environments.
//! - Dynamics agree with Gymnasium within 1e-9, step by step, on fixtures of 1,000 steps.
//!
//! # Papers
//!
//! Sutton and Barto, *Reinforcement Learning*, 2nd edition, 2018; each algorithm names its own.

pub mod bandits;
pub mod check;
#[cfg(feature = "burn")]
pub mod deep;
pub mod environment;
pub mod environments;
pub mod error;
pub mod evaluate;
#[cfg(feature = "gymnasium")]
pub mod gymnasium;
pub mod memory;
pub mod planning;
pub mod prelude;
pub mod space;
pub mod tabular;
pub mod vector;
pub mod wrappers;

pub use check::{Breach, check};
pub use environment::{Environment, Policy, Step};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, evaluate};
pub use model_utils_core::{Budget, ConfigError, random};
pub use space::{Space, Spaces};
