//! Batches of a data set in a seeded order, made in the background.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::config;
use crate::data::augment::Augment;
use crate::data::dataset::Dataset;
use crate::data::pipeline::{Make, Pipeline};
use crate::data::seeded::{Purpose, permutation, stream};
use crate::error::{Error, Result, catch_panic};

/// What makes a batch of items, each with its place in the data set.
pub(super) type Collate<T, B> = Arc<dyn Fn(Vec<(usize, T)>) -> Result<B> + Send + Sync>;

/// A place in the training data: the next batch to be seen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// Complete passes before this one.
    pub epoch: u64,
    /// Batches of this pass that were seen.
    pub batch: usize,
}

/// Hands out a data set in batches.
///
/// The order of an epoch depends on the seed and the number of the epoch alone, the variations of an
/// item on seed, epoch and its index, and batches come in order, so that the same seed gives the same
/// batches whatever the number of workers, and an epoch can be taken up again at any batch.
///
/// ```
/// use model_utils_core::data::{Loader, Shapes, Split, Transform};
///
/// let shapes = Shapes::new(Split::Train, 100).classification();
/// let loader = Loader::new(shapes, 32)?.shuffle(42).workers(2).augment(Transform::random_flip());
/// for batch in loader.epoch(0, 0) {
///     let batch = batch?;
///     assert_eq!(batch.shape[1..], [3, 32, 32]);
/// }
/// assert_eq!(loader.batches(), 4);
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
pub struct Loader<D: Dataset, B> {
    dataset: Arc<D>,
    batch_size: usize,
    seed: Option<u64>,
    workers: usize,
    augment: Option<Arc<dyn Augment<D::Item>>>,
    drop_last: bool,
    pub(super) collate: Collate<D::Item, B>,
}

impl<D: Dataset + 'static, B: Send + 'static> Loader<D, B> {
    /// Batches of anything: `collate` makes them of items, each with its place in the data set.
    /// Unless told otherwise: in the order of the set, one worker, the last batch may be smaller.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `batch_size` is 0, [`Error::Data`] if the set is empty.
    pub fn with_collate(
        dataset: D,
        batch_size: usize,
        collate: impl Fn(Vec<(usize, D::Item)>) -> Result<B> + Send + Sync + 'static,
    ) -> Result<Self> {
        config::at_least("batch_size", batch_size, 1)?;
        if dataset.is_empty() {
            return Err(Error::data("of a loader", "it is empty"));
        }
        Ok(Self {
            dataset: Arc::new(dataset),
            batch_size,
            seed: None,
            workers: 1,
            augment: None,
            drop_last: false,
            collate: Arc::new(collate),
        })
    }

    /// Shuffles the items anew for every epoch; also seeds the variations.
    #[must_use]
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many threads make batches; 0 makes each when it is asked for. The batches are the same.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Varies every item, each epoch in another way.
    #[must_use]
    pub fn augment(mut self, augment: impl Augment<D::Item> + 'static) -> Self {
        self.augment = Some(Arc::new(augment));
        self
    }

    /// Leaves out a last batch that is not full; of a set smaller than a batch nothing remains.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Items a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Batches an epoch.
    pub fn batches(&self) -> usize {
        let len = self.dataset.len();
        if self.drop_last { len / self.batch_size } else { len.div_ceil(self.batch_size) }
    }

    /// The batches of an epoch from `first_batch` on; the same as when the epoch is read from its
    /// start. Beyond the last batch there is none.
    ///
    /// The iterator ends after its first error, which names the item. A panic while an item is made
    /// is such an error. When the iterator is dropped its threads end, at the latest after the item
    /// that each is working on.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Epoch<B> {
        let end = self.batches();
        let first = first_batch.min(end);
        let make = self.batch_maker(epoch);
        Epoch { pipeline: Pipeline::start(first..end, self.workers, make), epoch }
    }

    /// What makes the batches of an epoch by their number; `None` once `stop` is set.
    fn batch_maker(&self, epoch: u64) -> Arc<Make<B>> {
        let (dataset, augment) = (Arc::clone(&self.dataset), self.augment.clone());
        let (collate, batch_size) = (Arc::clone(&self.collate), self.batch_size);
        let seed = self.seed.unwrap_or(0);
        let order: Vec<usize> = match self.seed {
            Some(seed) => permutation(dataset.len(), Purpose::Shuffle, [seed, epoch]),
            None => (0..dataset.len()).collect(),
        };
        Arc::new(move |number: usize, stop: &AtomicBool| {
            let start = number * batch_size;
            let indices = &order[start..order.len().min(start + batch_size)];
            let mut items = Vec::with_capacity(indices.len());
            for &index in indices {
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                let item = caught(|| {
                    let item = dataset.get(index)?;
                    let Some(augment) = &augment else { return Ok(item) };
                    augment.augment(item, &mut stream(Purpose::Augment, [seed, epoch], index))
                });
                match item {
                    Ok(item) => items.push((index, item)),
                    Err(e) => {
                        return Some(Err(Error::data(format!("item {index}"), e.to_string())));
                    }
                }
            }
            Some(caught(|| collate(items)))
        })
    }
}

/// Turns a panic into an error.
fn caught<T>(make: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_panic(make).unwrap_or_else(|panic| {
        Err(Error::data("worker of a loader", format!("it panicked: {panic}")))
    })
}

impl<D: Dataset, B> fmt::Debug for Loader<D, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("items", &self.dataset.len())
            .field("batch_size", &self.batch_size)
            .field("seed", &self.seed)
            .field("workers", &self.workers)
            .field("drop_last", &self.drop_last)
            .finish_non_exhaustive()
    }
}

/// The batches of an epoch: see [`Loader::epoch`].
pub struct Epoch<B> {
    pipeline: Pipeline<B>,
    epoch: u64,
}

impl<B> Epoch<B> {
    /// Where the next batch stands: what to keep for taking up the training again.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, batch: self.pipeline.next_number() }
    }
}

impl<B> Iterator for Epoch<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        self.pipeline.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error may end it early.
        (0, Some(self.pipeline.remaining()))
    }
}

impl<B> std::iter::FusedIterator for Epoch<B> {}

impl<B> fmt::Debug for Epoch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch").field("position", &self.position()).finish_non_exhaustive()
    }
}
