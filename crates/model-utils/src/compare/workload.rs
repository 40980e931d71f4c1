//! What is compared.

use std::fmt;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::judge::Part;

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
    work: Box<dyn Work>,
}

/// What a workload does. Any closure of these arguments is one.
pub trait Work {
    /// Opens inputs and weights on a device without autodiff (`device.autodiff()` adds it), ready
    /// to run.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where a device cannot do the work; anything else
    /// is a failure.
    fn start(&self, device: &Device, size: &Size) -> Result<Step, BoxError>;
}

impl<F: Fn(&Device, &Size) -> Result<Step, BoxError>> Work for F {
    fn start(&self, device: &Device, size: &Size) -> Result<Step, BoxError> {
        self(device, size)
    }
}

/// What kind of work it is: geometric means are taken over each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Forward, backward and a step.
    Training,
    /// Forward alone.
    Inference,
}

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
    /// Training or inference.
    pub kind: Kind,
    /// The largest [`difference`](super::difference) from `flex` that still agrees.
    pub tolerance: f64,
    /// The same on a device whose matrix products round their factors to less than 24 bits, as
    /// graphics cards do with TensorFloat-32.
    pub coarse_tolerance: f64,
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

/// Label and value, once where they are one.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.to_string();
        if value == self.label { f.write_str(&value) } else { write!(f, "{} {value}", self.label) }
    }
}

impl Size {
    /// A size.
    pub fn new(label: impl Into<String>, value: f64, items: f64) -> Self {
        Self { label: label.into(), value, items }
    }
}

/// Repeatable work on one device, ready to run. Dropping it frees what it holds.
pub struct Step(Box<dyn Prepared>);

/// Work in two parts, of which the second is timed.
trait Prepared {
    fn prepare(&mut self) -> Result<(), BoxError>;
    fn run(&mut self) -> Result<Output, BoxError>;
}

/// A part that is not timed, what it left for the next run, and the part that is.
struct Parted<S, P, R> {
    prepare: P,
    ready: Option<S>,
    run: R,
}

impl<S, P, R> Prepared for Parted<S, P, R>
where
    P: FnMut() -> Result<S, BoxError>,
    R: FnMut(S) -> Result<Output, BoxError>,
{
    fn prepare(&mut self) -> Result<(), BoxError> {
        self.ready = Some((self.prepare)()?);
        Ok(())
    }

    fn run(&mut self) -> Result<Output, BoxError> {
        match self.ready.take() {
            Some(ready) => (self.run)(ready),
            None => (self.run)((self.prepare)()?),
        }
    }
}

/// A step whose output is changed.
struct Changed<C> {
    step: Step,
    change: C,
}

impl<C: Fn(Vec<Part>) -> Vec<Part> + Clone + 'static> Prepared for Changed<C> {
    fn prepare(&mut self) -> Result<(), BoxError> {
        self.step.prepare()
    }

    fn run(&mut self) -> Result<Output, BoxError> {
        let (output, change) = (self.step.run()?, self.change.clone());
        Ok(Output::new(move || Ok(change(output.into_parts()?))))
    }
}

impl Step {
    /// A step that runs by calling `run`. It need not wait for the device; that is done, and
    /// timed, by whoever runs it.
    pub fn new(mut run: impl FnMut() -> Result<Output, BoxError> + 'static) -> Self {
        Self::prepared(|| Ok(()), move |()| run())
    }

    /// A step that begins with what `prepare` makes, which is not timed.
    pub fn prepared<S: 'static>(
        prepare: impl FnMut() -> Result<S, BoxError> + 'static,
        run: impl FnMut(S) -> Result<Output, BoxError> + 'static,
    ) -> Self {
        Self(Box::new(Parted { prepare, ready: None, run }))
    }

    /// The same step, its output read through `change`.
    #[must_use]
    pub fn map(self, change: impl Fn(Vec<Part>) -> Vec<Part> + Clone + 'static) -> Self {
        Self(Box::new(Changed { step: self, change }))
    }

    /// Makes ready for the next run.
    pub(super) fn prepare(&mut self) -> Result<(), BoxError> {
        self.0.prepare()
    }

    /// Runs it once.
    ///
    /// # Errors
    ///
    /// What the work returns.
    pub fn run(&mut self) -> Result<Output, BoxError> {
        self.0.run()
    }
}

/// What a step computed. It stays on the device, and is alive while the step is timed so that
/// no lazy device may skip it; it is read back only to be compared.
pub struct Output(Box<Read>);

type Read = dyn FnOnce() -> Result<Vec<Part>, BoxError>;

impl Output {
    /// An output that is read by `read`, which holds the tensors. Several tensors are compared
    /// one by one.
    pub fn new(read: impl FnOnce() -> Result<Vec<Part>, BoxError> + 'static) -> Self {
        Self(Box::new(read))
    }

    /// Reads it back from the device.
    ///
    /// # Errors
    ///
    /// What reading returns.
    pub fn into_parts(self) -> Result<Vec<Part>, BoxError> {
        (self.0)()
    }
}

impl<const D: usize> From<Tensor<D>> for Output {
    fn from(tensor: Tensor<D>) -> Self {
        Self::new(move || Ok(vec![Part::value("the output", tensor.into_data())]))
    }
}

impl Workload {
    /// Inference without sizes, with tolerances of 1e-4 and 1e-2.
    pub fn new<W>(name: impl Into<String>, work: W) -> Self
    where
        W: Fn(&Device, &Size) -> Result<Step, BoxError> + 'static,
    {
        Self::of(name, work)
    }

    /// As [`new`](Self::new), of a type of your own.
    pub fn of(name: impl Into<String>, work: impl Work + 'static) -> Self {
        let name = name.into();
        Self {
            description: Description {
                title: name.clone(),
                name,
                size_unit: "size".to_owned(),
                items_unit: "items".to_owned(),
                kind: Kind::Inference,
                tolerance: 1e-4,
                coarse_tolerance: 1e-2,
            },
            sizes: Vec::new(),
            work: Box::new(work),
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

    /// Says that it trains: [`Kind::Training`].
    #[must_use]
    pub fn training(mut self) -> Self {
        self.description.kind = Kind::Training;
        self
    }

    /// Sets [`Description::coarse_tolerance`].
    #[must_use]
    pub fn coarse_tolerance(mut self, tolerance: f64) -> Self {
        self.description.coarse_tolerance = tolerance;
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

    /// Adds sizes that are named by their value, and work off as many items.
    #[must_use]
    pub fn sizes(self, values: impl IntoIterator<Item = u32>) -> Self {
        values.into_iter().fold(self, |work, value| {
            work.size(Size::new(value.to_string(), value.into(), value.into()))
        })
    }

    pub(super) fn start(&self, device: &Device, size: &Size) -> Result<Step, BoxError> {
        self.work.start(device, size)
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
