//! How long searches go on beyond a limit of time. A table of times, not a test of CI:
//!
//! ```console
//! $ cargo test -p mcts --no-default-features --release --test overshoot -- --ignored --nocapture
//! ```

#![allow(clippy::print_stdout)]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mcts::games::ConnectFour;
use mcts::rule::Puct;
use mcts::{
    Action, Deferred, Evaluator, Fork, Found, Game, Leaves, Limits, Result, Search, Turn, Values,
};

/// As many actions as a net of chess has outputs, all of them legal, for so many moves.
#[derive(Debug, Clone, PartialEq)]
struct Wide(u8);

impl Game for Wide {
    fn name(&self) -> String {
        "wide".to_owned()
    }

    fn actions(&self) -> usize {
        4672
    }

    fn turn(&self) -> Turn {
        Turn::Player(self.0 & 1)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend(0..4672);
    }

    fn play(&mut self, _action: Action) {
        self.0 += 1;
    }

    fn outcome(&self) -> Option<Values> {
        (self.0 >= 60).then_some(Values::DRAW)
    }
}

/// Takes so long for a batch, and knows nothing of it.
#[derive(Debug, Clone, Copy)]
struct Takes(Duration);

impl<G: Game> Evaluator<G> for Takes {
    fn evaluate(&mut self, _leaves: &mut Leaves<G>) -> Result<()> {
        if !self.0.is_zero() {
            std::thread::sleep(self.0);
        }
        Ok(())
    }
}

impl<G: Game> Deferred<G> for Takes {
    fn evaluate_now(&mut self, _leaves: &mut Leaves<G>) -> Result<()> {
        Ok(())
    }

    fn evaluate_later(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        self.evaluate(leaves)
    }
}

impl Fork for Takes {
    fn fork(&self, _worker: u64) -> Self {
        *self
    }
}

type Way<G> = fn(&mut Search<G, Puct, Takes>, &G, Limits) -> Result<Found>;

const QUICK: Duration = Duration::ZERO;
const SLOW: Duration = Duration::from_millis(20);

fn measure<G: Game + 'static>(game: &G, most: &mut Duration) {
    let ways: [(&str, Way<G>); 5] = [
        ("1 thread", Search::run),
        ("2 threads", |search, game, limits| search.run_tree_parallel(game, limits, 2)),
        ("2 trees", |search, game, limits| search.run_root_parallel(game, limits, 2)),
        ("2 threads and nets", |search, game, limits| search.run_asynchronous(game, limits, 2)),
        ("watched, 2 threads", |search, game, limits| {
            let every = Duration::from_millis(3);
            search.watch(game, limits, 2, every, |_| ControlFlow::Continue(()))
        }),
    ];
    for evaluation in [QUICK, SLOW] {
        for (way, run) in ways {
            for batch in [1, 8, 64] {
                print!("{:13} {evaluation:>5?} {batch:>5}  {way:18}", game.name());
                for (limit, times) in [(1, 20), (10, 20), (100, 10), (1000, 3)] {
                    let limit = Duration::from_millis(limit);
                    let mut over: Vec<Duration> = (0..times)
                        .map(|seed| {
                            let search = Search::new(Puct::default(), Takes(evaluation));
                            let mut search = search.with_batch(batch).with_seed(seed);
                            let started = Instant::now();
                            let found = run(&mut search, game, Limits::time(limit));
                            let over = started.elapsed().saturating_sub(limit);
                            // What takes longer than the limit is not enough for the root.
                            assert!(found.is_ok() || limit <= 2 * SLOW, "{found:?}");
                            over
                        })
                        .collect();
                    over.sort_unstable();
                    let ms = |time: Duration| time.as_secs_f64() * 1e3;
                    let (median, longest) = (over[over.len() / 2], over[over.len() - 1]);
                    print!("  {:7.2} {:7.2}", ms(median), ms(longest));
                    *most = (*most).max(longest.saturating_sub(evaluation));
                }
                println!();
            }
        }
    }
}

#[test]
#[ignore = "prints times, for minutes"]
fn time_limits_are_kept() {
    println!("how much longer, in ms (median, maximum), under limits of 1, 10, 100 and 1,000 ms");
    println!("{:13} {:>5} {:>5}  {:18}", "game", "eval.", "batch", "way");
    let mut most = Duration::ZERO;
    measure(&ConnectFour::new(), &mut most);
    measure(&Wide(0), &mut most);
    println!("at most {most:?} and one evaluation");
}
