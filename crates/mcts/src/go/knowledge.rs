//! An evaluator without a net: priors from what a move does on the board, values from playouts
//! that answer the last move.

use super::board::Board;
use super::cell::{EMPTY, Vertex};
use super::game::Go;
use super::ladder::Ladders;
use super::pattern::Patterns;
use super::playout::{self, PlayoutPolicy};
use super::point::{Color, Move};
use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::game::{Action, Values};
use crate::leaves::Leaves;
use crate::random::{Random, mix};
use crate::rollout::copy_to;

/// Judges positions of Go by what its makers knew of the game: priors from captures, atari,
/// ladders, 3×3 patterns, the distance to the last move and to the edge; values from one heavy
/// playout a leaf.
///
/// A playout that is won by more counts a little more, so that a search that wins anyway goes on
/// to play sensibly.
#[derive(Clone, Debug)]
pub struct Knowledge {
    seed: u64,
    random: Random,
    policy: PlayoutPolicy,
    scratch: Option<Go>,
    weights: Vec<f32>,
    ladders: Ladders,
    played: Vec<(u8, Action)>,
}

/// How much of a playout's value is its margin.
const MARGIN: f32 = 0.05;

impl Knowledge {
    /// An evaluator whose playouts follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            policy: PlayoutPolicy::default(),
            scratch: None,
            weights: Vec::new(),
            ladders: Ladders::default(),
            played: Vec::new(),
        }
    }

    /// Sets how playouts answer.
    #[must_use]
    pub fn with_policy(mut self, policy: PlayoutPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Black's share of a heavy playout from here, from −1 to 1.
    fn play_out(&mut self, game: &Go) -> f32 {
        let scratch = copy_to(&mut self.scratch, game);
        let last = last_vertex(game, 1);
        let (color, passes) = (game.to_play(), game.passes() as u8);
        self.played.clear();
        let (played, seen) = (&mut self.played, game.board());
        let see = |v, color: Color| played.push((color.index() as u8, seen.index_of(v) as Action));
        let board = scratch.board_mut();
        let random = &mut self.random;
        let score = playout::heavy(board, color, passes, last, &self.policy, random, see) as f32
            - game.headway();
        let margin = score / game.board().area() as f32;
        let won = if score == 0.0 { 0.0 } else { score.signum() };
        (1.0 - MARGIN) * won + MARGIN * margin.clamp(-1.0, 1.0)
    }
}

impl Evaluator<Go> for Knowledge {
    fn evaluate(&mut self, leaves: &mut Leaves<Go>) -> Result<()> {
        let mut weights = std::mem::take(&mut self.weights);
        for leaf in 0..leaves.len() {
            let game = leaves.game(leaf);
            let value = self.play_out(game);
            let actions = leaves.actions(leaf);
            weights.clear();
            if !actions.is_empty() {
                weigh(game, actions, &mut self.ladders, &mut weights);
            }
            let total: f32 = weights.iter().sum();
            leaves.set_values(leaf, Values::two(0, value));
            if leaves.wants_played(leaf) {
                leaves.set_played(leaf, self.played.iter().copied());
            }
            let (_, priors) = leaves.actions_and_priors(leaf);
            for (prior, weight) in priors.iter_mut().zip(&weights) {
                *prior = weight / total;
            }
        }
        self.weights = weights;
        Ok(())
    }
}

impl Fork for Knowledge {
    fn fork(&self, worker: u64) -> Self {
        Self::new(mix(self.seed, worker)).with_policy(self.policy)
    }
}

/// The cell of the move `back` moves ago; [`Vertex::NONE`] for a pass or before the game.
pub(crate) fn last_vertex(game: &Go, back: usize) -> Vertex {
    let moves = game.moves();
    match moves.len().checked_sub(back).map(|at| game.move_of(moves[at])) {
        Some(Move::Play(point)) => game.board().vertex(point),
        _ => Vertex::NONE,
    }
}

/// Appends a positive weight for each action: how likely a player is to choose it.
pub(crate) fn weigh(game: &Go, actions: &[Action], ladders: &mut Ladders, weights: &mut Vec<f32>) {
    let board = game.board();
    let color = game.to_play();
    let patterns = Patterns::get();
    let last = last_vertex(game, 1);
    let before = last_vertex(game, 2);
    let urgent = Urgent::new(board, color, ladders);
    for &action in actions {
        let weight = if action >= game.pass() {
            0.02
        } else {
            let v = board.vertex_of(usize::from(action));
            weight(board, v, color, patterns, &urgent, [last, before])
        };
        weights.push(weight);
    }
}

/// Moves that ladders and atari ask for.
struct Urgent {
    /// Liberties of own chains in atari, with the stones at stake and whether the move saves them.
    rescues: Vec<(Vertex, usize, bool)>,
    /// First moves of ladders that capture, with the stones at stake.
    ladders: Vec<(Vertex, usize)>,
}

impl Urgent {
    fn new(board: &Board, color: Color, ladders: &mut Ladders) -> Self {
        let mut urgent = Self { rescues: Vec::new(), ladders: Vec::new() };
        for index in 0..board.area() {
            let v = board.vertex_of(index);
            let cell = board.cell(v);
            // One look a chain, at the stone that names it.
            if cell == EMPTY || board.head(v) != v {
                continue;
            }
            let own = cell == color.cell();
            let size = board.chain_size(v);
            if own && board.in_atari(v) {
                let extend = board.pseudo(v).only();
                urgent.rescues.push((extend, size, ladders.escapes(board, v, extend)));
                for &capture in board.counter_captures(v).as_slice() {
                    urgent.rescues.push((capture, size, true));
                }
            } else if !own
                && board.two_liberties(v).1 == 2
                && let Some(first) = ladders.attack(board, v)
            {
                urgent.ladders.push((first, size));
            }
        }
        urgent
    }
}

/// The weight of a stone on an empty point.
fn weight(
    board: &Board,
    v: Vertex,
    color: Color,
    patterns: Patterns,
    urgent: &Urgent,
    last: [Vertex; 2],
) -> f32 {
    if board.is_eye(v, color) {
        return 0.001;
    }
    let mut weight = 1.0;
    let mut taken = 0;
    let mut threatened = 0;
    for n in board.near(v) {
        if board.cell(n) == color.opponent().cell() {
            if board.in_atari(n) {
                taken += board.chain_size(n);
            } else if board.two_liberties(n).1 == 2 {
                threatened += board.chain_size(n);
            }
        }
    }
    if taken > 0 {
        weight *= 4.0 + 3.0 * taken.min(6) as f32;
    } else if board.is_self_atari(v, color) {
        weight *= 0.1;
    } else if threatened > 0 {
        weight *= 2.0;
    }
    for &(at, size, saves) in &urgent.rescues {
        if at == v {
            weight *= if saves { 4.0 + 2.0 * size.min(6) as f32 } else { 0.3 };
            break;
        }
    }
    if let Some(&(_, size)) = urgent.ladders.iter().find(|ladder| ladder.0 == v) {
        weight *= 2.0 + size.min(6) as f32;
    }
    if patterns.fits(board, v) {
        weight *= 3.0;
    }
    let at = board.point(v);
    for (last, strength) in last.into_iter().zip([1.0, 0.4]) {
        if last != Vertex::NONE {
            let point = board.point(last);
            let (dx, dy) = (at.x.abs_diff(point.x), at.y.abs_diff(point.y));
            // The distance of AlphaGo's and Coulom's features: dx + dy + max(dx, dy).
            let near = [8.0, 8.0, 6.0, 4.0, 3.0, 2.0, 1.6, 1.3];
            let distance = usize::from(dx + dy + dx.max(dy));
            weight *= 1.0 + strength * (near.get(distance).copied().unwrap_or(1.0) - 1.0);
        }
    }
    weight * line_weight(board, v)
}

/// Moves on the first two lines are bad where no stone is near, on the third good.
fn line_weight(board: &Board, v: Vertex) -> f32 {
    let at = board.point(v);
    let (x, y) = (usize::from(at.x), usize::from(at.y));
    let line = x.min(board.width() - 1 - x).min(y).min(board.height() - 1 - y);
    let alone = board.code(v) & 0x5555 == board.code(v) >> 1 & 0x5555;
    match line {
        0 if alone => 0.1,
        0 => 0.6,
        1 if alone => 0.4,
        2 | 3 => 1.3,
        _ => 1.0,
    }
}
