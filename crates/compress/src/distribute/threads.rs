use std::any::Any;
use std::sync::Arc;

use super::Exchange;
use super::monitor::Monitor;
use crate::error::{Error, Result};

/// Numbers below which each worker adds up all of them itself.
const WORTH_SHARING: usize = 1 << 14;

type Given = Arc<dyn Any + Send + Sync>;

/// An exchange between the threads of a process, through memory.
#[derive(Debug)]
pub struct Threads {
    worker: usize,
    meeting: Arc<Monitor<Round>>,
}

impl Threads {
    /// The ends of all workers.
    pub fn new(workers: usize) -> Vec<Self> {
        let round = Round { given: vec![None; workers], ..Round::default() };
        let meeting = Arc::new(Monitor::new(round));
        (0..workers).map(|worker| Self { worker, meeting: Arc::clone(&meeting) }).collect()
    }

    /// What each worker gives, in their order.
    fn meet<T: Any + Send + Sync>(&self, given: T) -> Result<Vec<Arc<T>>> {
        let all = self.all(Arc::new(given))?;
        let typed = all.iter().map(|given| Arc::clone(given).downcast::<T>());
        typed.collect::<Result<_, _>>().map_err(|_| Error::Worker {
            worker: self.worker,
            reason: "the workers exchange different things".to_owned(),
        })
    }

    fn all(&self, given: Given) -> Result<Arc<Vec<Given>>> {
        // The round before is over when all have taken what was given.
        let mut state = self.meeting.wait(self.meeting.lock(), |round| round.all.is_none())?;
        let round = &mut state.value;
        round.given[self.worker] = Some(given);
        round.came += 1;
        if round.came == round.given.len() {
            let all: Vec<Given> = round.given.iter_mut().filter_map(Option::take).collect();
            round.all = Some(Arc::new(all));
            self.meeting.notify();
        }
        let mut state = self.meeting.wait(state, |round| round.all.is_some())?;
        let round = &mut state.value;
        round.left += 1;
        let all = round.all.clone();
        if round.left == round.given.len() {
            (round.came, round.left, round.all) = (0, 0, None);
            self.meeting.notify();
        }
        all.ok_or_else(|| Error::Worker {
            worker: self.worker,
            reason: "the exchange is out of step".into(),
        })
    }
}

/// What was given and is not yet taken by all.
#[derive(Debug, Default)]
struct Round {
    given: Vec<Option<Given>>,
    /// How many have given.
    came: usize,
    /// How many have taken.
    left: usize,
    /// Of all, once all have come.
    all: Option<Arc<Vec<Given>>>,
}

impl Exchange for Threads {
    fn worker(&self) -> usize {
        self.worker
    }

    fn workers(&self) -> usize {
        self.meeting.lock().value.given.len()
    }

    fn all_reduce(&self, buckets: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>> {
        let workers = self.workers();
        if workers == 1 {
            return Ok(buckets);
        }
        let all = self.meet(buckets)?;
        let count = all[self.worker].len();
        let numbers: usize = all[self.worker].iter().map(Vec::len).sum();
        let summed = |bucket: usize| {
            let mut sum = all[0][bucket].clone();
            for other in &all[1..] {
                for (sum, addend) in sum.iter_mut().zip(&other[bucket]) {
                    *sum += addend;
                }
            }
            sum
        };
        if count < workers || numbers < WORTH_SHARING {
            return Ok((0..count).map(summed).collect());
        }
        // Each worker adds up its share of the buckets for all.
        let mine: Vec<Vec<f32>> = (self.worker..count).step_by(workers).map(summed).collect();
        let shares = self.meet(mine)?;
        Ok((0..count).map(|bucket| shares[bucket % workers][bucket / workers].clone()).collect())
    }

    fn all_reduce_f64(&self, numbers: &mut [f64]) -> Result<()> {
        let all = self.meet(numbers.to_vec())?;
        numbers.fill(0.0);
        for given in all {
            for (sum, addend) in numbers.iter_mut().zip(given.iter()) {
                *sum += addend;
            }
        }
        Ok(())
    }

    fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(self.meet(bytes)?.iter().map(|given| given.to_vec()).collect())
    }

    fn fail(&self, reason: &str) {
        self.meeting.fail(self.worker, reason);
    }
}
