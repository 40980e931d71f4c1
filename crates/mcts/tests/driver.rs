//! The driver around the core: batches under a clock, memory, proofs, signs, sizes of values.

mod common;

use std::time::{Duration, Instant};

use common::{Even, check_counts};
use mcts::arena::{Player as _, RandomPlayer, SearchPlayer, play_pairs};
use mcts::games::{ConnectFour, Othello, TicTacToe};
use mcts::random::Random;
use mcts::rule::{Fpu, Gumbel, Puct, Rule, Scale, Uct};
use mcts::tree::Proven;
use mcts::{
    Action, Cached, Error, Evaluator, Fork, Game, Hashed, Leaves, Limits, Payoff, Result, Rollout,
    Search, SearchSettings, Turn, Values,
};

/// A tree that follows from a seed: so many plies, players, legal actions among `all`, and values.
#[derive(Debug, Clone, PartialEq)]
struct Drawn<const PAYS: bool> {
    players: usize,
    plies: usize,
    legal: u16,
    all: usize,
    most: f32,
    path: Vec<Action>,
    /// What outcomes are made of.
    outcomes: Vec<f32>,
}

impl<const PAYS: bool> Drawn<PAYS> {
    fn new(players: usize, plies: usize, legal: u16, outcomes: &[f32]) -> Self {
        let most = outcomes.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
        let (all, path, outcomes) = (usize::from(legal), Vec::new(), outcomes.to_vec());
        Self { players, plies, legal, all, most, path, outcomes }
    }

    /// Follows from the path alone.
    fn drawn(&self) -> Values {
        let seed = self.path.iter().fold(7, |sum, &action| mcts::random::mix(sum, action.into()));
        let mut random = Random::new(seed);
        let of_players: Vec<f32> = (0..self.players)
            .map(|_| self.outcomes[random.below_u32(self.outcomes.len() as u32) as usize])
            .collect();
        Values::from_slice(&of_players)
    }

    /// What each player gets where all play best (max^n; Luckhardt and Irani 1986).
    fn solved(&self) -> Values {
        if let Some(values) = self.outcome() {
            return values;
        }
        let mover = self.turn().player().unwrap();
        let after = (0..self.legal).map(|action| {
            let mut next = self.clone();
            next.play(action);
            next.solved()
        });
        after.max_by(|a, b| a.of(mover).total_cmp(&b.of(mover))).unwrap()
    }
}

impl<const PAYS: bool> Game for Drawn<PAYS> {
    const REWARDS: bool = PAYS;

    fn name(&self) -> String {
        "drawn".to_owned()
    }

    fn players(&self) -> usize {
        self.players
    }

    fn actions(&self) -> usize {
        self.all
    }

    fn most_value(&self) -> f32 {
        self.most
    }

    fn turn(&self) -> Turn {
        Turn::Player((self.path.len() % self.players) as u8)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.path.len() < self.plies {
            actions.extend(0..self.legal);
        }
    }

    fn play(&mut self, action: Action) {
        self.path.push(action);
    }

    fn outcome(&self) -> Option<Values> {
        (self.path.len() == self.plies).then(|| if PAYS { Values::DRAW } else { self.drawn() })
    }

    fn rewards(&self) -> Values {
        self.drawn()
    }
}

/// Knows the values, and counts batches and leaves.
#[derive(Debug, Clone, Default)]
struct Knows {
    batches: u64,
    leaves: u64,
}

impl Evaluator<Drawn<false>> for Knows {
    fn evaluate(&mut self, leaves: &mut Leaves<Drawn<false>>) -> Result<()> {
        for leaf in 0..leaves.len() {
            let values = leaves.game(leaf).solved();
            leaves.set_values(leaf, values);
        }
        Ok(())
    }
}

impl Evaluator<ConnectFour> for Knows {
    fn evaluate(&mut self, leaves: &mut Leaves<ConnectFour>) -> Result<()> {
        self.batches += 1;
        self.leaves += leaves.len() as u64;
        Ok(())
    }
}

impl Fork for Knows {
    fn fork(&self, _worker: u64) -> Self {
        self.clone()
    }
}

#[test]
fn batches_are_full_under_a_clock_too() {
    let limits = [Limits::time(Duration::from_millis(300)), Limits::simulations(20_000)];
    for limits in limits {
        let mut search = Search::new(Puct::default(), Knows::default()).with_batch(64);
        let found = search.run(&ConnectFour::new(), limits).unwrap();
        let Knows { batches, leaves } = *search.evaluator();
        let mean = leaves as f64 / batches as f64;
        assert!(mean >= 0.9 * 64.0, "{mean} leaves a batch, {} simulations", found.simulations);
        check_counts(search.tree().unwrap(), &mut Vec::new());
    }
}

#[test]
fn threads_reserve_what_they_use() {
    let game = Drawn::<false> { all: 4672, ..Drawn::new(2, 12, 30, &[-1.0, 0.0, 1.0]) };
    let limit = Duration::from_millis(200);
    for threads in [1, 2] {
        let mut search = Search::new(Uct::default(), Rollout::new(1));
        let found = search.run_tree_parallel(&game, Limits::time(limit), threads).unwrap();
        let tree = search.tree().unwrap();
        assert!(found.simulations > 1000, "{found}");
        let (capacity, nodes) = (tree.capacity(), tree.nodes());
        assert!(capacity <= 2 * nodes + 4672, "{capacity} for {nodes} nodes");
    }
}

#[test]
fn games_are_played_under_a_limit_of_nodes() {
    for seed in 0..100 {
        let rollout = Rollout::new(seed);
        let mut search = Search::new(Uct::default(), rollout).with_seed(seed).with_most_nodes(400);
        let mut game = ConnectFour::new();
        while game.outcome().is_none() {
            let found = search.run(&game, Limits::simulations(800)).unwrap();
            assert!(found.nodes <= 400, "{found}");
            game.play(found.best());
            search.advance(found.best()).unwrap();
        }
    }
}

#[test]
fn outcomes_of_other_sizes_are_not_proven() {
    for outcomes in [&[1.0, 2.0, -2.0][..], &[1.0, 0.0]] {
        let game = Drawn::<false>::new(2, 6, 3, outcomes);
        let found = Search::new(Uct::new(4.0), Rollout::new(3))
            .run(&game, Limits::simulations(20_000))
            .unwrap();
        assert_eq!(found.proven, None);
        assert_eq!(found.simulations, 20_000, "a win of 1 is not the best there is");
        let value = game.solved().of(0);
        let best = found.best_choice().unwrap();
        assert!((best.value - value).abs() < 0.2 * game.most, "{value}\n{found}");
    }
}

#[test]
fn every_player_looks_for_what_is_best_for_itself() {
    fn check<R: Rule>(rule: R) {
        let name = format!("{rule:?}");
        let mut lost = 0.0;
        for players in [2, 3, 4] {
            for plies in [3, 4, 5] {
                // So many that none comes up twice: of equals max^n has more than one answer.
                let outcomes: Vec<f32> = (-4999..=4999).map(|x| x as f32 / 5000.0).collect();
                let game = Drawn::<false>::new(players, plies, 3, &outcomes);
                let mut search = Search::new(rule.clone(), Knows::default());
                search.run(&game, Limits::simulations(300)).unwrap();
                let tree = search.tree().unwrap();
                for first in 0..3 {
                    let Some(children) = tree.children_after(&[first]) else { continue };
                    let mut next = game.clone();
                    next.play(first);
                    let mover = next.turn().player().unwrap();
                    let right = next.solved().of(mover);
                    // Each child counts as often as it was visited, the node's own value for the rest.
                    let visits: u32 = (0..children.len()).map(|c| children.visits(c)).sum();
                    let of = |c| f64::from(children.visits(c)) * f64::from(children.mean(c));
                    let own = f64::from(children.node_visits() - visits) * f64::from(right);
                    let sum = own + (0..children.len()).map(of).sum::<f64>();
                    let mean = sum / f64::from(children.node_visits());
                    let found = f64::from(children.node_value());
                    assert!((found - mean).abs() < 1e-4, "{name} {players}: {found} for {mean}");
                }
                let found = search.run(&game, Limits::simulations(20_000)).unwrap();
                let mut after = game.clone();
                after.play(found.best());
                let (got, best) = (after.solved().of(0), game.solved().of(0));
                lost += best - got;
            }
        }
        // A search averages what the others try out too: now and then it takes the second best.
        assert!(lost / 9.0 < 0.2, "{name}: {lost} in 9 games");
    }
    check(Uct::new(0.5));
    check(Puct::default());
    check(Puct { fpu: Fpu::Reduction(0.3), scale: Scale::ParentAndSiblings, ..Puct::default() });
    check(Gumbel { noise: 0.0, ..Gumbel::default() });
}

#[test]
fn large_values_are_summed_or_refused() {
    let outcomes = [80_000.0, 60_000.0, -80_000.0];
    let limits = Limits::simulations(200_000);
    let small = Drawn::<false> { most: 1.0, ..Drawn::new(2, 4, 3, &outcomes) };
    let error = Search::new(Uct::default(), Rollout::new(1)).run(&small, limits).unwrap_err();
    assert!(matches!(error, Error::Value { most: 1.0, .. }), "{error}");
    assert!(error.to_string().contains("drawn: a value of"), "{error}");

    let one = Drawn::<false> { players: 1, ..Drawn::new(2, 3, 3, &outcomes) };
    let mut search = Search::new(Uct::new(80_000.0), Rollout::new(1));
    let found = search.run(&one, limits).unwrap();
    assert!((found.value - 80_000.0).abs() < 4000.0, "{found}");

    // Rewards on the way add up: three of them are beyond what was said.
    let paid = Drawn::<true> { players: 1, ..Drawn::new(2, 3, 3, &[80_000.0]) };
    let error = Search::new(Uct::default(), Rollout::new(1)).run(&paid, limits).unwrap_err();
    assert!(matches!(error, Error::Value { value: 240_000.0, .. }), "{error}");
    let said = Drawn::<true> { most: 240_000.0, ..paid };
    let found = Search::new(Uct::new(1e5), Rollout::new(1)).run(&said, limits).unwrap();
    assert!((found.value - 240_000.0).abs() < 20.0, "{found}");
    let none = Drawn::<true> { most: 0.0, ..said };
    let error = Search::new(Uct::default(), Rollout::new(1)).run(&none, limits).unwrap_err();
    assert!(error.to_string().contains("most_value"), "{error}");
}

#[test]
fn a_proven_win_is_always_sampled() {
    let mut game = TicTacToe::new();
    for text in ["a1", "a2", "b1", "b2"] {
        game.play(game.parse_action(text).unwrap());
    }
    let mut random = Random::new(1);
    let found =
        Search::new(Uct::new(4.0), Rollout::new(2)).run(&game, Limits::simulations(400)).unwrap();
    assert_eq!(found.proven, Some(Proven::Win));
    for _ in 0..200 {
        let action = found.sample(1.0, &mut random);
        let choice = found.choices.iter().find(|choice| choice.action == action).unwrap();
        assert_eq!(choice.proven, Some(Proven::Win));
    }
}

#[test]
fn rollouts_judge_leaves_under_any_rule() {
    // Puct expands where it has priors; without, it went down to the end of the game.
    let mut search = Search::new(Puct::default(), Rollout::new(3));
    let found = search.run(&ConnectFour::new(), Limits::simulations(1000)).unwrap();
    assert!(found.nodes < 10_000, "{found}");
}

#[test]
fn pairs_are_of_two_players() {
    let (mut first, mut second) = (RandomPlayer::new(1), RandomPlayer::new(2));
    for players in [1, 3] {
        let game = Drawn::<false> { players, ..Drawn::new(2, 4, 3, &[1.0, -1.0]) };
        let error = play_pairs(&game, &mut first, &mut second, 3, 0, 1).unwrap_err();
        assert!(error.to_string().contains("`players` is"), "{error}");
    }
}

#[test]
fn a_rule_that_divides_its_simulations_stops_by_the_clock() {
    let limits = Limits::simulations(100_000_000).or_time(Duration::from_millis(100));
    let started = Instant::now();
    let found = Search::new(Gumbel::default(), Even).run(&ConnectFour::new(), limits).unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{found}");
    assert!(found.simulations > 1000, "{found}");
}

/// All priors are 0.
struct Zero;

impl<G: Game> Evaluator<G> for Zero {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        for leaf in 0..leaves.len() {
            leaves.actions_and_priors(leaf).1.fill(0.0);
        }
        Ok(())
    }
}

#[test]
fn priors_of_0_are_equal_ones() {
    let mut search = Search::new(Puct::default(), Zero);
    let found = search.run(&ConnectFour::new(), Limits::simulations(700)).unwrap();
    assert!(found.choices.iter().all(|choice| choice.visits > 50), "{found}");
}

/// Two players in turn choose a die, which chance throws; who first has ten wins.
#[derive(Debug, Clone, PartialEq)]
struct Race {
    sums: [u16; 2],
    mover: u8,
    /// The die that is thrown: 0 has 1 and 2 on it, 1 has 0 and 4.
    die: Option<Action>,
}

impl Race {
    fn new() -> Self {
        Self { sums: [0; 2], mover: 0, die: None }
    }
}

impl Game for Race {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "race".to_owned()
    }

    fn actions(&self) -> usize {
        2
    }

    fn turn(&self) -> Turn {
        if self.die.is_some() { Turn::Chance } else { Turn::Player(self.mover) }
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.outcome().is_none() {
            actions.extend(0..2);
        }
    }

    fn chances(&self, probabilities: &mut Vec<f32>) {
        probabilities.extend([0.6, 0.4]);
    }

    fn play(&mut self, action: Action) {
        let Some(die) = self.die.take() else {
            self.die = Some(action);
            return;
        };
        self.sums[usize::from(self.mover)] +=
            [[1, 2], [0, 4]][usize::from(die)][usize::from(action)];
        self.mover ^= 1;
    }

    fn outcome(&self) -> Option<Values> {
        let winner = self.sums.iter().position(|sum| *sum >= 10)?;
        Some(Values::two(winner, 1.0))
    }
}

#[test]
fn the_subtree_is_kept_over_chance() {
    assert_eq!(mcts::check::check_game(&Race::new()), []);
    let mut game = Race::new();
    let mut search = Search::new(Uct::default(), Rollout::new(4));
    let mut random = Random::new(5);
    while game.outcome().is_none() {
        let found = search.run(&game, Limits::simulations(2000)).unwrap();
        let best = found.best();
        let thrown = random.below_u32(2) as Action;
        let line = [best, thrown];
        let below = search.tree().unwrap().children_after(&[best]).map(|children| {
            let child = (0..children.len()).find(|child| children.action(*child) == thrown);
            let child = child.unwrap();
            (children.visits(child), children.mean(child))
        });
        for action in line {
            search.advance(action).unwrap();
            game.play(action);
        }
        if game.outcome().is_some() {
            break;
        }
        let tree = search.tree().unwrap();
        assert_eq!(tree.game(), &game);
        let (visits, mean) = below.unwrap();
        assert_eq!(tree.visits(), visits, "kept");
        // The child's mean was that of who chose, the root's is that of who moves now.
        let found = search.run(&game, Limits::simulations(1)).unwrap();
        assert_eq!(found.visits, visits + 1);
        assert!(visits < 20 || (found.value + mean).abs() < 2.0 / visits as f32 + 1e-3);
    }
    // A tree and its clone go on alike.
    let game = Race::new();
    let mut tree = mcts::Tree::new(Uct::default(), &game, 3).unwrap().with_priors(false);
    let mut leaves = Leaves::new();
    let mut rollout = Rollout::new(1);
    let mut grow = |tree: &mut mcts::Tree<Race, Uct>, rollout: &mut Rollout<Race>, count: u32| {
        for _ in 0..count {
            leaves.clear();
            tree.select(&mut leaves).unwrap();
            rollout.evaluate(&mut leaves).unwrap();
            tree.back_up(&leaves).unwrap();
        }
    };
    grow(&mut tree, &mut rollout, 300);
    let (mut other, mut same) = (tree.clone(), rollout.clone());
    grow(&mut tree, &mut rollout, 300);
    assert_eq!(other.visits(), 300);
    grow(&mut other, &mut same, 300);
    assert_eq!(tree.found(), other.found());
}

#[test]
fn a_search_looks_at_what_is_allowed() {
    let game = ConnectFour::new();
    let mut search = Search::new(Puct::default(), Even);
    search.allow(Some(vec![2, 5, 99]));
    for threads in [1, 2] {
        let found = search.run_tree_parallel(&game, Limits::simulations(200), threads).unwrap();
        let mut actions: Vec<Action> = found.choices.iter().map(|choice| choice.action).collect();
        actions.sort_unstable();
        assert_eq!(actions, [2, 5]);
    }
    search.allow(Some(vec![99]));
    let error = search.run(&game, Limits::simulations(20)).unwrap_err();
    assert!(error.to_string().contains("`allowed`"), "{error}");
    search.allow(None);
    let found = search.run(&game, Limits::simulations(200)).unwrap();
    assert_eq!(found.choices.len(), 7);
    // What was found is a file, and back.
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<mcts::Found>(&text).unwrap(), found);
}

#[test]
fn a_search_is_watched_and_stopped() {
    for threads in [1, 2] {
        let mut search = Search::new(Uct::default(), Rollout::new(3));
        let (game, every) = (ConnectFour::new(), Duration::from_millis(5));
        let mut seen: Vec<u64> = Vec::new();
        let endless = Limits::simulations(u64::MAX);
        let found = search
            .watch(&game, endless, threads, every, |found| {
                seen.push(found.simulations);
                if seen.len() < 4 {
                    std::ops::ControlFlow::Continue(())
                } else {
                    std::ops::ControlFlow::Break(())
                }
            })
            .unwrap();
        assert_eq!(found.simulations, seen[3]);
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        check_counts(search.tree().unwrap(), &mut Vec::new());
        // Its own limits end it too, and a search that is cut in parts is the whole one.
        let limits = Limits::simulations(3000);
        let go_on = |_: &mcts::Found| std::ops::ControlFlow::Continue(());
        let mut parts = Search::new(Uct::default(), Rollout::new(3));
        let found = parts.watch(&game, limits, 1, Duration::from_micros(50), go_on).unwrap();
        let whole = Search::new(Uct::default(), Rollout::new(3)).run(&game, limits).unwrap();
        assert_eq!((found.simulations, found.visits), (3000, 3000));
        assert_eq!(found.choices, whole.choices);
    }
}

/// A net that is a hash of the position: value and priors follow from it.
#[derive(Debug, Clone, Default)]
struct Hash(u64);

impl<G: Hashed> Evaluator<G> for Hash {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        for leaf in 0..leaves.len() {
            self.0 += 1;
            let mut random = Random::new(leaves.game(leaf).hash());
            let mover = leaves.game(leaf).turn().player().unwrap_or(0);
            leaves.set_values(leaf, Values::two(mover, random.uniform_f32() - 0.5));
            let priors = leaves.actions_and_priors(leaf).1;
            let total: f32 = (1..=priors.len()).map(|weight| weight as f32).sum();
            priors.iter_mut().enumerate().for_each(|(at, p)| *p = (at + 1) as f32 / total);
        }
        Ok(())
    }
}

#[test]
fn a_cache_changes_nothing_but_how_often_a_net_is_asked() {
    fn check<G: Hashed>(game: &G, simulations: u64, share: f64) {
        let limits = Limits::simulations(simulations);
        let mut plain = Search::new(Puct::default(), Hash::default());
        let cached = Cached::new(Hash::default(), 1 << 16).unwrap();
        let mut search = Search::new(Puct::default(), cached);
        let (right, found) = (plain.run(game, limits).unwrap(), search.run(game, limits).unwrap());
        assert_eq!(found.choices, right.choices);
        let (asked, judged) = search.evaluator().counts();
        assert_eq!((asked, judged), (plain.evaluator().0, search.evaluator().inner().0));
        let name = game.name();
        assert!(judged as f64 <= share * asked as f64, "{name}: {judged} of {asked}");
        println!("{name}: {judged} of {asked} leaves judged");
        // Once more from the start: nearly all is known.
        search.restart();
        search.run(game, limits).unwrap();
        let again = search.evaluator().counts().1 - judged;
        assert!(again < asked / 10, "{name}: {again} of {asked}");
        search.evaluator().clear();
    }
    check(&ConnectFour::new(), 5000, 1.0 / 1.5);
    check(&Othello::new(), 5000, 1.0);
    let none = Cached::<ConnectFour, _>::new(Hash::default(), 0);
    assert!(none.err().unwrap().to_string().contains("`positions`"));
}

#[test]
fn a_player_searches_as_its_search_does() {
    fn check<G: Game, R: Rule>(game: &G, rule: R, settings: SearchSettings, limits: Limits) {
        let search = |seed| {
            Search::new(rule.clone(), Rollout::new(4)).with_settings(settings).with_seed(seed)
        };
        let mut player = SearchPlayer::new(search(9), limits).unwrap();
        let action = player.act(std::slice::from_ref(game)).unwrap()[0];
        // The seeds of a player's trees are drawn from its own.
        let seed = rand_core::Rng::next_u64(&mut Random::new(9));
        let found = search(seed).run(game, limits).unwrap();
        let seen = player.trees()[0].found().unwrap();
        assert_eq!((action, &seen.choices), (found.best(), &found.choices), "{settings:?}");
        assert_eq!(u64::from(seen.visits), found.simulations);
    }
    let all = SearchSettings::default();
    let (game, limits) = (ConnectFour::from_columns("4455").unwrap(), Limits::simulations(900));
    check(&game, Uct::default(), all, limits);
    check(&game, Puct::default(), SearchSettings { batch: 8, ..all }, limits);
    check(&game, Gumbel::default(), SearchSettings { solver: false, ..all }, limits);
    check(&game, Uct::default(), SearchSettings { most_nodes: Some(400), ..all }, limits);
    check(&game, Uct::default(), SearchSettings { early_stop: true, ..all }, limits);
    check(&game, Uct::default(), all, limits.or_nodes(300));
    let game = Drawn::<true> { most: 6.0, ..Drawn::new(3, 5, 3, &[0.3, 1.0, -0.2]) };
    check(&game, Uct::default(), SearchSettings { discount: 0.8, ..all }, limits);

    // Time is that of all positions together.
    let time = Limits::time(Duration::from_millis(100));
    let search = || Search::new(Uct::default(), Rollout::new(4));
    let mut player = SearchPlayer::new(search(), time).unwrap();
    let started = Instant::now();
    let games: [_; 10] = std::array::from_fn(|_| ConnectFour::new());
    assert_eq!(player.act(&games).unwrap().len(), 10);
    assert!((100..1000).contains(&started.elapsed().as_millis()));
    assert!(player.trees().iter().all(|tree| tree.visits() > 100));

    // What a player cannot do is refused.
    let mut some = search();
    some.allow(Some(vec![3]));
    let refused = |search, limits| -> String {
        let player = SearchPlayer::<ConnectFour, _, _>::new(search, limits);
        player.and_then(|mut player| player.act(&[ConnectFour::new()])).unwrap_err().to_string()
    };
    assert!(refused(some, limits).contains("`allowed` is [3], expected none"));
    assert!(refused(search(), Limits::simulations(1)).contains("`simulations`"));
    assert!(refused(search().with_batch(0), limits).contains("`batch`"));
    assert!(refused(search().with_discount(0.0), limits).contains("`discount`"));
    assert!(refused(search().with_most_nodes(5), limits).contains("`most_nodes`"));
}
