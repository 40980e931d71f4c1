//! Exact counts: lines of play, games, legal positions.

use std::collections::HashMap;

use model_utils_core::config;

use super::board::Board;
use super::cell::EMPTY;
use super::game::Go;
use super::point::Color;
use crate::error::Result;
use crate::game::{Action, Game as _};

/// How many lines of `depth` moves a game has from here (perft), with passes or without.
///
/// ```
/// use mcts::go::{Go, Rules, perft};
///
/// let go = Go::new(3, Rules::tromp_taylor())?;
/// assert_eq!(perft(&go, 3, true), 738);
/// # Ok::<(), mcts::Error>(())
/// ```
pub fn perft(go: &Go, depth: usize, passes: bool) -> u64 {
    let mut stack: Vec<(Go, Vec<Action>)> = (0..depth).map(|_| (go.clone(), Vec::new())).collect();
    lines(go, &mut stack, passes)
}

/// Counts with one place of the stack a ply.
fn lines(go: &Go, stack: &mut [(Go, Vec<Action>)], passes: bool) -> u64 {
    let Some(((next, actions), deeper)) = stack.split_first_mut() else { return 1 };
    actions.clear();
    go.legal_actions(actions);
    if !passes && actions.last() == Some(&go.pass()) {
        actions.pop();
    }
    if deeper.is_empty() {
        return actions.len() as u64;
    }
    let mut count = 0;
    for &action in actions.iter() {
        next.clone_from(go);
        next.play(action);
        count += lines(next, deeper, passes);
    }
    count
}

/// How many games there are on a board, in the sense of Tromp and Farnebäck ("Combinatorics of
/// Go", 2007): paths from the empty board that meet no position twice, where either colour may
/// play at any time and suicide is allowed. Only for up to 4 points.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for more than 4 points or none.
pub fn games(width: usize, height: usize) -> Result<u64> {
    let area = width * height;
    config::require((1..=4).contains(&area), "width × height", area, "1 to 4 points")?;
    let empty = Board::new(width, height);
    let mut index = HashMap::from([(empty.hash(), 0_usize)]);
    let mut boards = vec![empty];
    let mut edges: Vec<Vec<usize>> = Vec::new();
    while edges.len() < boards.len() {
        let board = boards[edges.len()].clone();
        let mut successors = Vec::new();
        for point in 0..area {
            for color in [Color::Black, Color::White] {
                let v = board.vertex_of(point);
                if board.cell(v) != EMPTY {
                    continue;
                }
                let mut next = board.clone();
                next.play(v, color);
                let known = *index.entry(next.hash()).or_insert(boards.len());
                if known == boards.len() {
                    boards.push(next);
                }
                successors.push(known);
            }
        }
        edges.push(successors);
    }
    Ok(paths(&edges, 0, 1))
}

/// Paths from `at` that avoid the positions in the set `visited`, the path of no move included.
fn paths(edges: &[Vec<usize>], at: usize, visited: u128) -> u64 {
    let mut count = 1;
    for &next in &edges[at] {
        if visited >> next & 1 == 0 {
            count += paths(edges, next, visited | 1 << next);
        }
    }
    count
}

/// How many legal positions a board has: every chain with a liberty (Tromp and Farnebäck 2007,
/// "Counting legal positions": cell by cell with the state of the border row).
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a side that is not 1 to 8.
pub fn legal_positions(width: usize, height: usize) -> Result<u128> {
    config::require((1..=8).contains(&width), "width", width, "1 to 8")?;
    config::require((1..=8).contains(&height), "height", height, "1 to 8")?;
    let mut states: HashMap<Border, u128> = HashMap::from([(Border::wall(width), 1)]);
    for y in 0..height {
        for x in 0..width {
            let mut next = HashMap::new();
            for (state, count) in states {
                for cell in 0..3 {
                    if let Some(state) = state.extend(x, y > 0, cell) {
                        *next.entry(state).or_insert(0) += count;
                    }
                }
            }
            states = next;
        }
    }
    Ok(states.iter().filter(|(state, _)| state.all_alive()).map(|(_, count)| count).sum())
}

/// The last `width` cells: the colour of each (0 none), and the number of its chain where the
/// chain has no liberty yet (0 where it has one).
#[derive(Clone, PartialEq, Eq, Hash)]
struct Border(Vec<(u8, u8)>);

impl Border {
    fn wall(width: usize) -> Self {
        Self(vec![(0, 0); width])
    }

    fn all_alive(&self) -> bool {
        self.0.iter().all(|&(_, chain)| chain == 0)
    }

    /// Puts a cell in column `x`; `None` where that leaves a chain without a liberty for good.
    fn extend(&self, x: usize, has_above: bool, cell: u8) -> Option<Self> {
        let mut cells = self.0.clone();
        let above = has_above.then(|| cells[x]);
        let left = (x > 0).then(|| cells[x - 1]);
        let neighbours = [above, left];
        let mut rename = |from: u8, to: u8| {
            for (_, chain) in cells.iter_mut().filter(|(_, chain)| *chain == from && from > 0) {
                *chain = to;
            }
        };
        if cell == 0 {
            for (_, chain) in neighbours.into_iter().flatten() {
                rename(chain, 0);
            }
            cells[x] = (0, 0);
        } else {
            // A new chain, joined by its friends; free if it or a friend touches an empty point.
            const NEW: u8 = u8::MAX;
            let mut free = false;
            for (color, chain) in neighbours.into_iter().flatten() {
                free |= color == 0 || color == cell && chain == 0;
                if color == cell {
                    rename(chain, NEW);
                }
            }
            if let Some((color, chain)) = above
                && color == 3 - cell
                && chain > 0
            {
                let elsewhere = cells.iter().enumerate().any(|(i, c)| i != x && c.1 == chain);
                if !elsewhere {
                    return None;
                }
            }
            cells[x] = (cell, NEW);
            if free {
                for (_, chain) in cells.iter_mut().filter(|(_, chain)| *chain == NEW) {
                    *chain = 0;
                }
            }
        }
        Some(Self(cells).canonical())
    }

    /// Numbers the chains in the order of their first cells.
    fn canonical(mut self) -> Self {
        let mut names = [0; 256];
        let mut count = 0;
        for (_, chain) in self.0.iter_mut().filter(|(_, chain)| *chain > 0) {
            let name = &mut names[usize::from(*chain)];
            if *name == 0 {
                count += 1;
                *name = count;
            }
            *chain = *name;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_border_method_agrees_with_a_look_at_every_position() {
        for (width, height) in [(1, 1), (2, 1), (1, 3), (2, 2), (3, 2), (2, 3), (3, 3)] {
            let area: usize = width * height;
            let legal = (0..3_usize.pow(area as u32)).filter(|&code| {
                let color = |i: usize| code / 3_usize.pow(i as u32) % 3;
                let reaches = |start: usize| {
                    let mut seen = HashSet::from([start]);
                    let mut open = vec![start];
                    while let Some(i) = open.pop() {
                        let (x, y) = (i % width, i / width);
                        let near = [
                            (x > 0).then(|| i - 1),
                            (x + 1 < width).then(|| i + 1),
                            (y > 0).then(|| i - width),
                            (y + 1 < height).then(|| i + width),
                        ];
                        for n in near.into_iter().flatten() {
                            if color(n) == 0 {
                                return true;
                            }
                            if color(n) == color(start) && seen.insert(n) {
                                open.push(n);
                            }
                        }
                    }
                    false
                };
                (0..area).all(|i| color(i) == 0 || reaches(i))
            });
            assert_eq!(legal_positions(width, height).unwrap(), legal.count() as u128);
        }
    }

    #[test]
    fn boards_out_of_range_are_refused() {
        assert!(games(5, 1).is_err() && games(0, 1).is_err());
        assert!(legal_positions(0, 3).is_err() && legal_positions(3, 9).is_err());
    }
}
