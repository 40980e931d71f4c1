//! The rollout policy: a linear softmax over patterns, fast enough to play games to their end.

use model_utils_core::event::{Asks as _, Stoppable};
use model_utils_core::{atomic, config};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::game::Action;
use crate::go::{Board, Color, Go, Move, Rules, Vertex, is_sensible, last_vertex};
use crate::random::Random;
use crate::sgf::Record;

/// 3×3 patterns: sixteen bits of neighbours, and which of the four beside are in atari.
const PATTERNS: usize = 1 << 20;

/// The bits of a weight that nothing was learned for.
const UNTOUCHED: u32 = 1.0_f32.to_bits();

/// Places for patterns of the twelve points around the last move.
const RESPONSES: usize = 1 << 18;

/// Places for moves into the space of stones that were just taken.
const NAKADE: usize = 1 << 13;

/// How many stones leave a space that one move may kill.
const NAKADE_STONES: std::ops::RangeInclusive<usize> = 3..=6;

/// What a move looks like; weights are multiplied.
#[derive(Clone, Copy, Debug)]
struct Look {
    pattern: usize,
    nakade: Option<usize>,
    response: Option<usize>,
    neighbour: Option<usize>,
    saves: bool,
}

/// A linear softmax over what a move looks like: whether it saves stones from capture, where it
/// lies beside the last move, the 3×3 pattern around it, the pattern of the twelve points around
/// the last move that it answers, and where it lies in the space of three to six stones that were
/// just taken (nakade).
///
/// The weights are kept as factors, exp(w), so that a move costs no exponential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutPolicy {
    patterns: Vec<f32>,
    responses: Vec<f32>,
    nakade: Vec<f32>,
    neighbours: [f32; 8],
    response: f32,
    save: f32,
    /// The size of the boards that it has learned from, for its file.
    size: [usize; 2],
}

/// How [`RolloutPolicy::train`] trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RolloutTraining {
    /// Times that every record is gone through, each time under another symmetry.
    pub epochs: usize,
    /// The learning rate.
    pub learning_rate: f32,
    /// What order and symmetries follow from.
    pub seed: u64,
}

impl Default for RolloutTraining {
    fn default() -> Self {
        Self { epochs: 16, learning_rate: 0.2, seed: 42 }
    }
}

impl RolloutPolicy {
    /// A policy for which all moves are equal.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            patterns: vec![1.0; PATTERNS],
            responses: vec![1.0; RESPONSES],
            nakade: vec![1.0; NAKADE],
            neighbours: [1.0; 8],
            response: 1.0,
            save: 1.0,
            size: [width, height],
        }
    }

    /// The size of the boards that it was made for.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Trains on the moves of records by stochastic gradient descent on the log-likelihood.
    /// `stop.around(records)` ends it between two of them. The policy stays as it was where it fails.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) without records, for a learning rate that is not
    /// positive; and where a record has an illegal move.
    pub fn train<'a>(
        &mut self,
        records: impl Into<Stoppable<&'a [Record]>>,
        training: RolloutTraining,
    ) -> Result<()> {
        let (records, stop) = records.into().into_parts();
        config::require(!records.is_empty(), "records", 0, "at least one record")?;
        let rate = training.learning_rate;
        config::positive("learning_rate", rate)?;
        let mut random = Random::new(training.seed);
        let mut order: Vec<usize> = (0..records.len()).collect();
        let mut policy = self.clone();
        for epoch in 0..training.epochs {
            random.shuffle(&mut order);
            let rate = rate / (1.0 + epoch as f32 / 2.0);
            for (done, &index) in order.iter().enumerate() {
                let at = format_args!("record {done} of epoch {epoch}");
                stop.check("training of the rollout policy", at)?;
                let symmetry = random.below_u32(8) as usize;
                let record = records[index].transformed(symmetry);
                record.replay_with(Rules::tromp_taylor(), |game, played| {
                    policy.step(game, played, rate);
                })?;
            }
        }
        *self = policy;
        Ok(())
    }

    /// One step on one move.
    fn step(&mut self, game: &Go, played: Move, rate: f32) {
        let Move::Play(point) = played else { return };
        let board = game.board();
        let wanted = board.vertex(point);
        let mut looks = Vec::new();
        let total = self.weigh(board, game.to_play(), last_vertex(game, 1), |v, look, weight| {
            looks.push((v, look, weight));
        });
        if !looks.iter().any(|&(v, ..)| v == wanted) {
            return;
        }
        for (v, look, weight) in looks {
            let wrong = f32::from(v == wanted) - weight / total;
            let factor = (rate * wrong).exp();
            self.patterns[look.pattern] *= factor;
            if let Some(nakade) = look.nakade {
                self.nakade[nakade] *= factor;
            }
            if let Some(response) = look.response {
                self.responses[response] *= factor;
                self.response *= factor.powf(0.1);
            }
            if let Some(neighbour) = look.neighbour {
                self.neighbours[neighbour] *= factor.powf(0.1);
            }
            if look.saves {
                self.save *= factor.powf(0.1);
            }
        }
    }

    /// The share of the records' moves that the policy holds for the likeliest, and how many moves
    /// that are.
    ///
    /// # Errors
    ///
    /// Where a record has an illegal move.
    pub fn accuracy<'a>(
        &self,
        records: impl Into<Stoppable<&'a [Record]>>,
    ) -> Result<(f64, usize)> {
        let (records, stop) = records.into().into_parts();
        let (mut right, mut moves) = (0, 0);
        for (at, record) in records.iter().enumerate() {
            stop.check("judging the rollout policy", format_args!("record {at}"))?;
            record.replay_with(Rules::tromp_taylor(), |game, played| {
                let Move::Play(point) = played else { return };
                moves += 1;
                let board = game.board();
                let mut best = (Vertex::NONE, 0.0);
                self.weigh(board, game.to_play(), last_vertex(game, 1), |v, _, weight| {
                    if weight > best.1 {
                        best = (v, weight);
                    }
                });
                right += usize::from(best.0 == board.vertex(point));
            })?;
        }
        Ok((right as f64 / moves.max(1) as f64, moves))
    }

    /// Draws a move for the player to move; the pass where no sensible point is left.
    pub fn choose(&self, game: &Go, random: &mut Random) -> Action {
        let (board, last) = (game.board(), last_vertex(game, 1));
        let v = self.draw(board, game.to_play(), last, &mut Vec::new(), random);
        v.map_or(game.pass(), |v| board.index_of(v) as Action)
    }

    /// Plays a game to its end; Black's value. `weights` is a buffer.
    #[cfg(feature = "burn")]
    pub(crate) fn play_out(
        &self,
        game: &Go,
        board: &mut Board,
        weights: &mut Vec<(Vertex, f32)>,
        random: &mut Random,
    ) -> crate::game::Values {
        board.clone_from(game.board());
        let mut last = last_vertex(game, 1);
        let score =
            crate::go::play_out(board, game.to_play(), game.passes() as u8, |board, color| {
                let chosen = self.draw(board, color, last, weights, random);
                last = chosen.unwrap_or(Vertex::NONE);
                chosen
            });
        Go::values_of(score as f32 - game.headway())
    }

    /// The policy's probabilities of a position's actions; `pass` is that of the pass beside
    /// other moves.
    #[cfg(feature = "burn")]
    pub(super) fn set_priors(&self, game: &Go, actions: &[Action], pass: f32, priors: &mut [f32]) {
        let board = game.board();
        let mut weights = vec![0.0; board.area() + 1];
        let total = self.weigh(board, game.to_play(), last_vertex(game, 1), |v, _, weight| {
            weights[board.index_of(v)] = weight;
        });
        weights[board.area()] = if total > 0.0 { pass * total } else { 1.0 };
        let legal = actions.iter().map(|&action| weights[usize::from(action)]);
        let sum: f32 = legal.clone().sum();
        for (prior, weight) in priors.iter_mut().zip(legal) {
            *prior = weight / sum;
        }
    }

    fn draw(
        &self,
        board: &Board,
        color: Color,
        last: Vertex,
        weights: &mut Vec<(Vertex, f32)>,
        random: &mut Random,
    ) -> Option<Vertex> {
        weights.clear();
        let total = self.weigh(board, color, last, |v, _, weight| weights.push((v, weight)));
        let mut left = random.uniform_f32() * total;
        for &(v, weight) in weights.iter() {
            left -= weight;
            if left < 0.0 {
                return Some(v);
            }
        }
        weights.last().map(|&(v, _)| v)
    }

    /// Visits every sensible point with its weight; the sum of the weights.
    #[inline]
    fn weigh(
        &self,
        board: &Board,
        color: Color,
        last: Vertex,
        mut visit: impl FnMut(Vertex, Look, f32),
    ) -> f32 {
        let around_last = Diamond::around(board, last, color);
        let saving = saving_moves(board, color, last);
        let taken = board.captured_points();
        let taken = if NAKADE_STONES.contains(&taken.len()) { taken } else { &[] };
        let mut total = 0.0;
        for &v in board.empty_points() {
            let v = Vertex(v);
            if !is_sensible(board, v, color) {
                continue;
            }
            let saves = saving.contains(&v);
            let mut look = look(board, v, color, &around_last, saves);
            let mut weight = self.patterns[look.pattern];
            if taken.contains(&v.0) {
                let place = nakade(board, taken, v);
                look.nakade = Some(place);
                weight *= self.nakade[place];
            }
            if let Some(response) = look.response {
                weight *= self.responses[response] * self.response;
            }
            if let Some(neighbour) = look.neighbour {
                weight *= self.neighbours[neighbour];
            }
            if saves {
                weight *= self.save;
            }
            let weight = weight.clamp(1e-12, 1e12);
            total += weight;
            visit(v, look, weight);
        }
        total
    }

    /// Writes the policy to a file.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) where it cannot be written.
    pub fn save(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        // Most weights are untouched: only the others are written.
        let sparse = |weights: &[f32]| -> Vec<(usize, f32)> {
            weights
                .iter()
                .copied()
                .enumerate()
                .filter(|weight| weight.1.to_bits() != UNTOUCHED)
                .collect()
        };
        let file = File {
            size: self.size,
            neighbours: self.neighbours,
            response: self.response,
            save: self.save,
            patterns: sparse(&self.patterns),
            responses: sparse(&self.responses),
            nakade: sparse(&self.nakade),
        };
        Ok(atomic::write_with(path, |to| Ok(serde_json::to_writer(to, &file)?))?)
    }

    /// Reads what [`RolloutPolicy::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) where it cannot be read or is something else.
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read(path).map_err(model_utils_core::Error::io("read", path))?;
        let wrong =
            |reason: String| model_utils_core::Error::format(path, "rollout policy", reason);
        let file: File = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let mut policy = Self::new(file.size[0], file.size[1]);
        let tables = [
            (&mut policy.patterns, file.patterns),
            (&mut policy.responses, file.responses),
            (&mut policy.nakade, file.nakade),
        ];
        for (table, weights) in tables {
            for (index, weight) in weights {
                let place = table.get_mut(index).filter(|_| weight.is_finite() && weight > 0.0);
                *place.ok_or_else(|| wrong(format!("weight {index} is {weight}")))? = weight;
            }
        }
        policy.neighbours = file.neighbours;
        policy.response = file.response;
        policy.save = file.save;
        Ok(policy)
    }
}

/// What a move on an empty point looks like.
#[inline]
fn look(board: &Board, v: Vertex, color: Color, around: &Diamond, saves: bool) -> Look {
    let mut pattern = usize::from(seen_by(board.code(v), color));
    for (direction, n) in board.near(v).into_iter().enumerate() {
        if matches!(board.cell(n), 1 | 2) && board.in_atari(n) {
            pattern |= 1 << (16 + direction);
        }
    }
    let (response, neighbour) = around.of(v);
    Look { pattern, nakade: None, response, neighbour, saves }
}

/// The place of a point in the space of stones that were taken, and the space's shape.
fn nakade(board: &Board, taken: &[u16], v: Vertex) -> usize {
    let own = board.point(v);
    let shape = taken.iter().fold(0_u64, |shape, &w| {
        let point = board.point(Vertex(w));
        let offset = [(own.x, point.x), (own.y, point.y)].map(|(a, b)| u64::from(a + 32 - b));
        shape.wrapping_add(crate::random::mix(offset[0], offset[1]))
    });
    shape as usize & (NAKADE - 1)
}

/// The policy as its file has it.
#[derive(Serialize, Deserialize)]
struct File {
    size: [usize; 2],
    neighbours: [f32; 8],
    response: f32,
    save: f32,
    patterns: Vec<(usize, f32)>,
    responses: Vec<(usize, f32)>,
    nakade: Vec<(usize, f32)>,
}

/// Codes as the player to move sees them: own stones 1, the opponent's 2.
#[inline]
fn seen_by(code: u16, color: Color) -> u16 {
    match color {
        Color::Black => code,
        Color::White => (code & 0x5555) << 1 | (code >> 1 & 0x5555),
    }
}

/// The twelve points within two steps of the last move.
struct Diamond {
    points: [Vertex; 12],
    hash: u64,
    any: bool,
}

impl Diamond {
    fn around(board: &Board, last: Vertex, color: Color) -> Self {
        let mut diamond = Self { points: [Vertex::NONE; 12], hash: 0, any: last != Vertex::NONE };
        if !diamond.any {
            return diamond;
        }
        diamond.points[..8].copy_from_slice(&board.around(last));
        let code = seen_by(board.code(last), color);
        let mut hash = u64::from(code);
        for (place, near) in board.near(last).into_iter().enumerate() {
            // One further in the same direction, where the board goes so far.
            let beyond = board.near(near)[place];
            let on_board = board.cell(near) != crate::go::OFF;
            let cell = if on_board { board.cell(beyond) } else { crate::go::OFF };
            let cell = if color == Color::White && matches!(cell, 1 | 2) { cell ^ 3 } else { cell };
            hash = hash << 2 | u64::from(cell);
            if on_board && cell != crate::go::OFF {
                diamond.points[8 + place] = beyond;
            }
        }
        diamond.hash = hash;
        diamond
    }

    /// The response pattern of a move, and its place beside the last move.
    #[inline]
    fn of(&self, v: Vertex) -> (Option<usize>, Option<usize>) {
        if !self.any {
            return (None, None);
        }
        match self.points.iter().position(|&point| point == v) {
            Some(place) => {
                let mixed = crate::random::mix(self.hash, place as u64);
                (Some(mixed as usize & (RESPONSES - 1)), (place < 8).then_some(place))
            }
            None => (None, None),
        }
    }
}

/// Moves that save own stones which the last move put in atari.
fn saving_moves(board: &Board, color: Color, last: Vertex) -> [Vertex; 4] {
    let mut moves = [Vertex::NONE; 4];
    if last == Vertex::NONE {
        return moves;
    }
    for (place, n) in board.near(last).into_iter().enumerate() {
        if board.cell(n) == color.cell() && board.in_atari(n) {
            let v = board.pseudo(n).only();
            if !board.is_self_atari(v, color) {
                moves[place] = v;
            }
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::Point;

    /// Black to move where White has just taken a chain of Black's, so many columns to the right.
    fn taken(chain: &[(usize, usize)], shift: usize) -> Go {
        let mut game = Go::new(9, Rules::chinese()).unwrap();
        let at = |(x, y): (usize, usize)| Point::new(x + shift, y);
        let black: Vec<Point> = chain.iter().copied().map(at).collect();
        let near = |p: &Point| {
            let (x, y) = (usize::from(p.x), usize::from(p.y));
            [(x + 1, y), (x.wrapping_sub(1), y), (x, y + 1), (x, y.wrapping_sub(1))]
        };
        let mut white: Vec<Point> = black
            .iter()
            .flat_map(near)
            .filter(|&(x, y)| x < 9 && y < 9)
            .map(|(x, y)| Point::new(x, y))
            .filter(|point| !black.contains(point))
            .collect();
        white.sort_unstable();
        white.dedup();
        let last = white.pop().unwrap();
        let stones: Vec<_> = black
            .iter()
            .map(|&point| (point, Some(Color::Black)))
            .chain(white.iter().map(|&point| (point, Some(Color::White))))
            .collect();
        game.set_up(&stones, Color::White).unwrap();
        game.make(Move::Play(last)).unwrap();
        game
    }

    #[test]
    fn the_space_of_taken_stones_has_a_shape() {
        let places = |game: &Go| -> Vec<usize> {
            let board = game.board();
            let mut points = board.captured_points().to_vec();
            points.sort_unstable();
            points.iter().map(|&v| nakade(board, &points, Vertex(v))).collect()
        };
        let row = [(1, 0), (2, 0), (3, 0)];
        let three = places(&taken(&row, 0));
        assert_eq!(three.len(), 3);
        assert!(three[0] != three[1] && three[1] != three[2] && three[0] != three[2]);
        assert_eq!(three, places(&taken(&row, 3)), "the same elsewhere");
        let bent = places(&taken(&[(1, 0), (2, 0), (2, 1)], 0));
        assert!(bent.iter().all(|place| !three.contains(place)), "{bent:?}");

        // What it learns about the middle of three counts wherever three were taken.
        let mut policy = RolloutPolicy::new(9, 9);
        for _ in 0..20 {
            policy.step(&taken(&row, 0), Move::Play(Point::new(2, 0)), 0.2);
        }
        let [end, middle] = [three[0], three[1]].map(|place| policy.nakade[place]);
        assert!(middle > 2.0 && end < 1.0, "{middle} {end}");
        let mut game = taken(&row, 0);
        game.make(Move::Pass).unwrap();
        assert!(game.board().captured_points().is_empty());
    }
}
