//! A position as AlphaGo Zero's planes, and the symmetries of the board.

use super::game::Go;
use super::point::Color;
use crate::game::{Encode, Symmetry};
use crate::symmetry;

/// Positions that the planes look back on, the present one included.
const LOOK_BACK: usize = 8;

impl Encode for Go {
    /// 17 planes, as AlphaGo Zero's (Silver et al. 2017, "Neural network architecture"): the own
    /// stones now and after each of the seven moves before, the opponent's the same, and whether
    /// Black is to move.
    fn shape(&self) -> [usize; 3] {
        [2 * LOOK_BACK + 1, self.board().height(), self.board().width()]
    }

    fn encode(&self, planes: &mut [f32]) {
        let area = self.board().area();
        planes.fill(0.0);
        let own = self.to_play();
        for (back, past) in self.past(LOOK_BACK).into_iter().enumerate() {
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
}

impl Symmetry for Go {
    fn symmetries(&self) -> usize {
        let square = self.board().width() == self.board().height();
        if square { symmetry::SQUARE } else { symmetry::RECTANGLE }
    }

    fn transform_point(&self, symmetry: usize, point: usize) -> usize {
        symmetry::transform(symmetry, self.board().width(), self.board().height(), point)
    }
}
