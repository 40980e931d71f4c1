//! The error of this crate and of `model-utils`: what went wrong, where, and what was expected.

use std::any::Any;
use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::config::ConfigError;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, written or renamed.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried: `open`, `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system answered: part of the message, so no `source` of its own, which
        /// would be said twice.
        cause: io::Error,
    },
    /// A file was read, but is not what its format demands (truncated, foreign, inconsistent).
    #[error("{} is not a valid {format} file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that was expected: `IDX`, `SafeTensors`, …
        format: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// A data set cannot be used: empty, a label out of range, files that do not belong together.
    #[error("data set {origin}: {reason}")]
    Data {
        /// The folder, file or name of the data set.
        origin: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor or image of the wrong shape.
    #[error("{what}: expected shape {expected}, found {found}")]
    Shape {
        /// What has the shape.
        what: String,
        /// The shape that was expected; a letter stands for any length.
        expected: String,
        /// The shape that was found.
        found: String,
    },
    /// A device specification that does not parse.
    #[error(
        "unknown device `{spec}`: expected one of flex, ndarray, cpu, wgpu, wgpu:N, cuda, cuda:N"
    )]
    UnknownDevice {
        /// The text that was given.
        spec: String,
    },
    /// A device whose backend is not in this build.
    #[error("device `{spec}`: built without `{feature}`: add `--features {feature}`")]
    DeviceNotBuilt {
        /// The device that was asked for.
        spec: String,
        /// The Cargo feature that brings it.
        feature: &'static str,
    },
    /// A device that does not answer on this machine.
    #[error("device `{spec}`: no such adapter answers ({reason})")]
    DeviceAbsent {
        /// The device that was asked for.
        spec: String,
        /// What was found instead.
        reason: String,
    },
    /// A saved file belongs to another model, configuration or version.
    #[error("{} does not fit: {}", path.display(), list(differences))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Each difference: what was expected and what was found.
        differences: Vec<String>,
    },
    /// A folder that another run writes to.
    #[error(
        "{} is in use: another run writes to it; end that one first, or only look at the folder",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Work that was asked to stop before its end: there is no result.
    #[error("{what} was stopped at {at}")]
    Stopped {
        /// What was stopped.
        what: String,
        /// Where it was: a step, a game, a batch.
        at: String,
    },
    /// A value that must be finite is NaN or infinite.
    #[error("{what} is {value} at step {step}")]
    NotFinite {
        /// The quantity, for example `loss`.
        what: String,
        /// What it is.
        value: f64,
        /// The step at which it was seen, counted from 1.
        step: u64,
    },
    /// Text or a picture that could not be drawn or encoded.
    #[error("cannot draw {what}: {reason}")]
    Picture {
        /// The picture.
        what: String,
        /// Why.
        reason: String,
    },
    /// A download failed or brought something else than was asked for.
    #[error("download of {url}: {reason}")]
    Download {
        /// Where from.
        url: String,
        /// Why, with the checksum expected and found where that is the reason.
        reason: String,
    },
    /// A node of a graph that does not fit.
    #[error("graph node {node}: {reason}")]
    Graph {
        /// The node's name and operation.
        node: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// Work that cannot be done here.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// The work.
        what: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// Work that was asked to stop.
    pub fn stopped(what: &str, at: impl std::fmt::Display) -> Self {
        Self::Stopped { what: what.to_owned(), at: at.to_string() }
    }

    /// For `map_err`: an [`Error::Io`] with its action and place.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }

    /// An [`Error::Format`].
    pub fn format(path: impl AsRef<Path>, format: &'static str, reason: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), format, reason: reason.into() }
    }

    /// An [`Error::Data`].
    pub fn data(origin: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Data { origin: origin.into(), reason: reason.into() }
    }

    /// An [`Error::Picture`].
    pub fn picture(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Picture { what: what.into(), reason: reason.to_string() }
    }
}

/// The first lines of a list, and how many more there are.
fn list(lines: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = lines.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if lines.len() > SHOWN {
        let _ = write!(text, "; and {} more", lines.len() - SHOWN);
    }
    text
}

/// The message of a caught panic, for example of a thread that was joined.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Runs `work`; a panic of it is caught, and its message returned.
///
/// What the process's panic hook does, by default a report on standard error, it does here too.
///
/// # Errors
///
/// The message of the panic.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(panic.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_what_was_expected() {
        let error = Error::Mismatch {
            path: "a.safetensors".into(),
            differences: (0..14).map(|i| format!("d{i}")).collect(),
        };
        let text = error.to_string();
        assert!(text.starts_with("a.safetensors does not fit: d0; d1"), "{text}");
        assert!(text.ends_with("d11; and 2 more"), "{text}");

        let error = Error::io("open", "a.csv")(io::Error::other("no such disk"));
        assert_eq!(error.to_string(), "cannot open a.csv: no such disk");
        assert!(std::error::Error::source(&error).is_none(), "a chain would say it twice");
    }
}
