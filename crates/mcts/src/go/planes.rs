//! A position as planes for a net, and the symmetries of the board.

use super::game::Go;
use super::point::Color;

/// Planes of AlphaGo Zero's input: eight positions of two colours, and the colour to move.
pub(crate) const ZERO_PLANES: usize = 17;

/// Positions that AlphaGo Zero's input looks back on, the present one included.
const LOOK_BACK: usize = 8;

/// Writes AlphaGo Zero's planes (Silver et al. 2017, "Neural network architecture").
pub(crate) fn zero(go: &Go, planes: &mut [f32]) {
    let area = go.board().area();
    planes.fill(0.0);
    let own = go.to_play();
    for (back, past) in go.past(LOOK_BACK).into_iter().enumerate() {
        for (index, stone) in past.into_iter().enumerate() {
            if let Some(color) = stone {
                let plane = if color == own { back } else { LOOK_BACK + back };
                planes[plane * area + index] = 1.0;
            }
        }
    }
    if own == Color::Black {
        planes[2 * LOOK_BACK * area..].fill(1.0);
    }
}

/// Where a point goes under a symmetry: bit 0 mirrors left and right, bit 1 top and bottom, bit 2
/// then exchanges rows and columns (square boards only).
pub(crate) fn transform(width: usize, height: usize, symmetry: usize, point: usize) -> usize {
    let (mut x, mut y) = (point % width, point / width);
    if symmetry & 1 != 0 {
        x = width - 1 - x;
    }
    if symmetry & 2 != 0 {
        y = height - 1 - y;
    }
    if symmetry & 4 != 0 {
        std::mem::swap(&mut x, &mut y);
    }
    y * width + x
}
