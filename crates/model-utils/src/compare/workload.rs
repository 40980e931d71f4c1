//! What is compared.

use std::fmt;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Any error: what a workload of any crate may return with `?`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A piece of work that any device can be given, in several sizes.
///
/// Inputs and weights must be the same on every device: make them on the host, never draw them
/// with the device's own generator. A step must do the same at every call: a training step
/// starts from the same weights each time.
pub struct Workload {
    /// What it is.
    pub description: Description,
    /// Its sizes, in order.
    pub sizes: Vec<Size>,
    start: Box<Start>,
}

/// From a device and a size to a step.
type Start = dyn Fn(&Device, &Size) -> Result<Step, BoxError>;

/// A workload in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Its short name, in `snake_case`.
    pub name: String,
    /// What it does, for titles.
    pub title: String,
    /// What [`Size::value`] counts, for example `batch size`.
    pub size_unit: String,
    /// What [`Size::items`] counts, for example `images`.
    pub items_unit: String,
    /// The largest [`difference`](super::difference) from `flex` that still agrees.
    pub tolerance: f64,
}

/// One size of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Its name, for example `small`.
    pub label: String,
    /// The quantity that grows, for example the batch size; above 0.
    pub value: f64,
    /// Items that one step works off, for the throughput.
    pub items: f64,
}

impl Size {
    /// A size.
    pub fn new(label: impl Into<String>, value: f64, items: f64) -> Self {
        Self { label: label.into(), value, items }
    }
}

/// Repeatable work on one device, ready to run. Dropping it frees what it holds.
pub struct Step(Box<dyn FnMut() -> Result<Output, BoxError>>);

impl Step {
    /// A step that runs by calling `run`. It need not wait for the device; that is done, and
    /// timed, by whoever runs it.
    pub fn new(run: impl FnMut() -> Result<Output, BoxError> + 'static) -> Self {
        Self(Box::new(run))
    }

    pub(super) fn run(&mut self) -> Result<Output, BoxError> {
        (self.0)()
    }
}

/// What a step computed. It stays on the device, and is alive while the step is timed so that
/// no lazy device may skip it; it is read back only to be compared.
pub struct Output(Box<Read>);

type Read = dyn FnOnce() -> Result<Vec<TensorData>, BoxError>;

impl Output {
    /// An output that is read by `read`, which holds the tensors. Several tensors are compared
    /// one by one.
    pub fn new(read: impl FnOnce() -> Result<Vec<TensorData>, BoxError> + 'static) -> Self {
        Self(Box::new(read))
    }

    pub(super) fn read(self) -> Result<Vec<TensorData>, BoxError> {
        (self.0)()
    }
}

impl<const D: usize> From<Tensor<D>> for Output {
    fn from(tensor: Tensor<D>) -> Self {
        Self::new(move || Ok(vec![tensor.into_data()]))
    }
}

impl Workload {
    /// A workload without sizes, with a tolerance of 1e-4.
    ///
    /// `start` opens inputs and weights on a device without autodiff (`device.autodiff()` adds
    /// it). Where a device cannot do the work it returns
    /// [`Error::Unsupported`](crate::Error::Unsupported).
    pub fn new(
        name: impl Into<String>,
        start: impl Fn(&Device, &Size) -> Result<Step, BoxError> + 'static,
    ) -> Self {
        let name = name.into();
        Self {
            description: Description {
                title: name.clone(),
                name,
                size_unit: "size".to_owned(),
                items_unit: "items".to_owned(),
                tolerance: 1e-4,
            },
            sizes: Vec::new(),
            start: Box::new(start),
        }
    }

    /// Sets [`Description::title`].
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.description.title = title.into();
        self
    }

    /// Sets [`Description::size_unit`].
    #[must_use]
    pub fn size_unit(mut self, unit: impl Into<String>) -> Self {
        self.description.size_unit = unit.into();
        self
    }

    /// Sets [`Description::items_unit`].
    #[must_use]
    pub fn items_unit(mut self, unit: impl Into<String>) -> Self {
        self.description.items_unit = unit.into();
        self
    }

    /// Sets [`Description::tolerance`].
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.description.tolerance = tolerance;
        self
    }

    /// Adds a size.
    #[must_use]
    pub fn size(mut self, size: Size) -> Self {
        self.sizes.push(size);
        self
    }

    pub(super) fn start(&self, device: &Device, size: &Size) -> Result<Step, BoxError> {
        (self.start)(device, size)
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("description", &self.description)
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}
