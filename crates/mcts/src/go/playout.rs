//! Light playouts: at random to the end, own eyes left alone.

use super::board::Board;
use super::cell::Vertex;
use super::point::Color;
use crate::random::Random;

/// Plays at random until both pass: each move is drawn evenly from the points that are no own
/// eye, no suicide and not forbidden by simple ko; without one the player passes. Returns Black's
/// area less White's.
///
/// `passes` is how many passes just went before. A playout ends after three moves a point at the
/// latest.
pub(crate) fn light(board: &mut Board, color: Color, passes: u8, random: &mut Random) -> i32 {
    let mut color = color;
    let mut passes = passes;
    for _ in 0..3 * board.area() {
        if let Some(v) = draw(board, color, random) {
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
pub(crate) fn draw(board: &mut Board, color: Color, random: &mut Random) -> Option<Vertex> {
    let mut left = board.empty_points().len();
    while left > 0 {
        let slot = random.below(left as u32) as usize;
        let v = board.empty_at(slot);
        if is_sensible(board, v, color) {
            return Some(v);
        }
        left -= 1;
        board.swap_empty(slot, left);
    }
    None
}

/// Whether a light playout may play an empty point.
#[inline]
pub(crate) fn is_sensible(board: &Board, v: Vertex, color: Color) -> bool {
    !board.is_eye(v, color) && v != board.ko_vertex() && !board.is_suicide(v, color)
}

/// Black's area less White's where all that is left empty are single points.
pub(crate) fn settled(board: &Board) -> i32 {
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
