//! Agents with networks (feature `burn`): DQN and QR-DQN, REINFORCE, A2C, PPO, SAC,
//! TD3 and DDPG.
//!
//! All of them have [`act`](Policy::act), [`learn`](Agent::learn), [`save`](Agent::save),
//! [`load`](Agent::load) and [`resume_in`](Agent::resume_in).
//!
//! # Design decisions
//!
//! - The master copy of the weights lies on the host. Acting is a forward pass in plain Rust
//!   ([`Network::forward`]), since a batch of one spends its time in the overhead of operations;
//!   learning uploads weights and batch, and brings the gradients back. A test holds the two
//!   passes against each other.
//! - A [`Network`] is a perceptron or any module of the user's ([`Network::from_module`]), whose
//!   parameters are one vector too: optimiser, target copies, files and checkpoints know no
//!   difference. The agents build theirs through one function that
//!   [`from_networks`](Agent::from_networks) replaces.
//! - A perceptron is one operation, forward and backward, on one vector of weights
//!   ([`ops::perceptron`](model_utils::ops::perceptron)): small networks spend their time between
//!   operations.
//! - [`Adam`] and clipping run over all weights in one pass on the host; a test holds them against
//!   Burn's.
//! - A checkpoint holds networks, moments, replay, generators, schedules and the environments:
//!   2n steps equal n, a resume, and n, bit for bit on `flex`.

mod actor_critic;
mod adam;
mod agent;
mod columns;
mod critics;
mod distribution;
mod dqn;
mod evaluation;
mod journal;
mod module;
mod network;
mod off_policy;
mod on_policy;
mod policy_gradient;
mod ppo;
mod sac;
mod squashed;
mod td3;

pub use actor_critic::{ActorCritic, Judged, Live, Rows};
pub use adam::{Adam, clip};
pub use agent::{Agent, Columns, Parts, Snapshot, Stochastic};
pub use distribution::Distribution;
pub use dqn::{DeepQ, Dqn, DqnConfig};
pub use evaluation::{Best, PeriodicEvaluation};
pub use journal::{Journal, Learned};
pub use module::Body;
pub use network::{Network, NetworkShape};
pub use off_policy::{OffPolicy, OffPolicyAlgorithm};
pub use on_policy::{Algorithm, OnPolicy, OnPolicyConfig, Rollout};
pub use policy_gradient::{A2c, A2cConfig, A2cUpdate, Reinforce, ReinforceConfig, ReinforceUpdate};
pub use ppo::{Ppo, PpoConfig, PpoUpdate};
pub use sac::{Sac, SacConfig, SoftActorCritic};
pub use td3::{Td3, Td3Config, TwinDelayed};

#[allow(unused_imports)] // For the links above.
use crate::environment::Policy;
