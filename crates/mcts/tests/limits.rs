//! Limits and bad input of searches; a game clock; what is printed.

mod common;

use std::time::Duration;

use common::{Even, Says, check_counts, run};
use mcts::arena::{RandomPlayer, play_pairs};
use mcts::games::{ConnectFour, Othello};
use mcts::rule::{Apv, Dirichlet, Gumbel, Puct, Uct};
use mcts::{
    Action, Clock, Error, Found, Game, Limits, Mixture, Overtime, Result, Rollout, Search, Turn,
    Values,
};
use model_utils_core::event::{Stop, Stoppable};

#[test]
fn a_limit_of_nodes_holds_and_the_search_still_plays_well() {
    let game = ConnectFour::from_columns("44444").unwrap();
    let mut search = Search::new(Uct::default(), Rollout::new(4)).with_most_nodes(2000);
    let found = search.run(&game, Limits::simulations(50_000)).unwrap();
    assert!(found.nodes <= 2000, "{}", found.nodes);
    assert_eq!(found.visits, 50_000, "what was folded is still counted");
    check_counts(search.tree().unwrap(), &mut Vec::new());
    let free = run(Uct::default(), &game, 50_000);
    assert!(free.nodes > 20_000);
    assert!((free.value - found.value).abs() < 0.1, "{found}\n{free}");

    let mut search = Search::new(Puct::default(), Even).with_most_nodes(500).with_batch(16);
    let found = search.run(&game, Limits::simulations(5000)).unwrap();
    assert!(found.nodes <= 500 && found.visits > 4900);
    let small = Search::new(Uct::default(), Rollout::new(4)).with_most_nodes(8);
    let message = { small }.run(&game, Limits::simulations(10)).unwrap_err().to_string();
    assert!(message.contains("most_nodes") && message.contains("at least 32"), "{message}");
}

#[test]
fn a_search_is_stopped_while_it_runs() {
    type Endless = Search<Othello, Puct, Stoppable<Even>>;
    type Way = fn(&mut Endless, &Othello, Limits) -> Result<Found>;
    let ways: [Way; 4] = [
        Endless::run,
        |search, game, limits| search.run_tree_parallel(game, limits, 2),
        |search, game, limits| search.run_asynchronous(game, limits, 2),
        |search, game, limits| search.run_root_parallel(game, limits, 2),
    ];
    for run in ways {
        let stop = Stop::new();
        let mut search = Search::new(Puct::default(), stop.around(Even)).with_batch(4);
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                stop.stop();
            });
            run(&mut search, &Othello::new(), Limits::simulations(u64::MAX)).unwrap_err()
        });
        assert!(error.to_string().starts_with("the search was stopped"), "{error}");
        if let Some(tree) = search.tree() {
            check_counts(tree, &mut Vec::new());
        }
    }
}

#[test]
fn budgets_end_a_search() {
    let game = Othello::new();
    let search = || Search::new(Uct::default(), Rollout::new(2));
    let found = search().run(&game, Limits::nodes(1000)).unwrap();
    assert!((1000..1100).contains(&found.nodes), "{}", found.nodes);
    let limits = Limits::time(Duration::from_millis(50));
    let found = search().run(&game, limits).unwrap();
    assert!(found.elapsed >= Duration::from_millis(50) && found.simulations > 10);
    let found = search().run(&game, limits.or_simulations(7)).unwrap();
    assert_eq!(found.simulations, 7);

    for (limits, field) in [
        (Limits::simulations(0), "limits.simulations"),
        (Limits::nodes(0), "limits.nodes"),
        (Limits::time(Duration::ZERO), "limits.time"),
    ] {
        let message = search().run(&game, limits).unwrap_err().to_string();
        assert!(message.contains(field), "{message}");
    }
    let one = search().run(&game, Limits::simulations(1)).unwrap_err().to_string();
    let expected = "`limits` is enough for 1 simulation, expected enough for the root";
    assert!(one.contains(expected), "{one}");
    search().run(&game, Limits::simulations(2)).unwrap();
    let none = search().run(&game, Limits::time(Duration::ZERO)).unwrap_err().to_string();
    assert!(none.contains("`limits.time` is 0ns, expected"), "{none}");
    let message = Search::new(Gumbel::default(), Even).run(&game, limits).unwrap_err().to_string();
    assert!(message.contains("simulations"), "{message}");
    // A schedule is as long as the actions need, not the simulations.
    let most = limits.or_simulations(u64::MAX);
    let found = Search::new(Gumbel::default(), Even).run(&game, most).unwrap();
    assert!(found.simulations > 100, "{found}");
}

#[test]
fn an_early_stop_does_not_change_the_choice() {
    let game = ConnectFour::from_columns("4455").unwrap();
    let limits = Limits::simulations(3000);
    let full = Search::new(Uct::new(0.5), Rollout::new(2)).run(&game, limits).unwrap();
    let mut search = Search::new(Uct::new(0.5), Rollout::new(2)).with_early_stop();
    let early = search.run(&game, limits).unwrap();
    assert_eq!(early.best(), full.best());
    assert!(early.simulations <= full.simulations);
}

/// Goes on and has no actions.
#[derive(Debug, Clone, PartialEq)]
struct Stuck(u8);

impl Game for Stuck {
    fn name(&self) -> String {
        "stuck".to_owned()
    }

    fn actions(&self) -> usize {
        1
    }

    fn turn(&self) -> Turn {
        Turn::Player(self.0 & 1)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.0 < 2 {
            actions.push(0);
        }
    }

    fn play(&mut self, _action: Action) {
        self.0 += 1;
    }

    fn outcome(&self) -> Option<Values> {
        None
    }
}

#[test]
fn bad_input_is_named() {
    let game = ConnectFour::new();
    let limits = Limits::simulations(10);
    let message = |search: &mut Search<ConnectFour, Puct, Says>| {
        search.run(&game, limits).unwrap_err().to_string()
    };
    let mut search = Search::new(Puct::default(), Says(f32::NAN, 0.0));
    assert!(message(&mut search).contains("prior NaN for leaf 0"));
    // The failed simulation has left nothing behind.
    *search.evaluator() = Says(1.0 / 7.0, 0.5);
    assert_eq!(search.run(&game, limits).unwrap().visits, 10);
    let mut search = Search::new(Puct::default(), Says(0.1, f32::INFINITY));
    assert!(message(&mut search).contains("value inf"));
    let mut search = Search::new(Puct::default(), Says(-0.1, 0.0));
    assert!(message(&mut search).contains("prior -0.1"));

    let over = ConnectFour::from_columns("1122334").unwrap();
    let error = search.run(&over, limits).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    for start in [0, 2] {
        let error = Search::new(Puct::default(), Even).run(&Stuck(start), limits).unwrap_err();
        assert!(error.to_string().contains("stuck: no legal action"), "{error}");
        let mut search = Search::new(Uct::default(), Rollout::new(1));
        let error = search.run(&Stuck(start), limits).unwrap_err();
        assert!(matches!(error, Error::NoActions { .. }), "{error}");
    }

    let config = |error: Result<Found>, field: &str| {
        let message = error.unwrap_err().to_string();
        assert!(message.contains(&format!("`{field}`")), "{message}");
    };
    config(Search::new(Uct::new(f32::NAN), Rollout::new(1)).run(&game, limits), "c");
    config(Search::new(Uct::new(-1.0), Rollout::new(1)).run(&game, limits), "c");
    let rule = Puct { c_base: 0.0, ..Puct::default() };
    config(Search::new(rule, Even).run(&game, limits), "c_base");
    let rule = Puct::default().with_root_noise(Dirichlet { alpha: 0.3, fraction: 1.5 });
    config(Search::new(rule, Even).run(&game, limits), "root_noise.fraction");
    let rule = Apv { lambda: 2.0, ..Apv::default() };
    config(Search::new(rule, Even).run(&game, limits), "lambda");
    config(
        Search::new(Gumbel::default().with_considered(0), Even).run(&game, limits),
        "considered",
    );
    config(Search::new(Puct::default(), Even).with_batch(0).run(&game, limits), "batch");
    config(Search::new(Puct::default(), Even).with_discount(0.0).run(&game, limits), "discount");
    assert!(Mixture::new(Even, Even, 1.5).is_err());
    assert!(Rollout::<ConnectFour>::new(1).with_count(0).is_err());
}

#[test]
fn a_result_and_a_tree_print_themselves() {
    let mut search = Search::new(Uct::default(), Rollout::new(2));
    let found = search.run(&ConnectFour::new(), Limits::simulations(500)).unwrap();
    let table = found.to_string();
    assert!(table.starts_with("action") && table.contains("500 simulations"), "{table}");
    assert_eq!(table.lines().count(), 9);
    let dot = search.tree().unwrap().dot(20);
    assert!(dot.starts_with("digraph tree {") && dot.ends_with("}\n"));
    assert!(dot.contains("n0 [label=\"500\\n"));
    let nodes = dot.matches(" [label=\"").count() - dot.matches(" -> ").count();
    assert_eq!(dot.matches(" -> ").count(), nodes - 1, "a tree");
}

#[test]
fn a_clock_is_divided_among_the_moves() {
    let seconds = Duration::from_secs;
    let clock = Clock::new(seconds(300), Overtime::None);
    assert_eq!(clock.allot(30), seconds(10));
    let clock = Clock::new(seconds(60), Overtime::Increment(seconds(10)));
    assert_eq!(clock.allot(60), seconds(10));
    // Byo-yomi: a move must be made in its period.
    let mut clock = Clock::new(Duration::ZERO, Overtime::Period { time: seconds(30), moves: 1 });
    assert!(clock.allot(50) < seconds(30) && clock.allot(50) > seconds(29));
    clock.spend(seconds(20));
    assert_eq!(clock.left(), seconds(30));
    // Canadian: ten moves in a period of 100 seconds.
    let overtime = Overtime::Period { time: seconds(100), moves: 10 };
    let mut clock = Clock::new(seconds(5), overtime);
    clock.spend(seconds(15));
    assert_eq!(clock.left(), seconds(90));
    assert_eq!(clock.allot(100), seconds(10));
    for _ in 0..9 {
        clock.spend(seconds(10));
    }
    assert_eq!(clock.left(), seconds(100), "a new period");
    clock.set_left(Duration::from_millis(20), 1);
    assert!(clock.allot(100) <= Duration::from_millis(20), "never more than what is left");
}

#[test]
fn a_clock_takes_any_time() {
    let most = Duration::MAX;
    for overtime in [
        Overtime::None,
        Overtime::Increment(most),
        Overtime::Period { time: most, moves: 1 },
        Overtime::Period { time: most, moves: 0 },
    ] {
        for main in [Duration::ZERO, most] {
            let mut clock = Clock::new(main, overtime);
            for _ in 0..3 {
                assert!(clock.allot(0) > Duration::ZERO);
                clock.spend(most);
                clock.spend(Duration::from_secs(1));
            }
        }
    }
    // A period without moves is one of 1 move.
    let second = Duration::from_secs(1);
    let mut clock = Clock::new(Duration::ZERO, Overtime::Period { time: second, moves: 0 });
    clock.spend(second / 2);
    assert_eq!(clock.left(), second);
}

/// A coin that never falls on its other side is tossed; then the first player may win.
#[derive(Debug, Clone, PartialEq)]
struct Toss {
    moves: u8,
    tossed: Option<Action>,
}

impl Game for Toss {
    fn name(&self) -> String {
        "toss".to_owned()
    }

    fn actions(&self) -> usize {
        2
    }

    fn turn(&self) -> Turn {
        if self.tossed.is_none() { Turn::Chance } else { Turn::Player(0) }
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend(0..2);
    }

    fn chances(&self, probabilities: &mut Vec<f32>) {
        probabilities.extend([0.0, 1.0]);
    }

    fn play(&mut self, action: Action) {
        match self.tossed {
            None => self.tossed = Some(action),
            Some(_) => self.moves -= 1,
        }
    }

    fn outcome(&self) -> Option<Values> {
        let fell = self.tossed.filter(|_| self.moves == 0)?;
        Some(Values::two(0, f32::from(fell)))
    }
}

#[test]
fn pairs_are_played_of_games_that_begin_with_chance() {
    let (mut first, mut second) = (RandomPlayer::new(1), RandomPlayer::new(2));
    for moves in [0, 1, 3] {
        let start = Toss { moves, tossed: None };
        let score = play_pairs(&start, &mut first, &mut second, 20, 2, 3).unwrap();
        assert_eq!((score.wins, score.draws, score.losses), (20, 0, 20), "{moves} moves");
    }
}
