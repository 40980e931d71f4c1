//! Weights that Keras wrote: HDF5, in the layout of before Keras 3 (`.h5`, one group a layer) and
//! in its own (`.weights.h5`). The content decides, not the name.
//!
//! Keras gives back weights by the order of the layers, not by their names, which changed over the
//! years; so layers come here in the file's order.

use std::fs;
use std::path::Path;

use burn::tensor::TensorData;
use hdf5_pure::{AttrValue, File, Group};

use super::permute::permuted;
use super::{State, TensorEntry};
use crate::error::{Error, Result, catch_panic};

/// What a layer does, as the shapes of its weights tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// A convolution: `weight` `[out, in, height, width]`, perhaps `bias`.
    Conv,
    /// A convolution of each channel alone: `weight` `[channels, 1, height, width]`, perhaps
    /// `bias`.
    Depthwise,
    /// Batch normalisation: `weight`, `bias`, `running_mean`, `running_var`, each `[channels]`.
    Norm,
    /// A linear layer (Keras's `Dense`): `weight` `[out, in]`, perhaps `bias`.
    Linear,
}

/// A layer with weights, under PyTorch's names and in its layouts.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name in Keras.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// Its weights in the order that [`LayerKind`] names them.
    pub tensors: Vec<(&'static str, TensorData)>,
}

impl Layer {
    /// One of its weights.
    pub fn tensor(&self, name: &str) -> Option<&TensorData> {
        self.tensors.iter().find(|(other, _)| *other == name).map(|(_, data)| data)
    }

    /// From Keras's weights in Keras's order; `None` for a layer of another kind.
    fn from_keras(name: &str, weights: Vec<Stored>) -> Option<Self> {
        let shapes: Vec<&[usize]> = weights.iter().map(|weight| &weight.shape[..]).collect();
        let (kind, axes, out): (_, &[usize], usize) = match shapes[..] {
            // A kernel of a single place mixes channels, or it would do nothing.
            [&[height, width, channels, 1], ..] if (height, width) != (1, 1) => {
                (LayerKind::Depthwise, &[2, 3, 0, 1], channels)
            }
            [&[_, _, _, out], ..] => (LayerKind::Conv, &[3, 2, 0, 1], out),
            [&[_, out], ..] => (LayerKind::Linear, &[1, 0], out),
            [&[channels], ..] => (LayerKind::Norm, &[0], channels),
            _ => return None,
        };
        let names: &[&'static str] = match kind {
            LayerKind::Norm => &["weight", "bias", "running_mean", "running_var"],
            _ => &["weight", "bias"],
        };
        let complete = if kind == LayerKind::Norm { 4 } else { 1 };
        if weights.len() < complete
            || weights.len() > names.len()
            || shapes[1..].iter().any(|shape| *shape != [out])
        {
            return None;
        }
        let tensors = names.iter().copied().zip(weights).map(|(name, weight)| {
            let axes = if name == "weight" { axes } else { &[0][..] };
            (name, permuted(&TensorData::new(weight.values, weight.shape), axes))
        });
        Some(Self { name: name.to_owned(), kind, tensors: tensors.collect() })
    }
}

/// A weight as the file has it.
struct Stored {
    values: Vec<f32>,
    shape: Vec<usize>,
}

/// Whether a file starts as HDF5 does.
pub fn is_hdf5(start: &[u8]) -> bool {
    start.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// The layers of a file that have weights. In the layout of before Keras 3 (a whole model that
/// `model.save("….h5")` wrote too) they come in the model's order; in Keras 3's those of a class
/// do.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Format`] for a file that is not HDF5, is truncated or damaged, has
/// neither layout, or holds a layer whose weights are none of [`LayerKind`]'s.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Layer>> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    // What reads HDF5 may panic on damaged bytes.
    let layers = catch_panic(|| Reader::new(bytes)?.layers()).and_then(|layers| layers);
    layers.map_err(|reason| Error::format(path, "Keras", reason))
}

/// The tensors of a file as `layer.weight`, `layer.bias`, `layer.running_mean`, …
pub(super) fn state(path: &Path) -> Result<State> {
    let mut state = State::default();
    for layer in read(path)? {
        for (name, data) in layer.tensors {
            let name = format!("{}.{name}", layer.name);
            if state.tensors.insert(name.clone(), TensorEntry { data, param_id: None }).is_some() {
                let reason = format!("two tensors are called `{name}`");
                return Err(Error::format(path, "Keras", reason));
            }
        }
    }
    Ok(state)
}

/// A file in memory.
struct Reader {
    file: File,
    length: u64,
}

/// An error of the file's structure, without the file's name.
type Read<T> = Result<T, String>;

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Reader {
    fn new(bytes: Vec<u8>) -> Read<Self> {
        if !is_hdf5(&bytes) {
            return Err("expected the signature of HDF5".to_owned());
        }
        let length = bytes.len() as u64;
        Ok(Self { file: File::from_bytes(bytes).map_err(text)?, length })
    }

    fn layers(&self) -> Read<Vec<Layer>> {
        let root = self.file.root();
        let groups = root.groups().map_err(text)?;
        let has = |name: &str| groups.iter().any(|group| group == name);
        let layers = if strings(&root, "layer_names")?.is_some() {
            self.by_names(&root)
        } else if has("model_weights") {
            self.by_names(&root.group("model_weights").map_err(text)?)
        } else if has("layers") {
            self.by_classes(&root.group("layers").map_err(text)?)
        } else {
            Err("expected `layer_names`, `model_weights` or `layers`, as Keras writes".to_owned())
        }?;
        if layers.is_empty() { Err("no layer has weights".to_owned()) } else { Ok(layers) }
    }

    /// The layout of before Keras 3: attributes name the layers and the weights of each.
    fn by_names(&self, group: &Group) -> Read<Vec<Layer>> {
        let names = strings(group, "layer_names")?.ok_or("`layer_names` is missing")?;
        let mut layers = Vec::new();
        for name in names {
            let within = |error: String| format!("layer `{name}`: {error}");
            let layer = group.group(&name).map_err(text).map_err(within)?;
            let weights = strings(&layer, "weight_names").map_err(within)?.unwrap_or_default();
            layers.extend(self.layer(&name, &layer, &weights)?);
        }
        Ok(layers)
    }

    /// The layout of Keras 3: a group for each layer, called by its class and a number within it.
    fn by_classes(&self, group: &Group) -> Read<Vec<Layer>> {
        let mut names = group.groups().map_err(text)?;
        names.sort_by_cached_key(|name| match name.rsplit_once('_') {
            Some((class, number)) => match number.parse::<usize>() {
                Ok(number) => (class.to_owned(), number),
                Err(_) => (name.clone(), 0),
            },
            None => (name.clone(), 0),
        });
        let mut layers = Vec::new();
        for name in names {
            let within = |error: String| format!("layer `{name}`: {error}");
            let layer = group.group(&name).map_err(text).map_err(within)?;
            let inner = layer.groups().map_err(text).map_err(within)?;
            if let Some(nested) = inner.iter().find(|inner| *inner != "vars") {
                return Err(within(format!("it holds `{nested}`, expected weights only")));
            }
            if inner.is_empty() {
                continue;
            }
            let vars = layer.group("vars").map_err(text).map_err(within)?;
            let count = vars.datasets().map_err(text).map_err(within)?.len();
            let weights: Vec<String> = (0..count).map(|index| index.to_string()).collect();
            // The layer's own name, where the file has it.
            let called = strings(&vars, "name").map_err(within)?.unwrap_or_default();
            let called = called.first().map_or(&name, |called| called);
            layers.extend(self.layer(called, &vars, &weights)?);
        }
        Ok(layers)
    }

    /// A layer, if it has weights.
    fn layer(&self, name: &str, group: &Group, weights: &[String]) -> Read<Option<Layer>> {
        if weights.is_empty() {
            return Ok(None);
        }
        let within = |error: String| format!("layer `{name}`: {error}");
        let weights = weights.iter().map(|weight| {
            self.weight(group, weight).map_err(|error| within(format!("`{weight}`: {error}")))
        });
        let weights = weights.collect::<Read<Vec<Stored>>>()?;
        let shapes: Vec<Vec<usize>> = weights.iter().map(|weight| weight.shape.clone()).collect();
        let layer = Layer::from_keras(name, weights);
        let layer = layer.ok_or_else(|| {
            within(format!(
                "weights of shapes {shapes:?}, expected those of a convolution, a linear layer or \
                 a batch normalisation"
            ))
        })?;
        Ok(Some(layer))
    }

    fn weight(&self, group: &Group, name: &str) -> Read<Stored> {
        let data = group.dataset(name).map_err(text)?;
        let shape = data.shape().map_err(text)?;
        // Keras does not compress, so nothing is larger than the file.
        let elements = shape.iter().try_fold(1_u64, |product, &side| product.checked_mul(side));
        let claimed =
            elements.zip(data.element_size().ok()).and_then(|(n, size)| n.checked_mul(size));
        match claimed {
            Some(bytes) if bytes <= self.length => {}
            _ => return Err(format!("shape {shape:?} is larger than the file")),
        }
        let shape: Vec<usize> = shape.into_iter().map(|side| side as usize).collect();
        let values = data.read_f32().map_err(text)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(format!("{} values, expected shape {shape:?}", values.len()));
        }
        Ok(Stored { values, shape })
    }
}

/// An attribute that is a list of texts; a long one is kept in parts: `name0`, `name1`, …
fn strings(group: &Group, name: &str) -> Read<Option<Vec<String>>> {
    let attributes = group.attrs().map_err(text)?;
    if let Some(value) = attributes.get(name) {
        return list(name, value).map(Some);
    }
    let parts = (0..).map_while(|part| {
        let name = format!("{name}{part}");
        attributes.get(&name).map(|value| list(&name, value))
    });
    let parts = parts.collect::<Read<Vec<_>>>()?;
    Ok(if parts.is_empty() { None } else { Some(parts.concat()) })
}

fn list(name: &str, value: &AttrValue) -> Read<Vec<String>> {
    match value {
        // h5py writes an empty list as one of numbers.
        AttrValue::F64Array(numbers) if numbers.is_empty() => Ok(Vec::new()),
        value => match value.as_strings() {
            Some(texts) => Ok(texts.to_vec()),
            None => Err(format!("`{name}` is {value:?}, expected texts")),
        },
    }
}
