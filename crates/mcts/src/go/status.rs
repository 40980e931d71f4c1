//! Which stones are alive at the end: by their eyes, by search, and else as playouts tell.

use super::benson::ROOM;
use super::board::Board;
use super::cell::{CELLS, EMPTY, OFF, Vertex};
use super::game::Go;
use super::playout::{self, PlayoutPolicy};
use super::point::{Color, Point};
use super::region::{Points, Region, Stones};
use super::rules::Scoring;
use super::score;
use super::solver::Solver;
use super::tactics::cell_color;
use crate::random::Random;

/// Playouts that tell where there is something to search.
const PLAYOUTS: u32 = 400;

/// Chains that their colour holds in less than this share of the playouts, or in all but this
/// share, need no search.
const DOUBT: f32 = 0.02;

/// Where the search has no answer, chains are dead that their colour holds in less than this share
/// of the playouts.
const ALIVE_FROM: f32 = 0.5;

/// The most empty points of a region that is searched.
const OPEN: i32 = 32;

/// Positions that the search of one region looks at.
const NODES: u32 = 500_000;

/// Positions that it looks at to tell whether a group lives alone.
const ALONE: u32 = 20_000;

/// Positions that the searches of one board look at together.
const ALL_NODES: u32 = 800_000;

/// The words of sets that hold any board, and those of regions that are searched.
const BOARD: usize = 6;
const SEARCHED: usize = 2;

/// What becomes of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It stays on the board.
    Alive,
    /// It is taken off.
    Dead,
    /// It stays, though it could not live alone: neither side gains by moving first.
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

/// A chain that is judged.
struct Chain {
    head: Vertex,
    color: Color,
    stones: Vec<Vertex>,
    /// The share of the playouts in which its points end as its colour's.
    held: f32,
    /// Whether it is unconditionally alive, or has an eye space as good as that.
    settled: bool,
    status: Status,
}

impl Chain {
    fn is_doubtful(&self) -> bool {
        !self.settled && (DOUBT..=1.0 - DOUBT).contains(&self.held)
    }
}

/// Judges the chains of a finished game. The same position always gets the same answer.
///
/// Chains that Benson's algorithm finds unconditionally alive are, and those with an eye space of seven
/// points or more without a stone in it; playouts tell which others are held by one side whatever
/// happens. Of the rest, whatever shares liberties is searched as a
/// region of its own, with either side to move first, to the end and without ko threats: stones are
/// dead where their side loses them even if it moves first; where neither side gains by moving first
/// they stay, in seki if they are lost once the other side has taken all liberties that nobody
/// owns. A region that is too large for its share of positions is left to the playouts.
pub fn statuses(game: &Go) -> Statuses {
    let board = game.board();
    let mut chains = chains(game);
    let mut of = [usize::MAX; CELLS];
    for (number, chain) in chains.iter().enumerate() {
        for stone in &chain.stones {
            of[stone.at()] = number;
        }
    }
    let mut seen = vec![false; chains.len()];
    let mut nodes = ALL_NODES;
    for start in 0..chains.len() {
        if chains[start].is_doubtful() && !seen[start] {
            let (cells, members) = surroundings(board, &chains, &of, start);
            for &member in &members {
                seen[member] = true;
            }
            if let Some((region, stones)) = Region::<SEARCHED>::new(board, cells)
                && region.empty(&stones).len() <= OPEN
            {
                judge(&region, &stones, &mut chains, &members, &mut nodes);
            }
        }
    }
    let mut cleared = Board::new(board.width(), board.height());
    let mut dead = [0; 2];
    for chain in &chains {
        if chain.status == Status::Dead {
            dead[chain.color.index()] += chain.stones.len() as i32;
            continue;
        }
        for &stone in &chain.stones {
            cleared.play(stone, chain.color);
        }
    }
    let score = match game.rules().scoring {
        Scoring::Area => score::difference(&cleared),
        Scoring::Territory => {
            let taken = |color: Color| game.prisoners(color) as i32 + dead[color.index()];
            let in_seki =
                |v: Vertex| of[v.at()] != usize::MAX && chains[of[v.at()]].status == Status::Seki;
            score::territory(&cleared, in_seki) + taken(Color::White) - taken(Color::Black)
        }
    };
    let point = |stones: &[Vertex]| stones.iter().map(|&stone| board.point(stone)).collect();
    Statuses {
        score: score as f32 - game.compensation(),
        chains: chains.iter().map(|chain| (chain.status, point(&chain.stones))).collect(),
    }
}

/// The chains of the board, as eyes and playouts judge them.
fn chains(game: &Go) -> Vec<Chain> {
    let board = game.board();
    let owned = ownership(game, PLAYOUTS, &mut Random::new(0x6774_7032));
    let cells: Vec<_> = (0..board.area()).map(|index| board.vertex_of(index)).collect();
    let mut alive = Points::<BOARD>::NONE;
    if let Some((whole, stones)) = Region::new(board, cells) {
        for color in [Color::Black, Color::White] {
            alive = alive.or(whole.life(&stones, color, true).alive);
        }
    }
    let heads = (0..board.area()).map(|index| board.vertex_of(index));
    let heads = heads.filter(|&v| board.cell(v) != EMPTY && board.head(v) == v);
    let judged = heads.map(|head| {
        let color = cell_color(board.cell(head));
        let stones: Vec<_> = board.chain_stones(head).collect();
        let sign = if color == Color::Black { 1.0 } else { -1.0 };
        let owners = stones.iter().map(|&stone| 1.0 + sign * owned[board.index_of(stone)]);
        let held = owners.sum::<f32>() / (2.0 * stones.len() as f32);
        let settled = alive.contains(board.index_of(head));
        let status = if settled || held >= ALIVE_FROM { Status::Alive } else { Status::Dead };
        Chain { head, color, stones, held, settled, status }
    });
    judged.collect()
}

/// The points around a chain that is in doubt: what shares liberties with it, up to chains that are
/// alive beyond doubt and have liberties elsewhere. Also the chains among them.
fn surroundings(
    board: &Board,
    chains: &[Chain],
    of: &[usize; CELLS],
    start: usize,
) -> (Vec<Vertex>, Vec<usize>) {
    let mut cells = chains[start].stones.clone();
    let mut inside = [false; CELLS];
    for cell in &cells {
        inside[cell.at()] = true;
    }
    let mut members = vec![start];
    let mut walls = Vec::new();
    let mut done = 0;
    loop {
        while done < cells.len() {
            for n in board.near(cells[done]) {
                if inside[n.at()] || board.cell(n) == OFF {
                    continue;
                }
                if board.cell(n) == EMPTY {
                    inside[n.at()] = true;
                    cells.push(n);
                    continue;
                }
                let chain = &chains[of[n.at()]];
                if chain.settled || chain.held > 1.0 - DOUBT {
                    walls.push(of[n.at()]);
                } else {
                    for stone in &chain.stones {
                        inside[stone.at()] = true;
                    }
                    cells.extend(&chain.stones);
                    members.push(of[n.at()]);
                }
            }
            done += 1;
        }
        // What breathes only here lives only here.
        let depends = |&wall: &usize| {
            let chain = &chains[wall];
            let breathes = |v: &Vertex| {
                board.near(*v).into_iter().any(|n| board.cell(n) == EMPTY && !inside[n.at()])
            };
            !chain.settled && !inside[chain.head.at()] && !chain.stones.iter().any(breathes)
        };
        let Some(wall) = walls.iter().copied().find(depends) else { break };
        for stone in &chains[wall].stones {
            inside[stone.at()] = true;
        }
        cells.extend(&chains[wall].stones);
        members.push(wall);
    }
    members.sort_unstable();
    (cells, members)
}

/// Judges the chains of a region by the best play of both sides, with this many positions to look
/// at.
fn judge(
    region: &Region<SEARCHED>,
    stones: &Stones<SEARCHED>,
    chains: &mut [Chain],
    members: &[usize],
    nodes: &mut u32,
) {
    let points = |chain: &Chain| {
        let points = chain.stones.iter().filter_map(|stone| region.point(*stone));
        points.fold(Points::NONE, |set, point| set.or(Points::one(point)))
    };
    let Some(dead) = dead(region, stones, chains, members, nodes) else { return };
    let mut left = *stones;
    for &member in members {
        let chain = &mut chains[member];
        let is_dead = dead.contains(&member);
        chain.status = if is_dead { Status::Dead } else { Status::Alive };
        if is_dead {
            let own = &mut left.0[chain.color.index()];
            *own = own.less(points(chain));
        }
    }
    let seki = in_seki(region, &left, nodes);
    for &member in members {
        if points(&chains[member]).meets(&seki) {
            chains[member].status = Status::Seki;
        }
    }
}

/// The chains of a region that are lost; `None` where the search does not tell.
///
/// What the playouts hold least is taken for dead, chain by chain, until no side gets more than that
/// when it moves second, nor less when it moves first. To begin with, nothing is.
fn dead(
    region: &Region<SEARCHED>,
    stones: &Stones<SEARCHED>,
    chains: &[Chain],
    members: &[usize],
    nodes: &mut u32,
) -> Option<Vec<usize>> {
    let mut order = members.to_vec();
    order.sort_by(|&a, &b| chains[a].held.total_cmp(&chains[b].held));
    let mut solver = Solver::new(region, stones.0[0].or(stones.0[1]), NODES.min(*nodes));
    let given = solver.nodes();
    let now = solver.value(stones);
    let gain = |count: usize| {
        let gains = order[..count].iter().map(|&member| {
            let size = 2 * chains[member].stones.len() as i32;
            if chains[member].color == Color::White { size } else { -size }
        });
        gains.sum::<i32>()
    };
    let weak = order.partition_point(|&member| chains[member].held < ALIVE_FROM);
    let mut count = 0;
    let found = loop {
        let value = now + gain(count);
        let fits = match solver.at_least(stones, Color::White, value + 1) {
            Some(false) => solver.at_least(stones, Color::Black, value),
            more => more.map(|_| false),
        };
        match fits {
            None => break None,
            // Dead stones of both sides may weigh each other up.
            Some(true) if gain(weak) == gain(count) => break Some(order[..weak].to_vec()),
            Some(true) => break Some(order[..count].to_vec()),
            Some(false) => {}
        }
        let Some(&next) = order.get(count) else { break None };
        // Chains that the playouts do not tell apart die together.
        count = order.partition_point(|&member| chains[member].held <= chains[next].held);
    };
    *nodes -= given - solver.nodes();
    found
}

/// The stones of a region that stay though they could not live alone: lost, even if their side
/// moves first, once the other has what nobody holds, with stones that stay.
fn in_seki(
    region: &Region<SEARCHED>,
    stones: &Stones<SEARCHED>,
    nodes: &mut u32,
) -> Points<SEARCHED> {
    let held = region.held(stones);
    let neutral = region.all.less(held[0]).less(held[1]);
    let mut seki = Points::NONE;
    for color in [Color::Black, Color::White] {
        let (own, other) = (color.index(), color.opponent().index());
        let mut strong = region.clone();
        let mut filled = *stones;
        filled.0[other] = filled.0[other].or(neutral);
        strong.wall[other] = strong.wall[other].or(filled.0[other]);
        let filled = strong.without_dead(&filled, color, strong.all);
        for group in region.parts(held[own]) {
            let question = group.and(stones.0[own]);
            let mut rooms = region.parts(group.less(question));
            if question.is_empty() || rooms.any(|room| room.len() >= ROOM) {
                continue;
            }
            let lives = question.less(filled.0[own]).is_empty() && {
                let mut solver = Solver::new(&strong, question, ALONE.min(*nodes));
                let given = solver.nodes();
                let bound = if own == 0 { question.len() } else { 1 - question.len() };
                let found = solver.at_least(&filled, color, bound);
                *nodes -= given - solver.nodes();
                found == Some(own == 0)
            };
            if !lives {
                seki = seki.or(question);
            }
        }
    }
    seki
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
        playout::heavy(&mut board, color, 0, Vertex::NONE, &policy, random);
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
