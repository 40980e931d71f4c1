//! A state that threads share, and wait for until one of them fails.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Monitor<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State<T> {
    pub(super) value: T,
    failed: Option<(usize, String)>,
}

impl<T> Monitor<T> {
    pub(super) fn new(value: T) -> Self {
        Self { state: Mutex::new(State { value, failed: None }), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the condition holds, or a worker has failed.
    pub(super) fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State<T>>,
        until: impl Fn(&T) -> bool,
    ) -> Result<MutexGuard<'a, State<T>>> {
        loop {
            if let Some((worker, reason)) = &state.failed {
                return Err(Error::Worker { worker: *worker, reason: reason.clone() });
            }
            if until(&state.value) {
                return Ok(state);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes all that wait.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Ends the waiting of all; the first one to fail is the one that is named.
    pub(super) fn fail(&self, worker: usize, reason: &str) {
        self.lock().failed.get_or_insert_with(|| (worker, reason.to_owned()));
        self.notify();
    }
}
