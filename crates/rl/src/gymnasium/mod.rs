//! [Gymnasium](https://gymnasium.farama.org), both ways over a local socket: its environments to
//! learn in, and environments of this crate for what learns in Python.
//!
//! | | in Rust | in Python, `examples/gymnasium/usagi_gymnasium.py` |
//! | --- | --- | --- |
//! | a world of Python | [`RemoteVectorEnvironment`], [`RemoteEnvironment`] | `python usagi_gymnasium.py` |
//! | a world of Rust | [`serve`] | `UsagiEnv`, `UsagiVectorEnv` |
//!
//! ```no_run
//! use std::process::Command;
//!
//! use rl::gymnasium::{RemoteConfig, RemoteVectorEnvironment};
//! use rl::vector::VectorEnvironment as _;
//!
//! let mut python = Command::new("python");
//! python.arg("examples/gymnasium/usagi_gymnasium.py");
//! let config = RemoteConfig::new("LunarLander-v3").with_count(16);
//! let landers = RemoteVectorEnvironment::spawn(python, &config)?;
//! assert_eq!(landers.spaces().observation.features(), 8);
//! # Ok::<(), rl::Error>(())
//! ```
//!
//! # Protocol
//!
//! A frame is the length of what follows (4 bytes, little-endian, 1 to [`MOST_BYTES`]), a letter, and
//! a body. Hellos and errors are JSON, the rest is binary and little-endian, so that numbers arrive
//! bit for bit. One frame steps all environments; elements are in the flat form of
//! [`space`](crate::space).
//!
//! | letter | from | body |
//! | --- | --- | --- |
//! | `H` | client | `protocol`, `version`, `environment`, `arguments`, `count`, `autoreset` |
//! | `H` | server | `protocol`, `version`, `environment`, `count`, `spaces` |
//! | `R` | client | a seed, u64 |
//! | `O` | server | observations, f64 `[count, numbers]`; masks |
//! | `S` | client | actions, f64 `[count, numbers]` |
//! | `T` | server | rewards, f64 `[count]`; ends, u8 `[count]` (1 terminated, 2 truncated); observations and masks as in `O`; with `autoreset`, for each that has ended, its last observation and mask; for each environment the count of its info (u16), each the length of its name (u16), its name, its number |
//! | `E` | server | `message` |
//!
//! Masks are one byte, 1 where there are some, and then u8 `[count, choices]`.
//!
//! With `autoreset` an environment that has ended starts anew within the same step, from the seed
//! that [`vector`](crate::vector) gives its episodes; without, a step after the end is an error and
//! a reset starts from its seed itself.

mod client;
mod protocol;
mod server;

pub use client::{RemoteConfig, RemoteEnvironment, RemoteVectorEnvironment};
pub use protocol::{MOST_BYTES, MOST_ENVIRONMENTS, VERSION};
pub use server::serve;
