//! Weights on disk: any module to and from SafeTensors under PyTorch's names and layouts, with
//! a manifest that keeps files of another model, configuration or version out.
//!
//! - A model that implements [`Stored`] gets [`save`](Stored::save) and [`load`](Stored::load).
//! - [`Import`] (feature `pytorch` for PyTorch's own files) brings weights from elsewhere, with
//!   renamed keys and a [`Report`] of what was applied.
//! - `keras` (feature `keras`) reads the layers of Keras's HDF5 files; [`Import`] takes them too.
//! - [`State`] is the level below: the named tensors of any module.
//!
//! What is saved is a snapshot: batch-norm statistics are brought up to date and detached, and
//! the live module is not touched. Files are written beside their place and renamed, so a crash
//! leaves the old file or the new one. Files from elsewhere are not trusted: lengths are checked
//! against the file before anything is allocated.
//!
//! In Python:
//!
//! ```python
//! model.load_state_dict(safetensors.torch.load_file("model.safetensors"))
//! ```

mod import;
#[cfg(feature = "keras")]
pub mod keras;
mod manifest;
#[cfg(any(feature = "keras", all(feature = "graph", feature = "pytorch")))]
mod permute;
mod report;
mod state;

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use import::Import;
pub use manifest::{FORMAT_VERSION, Manifest};
#[cfg(all(feature = "graph", feature = "pytorch"))]
pub(crate) use permute::permuted;
pub use report::{Report, ShapeMismatch};
pub(crate) use state::is_autodiff;
pub use state::{State, TensorEntry, snapshot};

use crate::error::{Error, Result};

/// From a module path in Burn's form without enum variants (`blocks.0.conv.weight`, normalisation
/// parameters already called `weight` and `bias`) to the name in PyTorch's `state_dict`.
pub type Names = fn(&str) -> String;

/// The names as they are.
pub fn same_names(path: &str) -> String {
    path.to_owned()
}

/// Saves a module and its manifest as SafeTensors, whole or not at all.
///
/// # Errors
///
/// [`Error::Io`] where the file cannot be written; what was there before is untouched.
pub fn save<M: Module>(
    module: &M,
    manifest: &Manifest,
    names: Names,
    path: impl AsRef<Path>,
) -> Result<()> {
    State::from_module(module, names)?.save(path, manifest)
}

/// Loads a file written by [`save`] into a module of the same configuration.
///
/// # Errors
///
/// [`Error::Format`] for a file that is no whole SafeTensors file, [`Error::Mismatch`] with
/// every difference of version, model, configuration, names and shapes.
pub fn load<M: Module>(
    module: M,
    manifest: &Manifest,
    names: Names,
    path: impl AsRef<Path>,
) -> Result<M> {
    let path = path.as_ref();
    let (state, found) = State::open(path)?;
    let mismatch = |differences| Error::Mismatch { path: path.to_path_buf(), differences };
    let differences = manifest.differences(found.as_ref());
    if !differences.is_empty() {
        return Err(mismatch(differences));
    }
    let (module, report) = state.apply(module, names)?;
    if report.is_complete() { Ok(module) } else { Err(mismatch(report.differences())) }
}

/// A model that can be saved, and rebuilt from its file alone.
pub trait Stored: Module {
    /// The configuration it was built from.
    type Config: Serialize + DeserializeOwned;
    /// The error of its crate.
    type Error: From<Error>;
    /// The crate that it lives in: `env!("CARGO_PKG_NAME")`.
    const CRATE: &'static str;
    /// Its name in the manifest, for example `mobilenet_v2`.
    const MODEL: &'static str;

    /// The configuration it was built from.
    fn config(&self) -> &Self::Config;

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot work.
    fn from_config(config: &Self::Config, device: &Device) -> Result<Self, Self::Error>;

    /// The name that PyTorch's model of the same kind gives to a parameter. See [`Names`].
    fn torch_name(path: &str) -> String {
        path.to_owned()
    }

    /// What identifies this model in a file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the configuration cannot be written as JSON.
    fn manifest(&self) -> Result<Manifest> {
        Manifest::new(Self::CRATE, Self::MODEL, self.config())
    }

    /// Saves weights and configuration to one SafeTensors file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be written; what was there before is untouched.
    fn save(&self, path: impl AsRef<Path>) -> Result<(), Self::Error> {
        Ok(save(self, &self.manifest()?, Self::torch_name, path)?)
    }

    /// Builds the model that a file describes and loads its weights.
    ///
    /// # Errors
    ///
    /// As the function [`load`], and where the file's configuration cannot work.
    fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, Self::Error> {
        let path = path.as_ref();
        let manifest = Manifest::read(path)?;
        let differences = manifest.differences_of_kind(Self::CRATE, Self::MODEL);
        if !differences.is_empty() {
            return Err(Error::Mismatch { path: path.to_path_buf(), differences }.into());
        }
        let config = manifest.config::<Self::Config>(path)?;
        let model = Self::from_config(&config, device)?;
        Ok(load(model, &manifest, Self::torch_name, path)?)
    }

    /// Loads weights from elsewhere (PyTorch, SafeTensors) into this model.
    ///
    /// # Errors
    ///
    /// As [`Import::into_module`].
    fn import(self, import: &Import) -> Result<(Self, Report), Self::Error> {
        Ok(import.into_module(self, Self::torch_name)?)
    }
}
