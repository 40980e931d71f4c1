//! Statistics of a batch that is divided among workers.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

/// Adds numbers up over workers that each hold a part of a batch.
pub trait AllReduce: Debug + Send + Sync {
    /// Puts the sum over all workers in the place of each number. All workers call it as often, in
    /// the same order, with as many numbers.
    fn all_reduce(&self, numbers: &mut [f64]);
}

thread_local! {
    static OVER: RefCell<Option<Arc<dyn AllReduce>>> = const { RefCell::new(None) };
}

/// Within `work`, on this thread, [`batch_norm`](super::batch_norm) takes in training the statistics
/// of all workers' batches together, forward and backward (synchronised batch normalisation); a
/// backward pass takes the workers that its forward pass had, wherever it runs.
///
/// It holds where [`has_kernels`](super::has_kernels) does; elsewhere each worker keeps to its own
/// batch.
pub fn sync_batch_norm<R>(over: Arc<dyn AllReduce>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn AllReduce>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            let _ = OVER.try_with(|now| *now.borrow_mut() = before);
        }
    }
    let _restore = Restore(OVER.with(|now| now.borrow_mut().replace(over)));
    work()
}

/// The workers of this thread.
pub(super) fn over() -> Option<Arc<dyn AllReduce>> {
    OVER.with(|now| now.borrow().clone())
}
