//! An evaluator without a net: a classical evaluation, and priors from what moves do.

use cozy_chess::{Board, Move, Piece, Square};

use super::action::{move_of, target};
use super::evaluation::{MATE, distance, placed_better, quiesce};
use super::exchange::{exchange, threat};
use super::game::Chess;
use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::game::Values;
use crate::leaves::Leaves;
use crate::rule::{Fpu, Puct};

/// Plies of captures and answers to checks below a leaf.
const PLIES: u8 = 8;
/// Centipawns by which a move is e times as likely.
const TEMPERATURE: f32 = 90.0;
/// What is won counts no further than this, so that mates are looked for beside it.
const MOST_WON: f32 = 400.0;
/// What is lost counts no further than this, by a check and otherwise: sacrifices are looked at.
const MOST_LOST: [f32; 2] = [50.0, 250.0];
/// What a check is worth, divided among the replies to it.
const CHECK: f32 = 250.0;
const CASTLING: f32 = 50.0;
/// What a step towards a king that stands alone is worth, and what each reply that it has costs.
const NEARER: f32 = 200.0;
const REPLY: f32 = 100.0;
/// The share of the priors that lies evenly on all moves.
const EVEN: f32 = 0.05;
/// Centipawns that are worth a value of ½.
const HALF: f32 = 300.0;
/// The value of a position in which the side to move mates, and the most of another.
const MATES: f32 = 0.99;
const MOST: f32 = 0.97;

/// Judges leaves by a classical evaluation (material, squares, mobility, pawns, kings) after captures
/// have been played out, and gives each move a prior by what it does: what it wins or loses by
/// exchanges, which piece it saves, where it leads, which check it gives and how few replies that
/// leaves. Mates in one are seen before they are searched; a king that stands alone is driven to the
/// edge. A position that repeats an earlier one counts as a draw.
///
/// Says the same of the same position: [`Cached`](crate::Cached) may stand before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Classical;

impl Classical {
    /// The evaluator.
    pub const fn new() -> Self {
        Self
    }

    /// The rule that goes with it.
    pub fn rule() -> Puct {
        Puct { c_init: 1.0, fpu: Fpu::Reduction(0.2), ..Puct::default() }
    }

    /// The worth of a position for the side to move, in centipawns; beyond 29,000 in size: mate.
    pub fn centipawns(self, game: &Chess) -> i32 {
        quiesce(&game.board, -MATE, MATE, PLIES, 0)
    }

    /// The value, from −1 to 1, of so many centipawns: `2 / π · atan(x / 300)`, which tells a large
    /// advantage from a larger one.
    pub fn value(centipawns: f32) -> f32 {
        (centipawns / HALF).atan() * std::f32::consts::FRAC_2_PI
    }

    /// How many centipawns a value is worth: the inverse of [`Classical::value`].
    pub fn to_centipawns(value: f32) -> f32 {
        (value.clamp(-0.98, 0.98) * std::f32::consts::FRAC_PI_2).tan() * HALF
    }
}

/// How likely a move is, in centipawns; none where it mates. `hanging` are pieces and what is lost
/// with them where they stay.
fn promise(board: &Board, moved: Move, hanging: &[(Square, i32)]) -> Option<f32> {
    let piece = board.piece_on(moved.from).unwrap_or(Piece::Pawn);
    let to = target(board, moved);
    let mut score = exchange(board, moved) as f32;
    if to == moved.to {
        score += placed_better(board, piece, moved.from, to) as f32;
    } else {
        score += CASTLING;
    }
    if let Some((_, lost)) = hanging.iter().find(|(square, _)| *square == moved.from) {
        score += *lost as f32;
    }
    let mut next = board.clone();
    next.play_unchecked(moved);
    let checks = !next.checkers().is_empty();
    let hunted = next.colors(next.side_to_move()).len() == 1;
    let mut replies = 0;
    if checks || hunted {
        next.generate_moves(|moves| {
            replies += moves.len();
            false
        });
    }
    if hunted {
        let (from, to) = (board.king(board.side_to_move()), next.king(board.side_to_move()));
        let king = next.king(next.side_to_move());
        let nearer = distance(king, from) - distance(king, to);
        score += NEARER * nearer as f32 - REPLY * replies as f32;
    }
    if checks {
        let check = || score.clamp(-MOST_LOST[0], MOST_WON) + CHECK / replies as f32;
        return (replies > 0).then(check);
    }
    let most_lost = if hunted { f32::INFINITY } else { MOST_LOST[1] };
    Some(score.clamp(-most_lost, MOST_WON))
}

/// Sets the priors of a node; whether one of its moves mates.
fn judge_moves(board: &Board, actions: &[u16], priors: &mut [f32]) -> bool {
    let side = board.side_to_move();
    let pieces = board.colors(side) - board.pieces(Piece::King) - board.pieces(Piece::Pawn);
    let losses = pieces.into_iter().map(|square| (square, threat(board, square, !side)));
    let hanging: Vec<(Square, i32)> = losses.filter(|(_, lost)| *lost > 0).collect();
    let mut most = f32::NEG_INFINITY;
    for (index, (&action, prior)) in actions.iter().zip(priors.iter_mut()).enumerate() {
        let moved = move_of(board, action);
        let Some(score) = moved.map_or(Some(0.0), |moved| promise(board, moved, &hanging)) else {
            priors.fill(0.0);
            priors[index] = 1.0;
            return true;
        };
        *prior = score;
        most = most.max(score);
    }
    for prior in priors.iter_mut() {
        *prior = ((*prior - most) / TEMPERATURE).exp();
    }
    let (sum, even) = (priors.iter().sum::<f32>(), EVEN / priors.len() as f32);
    for prior in priors {
        *prior = (1.0 - EVEN) * *prior / sum + even;
    }
    false
}

impl Evaluator<Chess> for Classical {
    fn evaluate(&mut self, leaves: &mut Leaves<Chess>) -> Result<()> {
        for leaf in 0..leaves.len() {
            let board = leaves.game(leaf).board.clone();
            let (actions, priors) = leaves.actions_and_priors(leaf);
            let value = if judge_moves(&board, actions, priors) {
                MATES
            } else if leaves.game(leaf).repetitions() > 0 {
                // Who can repeat a position once can do so twice.
                0.0
            } else {
                Self::value(self.centipawns(leaves.game(leaf)) as f32).clamp(-MOST, MOST)
            };
            leaves.set_values(leaf, Values::two(board.side_to_move() as usize, value));
        }
        Ok(())
    }
}

impl Fork for Classical {
    fn fork(&self, _worker: u64) -> Self {
        *self
    }
}
