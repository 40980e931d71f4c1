//! Graph search: lines that lead to the same position share what is known of it.

mod common;

use std::collections::{HashMap, HashSet};

use common::{Even, check_counts};
use mcts::games::{ConnectFour, ConnectFourSolver, Othello, TicTacToe};
use mcts::random::{Random, mix};
use mcts::rule::{Apv, Gumbel, Puct, Rule, Uct};
use mcts::tree::Proven;
use mcts::{
    Action, Cached, Evaluator, Fork, Found, Game, Hashed, Leaves, Limits, Payoff, Result, Rollout,
    Search, Tree, Turn, Values,
};

/// A game whose hash tells every line apart: none meets another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Apart<G>(G, u64);

/// A game of one hash for all positions.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Same<G>(G);

macro_rules! delegate {
    ($outer:ident, $self:ident, $action:ident, $also:block) => {
        impl<G: Game> Game for $outer<G> {
            const PAYOFF: Payoff = G::PAYOFF;

            fn name(&self) -> String {
                self.0.name()
            }

            fn actions(&self) -> usize {
                self.0.actions()
            }

            fn turn(&self) -> Turn {
                self.0.turn()
            }

            fn legal_actions(&self, actions: &mut Vec<Action>) {
                self.0.legal_actions(actions);
            }

            fn play(&mut $self, $action: Action) {
                $self.0.play($action);
                $also
            }

            fn outcome(&self) -> Option<Values> {
                self.0.outcome()
            }
        }
    };
}

delegate!(Apart, self, action, { self.1 = mix(self.1, action.into()) });
delegate!(Same, self, action, {});

impl<G: Game> Hashed for Apart<G> {
    fn hash(&self) -> u64 {
        self.1
    }
}

impl<G: Game> Hashed for Same<G> {
    fn hash(&self) -> u64 {
        7
    }
}

/// Says the same of a position each time, by rollouts that follow from its hash, and counts.
#[derive(Debug, Clone, Default)]
struct Judge {
    judged: u64,
    actions: Vec<Action>,
}

impl<G: Hashed> Evaluator<G> for Judge {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        self.judged += leaves.len() as u64;
        for leaf in 0..leaves.len() {
            let mut random = Random::new(leaves.game(leaf).hash());
            let mut values = || leaves.game(leaf).clone().rollout(&mut random, &mut self.actions);
            let (first, second) = (values().unwrap(), values().unwrap());
            leaves.set_values(leaf, first.mix(&second, 0.5));
            // Priors that favour actions after which the other has few.
            let game = leaves.game(leaf).clone();
            let (actions, priors) = leaves.actions_and_priors(leaf);
            for (&action, prior) in actions.iter().zip(priors.iter_mut()) {
                let mut next = game.clone();
                next.play(action);
                self.actions.clear();
                next.legal_actions(&mut self.actions);
                *prior = (-0.25 * self.actions.len() as f32).exp();
            }
            let total: f32 = priors.iter().sum();
            for prior in priors {
                *prior /= total;
            }
        }
        Ok(())
    }
}

impl Fork for Judge {
    fn fork(&self, _worker: u64) -> Self {
        self.clone()
    }
}

/// Rollouts that are counted.
#[derive(Debug, Clone)]
struct Counted<G>(Rollout<G>, u64);

impl<G: Game> Evaluator<G> for Counted<G> {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        self.1 += leaves.len() as u64;
        self.0.evaluate(leaves)
    }

    fn has_priors(&self) -> bool {
        false
    }
}

/// The exact results of Othello: alpha–beta with a table, few replies first.
#[derive(Default)]
struct OthelloSolver {
    /// What is known of a result: at least, at most.
    table: HashMap<u64, (i8, i8)>,
    buffers: Vec<Vec<Action>>,
}

impl OthelloSolver {
    /// For the player to move.
    fn result(&mut self, game: &Othello, alpha: i8, beta: i8) -> i8 {
        let mover = game.turn().player().unwrap();
        if let Some(values) = game.outcome() {
            return values.of(mover) as i8;
        }
        let (black, white) = game.stones();
        let is_listed = black + white < 60;
        let (mut least, mut most) = (-1, 1);
        if is_listed && let Some(&known) = self.table.get(&game.hash()) {
            (least, most) = known;
            if least >= beta || least == most {
                return least;
            }
            if most <= alpha {
                return most;
            }
        }
        let mut actions = self.buffers.pop().unwrap_or_default();
        actions.clear();
        game.legal_actions(&mut actions);
        let mut replies = self.buffers.pop().unwrap_or_default();
        let mut next: Vec<_> = actions
            .iter()
            .map(|&action| {
                let mut next = *game;
                next.play(action);
                replies.clear();
                if is_listed {
                    next.legal_actions(&mut replies);
                }
                (replies.len(), next)
            })
            .collect();
        next.sort_by_key(|&(replies, _)| replies);
        self.buffers.extend([actions, replies]);
        let (mut best, mut low) = (-1, alpha);
        for (_, next) in next {
            best = best.max(-self.result(&next, -beta, -low));
            low = low.max(best);
            if low >= beta {
                break;
            }
        }
        if best <= alpha {
            most = most.min(best);
        } else if best >= beta {
            least = least.max(best);
        } else {
            (least, most) = (best, best);
        }
        if is_listed {
            self.table.insert(game.hash(), (least, most));
        }
        best
    }
}

/// A game and a witness that knows its results.
trait Solved: Hashed + Copy {
    type Solver: Default;

    /// For the player to move.
    fn result(&self, solver: &mut Self::Solver) -> Proven;
}

impl Solved for ConnectFour {
    type Solver = ConnectFourSolver;

    fn result(&self, solver: &mut ConnectFourSolver) -> Proven {
        solver.result(self).unwrap()
    }
}

impl Solved for Othello {
    type Solver = OthelloSolver;

    fn result(&self, solver: &mut OthelloSolver) -> Proven {
        Proven::from_value(solver.result(self, -1, 1).into()).unwrap()
    }
}

/// The exact result of each action, for the player who takes it.
fn results<G: Solved>(game: &G, solver: &mut G::Solver) -> Vec<(Action, Proven)> {
    let mut actions = Vec::new();
    game.legal_actions(&mut actions);
    let mover = game.turn().player().unwrap();
    let result = |action| {
        let mut next = *game;
        next.play(action);
        let proven = match next.outcome() {
            Some(values) => Proven::from_value(values.of(mover)).unwrap(),
            None => next.result(solver).turned(),
        };
        (action, proven)
    };
    actions.into_iter().map(result).collect()
}

/// Random positions after so many plies that go on.
fn positions<G: Game>(start: &G, plies: u32, count: usize) -> Vec<G> {
    let mut random = Random::new(plies.into());
    let (mut positions, mut actions) = (Vec::new(), Vec::new());
    while positions.len() < count {
        let mut game = start.clone();
        for _ in 0..plies {
            actions.clear();
            game.legal_actions(&mut actions);
            if actions.is_empty() {
                break;
            }
            game.play(actions[random.below(actions.len())]);
        }
        if game.outcome().is_none() {
            positions.push(game);
        }
    }
    positions
}

/// Every node of a graph once: its visits are one judgement and those of its children, or `judged` to
/// twice as many; its value is theirs.
fn check_graph<G: Hashed, R: Rule>(tree: &Tree<G, R>, judged: std::ops::RangeInclusive<u32>) {
    let mut seen = HashSet::new();
    let mut open = vec![(tree.game().clone(), Vec::new())];
    while let Some((game, line)) = open.pop() {
        let Some(children) = tree.children_after(&line) else { continue };
        if !seen.insert(game.hash()) {
            continue;
        }
        let (mut visits, mut sum) = (0, 0.0);
        for child in 0..children.len() {
            visits += children.visits(child);
            // Threads correct what the others do to an edge when they next come by.
            if children.proven(child).is_none() && *judged.end() < u32::MAX {
                assert!((-1.0..=1.0).contains(&children.mean(child)), "after {line:?}");
            }
            sum += f64::from(children.mean(child)) * f64::from(children.visits(child));
            if children.visits(child) > 0 {
                let (action, mut next, mut line) =
                    (children.action(child), game.clone(), line.clone());
                next.play(action);
                line.push(action);
                open.push((next, line));
            }
        }
        let own = children.node_visits() - visits;
        assert!(judged.contains(&own), "{own} judgements after {line:?}");
        if !children.has_proven() && *judged.end() == 1 {
            sum += f64::from(children.node_raw_value());
            let visits = f64::from(children.node_visits());
            // Without priors, what the position itself was worth is not kept.
            let most = if children.node_raw_value() == 0.0 { 1.0 / visits } else { 0.0 };
            let apart = (sum / visits - f64::from(children.node_value())).abs();
            assert!(apart < most + 1e-4, "{apart} after {line:?}");
        }
    }
    assert!(!seen.is_empty());
}

/// One search; with transpositions where it says so.
fn search<G: Hashed, R: Rule, E: Evaluator<G>>(
    rule: R,
    evaluator: E,
    graph: bool,
    game: &G,
    simulations: u64,
) -> (Found, Search<G, R, E>) {
    let search = Search::new(rule, evaluator);
    let mut search = if graph { search.with_transpositions() } else { search };
    (search.run(game, Limits::simulations(simulations)).unwrap(), search)
}

#[test]
fn where_no_lines_meet_a_graph_is_the_tree() {
    fn check<G: Game, R: Rule>(rule: R, game: G) {
        let game = Apart(game, 0);
        let (tree, _) = search(rule.clone(), Judge::default(), false, &game, 3000);
        let (found, graph) = search(rule, Judge::default(), true, &game, 3000);
        assert_eq!(found.choices, tree.choices);
        assert_eq!((found.value, found.proven), (tree.value, tree.proven));
        check_counts(graph.tree().unwrap(), &mut Vec::new());
    }
    check(Puct::default(), ConnectFour::new());
    check(Puct::default(), Othello::new());
    check(Gumbel::default(), ConnectFour::from_columns("4444").unwrap());
}

#[test]
fn lines_that_meet_need_fewer_judgements() {
    fn check<G: Hashed>(game: &G, share: f64) {
        let (_, mut tree) = search(Puct::default(), Judge::default(), false, game, 5000);
        let cached = Cached::new(Judge::default(), 1 << 16).unwrap();
        let (_, mut cached) = search(Puct::default(), cached, false, game, 5000);
        let (_, mut graph) = search(Puct::default(), Judge::default(), true, game, 5000);
        check_graph(graph.tree().unwrap(), 1..=1);
        let judged = graph.evaluator().judged;
        assert!(judged < cached.evaluator().inner().judged, "{judged}");
        let all = tree.evaluator().judged;
        assert!(judged as f64 <= share * all as f64, "{judged} of {all}");
        // Rollouts are judgements of which one position may get several, in lines apart.
        let counted = Counted(Rollout::new(1), 0);
        let (_, mut graph) = search(Uct::default(), counted, true, game, 5000);
        check_graph(graph.tree().unwrap(), 1..=1);
        assert!(graph.evaluator().1 < 5000);
    }
    check(&ConnectFour::new(), 0.87);
    check(&Othello::new(), 0.95);
}

#[test]
fn proofs_are_those_of_the_solvers() {
    fn check<G: Solved, R: Rule, E: Evaluator<G>>(
        rule: R,
        evaluator: impl Fn() -> E,
        set: &[G],
        simulations: u64,
        least: usize,
    ) {
        let (mut solver, mut proven, mut nodes) = (G::Solver::default(), 0, 0);
        for game in set {
            let (found, _) = search(rule.clone(), evaluator(), true, game, simulations);
            let results = results(game, &mut solver);
            let best = results.iter().map(|result| result.1).max().unwrap();
            for choice in &found.choices {
                let &(_, result) = results.iter().find(|r| r.0 == choice.action).unwrap();
                assert!(choice.proven.is_none_or(|proven| proven == result), "{found}");
                nodes += usize::from(choice.proven.is_some());
            }
            if let Some(is) = found.proven {
                assert_eq!(is, best, "{found}");
                proven += 1;
                let &(_, result) = results.iter().find(|r| r.0 == found.best()).unwrap();
                assert_eq!(result, best, "{found}");
            }
        }
        assert!(proven >= least && nodes > proven, "{proven} of {}, {nodes}", set.len());
    }
    let late = positions(&ConnectFour::new(), 26, 40);
    check(Uct::new(1.0), || Rollout::new(5), &late, 20_000, 36);
    check(Puct::default(), Judge::default, &late, 4000, 30);
    let late = positions(&Othello::new(), 50, 30);
    check(Uct::new(1.0), || Rollout::new(5), &late, 20_000, 20);
    check(Puct::default(), Judge::default, &late, 4000, 15);
    // Tic-tac-toe has 5,478 positions, of which 958 end it.
    let counted = Counted(Rollout::new(1), 0);
    let (found, mut graph) = search(Uct::new(20.0), counted, true, &TicTacToe::new(), 1 << 22);
    assert_eq!(found.proven, Some(Proven::Draw));
    assert!(graph.evaluator().1 <= 5478 - 958, "{}", graph.evaluator().1);
    assert!(found.simulations < 200_000, "{found}");
}

/// How often the move found keeps the exact result, beside the judgements a search:
/// `cargo test -p mcts --no-default-features --release --test transpositions -- --ignored
/// --nocapture accuracy`.
#[test]
#[ignore = "minutes; prints a table"]
#[allow(clippy::print_stdout)]
fn accuracy() {
    #[derive(Clone, Copy, Debug)]
    enum How {
        Tree,
        Cached,
        Graph,
    }
    fn table<G: Solved>(set: &[G]) {
        let mut solver = G::Solver::default();
        let results: Vec<_> = set.iter().map(|game| results(game, &mut solver)).collect();
        let open: Vec<_> = set
            .iter()
            .zip(&results)
            // Where every action keeps the result, a search proves nothing.
            .filter(|(_, results)| results.iter().any(|result| result.1 != results[0].1))
            .collect();
        println!("{}, {} positions", set[0].name(), open.len());
        for priors in [true, false] {
            for how in [How::Tree, How::Cached, How::Graph] {
                for simulations in [100, 400, 1600, 6400, 25_600, 102_400] {
                    let (mut keeps, mut judged) = (0, 0);
                    for (index, &(game, results)) in open.iter().enumerate() {
                        let limits = Limits::simulations(simulations);
                        let graph = matches!(how, How::Graph);
                        let seed = index as u64;
                        let found = if priors {
                            let capacity = if matches!(how, How::Cached) { 1 << 16 } else { 1 };
                            let cached = Cached::new(Judge::default(), capacity).unwrap();
                            let search = Search::new(Puct::default(), cached).with_seed(seed);
                            let mut search =
                                if graph { search.with_transpositions() } else { search };
                            let found = search.run(game, limits).unwrap();
                            judged += search.evaluator().inner().judged;
                            found
                        } else {
                            let counted = Counted(Rollout::new(seed), 0);
                            let search = Search::new(Uct::new(1.0), counted).with_seed(seed);
                            let mut search =
                                if graph { search.with_transpositions() } else { search };
                            let found = search.run(game, limits).unwrap();
                            judged += search.evaluator().1;
                            found
                        };
                        let best = results.iter().map(|result| result.1).max();
                        let is = results.iter().find(|result| result.0 == found.best());
                        keeps += usize::from(is.map(|result| result.1) == best);
                    }
                    println!(
                        "{how:?} priors {priors}: {simulations} simulations, {:.0} judgements: {:.3}",
                        judged as f64 / open.len() as f64,
                        keeps as f64 / open.len() as f64
                    );
                    if !priors && matches!(how, How::Cached) {
                        break;
                    }
                }
            }
        }
    }
    table(&positions(&ConnectFour::new(), 14, 400));
    table(&positions(&Othello::new(), 46, 400));
}

#[test]
fn graphs_are_played_under_a_limit_of_nodes() {
    for seed in 0..100 {
        let mut search = Search::new(Uct::default(), Rollout::new(seed))
            .with_seed(seed)
            .with_most_nodes(600)
            .with_transpositions();
        let mut game = ConnectFour::new();
        while game.outcome().is_none() {
            let found = search.run(&game, Limits::simulations(800)).unwrap();
            assert!(found.nodes <= 600, "{found}");
            game.play(found.best());
            search.advance(found.best()).unwrap();
            assert_eq!(search.tree().unwrap().clone().game(), &game);
        }
    }
}

#[test]
fn what_is_known_is_kept_when_an_action_is_played() {
    let mut game = Othello::new();
    let mut search = Search::new(Puct::default(), Judge::default()).with_transpositions();
    for _ in 0..20 {
        let found = search.run(&game, Limits::simulations(1000)).unwrap();
        check_graph(search.tree().unwrap(), 1..=1);
        let line = [found.best()];
        let before = search.tree().unwrap().children_after(&line).unwrap();
        let before = (before.node_visits(), before.node_value());
        game.play(found.best());
        search.advance(found.best()).unwrap();
        let after = search.tree().unwrap().children().unwrap();
        assert_eq!((after.node_visits(), after.node_value()), before);
        assert_eq!(search.tree().unwrap().visits(), before.0);
    }
}

#[test]
fn batches_and_threads_share_a_graph() {
    let late = positions(&ConnectFour::new(), 20, 10);
    let mut solver = ConnectFourSolver::default();
    for game in &late {
        let best = game.result(&mut solver);
        let limits = Limits::simulations(20_000);
        let puct = Search::new(Puct::default(), Judge::default()).with_batch(16);
        let mut puct = puct.with_transpositions();
        let found = puct.run(game, limits).unwrap();
        // A position may wait in a batch more than once.
        check_graph(puct.tree().unwrap(), 1..=16);
        assert!(found.proven.is_none_or(|proven| proven == best), "{found}");
        let found = puct.run_tree_parallel(game, limits, 2).unwrap();
        assert!(found.proven.is_none_or(|proven| proven == best), "{found}");
        let mut uct = Search::new(Uct::new(1.0), Rollout::new(3)).with_transpositions();
        let found = uct.run_tree_parallel(game, limits, 2).unwrap();
        assert!(found.proven.is_some() || found.visits == 20_000, "{found}");
        assert!(found.proven.is_none_or(|proven| proven == best), "{found}");
        check_graph(uct.tree().unwrap(), 0..=u32::MAX);
        let mut asynchronous = Search::new(Puct::default(), Even).with_transpositions();
        asynchronous.run_asynchronous(game, Limits::simulations(2000), 2).unwrap();
        check_graph(asynchronous.tree().unwrap(), 0..=u32::MAX);
    }
    let same = |_| {
        let search = Search::new(Uct::default(), Rollout::new(3)).with_seed(9);
        search
            .with_transpositions()
            .run(&Othello::new(), Limits::simulations(3000))
            .unwrap()
            .choices
    };
    assert_eq!(same(0), same(1));
}

/// A walk on a ring that ends after so many steps: who stands on 0 then has won. The hash knows the
/// place alone, so that positions come back.
#[derive(Debug, Clone, PartialEq)]
struct Ring {
    place: u16,
    steps: u16,
}

impl Game for Ring {
    const PAYOFF: Payoff = Payoff::ZeroSum;

    fn name(&self) -> String {
        "ring".to_owned()
    }

    fn actions(&self) -> usize {
        2
    }

    fn turn(&self) -> Turn {
        Turn::Player((self.place % 2) as u8)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend(0..2);
    }

    fn play(&mut self, action: Action) {
        self.place = (self.place + if action == 0 { 1 } else { 5 }) % 6;
        self.steps += 1;
    }

    fn outcome(&self) -> Option<Values> {
        (self.steps == 500).then(|| Values::two(0, if self.place == 0 { 1.0 } else { -1.0 }))
    }
}

impl Hashed for Ring {
    fn hash(&self) -> u64 {
        self.place.into()
    }
}

#[test]
fn a_line_that_comes_back_ends() {
    let ring = Ring { place: 0, steps: 0 };
    for graph in [false, true] {
        let (found, _) = search(Uct::default(), Rollout::new(1), graph, &ring, 5000);
        assert_eq!(found.visits, 5000);
        assert!(found.principal_variation.len() <= 500 && found.value.abs() <= 1.0);
    }
    let mut batch = Search::new(Puct::default(), Even).with_batch(8).with_transpositions();
    assert_eq!(batch.run(&ring, Limits::simulations(1000)).unwrap().visits, 1000);
    assert!(batch.tree().unwrap().dot(1).len() < 10_000);
    let mut threads = Search::new(Uct::default(), Rollout::new(1)).with_transpositions();
    threads.run_tree_parallel(&ring, Limits::simulations(5000), 2).unwrap();
}

/// Heaps of which who takes the last has lost: the actions tell the position.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Heap(u16, u8);

impl Game for Heap {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "heap".to_owned()
    }

    fn actions(&self) -> usize {
        10
    }

    fn turn(&self) -> Turn {
        Turn::Player(self.1)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend(1..=self.0);
    }

    fn play(&mut self, action: Action) {
        *self = Self(self.0 - action, self.1 ^ 1);
    }

    fn outcome(&self) -> Option<Values> {
        (self.0 == 0).then(|| Values::two(self.1.into(), 1.0))
    }
}

#[test]
fn positions_of_one_hash_are_told_apart_by_mover_and_actions() {
    for heap in 2..=9 {
        for seed in 0..10 {
            let rule = Uct::default();
            let game = Same(Heap(heap, 0));
            let (found, _) = search(rule, Rollout::new(seed), true, &game, 20_000);
            assert_eq!((found.proven, found.best()), (Some(Proven::Win), heap - 1), "{found}");
            let (found, _) = search(Puct::default(), Even, true, &game, 20_000);
            assert_eq!((found.proven, found.best()), (Some(Proven::Win), heap - 1), "{found}");
        }
    }
}

/// Two dice and a choice, several times: a player adds a die or its opposite; points on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Dice {
    sum: i16,
    die: u16,
    round: u8,
    paid: f32,
}

impl Game for Dice {
    const REWARDS: bool = true;

    fn name(&self) -> String {
        "dice".to_owned()
    }

    fn players(&self) -> usize {
        1
    }

    fn actions(&self) -> usize {
        3
    }

    fn most_value(&self) -> f32 {
        4.0
    }

    fn turn(&self) -> Turn {
        if self.die == 0 { Turn::Chance } else { Turn::Player(0) }
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend(if self.die == 0 { 1..3 } else { 0..2 });
    }

    fn chances(&self, probabilities: &mut Vec<f32>) {
        probabilities.extend([0.75, 0.25]);
    }

    fn play(&mut self, action: Action) {
        self.paid = 0.0;
        if self.die == 0 {
            self.die = action;
            return;
        }
        let step = if action == 0 { self.die as i16 } else { -(self.die as i16) };
        *self = Self {
            sum: self.sum + step,
            die: 0,
            round: self.round + 1,
            paid: 0.1 * f32::from(action),
        };
    }

    fn outcome(&self) -> Option<Values> {
        (self.round == 5).then(|| {
            let value = if self.sum == 0 { 1.0 } else { 0.0 };
            Values::from_slice(&[value])
        })
    }

    fn rewards(&self) -> Values {
        Values::from_slice(&[self.paid])
    }
}

impl Hashed for Dice {
    fn hash(&self) -> u64 {
        mix(mix(self.sum as u64, self.die.into()), self.round.into())
    }
}

impl Dice {
    /// What is still to come, with a discount.
    fn solved(&self, discount: f32) -> f32 {
        if let Some(values) = self.outcome() {
            return values.of(0);
        }
        let mut actions = Vec::new();
        self.legal_actions(&mut actions);
        let after = actions.iter().map(|&action| {
            let mut next = *self;
            next.play(action);
            next.paid + discount * next.solved(discount)
        });
        match self.turn() {
            Turn::Chance => after.zip([0.75, 0.25]).map(|(value, chance)| value * chance).sum(),
            Turn::Player(_) => after.fold(f32::MIN, f32::max),
        }
    }
}

#[test]
fn chance_rewards_and_discounts_are_those_of_the_rules() {
    for die in [1, 2] {
        for discount in [1.0, 0.9] {
            let game = Dice { sum: 0, die, round: 0, paid: 0.0 };
            let value = game.solved(discount);
            let mut evaluations = Vec::new();
            for graph in [false, true] {
                let search = Search::new(Uct::new(2.0), Counted(Rollout::new(1), 0));
                let search = search.with_discount(discount);
                let mut search = if graph { search.with_transpositions() } else { search };
                let found = search.run(&game, Limits::simulations(100_000)).unwrap();
                let best = found.best_choice().unwrap().value;
                // A tree has far more nodes, and has not yet tried them all.
                assert!(!graph || (best - value).abs() < 0.04, "{value} {found}");
                evaluations.push(search.evaluator().1);
            }
            assert!(3 * evaluations[1] < 2 * evaluations[0], "{evaluations:?}");
        }
    }
}

#[test]
fn what_cannot_share_is_refused() {
    #[derive(Debug, Clone, PartialEq)]
    struct Three(ConnectFour);
    impl Game for Three {
        fn name(&self) -> String {
            "three".to_owned()
        }
        fn players(&self) -> usize {
            3
        }
        fn actions(&self) -> usize {
            self.0.actions()
        }
        fn turn(&self) -> Turn {
            self.0.turn()
        }
        fn legal_actions(&self, actions: &mut Vec<Action>) {
            self.0.legal_actions(actions);
        }
        fn play(&mut self, action: Action) {
            self.0.play(action);
        }
        fn outcome(&self) -> Option<Values> {
            self.0.outcome()
        }
    }
    impl Hashed for Three {
        fn hash(&self) -> u64 {
            self.0.hash()
        }
    }
    let limits = Limits::simulations(10);
    let mut search = Search::new(Uct::default(), Rollout::new(1)).with_transpositions();
    let message = search.run(&Three(ConnectFour::new()), limits).unwrap_err().to_string();
    assert!(message.contains("`transpositions`") && message.contains("3 players"), "{message}");
    let mut search = Search::new(Apv::default(), Even).with_transpositions();
    let message = search.run(&ConnectFour::new(), limits).unwrap_err().to_string();
    assert!(message.contains("`transpositions`") && message.contains("Apv"), "{message}");
}
