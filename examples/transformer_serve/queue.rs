//! Sentences wait in a queue of limited length; one thread translates those that wait together.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use transformer::decoding::Beam;
use transformer::{Translation, Translator};

/// How a sentence is to be translated; those that want the same go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Hypotheses that the beam keeps.
    pub(crate) beam: usize,
    /// Whether the answer tells what was attended to.
    pub(crate) attention: bool,
}

/// A translation, or why there is none.
pub(crate) type Answer = Result<Translation, String>;

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no room for all of it.
    Full,
    /// The server stops.
    Closed,
}

struct Job {
    text: String,
    wish: Wish,
    reply: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

/// Sentences that wait for the translator.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// The most sentences that may wait.
    capacity: usize,
    /// Sentences that were translated, and in how many calls.
    translated: AtomicU64,
    calls: AtomicU64,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            capacity,
            translated: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }

    /// How many sentences wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// How many sentences were translated, and in how many calls.
    pub(crate) fn done(&self) -> [u64; 2] {
        [&self.translated, &self.calls].map(|count| count.load(Ordering::Relaxed))
    }

    /// All sentences of a request, or none. A receiver that is dropped takes its sentence back.
    pub(crate) fn push(
        &self,
        texts: Vec<String>,
        wish: Wish,
    ) -> Result<Vec<oneshot::Receiver<Answer>>, Refused> {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        // What nobody waits for any more takes no room.
        waiting.jobs.retain(|job| !job.reply.is_closed());
        if waiting.jobs.len() + texts.len() > self.capacity {
            return Err(Refused::Full);
        }
        let answers = texts.into_iter().map(|text| {
            let (reply, answer) = oneshot::channel();
            waiting.jobs.push_back(Job { text, wish, reply });
            answer
        });
        let answers = answers.collect();
        self.changed.notify_one();
        Ok(answers)
    }

    /// Takes no more; what waits is still translated.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Translates what waits, at most `most` sentences together, until the queue is closed and empty.
    pub(crate) fn serve(&self, translator: &Translator, most: usize) {
        while let Some(jobs) = self.take(most) {
            let texts: Vec<&str> = jobs.iter().map(|job| job.text.as_str()).collect();
            let answers = translate(translator, &texts, jobs[0].wish);
            self.translated.fetch_add(jobs.len() as u64, Ordering::Relaxed);
            self.calls.fetch_add(1, Ordering::Relaxed);
            for (job, answer) in jobs.into_iter().zip(answers) {
                // Who asked may have gone.
                let _ = job.reply.send(answer);
            }
        }
    }

    /// Waits for sentences and takes those that want the same as the first.
    fn take(&self, most: usize) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        loop {
            waiting.jobs.retain(|job| !job.reply.is_closed());
            let Some(wish) = waiting.jobs.front().map(|job| job.wish) else {
                if waiting.is_closed {
                    return None;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (mut taken, mut left) = (Vec::new(), VecDeque::new());
            for job in waiting.jobs.drain(..) {
                if job.wish == wish && taken.len() < most {
                    taken.push(job);
                } else {
                    left.push_back(job);
                }
            }
            waiting.jobs = left;
            return Some(taken);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer a sentence. What brings the translator down is tried one by one, so that a sentence does
/// so for itself alone.
fn translate(translator: &Translator, texts: &[&str], wish: Wish) -> Vec<Answer> {
    let limits = translator.limits().with_attention(wish.attention);
    let call = || translator.n_best_each(texts, &Beam::new(wish.beam), &limits);
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(found)) => found
            .into_iter()
            .map(|best| {
                let first = best.map_err(|error| error.to_string())?.into_iter().next();
                first.ok_or_else(|| "nothing was found".to_owned())
            })
            .collect(),
        Ok(Err(error)) => vec![Err(error.to_string()); texts.len()],
        Err(_) if texts.len() == 1 => vec![Err("the translator failed".to_owned())],
        Err(_) => texts.iter().flat_map(|text| translate(translator, &[text], wish)).collect(),
    }
}
