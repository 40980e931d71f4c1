//! Whether a game keeps what searches rely on: it is played at random, and what it breaks is told.
//!
//! ```
//! use mcts::check::{check_encoding, check_game, check_hash, check_symmetries};
//! use mcts::games::ConnectFour;
//!
//! let game = ConnectFour::new();
//! assert_eq!(check_game(&game), []);
//! assert_eq!(check_hash(&game), []);
//! assert_eq!(check_encoding(&game), []);
//! assert_eq!(check_symmetries(&game), []);
//! ```

use std::collections::HashMap;
use std::fmt;

use crate::game::{Action, Encode, Game, Hashed, MAX_PLAYERS, Payoff, Symmetry, Turn, Values};
use crate::random::Random;

/// Games that are played.
const GAMES: u64 = 20;
/// Moves after which a game is given up.
const MOST_MOVES: usize = 2000;
/// Positions of a game that are looked at closely.
const CLOSE: usize = 60;

/// What a game does not keep; each tells where it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// The numbers of players or actions cannot be.
    Counts(String),
    /// It is the turn of a player who is not there.
    Turn(String),
    /// The legal actions are not ascending, or beyond [`Game::actions`].
    Actions(String),
    /// A listed action is refused.
    LegalRefused(String),
    /// An action that is not listed is accepted.
    IllegalAccepted(String),
    /// There are actions after the end, or none before it.
    End(String),
    /// Values that [`Game::PAYOFF`], [`Game::most_value`] or the number of players exclude.
    Outcome(String),
    /// The probabilities of chance are none, or of another count.
    Chances(String),
    /// The same actions lead elsewhere.
    NotDeterministic(String),
    /// What is played in a clone is seen in the original.
    Shared(String),
    /// A name that is not read as what it was written for.
    Name(String),
    /// A rollout without an end or with impossible values.
    Rollout(String),
    /// The hash differs for equal positions, or is equal for different ones.
    Hash(String),
    /// Planes that are not all written, not finite, or of no shape.
    Planes(String),
    /// A symmetry that is none.
    Symmetry(String),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, detail) = match self {
            Self::Counts(detail) => ("counts", detail),
            Self::Turn(detail) => ("turn", detail),
            Self::Actions(detail) => ("list of actions", detail),
            Self::LegalRefused(detail) => ("legal action refused", detail),
            Self::IllegalAccepted(detail) => ("illegal action accepted", detail),
            Self::End(detail) => ("end", detail),
            Self::Outcome(detail) => ("outcome", detail),
            Self::Chances(detail) => ("chances", detail),
            Self::NotDeterministic(detail) => ("not deterministic", detail),
            Self::Shared(detail) => ("shared state", detail),
            Self::Name(detail) => ("name of an action", detail),
            Self::Rollout(detail) => ("rollout", detail),
            Self::Hash(detail) => ("hash", detail),
            Self::Planes(detail) => ("planes", detail),
            Self::Symmetry(detail) => ("symmetry", detail),
        };
        write!(f, "{what}: {detail}")
    }
}

/// What can be seen of a position without more traits.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    turn: Option<Turn>,
    actions: Vec<Action>,
    outcome: Option<Values>,
    chances: Vec<f32>,
}

impl Seen {
    fn new<G: Game>(game: &G) -> Self {
        let (mut actions, mut chances) = (Vec::new(), Vec::new());
        game.legal_actions(&mut actions);
        let outcome = game.outcome();
        let turn = outcome.is_none().then(|| game.turn());
        if turn == Some(Turn::Chance) {
            game.chances(&mut chances);
        }
        Self { turn, actions, outcome, chances }
    }
}

/// One of each kind, the first that was found.
#[derive(Default)]
struct Found(Vec<Breach>);

impl Found {
    fn add(&mut self, breach: Breach) {
        let kind = std::mem::discriminant(&breach);
        if !self.0.iter().any(|known| std::mem::discriminant(known) == kind) {
            self.0.push(breach);
        }
    }
}

/// Plays games at random; `visit` sees each position, what leads to it and what comes next, and may
/// end all.
fn walk<G: Game>(start: &G, mut visit: impl FnMut(&G, &[Action], Option<Action>) -> bool) {
    for number in 0..GAMES {
        let mut random = Random::new(number);
        let (mut game, mut path) = (start.clone(), Vec::new());
        for _ in 0..MOST_MOVES {
            let seen = Seen::new(&game);
            let index = random.below_u32(seen.actions.len().max(1) as u32) as usize;
            let next = seen.actions.get(index).copied().filter(|_| seen.outcome.is_none());
            if !visit(&game, &path, next) {
                return;
            }
            let Some(action) = next else { break };
            game.play(action);
            path.push(action);
        }
    }
}

fn place(path: &[Action]) -> String {
    format!("after {} moves ({path:?})", path.len())
}

/// What of the contract of [`Game`] a game does not keep, in random games from a position on; one
/// breach of each kind.
pub fn check_game<G: Game>(game: &G) -> Vec<Breach> {
    let mut found = Found::default();
    let (players, all) = (game.players(), game.actions());
    if !(1..=MAX_PLAYERS).contains(&players) || !(1..=1 << 16).contains(&all) {
        let detail = format!("{players} players, {all} actions; 1 to {MAX_PLAYERS}, 1 to 65536");
        found.add(Breach::Counts(detail));
    }
    if G::PAYOFF != Payoff::General && players != 2 {
        found.add(Breach::Counts(format!("{:?} with {players} players", G::PAYOFF)));
    }
    walk(game, |position, path, next| {
        look(position, path, &mut found);
        if path.len() <= CLOSE {
            probe(position, path, next, &mut found);
        }
        true
    });
    replay(game, &mut found);
    found.0
}

/// What a position says.
fn look<G: Game>(game: &G, path: &[Action], found: &mut Found) {
    let seen = Seen::new(game);
    let here = place(path);
    if seen != Seen::new(game) {
        found.add(Breach::NotDeterministic(format!("{here} two looks see different things")));
    }
    if let Some(Turn::Player(player)) = seen.turn
        && usize::from(player) >= game.players()
    {
        let players = game.players();
        found.add(Breach::Turn(format!("{here} player {player} of {players}, counted from 0")));
    }
    let is_ascending = seen.actions.windows(2).all(|pair| pair[0] < pair[1]);
    if !is_ascending || seen.actions.last().is_some_and(|last| usize::from(*last) >= game.actions())
    {
        let (actions, all) = (&seen.actions, game.actions());
        found.add(Breach::Actions(format!("{here} {actions:?}, expected ascending below {all}")));
    }
    match (seen.outcome, seen.actions.is_empty()) {
        (Some(_), false) => {
            found.add(Breach::End(format!("{here} the game has ended and lists actions")));
        }
        (None, true) => found.add(Breach::End(format!("{here} neither an action nor an outcome"))),
        _ => {}
    }
    if let Some(fault) = seen.outcome.and_then(|values| fault_of(game, &values)) {
        found.add(Breach::Outcome(format!("{here} {fault}")));
    }
    if seen.turn == Some(Turn::Chance) {
        let sum: f32 = seen.chances.iter().sum();
        let sound = seen.chances.iter().all(|p| *p >= 0.0) && (sum - 1.0).abs() < 1e-3;
        if seen.chances.len() != seen.actions.len() || !sound {
            let (chances, count) = (&seen.chances, seen.actions.len());
            let detail = format!("{here} {chances:?}, expected {count} that sum to 1");
            found.add(Breach::Chances(detail));
        }
    }
}

/// Why these values cannot be.
fn fault_of<G: Game>(game: &G, values: &Values) -> Option<String> {
    let (players, most) = (game.players(), game.most_value());
    let (mine, others) = values.as_array().split_at(players.min(MAX_PLAYERS));
    if let Some(value) = mine.iter().find(|value| !value.is_finite() || value.abs() > most) {
        return Some(format!("a value of {value}, expected at most {most} in size"));
    }
    if others.iter().any(|value| *value != 0.0) {
        return Some(format!("a value for a player beyond the {players}"));
    }
    let is_result = |value: &f32| [-1.0, 0.0, 1.0].contains(value);
    let fits = match G::PAYOFF {
        Payoff::General => true,
        Payoff::ZeroSum => mine.iter().sum::<f32>().abs() < 1e-6,
        Payoff::WinDrawLoss => mine.iter().all(is_result) && mine.iter().sum::<f32>() == 0.0,
    };
    (!fits).then(|| format!("{mine:?} is no {:?}", G::PAYOFF))
}

/// What happens when something is done in a position.
fn probe<G: Game>(game: &G, path: &[Action], next: Option<Action>, found: &mut Found) {
    let seen = Seen::new(game);
    let here = place(path);
    let step = (game.actions() / 64).max(1);
    let sampled = (0..game.actions()).step_by(step).map(|action| action as Action);
    for action in seen.actions.iter().copied().chain(sampled) {
        let legal = seen.outcome.is_none() && seen.actions.contains(&action);
        let mut other = game.clone();
        let accepted = other.try_play(action).is_ok();
        if legal && !(accepted && game.is_legal(action)) {
            found.add(Breach::LegalRefused(format!("{here} {action} is listed")));
        }
        if !legal && (accepted || game.is_legal(action)) {
            let end = if seen.outcome.is_some() { ", the game has ended" } else { "" };
            found.add(Breach::IllegalAccepted(format!("{here} {action} is not listed{end}")));
        }
        if legal {
            let name = game.action_name(action);
            if game.parse_action(&name).ok() != Some(action) {
                found.add(Breach::Name(format!("{here} {action} is written {name}")));
            }
        }
    }
    if Seen::new(game) != seen {
        found.add(Breach::Shared(format!("{here} what clones played is seen here")));
    }
    // Into a place that held another position, as a search clones.
    let mut scratch = game.clone();
    if let Some(action) = next {
        scratch.play(action);
        scratch.clone_from(game);
        if Seen::new(&scratch) != seen || scratch != *game {
            found.add(Breach::Shared(format!("{here} `clone_from` is another position")));
        }
    }
    let mut random = Random::new(path.len() as u64);
    match scratch.rollout(&mut random, &mut Vec::new()) {
        None => found.add(Breach::Rollout(format!("{here} it has no outcome"))),
        Some(values) => {
            if let Some(fault) = fault_of(game, &values) {
                found.add(Breach::Rollout(format!("{here} {fault}")));
            }
        }
    }
    if Seen::new(game) != seen {
        found.add(Breach::Shared(format!("{here} what a rollout played is seen here")));
    }
}

/// The same actions again.
fn replay<G: Game>(start: &G, found: &mut Found) {
    walk(start, |position, path, next| {
        if next.is_some() && path.len() % 16 != 0 {
            return true;
        }
        let mut again = start.clone();
        for &action in path {
            again.play(action);
        }
        if again != *position || Seen::new(&again) != Seen::new(position) {
            let here = place(path);
            found.add(Breach::NotDeterministic(format!("{here} played again it is another")));
            return false;
        }
        true
    });
}

/// Whether equal positions have equal hashes, and different ones different hashes.
pub fn check_hash<G: Hashed>(game: &G) -> Vec<Breach> {
    let mut found = Found::default();
    let mut by_hash: HashMap<u64, (G, Vec<Action>)> = HashMap::new();
    let mut by_sight: HashMap<Vec<Action>, Vec<(G, Vec<Action>)>> = HashMap::new();
    walk(game, |position, path, _| {
        let (seen, hash) = (Seen::new(position), position.hash());
        if position.clone().hash() != hash {
            found.add(Breach::Hash(format!("{} of a clone it is another", place(path))));
        }
        let others = by_sight.entry(seen.actions.clone()).or_default();
        if let Some((_, other)) =
            others.iter().find(|(other, _)| other == position && other.hash() != hash)
        {
            let (here, there) = (place(path), place(other));
            found.add(Breach::Hash(format!("{here} and {there}: equal positions, two hashes")));
        }
        if others.len() < 20 {
            others.push((position.clone(), path.to_vec()));
        }
        let entry = by_hash.entry(hash);
        let (other, there) = entry.or_insert_with(|| (position.clone(), path.to_vec()));
        // Positions that differ in their past alone may have one hash.
        if Seen::new(other) != seen {
            let (here, there) = (place(path), place(there));
            found.add(Breach::Hash(format!("{here} and {there}: two positions, one hash")));
        }
        found.0.is_empty()
    });
    found.0
}

/// Whether planes have a shape and are written whole.
pub fn check_encoding<G: Encode>(game: &G) -> Vec<Breach> {
    let mut found = Found::default();
    let shape = game.shape();
    let size: usize = shape.iter().product();
    if size == 0 {
        found.add(Breach::Planes(format!("the shape is {shape:?}")));
        return found.0;
    }
    walk(game, |position, path, _| {
        let (mut one, mut other) = (vec![f32::NAN; size], vec![7.5; size]);
        position.encode(&mut one);
        position.encode(&mut other);
        let here = place(path);
        if position.shape() != shape {
            let now = position.shape();
            found.add(Breach::Planes(format!("{here} the shape is {now:?}, before {shape:?}")));
        } else if one.iter().any(|x| !x.is_finite()) {
            found.add(Breach::Planes(format!("{here} a number is not finite or not written")));
        } else if one != other {
            found.add(Breach::Planes(format!("{here} a number is not written")));
        }
        found.0.is_empty()
    });
    found.0
}

/// Whether symmetries turn points and actions, and games that begin symmetric stay so.
pub fn check_symmetries<G: Symmetry>(game: &G) -> Vec<Breach> {
    let mut found = Found::default();
    let [planes, height, width] = game.shape();
    let points = height * width;
    let is_permutation = |mut images: Vec<usize>| {
        images.sort_unstable();
        images.iter().copied().eq(0..images.len())
    };
    let moved = |numbers: &[f32], symmetry: usize| {
        let mut to = vec![0.0; numbers.len()];
        for (plane, numbers) in numbers.chunks(points).enumerate() {
            for (point, x) in numbers.iter().enumerate() {
                to[plane * points + game.transform_point(symmetry, point)] = *x;
            }
        }
        to
    };
    let encoded = |game: &G| {
        let mut numbers = vec![0.0; planes * points];
        game.encode(&mut numbers);
        numbers
    };
    for symmetry in 0..game.symmetries() {
        let of_points: Vec<usize> =
            (0..points).map(|point| game.transform_point(symmetry, point)).collect();
        let turned = |action: Action| usize::from(game.transform_action(symmetry, action));
        let of_actions: Vec<usize> =
            (0..game.actions()).map(|action| turned(action as Action)).collect();
        let is_identity = |images: &[usize]| images.iter().copied().eq(0..images.len());
        if symmetry == 0 && !(is_identity(&of_points) && is_identity(&of_actions)) {
            found.add(Breach::Symmetry("number 0 changes something".to_owned()));
        }
        if !is_permutation(of_points) || !is_permutation(of_actions) {
            let detail = format!("number {symmetry} takes two points or actions to one");
            found.add(Breach::Symmetry(detail));
            continue;
        }
        let start = encoded(game);
        if moved(&start, symmetry) != start {
            continue;
        }
        walk(game, |position, path, _| {
            let mut other = game.clone();
            for &action in path {
                let turned = turned(action) as Action;
                if other.try_play(turned).is_err() {
                    let here = place(path);
                    let detail = format!("number {symmetry}, {here}: {turned} is not legal");
                    found.add(Breach::Symmetry(detail));
                    return false;
                }
            }
            if moved(&encoded(position), symmetry) != encoded(&other) {
                let here = place(path);
                found.add(Breach::Symmetry(format!("number {symmetry}, {here}: other planes")));
                return false;
            }
            path.len() < CLOSE
        });
    }
    found.0
}
