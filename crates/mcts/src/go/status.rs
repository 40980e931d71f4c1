//! Which stones are alive at the end, as playouts tell.

use super::board::Board;
use super::cell::{EMPTY, Vertex};
use super::game::Go;
use super::playout::{self, PlayoutPolicy};
use super::point::{Color, Point};
use super::score;
use crate::random::Random;

/// Playouts that a judgement rests on.
const PLAYOUTS: u32 = 400;

/// Chains whose points their own colour holds in less than this share of the playouts are dead.
const ALIVE_FROM: f32 = 0.3;

/// What becomes of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It stays on the board.
    Alive,
    /// It is taken off.
    Dead,
    /// It stays, and has no point of its own beside it.
    Seki,
}

/// The chains of a finished game and its score.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Statuses {
    /// Every chain with its status.
    pub chains: Vec<(Status, Vec<Point>)>,
    /// The score once dead stones are off: above 0 where Black is ahead.
    pub score: f32,
}

/// Judges the chains of a finished game by heavy playouts. An estimate: of little worth in the
/// middle of a game.
pub fn statuses(game: &Go, random: &mut Random) -> Statuses {
    let owned = ownership(game, PLAYOUTS, random);
    let board = game.board();
    let mut cleared = Board::new(board.width(), board.height());
    let mut found = Vec::new();
    for index in 0..board.area() {
        let v = board.vertex_of(index);
        if board.cell(v) == EMPTY {
            continue;
        }
        let black = super::tactics::cell_color(board.cell(v)) == Color::Black;
        let head = board.head(v);
        let (mut held, mut size) = (0.0, 0.0);
        for stone in board.chain_stones(head) {
            let owner = owned[board.index_of(stone)];
            held += if black { 1.0 + owner } else { 1.0 - owner } / 2.0;
            size += 1.0;
        }
        let alive = held / size >= ALIVE_FROM;
        if alive {
            let color = if black { Color::Black } else { Color::White };
            cleared.play(cleared.vertex_of(index), color);
        }
        if head == v {
            found.push((v, alive));
        }
    }
    let area = score::Area::new(&cleared);
    let chains = found.into_iter().map(|(v, alive)| {
        let points: Vec<_> = board.chain_stones(v).map(|stone| board.point(stone)).collect();
        let neutral =
            |n: Vertex| cleared.cell(n) == EMPTY && area.owners[cleared.index_of(n)].is_none();
        let own =
            |n: Vertex| cleared.cell(n) == EMPTY && area.owners[cleared.index_of(n)].is_some();
        let touches = |test: &dyn Fn(Vertex) -> bool| {
            board.chain_stones(v).any(|stone| cleared.near(stone).into_iter().any(test))
        };
        let status = match alive {
            false => Status::Dead,
            true if touches(&neutral) && !touches(&own) => Status::Seki,
            true => Status::Alive,
        };
        (status, points)
    });
    let chains = chains.collect();
    Statuses { chains, score: score::difference(&cleared) as f32 - game.compensation() }
}

/// Who holds each point at the end of playouts, from −1 (White always) to 1 (Black always), row
/// by row.
pub fn ownership(game: &Go, playouts: u32, random: &mut Random) -> Vec<f32> {
    let mut sums = vec![0.0; game.board().area()];
    let mut board = game.board().clone();
    let policy = PlayoutPolicy::default();
    for playout in 0..playouts.max(1) {
        board.clone_from(game.board());
        // Either side may be to move at the end of a game.
        let color = Color::from_index(playout as usize);
        playout::heavy(&mut board, color, 0, Vertex::NONE, &policy, random, |_, _| {});
        for (index, sum) in sums.iter_mut().enumerate() {
            let v = board.vertex_of(index);
            let holds = |color: Color| {
                board.cell(v) == color.cell()
                    || board.cell(v) == EMPTY && board.is_surrounded(v, color)
            };
            *sum += f32::from(holds(Color::Black)) - f32::from(holds(Color::White));
        }
    }
    for sum in &mut sums {
        *sum /= playouts.max(1) as f32;
    }
    sums
}
