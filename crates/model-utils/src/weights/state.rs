use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, GradientCheckpointingStrategy, Tensor, TensorData};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use safetensors::{Dtype, SafeTensors, View};

use super::manifest::{KEY, Manifest};
use super::{Names, Report, ShapeMismatch};
use crate::error::{Error, Result};

/// The key under which parameter identities, which tie optimiser state to parameters, are kept.
const IDS_KEY: &str = "param_ids";

/// The named tensors of a module, in PyTorch's names and layouts, on the host.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// One tensor of a [`State`].
#[derive(Debug, Clone)]
pub struct TensorEntry {
    /// Its values and shape.
    pub data: TensorData,
    /// The identity of the parameter it was taken from, where that is known.
    pub param_id: Option<u64>,
}

/// A copy of a module with batch-norm statistics brought up to date, on the same device, that
/// shares no state with the live one.
///
/// A plain `clone()` shares running statistics with its original: loading, averaging or mapping
/// the one would change the other.
pub fn snapshot<M: Module>(module: &M) -> M {
    let still = module.valid();
    match autodiff_device(module) {
        Some(device) => checkpointed_as(still.train(), &device),
        None => still,
    }
}

/// The module with its tensors checkpointed as on a device: `Module::train` and loading alone
/// forget that.
fn checkpointed_as<M: Module>(module: M, device: &Device) -> M {
    let strategy = device.gradient_checkpointing_strategy();
    let found = autodiff_device(&module);
    match (strategy, found) {
        (Some(strategy), Some(found))
            if found.gradient_checkpointing_strategy() != Some(strategy) =>
        {
            module.map(&mut Checkpointed(strategy))
        }
        _ => module,
    }
}

/// Gives every floating-point tensor of a module a strategy of gradient checkpointing.
struct Checkpointed(GradientCheckpointingStrategy);

impl ModuleMapper for Checkpointed {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.with_gradient_checkpointing_strategy(self.0))
    }
}

/// Whether the module's first parameter is on a device with autodiff.
pub(crate) fn is_autodiff<M: Module>(module: &M) -> bool {
    autodiff_device(module).is_some()
}

/// The device of the module's first parameter, if it has autodiff.
fn autodiff_device<M: Module>(module: &M) -> Option<Device> {
    struct First(Option<Device>);
    impl ModuleVisitor for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.get_or_insert_with(|| param.lazy_device());
        }
    }
    let mut first = First(None);
    module.visit(&mut first);
    first.0.filter(Device::is_autodiff)
}

impl State {
    /// The tensors of a module as they are now, batch-norm statistics up to date; the module is
    /// not touched.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where a tensor cannot be read back from its device, or two of them get
    /// the same name.
    pub fn from_module<M: Module>(module: &M, names: Names) -> Result<Self> {
        let still = module.valid();
        let mut tensors = BTreeMap::new();
        for tensor in still.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true) {
            let name = names(&tensor.name);
            let param_id = tensor.param_id;
            let data = bridge::into_data(tensor)
                .map_err(|error| Error::data("model", format!("`{name}`: {error}")))?;
            if tensors.insert(name.clone(), TensorEntry { data, param_id }).is_some() {
                return Err(Error::data("model", format!("two tensors are called `{name}`")));
            }
        }
        Ok(Self { tensors })
    }

    /// Sets the tensors of a module that have the same names and shapes; the report tells which
    /// had not. Floating-point values take the module's precision.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where a tensor cannot be converted or moved to the device.
    pub fn apply<M: Module>(mut self, module: M, names: Names) -> Result<(M, Report)> {
        let device = autodiff_device(&module);
        let mut module = snapshot(&module);
        let mut report = Report::default();
        let mut matching = Vec::new();
        // Names and shapes in PyTorch's layout beside the path in Burn's.
        for target in module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true) {
            let name = names(&target.name);
            let Some(entry) = self.tensors.remove(&name) else {
                report.missing.push(name);
                continue;
            };
            let (expected, found) = (target.shape.to_vec(), entry.data.shape().to_vec());
            if expected != found {
                report.mismatched.push(ShapeMismatch { name, expected, found });
                continue;
            }
            if target.dtype.is_float() != entry.data.dtype().is_float() {
                return Err(Error::data(
                    "weights",
                    format!("`{name}` holds {:?}, expected {:?}", entry.data.dtype(), target.dtype),
                ));
            }
            let data = entry.data.convert_dtype(target.dtype);
            matching.push(bridge::from_data(data, target.name, entry.param_id));
            report.applied.push(name);
        }
        report.unused = self.tensors.into_keys().collect();
        let result = module.apply(matching, None, Some(Box::new(PyTorchToBurnAdapter)), true);
        if let Some(error) = result.errors.first() {
            return Err(Error::data("weights", error.to_string()));
        }
        let module = match device {
            Some(device) => checkpointed_as(module, &device),
            None => module,
        };
        Ok((module, report))
    }

    /// The first value that is NaN or infinite, with the name of its tensor.
    pub fn first_not_finite(&self) -> Option<(String, f64)> {
        self.tensors.iter().filter(|(_, entry)| entry.data.dtype().is_float()).find_map(
            |(name, entry)| {
                let values = entry.data.clone().convert::<f32>();
                let value = values.iter::<f32>().find(|value| !value.is_finite())?;
                Some((name.clone(), f64::from(value)))
            },
        )
    }

    /// Writes the tensors, their parameter identities and a manifest, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be written, [`Error::Data`] for a tensor of a type
    /// that SafeTensors does not know.
    pub fn save(&self, path: impl AsRef<Path>, manifest: &Manifest) -> Result<()> {
        crate::atomic::write(path, &self.to_bytes(manifest)?)
    }

    /// What [`save`](Self::save) writes.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for numbers of a kind that SafeTensors do not know.
    pub fn to_bytes(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let unwritable = |reason: String| Error::data("weights", reason);
        let ids: BTreeMap<&str, String> = self
            .tensors
            .iter()
            .filter_map(|(name, entry)| Some((name.as_str(), entry.param_id?.to_string())))
            .collect();
        let header = HashMap::from([
            // What PyTorch's loaders look for.
            ("format".to_owned(), "pt".to_owned()),
            (KEY.to_owned(), to_json(manifest).map_err(&unwritable)?),
            (IDS_KEY.to_owned(), to_json(&ids).map_err(&unwritable)?),
        ]);
        let views = self
            .tensors
            .iter()
            .map(|(name, entry)| Ok((name, Viewed::of(name, &entry.data)?)))
            .collect::<Result<Vec<_>>>()?;
        safetensors::serialize(views, Some(header)).map_err(|error| unwritable(error.to_string()))
    }

    /// Reads a SafeTensors file and its manifest, where it has one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Format`] for a truncated or foreign file.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Option<Manifest>)> {
        let path = path.as_ref();
        let bad = |reason: String| Error::format(path, "SafeTensors", reason);
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| bad(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
        let header = header.metadata().clone().unwrap_or_default();
        let manifest = header.get(KEY).map(|text| Manifest::parse(text, path)).transpose()?;
        let ids: HashMap<String, String> = match header.get(IDS_KEY) {
            Some(text) => {
                serde_json::from_str(text).map_err(|error| bad(format!("{IDS_KEY}: {error}")))?
            }
            None => HashMap::new(),
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let dtype = from_safetensors(view.dtype()).ok_or_else(|| {
                bad(format!("`{name}` holds {:?}, which is not known", view.dtype()))
            })?;
            let data =
                TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
            let param_id = ids.get(name).and_then(|id| id.parse().ok());
            tensors.insert(name.to_owned(), TensorEntry { data, param_id });
        }
        Ok((Self { tensors }, manifest))
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

/// A tensor as SafeTensors wants to see it.
struct Viewed<'a> {
    data: &'a TensorData,
    dtype: Dtype,
}

impl<'a> Viewed<'a> {
    fn of(name: &str, data: &'a TensorData) -> Result<Self> {
        let dtype = to_safetensors(data.dtype()).ok_or_else(|| {
            Error::data(
                "model",
                format!("`{name}` holds {:?}, which SafeTensors cannot", data.dtype()),
            )
        })?;
        Ok(Self { data, dtype })
    }
}

impl View for Viewed<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.data.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.data.as_bytes().len()
    }
}

const TYPES: [(DType, Dtype); 12] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I16, Dtype::I16),
    (DType::I8, Dtype::I8),
    (DType::U64, Dtype::U64),
    (DType::U32, Dtype::U32),
    (DType::U16, Dtype::U16),
    (DType::U8, Dtype::U8),
];

fn to_safetensors(dtype: DType) -> Option<Dtype> {
    TYPES.iter().find(|(burn, _)| *burn == dtype).map(|(_, safe)| *safe)
}

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    TYPES.iter().find(|(_, safe)| *safe == dtype).map(|(burn, _)| *burn)
}
