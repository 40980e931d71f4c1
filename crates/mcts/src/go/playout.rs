//! Playouts: at random to the end, light or with a few answers to the last move.

use super::board::Board;
use super::cell::Vertex;
use super::pattern::Patterns;
use super::point::Color;
use super::tactics::Few;
use crate::random::Random;

/// Plays at random until both pass: each move is drawn evenly from the points that are no own
/// eye, no suicide and not forbidden by simple ko; without one the player passes. Returns Black's
/// area less White's.
///
/// `passes` is how many passes just went before. A playout ends after three moves a point at the
/// latest.
pub(crate) fn light(board: &mut Board, color: Color, passes: u8, random: &mut Random) -> i32 {
    play_out(board, color, passes, |board, color| draw(board, color, random))
}

/// How often a heavy playout follows each of its answers, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayoutPolicy {
    /// Taking the last stone, and saving stones that it put in atari.
    pub atari: f32,
    /// A 3×3 pattern next to the last move.
    pub pattern: f32,
    /// Leaving out moves at random that put own stones in atari.
    pub careful: f32,
}

impl Default for PlayoutPolicy {
    fn default() -> Self {
        Self { atari: 1.0, pattern: 1.0, careful: 0.9 }
    }
}

/// A playout that first answers the last move: it takes the stone in atari, saves its own stones
/// from atari, plays one of [`Patterns`] beside it; and else draws as [`light`] does, but seldom
/// puts itself in atari. `see` gets each stone.
pub(crate) fn heavy(
    board: &mut Board,
    color: Color,
    passes: u8,
    last: Vertex,
    policy: &PlayoutPolicy,
    random: &mut Random,
    mut see: impl FnMut(Vertex, Color),
) -> i32 {
    let patterns = Patterns::get();
    let mut last = last;
    play_out(board, color, passes, |board, color| {
        let mut found = None;
        if last != Vertex::NONE {
            if random.uniform_f32() < policy.atari {
                found = answer_atari(board, color, last, random);
            }
            if found.is_none() && random.uniform_f32() < policy.pattern {
                found = answer_pattern(board, color, last, patterns, random);
            }
        }
        let found = found.or_else(|| draw_careful(board, color, policy.careful, random));
        last = found.unwrap_or(Vertex::NONE);
        if let Some(v) = found {
            see(v, color);
        }
        found
    })
}

/// Plays what `choose` says until both sides pass or three moves a point are made.
#[inline]
pub(crate) fn play_out(
    board: &mut Board,
    color: Color,
    passes: u8,
    mut choose: impl FnMut(&mut Board, Color) -> Option<Vertex>,
) -> i32 {
    let mut color = color;
    let mut passes = passes;
    for _ in 0..3 * board.area() {
        if let Some(v) = choose(board, color) {
            board.play(v, color);
            passes = 0;
        } else {
            board.clear_ko();
            passes += 1;
            if passes >= 2 {
                break;
            }
        }
        color = color.opponent();
    }
    settled(board)
}

/// Draws a point evenly from those that a light playout may play.
#[inline]
fn draw(board: &mut Board, color: Color, random: &mut Random) -> Option<Vertex> {
    let mut left = board.empty_points().len();
    while left > 0 {
        let slot = random.below_u32(left as u32) as usize;
        let v = board.empty_at(slot);
        if is_sensible(board, v, color) {
            return Some(v);
        }
        left -= 1;
        board.swap_empty(slot, left);
    }
    None
}

/// As [`draw`], but a move into atari is left out with probability `careful` as long as another
/// is there.
fn draw_careful(
    board: &mut Board,
    color: Color,
    careful: f32,
    random: &mut Random,
) -> Option<Vertex> {
    let mut left = board.empty_points().len();
    let mut refused = None;
    while left > 0 {
        let slot = random.below_u32(left as u32) as usize;
        let v = board.empty_at(slot);
        if is_sensible(board, v, color) {
            if !board.is_self_atari(v, color) || random.uniform_f32() >= careful {
                return Some(v);
            }
            refused.get_or_insert(v);
        }
        left -= 1;
        board.swap_empty(slot, left);
    }
    refused
}

/// A move that takes the chain of the last stone or saves own stones next to it.
fn answer_atari(board: &Board, color: Color, last: Vertex, random: &mut Random) -> Option<Vertex> {
    let mut moves = Few::<8>::new();
    if board.in_atari(last) {
        moves.add(board.pseudo(last).only());
    }
    for n in board.near(last) {
        if board.cell(n) != color.cell() || !board.in_atari(n) {
            continue;
        }
        for &v in board.counter_captures(n).as_slice() {
            moves.add(v);
        }
        let v = board.pseudo(n).only();
        if !board.is_self_atari(v, color) {
            moves.add(v);
        }
    }
    pick(board, color, moves.as_slice(), random)
}

/// A move around the last one that a pattern suggests.
fn answer_pattern(
    board: &Board,
    color: Color,
    last: Vertex,
    patterns: Patterns,
    random: &mut Random,
) -> Option<Vertex> {
    let mut moves = Few::<8>::new();
    for v in board.around(last) {
        if board.cell(v) == super::cell::EMPTY
            && patterns.fits(board, v)
            && !board.is_self_atari(v, color)
        {
            moves.add(v);
        }
    }
    pick(board, color, moves.as_slice(), random)
}

/// Draws evenly from the moves that a playout may play.
fn pick(board: &Board, color: Color, moves: &[Vertex], random: &mut Random) -> Option<Vertex> {
    if moves.is_empty() {
        return None;
    }
    let start = random.below_u32(moves.len() as u32) as usize;
    let (before, after) = moves.split_at(start);
    after.iter().chain(before).copied().find(|&v| is_sensible(board, v, color))
}

/// Whether a playout may play an empty point.
#[inline]
pub(crate) fn is_sensible(board: &Board, v: Vertex, color: Color) -> bool {
    !board.is_eye(v, color) && v != board.ko_vertex() && !board.is_suicide(v, color)
}

/// Black's area less White's where all that is left empty are single points.
fn settled(board: &Board) -> i32 {
    let mut score = board.stones(Color::Black) as i32 - board.stones(Color::White) as i32;
    for &v in board.empty_points() {
        let v = Vertex(v);
        if board.is_surrounded(v, Color::Black) {
            score += 1;
        } else if board.is_surrounded(v, Color::White) {
            score -= 1;
        }
    }
    score
}
