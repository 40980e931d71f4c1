use std::path::{Path, PathBuf};

use burn::module::Module;
use burn_store::KeyRemapper;

use super::{Names, Report, State};
use crate::config::ConfigError;
use crate::error::{Error, Result};

/// Weights from elsewhere: which file, which names become which, what may be left out.
///
/// The names in a file are those of PyTorch's model of the same kind; a model of this workspace
/// knows them ([`Stored::torch_name`](super::Stored::torch_name)), so most files need no rule.
/// A `state_dict` that is nested (`state_dict`, `model_state_dict`, `model`), the prefix
/// `module.` of data-parallel training and counters of batches are dealt with.
///
/// ```no_run
/// # use model_utils::weights::Import;
/// # fn f(model: burn::nn::Linear) -> Result<(), model_utils::Error> {
/// let import = Import::new("pytorch_model.bin").rename(r"^encoder\.", "")?.allow_unused();
/// let (model, report) = import.into_module(model, model_utils::weights::same_names)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Import {
    path: PathBuf,
    rules: KeyRemapper,
    allow_missing: bool,
    allow_unused: bool,
    allow_mismatched: bool,
}

impl Import {
    /// From a SafeTensors file, or, with the feature `pytorch`, one of PyTorch (`.pt`, `.pth`,
    /// `.bin`), or, with the feature `keras`, one of Keras (`.h5`, `.weights.h5`), whose layers'
    /// weights are then called as PyTorch's: `conv1.weight`, `conv1_bn.running_mean`. The content
    /// decides, not the name.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            rules: KeyRemapper::new(),
            allow_missing: false,
            allow_unused: false,
            allow_mismatched: false,
        }
    }

    /// Replaces what a regular expression finds in every name of the file; rules apply in turn.
    /// `$1` in the replacement stands for the first group.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an expression that does not parse.
    pub fn rename(mut self, pattern: &str, replacement: &str) -> Result<Self> {
        self.rules = self.rules.add_pattern(pattern, replacement).map_err(|error| {
            ConfigError::new("rename", pattern, format!("a regular expression ({error})"))
        })?;
        Ok(self)
    }

    /// Tensors of the module that the file lacks keep their values.
    #[must_use]
    pub fn allow_missing(mut self) -> Self {
        self.allow_missing = true;
        self
    }

    /// Tensors of the file that the module lacks are passed over.
    #[must_use]
    pub fn allow_unused(mut self) -> Self {
        self.allow_unused = true;
        self
    }

    /// Tensors of another shape (a head for another number of classes) are passed over.
    #[must_use]
    pub fn allow_mismatched(mut self) -> Self {
        self.allow_mismatched = true;
        self
    }

    /// The tensors of the file under their final names.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Format`] for a truncated, foreign or hostile file.
    pub fn state(&self) -> Result<State> {
        let mut state = read(&self.path)?;
        strip_common_prefix(&mut state, "module.");
        state.tensors.retain(|name, _| {
            !name.ends_with(".num_batches_tracked") && name != "num_batches_tracked"
        });
        let patterns = self.rules.to_regex_pairs();
        let mut renamed = State::default();
        for (mut name, entry) in state.tensors {
            for (pattern, replacement) in &patterns {
                name = pattern.replace_all(&name, replacement.as_str()).into_owned();
            }
            if renamed.tensors.insert(name.clone(), entry).is_some() {
                return Err(Error::format(
                    &self.path,
                    "weights",
                    format!("two tensors are called `{name}` after renaming"),
                ));
            }
        }
        Ok(renamed)
    }

    /// Loads the file into a module.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state), and [`Error::Mismatch`] with every tensor that is missing,
    /// unused or of another shape, where that is not allowed. The module is then unchanged.
    pub fn into_module<M: Module>(&self, module: M, names: Names) -> Result<(M, Report)> {
        let (module, report) = self.state()?.apply(module, names)?;
        let mut refused = report.clone();
        if self.allow_missing {
            refused.missing.clear();
        }
        if self.allow_unused {
            refused.unused.clear();
        }
        if self.allow_mismatched {
            refused.mismatched.clear();
        }
        let nothing = report.applied.is_empty() && !report.missing.is_empty();
        if refused.is_complete() && !nothing {
            return Ok((module, report));
        }
        let mut differences = refused.differences();
        if nothing {
            differences.insert(0, "no tensor has a name of this model".to_owned());
        }
        Err(Error::Mismatch { path: self.path.clone(), differences })
    }
}

/// Reads a file of any kind, told apart by how it starts.
fn read(path: &Path) -> Result<State> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let mut start = Vec::with_capacity(9);
    file.take(9).read_to_end(&mut start).map_err(Error::io("read", path))?;
    // SafeTensors: a length and an opening brace.
    if start.get(8) == Some(&b'{') {
        return Ok(State::open(path)?.0);
    }
    #[cfg(feature = "keras")]
    if super::keras::is_hdf5(&start) {
        return super::keras::state(path);
    }
    pytorch::read(path)
}

/// Takes a prefix off, if every name has it.
fn strip_common_prefix(state: &mut State, prefix: &str) {
    if state.tensors.keys().all(|name| name.starts_with(prefix)) {
        state.tensors = std::mem::take(&mut state.tensors)
            .into_iter()
            .map(|(name, entry)| (name[prefix.len()..].to_owned(), entry))
            .collect();
    }
}

#[cfg(feature = "pytorch")]
mod pytorch {
    use std::path::Path;

    use burn::tensor::{DType, TensorData};
    use burn_store::pytorch_reader::{DType as TorchDType, PytorchReader};

    use super::super::{State, TensorEntry};
    use crate::error::{Error, Result};

    /// Where training scripts put the weights, tried in turn.
    const NESTS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

    pub(super) fn read(path: &Path) -> Result<State> {
        let bad = |reason: String| Error::format(path, "PyTorch", reason);
        let reader = PytorchReader::new(path).map_err(|error| bad(error.to_string()))?;
        let names = reader.keys();
        let nested = NESTS.iter().find(|nest| {
            !names.is_empty() && names.iter().all(|name| name.starts_with(&format!("{nest}.")))
        });
        let reader = match nested {
            Some(nest) => PytorchReader::with_top_level_key(path, nest),
            None if names.is_empty() => NESTS
                .iter()
                .filter_map(|nest| PytorchReader::with_top_level_key(path, nest).ok())
                .find(|reader| !reader.is_empty())
                .map_or(Ok(reader), Ok),
            None => Ok(reader),
        }
        .map_err(|error| bad(error.to_string()))?;
        if reader.is_empty() {
            return Err(bad("it holds no tensors, expected a state_dict".to_owned()));
        }
        let mut state = State::default();
        for (name, tensor) in reader.tensors() {
            let dtype = burn_dtype(tensor.dtype()).ok_or_else(|| {
                bad(format!("`{name}` holds {:?}, which is not known", tensor.dtype()))
            })?;
            let shape = tensor.shape().to_vec();
            let bytes = tensor.read().map_err(|error| bad(format!("`{name}`: {error}")))?;
            let data = TensorData::from_bytes_vec(bytes, shape, dtype);
            state.tensors.insert(name.clone(), TensorEntry { data, param_id: None });
        }
        Ok(state)
    }

    fn burn_dtype(dtype: TorchDType) -> Option<DType> {
        Some(match dtype {
            TorchDType::F64 => DType::F64,
            TorchDType::F32 => DType::F32,
            TorchDType::F16 => DType::F16,
            TorchDType::BF16 => DType::BF16,
            TorchDType::I64 => DType::I64,
            TorchDType::I32 => DType::I32,
            TorchDType::I16 => DType::I16,
            TorchDType::I8 => DType::I8,
            TorchDType::U64 => DType::U64,
            TorchDType::U32 => DType::U32,
            TorchDType::U16 => DType::U16,
            TorchDType::U8 => DType::U8,
            TorchDType::Bool => return None,
        })
    }
}

#[cfg(not(feature = "pytorch"))]
mod pytorch {
    use std::path::Path;

    use super::super::State;
    use crate::error::{Error, Result};

    pub(super) fn read(path: &Path) -> Result<State> {
        Err(Error::format(
            path,
            "SafeTensors",
            "expected a SafeTensors header; PyTorch's own files need the feature `pytorch`",
        ))
    }
}
