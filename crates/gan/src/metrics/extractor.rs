//! Where features come from, and where they are kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use model_utils::train::Stoppable;
use model_utils::weights::{Manifest, State, TensorEntry};
use serde_json::json;

use super::class_score::log_softmax;
use super::features::Features;
use crate::error::{Error, Result};
use crate::reals::Images;

/// What an extractor sees in images.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// A row an image.
    pub features: Features,
    /// A row an image with a column a class, where the extractor tells classes.
    pub logits: Option<Features>,
}

impl Extracted {
    /// The likeliest class of each image, and how likely it is; none where there are no classes.
    pub fn classes(&self) -> Vec<(usize, f64)> {
        let likeliest = |row: &[f32]| {
            let log_p = log_softmax(row);
            let best = log_p.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or((0, f64::NAN), |(class, log_p)| (class, log_p.exp()))
        };
        self.logits.iter().flat_map(Features::rows).map(likeliest).collect()
    }
}

/// A network that turns images into features.
pub trait Extractor {
    /// What tells it from others: name and hash of its weights.
    fn identity(&self) -> String;

    /// `[batch, channels, height, width]` from −1 to 1, on any device → a row an image.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] for images that it is not for.
    fn extract(&self, images: Tensor<4>) -> Result<Extracted>;

    /// [`extract`](Self::extract) of many images, a part of them at a time.
    ///
    /// # Errors
    ///
    /// As [`extract`](Self::extract); [`Error::Metric`] for no images.
    fn extract_in_parts(&self, images: &Tensor<4>) -> Result<Extracted> {
        let count = images.dims()[0];
        let part = |from| images.clone().narrow(0, from, AT_ONCE.min(count - from));
        joined((0..count).step_by(AT_ONCE).map(|from| self.extract(part(from))))
    }
}

/// Images that are looked at in one pass.
const AT_ONCE: usize = 250;

/// The same extractor, until the switch is turned on:
/// `cache.extract(&stop.around(&judge), …)` then ends with
/// [`Stopped`](model_utils::Error::Stopped).
impl<X: Extractor + ?Sized> Extractor for Stoppable<&X> {
    fn identity(&self) -> String {
        self.get_ref().identity()
    }

    fn extract(&self, images: Tensor<4>) -> Result<Extracted> {
        self.inner("extracting features", "the next images")?.extract(images)
    }
}

/// A folder of features that were extracted before.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: PathBuf,
}

impl FeatureCache {
    /// Opens or creates a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] where it cannot be created.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(model_utils::Error::io("create folder", &folder))?;
        Ok(Self { folder })
    }

    /// What an extractor sees in the first `count` images: read where it was seen before, else
    /// extracted and kept. Files of another extractor or of other images are not taken.
    ///
    /// # Errors
    ///
    /// Those of the extractor, [`Error::Utils`] where the file cannot be read or written.
    pub fn extract(
        &self,
        extractor: &impl Extractor,
        images: &Images,
        count: usize,
        device: &Device,
    ) -> Result<Extracted> {
        let count = count.min(images.count());
        let bytes = (0..count).flat_map(|at| images.bytes(at)).copied();
        let data = format!("{:016x}", hash(bytes));
        let about = json!({ "extractor": extractor.identity(), "images": data, "count": count });
        let manifest = Manifest::new(env!("CARGO_PKG_NAME"), "features", &about)?;
        let path = self.folder.join(format!("features-{data}-{count}.safetensors"));
        if path.exists() {
            let (state, found) = State::open(&path)?;
            if manifest.differences(found.as_ref()).is_empty() {
                return from_state(state);
            }
        }
        let indices: Vec<usize> = (0..count).collect();
        let parts = indices.chunks(AT_ONCE);
        let extracted =
            joined(parts.map(|some| extractor.extract(images.select(some, device)?.0)))?;
        to_state(&extracted).save(&path, &manifest)?;
        Ok(extracted)
    }
}

fn joined(parts: impl Iterator<Item = Result<Extracted>>) -> Result<Extracted> {
    let parts: Vec<Extracted> = parts.collect::<Result<_>>()?;
    let Some(first) = parts.first() else {
        return Err(Error::metric("features", "there is no image"));
    };
    let (width, classes) = (first.features.width(), first.logits.as_ref().map(Features::width));
    let mut features = Vec::new();
    let mut logits = Vec::new();
    for part in parts {
        features.extend_from_slice(part.features.values());
        logits.extend(part.logits.iter().flat_map(|logits| logits.values().iter().copied()));
    }
    Ok(Extracted {
        features: Features::new(features, width)?,
        logits: classes.map(|classes| Features::new(logits, classes)).transpose()?,
    })
}

fn to_state(extracted: &Extracted) -> State {
    let entry = |features: &Features| {
        let shape = [features.len(), features.width()];
        TensorEntry { data: TensorData::new(features.values().to_vec(), shape), param_id: None }
    };
    let mut tensors = BTreeMap::from([("features".to_owned(), entry(&extracted.features))]);
    if let Some(logits) = &extracted.logits {
        tensors.insert("logits".to_owned(), entry(logits));
    }
    State { tensors }
}

fn from_state(mut state: State) -> Result<Extracted> {
    let mut take = |name: &str| -> Option<Result<Features>> {
        let data = state.tensors.remove(name)?.data;
        let width = data.shape().iter().last().copied().unwrap_or(0);
        Some(Features::new(data.iter::<f32>().collect(), width))
    };
    let missing = || Error::metric("features", "the cached file holds none");
    let features = take("features").ok_or_else(missing)??;
    Ok(Extracted { features, logits: take("logits").transpose()? })
}

/// 64 bits of FNV-1a (Fowler, Noll and Vo).
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
