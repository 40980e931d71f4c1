//! `AlphaZero` beyond two players without dice: Pig against its optimal policy, and a game of three
//! players against max^n; of one, with discounted rewards.
#![cfg(feature = "flex")]
#![allow(clippy::print_stdout)] // What the long runs reach.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use mcts::arena::{Player, RandomPlayer, Score, SearchPlayer, play_pairs};
use mcts::check::{check_encoding, check_game, check_symmetries};
use mcts::deep::{
    AlphaZeroConfig, Gate, NetEvaluator, PolicyValueConfig, PolicyValueNet, SelfPlay,
};
use mcts::game::MAX_PLAYERS;
use mcts::random::{Random, mix};
use mcts::rule::{Gumbel, Scale};
use mcts::{
    Action, Encode, Error, Evaluator, Game, Leaves, Limits, Payoff, Result, Search, SearchSettings,
    Symmetry, Turn, Values,
};
use model_utils::train::{Budget, Silent};
use model_utils::weights::Stored as _;

fn device() -> Device {
    "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap()
}

const HOLD: Action = 0;
const ROLL: Action = 1;

/// Pig (Neller and Presser 2004, "Optimal play of the dice game Pig"): who is to move rolls a die as
/// often as it wants and then adds what it threw to its score; a 1 loses all of it. Who first has the
/// goal wins.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pig {
    goal: u16,
    /// Of the die: 6 in the paper.
    faces: u16,
    /// Of the player to move, then of the other.
    scores: [u16; 2],
    /// What was thrown in this turn.
    total: u16,
    mover: u8,
    rolling: bool,
}

impl Pig {
    const fn new(goal: u16, faces: u16) -> Self {
        Self { goal, faces, scores: [0; 2], total: 0, mover: 0, rolling: false }
    }

    fn pass(&mut self, gain: u16) {
        self.scores = [self.scores[1], self.scores[0] + gain];
        self.total = 0;
        self.mover ^= 1;
    }

    /// All positions in which a player is to move, from so many points thrown on.
    fn all(&self, least: u16) -> Vec<Self> {
        let goal = self.goal;
        let own = (0..goal).flat_map(|own| (0..goal).map(move |other| [own, other]));
        let of = |scores: [u16; 2]| (least..=goal - scores[0]).map(move |total| (scores, total));
        own.flat_map(of).map(|(scores, total)| Self { scores, total, ..*self }).collect()
    }
}

impl Game for Pig {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        format!("pig to {} by {}", self.goal, self.faces)
    }

    fn actions(&self) -> usize {
        usize::from(self.faces.max(2))
    }

    fn turn(&self) -> Turn {
        if self.rolling { Turn::Chance } else { Turn::Player(self.mover) }
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.rolling {
            actions.extend(0..self.faces);
        } else if self.outcome().is_none() {
            // Without a throw there is nothing to hold.
            actions.extend(u16::from(self.total == 0)..2);
        }
    }

    fn chances(&self, probabilities: &mut Vec<f32>) {
        probabilities.extend((0..self.faces).map(|_| 1.0 / f32::from(self.faces)));
    }

    fn play(&mut self, action: Action) {
        match (self.rolling, action) {
            (false, HOLD) => self.pass(self.total),
            (false, _) => self.rolling = true,
            (true, 0) => {
                self.rolling = false;
                self.pass(0);
            }
            (true, face) => {
                self.rolling = false;
                self.total = (self.total + face + 1).min(self.goal - self.scores[0]);
            }
        }
    }

    fn outcome(&self) -> Option<Values> {
        (self.scores[1] >= self.goal).then(|| Values::two(usize::from(self.mover ^ 1), 1.0))
    }
}

impl Encode for Pig {
    /// Three numbers, each as so many planes as it is large.
    fn shape(&self) -> [usize; 3] {
        [3 * usize::from(self.goal), 1, 1]
    }

    fn encode(&self, planes: &mut [f32]) {
        let goal = usize::from(self.goal);
        let numbers = [self.scores[0], self.scores[1], self.total];
        for (planes, number) in planes.chunks_exact_mut(goal).zip(numbers) {
            let below = |at| f32::from(u8::from(at < usize::from(number)));
            planes.iter_mut().enumerate().for_each(|(at, plane)| *plane = below(at));
        }
    }
}

impl Symmetry for Pig {
    fn symmetries(&self) -> usize {
        1
    }

    fn transform_point(&self, _symmetry: usize, point: usize) -> usize {
        point
    }

    fn transform_action(&self, _symmetry: usize, action: Action) -> Action {
        action
    }
}

/// A policy for all positions of Pig.
#[derive(Clone)]
struct Table {
    start: Pig,
    choices: Vec<Action>,
    /// How likely who is to move wins.
    wins: Vec<f64>,
}

impl Table {
    fn index(&self, [own, other]: [u16; 2], total: u16) -> usize {
        let [goal, own, other, total] = [self.start.goal, own, other, total].map(usize::from);
        (own * goal + other) * (goal + 1) + total
    }

    /// How likely who is to move wins by holding and by rolling.
    fn values(&self, pig: &Pig) -> [f64; 2] {
        let Pig { goal, faces, scores: [own, other], total, .. } = *pig;
        let turned = |own| 1.0 - self.wins[self.index([other, own], 0)];
        let hold = match own + total {
            _ if total == 0 => 0.0,
            sum if sum >= goal => 1.0,
            sum => turned(sum),
        };
        let thrown =
            |face: u16| self.wins[self.index([own, other], (total + face).min(goal - own))];
        let all = turned(own) + (2..=faces).map(thrown).sum::<f64>();
        [hold, all / f64::from(faces)]
    }

    /// Value iteration: the optimal policy.
    fn optimal(start: Pig) -> Self {
        let len = usize::from(start.goal).pow(2) * usize::from(start.goal + 1);
        let mut table = Self { start, choices: vec![ROLL; len], wins: vec![0.5; len] };
        // Scores only grow: those of both players in turn depend on each other and on greater ones.
        let mut groups: HashMap<[u16; 2], Vec<Pig>> = HashMap::new();
        for pig in start.all(0).into_iter().rev() {
            let [own, other] = pig.scores;
            groups.entry([own.min(other), own.max(other)]).or_default().push(pig);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(scores, _)| std::cmp::Reverse(scores[0] + scores[1]));
        for (_, group) in groups {
            let mut change = 1.0_f64;
            while change > 1e-9 {
                change = 0.0;
                for pig in &group {
                    let [hold, roll] = table.values(pig);
                    let index = table.index(pig.scores, pig.total);
                    let best = hold.max(roll);
                    change = change.max((best - table.wins[index]).abs());
                    table.wins[index] = best;
                    table.choices[index] = if hold > roll { HOLD } else { ROLL };
                }
            }
        }
        table
    }

    /// The share of positions in which a player chooses best, and how likely it would win more
    /// often if it did in the others, a position.
    fn grade(&self, positions: &[Pig], player: &mut dyn Player<Pig>) -> (f64, f64) {
        let (mut best, mut lost) = (0.0, 0.0);
        for (pig, action) in positions.iter().zip(player.act(positions).unwrap()) {
            let values = self.values(pig);
            let loss = values[0].max(values[1]) - values[usize::from(action)];
            best += f64::from(u8::from(loss < 1e-9)) / positions.len() as f64;
            lost += loss / positions.len() as f64;
        }
        (best, lost)
    }
}

impl Player<Pig> for Table {
    fn act(&mut self, games: &[Pig]) -> Result<Vec<Action>> {
        Ok(games.iter().map(|pig| self.choices[self.index(pig.scores, pig.total)]).collect())
    }
}

/// A small net with a run of so many games a generation.
fn config<G: Encode>(start: &G, channels: usize, games: u64, generations: u64) -> AlphaZeroConfig {
    let net = PolicyValueConfig::for_game(start)
        .with_channels(channels)
        .with_blocks(1)
        .with_policy_channels(8)
        .with_value_channels(8)
        .with_value_hidden(32);
    AlphaZeroConfig::new(net)
        .with_seed(1)
        .with_games(games)
        .with_batch(128)
        .with_learning_rate(5e-3)
        .with_last_learning_rate(5e-4)
        .with_decay(generations)
        .with_self_play(SelfPlay {
            parallel: 100,
            simulations: 16,
            opening_moves: 20,
            value_mix: 0.5,
            ..SelfPlay::default()
        })
}

/// A net's player, without noise.
fn player<G: Encode>(
    net: &PolicyValueNet,
    rule: Gumbel,
    settings: SearchSettings,
    simulations: u64,
) -> SearchPlayer<G, Gumbel, NetEvaluator> {
    let search = Search::new(rule.with_noise(0.0), NetEvaluator::new(net).unwrap());
    let search = search.with_settings(settings).with_seed(1);
    SearchPlayer::new(search, Limits::simulations(simulations)).unwrap()
}

/// Burn's generator on the processor is one for the process: tests that draw weights take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn value_iteration_finds_what_the_paper_says_of_pig() {
    // Neller and Presser 2004: to 100 the first player wins 53.06 % where both play best.
    let start = Pig::new(100, 6);
    let first = Table::optimal(start).wins[0];
    assert!((first - 0.5306).abs() < 5e-5, "{first}");
    assert_eq!(check_game(&start), []);
    assert_eq!(check_encoding(&start), []);
    assert_eq!(check_symmetries(&start), []);
}

/// Trains for Pig to 25 by a die of three faces; the shares of best choices before and after, and
/// the results against the optimal policy and against a random player.
fn learn_pig(
    channels: usize,
    games: u64,
    generations: u64,
    pairs: usize,
) -> ([f64; 2], [Score; 2]) {
    let _turn = turn();
    let start = Pig::new(25, 3);
    let optimal = Table::optimal(start);
    // Where it matters, and neither wins at once.
    let mut positions = start.all(1);
    positions.retain(|pig| {
        let [hold, roll] = optimal.values(pig);
        hold < 1.0 && (hold - roll).abs() > 0.01
    });
    Random::new(9).shuffle(&mut positions);
    positions.truncate(1000);
    let holds =
        optimal.clone().act(&positions).unwrap().iter().filter(|&&action| action == HOLD).count();
    assert!((300..700).contains(&holds), "no single choice will do: {holds}");
    let mut run = config(&start, channels, games, generations).init(&start, &device()).unwrap();
    let player = |net: &_| player(net, Gumbel::default(), SearchSettings::default(), 16);
    let untrained = optimal.grade(&positions, &mut player(&run.net()));
    run.learn(Budget::steps(generations), &mut Silent).unwrap();
    let mut trained = player(&run.net());
    let graded = optimal.grade(&positions, &mut trained);
    let random = optimal.grade(&positions, &mut RandomPlayer::new(1));
    let opponents: [&mut dyn Player<Pig>; 2] = [&mut optimal.clone(), &mut RandomPlayer::new(3)];
    let scores =
        opponents.map(|opponent| play_pairs(&start, &mut trained, opponent, pairs, 0, 7).unwrap());
    println!(
        "best choices and loss: untrained {untrained:.4?}, trained {graded:.4?}, random {random:.4?}"
    );
    println!("the optimum first against itself: {:.4}", optimal.wins[0]);
    println!("trained against the optimum {}\nagainst random {}", scores[0], scores[1]);
    assert!(graded.1 < 0.5 * untrained.1.min(random.1));
    ([untrained.0, graded.0], scores)
}

#[test]
fn a_game_of_dice_is_learned() {
    let ([before, after], [optimum, random]) = learn_pig(16, 100, 5, 50);
    assert!(after > 0.7 && after > before + 0.15, "{before} before, {after} after");
    assert!(optimum.rate().high > 0.35, "{optimum}");
    assert!(random.rate().low > 0.5, "{random}");
}

/// `cargo test --workspace --release --test deep_games -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn a_game_of_dice_is_learned_nearly_to_its_optimum() {
    let ([_, after], [optimum, _]) = learn_pig(32, 400, 30, 1000);
    assert!(after > 0.85, "{after}");
    assert!(optimum.rate().value > 0.46, "{optimum}");
}

/// Two rows of four coins; the players in turn take one or two from an end of a row. A coin has
/// another worth for each of them, paid when it is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Coins {
    players: usize,
    /// From the first coin that is left to behind the last.
    rows: [(usize, usize); 2],
    mover: usize,
    paid: Values,
}

const COINS: usize = 4;

/// What a coin is worth for a player: from 0.1 to 1, and no two sums of some are equal.
fn worth(player: usize, row: usize, coin: usize) -> f64 {
    let number = mix(player as u64, (row * COINS + coin) as u64);
    0.1 + 0.9 * (number >> 11) as f64 / (1_u64 << 53) as f64
}

impl Coins {
    const fn new(players: usize) -> Self {
        Self { players, rows: [(0, COINS); 2], mover: 0, paid: Values::DRAW }
    }

    /// The position after an action, and what it pays who is to move.
    fn after(mut self, action: Action) -> (Self, f64) {
        let (row, count) = (usize::from(action / 4), 1 + usize::from(action % 2));
        let (first, end) = self.rows[row];
        let coins = if action % 4 < 2 {
            self.rows[row].0 += count;
            first..first + count
        } else {
            self.rows[row].1 -= count;
            end - count..end
        };
        let sum = coins.map(|coin| worth(self.mover, row, coin)).sum::<f64>();
        let mut paid = [0.0; MAX_PLAYERS];
        paid[self.mover] = sum as f32;
        self.paid = Values::from_slice(&paid);
        self.mover = (self.mover + 1) % self.players;
        (self, sum)
    }
}

/// The coins that are left in each row, and whose turn it is.
type Place = ([(usize, usize); 2], usize);

/// max^n (Luckhardt and Irani 1986) by backward induction: what each player still gets.
struct MaxN {
    discount: f64,
    known: HashMap<Place, [f64; 3]>,
}

impl MaxN {
    fn solve(&mut self, game: &Coins) -> [f64; 3] {
        let key = (game.rows, game.mover);
        if let Some(&values) = self.known.get(&key) {
            return values;
        }
        let mut actions = Vec::new();
        game.legal_actions(&mut actions);
        let values = actions.iter().map(|&action| self.value_of(game, action));
        let best = values.max_by(|a, b| a[game.mover].total_cmp(&b[game.mover]));
        *self.known.entry(key).or_insert(best.unwrap_or_default())
    }

    fn value_of(&mut self, game: &Coins, action: Action) -> [f64; 3] {
        let (next, sum) = game.after(action);
        let mut values = self.solve(&next).map(|value| self.discount * value);
        values[game.mover] += sum;
        values
    }

    /// The share of positions in which a player keeps its value, and what it loses, a position.
    fn grade(&mut self, games: &[Coins], player: &mut dyn Player<Coins>) -> (f64, f64) {
        let (mut kept, mut lost) = (0.0, 0.0);
        for (game, action) in games.iter().zip(player.act(games).unwrap()) {
            let best = self.solve(game)[game.mover];
            let loss = best - self.value_of(game, action)[game.mover];
            kept += f64::from(u8::from(loss < 1e-9)) / games.len() as f64;
            lost += loss / games.len() as f64;
        }
        (kept, lost)
    }
}

impl Game for Coins {
    const REWARDS: bool = true;

    fn name(&self) -> String {
        "coins".to_owned()
    }

    fn players(&self) -> usize {
        self.players
    }

    fn actions(&self) -> usize {
        8
    }

    fn turn(&self) -> Turn {
        Turn::Player(self.mover as u8)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend((0..8).filter(|action| {
            let (first, end) = self.rows[usize::from(action / 4)];
            let count = 1 + usize::from(action % 2);
            // The last coins lie at both ends.
            end - first > count || (end - first == count && action % 4 < 2)
        }));
    }

    fn play(&mut self, action: Action) {
        *self = self.after(action).0;
    }

    fn outcome(&self) -> Option<Values> {
        self.rows.iter().all(|(first, end)| first == end).then_some(Values::DRAW)
    }

    fn rewards(&self) -> Values {
        self.paid
    }

    fn most_value(&self) -> f32 {
        6.0
    }
}

impl Encode for Coins {
    /// What the coins that are left are worth for who is to move, and for the others in turn.
    fn shape(&self) -> [usize; 3] {
        [self.players, 2, COINS]
    }

    fn encode(&self, planes: &mut [f32]) {
        for (at, plane) in planes.iter_mut().enumerate() {
            let (player, row, coin) = (at / (2 * COINS), at / COINS % 2, at % COINS);
            let (first, end) = self.rows[row];
            let there = (first..end).contains(&coin);
            let worth = worth((self.mover + player) % self.players, row, coin);
            *plane = if there { worth as f32 } else { 0.0 };
        }
    }
}

impl Symmetry for Coins {
    fn symmetries(&self) -> usize {
        1
    }

    fn transform_point(&self, _symmetry: usize, point: usize) -> usize {
        point
    }

    fn transform_action(&self, _symmetry: usize, action: Action) -> Action {
        action
    }
}

/// Trains for coins; grades of the net alone and of a search of 64 simulations: untrained, trained.
fn learn_coins(players: usize, discount: f32, generations: u64) -> [[(f64, f64); 2]; 2] {
    let _turn = turn();
    let start = Coins::new(players);
    assert_eq!(check_game(&start), []);
    assert_eq!(check_encoding(&start), []);
    let mut best = MaxN { discount: f64::from(discount), known: HashMap::new() };
    best.solve(&start);
    let mut games: Vec<_> =
        best.known.keys().map(|&(rows, mover)| Coins { rows, mover, ..start }).collect();
    games.retain(|game| (0..8).filter(|&action| game.is_legal(action)).count() > 1);
    games.sort_unstable_by_key(|game| (game.rows, game.mover));
    let settings = SearchSettings { discount, ..SearchSettings::default() };
    let config = config(&start, 32, 400, generations);
    let play = SelfPlay { simulations: 32, opening_moves: 5, search: settings, ..config.self_play };
    let mut run = config.with_self_play(play).init(&start, &device()).unwrap();
    let mut grades = |net: &PolicyValueNet| {
        let rule = Gumbel { scale: Scale::ParentAndSiblings, ..Gumbel::default() };
        [2, 64].map(|simulations| best.grade(&games, &mut player(net, rule, settings, simulations)))
    };
    let untrained = grades(&run.net());
    run.learn(Budget::steps(generations), &mut Silent).unwrap();
    let trained = grades(&run.net());
    let random = best.grade(&games, &mut RandomPlayer::new(1));
    println!("{players} players, {} positions, kept and lost alone and searched:", games.len());
    println!("untrained {untrained:.4?}, trained {trained:.4?}, random {random:.4?}");
    [untrained, trained]
}

#[test]
fn a_game_of_three_players_is_learned() {
    let [[alone, searched], [learned, both]] = learn_coins(3, 1.0, 5);
    assert!(alone.0 < 0.5 && learned.0 > 0.85, "{alone:?} {learned:?}");
    assert!(both.0 > 0.92 && both.0 > searched.0 + 0.04, "{searched:?} {both:?}");
    assert!(both.1 < 0.4 * searched.1, "{searched:?} {both:?}");
}

#[test]
fn a_game_of_one_player_with_discounted_rewards_is_learned() {
    let [[alone, _], [learned, both]] = learn_coins(1, 0.8, 3);
    assert!(alone.0 < 0.5 && learned.0 > 0.8 && both.0 > 0.9, "{alone:?} {learned:?} {both:?}");
}

#[test]
fn chance_is_judged_by_its_mean_and_values_by_their_player() {
    let _turn = turn();
    let judge = |net: &PolicyValueNet, games: &[Pig]| -> Vec<f32> {
        let mut leaves = Leaves::new();
        for game in games {
            leaves.push(game, &[]);
        }
        NetEvaluator::new(net).unwrap().evaluate(&mut leaves).unwrap();
        (0..games.len()).map(|leaf| leaves.values(leaf).of(0)).collect()
    };
    // A throw of 3 or more wins after a hold, a 1 passes the turn.
    let start = Pig { scores: [3, 20], total: 9, ..Pig::new(25, 3) };
    let net = config(&start, 8, 1, 1).net.init(&device()).unwrap();
    let thrown = |face| {
        let mut game = Pig { rolling: true, ..start };
        game.play(face);
        game
    };
    let faces = judge(&net, &[thrown(0), thrown(1), thrown(2)]);
    let all = judge(&net, &[start, Pig { rolling: true, ..start }]);
    let mean = faces.iter().sum::<f32>() / 3.0;
    assert!((all[1] - mean).abs() < 1e-5 && (all[1] - all[0]).abs() > 1e-6, "{all:?} {faces:?}");

    // The same coins, seen by each of three players: values turn with who is to move.
    let start = Coins::new(3);
    let net = config(&start, 8, 1, 1).net;
    assert_eq!(net.values(), 3);
    let mut evaluator = NetEvaluator::new(&net.init(&device()).unwrap()).unwrap();
    for mover in 0..3 {
        let game = Coins { mover, ..start };
        let mut planes = vec![0.0; 3 * 2 * COINS];
        game.encode(&mut planes);
        let said = evaluator.forward(&planes).unwrap().1;
        let mut leaves = Leaves::new();
        leaves.push(&game, &[]);
        evaluator.evaluate(&mut leaves).unwrap();
        for after in 0..3 {
            let value = leaves.values(0).of((mover + after) % 3);
            assert!((value - 6.0 * said[after]).abs() < 1e-5, "{mover} {after}: {value} {said:?}");
        }
    }
    // Somebody who is not there.
    let mut leaves = Leaves::new();
    leaves.push(&Coins { mover: 3, ..start }, &[]);
    let error = evaluator.evaluate(&mut leaves).unwrap_err().to_string();
    assert!(error.contains("`turn` is 3, expected a player below 3"), "{error}");
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let _turn = turn();
    let start = Coins::new(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let net = config(&start, 8, 1, 1).net.with_players(Some(4));
    net.init(&device()).unwrap().save(&path).unwrap();
    let evaluator = NetEvaluator::load(&path, &device()).unwrap();
    let error = Search::new(Gumbel::default(), evaluator).run(&start, Limits::simulations(4));
    let message = error.unwrap_err().to_string();
    assert!(message.contains("4 players, expected coins") && message.ends_with("3 players"));
    let message = net.with_players(Some(9)).init(&device()).err().unwrap().to_string();
    assert!(message.contains("`players` is 9, expected 1 to 8"), "{message}");

    let config = config(&start, 8, 1, 1);
    let gated = config.clone().with_gate(Some(Gate { games: 4, rate: 0.5 }));
    let message = gated.init(&start, &device()).err().unwrap().to_string();
    assert!(message.contains("`players` is 3, expected 2"), "{message}");
    let ended = Coins { rows: [(0, 0); 2], ..start };
    let mut run = config.init(&ended, &device()).unwrap();
    assert!(matches!(run.generation(&Silent), Err(Error::Ended { .. })));
}
