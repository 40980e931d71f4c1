//! Area: stones, and the empty points that touch one colour only; territory: those points alone.

use super::board::Board;
use super::cell::{EMPTY, Marks, Vertex};
use super::point::{Color, Point};

/// Who owns each point when the stones on the board are all alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The owner of each point, row by row from the top left; `None` where both colours reach it
    /// or none does.
    pub owners: Vec<Option<Color>>,
}

impl Area {
    /// The area on a board.
    pub(crate) fn new(board: &Board) -> Self {
        let mut owners = vec![None; board.area()];
        for (index, owner) in owners.iter_mut().enumerate() {
            *owner = board.stone(board.point(board.vertex_of(index)));
        }
        regions(board, |region, reached| {
            let owner = match reached {
                1 => Some(Color::Black),
                2 => Some(Color::White),
                _ => None,
            };
            for &v in region {
                owners[board.index_of(v)] = owner;
            }
        });
        Self { owners }
    }

    /// Points of a colour.
    pub fn points(&self, color: Color) -> usize {
        self.owners.iter().filter(|&&owner| owner == Some(color)).count()
    }

    /// The owner of a point of a board that is `width` points wide.
    pub fn owner(&self, point: Point, width: usize) -> Option<Color> {
        *self.owners.get(usize::from(point.y) * width + usize::from(point.x))?
    }
}

/// Black's area less White's.
pub(crate) fn difference(board: &Board) -> i32 {
    let mut score = board.stones(Color::Black) as i32 - board.stones(Color::White) as i32;
    regions(board, |region, reached| match reached {
        1 => score += region.len() as i32,
        2 => score -= region.len() as i32,
        _ => {}
    });
    score
}

/// Black's empty points less White's, but for those of regions that touch a stone in seki.
pub(crate) fn territory(board: &Board, in_seki: impl Fn(Vertex) -> bool) -> i32 {
    let mut score = 0;
    regions(board, |region, reached| {
        let seki = || region.iter().any(|&v| board.near(v).into_iter().any(&in_seki));
        match reached {
            1 if !seki() => score += region.len() as i32,
            2 if !seki() => score -= region.len() as i32,
            _ => {}
        }
    });
    score
}

/// Visits each region of connected empty points with the colours that it touches (1: Black,
/// 2: White, 3: both).
fn regions(board: &Board, mut visit: impl FnMut(&[Vertex], u8)) {
    let mut seen = Marks::default();
    let mut region = [Vertex::NONE; 512];
    for &start in board.empty_points() {
        let start = Vertex(start);
        if !seen.insert(start) {
            continue;
        }
        region[0] = start;
        let (mut done, mut len, mut reached) = (0, 1, 0);
        while done < len {
            for n in board.near(region[done]) {
                match board.cell(n) {
                    EMPTY if seen.insert(n) => {
                        region[len] = n;
                        len += 1;
                    }
                    cell @ (1 | 2) => reached |= cell,
                    _ => {}
                }
            }
            done += 1;
        }
        visit(&region[..len], reached);
    }
}
