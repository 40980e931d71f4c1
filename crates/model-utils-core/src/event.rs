//! What happens in a run, and who is told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// What happens in a run.
///
/// Metrics are named in `snake_case` with their unit where they have one: `train_loss`,
/// `test_accuracy`, `images_per_s`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run starts, or goes on from a step above 0.
    Started {
        /// What runs.
        task: &'a str,
        /// The step it goes on from.
        step: u64,
        /// How many steps there will be, where that is known.
        of: Option<u64>,
    },
    /// Optimiser steps are done.
    Step {
        /// How many, in all.
        step: u64,
        /// How many there will be, where that is known.
        of: Option<u64>,
        /// The pass over the data, from 0.
        epoch: u64,
        /// Items seen since the last such event.
        items: usize,
        /// What was measured.
        metrics: &'a [(&'a str, f64)],
    },
    /// A pass over the data is done and the model was evaluated.
    Epoch {
        /// Passes done.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// What was measured.
        metrics: &'a [(&'a str, f64)],
    },
    /// A file or folder was saved.
    Saved {
        /// Where.
        path: &'a Path,
        /// The step it holds.
        step: u64,
    },
    /// The run ends.
    Finished {
        /// Steps done.
        step: u64,
        /// Why it ends.
        reason: StopReason,
        /// Time spent in seconds, the parts before a resume included.
        wall_s: f64,
    },
}

impl Event<'_> {
    /// The value of a metric, where the event has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match self {
            Self::Step { metrics, .. } | Self::Epoch { metrics, .. } => {
                metrics.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
            }
            _ => None,
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The budget is spent.
    BudgetSpent,
    /// The score has not improved for as long as was allowed.
    NoImprovement,
    /// An observer asked for it.
    Asked,
}

impl StopReason {
    /// Refuses what was asked to stop: for whoever needs a run that came to its end.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] with what was stopped and its step.
    pub fn or_stopped(self, what: &str, step: u64) -> Result<(), Error> {
        match self {
            Self::Asked => Err(Error::stopped(what, format!("step {step}"))),
            _ => Ok(()),
        }
    }
}

/// Somebody who is told what happens, and may ask a run to stop.
pub trait Observer {
    /// Takes note of an event.
    fn observe(&mut self, event: &Event<'_>);

    /// Asked after every step: `true` ends the run there, with everything saved.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// Takes note of nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _event: &Event<'_>) {}
}

/// A switch that ends a run at its next step; clones are the same switch, so that a signal
/// handler or another thread may hold one.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicUsize>);

/// How often a switch answers that it is off, where nobody turns it on.
const NEVER: usize = usize::MAX;

impl Default for Stop {
    fn default() -> Self {
        Self::after(NEVER)
    }
}

impl Stop {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// A switch that is off for so many who ask, and on from then on: it ends a call at a place that
    /// follows from no clock, to test what becomes of it.
    pub fn after(asked: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(asked)))
    }

    /// Turns it on.
    pub fn stop(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Whether it is on.
    pub fn is_stopped(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => true,
            NEVER => false,
            _ => {
                let less = |left: usize| left.checked_sub(1);
                self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
            }
        }
    }

    /// Puts the switch around what a long call takes: batches, a data set, a policy, a reference to
    /// what it works on. The call ends with [`Error::Stopped`] at the next thing that it asks of it.
    ///
    /// ```
    /// use model_utils_core::{Error, event::Stop};
    ///
    /// let stop = Stop::new();
    /// let mut batches = stop.around([1, 2, 3].into_iter().map(Ok::<_, Error>));
    /// assert_eq!(batches.next().unwrap()?, 1);
    /// stop.stop();
    /// assert!(batches.next().unwrap().is_err());
    /// assert!(batches.next().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn around<T>(&self, inner: T) -> Stoppable<T> {
        Stoppable::new(inner, self.clone())
    }
}

/// The same switch.
impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Who may ask a call to stop: a [`Stop`], an observer.
pub trait Asks {
    /// Whether it is time to stop.
    fn asks_stop(&self) -> bool;

    /// Refuses to go on where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] with what was stopped, and where.
    fn check(&self, what: &str, at: impl std::fmt::Display) -> Result<(), Error>
    where
        Self: Sized,
    {
        if self.asks_stop() { Err(Error::stopped(what, at)) } else { Ok(()) }
    }
}

impl Asks for Stop {
    fn asks_stop(&self) -> bool {
        self.is_stopped()
    }
}

impl Asks for &dyn Observer {
    fn asks_stop(&self) -> bool {
        self.wants_stop()
    }
}

/// What ends with [`Error::Stopped`] once somebody asks for it; [`Stop::around`] makes it.
///
/// Calls that take `impl Into<Stoppable<&T>>` take a plain `&T` too, which nobody stops.
#[derive(Debug, Clone)]
pub struct Stoppable<T, S = Stop> {
    inner: T,
    stop: S,
    /// Of an iterator.
    over: bool,
}

impl<T, S: Asks> Stoppable<T, S> {
    /// Around what a long call takes.
    pub const fn new(inner: T, stop: S) -> Self {
        Self { inner, stop, over: false }
    }

    /// What it is around, as long as nobody asks to stop.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] with what was stopped, and where.
    pub fn inner(&self, what: &str, at: impl std::fmt::Display) -> Result<&T, Error> {
        self.stop.check(what, at)?;
        Ok(&self.inner)
    }

    /// The same, to be changed.
    ///
    /// # Errors
    ///
    /// As [`inner`](Self::inner).
    pub fn inner_mut(&mut self, what: &str, at: impl std::fmt::Display) -> Result<&mut T, Error> {
        self.stop.check(what, at)?;
        Ok(&mut self.inner)
    }

    /// What it is around, and who asks.
    pub fn into_parts(self) -> (T, S) {
        (self.inner, self.stop)
    }

    /// Who asks.
    pub const fn stop(&self) -> &S {
        &self.stop
    }

    /// What it is around, whether or not somebody asks.
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T, S: Asks> Asks for Stoppable<T, S> {
    fn asks_stop(&self) -> bool {
        self.stop.asks_stop()
    }
}

/// What nobody stops.
impl<'a, T: ?Sized> From<&'a T> for Stoppable<&'a T> {
    fn from(inner: &'a T) -> Self {
        Self::new(inner, Stop::new())
    }
}

impl<'a, T> From<&'a Vec<T>> for Stoppable<&'a [T]> {
    fn from(inner: &'a Vec<T>) -> Self {
        inner.as_slice().into()
    }
}

impl<B, E: From<Error>, I: Iterator<Item = Result<B, E>>, S: Asks> Iterator for Stoppable<I, S> {
    type Item = Result<B, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.inner_mut("reading batches", "the next one") {
            Ok(inner) => inner.next(),
            Err(error) => {
                self.over = true;
                Some(Err(error.into()))
            }
        }
    }
}

impl Observer for Stop {
    fn observe(&mut self, _event: &Event<'_>) {}

    fn wants_stop(&self) -> bool {
        self.is_stopped()
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn observe(&mut self, event: &Event<'_>) {
        (**self).observe(event);
    }

    fn wants_stop(&self) -> bool {
        (**self).wants_stop()
    }
}

impl<O: Observer> Observer for Option<O> {
    fn observe(&mut self, event: &Event<'_>) {
        if let Some(observer) = self {
            observer.observe(event);
        }
    }

    fn wants_stop(&self) -> bool {
        self.as_ref().is_some_and(Observer::wants_stop)
    }
}

macro_rules! observe_all {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Observer),+> Observer for ($($name,)+) {
            fn observe(&mut self, event: &Event<'_>) {
                $(self.$index.observe(event);)+
            }

            fn wants_stop(&self) -> bool {
                $(self.$index.wants_stop())||+
            }
        }
    };
}

observe_all!(A 0, B 1);
observe_all!(A 0, B 1, C 2);
observe_all!(A 0, B 1, C 2, D 3);
observe_all!(A 0, B 1, C 2, D 3, E 4);
