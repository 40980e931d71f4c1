//! What every example has outside: the same flags, the table at the end, `metrics.json`; and, a
//! module a topic, what several examples of a topic share.

// These are programs' parts: they speak to the reader, their fields carry the names of flags, and
// each error goes up to `main`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::missing_errors_doc, missing_docs)]

#[cfg(feature = "compress")]
pub mod compress;
pub mod flags;
#[cfg(feature = "gan")]
pub mod gan;
#[cfg(feature = "mcts")]
pub mod go;
#[cfg(feature = "mcts")]
pub mod mcts;
#[cfg(feature = "rl")]
pub mod rl;
#[cfg(any(feature = "gan", feature = "rl"))]
pub mod series;
pub mod session;
#[cfg(feature = "transformer")]
pub mod translation;
#[cfg(feature = "vision")]
pub mod vision;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use burn::tensor::Device;
use model_utils::device::DeviceSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use flags::within;

#[cfg(any(feature = "gan", feature = "rl"))]
pub use series::{Film, Series};
pub use session::{Resume, Session, conversation, end_on_ctrl_c, program};

/// The flags that all examples share.
#[derive(Debug, Clone, clap::Args)]
pub struct Basic {
    /// What all random draws follow from
    #[arg(long, value_name = "N", default_value_t = 42, allow_negative_numbers = true,
          value_parser = within(0..=u64::from(u32::MAX)))]
    pub seed: u64,
    /// Folder for pictures, metrics.json and checkpoints [default: out/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Basic {
    /// Opens and seeds a device, and says which one it is.
    pub fn open(&self, device: DeviceSpec) -> anyhow::Result<Device> {
        model_utils::memory::keep_freed_memory();
        let opened = device.open().with_context(|| format!("--device {device}"))?;
        println!("device: {}", device.info()?);
        model_utils::device::seed(&opened, self.seed);
        Ok(opened)
    }
}

/// The flags of an example that computes on a device.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Where to compute: flex, ndarray, cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, value_name = "SPEC", default_value_t)]
    pub device: DeviceSpec,
    #[command(flatten)]
    basic: Basic,
}

impl Common {
    /// Opens and seeds the device, and says which one it is.
    pub fn open(&self) -> anyhow::Result<Device> {
        self.basic.open(self.device)
    }
}

impl Deref for Common {
    type Target = Basic;

    fn deref(&self) -> &Basic {
        &self.basic
    }
}

/// The figures of a run: a short table for the reader, a flat file for programs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics {
    values: Map<String, Value>,
}

impl Metrics {
    /// Sets a figure; keys are in `snake_case` with their unit.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_owned(), value.into());
    }

    /// A figure that was set.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A figure that is a number.
    pub fn number(&self, key: &str) -> anyhow::Result<f64> {
        self.get(key).and_then(Value::as_f64).with_context(|| format!("no figure `{key}`"))
    }

    /// Takes over what a stage of the same run measured.
    pub fn add(&mut self, other: Self) {
        self.values.extend(other.values);
    }

    /// Takes over another run's figures, with its name before their keys.
    pub fn extend(&mut self, name: &str, other: Self) {
        self.values
            .extend(other.values.into_iter().map(|(key, value)| (format!("{name}_{key}"), value)));
    }

    /// The rows of the table.
    pub fn rows(&self) -> Vec<[String; 2]> {
        self.values.iter().map(|(key, value)| [key.clone(), readable(value)]).collect()
    }

    /// Prints the table and writes `metrics.json`.
    fn finish(&self, out: &Path) -> anyhow::Result<()> {
        let width = self.values.keys().map(String::len).max().unwrap_or(0);
        println!();
        for [key, value] in self.rows() {
            println!("{key:width$}  {value}");
        }
        self.write(out)?;
        println!("\nwrote {}", out.display());
        Ok(())
    }

    /// Writes `metrics.json` alone, for a program with a table of its own.
    pub fn write(&self, out: &Path) -> anyhow::Result<()> {
        let path = out.join("metrics.json");
        Ok(model_utils::atomic::write(&path, &serde_json::to_vec_pretty(&self.values)?)?)
    }
}

fn readable(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if number.abs() >= 100.0 { format!("{number:.1}") } else { format!("{number:.4}") }
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
