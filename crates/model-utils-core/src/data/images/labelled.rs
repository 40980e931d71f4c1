//! Pictures with one label each.

use serde::{Deserialize, Serialize};

use crate::data::dataset::{Classes, Dataset, InMemory};
use crate::error::{Error, Result};
use crate::image::Image;

/// Which part of a set: the items to learn from or those to be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To be judged by.
    Test,
}

/// A picture and the class it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The picture.
    pub image: Image,
    /// Its class: a place in [`Classes::classes`].
    pub label: usize,
}

/// A set of labelled pictures that knows the names of its classes; every such set is one.
pub trait Classification: Dataset<Item = Labelled> + Classes {}

impl<D: Dataset<Item = Labelled> + Classes + ?Sized> Classification for D {}

/// Labelled pictures in memory.
#[derive(Debug, Clone)]
pub struct LabelledImages {
    items: InMemory<Labelled>,
    classes: Vec<String>,
}

impl LabelledImages {
    /// A set of pictures at hand.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if a label is not a place in `classes`.
    pub fn new(items: Vec<Labelled>, classes: Vec<String>) -> Result<Self> {
        if let Some((i, item)) = items.iter().enumerate().find(|(_, x)| x.label >= classes.len()) {
            return Err(Error::data("labelled images", label_reason(i, item.label, classes.len())));
        }
        Ok(Self { items: items.into(), classes })
    }
}

impl Dataset for LabelledImages {
    type Item = Labelled;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn get(&self, index: usize) -> Result<Labelled> {
        self.items.get(index)
    }
}

impl Classes for LabelledImages {
    fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// Why a label cannot be used.
pub(crate) fn label_reason(item: usize, label: usize, classes: usize) -> String {
    format!("item {item} has label {label}, expected one below {classes}")
}
