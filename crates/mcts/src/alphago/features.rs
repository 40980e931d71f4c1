//! The 48 feature planes of the policy net, and the 49th of the value net (the paper's extended
//! data table 2).

use model_utils_core::config;

use crate::error::Result;
use crate::go::{Board, Color, EMPTY, Go, Ladders, Vertex, is_sensible};

/// Planes of the policy net.
pub const PLANES: usize = 48;

/// Planes of the value net: the policy net's, and whether the player to move is Black.
pub const VALUE_PLANES: usize = 49;

/// The plane that says where a policy may play.
pub(super) const SENSIBLE: usize = 46;

/// Whether planes allow a move anywhere.
#[cfg(feature = "burn")]
pub(super) fn has_sensible(planes: &[f32], area: usize) -> bool {
    planes[SENSIBLE * area..(SENSIBLE + 1) * area].iter().any(|&plane| plane > 0.0)
}

/// Writes positions as feature planes.
///
/// | planes | what |
/// | --- | --- |
/// | 0 to 2 | own stones, opponent's stones, empty points |
/// | 3 | ones |
/// | 4 to 11 | turns since the stone was played: 1 to 7, 8 or more |
/// | 12 to 19 | liberties of the chain: 1 to 7, 8 or more |
/// | 20 to 27 | stones that a move here takes: 0 to 6, 7 or more |
/// | 28 to 35 | own stones that a move here puts in atari: 1 to 7, 8 or more |
/// | 36 to 43 | liberties of the chain after a move here: 1 to 7, 8 or more |
/// | 44, 45 | whether a move here captures in a ladder, escapes from one |
/// | 46 | whether a move here is legal and fills no own eye |
/// | 47 | zeros |
/// | 48 | the player to move is Black (value net) |
#[derive(Debug, Clone, Default)]
pub struct Features {
    ladders: Ladders,
    scratch: Option<Board>,
}

impl Features {
    /// A writer; it keeps memory from position to position.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes [`PLANES`] or [`VALUE_PLANES`] planes, row-major `[planes, height, width]`; every
    /// element is written.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a slice of another length.
    pub fn encode(&mut self, game: &Go, planes: &mut [f32]) -> Result<()> {
        let area = game.board().area();
        let fits = planes.len() == PLANES * area || planes.len() == VALUE_PLANES * area;
        config::require(fits, "planes", planes.len(), "48 or 49 planes of the board's points")?;
        planes.fill(0.0);
        let mut writer = Writer { planes, area };
        stones(game, &mut writer);
        self.moves(game, &mut writer);
        if writer.planes.len() == VALUE_PLANES * area && game.to_play() == Color::Black {
            writer.fill(48);
        }
        Ok(())
    }

    /// What a move on each empty point would do.
    fn moves(&mut self, game: &Go, writer: &mut Writer<'_>) {
        let board = game.board();
        let color = game.to_play();
        for index in 0..writer.area {
            let v = board.vertex_of(index);
            if board.cell(v) != EMPTY || !is_legal(game, index) {
                continue;
            }
            let scratch = match &mut self.scratch {
                Some(scratch) => {
                    scratch.clone_from(board);
                    scratch
                }
                None => self.scratch.insert(board.clone()),
            };
            let taken = scratch.play(v, color);
            if scratch.cell(v) == EMPTY {
                continue; // its own chain was taken
            }
            let left = scratch.count_liberties(v, 8);
            writer.set(20 + taken.min(7), index);
            writer.set(36 + left - 1, index);
            if left == 1 {
                writer.set(28 + scratch.chain_size(v).min(8) - 1, index);
            }
            if self.captures_in_a_ladder(board, v, color) {
                writer.set(44, index);
            }
            if self.escapes_from_a_ladder(board, v, color) {
                writer.set(45, index);
            }
            if is_sensible(board, v, color) {
                writer.set(SENSIBLE, index);
            }
        }
    }

    fn captures_in_a_ladder(&mut self, board: &Board, v: Vertex, color: Color) -> bool {
        let prey = color.opponent().cell();
        board.near(v).into_iter().any(|n| {
            board.cell(n) == prey
                && board.two_liberties(n).1 == 2
                && self.ladders.captures(board, n, v)
        })
    }

    fn escapes_from_a_ladder(&mut self, board: &Board, v: Vertex, color: Color) -> bool {
        let own = color.cell();
        board
            .near(v)
            .into_iter()
            .any(|n| board.cell(n) == own && board.in_atari(n) && self.ladders.escapes(board, n, v))
    }
}

/// What stands on the board.
fn stones(game: &Go, writer: &mut Writer<'_>) {
    let board = game.board();
    let own = game.to_play().cell();
    writer.fill(3);
    let mut liberties = [0; crate::go::CELLS];
    for index in 0..writer.area {
        let v = board.vertex_of(index);
        let cell = board.cell(v);
        if cell == EMPTY {
            writer.set(2, index);
            continue;
        }
        writer.set(usize::from(cell != own), index);
        let of_chain = &mut liberties[board.head(v).at()];
        if *of_chain == 0 {
            *of_chain = board.count_liberties(v, 8);
        }
        writer.set(12 + of_chain.saturating_sub(1), index);
    }
    // The newest stone on each point that has one.
    let moves = game.moves();
    let mut seen = vec![false; writer.area];
    for (back, &action) in moves.iter().rev().take(7).enumerate() {
        let index = usize::from(action);
        if index < writer.area && !seen[index] {
            seen[index] = true;
            if board.cell(board.vertex_of(index)) != EMPTY {
                writer.set(4 + back, index);
            }
        }
    }
    for index in (0..writer.area).filter(|&index| !seen[index]) {
        if board.cell(board.vertex_of(index)) != EMPTY {
            writer.set(11, index);
        }
    }
}

/// Whether the rules allow a stone on an empty point.
fn is_legal(game: &Go, index: usize) -> bool {
    let point = game.board().point(game.board().vertex_of(index));
    game.why_illegal(crate::go::Move::Play(point)).is_none()
}

/// Planes that are being written.
struct Writer<'a> {
    planes: &'a mut [f32],
    area: usize,
}

impl Writer<'_> {
    fn set(&mut self, plane: usize, index: usize) {
        self.planes[plane * self.area + index] = 1.0;
    }

    fn fill(&mut self, plane: usize) {
        self.planes[plane * self.area..(plane + 1) * self.area].fill(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::{Move, Point, Rules};

    /// Which of a group of planes is set on a point, if any.
    fn which(
        planes: &[f32],
        group: std::ops::Range<usize>,
        point: (usize, usize),
    ) -> Option<usize> {
        let at = point.1 * 5 + point.0;
        let set: Vec<usize> = group.clone().filter(|plane| planes[plane * 25 + at] > 0.0).collect();
        assert!(set.len() <= 1, "one of a group");
        set.first().map(|plane| plane - group.start)
    }

    #[test]
    fn the_planes_are_those_of_the_papers_table() {
        // Black: two stones at the edge in atari; White about to move.
        let mut game = Go::new(5, Rules::chinese()).unwrap();
        for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1), (4, 4), (3, 3)] {
            game.make(Move::Play(Point::new(x, y))).unwrap();
        }
        // Black A5 and B5, White A4 and B4; Black E1, White D2; Black to move, chain A5-B5 in atari.
        let mut planes = vec![9.0; VALUE_PLANES * 25];
        Features::new().encode(&game, &mut planes).unwrap();
        let bits = [0.0_f32, 1.0].map(f32::to_bits);
        assert!(planes.iter().all(|value| bits.contains(&value.to_bits())));
        assert_eq!(which(&planes, 0..3, (0, 0)), Some(0));
        assert_eq!(which(&planes, 0..3, (1, 1)), Some(1));
        assert_eq!(which(&planes, 0..3, (2, 2)), Some(2));
        assert_eq!(which(&planes, 3..4, (2, 2)), Some(0));
        assert_eq!(which(&planes, 4..12, (3, 3)), Some(0), "the last move");
        assert_eq!(which(&planes, 4..12, (0, 0)), Some(5), "six moves ago");
        assert_eq!(which(&planes, 12..20, (0, 0)), Some(0), "one liberty");
        assert_eq!(which(&planes, 12..20, (3, 3)), Some(3), "four liberties");
        assert_eq!(which(&planes, 20..28, (2, 0)), Some(0), "takes nothing");
        assert_eq!(which(&planes, 36..44, (2, 0)), Some(1), "two liberties after extending");
        assert_eq!(which(&planes, 28..36, (4, 3)), None, "D2's neighbour keeps liberties");
        assert_eq!(which(&planes, 46..47, (2, 0)), Some(0));
        assert_eq!(which(&planes, 47..48, (2, 0)), None);
        assert_eq!(which(&planes, 48..49, (2, 0)), Some(0), "Black to move");
        // White to move takes the two stones.
        game.make(Move::Pass).unwrap();
        Features::new().encode(&game, &mut planes).unwrap();
        assert_eq!(which(&planes, 20..28, (2, 0)), Some(2));
        assert_eq!(which(&planes, 48..49, (2, 0)), None);
        assert!(Features::new().encode(&game, &mut [0.0; 7]).is_err());
    }

    #[test]
    fn ladders_have_planes() {
        let mut game = Go::new(5, Rules::chinese()).unwrap();
        let stones = [
            (1, 1, Color::White),
            (0, 1, Color::Black),
            (1, 0, Color::Black),
            (2, 0, Color::Black),
        ];
        let stones: Vec<_> =
            stones.into_iter().map(|(x, y, c)| (Point::new(x, y), Some(c))).collect();
        game.set_up(&stones, Color::Black).unwrap();
        let mut planes = vec![0.0; PLANES * 25];
        Features::new().encode(&game, &mut planes).unwrap();
        let ladder = |planes: &[f32], plane: usize| -> Vec<usize> {
            (0..25).filter(|index| planes[plane * 25 + index] > 0.0).collect()
        };
        assert_eq!(ladder(&planes, 44), [11], "the other side lets it run");
        // In atari, with White to move: running on does not help, so no escape.
        game.make(Move::Play(Point::new(1, 2))).unwrap();
        Features::new().encode(&game, &mut planes).unwrap();
        assert_eq!(ladder(&planes, 45), [] as [usize; 0]);
    }
}
