//! Several threads: in one tree, or in a tree each.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

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
use crate::tree::{Context, Request, Selected, Tree, Worker, check};

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
    /// way count as lost visits where an evaluator has priors. What is found depends on how the threads run; one thread gives
    /// what [`Search::run`] gives.
    ///
    /// # Errors
    ///
    /// As [`Search::run`]; [`Error::Config`] for 0 threads.
    pub fn run_tree_parallel(&mut self, game: &G, limits: Limits, threads: usize) -> Result<Found> {
        config::at_least("threads", threads, 1)?;
        let started = Instant::now();
        self.open(game, limits)?;
        let done = self.simulate_by(threads, limits, started, 0)?;
        self.close(done, started)
    }

    /// [`Search::run_tree_parallel`] that tells what it has found so far about every `every`, and
    /// ends where it is told to: the stop handle, the progress and the pondering of a search. What
    /// was found until then is returned.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    ///
    /// use mcts::games::Othello;
    /// use mcts::rule::Uct;
    /// use mcts::{Limits, Rollout, Search};
    ///
    /// let mut search = Search::new(Uct::default(), Rollout::new(42));
    /// let (endless, every) = (Limits::simulations(u64::MAX), Duration::from_millis(5));
    /// let mut told = 0;
    /// let found = search.watch(&Othello::new(), endless, 2, every, |found| {
    ///     assert!(found.simulations > 0);
    ///     told += 1;
    ///     if told < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    /// })?;
    /// assert!(found.elapsed >= 3 * every);
    /// # Ok::<(), mcts::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Search::run_tree_parallel`]; [`Error::Config`] for an `every` of 0.
    pub fn watch(
        &mut self,
        game: &G,
        limits: Limits,
        threads: usize,
        every: Duration,
        mut see: impl FnMut(&Found) -> ControlFlow<()>,
    ) -> Result<Found> {
        config::at_least("threads", threads, 1)?;
        config::require(every > Duration::ZERO, "every", every, "more than 0 s")?;
        let started = Instant::now();
        self.open(game, limits)?;
        let mut done = 0;
        loop {
            let part = limits.until(started.elapsed().saturating_add(every));
            done = self.simulate_by(threads, part, started, done)?;
            let nodes = self.tree().map_or(0, Tree::nodes);
            let proven = self.tree().and_then(Tree::proven).is_some();
            let over = proven || limits.left(done, nodes, started) == 0;
            match self.close(done, started) {
                Ok(found) if over || see(&found).is_break() => return Ok(found),
                Err(error) if over => return Err(error),
                _ => {}
            }
        }
    }

    /// Goes on with an open search of which so many simulations are done, to the limits. How many
    /// are done then.
    fn simulate_by(
        &mut self,
        threads: usize,
        limits: Limits,
        started: Instant,
        done: u64,
    ) -> Result<u64> {
        if threads == 1 {
            return self.simulate(limits, started, done);
        }
        self.share_tree(limits, threads, started, done, |teams, context, shared| {
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
        let mut nets = self.evaluator.fork(mix(self.seed, u64::MAX));
        let started = Instant::now();
        self.open(game, limits)?;
        let done = self.share_tree(limits, threads, started, 0, |teams, context, shared| {
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
        })?;
        self.close(done, started)
    }

    /// Goes on with an open search in rounds, each run by threads.
    fn share_tree(
        &mut self,
        limits: Limits,
        threads: usize,
        started: Instant,
        mut done: u64,
        mut run_round: impl FnMut(&mut [Thread<G, E>], &Context<'_, G, R>, &Shared) -> Result<Vec<()>>,
    ) -> Result<u64> {
        // Threads meet at a root that has children.
        while self.tree.as_ref().is_none_or(|tree| tree.children().is_none()) {
            match self.simulate(limits.up_to(done + 1), started, done)? {
                now if now == done => return Ok(done),
                now => done = now,
            }
        }
        let (seed, forks) = (self.seed, &self.evaluator);
        let Some(tree) = &mut self.tree else { return Ok(done) };
        if tree.children().is_some() && !tree.is_prepared() {
            tree.prepare();
        }
        let (random, was) = (mix(seed, u64::from(tree.visits())), tree.share_with_threads());
        let mut teams: Vec<_> = (0..threads as u64)
            .map(|thread| Thread {
                worker: Worker::new(tree.game(), Random::new(mix(random, thread))),
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
            tree.make_shared_room();
            let shared = Shared {
                claimed: Apart(AtomicU64::new(0)),
                done: Apart(AtomicU64::new(0)),
                stop: Apart(AtomicBool::new(false)),
                limit: round,
                started,
                limits,
                before: done,
            };
            failed = run_round(&mut teams, &tree.context(), &shared).err();
            done += shared.done.0.into_inner();
        }
        tree.unshare(was);
        let Some(error) = failed else { return Ok(done) };
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
        let mut until_look = 1;
        while !shared.stop.0.load(Ordering::Relaxed) {
            let claimed = shared.claimed.0.fetch_add(CLAIM, Ordering::Relaxed);
            let mut mine = CLAIM.min(shared.limit.saturating_sub(claimed));
            if mine == 0 {
                break;
            }
            let mut done = 0;
            while mine > 0 && !context.is_full() {
                match simulate(self, context) {
                    Ok(true) => {
                        mine -= 1;
                        done += 1;
                        until_look -= 1;
                        if until_look == 0 {
                            until_look = look.rounds(shared.limits.has_time());
                            let (nodes, before) = (context.arena.used(), shared.before + done);
                            if shared.limits.left(before, nodes, shared.started) == 0 {
                                shared.stop.0.store(true, Ordering::Relaxed);
                                break;
                            }
                        }
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
            self.worker.flush::<true>(context.arena);
            shared.done.0.fetch_add(done, Ordering::Relaxed);
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
