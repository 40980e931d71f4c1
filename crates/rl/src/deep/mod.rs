//! Agents with networks (feature `burn`): DQN, REINFORCE, A2C, PPO, SAC.
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
//! - [`Adam`] and clipping run over all weights in one pass on the host; a test holds them against
//!   Burn's.
//! - A checkpoint holds networks, moments, replay, generators, schedules and the environments:
//!   2n steps equal n, a resume, and n, bit for bit on `flex`.

mod actor_critic;
mod adam;
mod agent;
mod columns;
mod dqn;
mod journal;
mod network;
mod off_policy;
mod on_policy;
mod policy_gradient;
mod ppo;
mod sac;
mod squashed;

pub use actor_critic::ActorCritic;
pub use adam::{Adam, clip};
pub use agent::{Agent, Snapshot};
pub use dqn::{Dqn, DqnConfig};
pub use journal::Learned;
pub use network::Network;
pub use on_policy::{Algorithm, OnPolicy, OnPolicyConfig, Rollout};
pub use policy_gradient::{A2c, A2cConfig, A2cUpdate, Reinforce, ReinforceConfig, ReinforceUpdate};
pub use ppo::{Ppo, PpoConfig, PpoUpdate};
pub use sac::{Sac, SacConfig};

#[allow(unused_imports)] // For the links above.
use crate::environment::Policy;
