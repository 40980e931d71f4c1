//! The engine: a game, a player, clocks, and an answer to every command.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::line::{Command, Reply};
use super::move_generator::{Decision, MoveGenerator};
use crate::clock::{Clock, Overtime};
use crate::go::{Color, Go, Move, Point, Rules, Status, statuses};
use crate::random::Random;
use crate::sgf::{Record, Sgf};

/// The commands that an [`Engine`] knows.
const COMMANDS: [&str; 26] = [
    "boardsize",
    "clear_board",
    "cputime",
    "final_score",
    "final_status_list",
    "fixed_handicap",
    "genmove",
    "get_komi",
    "known_command",
    "komi",
    "list_commands",
    "loadsgf",
    "name",
    "place_free_handicap",
    "play",
    "printsgf",
    "protocol_version",
    "query_boardsize",
    "quit",
    "reg_genmove",
    "set_free_handicap",
    "showboard",
    "time_left",
    "time_settings",
    "undo",
    "version",
];

/// A GTP engine: rules, board and clocks; a [`MoveGenerator`] chooses its moves.
///
/// A command that fails is answered by `? reason`, and the game stays as it was.
#[derive(Debug)]
pub struct Engine<P> {
    player: P,
    rules: Rules,
    game: Go,
    /// The game before each change that can be undone.
    past: Vec<Go>,
    clocks: Option<[Clock; 2]>,
    random: Random,
    quit: bool,
    thought: Duration,
}

impl<P: MoveGenerator> Engine<P> {
    /// An engine with a 19×19 board and [`Rules::chinese`].
    pub fn new(player: P) -> Self {
        Self::with_rules(player, Rules::chinese())
    }

    /// An engine with other rules; rules that cannot be played become [`Rules::chinese`].
    pub fn with_rules(player: P, rules: Rules) -> Self {
        let rules = if rules.check().is_ok() { rules } else { Rules::chinese() };
        Self {
            player,
            rules,
            game: Go::empty(19, 19, rules),
            past: Vec::new(),
            clocks: None,
            random: Random::new(0x6774_7032),
            quit: false,
            thought: Duration::ZERO,
        }
    }

    /// The game as it stands.
    pub fn game(&self) -> &Go {
        &self.game
    }

    /// Who chooses the moves.
    pub fn player(&self) -> &P {
        &self.player
    }

    /// Whether `quit` was asked for.
    pub fn has_quit(&self) -> bool {
        self.quit
    }

    /// Answers a line; `None` where there is no command in it.
    pub fn answer(&mut self, line: &str) -> Option<Reply> {
        let command = Command::parse(line)?;
        let result = self.run_command(&command);
        Some(Reply { id: command.id, result })
    }

    /// Reads commands and writes replies until `quit` or the end of the input.
    ///
    /// # Errors
    ///
    /// Where reading or writing fails.
    pub fn run(&mut self, mut input: impl BufRead, mut output: impl Write) -> std::io::Result<()> {
        let mut line = Vec::new();
        while !self.quit {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if let Some(reply) = self.answer(&String::from_utf8_lossy(&line)) {
                write!(output, "{reply}")?;
                output.flush()?;
            }
        }
        Ok(())
    }

    fn run_command(&mut self, command: &Command) -> Result<String, String> {
        let done = String::new();
        match command.name.as_str() {
            "protocol_version" => Ok("2".to_owned()),
            "name" => Ok(self.player.name()),
            "version" => Ok(env!("CARGO_PKG_VERSION").to_owned()),
            "known_command" => {
                let name = command.argument(0, "a command")?;
                Ok(COMMANDS.contains(&name).to_string())
            }
            "list_commands" => Ok(COMMANDS.join("\n")),
            "quit" => {
                self.quit = true;
                Ok(done)
            }
            "boardsize" => self.board_size(command).map(|()| done),
            "query_boardsize" => Ok(self.game.board().width().to_string()),
            "clear_board" => {
                let board = self.game.board();
                self.start(Go::empty(board.width(), board.height(), *self.game.rules()));
                Ok(done)
            }
            "komi" => {
                let komi = command.number(0, "a number of points")?;
                self.game.set_komi(komi).map_err(|error| error.to_string())?;
                self.rules = *self.game.rules();
                self.player.changed(&self.game);
                Ok(done)
            }
            "get_komi" => Ok(self.game.rules().komi.to_string()),
            "play" => self.play(command).map(|()| done),
            "genmove" => self.generate(command, true),
            "reg_genmove" => self.generate(command, false),
            "undo" => {
                self.game = self.past.pop().ok_or("cannot undo")?;
                self.player.changed(&self.game);
                Ok(done)
            }
            "fixed_handicap" => {
                let stones = command.number(0, "a number of stones")?;
                let points = self.game.handicap_points(stones).ok_or("invalid number of stones")?;
                self.handicap(&points)
            }
            "place_free_handicap" => {
                let stones: usize = command.number(0, "a number of stones")?;
                if stones < 2 {
                    return Err("invalid number of stones".to_owned());
                }
                self.handicap(&self.game.free_handicap_points(stones))
            }
            "set_free_handicap" => {
                let points: Result<Vec<_>, _> =
                    command.arguments.iter().map(|name| self.point(name)).collect();
                self.handicap(&points?).map(|_| done)
            }
            "time_settings" => self.time_settings(command).map(|()| done),
            "time_left" => self.time_left(command).map(|()| done),
            "cputime" => Ok(format!("{:.3}", self.thought.as_secs_f64())),
            "final_score" => Ok(self.final_score()),
            "final_status_list" => self.final_status_list(command),
            "loadsgf" => self.load(command).map(|()| done),
            "printsgf" => {
                let record = Record::from_game(&self.game).map_err(|error| error.to_string())?;
                Ok(record.to_sgf().to_string())
            }
            "showboard" => Ok(format!("\n{}", self.game)),
            _ => Err("unknown command".to_owned()),
        }
    }

    /// A new game: nothing is left to undo, the clocks start again.
    fn start(&mut self, game: Go) {
        self.game = game;
        self.past.clear();
        self.player.changed(&self.game);
    }

    /// Tries a change of the game that can be undone.
    fn change(&mut self, change: impl FnOnce(&mut Go) -> Result<(), String>) -> Result<(), String> {
        let mut next = self.game.clone();
        change(&mut next)?;
        self.past.push(std::mem::replace(&mut self.game, next));
        self.player.changed(&self.game);
        Ok(())
    }

    fn board_size(&mut self, command: &Command) -> Result<(), String> {
        let width: usize = command.number(0, "a board size")?;
        let height = if command.arguments.len() > 1 { command.number(1, "a size")? } else { width };
        let rules = *self.game.rules();
        let game = Go::rectangle(width, height, rules).map_err(|_| "unacceptable size")?;
        self.player.accepts(&game).map_err(|error| format!("unacceptable size: {error}"))?;
        self.start(game);
        Ok(())
    }

    fn point(&self, name: &str) -> Result<Point, String> {
        let board = self.game.board();
        let invalid = || format!("invalid vertex `{name}`");
        Point::parse(name, board.width(), board.height()).ok_or_else(invalid)
    }

    fn play(&mut self, command: &Command) -> Result<(), String> {
        let color = color(command, 0)?;
        let name = command.argument(1, "a vertex")?;
        let played = if name.eq_ignore_ascii_case("pass") {
            Move::Pass
        } else {
            Move::Play(self.point(name)?)
        };
        self.change(|game| {
            game.resume();
            game.make_as(color, played).map_err(illegal)
        })
    }

    /// Chooses a move, and plays it where the command says so.
    fn generate(&mut self, command: &Command, play: bool) -> Result<String, String> {
        let color = color(command, 0)?;
        let started = Instant::now();
        let mut game = self.game.clone();
        game.resume();
        game.set_to_play(color);
        self.player.accepts(&game).map_err(|error| error.to_string())?;
        let clock = self.clocks.as_mut().map(|clocks| &mut clocks[color.index()]);
        let time = if play { clock.map(|clock| clock.allot(moves_to_come(&game))) } else { None };
        let decision = self.player.choose(&game, time);
        self.thought += started.elapsed();
        if play && let Some(clocks) = &mut self.clocks {
            clocks[color.index()].spend(started.elapsed());
        }
        let height = game.board().height();
        match decision.map_err(|error| error.to_string())? {
            Decision::Resign => Ok("resign".to_owned()),
            Decision::Move(chosen) => {
                if play {
                    self.change(|next| {
                        next.clone_from(&game);
                        next.make(chosen).map_err(illegal)
                    })?;
                } else if let Some(reason) = game.why_illegal(chosen) {
                    return Err(format!("the player chose an illegal move: {reason}"));
                }
                Ok(chosen.name(height))
            }
        }
    }

    fn handicap(&mut self, points: &[Point]) -> Result<String, String> {
        let stones =
            self.game.board().stones(Color::Black) + self.game.board().stones(Color::White);
        if stones > 0 || !self.game.moves().is_empty() {
            return Err("board not empty".to_owned());
        }
        self.change(|game| game.set_handicap(points).map_err(|error| error.to_string()))?;
        let height = self.game.board().height();
        let names: Vec<_> = points.iter().map(|point| point.name(height)).collect();
        Ok(names.join(" "))
    }

    fn time_settings(&mut self, command: &Command) -> Result<(), String> {
        let [main, period] = [0, 1].map(|index| command.number::<u32>(index, "seconds"));
        let (main, period) = (main?, period?);
        let moves: u32 = command.number(2, "a number of stones")?;
        let overtime = match (period, moves) {
            // A period without stones: no limit, says the protocol.
            (1.., 0) => {
                self.clocks = None;
                return Ok(());
            }
            (0, _) => Overtime::None,
            (period, moves) => Overtime::Period { time: Duration::from_secs(period.into()), moves },
        };
        let clock = Clock::new(Duration::from_secs(main.into()), overtime);
        self.clocks = Some([clock; 2]);
        Ok(())
    }

    fn time_left(&mut self, command: &Command) -> Result<(), String> {
        let color = color(command, 0)?;
        let seconds: u32 = command.number(1, "seconds")?;
        let moves: u32 = command.number(2, "a number of stones")?;
        let unset = Clock::new(Duration::ZERO, Overtime::None);
        let clocks = self.clocks.get_or_insert([unset; 2]);
        clocks[color.index()].set_left(Duration::from_secs(seconds.into()), moves);
        Ok(())
    }

    /// The score with dead stones taken off.
    fn final_score(&mut self) -> String {
        let score = statuses(&self.game, &mut self.random).score;
        match score {
            0.0 => "0".to_owned(),
            score if score > 0.0 => format!("B+{score}"),
            score => format!("W+{}", -score),
        }
    }

    fn final_status_list(&mut self, command: &Command) -> Result<String, String> {
        let wanted = match command.argument(0, "alive, dead or seki")? {
            "alive" => Status::Alive,
            "dead" => Status::Dead,
            "seki" => Status::Seki,
            other => return Err(format!("invalid status `{other}`: alive, dead or seki")),
        };
        let height = self.game.board().height();
        let chains = statuses(&self.game, &mut self.random).chains;
        let lines = chains.into_iter().filter(|(status, _)| *status == wanted).map(|(_, chain)| {
            let names: Vec<_> = chain.iter().map(|point| point.name(height)).collect();
            names.join(" ")
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Loads the main line of a file, up to before move `n` where it is given.
    fn load(&mut self, command: &Command) -> Result<(), String> {
        let failed = |error: crate::Error| format!("cannot load file: {error}");
        let path = command.argument(0, "a file")?;
        let mut record =
            Sgf::open(Path::new(path)).and_then(|sgf| Record::from_sgf(&sgf)).map_err(failed)?;
        if command.arguments.len() > 1 {
            let before: usize = command.number(1, "a move number")?;
            record.keep_before_move(before);
        }
        let game = record.replay(self.rules).map_err(failed)?;
        self.player.accepts(&game).map_err(failed)?;
        self.start(game);
        Ok(())
    }
}

/// About how many own moves are still to come: the clock is spread over so many.
fn moves_to_come(game: &Go) -> u32 {
    let board = game.board();
    let empty = board.area() - board.stones(Color::Black) - board.stones(Color::White);
    (empty as u32 / 3).max(8)
}

fn illegal(error: crate::Error) -> String {
    match error {
        crate::Error::Illegal { reason, .. } => format!("illegal move: {reason}"),
        error => error.to_string(),
    }
}

fn color(command: &Command, index: usize) -> Result<Color, String> {
    let text = command.argument(index, "a colour")?;
    match text.to_ascii_lowercase().as_str() {
        "b" | "black" => Ok(Color::Black),
        "w" | "white" => Ok(Color::White),
        _ => Err(format!("invalid color `{text}`")),
    }
}
