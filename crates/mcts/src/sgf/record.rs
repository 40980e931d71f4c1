//! A game of Go in an SGF file: its main line, ready to be played.

use model_utils_core::config;

use super::tree::{Node, Property, Sgf, Value};
use crate::error::{Error, Result};
use crate::go::{Color, Go, MAX_SIDE, Move, Point, Rules};
use crate::symmetry;

/// What is done about an error that can be passed over: the same again, or nothing.
type Fault<'f> = dyn FnMut(Error) -> Result<()> + 'f;

/// What a node of the main line does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A move.
    Move(Color, Move),
    /// Stones put on the board, or taken off (`None`).
    SetUp(Vec<(Point, Option<Color>)>),
    /// Who moves next.
    ToPlay(Color),
}

/// One game of Go: what its first node says, and the steps of its main line.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Columns of the board.
    pub width: usize,
    /// Rows of the board.
    pub height: usize,
    /// Komi, where the file tells it.
    pub komi: Option<f32>,
    /// Handicap stones.
    pub handicap: usize,
    /// The rules as written, for example `Japanese`; an empty text where there are none.
    pub rules: String,
    /// Black's name, or an empty text.
    pub black: String,
    /// White's name, or an empty text.
    pub white: String,
    /// The result as written, for example `B+3.5` or `W+R`; an empty text where there is none.
    pub result: String,
    /// The steps in order, each with its line and column in the file (0 where it was not read).
    pub steps: Vec<(Step, usize, usize)>,
}

impl Record {
    /// A record without moves.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a side that is not 1 to 19.
    pub fn new(width: usize, height: usize) -> Result<Self> {
        config::require((1..=MAX_SIDE).contains(&width), "width", width, "1 to 19")?;
        config::require((1..=MAX_SIDE).contains(&height), "height", height, "1 to 19")?;
        Ok(Self {
            width,
            height,
            komi: None,
            handicap: 0,
            rules: String::new(),
            black: String::new(),
            white: String::new(),
            result: String::new(),
            steps: Vec::new(),
        })
    }

    /// The first game of a file, to the letter; [`Record::lenient`] takes what servers and people
    /// write.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] with line and column where the game is not Go, the board is out of
    /// range, a number is none, or a point is not on the board.
    pub fn from_sgf(sgf: &Sgf) -> Result<Self> {
        Self::from_sgf_game(sgf, 0)
    }

    /// A game of a file, counted from 0.
    ///
    /// # Errors
    ///
    /// As [`Record::from_sgf`]; also where the file has fewer games.
    pub fn from_sgf_game(sgf: &Sgf, game: usize) -> Result<Self> {
        Self::read_game(sgf, game, &mut Err)
    }

    /// A game of a file, counted from 0, and what of it was passed over or taken otherwise than it
    /// is written: numbers with words behind them (`6.5目`), handicaps that are none, properties
    /// with points off the board, and komi in Chinese stones or hundredths (`3.75` and `375` are 7.5
    /// points, `650` is 6.5).
    ///
    /// # Errors
    ///
    /// [`Error::Record`] where the file has fewer games, the game is not Go, or the board is out of
    /// range.
    pub fn lenient(sgf: &Sgf, game: usize) -> Result<(Self, Vec<Error>)> {
        let mut passed = Vec::new();
        let record = Self::read_game(sgf, game, &mut |error| {
            passed.push(error);
            Ok(())
        })?;
        Ok((record, passed))
    }

    /// Reads a game; `fault` decides about each error that can be passed over.
    fn read_game(sgf: &Sgf, game: usize, fault: &mut Fault<'_>) -> Result<Self> {
        let first = sgf.main_line(game).next().ok_or_else(|| Error::Record {
            line: 1,
            column: 1,
            reason: format!("there is no game {game}: the file has {}", sgf.games().len()),
        })?;
        let mut record = Self::header(first, fault)?;
        for node in sgf.main_line(game) {
            record.read(node, fault)?;
        }
        Ok(record)
    }

    /// What the first node says.
    fn header(node: &Node, fault: &mut Fault<'_>) -> Result<Self> {
        if let Some(game) = node.property("GM")
            && game.text().trim() != "1"
        {
            return Err(game.error(format!("the game is number {}, expected 1, Go", game.text())));
        }
        let (width, height) = match node.property("SZ") {
            Some(size) => sides(size)?,
            None => (MAX_SIDE, MAX_SIDE),
        };
        let text = |name: &str| node.property(name).map(Property::text).unwrap_or_default();
        let mut record = Self::new(width, height)?;
        record.komi = komi(node, fault)?;
        record.handicap = number(node, "HA", fault)?.unwrap_or(0.0) as usize;
        record.rules = text("RU");
        record.black = text("PB");
        record.white = text("PW");
        record.result = text("RE");
        Ok(record)
    }

    /// The steps of a node.
    fn read(&mut self, node: &Node, fault: &mut Fault<'_>) -> Result<()> {
        let mut stones = Vec::new();
        let mut place = None;
        for property in &node.properties {
            let color = match property.name.as_str() {
                "AB" => Some(Color::Black),
                "AW" => Some(Color::White),
                "AE" => None,
                _ => continue,
            };
            place.get_or_insert((property.line, property.column));
            for value in &property.values {
                match self.points(property, value) {
                    Ok(points) => stones.extend(points.into_iter().map(|p| (p, color))),
                    Err(error) => fault(error)?,
                }
            }
        }
        if let Some((line, column)) = place {
            self.steps.push((Step::SetUp(stones), line, column));
        }
        for property in &node.properties {
            match self.step(property) {
                Ok(Some(step)) => self.steps.push((step, property.line, property.column)),
                Ok(None) => {}
                Err(error) => fault(error)?,
            }
        }
        Ok(())
    }

    /// What a property does, but for set-up.
    fn step(&self, property: &Property) -> Result<Option<Step>> {
        Ok(Some(match property.name.as_str() {
            "B" => Step::Move(Color::Black, self.played(property)?),
            "W" => Step::Move(Color::White, self.played(property)?),
            "PL" => match property.text().trim() {
                "B" | "b" | "1" | "black" => Step::ToPlay(Color::Black),
                "W" | "w" | "2" | "white" => Step::ToPlay(Color::White),
                other => return Err(property.error(format!("PL is {other}, expected B or W"))),
            },
            _ => return Ok(None),
        }))
    }

    /// The move of `B` or `W`: nothing, or `tt` up to 19×19, is a pass.
    fn played(&self, property: &Property) -> Result<Move> {
        let text = property.text();
        let text = text.trim();
        if text.is_empty() || text == "tt" {
            return Ok(Move::Pass);
        }
        self.point(property, text).map(Move::Play)
    }

    fn point(&self, property: &Property, text: &str) -> Result<Point> {
        let coordinate =
            |letter: u8| letter.is_ascii_lowercase().then(|| usize::from(letter - b'a'));
        let point = match *text.as_bytes() {
            [x, y] => coordinate(x).zip(coordinate(y)).map(|(x, y)| Point::new(x, y)),
            _ => None,
        };
        let fits = |p: &Point| usize::from(p.x) < self.width && usize::from(p.y) < self.height;
        point.filter(fits).ok_or_else(|| {
            let (width, height) = (self.width, self.height);
            property.error(format!("`{text}` is no point of a {width}×{height} board"))
        })
    }

    /// The points of a value: one, or the rectangle of a composed value.
    fn points(&self, property: &Property, value: &Value) -> Result<Vec<Point>> {
        let Some((from, to)) = value.halves() else {
            return Ok(vec![self.point(property, value.text().trim())?]);
        };
        let from = self.point(property, from.text().trim())?;
        let to = self.point(property, to.text().trim())?;
        let rows = from.y.min(to.y)..=from.y.max(to.y);
        let columns = from.x.min(to.x)..=from.x.max(to.x);
        Ok(rows.flat_map(|y| columns.clone().map(move |x| Point { x, y })).collect())
    }

    /// Who won, where the result says so.
    pub fn winner(&self) -> Option<Color> {
        match self.result.trim().as_bytes() {
            [b'B' | b'b', b'+', ..] => Some(Color::Black),
            [b'W' | b'w', b'+', ..] => Some(Color::White),
            _ => None,
        }
    }

    /// The record turned or mirrored, as [`Symmetry`](crate::Symmetry) numbers it; boards that are
    /// not square have the first four symmetries only.
    #[must_use]
    pub fn transformed(&self, symmetry: usize) -> Self {
        let square = self.width == self.height;
        let symmetry = symmetry % if square { symmetry::SQUARE } else { symmetry::RECTANGLE };
        let turn = |point: &mut Point| {
            let index = usize::from(point.y) * self.width + usize::from(point.x);
            let to = symmetry::transform(symmetry, self.width, self.height, index);
            *point = Point::new(to % self.width, to / self.width);
        };
        let mut record = self.clone();
        for (step, ..) in &mut record.steps {
            match step {
                Step::Move(_, Move::Play(point)) => turn(point),
                Step::SetUp(stones) => stones.iter_mut().for_each(|stone| turn(&mut stone.0)),
                Step::Move(_, Move::Pass) | Step::ToPlay(_) => {}
            }
        }
        record
    }

    /// Forgets move `number`, counted from 1, and what follows; whose it was stays.
    pub fn keep_before_move(&mut self, number: usize) {
        let moves = self.steps.iter().enumerate().filter_map(|(at, (step, line, column))| {
            let Step::Move(color, _) = step else { return None };
            Some((at, (Step::ToPlay(*color), *line, *column)))
        });
        if let Some((end, turn)) = moves.into_iter().nth(number.max(1) - 1) {
            self.steps.truncate(end);
            self.steps.push(turn);
        }
    }

    /// Plays the steps one after another; `visit` sees the position before each move and the move.
    /// Returns the last position. The record's komi, handicap and way of scoring count, not those of
    /// `rules`, where it tells them.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] with the place of a move that `rules` forbid, or of a position that
    /// cannot be set up.
    pub fn replay_with(&self, rules: Rules, mut visit: impl FnMut(&Go, Move)) -> Result<Go> {
        let rules = rules.scored_as(&self.rules).with_komi(self.komi.unwrap_or(rules.komi));
        let mut game = Go::rectangle(self.width, self.height, rules)?;
        for (number, (step, line, column)) in self.steps.iter().enumerate() {
            let fault = |error: Error| {
                let reason = match error {
                    Error::Illegal { name, reason, .. } => format!("move {name}: {reason}"),
                    error => error.to_string(),
                };
                Error::Record { line: *line, column: *column, reason }
            };
            match step {
                Step::Move(color, played) => {
                    game.resume();
                    game.set_to_play(*color);
                    visit(&game, *played);
                    game.make(*played).map_err(fault)?;
                }
                Step::ToPlay(color) => game.set_to_play(*color),
                Step::SetUp(stones) => {
                    let handicap = number == 0 && self.handicap >= 2;
                    let turn = if handicap { Color::White } else { game.to_play() };
                    game.set_up(stones, turn).map_err(fault)?;
                    if handicap {
                        game.count_handicap(self.handicap);
                    }
                }
            }
        }
        Ok(game)
    }

    /// Plays the whole record.
    ///
    /// # Errors
    ///
    /// As [`Record::replay_with`].
    pub fn replay(&self, rules: Rules) -> Result<Go> {
        self.replay_with(rules, |_, _| {})
    }

    /// The record of a game as it was played.
    ///
    /// # Errors
    ///
    /// None for a [`Go`]; the signature follows [`Record::new`].
    pub fn from_game(game: &Go) -> Result<Self> {
        let board = game.board();
        let mut record = Self::new(board.width(), board.height())?;
        record.komi = Some(game.rules().komi);
        record.handicap = game.handicap();
        game.rules().scoring_name().clone_into(&mut record.rules);
        let start = game.start_stones();
        if !start.is_empty() {
            let stones = start.into_iter().map(|(point, color)| (point, Some(color))).collect();
            record.steps.push((Step::SetUp(stones), 0, 0));
        }
        for (&action, &color) in game.moves().iter().zip(game.movers()) {
            record.steps.push((Step::Move(color, game.move_of(action)), 0, 0));
        }
        Ok(record)
    }

    /// The record as a file of one game.
    pub fn to_sgf(&self) -> Sgf {
        let mut sgf = Sgf::new();
        let size = if self.width == self.height {
            Property::new("SZ", &self.width.to_string())
        } else {
            let value = Value(format!("{}:{}", self.width, self.height));
            Property { name: "SZ".into(), values: vec![value], line: 0, column: 0 }
        };
        let mut header =
            vec![Property::new("FF", "4"), Property::new("GM", "1"), Property::new("CA", "UTF-8")];
        header.push(size);
        if let Some(komi) = self.komi {
            header.push(Property::new("KM", &komi.to_string()));
        }
        if self.handicap > 0 {
            header.push(Property::new("HA", &self.handicap.to_string()));
        }
        let texts = [("RU", &self.rules), ("PB", &self.black), ("PW", &self.white)];
        for (name, text) in texts.into_iter().chain([("RE", &self.result)]) {
            if !text.is_empty() {
                header.push(Property::new(name, text));
            }
        }
        let mut at = sgf.add(None, header);
        for (index, (step, ..)) in self.steps.iter().enumerate() {
            match step {
                Step::Move(color, played) => {
                    let name = if *color == Color::Black { "B" } else { "W" };
                    at = sgf.add(at, vec![Property::new(name, &letters(*played))]);
                }
                Step::ToPlay(color) => {
                    let name = if *color == Color::Black { "B" } else { "W" };
                    at = sgf.add(at, vec![Property::new("PL", name)]);
                }
                Step::SetUp(stones) => {
                    if index > 0 {
                        at = sgf.add(at, Vec::new());
                    }
                    for property in set_up(stones) {
                        if let Some(node) = at {
                            sgf.add_property(node, property);
                        }
                    }
                }
            }
        }
        sgf
    }
}

/// A move as two letters; a pass as none.
fn letters(played: Move) -> String {
    match played {
        Move::Pass => String::new(),
        Move::Play(point) => [point.x, point.y].into_iter().map(|c| char::from(b'a' + c)).collect(),
    }
}

/// `AB`, `AW` and `AE` for stones.
fn set_up(stones: &[(Point, Option<Color>)]) -> Vec<Property> {
    let of = [("AB", Some(Color::Black)), ("AW", Some(Color::White)), ("AE", None)];
    let properties = of.into_iter().map(|(name, color)| {
        let points = stones.iter().filter(|stone| stone.1 == color);
        let values = points.map(|stone| Value::new(&letters(Move::Play(stone.0)))).collect();
        Property { name: name.to_owned(), values, line: 0, column: 0 }
    });
    properties.filter(|property| !property.values.is_empty()).collect()
}

/// The sides of `SZ`: one number, or columns and rows.
fn sides(size: &Property) -> Result<(usize, usize)> {
    let side = |value: &Value| value.text().trim().parse::<usize>().ok();
    let sides = size.values.first().and_then(|value| match value.halves() {
        Some((width, height)) => side(&width).zip(side(&height)),
        None => side(value).map(|side| (side, side)),
    });
    let fits = |&(width, height): &(usize, usize)| {
        (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height)
    };
    sides
        .filter(fits)
        .ok_or_else(|| size.error(format!("the board size is `{}`, expected 1 to 19", size.text())))
}

/// Komi in points.
fn komi(node: &Node, fault: &mut Fault<'_>) -> Result<Option<f32>> {
    let Some(written) = number(node, "KM", fault)? else { return Ok(None) };
    let hundredths = written.abs() >= 100.0;
    let komi = if hundredths { written / 100.0 } else { written };
    // Of stones in Chinese counting there are quarters, of points only halves.
    let stones = (2.0 * komi).fract() != 0.0;
    let komi = if stones { 2.0 * komi } else { komi };
    if (hundredths || stones)
        && let Some(property) = node.property("KM")
    {
        let written = property.text();
        fault(property.error(format!("KM is `{written}`, expected points: {komi}, as it seems")))?;
    }
    Ok(Some(komi))
}

/// A number of the first node; an empty value is none.
fn number(node: &Node, name: &str, fault: &mut Fault<'_>) -> Result<Option<f32>> {
    let Some(property) = node.property(name) else { return Ok(None) };
    let text = property.text();
    if text.trim().is_empty() {
        return Ok(None);
    }
    // Some programs write a comma for the decimal point.
    let written = text.trim().replace(',', ".");
    let read = |text: &str| text.parse().ok().filter(|number: &f32| number.is_finite());
    let found = read(&written);
    if found.is_none() {
        fault(property.error(format!("{name} is `{text}`, expected a number")))?;
    }
    let digits = written.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c));
    Ok(found.or_else(|| read(&written[..digits?])))
}
