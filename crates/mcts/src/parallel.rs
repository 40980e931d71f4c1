//! Several threads: in one tree, or in a tree each.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use model_utils_core::error::panic_text;
use model_utils_core::{ConfigError, config};

use crate::error::{Error, Result};
use crate::evaluator::{Deferred, Evaluator, Fork};
use crate::found::Found;
use crate::game::Game;
use crate::leaves::Leaves;
use crate::limits::Limits;
use crate::nodes::Apart;
use crate::random::{Random, mix};
use crate::rule::Rule;
use crate::search::{Look, Search};
use crate::tree::{Context, Request, Selected, Worker, check};

/// Simulations that a thread takes from the common number at once.
const CLAIM: u64 = 16;

/// What one thread works with.
#[repr(align(128))]
struct Thread<G, E> {
    worker: Worker<G>,
    leaves: Leaves<G>,
    evaluator: E,
}

impl<G, R, E> Search<G, R, E>
where
    G: Game,
    R: Rule,
    E: Evaluator<G> + Fork,
{
    /// Searches with several threads in one tree: statistics are atomic, and simulations on their
    /// way count as lost visits. What is found depends on how the threads run; one thread gives
    /// what [`Search::run`] gives.
    ///
    /// # Errors
    ///
    /// As [`Search::run`]; [`Error::Config`] for 0 threads.
    pub fn run_tree_parallel(&mut self, game: &G, limits: Limits, threads: usize) -> Result<Found> {
        config::at_least("threads", threads, 1)?;
        if threads == 1 {
            return self.run(game, limits);
        }
        self.share_tree(game, limits, threads, |teams, context, shared| {
            std::thread::scope(|scope| {
                let run = |thread: &mut Thread<G, E>| thread.run(context, shared, Thread::simulate);
                join_all(teams.iter_mut().map(|thread| scope.spawn(move || run(thread))).collect())
            })
        })
    }

    /// Searches with several threads in one tree while another judges by nets, as AlphaGo does
    /// (Silver et al. 2016, "asynchronous policy and value MCTS"): a simulation ends with what its
    /// evaluator has [at once](Deferred::evaluate_now), a rollout; the leaf waits in a queue for
    /// its priors and its net's values, which are [judged later](Deferred::evaluate_later), up to
    /// [`Search::with_batch`] together. Where as many wait already, threads wait too. All answers
    /// are in when the search returns.
    ///
    /// # Errors
    ///
    /// As [`Search::run`]; [`Error::Config`] for 0 threads.
    pub fn run_asynchronous(&mut self, game: &G, limits: Limits, threads: usize) -> Result<Found>
    where
        E: Deferred<G>,
    {
        config::at_least("threads", threads, 1)?;
        let batch = self.settings.batch;
        let mut nets = self.evaluator.fork(mix(self.settings.seed, u64::MAX));
        self.share_tree(game, limits, threads, |teams, context, shared| {
            std::thread::scope(|scope| {
                let (requests, waiting) = sync_channel(batch);
                let nets = &mut nets;
                let mut handles =
                    vec![scope.spawn(move || answer(nets, waiting, batch, context, shared))];
                for thread in teams {
                    let requests = requests.clone();
                    handles.push(scope.spawn(move || {
                        thread.run(context, shared, |thread, context| {
                            thread.simulate_now(context, &requests)
                        })
                    }));
                }
                drop(requests);
                join_all(handles)
            })
        })
    }

    /// Searches one tree in rounds, each run by threads.
    fn share_tree(
        &mut self,
        game: &G,
        limits: Limits,
        threads: usize,
        mut run_round: impl FnMut(&mut [Thread<G, E>], &Context<'_, G, R>, &Shared) -> Result<Vec<()>>,
    ) -> Result<Found> {
        let started = Instant::now();
        self.open(game, limits)?;
        // Threads meet at a root that has children.
        let mut done = 0;
        while self.tree.as_ref().is_none_or(|tree| tree.children().is_none()) {
            match self.simulate(limits, started, 1)? {
                0 => break,
                simulations => done += simulations,
            }
        }
        let (seed, forks) = (self.settings.seed, &self.evaluator);
        let Some(tree) = &mut self.tree else { return self.close(done, started) };
        if tree.children().is_some() && !tree.is_prepared() {
            tree.prepare();
        }
        let (random, was) = (mix(seed, u64::from(tree.visits())), tree.share());
        let mut teams: Vec<_> = (0..threads as u64)
            .map(|thread| Thread {
                worker: Worker::new(game, Random::new(mix(random, thread))),
                leaves: Leaves::new(),
                evaluator: forks.fork(mix(random, thread)),
            })
            .collect();
        let mut failed = None;
        while tree.proven().is_none() && failed.is_none() {
            let left = limits.left(done, tree.nodes(), started);
            if left == 0 {
                break;
            }
            let round = left.min(1 << 16);
            // Never less than the threads' reserve: they would stop before they began.
            tree.make_room((round as usize).clamp(threads + 1, (1 << 14).max(threads + 1)));
            let shared = Shared {
                claimed: Apart(AtomicU64::new(0)),
                done: Apart(AtomicU64::new(0)),
                stop: Apart(AtomicBool::new(false)),
                limit: round,
                started,
                limits,
                before: done,
                reserve: (threads + 1) * game.actions().max(1),
            };
            failed = run_round(&mut teams, &tree.context(), &shared).err();
            done += shared.done.0.into_inner();
        }
        tree.unshare(was);
        let Some(error) = failed else { return self.close(done, started) };
        if matches!(error, Error::Panicked { .. }) {
            // What was on its way in that thread cannot be taken back.
            self.tree = None;
        }
        Err(error)
    }

    /// Searches with a tree for each thread and adds the visits of the roots. The limits of
    /// simulations and nodes are divided among the trees, the time is not; no tree is kept. The
    /// result does not depend on how the threads run.
    ///
    /// # Errors
    ///
    /// As [`Search::run`]; [`Error::Config`] for 0 threads.
    pub fn run_root_parallel(&mut self, game: &G, limits: Limits, threads: usize) -> Result<Found>
    where
        E: Sync,
    {
        limits.check()?;
        let started = Instant::now();
        let this = &*self;
        let run = |thread: u64| -> Result<Found> {
            let mut search = this.sibling(thread);
            search.run(game, limits.divided(threads as u64, thread))
        };
        let results = std::thread::scope(|scope| {
            join_all((0..threads as u64).map(|thread| scope.spawn(move || run(thread))).collect())
        })?;
        let merged = results.into_iter().reduce(|mut found, other| {
            found.merge(&other);
            found
        });
        let mut found = merged.ok_or_else(|| ConfigError::new("threads", threads, "at least 1"))?;
        found.rank();
        found.elapsed = started.elapsed();
        Ok(found)
    }
}

/// Waits for threads: what each brings, or the first error of one.
fn join_all<T>(handles: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
    let join = |handle: ScopedJoinHandle<'_, Result<T>>| {
        let panicked =
            |panic: Box<dyn Any + Send>| Err(Error::Panicked { message: panic_text(&*panic) });
        handle.join().unwrap_or_else(panicked)
    };
    let results: Vec<Result<T>> = handles.into_iter().map(join).collect();
    results.into_iter().collect()
}

/// Judges what waits, until all threads that may ask have ended.
fn answer<G: Game, R: Rule, E: Deferred<G>>(
    nets: &mut E,
    waiting: Receiver<Request<G>>,
    batch: usize,
    context: &Context<'_, G, R>,
    shared: &Shared,
) -> Result<()> {
    let mut leaves = Leaves::new();
    let mut requests: Vec<Request<G>> = Vec::with_capacity(batch);
    while let Ok(first) = waiting.recv() {
        requests.clear();
        requests.push(first);
        requests.extend(waiting.try_iter().take(batch - 1));
        leaves.clear();
        for request in &requests {
            request.ask(&mut leaves);
        }
        let judged = nets
            .evaluate_later(&mut leaves)
            .and_then(|()| (0..requests.len()).try_for_each(|leaf| check(&leaves, leaf)));
        if let Err(error) = judged {
            shared.stop.0.store(true, Ordering::Relaxed);
            let unanswered = requests.drain(..).chain(waiting);
            unanswered.for_each(|request| request.give_up(context.arena));
            return Err(error);
        }
        for (leaf, request) in requests.iter().enumerate() {
            request.answer(context.arena, &leaves, leaf);
        }
    }
    Ok(())
}

/// What the threads of one tree have in common.
struct Shared {
    claimed: Apart<AtomicU64>,
    done: Apart<AtomicU64>,
    stop: Apart<AtomicBool>,
    limit: u64,
    started: Instant,
    limits: Limits,
    before: u64,
    reserve: usize,
}

/// Stops all threads where one panics: they might wait for its leaf.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<G: Game, E: Evaluator<G>> Thread<G, E> {
    /// Runs simulations until the common limits are reached; `simulate` says whether one was done.
    fn run<R: Rule>(
        &mut self,
        context: &Context<'_, G, R>,
        shared: &Shared,
        simulate: impl Fn(&mut Self, &Context<'_, G, R>) -> Result<bool>,
    ) -> Result<()> {
        let _stop = StopOnPanic(&shared.stop.0);
        let mut look = Look::default();
        let mut result = Ok(());
        let mut since = 0;
        let mut until_look = 1;
        while !shared.stop.0.load(Ordering::Relaxed) {
            let claimed = shared.claimed.0.fetch_add(CLAIM, Ordering::Relaxed);
            let mut mine = CLAIM.min(shared.limit.saturating_sub(claimed));
            if mine == 0 {
                break;
            }
            let mut done = 0;
            while mine > 0 && !context.is_full(shared.reserve) {
                match simulate(self, context) {
                    Ok(true) => {
                        mine -= 1;
                        done += 1;
                    }
                    Ok(false) if shared.stop.0.load(Ordering::Relaxed) => break,
                    // Another thread has the leaf that everybody wants.
                    Ok(false) => std::thread::yield_now(),
                    Err(error) => {
                        self.worker.cancel::<true>(context.arena, context.settings);
                        shared.stop.0.store(true, Ordering::Relaxed);
                        result = Err(error);
                        break;
                    }
                }
            }
            let total = shared.done.0.fetch_add(done, Ordering::Relaxed) + done + shared.before;
            since += done;
            if since >= until_look {
                since = 0;
                until_look = look.simulations(shared.limits.has_time(), u64::MAX);
                if shared.limits.left(total, context.arena.used(), shared.started) == 0 {
                    shared.stop.0.store(true, Ordering::Relaxed);
                }
            }
            if mine > 0 || context.is_proven() {
                // Full, failed or proven: whoever owns the tree looks after it.
                shared.stop.0.store(true, Ordering::Relaxed);
            }
        }
        result
    }

    /// One simulation; `false` where its leaf is waited for by another thread.
    fn simulate<R: Rule>(&mut self, context: &Context<'_, G, R>) -> Result<bool> {
        self.leaves.clear();
        match self.worker.select::<true, R>(context, &mut self.leaves)? {
            Selected::Known => Ok(true),
            Selected::Blocked => Ok(false),
            Selected::Leaf => {
                self.evaluator.evaluate(&mut self.leaves)?;
                self.worker.back_up::<true>(context.arena, context.settings, &self.leaves)?;
                Ok(true)
            }
        }
    }

    /// One simulation that does not wait for nets.
    fn simulate_now<R: Rule>(
        &mut self,
        context: &Context<'_, G, R>,
        requests: &SyncSender<Request<G>>,
    ) -> Result<bool>
    where
        E: Deferred<G>,
    {
        self.leaves.clear();
        match self.worker.select::<true, R>(context, &mut self.leaves)? {
            Selected::Known => Ok(true),
            Selected::Blocked => Ok(false),
            Selected::Leaf => {
                self.evaluator.evaluate_now(&mut self.leaves)?;
                let request = self.worker.request(&self.leaves);
                self.worker.back_up::<true>(context.arena, context.settings, &self.leaves)?;
                if let Some(Err(SendError(request))) = request.map(|request| requests.send(request))
                {
                    request.give_up(context.arena);
                }
                Ok(true)
            }
        }
    }
}
