//! What the first programs of this crate need, Burn and its devices included.
//!
//! ```
//! use rl::prelude::*;
//!
//! let poles = CartPole::make_vec(8, 42)?;
//! assert_eq!(poles.count(), 8);
//! # Ok::<(), rl::Error>(())
//! ```

#[cfg(feature = "burn")]
pub use model_utils::burn;
#[cfg(feature = "burn")]
pub use model_utils::device::{DeviceSpec, seed};
#[cfg(feature = "burn")]
pub use model_utils::train::ProgressBar;
pub use model_utils_core::Budget;
pub use model_utils_core::event::{Silent, Stop};

#[cfg(feature = "burn")]
pub use crate::deep::{Agent, PpoConfig};
pub use crate::environment::{Environment, Policy};
pub use crate::environments::{CartPole, FrozenLake};
pub use crate::evaluate::evaluate;
pub use crate::planning::value_iteration;
pub use crate::tabular::{Method, Tabular, TabularConfig};
pub use crate::vector::VectorEnvironment;
pub use crate::wrappers::TimeLimit;
