//! Threads that make numbered results ahead of time, handed out in order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::Result;

/// Results that a worker may have waiting or under way.
const AHEAD: usize = 2;

/// Makes the result of a number, or `None` if it was told to stop. It must not panic.
pub(crate) type Make<B> = dyn Fn(usize, &AtomicBool) -> Option<Result<B>> + Send + Sync;

/// What consumer and workers share.
struct Shared<B> {
    state: Mutex<State<B>>,
    /// The consumer took a result, or wants no more.
    room: Condvar,
    /// A result is there.
    ready: Condvar,
    stop: AtomicBool,
}

struct State<B> {
    /// The next number that no worker has begun.
    unclaimed: usize,
    /// The next number to be handed out.
    next: usize,
    done: BTreeMap<usize, Result<B>>,
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // Nothing panics while the lock is held, and every state of the counters is a valid one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Results of the numbers of a range, in order, ending after the first error.
pub(crate) struct Pipeline<B> {
    shared: Arc<Shared<B>>,
    make: Arc<Make<B>>,
    workers: Vec<JoinHandle<()>>,
    next: usize,
    end: usize,
}

impl<B: Send + 'static> Pipeline<B> {
    /// Starts the workers. Where the system gives no thread, results are made when asked for.
    pub(crate) fn start(range: Range<usize>, workers: usize, make: Arc<Make<B>>) -> Self {
        let Range { start, end } = range;
        let state = State { unclaimed: start, next: start, done: BTreeMap::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let workers = workers.min(range.len());
        let spawn = |_| {
            let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
            let name = "data loader".to_owned();
            let run = move || work(&shared, &*make, end, workers * AHEAD);
            thread::Builder::new().name(name).spawn(run).ok()
        };
        let workers = (0..workers).map_while(spawn).collect();
        Self { shared, make, workers, next: start, end }
    }
}

/// What a worker does: claim a number while there is room, make its result, put it down.
fn work<B>(shared: &Shared<B>, make: &Make<B>, end: usize, ahead: usize) {
    loop {
        let mut state = shared.lock();
        let number = loop {
            if shared.stop.load(Ordering::Relaxed) || state.unclaimed >= end {
                return;
            }
            if state.unclaimed < state.next + ahead {
                break state.unclaimed;
            }
            state = shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.unclaimed += 1;
        drop(state);
        let Some(result) = make(number, &shared.stop) else { return };
        shared.lock().done.insert(number, result);
        shared.ready.notify_one();
    }
}

impl<B> Pipeline<B> {
    /// The number of the next result.
    pub(crate) fn next_number(&self) -> usize {
        self.next
    }

    /// How many results are left.
    pub(crate) fn remaining(&self) -> usize {
        if self.stopped() { 0 } else { self.end - self.next }
    }

    /// The next result; after an error, none.
    pub(crate) fn next(&mut self) -> Option<Result<B>> {
        if self.next >= self.end || self.stopped() {
            return None;
        }
        let result = if self.workers.is_empty() {
            (self.make)(self.next, &self.shared.stop)?
        } else {
            let mut state = self.shared.lock();
            let result = loop {
                if let Some(result) = state.done.remove(&self.next) {
                    break result;
                }
                let waited = self.shared.ready.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            };
            state.next += 1;
            drop(state);
            self.shared.room.notify_all();
            result
        };
        if result.is_err() {
            self.stop();
        } else {
            self.next += 1;
        }
        Some(result)
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Tells the workers to end.
    fn stop(&self) {
        // Under the lock, so that no worker falls asleep between its look and the call.
        let state = self.shared.lock();
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(state);
        self.shared.room.notify_all();
    }
}

impl<B> Drop for Pipeline<B> {
    fn drop(&mut self) {
        self.stop();
        for worker in self.workers.drain(..) {
            // A worker does not panic; if it did, there is nobody left to be told.
            let _ = worker.join();
        }
    }
}
