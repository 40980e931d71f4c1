//! Reinforcement learning: from long-term reward, the principle that decides actions.
//!
//! Environments are plain Rust, agents learn from many at once on [Burn](https://burn.dev).
//!
//! # A first program
//!
#![cfg_attr(feature = "flex", doc = "```")]
#![cfg_attr(not(feature = "flex"), doc = "```ignore")]
//! use model_utils::device::{DeviceSpec, seed};
//! use model_utils::train::{Budget, Silent};
//! use rl::deep::{Agent as _, PpoConfig};
//! use rl::environments::CartPole;
//! use rl::evaluate;
//! use rl::vector::VectorEnvironment as _;
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! seed(&device, 42);
//!
//! let mut envs = CartPole::many(8, 42)?;
//! let mut agent = PpoConfig::cart_pole().init(envs.spaces(), &device)?;
//! agent.learn(&mut envs, Budget::steps(20_000), &mut Silent)?; // 100,000 for all 500 steps
//! let evaluation = evaluate(&agent, &mut CartPole::new(), 10, 7)?;
//! println!("{evaluation}");
//! assert!(evaluation.mean() > 100.0); // a random policy: 22
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without networks (`default-features = false` builds without Burn):
//!
//! ```
//! use rl::environments::FrozenLake;
//! use rl::planning::value_iteration;
//! use rl::tabular::{Limit, Method, Tabular, TabularConfig};
//! use rl::wrappers::TimeLimit;
//!
//! let lake = FrozenLake::four_by_four();
//! let best = value_iteration(&lake.mdp(), 0.99, 1e-9)?;
//! assert!((best.values[0] - 0.542026).abs() < 1e-5);
//!
//! let mut world = TimeLimit::new(lake.environment(), 100)?;
//! let mut agent = Tabular::new(TabularConfig::new(Method::QLearning), &world)?;
//! agent.learn(&mut world, Limit::episodes(1000), |_| {})?;
//! # Ok::<(), rl::Error>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`environment`], [`space`] | what an environment is, what observations and actions may be |
//! | [`environments`] | mazes, grids, lakes, classic control, a traffic signal, advertisements |
//! | [`wrappers`] | time limit, normalisation, other observations, frame stack, action mask |
//! | [`vector`] | many environments at once, in columns or on threads |
//! | [`planning`] | policy evaluation, policy iteration, value iteration |
//! | [`tabular`] | Monte Carlo, Q-learning, SARSA and their relatives |
//! | [`bandits`] | ε-greedy, UCB, KL-UCB, Thompson, EXP3, `LinUCB` |
//! | [`memory`] | replay, prioritised replay, n-step transitions, generalised advantages |
//! | `deep` | DQN, REINFORCE, A2C, PPO, SAC (feature `deep`, on by default) |
//! | [`fn@evaluate`] | how good a policy is |
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
#[cfg(feature = "deep")]
pub mod deep;
pub mod environment;
pub mod environments;
pub mod error;
pub mod evaluate;
mod files;
pub mod memory;
pub mod planning;
pub mod random;
pub mod space;
pub mod tabular;
pub mod vector;
pub mod wrappers;

pub use environment::{Environment, Policy, Step};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, evaluate};
pub use space::{Space, Spaces};
