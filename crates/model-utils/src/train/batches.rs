use super::Stoppable;
use crate::error::Result;

/// Where a loop gets its batches: the same ones in the same order for the same epoch, from any
/// position, so that a run can be resumed exactly.
pub trait Batches {
    /// What a step takes.
    type Batch;

    /// Batches in one pass over the data.
    fn batches_per_epoch(&self) -> usize;

    /// The batches of a pass, from the `first`th on.
    fn epoch(&self, epoch: u64, first: usize)
    -> Box<dyn Iterator<Item = Result<Self::Batch>> + '_>;
}

/// Batches that are all there, in the same order in every epoch.
impl<B: Clone> Batches for Vec<B> {
    type Batch = B;

    fn batches_per_epoch(&self) -> usize {
        self.len()
    }

    fn epoch(&self, _epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<B>> + '_> {
        Box::new(self.iter().skip(first).cloned().map(Ok))
    }
}

#[cfg(feature = "images")]
impl<D, B> Batches for crate::data::Loader<D, B>
where
    D: crate::data::Dataset + 'static,
    B: Send + 'static,
{
    type Batch = B;

    fn batches_per_epoch(&self) -> usize {
        self.batches()
    }

    fn epoch(&self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<B>> + '_> {
        Box::new(Self::epoch(self, epoch, first))
    }
}

/// The same batches, until the switch is turned on.
impl<T: Batches> Batches for Stoppable<T> {
    type Batch = T::Batch;

    fn batches_per_epoch(&self) -> usize {
        self.get_ref().batches_per_epoch()
    }

    fn epoch(
        &self,
        epoch: u64,
        first: usize,
    ) -> Box<dyn Iterator<Item = Result<Self::Batch>> + '_> {
        Box::new(self.stop().around(self.get_ref().epoch(epoch, first)))
    }
}
