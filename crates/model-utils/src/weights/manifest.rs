use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{self, ConfigError};
use crate::error::{Error, Result};

/// The version of the files that this crate writes; older ones are read, newer ones refused.
pub const FORMAT_VERSION: u32 = 1;

/// The largest header that is read before the tensors: SafeTensors' own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The key of the manifest in a SafeTensors header.
pub(super) const KEY: &str = "manifest";

/// What a weights file says of itself. The tensors' names and shapes stand beside it in the
/// SafeTensors header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the file format.
    pub format_version: u32,
    /// The crate that the model lives in.
    #[serde(rename = "crate")]
    pub crate_name: String,
    /// The model's name.
    pub model: String,
    /// The model's configuration.
    pub config: Value,
}

impl Manifest {
    /// The manifest of a model of this build.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the configuration cannot be written as JSON (a non-string map key).
    pub fn new(crate_name: &str, model: &str, config: &impl Serialize) -> Result<Self> {
        let config = serde_json::to_value(config)
            .map_err(|error| ConfigError::new("config", error, "a value that JSON can hold"))?;
        Ok(Self {
            format_version: FORMAT_VERSION,
            crate_name: crate_name.to_owned(),
            model: model.to_owned(),
            config,
        })
    }

    /// Reads the manifest of a file without its tensors.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Format`] for a file that is not SafeTensors, [`Error::Mismatch`]
    /// for one without a manifest (weights from elsewhere: see [`Import`](super::Import)).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Header {
            #[serde(rename = "__metadata__", default)]
            metadata: std::collections::HashMap<String, String>,
        }
        let path = path.as_ref();
        let bad = |reason: String| Error::format(path, "SafeTensors", reason);
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix)
            .map_err(|_| bad(format!("{length} bytes long, expected a header of at least 8")))?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > MAX_HEADER_BYTES.min(length.saturating_sub(8)) {
            return Err(bad(format!(
                "its header claims {header_bytes} bytes, the file has {length}"
            )));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(Error::io("read", path))?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|error| bad(format!("header: {error}")))?;
        let text = header.metadata.get(KEY).ok_or_else(|| no_manifest(path))?;
        Self::parse(text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::format(path, "SafeTensors", format!("manifest: {error}")))
    }

    /// The configuration as a type.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the field that does not fit; `path` is named in it.
    pub fn config<C: DeserializeOwned>(&self, path: impl AsRef<Path>) -> Result<C> {
        C::deserialize(&self.config).map_err(|error| {
            Error::format(path, "weights", format!("configuration of {}: {error}", self.model))
        })
    }

    /// How a found manifest differs from this one; empty where it fits.
    pub fn differences(&self, found: Option<&Self>) -> Vec<String> {
        let Some(found) = found else {
            return vec!["it has no manifest (weights from elsewhere need an import)".to_owned()];
        };
        let mut lines = found.differences_of_kind(&self.crate_name, &self.model);
        if lines.is_empty() {
            let differences = config::differences(&self.config, &found.config);
            lines.extend(differences.iter().map(ToString::to_string));
        }
        lines
    }

    /// How this manifest's version, crate and model differ from the expected ones.
    pub fn differences_of_kind(&self, crate_name: &str, model: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if self.format_version > FORMAT_VERSION {
            lines.push(format!(
                "its format version is {}, this build reads up to {FORMAT_VERSION}",
                self.format_version
            ));
        }
        let expected = (crate_name, model);
        let found = (self.crate_name.as_str(), self.model.as_str());
        if expected != found {
            lines.push(format!(
                "it holds a model {}::{}, expected {}::{}",
                found.0, found.1, expected.0, expected.1
            ));
        }
        lines
    }
}

pub(super) fn no_manifest(path: &Path) -> Error {
    Error::Mismatch {
        path: path.to_path_buf(),
        differences: vec!["it has no manifest (weights from elsewhere need an import)".to_owned()],
    }
}
