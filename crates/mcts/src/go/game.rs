//! A game of Go: the board with its past, whose turn it is, and the rules.

use std::fmt;
use std::sync::Arc;

use model_utils_core::{ConfigError, config};

use super::board::Board;
use super::cell::{EMPTY, Vertex};
use super::playout;
use super::point::{Color, MAX_SIDE, Move, Point};
use super::rules::{Ko, Rules, Scoring};
use super::score::{self, Area};
use super::zobrist;
use crate::error::{Error, Result};
use crate::game::{Action, Game, Hashed, Payoff, Turn, Values};
use crate::random::Random;

/// A game of Go, from 1×1 to 19×19.
///
/// Actions are the points row by row from the top left, and the pass as the last. Two passes in
/// a row end the game; then area or territory counts, as the rules say.
///
/// ```
/// use mcts::Game as _;
/// use mcts::go::{Go, Move, Point, Rules};
///
/// let mut go = Go::new(9, Rules::tromp_taylor())?;
/// go.make(Move::Play(Point::new(4, 4)))?;
/// go.make(Move::Pass)?;
/// assert!(go.make(Move::Play(Point::new(4, 4))).is_err()); // a stone is there
/// go.make(Move::Pass)?;
/// assert_eq!(go.score(), 81.0 - 7.5);
/// assert_eq!(go.outcome().unwrap().of(0), 1.0);
/// # Ok::<(), mcts::Error>(())
/// ```
pub struct Go {
    board: Board,
    rules: Rules,
    to_play: Color,
    passes: u8,
    handicap: u16,
    /// Stones of each colour that have been taken off since the first of `hashes`.
    captured: [u32; 2],
    /// The position before the first of `moves`, where it was set up.
    start: Option<Arc<Board>>,
    /// Stones and side to move at the start and after every move.
    hashes: Vec<u64>,
    moves: Vec<Action>,
    /// Who made each of the moves.
    movers: Vec<Color>,
}

impl Clone for Go {
    fn clone(&self) -> Self {
        Self {
            board: self.board.clone(),
            start: self.start.clone(),
            hashes: self.hashes.clone(),
            moves: self.moves.clone(),
            movers: self.movers.clone(),
            ..*self
        }
    }

    /// Copies without allocating.
    fn clone_from(&mut self, source: &Self) {
        self.board.clone_from(&source.board);
        self.rules = source.rules;
        self.to_play = source.to_play;
        self.passes = source.passes;
        self.handicap = source.handicap;
        self.captured = source.captured;
        self.start.clone_from(&source.start);
        self.hashes.clone_from(&source.hashes);
        self.moves.clone_from(&source.moves);
        self.movers.clone_from(&source.movers);
    }
}

impl PartialEq for Go {
    /// Same stones, same player to move, same rules, same past.
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
            && self.to_play == other.to_play
            && self.passes == other.passes
            && self.handicap == other.handicap
            && self.board == other.board
            && self.moves == other.moves
            && self.movers == other.movers
            && self.hashes == other.hashes
    }
}

impl Go {
    /// An empty square board.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a side that is not 1 to 19, a komi that is no number, or rules under
    /// which a game need not end.
    pub fn new(side: usize, rules: Rules) -> Result<Self> {
        Self::rectangle(side, side, rules)
    }

    /// An empty board of any rectangle.
    ///
    /// # Errors
    ///
    /// As [`Go::new`].
    pub fn rectangle(width: usize, height: usize, rules: Rules) -> Result<Self> {
        config::require((1..=MAX_SIDE).contains(&width), "width", width, "1 to 19")?;
        config::require((1..=MAX_SIDE).contains(&height), "height", height, "1 to 19")?;
        rules.check()?;
        Ok(Self::empty(width, height, rules))
    }

    /// An empty board of sides and rules that have been looked at.
    pub(crate) fn empty(width: usize, height: usize, rules: Rules) -> Self {
        Self {
            board: Board::new(width, height),
            rules,
            to_play: Color::Black,
            passes: 0,
            handicap: 0,
            captured: [0; 2],
            start: None,
            hashes: vec![0],
            moves: Vec::new(),
            movers: Vec::new(),
        }
    }

    /// The stones.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whose turn it is.
    pub fn to_play(&self) -> Color {
        self.to_play
    }

    /// The moves so far, as actions.
    pub fn moves(&self) -> &[Action] {
        &self.moves
    }

    /// Who made each of the moves.
    pub fn movers(&self) -> &[Color] {
        &self.movers
    }

    /// Passes in a row that ended the moves so far.
    pub fn passes(&self) -> usize {
        usize::from(self.passes)
    }

    /// Handicap stones that Black was given.
    pub fn handicap(&self) -> usize {
        usize::from(self.handicap)
    }

    /// Changes the komi of the game.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a komi that is no finite number.
    pub fn set_komi(&mut self, komi: f32) -> Result<()> {
        let rules = self.rules.with_komi(komi);
        rules.check()?;
        self.rules = rules;
        Ok(())
    }

    /// Puts stones on the board before a game, or takes them off (`None`), and says who moves
    /// next. The game's past is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where a point is outside the board or a chain would have no liberty; the
    /// game stays as it was.
    pub fn set_up(&mut self, stones: &[(Point, Option<Color>)], to_play: Color) -> Result<()> {
        let mut kept: Vec<Option<Color>> = self.points().map(|p| self.board.stone(p)).collect();
        for &(point, color) in stones {
            config::require(self.board.contains(point), "point", point, "a point of the board")?;
            kept[self.board.index_of(self.board.vertex(point))] = color;
        }
        let mut board = Board::new(self.board.width(), self.board.height());
        for (index, color) in kept.iter().enumerate() {
            let Some(color) = *color else { continue };
            let v = board.vertex_of(index);
            if board.play(v, color) > 0 {
                let name = board.point(v).name(board.height());
                return Err(ConfigError::new("stones", name, "chains with a liberty each").into());
            }
        }
        board.clear_ko();
        self.start = Some(Arc::new(board.clone()));
        self.board = board;
        self.to_play = to_play;
        self.passes = 0;
        self.captured = [0; 2];
        self.moves.clear();
        self.movers.clear();
        self.hashes.clear();
        self.hashes.push(self.situation(self.board.hash(), to_play));
        Ok(())
    }

    /// Gives Black handicap stones on these points of an empty board; White moves next.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where the board is not empty, a point is taken twice or outside the
    /// board, or there are fewer than 2 stones.
    pub fn set_handicap(&mut self, points: &[Point]) -> Result<()> {
        let stones = self.board.stones(Color::Black) + self.board.stones(Color::White);
        config::require(stones == 0, "board", format_args!("{stones} stones"), "an empty board")?;
        let limit = self.board.area() - 1;
        config::require(
            (2..=limit).contains(&points.len()),
            "handicap",
            points.len(),
            "2 stones or more",
        )?;
        for (i, point) in points.iter().enumerate() {
            config::require(!points[..i].contains(point), "handicap", point, "each point once")?;
        }
        let stones: Vec<_> = points.iter().map(|&point| (point, Some(Color::Black))).collect();
        self.set_up(&stones, Color::White)?;
        self.handicap = points.len() as u16;
        Ok(())
    }

    /// Counts stones that were set up as handicap.
    pub(crate) fn count_handicap(&mut self, stones: usize) {
        self.handicap = stones.min(self.board.stones(Color::Black)) as u16;
    }

    /// Says who moves next; a change of turn lifts simple ko.
    pub fn set_to_play(&mut self, color: Color) {
        if self.to_play != color {
            self.to_play = color;
            self.board.clear_ko();
        }
    }

    /// The stones that stood before the first move, row by row.
    pub fn start_stones(&self) -> Vec<(Point, Color)> {
        let Some(start) = &self.start else { return Vec::new() };
        self.points().filter_map(|point| Some((point, start.stone(point)?))).collect()
    }

    /// The fixed places of GTP's handicap; `None` where this board has none for so many stones.
    pub fn handicap_points(&self, stones: usize) -> Option<Vec<Point>> {
        super::handicap::fixed(self.board.width(), self.board.height(), stones)
    }

    /// Good places for any number of handicap stones.
    pub fn free_handicap_points(&self, stones: usize) -> Vec<Point> {
        super::handicap::free(self.board.width(), self.board.height(), stones)
    }

    /// All points, row by row from the top left.
    pub fn points(&self) -> impl Iterator<Item = Point> + use<> {
        let (width, height) = (self.board.width(), self.board.height());
        (0..height).flat_map(move |y| (0..width).map(move |x| Point::new(x, y)))
    }

    /// The action that passes.
    pub fn pass(&self) -> Action {
        self.board.area() as Action
    }

    /// The action of a move; `None` for a point outside the board.
    pub fn action(&self, played: Move) -> Option<Action> {
        match played {
            Move::Pass => Some(self.pass()),
            Move::Play(point) => self.board.contains(point).then(|| self.action_of(point)),
        }
    }

    fn action_of(&self, point: Point) -> Action {
        Action::from(point.y) * self.board.width() as Action + Action::from(point.x)
    }

    /// The move of an action; actions beyond the board pass.
    pub fn move_of(&self, action: Action) -> Move {
        if action >= self.pass() {
            return Move::Pass;
        }
        let width = self.board.width();
        Move::Play(Point::new(usize::from(action) % width, usize::from(action) / width))
    }

    /// Plays a move after a look at the rules.
    ///
    /// # Errors
    ///
    /// [`Error::Illegal`] with the reason; the position stays as it was.
    pub fn make(&mut self, played: Move) -> Result<()> {
        if let Some(reason) = self.why_illegal(played) {
            let action = self.action(played).unwrap_or(Action::MAX);
            return Err(Error::Illegal {
                action,
                name: played.name(self.board.height()),
                game: self.name(),
                reason: reason.to_owned(),
            });
        }
        if let Some(action) = self.action(played) {
            self.play(action);
        }
        Ok(())
    }

    /// Plays for a colour whether or not it is its turn, as records and GTP do. A colour that
    /// moves twice lifts simple ko.
    ///
    /// # Errors
    ///
    /// As [`Go::make`].
    pub fn make_as(&mut self, color: Color, played: Move) -> Result<()> {
        let (turn, ko) = (self.to_play, self.board.ko_vertex());
        if turn != color {
            self.to_play = color;
            self.board.set_ko(Vertex::NONE);
        }
        let result = self.make(played);
        if result.is_err() {
            self.to_play = turn;
            self.board.set_ko(ko);
        }
        result
    }

    /// Which rule a move breaks; `None` for a legal one.
    pub fn why_illegal(&self, played: Move) -> Option<&'static str> {
        if self.ended() {
            return Some("the game has ended");
        }
        let Move::Play(point) = played else { return None };
        if !self.board.contains(point) {
            return Some("the point is outside the board");
        }
        if self.board.stone(point).is_some() {
            return Some("a stone is there");
        }
        self.why_forbidden(self.board.vertex(point))
    }

    /// Which rule a stone of the player to move breaks on an empty point.
    #[inline]
    fn why_forbidden(&self, v: Vertex) -> Option<&'static str> {
        if self.rules.ko == Ko::Simple && v == self.board.ko_vertex() {
            return Some("ko");
        }
        if self.board.is_suicide(v, self.to_play) {
            // A lone stone's suicide leaves all as it was: no play under simple ko either.
            let lone = self.rules.ko == Ko::Simple && self.board.is_lone_suicide(v, self.to_play);
            if !self.rules.suicide || lone {
                return Some("suicide");
            }
        }
        if self.rules.ko != Ko::Simple && self.repeats(v) {
            return Some("superko");
        }
        None
    }

    /// Whether a stone would make a position that has been before.
    fn repeats(&self, v: Vertex) -> bool {
        // Nothing comes back before the first stone is taken.
        let suicide = self.rules.suicide && self.board.is_suicide(v, self.to_play);
        if self.captured == [0; 2] && !suicide && !self.board.touches_atari(v) {
            return false;
        }
        let hash = self.board.hash_after(v, self.to_play);
        let after = self.situation(hash, self.to_play.opponent());
        self.hashes.contains(&after)
    }

    /// The hash of stones and side to move that the ko rule looks at.
    #[inline]
    fn situation(&self, hash: u64, to_play: Color) -> u64 {
        match (self.rules.ko, to_play) {
            (Ko::Situational, Color::White) => hash ^ zobrist::WHITE_TO_MOVE,
            _ => hash,
        }
    }

    /// Whether the game has ended.
    pub fn ended(&self) -> bool {
        self.passes >= 2 || self.moves.len() >= self.rules.max_moves
    }

    /// Takes the game up again after two passes, as players do who do not agree on what is dead.
    pub fn resume(&mut self) {
        if self.passes >= 2 {
            self.passes = 0;
        }
    }

    /// What Black has more than White, less komi and what White gets for handicap stones. Above 0:
    /// Black is ahead. All stones on the board count as alive and none as in seki:
    /// [`statuses`](super::statuses) judges them first.
    pub fn score(&self) -> f32 {
        score::difference(&self.board) as f32 - self.headway()
    }

    /// What Black's area has to be larger than White's for an even score, where both make as many
    /// moves from here on, passes included.
    ///
    /// By area that is [`Go::compensation`]; by territory a stone is no point, so that what a side
    /// has put on the board is taken off its area.
    pub(crate) fn headway(&self) -> f32 {
        let put = |color| self.board.stones(color) as f32 + self.prisoners(color) as f32;
        self.compensation()
            + match self.rules.scoring {
                Scoring::Area => 0.0,
                Scoring::Territory => put(Color::Black) - put(Color::White),
            }
    }

    /// Stones of a colour that have been taken off the board, since it was last set up.
    pub fn prisoners(&self, color: Color) -> usize {
        self.captured[color.index()] as usize
    }

    /// Komi and what White gets for handicap stones.
    pub fn compensation(&self) -> f32 {
        self.rules.komi + self.rules.bonus_of(self.handicap())
    }

    /// Who owns each point where all stones count as alive.
    pub fn area(&self) -> Area {
        Area::new(&self.board)
    }

    /// The values of a score: 1 for the winner, 0 where both have the same.
    pub(crate) fn values_of(score: f32) -> Values {
        if score == 0.0 { Values::DRAW } else { Values::two(0, score.signum()) }
    }

    /// The present position and those after each of up to `count` − 1 moves before, latest first:
    /// the stones row by row from the top left.
    pub(crate) fn past(&self, count: usize) -> Vec<Vec<Option<Color>>> {
        let stones = |board: &Board| self.points().map(|point| board.stone(point)).collect();
        let mut board = match &self.start {
            Some(start) => Board::clone(start),
            None => Board::new(self.board.width(), self.board.height()),
        };
        let kept = self.moves.len() + 1 - count.min(self.moves.len() + 1);
        let mut positions = Vec::with_capacity(count);
        for done in 0..=self.moves.len() {
            if done >= kept {
                positions.push(stones(&board));
            }
            let Some((&action, &color)) = self.moves.get(done).zip(self.movers.get(done)) else {
                break;
            };
            if action < self.pass() {
                board.play(board.vertex_of(usize::from(action)), color);
            }
        }
        positions.reverse();
        positions
    }

    /// The board for playouts that forget the game.
    pub(crate) fn board_mut(&mut self) -> &mut Board {
        &mut self.board
    }
}

impl Game for Go {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        format!("go {}x{}", self.board.width(), self.board.height())
    }

    fn actions(&self) -> usize {
        self.board.area() + 1
    }

    fn turn(&self) -> Turn {
        Turn::Player(self.to_play as u8)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.ended() {
            return;
        }
        for index in 0..self.board.area() {
            let v = self.board.vertex_of(index);
            if self.board.cell(v) == EMPTY && self.why_forbidden(v).is_none() {
                actions.push(index as Action);
            }
        }
        actions.push(self.pass());
    }

    fn play(&mut self, action: Action) {
        if action >= self.pass() {
            self.passes += 1;
            self.board.clear_ko();
        } else {
            let v = self.board.vertex_of(usize::from(action));
            let taken = self.board.play(v, self.to_play) as u32;
            let suicide = self.board.cell(v) == EMPTY;
            let of = if suicide { self.to_play } else { self.to_play.opponent() };
            self.captured[of.index()] += taken;
            self.passes = 0;
        }
        self.moves.push(action);
        self.movers.push(self.to_play);
        self.to_play = self.to_play.opponent();
        self.hashes.push(self.situation(self.board.hash(), self.to_play));
    }

    fn outcome(&self) -> Option<Values> {
        self.ended().then(|| Self::values_of(self.score()))
    }

    fn is_legal(&self, action: Action) -> bool {
        action <= self.pass() && self.why_illegal(self.move_of(action)).is_none()
    }

    /// A light playout: at random, but no own eye is filled.
    fn rollout(&mut self, random: &mut Random, _actions: &mut Vec<Action>) -> Option<Values> {
        if let Some(values) = self.outcome() {
            return Some(values);
        }
        let headway = self.headway();
        let difference = playout::light(&mut self.board, self.to_play, self.passes, random);
        Some(Self::values_of(difference as f32 - headway))
    }

    fn action_name(&self, action: Action) -> String {
        self.move_of(action).name(self.board.height())
    }
}

impl Hashed for Go {
    /// Stones, player to move and passes; not the past.
    fn hash(&self) -> u64 {
        let turn = self.to_play.index() as u64;
        self.board.hash() ^ crate::random::mix(turn, u64::from(self.passes) + 0x60)
    }
}

impl fmt::Debug for Go {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} moves\n{self}", self.name(), self.moves.len())
    }
}

impl fmt::Display for Go {
    /// The board with coordinates: `X` Black, `O` White.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = (self.board.width(), self.board.height());
        let letters = |f: &mut fmt::Formatter<'_>| {
            write!(f, "  ")?;
            for x in 0..width {
                write!(f, " {}", &Point::new(x, 0).name(height)[..1])?;
            }
            writeln!(f)
        };
        letters(f)?;
        for y in 0..height {
            let row = height - y;
            write!(f, "{row:2}")?;
            for x in 0..width {
                let mark = match self.board.stone(Point::new(x, y)) {
                    Some(Color::Black) => 'X',
                    Some(Color::White) => 'O',
                    None => '.',
                };
                write!(f, " {mark}")?;
            }
            writeln!(f, " {row:2}")?;
        }
        letters(f)?;
        writeln!(f, "{} to play", self.to_play)
    }
}
