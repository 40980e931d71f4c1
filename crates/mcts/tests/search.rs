//! Search: solved positions, determinism, batches, reuse, threads, chance, many players.

mod common;

use std::time::Duration;

use common::{Even, Says, check_counts, run};
use mcts::games::{ConnectFour, ConnectFourSolver, Othello, TicTacToe};
use mcts::random::Random;
use mcts::rule::{Apv, Dirichlet, Fpu, Gumbel, Puct, Rave, Rule, Uct};
use mcts::tree::{Proven, Selected};
use mcts::{
    Action, Deferred, Error, Evaluator, Fork, Found, Game, Hashed as _, Leaves, Limits, Mixture,
    Result, Rollout, Search, Tree, Turn, Values,
};

#[test]
fn every_rule_finds_the_win_and_the_defence() {
    // X has two in a row on top and wins with c1; O must otherwise stop it there.
    fn check<R: Rule>(rule: R) {
        let name = format!("{rule:?}");
        let mut game = TicTacToe::new();
        for text in ["a1", "a2", "b1", "b2"] {
            game.play(game.parse_action(text).unwrap());
        }
        let found = run(rule.clone(), &game, 200);
        assert_eq!(game.action_name(found.best()), "c1", "{name}");
        assert_eq!(found.proven, Some(Proven::Win), "{name}");

        let mut game = TicTacToe::new();
        for text in ["a1", "b2", "b1"] {
            game.play(game.parse_action(text).unwrap());
        }
        let found = run(rule, &game, 400);
        assert_eq!(game.action_name(found.best()), "c1", "{name}\n{found}");
    }
    check(Uct::default());
    check(Puct::default());
    check(Puct::default().with_fpu(Fpu::Value(0.0)));
    check(Gumbel::default());
    check(Apv { expand_after: 1, ..Apv::default() });
    check(Rave::default());
}

#[test]
fn tic_tac_toe_is_proven_a_draw() {
    // Much exploration: a proof needs every reply.
    let found = run(Uct::new(20.0), &TicTacToe::new(), 1 << 20);
    assert_eq!(found.proven, Some(Proven::Draw));
    assert!(found.simulations < 1 << 20, "a proof ends the search");
    assert!(found.choices.iter().all(|choice| choice.proven != Some(Proven::Win)));
    assert_eq!(found.principal_variation.len(), 9);
}

#[test]
fn proofs_agree_with_the_exact_solver() {
    let mut solver = ConnectFourSolver::with_entries(1 << 18).unwrap();
    let mut random = Random::new(5);
    let mut actions = Vec::new();
    let mut proven = 0;
    while proven < 20 {
        let mut game = ConnectFour::new();
        for _ in 0..26 {
            actions.clear();
            game.legal_actions(&mut actions);
            if let Some(index) = random.weighted_f32(&vec![1.0; actions.len()]) {
                game.play(actions[index]);
            }
        }
        if game.outcome().is_some() {
            continue;
        }
        let found = run(Uct::default(), &game, 50_000);
        if let Some(result) = found.proven {
            assert_eq!(solver.result(&game).unwrap(), result, "\n{game}\n{found}");
            let best = solver.results(&game).unwrap();
            assert!(best.contains(&(found.best(), result)), "\n{game}\n{found}");
            proven += 1;
        }
    }
}

#[test]
fn a_search_without_the_solver_agrees_with_one_that_has_it() {
    let game = ConnectFour::from_columns("44444").unwrap();
    let limits = Limits::simulations(20_000);
    let plain = Search::new(Uct::default(), Rollout::new(3)).with_solver(false);
    let plain = { plain }.run(&game, limits).unwrap();
    assert_eq!(plain.proven, None);
    assert_eq!(plain.simulations, 20_000);
    assert_eq!(plain.visits, 20_000);
    let visits: u32 = plain.choices.iter().map(|choice| choice.visits).sum();
    assert_eq!(visits, 19_999, "all but the evaluation of the root");
}

#[test]
fn the_same_seed_gives_the_same_tree() {
    fn check<R: Rule>(rule: R) {
        let game = ConnectFour::from_columns("4455").unwrap();
        let found = |seed, batch| {
            let mut search = Search::new(rule.clone(), Rollout::new(seed)).with_seed(seed);
            search = search.with_batch(batch);
            let mut found = search.run(&game, Limits::simulations(3000)).unwrap();
            found.elapsed = Duration::ZERO;
            (found, search.tree().unwrap().dot(1))
        };
        for batch in [1, 8] {
            assert_eq!(found(7, batch), found(7, batch));
            assert_ne!(found(7, batch).1, found(8, batch).1);
        }
    }
    check(Uct::default());
    check(Puct::default().with_root_noise(Dirichlet::new(1.0)));
    check(Gumbel::default());
    check(Apv { expand_after: 4, ..Apv::default() });
}

#[test]
fn batches_leave_no_virtual_loss_behind() {
    for batch in [1, 3, 16] {
        let game = ConnectFour::from_columns("4").unwrap();
        let mut search = Search::new(Puct::default(), Even).with_batch(batch);
        let found = search.run(&game, Limits::simulations(1000)).unwrap();
        let tree = search.tree().unwrap();
        assert_eq!(u64::from(tree.visits()), found.simulations);
        assert!(found.simulations >= 1000 - batch as u64 || found.proven.is_some());
        check_counts(tree, &mut Vec::new());
    }
}

#[test]
fn many_trees_share_one_batch() {
    // A tree among others is the tree that it would be alone.
    let games: Vec<_> =
        (0..20).map(|n| after(&Othello::new(), n)).filter(|g| g.outcome().is_none()).collect();
    let tree = |game: &Othello| Tree::new(Puct::default(), game, 3).unwrap();
    let mut trees: Vec<_> = games.iter().map(tree).collect();
    let mut leaves = Leaves::new();
    for _ in 0..100 {
        leaves.clear();
        for tree in &mut trees {
            tree.select(&mut leaves).unwrap();
        }
        Even.evaluate(&mut leaves).unwrap();
        for tree in &mut trees {
            tree.back_up(&leaves).unwrap();
        }
    }
    for (game, together) in games.iter().zip(&trees) {
        let mut alone = tree(game);
        for _ in 0..100 {
            leaves.clear();
            alone.select(&mut leaves).unwrap();
            alone.back_up(&leaves).unwrap();
        }
        assert_eq!(alone.dot(1), together.dot(1));
    }
}

/// A position after so many random actions.
fn after<G: Game>(game: &G, count: u64) -> G {
    let mut game = game.clone();
    let mut random = Random::new(count);
    let mut actions = Vec::new();
    for _ in 0..count {
        actions.clear();
        game.legal_actions(&mut actions);
        match actions.get(random.below_u32(actions.len() as u32) as usize) {
            Some(&action) => game.play(action),
            None => break,
        }
    }
    game
}

#[test]
fn advancing_keeps_the_subtree_as_it_was() {
    let game = ConnectFour::new();
    let mut search = Search::new(Uct::default(), Rollout::new(4));
    let found = search.run(&game, Limits::simulations(5000)).unwrap();
    let best = found.best_choice().unwrap().clone();
    let tree = search.tree().unwrap();
    let mut before = Vec::new();
    list(tree, &mut vec![best.action], &mut before);
    let nodes = tree.nodes();

    search.advance(best.action).unwrap();
    let tree = search.tree().unwrap();
    let mut after = Vec::new();
    list(tree, &mut Vec::new(), &mut after);
    assert!(before.len() > 100);
    assert_eq!(before, after);
    assert_eq!(tree.visits(), best.visits);
    assert!(tree.nodes() < nodes);
    let value = tree.children().unwrap().node_value();
    assert!((value + best.value).abs() < 1e-6, "the other player is to move");

    // The search goes on from what it has.
    let mut next = game;
    next.play(best.action);
    let found = search.run(&next, Limits::simulations(100)).unwrap();
    assert_eq!(found.visits, best.visits + 100);
    // A position that it was not advanced to starts anew.
    let found = search.run(&game, Limits::simulations(100)).unwrap();
    assert_eq!(found.visits, 100);
    assert!(matches!(search.advance(9), Err(Error::Illegal { action: 9, .. })));
}

/// Visits and values of all nodes below a line.
fn list<G: Game, R: Rule>(
    tree: &Tree<G, R>,
    line: &mut Vec<Action>,
    into: &mut Vec<(usize, Action, u32, f32)>,
) {
    let Some(children) = tree.children_after(line) else { return };
    let start = into.len();
    for child in 0..children.len() {
        let action = children.action(child);
        into.push((start, action, children.visits(child), children.mean(child)));
        line.push(action);
        list(tree, line, into);
        line.pop();
    }
}

#[test]
fn threads_search_one_tree_or_one_each() {
    let game = ConnectFour::from_columns("44444").unwrap();
    let limits = Limits::simulations(20_000);
    let mut search = Search::new(Uct::default(), Rollout::new(2)).with_solver(false);
    let single = search.run(&game, limits).unwrap();
    search.clear();
    let tree = search.run_tree_parallel(&game, limits, 4).unwrap();
    assert_eq!(tree.simulations, 20_000);
    assert_eq!(tree.visits, 20_000);
    check_counts(search.tree().unwrap(), &mut Vec::new());
    assert!((tree.value - single.value).abs() < 0.1, "{tree}\n{single}");

    let roots = search.run_root_parallel(&game, limits, 4).unwrap();
    assert_eq!(roots.simulations, 20_000);
    assert!((roots.value - single.value).abs() < 0.1, "{roots}\n{single}");
    let mut again = search.run_root_parallel(&game, limits, 4).unwrap();
    again.elapsed = roots.elapsed;
    assert_eq!(roots, again, "root parallelism repeats");

    // Priors and one leaf that everybody wants; time; a limit of nodes.
    let mut search = Search::new(Puct::default(), Even).with_most_nodes(3000);
    let found = search.run_tree_parallel(&game, limits, 3).unwrap();
    assert!(found.nodes <= 3000);
    check_counts(search.tree().unwrap(), &mut Vec::new());
    let limits = Limits::time(Duration::from_millis(50));
    let found = search.run_tree_parallel(&game, limits, 2).unwrap();
    assert!(found.simulations > 10);
    assert!(search.run_tree_parallel(&game, limits, 0).is_err());
    assert!(search.run_root_parallel(&game, limits, 0).is_err());
    // A proof ends it.
    let mut search = Search::new(Uct::new(20.0), Rollout::new(2));
    let found = search.run_tree_parallel(&TicTacToe::new(), Limits::simulations(1 << 20), 2);
    assert_eq!(found.unwrap().proven, Some(Proven::Draw));
}

/// Rollouts at once; priors and a net's value later, both from the position alone.
#[derive(Clone)]
struct Later {
    rollout: Rollout<ConnectFour>,
    /// What the net answers; not a number once this many positions were judged.
    good_for: usize,
}

/// What the net of [`Later`] says of a position and its actions.
fn says(game: &ConnectFour, actions: usize) -> (Values, Vec<f32>) {
    let seed = game.hash();
    let value = Random::new(seed).uniform_f32() * 2.0 - 1.0;
    let total = (actions * (actions + 1) / 2) as f32;
    (Values::two(0, value), (1..=actions).map(|action| action as f32 / total).collect())
}

impl Evaluator<ConnectFour> for Later {
    fn evaluate(&mut self, leaves: &mut Leaves<ConnectFour>) -> Result<()> {
        self.evaluate_now(leaves)?;
        self.evaluate_later(leaves)
    }
}

impl Deferred<ConnectFour> for Later {
    fn evaluate_now(&mut self, leaves: &mut Leaves<ConnectFour>) -> Result<()> {
        self.rollout.evaluate(leaves)
    }

    fn evaluate_later(&mut self, leaves: &mut Leaves<ConnectFour>) -> Result<()> {
        for leaf in 0..leaves.len() {
            let game = *leaves.game(leaf);
            let (actions, priors) = leaves.actions_and_priors(leaf);
            let (value, policy) = says(&game, actions.len());
            priors.copy_from_slice(&policy);
            let left = self.good_for.checked_sub(1);
            self.good_for = left.unwrap_or(0);
            let value = if left.is_some() { value } else { Values::two(0, f32::NAN) };
            if leaves.wants_net(leaf) {
                leaves.set_net_values(leaf, value);
            }
        }
        Ok(())
    }
}

impl Fork for Later {
    fn fork(&self, worker: u64) -> Self {
        Self { rollout: self.rollout.fork(worker), good_for: self.good_for }
    }
}

/// Walks a tree and holds it against what the net says of every position: the sum of a net's
/// values below a line, and how many there are.
fn check_net(
    tree: &Tree<ConnectFour, Apv>,
    line: &mut Vec<Action>,
    game: &ConnectFour,
) -> (u32, f64) {
    let value = f64::from(says(game, 0).0.of(0));
    let Some(children) = tree.children_after(line) else { return (1, value) };
    let (_, policy) = says(game, children.len());
    let (mut count, mut sum) = (1, value);
    for (child, prior) in policy.into_iter().enumerate() {
        assert!((children.prior(child) - prior).abs() < 1e-6, "{line:?}");
        let (net, mean) = children.second(child);
        let mut next = *game;
        next.play(children.action(child));
        let judged = children.visits(child) > 0 && next.outcome().is_none();
        assert_eq!(net > 0, judged, "{line:?}");
        if !judged {
            continue;
        }
        line.push(children.action(child));
        let (below, total) = check_net(tree, line, &next);
        line.pop();
        assert_eq!(net, below, "{line:?}");
        let sign = if game.turn().player() == Some(0) { 1.0 } else { -1.0 };
        assert!((f64::from(mean) - sign * total / f64::from(below)).abs() < 1e-4, "{line:?}");
        count += below;
        sum += total;
    }
    (count, sum)
}

#[test]
fn nets_may_answer_later_than_rollouts() {
    let game = ConnectFour::new();
    let rule = Apv { expand_after: 3, ..Apv::default() };
    let evaluator = Later { rollout: Rollout::new(3), good_for: usize::MAX };
    for (batch, threads) in [(1, 1), (8, 1), (8, 3)] {
        let mut search = Search::new(rule, evaluator.clone()).with_batch(batch).with_solver(false);
        let found = search.run_asynchronous(&game, Limits::simulations(4000), threads).unwrap();
        assert_eq!((found.simulations, found.visits), (4000, 4000));
        let tree = search.tree().unwrap();
        check_counts(tree, &mut Vec::new());
        // Every answer has come in: each position was judged once, and every node has its priors.
        let (judged, _) = check_net(tree, &mut Vec::new(), &game);
        assert!(judged > 500, "{judged}");
    }
    // A full arena keeps its leaves; answers to them are not lost.
    let mut search = Search::new(rule, evaluator).with_batch(8).with_most_nodes(500);
    let found = search.run_asynchronous(&game, Limits::simulations(4000), 2).unwrap();
    assert!(found.nodes <= 500 && found.simulations == 4000);
    check_counts(search.tree().unwrap(), &mut Vec::new());
    // A net that fails ends the search, and may be asked again.
    let broken = Later { rollout: Rollout::new(3), good_for: 40 };
    let mut search = Search::new(rule, broken).with_batch(4);
    let error = search.run_asynchronous(&game, Limits::simulations(4000), 2).unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");
    assert!(search.run_asynchronous(&game, Limits::simulations(10), 0).is_err());
    search.evaluator().good_for = usize::MAX;
    search.run_asynchronous(&game, Limits::simulations(1000), 2).unwrap();
    check_counts(search.tree().unwrap(), &mut Vec::new());
}

/// Panics once so many positions were judged.
#[derive(Clone)]
struct Panics(u32);

impl<G: Game> Evaluator<G> for Panics {
    fn evaluate(&mut self, _leaves: &mut Leaves<G>) -> Result<()> {
        assert!(self.0 > 0, "out of order");
        self.0 -= 1;
        Ok(())
    }
}

impl Fork for Panics {
    fn fork(&self, _worker: u64) -> Self {
        self.clone()
    }
}

#[test]
fn a_panic_in_a_thread_is_no_error_of_configuration() {
    let search = || Search::new(Puct::default(), Panics(5));
    let limits = Limits::simulations(200);
    let tree = search().run_tree_parallel(&ConnectFour::new(), limits, 2);
    let roots = search().run_root_parallel(&ConnectFour::new(), limits, 2);
    for error in [tree.unwrap_err(), roots.unwrap_err()] {
        assert!(matches!(&error, Error::Panicked { message } if message == "out of order"));
    }
}

/// A die is thrown; then a player bets on high (paid if it is above 3) or passes.
#[derive(Debug, Clone, PartialEq)]
struct Dice {
    players: usize,
    thrown: Option<Action>,
    step: usize,
    bets: Vec<bool>,
}

impl Game for Dice {
    fn name(&self) -> String {
        "dice".to_owned()
    }

    fn players(&self) -> usize {
        self.players
    }

    fn actions(&self) -> usize {
        6
    }

    fn turn(&self) -> Turn {
        match self.step {
            step if step < self.players => Turn::Player(step as u8),
            _ => Turn::Chance,
        }
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        match (self.turn(), self.thrown) {
            (_, Some(_)) => {}
            (Turn::Chance, _) => actions.extend(0..6),
            (Turn::Player(_), _) => actions.extend(0..2),
        }
    }

    fn chances(&self, probabilities: &mut Vec<f32>) {
        probabilities.extend([0.1, 0.1, 0.1, 0.2, 0.25, 0.25]);
    }

    fn play(&mut self, action: Action) {
        if self.turn() == Turn::Chance {
            self.thrown = Some(action);
        } else {
            self.bets.push(action == 1);
            self.step += 1;
        }
    }

    fn outcome(&self) -> Option<Values> {
        // Player p wins a bet where the die is above p + 1: 0.9, 0.8, 0.7.
        let thrown = self.thrown?;
        let paid: Vec<f32> = (0..self.players)
            .map(|player| match (self.bets[player], usize::from(thrown) > player) {
                (false, _) => 0.0,
                (true, true) => 0.5,
                (true, false) => -1.0,
            })
            .collect();
        Some(Values::from_slice(&paid))
    }
}

#[test]
fn chance_and_three_players_are_searched() {
    let game = Dice { players: 3, thrown: None, step: 0, bets: Vec::new() };
    for found in [run(Uct::default(), &game, 20_000), {
        Search::new(Puct::default(), Even).run(&game, Limits::simulations(20_000)).unwrap()
    }] {
        // Betting pays 0.9 · 0.5 − 0.1 = 0.35.
        assert_eq!(found.best(), 1, "{found}");
        assert!((found.best_choice().unwrap().value - 0.35).abs() < 0.03, "{found}");
        let line: Vec<_> = found.principal_variation.iter().map(|(action, _)| *action).collect();
        assert_eq!(line, [1, 1, 1], "each for itself");
    }
    let mut search = Search::new(Uct::default(), Rollout::new(3));
    search.run(&game, Limits::simulations(5000)).unwrap();
    search.advance(1).unwrap();
    // The second player's own view: 0.8 · 0.5 − 0.2 = 0.2, less what exploration lost.
    let value = search.tree().unwrap().children().unwrap().node_value();
    assert!((0.1..0.25).contains(&value), "{value}");

    let thrown = Dice { players: 1, thrown: None, step: 1, bets: vec![true] };
    let error = search.run(&thrown, Limits::simulations(10)).unwrap_err();
    assert!(matches!(error, Error::Chance { .. }), "{error}");
}

#[test]
fn a_mixture_is_between_its_parts() {
    let game = ConnectFour::from_columns("4").unwrap();
    let mut leaves = Leaves::new();
    leaves.push(&game, &[0, 1]);
    let mut mixture = Mixture::new(Says(0.3, 1.0), Says(0.9, 0.0), 0.25).unwrap();
    mixture.evaluate(&mut leaves).unwrap();
    assert!((leaves.values(0).of(0) - 0.75).abs() < 1e-6);
    assert_eq!(leaves.priors(0), [0.3, 0.3], "priors come from the first");
    let mut many = Rollout::new(3).with_count(1000).unwrap();
    many.evaluate(&mut leaves).unwrap();
    let mean = leaves.values(0).of(0);
    assert!((0.1..0.5).contains(&mean), "the centre is good for the first player: {mean}");
}

/// A net that knows only who moves first, beside a rollout that knows the opposite.
struct Both;

impl<G: Game> Evaluator<G> for Both {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        for leaf in 0..leaves.len() {
            leaves.set_values(leaf, Values::two(0, -0.5));
            if leaves.wants_net(leaf) {
                leaves.set_net_values(leaf, Values::two(0, 0.25));
            }
        }
        Ok(())
    }
}

#[test]
fn apv_keeps_the_net_and_rollouts_apart() {
    let game = ConnectFour::new();
    let rule = Apv { expand_after: 3, ..Apv::default() };
    let mut tree = Tree::new(rule, &game, 1).unwrap().with_solver(false);
    let mut leaves = Leaves::new();
    let mut asked = 0;
    for _ in 0..200 {
        leaves.clear();
        assert_eq!(tree.select(&mut leaves).unwrap(), Selected::Leaf);
        asked += usize::from(leaves.wants_net(0));
        Both.evaluate(&mut leaves).unwrap();
        tree.back_up(&leaves).unwrap();
    }
    let children = tree.children().unwrap();
    let mut net_visits = 0;
    for child in 0..children.len() {
        assert!((children.mean(child) + 0.5).abs() < 1e-6);
        let (visits, net) = children.second(child);
        assert!((net - 0.25).abs() < 1e-6);
        assert!(visits <= children.visits(child));
        net_visits += visits as usize;
    }
    // The net sees each node once, a leaf is visited three times before it gets children.
    assert_eq!(net_visits + 1, asked);
    assert!(asked < 120, "{asked}");
    let found = tree.found().unwrap();
    assert!(found.choices.iter().all(|choice| choice.net.is_some()));
}

#[test]
fn gumbel_divides_its_simulations() {
    // Equal priors and values: 16 simulations over 4 of 7 actions are 4 each, in two halvings.
    let game = ConnectFour::new();
    let mut tree = Tree::new(Gumbel::default().with_considered(4), &game, 1).unwrap();
    let mut leaves = Leaves::new();
    tree.begin(Some(17)).unwrap();
    for _ in 0..17 {
        leaves.clear();
        tree.select(&mut leaves).unwrap();
        tree.back_up(&leaves).unwrap();
    }
    let children = tree.children().unwrap();
    let mut visits: Vec<_> = (0..7).map(|child| children.visits(child)).collect();
    visits.sort_unstable();
    assert_eq!(visits, [0, 0, 0, 2, 2, 6, 6]);
    let best = tree.best().unwrap();
    assert_eq!(children.visits(best), 6);
    let mut policy = Vec::new();
    tree.policy(&mut policy);
    assert!((policy.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn temperature_follows_the_visits() {
    let found = run(Uct::new(4.0), &ConnectFour::new(), 2000);
    let mut random = Random::new(2);
    let share = |temperature: f32, random: &mut Random| {
        let best = (0..4000).filter(|_| found.sample(temperature, random) == found.best());
        best.count() as f32 / 4000.0
    };
    let visits = found.best_choice().unwrap().visits as f32 / 1999.0;
    assert!((share(1.0, &mut random) - visits).abs() < 0.03);
    assert!(share(0.1, &mut random) > share(1.0, &mut random));
    assert!(share(0.0, &mut random) > 0.9999);
}

#[test]
fn root_noise_is_mixed_once() {
    let game = ConnectFour::new();
    let rule = Puct::default().with_root_noise(Dirichlet::new(0.5));
    let mut search = Search::new(rule, Even);
    let priors = |found: &Found| {
        let mut choices = found.choices.clone();
        choices.sort_by_key(|choice| choice.action);
        choices.iter().map(|choice| choice.prior).collect::<Vec<_>>()
    };
    let first = priors(&search.run(&game, Limits::simulations(20)).unwrap());
    assert!((first.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert!(first.iter().any(|prior| (prior - 1.0 / 7.0).abs() > 0.01));
    let second = priors(&search.run(&game, Limits::simulations(20)).unwrap());
    assert_eq!(first, second);
}
