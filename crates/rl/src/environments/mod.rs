//! Worlds to learn in.
//!
//! | world | observation | action | after |
//! | --- | --- | --- | --- |
//! | [`CartPole`], [`MountainCar`], [`MountainCarContinuous`], [`Acrobot`], [`Pendulum`] | numbers | index or number | Gymnasium, within 1e-9 |
//! | [`FrozenLake`], [`CliffWalking`], [`GridWorld`], [`Maze`] | index | index | Gymnasium where it has them |
//! | [`Traffic`] | queues and the signal | the phase that gets green | a queue model of one intersection |
//! | [`Advertising`] | who looks | which advertisement is shown | a click model with drift |
//!
//! The first five are [`ControlEnvironment`]s of some [`Dynamics`]: `CartPole::new()` is one environment,
//! `CartPole::make_vec(1024, 42)` a vector of them in columns. The next four are descriptions whose
//! [`Mdp`] planning solves and whose `environment()` is acted in.

mod acrobot;
mod advertising;
mod cart_pole;
mod control;
mod control_vector;
mod dynamics;
mod finite;
mod grid;
mod maze;
mod mountain_car;
mod pendulum;
mod traffic;

pub use acrobot::{Acrobot, AcrobotDynamics};
pub use advertising::{Advertising, AdvertisingConfig};
pub use cart_pole::{CartPole, CartPoleDynamics};
pub use control::ControlEnvironment;
pub use control_vector::ControlVectorEnvironment;
pub use dynamics::{Columns, Dynamics};
pub use finite::{Finite, Mdp, Outcome};
pub use grid::{CliffWalking, FrozenLake, GridWorld};
pub use maze::{Maze, Walls};
pub use mountain_car::{
    MountainCar, MountainCarContinuous, MountainCarContinuousDynamics, MountainCarDynamics,
};
pub use pendulum::{Pendulum, PendulumDynamics};
pub use traffic::{Exhaustive, FixedTime, MaxPressure, Traffic, TrafficConfig};
