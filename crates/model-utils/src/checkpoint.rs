//! Checkpoints from which training goes on as if it had never stopped: those of
//! [`model_utils_core::checkpoint`], with modules and optimisers in them.
//!
//! A module is a SafeTensors file, as [`weights`] writes them, with its batch-norm statistics.
//!
//! ```no_run
//! use model_utils::checkpoint::{Checkpoint, Checkpoints, HoldsModules, TakesModules};
//! # use burn::{nn::Linear, optim::ModuleOptimizer};
//! # fn f(model: Linear, optimizer: ModuleOptimizer) -> Result<(), model_utils::Error> {
//! let checkpoints = Checkpoints::open("runs/digits")?.keep_last(3);
//! let checkpoint = Checkpoint::new(1200)
//!     .module("model", &model)?
//!     .optimizer("optimizer", &optimizer)?
//!     .state(&("anything that serialises", 42))?;
//! checkpoints.save(&checkpoint)?;
//!
//! if let Some(saved) = checkpoints.latest()? {
//!     let model = saved.module("model", model)?;
//!     let optimizer = saved.optimizer("optimizer", optimizer)?;
//!     let (_, answer): (String, u32) = saved.state()?;
//! }
//! # Ok(())
//! # }
//! ```

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::Bytes;
pub use model_utils_core::checkpoint::{Checkpoint, Checkpoints, Goal, Saved};
use serde_json::Value;

use crate::error::{Error, Result, catch_panic};
use crate::weights::{self, Manifest, State};

const MODULE: &str = "safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
/// Of optimisers, in older checkpoints.
const RECORD: &str = "bpk";

/// What modules and optimisers are added to: a [`Checkpoint`].
pub trait TakesModules: Sized {
    /// Adds a module with its batch-norm statistics. The live module is not touched.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] for a weight that is NaN or infinite: nothing could go on from it;
    /// [`Error::Config`] for a name that cannot be a file's or is taken; and where its tensors cannot
    /// be read back from the device.
    fn module<M: Module>(self, name: &str, module: &M) -> Result<Self>;

    /// Adds an optimiser's state.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a name that cannot be a file's or is taken; and where its tensors cannot
    /// be read back from the device.
    fn optimizer(self, name: &str, optimizer: &ModuleOptimizer) -> Result<Self>;
}

/// What holds modules and optimisers: a checkpoint that is [`Saved`].
pub trait HoldsModules {
    /// A module with the saved weights, statistics and parameter identities.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a damaged file, [`Error::Mismatch`] for a module of another
    /// configuration, with every difference.
    fn module<M: Module>(&self, name: &str, module: M) -> Result<M>;

    /// An optimiser with the saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a damaged file, [`Error::Mismatch`] for the state of an optimiser of
    /// another kind, [`Error::DeviceAbsent`] in the case told there.
    fn optimizer(&self, name: &str, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer>;
}

impl TakesModules for Checkpoint {
    fn module<M: Module>(self, name: &str, module: &M) -> Result<Self> {
        let state = State::from_module(module, weights::same_names)?;
        if let Some((weight, value)) = state.first_not_finite() {
            let what = format!("weight `{weight}` of `{name}`");
            return Err(Error::NotFinite { what, value, step: self.step() });
        }
        let manifest = Manifest::new("checkpoint", name, &Value::Null)?;
        self.file(name, MODULE, state.to_bytes(&manifest)?)
    }

    fn optimizer(self, name: &str, optimizer: &ModuleOptimizer) -> Result<Self> {
        let bytes =
            optimizer.to_record().into_bytes().map_err(|e| Error::data(name, e.to_string()))?;
        self.file(name, OPTIMIZER, bytes.to_vec())
    }
}

impl HoldsModules for Saved {
    fn module<M: Module>(&self, name: &str, module: M) -> Result<M> {
        let (path, _) = self.file(name, MODULE)?;
        let manifest = Manifest::new("checkpoint", name, &Value::Null)?;
        weights::load(module, &manifest, weights::same_names, path)
    }

    fn optimizer(&self, name: &str, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let is_older = !self.has(name, OPTIMIZER) && self.has(name, RECORD);
        let (path, bytes) = self.file(name, if is_older { RECORD } else { OPTIMIZER })?;
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes))
            .map_err(|error| Error::format(&path, "optimiser state", error.to_string()))?;
        let tensors = record.len();
        // Burn stages the state on `Device::default()`, the best backend of this build, whatever
        // device is trained on; without an adapter for it that panics.
        let optimizer =
            catch_panic(|| optimizer.load_record(record)).map_err(|panic| Error::DeviceAbsent {
                spec: "Burn's default".to_owned(),
                reason: format!(
                    "{panic}; optimiser state passes through that device: set BURN_DEVICE=flex, or \
                     build without the backends that are not there"
                ),
            })?;
        let taken = optimizer.to_record().len();
        if taken != tensors {
            let differences = vec![format!(
                "it holds {tensors} tensors of an optimiser's state, of which the one that is to go \
                 on takes {taken}: it is of another kind"
            )];
            return Err(Error::Mismatch { path, differences });
        }
        Ok(optimizer)
    }
}
