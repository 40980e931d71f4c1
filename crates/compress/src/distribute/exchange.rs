use std::fmt::Debug;

use crate::error::Result;

/// How a worker speaks with the others: what [`DataParallel`](super::DataParallel) needs of them, in
/// numbers and bytes alone, so that they may be threads, processes or machines. Each worker holds its
/// own.
///
/// Every call is collective: all workers make the same calls in the same order, and each returns when
/// all have made it. A call fails where another worker [has failed](Self::fail), and then for all.
pub trait Exchange: Debug + Send + Sync {
    /// Which worker this is, from 0.
    fn worker(&self) -> usize;

    /// How many there are.
    fn workers(&self) -> usize;

    /// The sum over all workers, element by element. All give as many buckets of the same lengths,
    /// and all get the same bits back.
    ///
    /// # Errors
    ///
    /// [`Error::Worker`](crate::Error::Worker) names the worker that failed.
    fn all_reduce(&self, buckets: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>>;

    /// As [`all_reduce`](Self::all_reduce), of few numbers in double precision.
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce).
    fn all_reduce_f64(&self, numbers: &mut [f64]) -> Result<()>;

    /// What each worker gives, in the order of the workers.
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce).
    fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Tells all others that this worker cannot go on. The first one to fail is the one that is named.
    fn fail(&self, reason: &str);
}
