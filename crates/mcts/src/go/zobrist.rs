//! Keys that hash a position: one for every stone on every cell.

use super::cell::{CELLS, Vertex};
use super::point::Color;
use crate::random::mix;

/// The key of a stone.
#[inline]
pub(crate) fn stone(v: Vertex, color: Color) -> u64 {
    KEYS[color.index()][v.at()]
}

/// What the hash of a position takes up where the player to move counts too.
pub(crate) const WHITE_TO_MOVE: u64 = mix(0x476F, 2 * CELLS as u64);

static KEYS: [[u64; CELLS]; 2] = keys();

const fn keys() -> [[u64; CELLS]; 2] {
    let mut keys = [[0; CELLS]; 2];
    let mut color = 0;
    while color < 2 {
        let mut v = 0;
        while v < CELLS {
            keys[color][v] = mix(0x476F, (color * CELLS + v) as u64);
            v += 1;
        }
        color += 1;
    }
    keys
}
