//! The engine: a game, a player, clocks, and an answer to every command.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use super::analysis::Analysis;
use super::line::{Command, Reply};
use super::move_generator::{Decision, MoveGenerator};
use crate::clock::{Clock, Overtime};
use crate::game::Game as _;
use crate::go::{Color, Go, Move, Point, Rules, Status, Statuses, statuses};
use crate::sgf::{Record, Sgf};

/// The commands that an [`Engine`] knows.
const COMMANDS: [&str; 31] = [
    "boardsize",
    "clear_board",
    "cputime",
    "final_score",
    "final_status_list",
    "fixed_handicap",
    "genmove",
    "get_komi",
    "kata-analyze",
    "kgs-genmove_cleanup",
    "kgs-time_settings",
    "known_command",
    "komi",
    "list_commands",
    "loadsgf",
    "lz-analyze",
    "name",
    "place_free_handicap",
    "play",
    "printsgf",
    "protocol_version",
    "query_boardsize",
    "quit",
    "rectangular_boardsize",
    "reg_genmove",
    "set_free_handicap",
    "showboard",
    "time_left",
    "time_settings",
    "undo",
    "version",
];

/// How long a search without end does not look for the next command.
const GLANCE: Duration = Duration::from_millis(3);

/// What the reading thread has: a line, none at the end of the input.
type Line = std::io::Result<Option<Vec<u8>>>;

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
    pondering: bool,
    /// Whether a move of its own was the last change of the game.
    waits: bool,
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
            pondering: false,
            waits: false,
            quit: false,
            thought: Duration::ZERO,
        }
    }

    /// Whether [`Engine::run`] thinks on after a move of its own while it waits for the next
    /// command: not unless set. What it finds about the move that comes is kept; what it says of a
    /// position by simulations alone is then no longer the same in every run.
    #[must_use]
    pub fn with_pondering(mut self, pondering: bool) -> Self {
        self.pondering = pondering;
        self
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

    /// Answers a line; `None` where there is no command in it. An analysis is one report of it.
    pub fn answer(&mut self, line: &str) -> Option<Reply> {
        let command = Command::parse(line)?;
        let result = self.run_command(&command);
        Some(Reply { id: command.id, result })
    }

    /// Reads commands and writes replies until `quit` or the end of the input. Another thread reads,
    /// so that an analysis, which goes on until the next command, sees it come.
    ///
    /// # Errors
    ///
    /// Where reading or writing fails.
    pub fn run(
        &mut self,
        mut input: impl BufRead + Send + 'static,
        mut output: impl Write,
    ) -> std::io::Result<()> {
        let (send, lines) = sync_channel(1 << 10);
        // It is left to itself after `quit`: the other side may keep the input open.
        std::thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                let read =
                    input.read_until(b'\n', &mut line).map(|count| (count > 0).then_some(line));
                let is_last = !matches!(read, Ok(Some(_)));
                if send.send(read).is_err() || is_last {
                    break;
                }
            }
        });
        let mut next = None;
        while !self.quit {
            let line = next.take().or_else(|| self.ponder(&lines));
            let line = line.unwrap_or_else(|| lines.recv().unwrap_or(Ok(None)));
            let Some(line) = line? else { break };
            let line = String::from_utf8_lossy(&line);
            let analysis =
                Command::parse(&line).filter(|command| Analysis::is_known(&command.name));
            if let Some(command) = analysis {
                next = self.stream(&command, &lines, &mut output)?;
            } else if let Some(reply) = self.answer(&line) {
                write!(output, "{reply}")?;
            }
            output.flush()?;
        }
        Ok(())
    }

    /// Thinks about the answer to a move of its own until the next line comes; that line. `None`
    /// where there is nothing to think about, any more or at all.
    fn ponder(&mut self, lines: &Receiver<Line>) -> Option<Line> {
        let mut next = lines.try_recv().ok();
        let thinks = self.pondering && self.waits && self.game.outcome().is_none();
        if next.is_none() && thinks {
            let thought = self.player.analyze(&self.game, None, GLANCE, &mut |_| {
                next = lines.try_recv().ok();
                next.as_ref().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()))
            });
            // What failed would fail again: the next search that is asked for says why.
            self.waits = thought.is_ok();
        }
        next
    }

    /// Writes reports until the next line comes; that line.
    fn stream(
        &mut self,
        command: &Command,
        lines: &Receiver<Line>,
        output: &mut impl Write,
    ) -> std::io::Result<Option<Line>> {
        let (mut next, mut written) = (None, Ok(()));
        let mut begun = false;
        let id = command.id.map(|id| id.to_string()).unwrap_or_default();
        let analyzed = self.analyze(command, &mut |report| {
            if let Some(report) = report {
                let head = if begun { String::new() } else { format!("={id}\n") };
                begun = true;
                written = writeln!(output, "{head}{report}").and_then(|()| output.flush());
            }
            next = next.take().or_else(|| lines.try_recv().ok());
            if next.is_some() || written.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        written?;
        match (analyzed, begun) {
            // What was begun can only be ended.
            (_, true) => writeln!(output)?,
            (Ok(()), false) => write!(output, "={id}\n\n")?,
            (Err(reason), false) => {
                write!(output, "{}", Reply { id: command.id, result: Err(reason) })?;
            }
        }
        Ok(next)
    }

    /// Analyses the position: reports in the interval that is asked for, and in between, often, none;
    /// until it is told to stop, or the position is proven.
    fn analyze(
        &mut self,
        command: &Command,
        see: &mut dyn FnMut(Option<String>) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let mut game = self.game.clone();
        game.resume();
        let analysis = Analysis::read(command, &game)?;
        game.set_to_play(analysis.color);
        self.player.accepts(&game).map_err(|error| error.to_string())?;
        let allowed = analysis.allowed(&game)?;
        let glance = analysis.every.min(GLANCE);
        let mut due = analysis.every;
        let started = Instant::now();
        let found = self.player.analyze(&game, allowed, glance, &mut |found| {
            let report = (started.elapsed() >= due).then(|| {
                due = started.elapsed() + analysis.every;
                analysis.report(&game, found)
            });
            see(report)
        });
        self.thought += started.elapsed();
        let found = found.map_err(|error| error.to_string())?;
        // A proven position is searched no further.
        let _ = see(Some(analysis.report(&game, &found)));
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
            "boardsize" | "rectangular_boardsize" => self.board_size(command).map(|()| done),
            "query_boardsize" => Ok(self.game.board().width().to_string()),
            "clear_board" => {
                let board = self.game.board();
                self.start(Go::empty(board.width(), board.height(), self.rules_to_come()));
                Ok(done)
            }
            "komi" => {
                let komi = command.number(0, "a number of points")?;
                self.game.set_komi(komi).map_err(|error| error.to_string())?;
                self.rules.komi = komi;
                self.player.changed(&self.game);
                Ok(done)
            }
            "get_komi" => Ok(self.game.rules().komi.to_string()),
            "play" => self.play(command).map(|()| done),
            "genmove" => self.generate(command, true, false),
            "kgs-genmove_cleanup" => self.generate(command, true, true),
            "reg_genmove" => self.generate(command, false, false),
            "undo" => {
                let komi = self.game.rules().komi;
                self.game = self.past.pop().ok_or("cannot undo")?;
                self.waits = false;
                // Moves alone are undone.
                self.game.set_komi(komi).map_err(|error| error.to_string())?;
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
            "kgs-time_settings" => self.kgs_time_settings(command).map(|()| done),
            "time_left" => self.time_left(command).map(|()| done),
            "cputime" => Ok(format!("{:.3}", self.thought.as_secs_f64())),
            name if Analysis::is_known(name) => {
                let mut text = String::new();
                self.analyze(command, &mut |report| match report {
                    Some(report) => {
                        text = format!("\n{report}");
                        ControlFlow::Break(())
                    }
                    None => ControlFlow::Continue(()),
                })?;
                Ok(text)
            }
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

    /// The rules of the next game: its own, whatever a loaded record was played by, and the komi as
    /// it stands.
    fn rules_to_come(&self) -> Rules {
        Rules { komi: self.game.rules().komi, ..self.rules }
    }

    /// A new game: nothing is left to undo, the clocks start again.
    fn start(&mut self, game: Go) {
        self.game = game;
        self.past.clear();
        self.waits = false;
        self.player.changed(&self.game);
    }

    /// Tries a change of the game that can be undone.
    fn change(&mut self, change: impl FnOnce(&mut Go) -> Result<(), String>) -> Result<(), String> {
        let mut next = self.game.clone();
        change(&mut next)?;
        self.past.push(std::mem::replace(&mut self.game, next));
        self.waits = false;
        self.player.changed(&self.game);
        Ok(())
    }

    fn board_size(&mut self, command: &Command) -> Result<(), String> {
        let width: usize = command.number(0, "a board size")?;
        let height = if command.arguments.len() > 1 { command.number(1, "a size")? } else { width };
        let game =
            Go::rectangle(width, height, self.rules_to_come()).map_err(|_| "unacceptable size")?;
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

    /// Chooses a move, and plays it where the command says so. Once both have passed and do not
    /// agree on what is dead, it does not pass before the other's dead stones are taken off.
    fn generate(&mut self, command: &Command, play: bool, clean: bool) -> Result<String, String> {
        let color = color(command, 0)?;
        let started = Instant::now();
        let mut game = self.game.clone();
        game.resume();
        game.set_to_play(color);
        self.player.accepts(&game).map_err(|error| error.to_string())?;
        let clock = self.clocks.as_mut().map(|clocks| &mut clocks[color.index()]);
        let time = if play { clock.map(|clock| clock.allot(moves_to_come(&game))) } else { None };
        let mut decision = self.player.choose(&game, time);
        if clean && matches!(decision, Ok(Decision::Move(Move::Pass))) && self.is_littered(color) {
            let mut moves = Vec::new();
            game.legal_actions(&mut moves);
            moves.retain(|action| *action != game.pass());
            if !moves.is_empty() {
                let every = time.unwrap_or(Duration::from_secs(1));
                let found =
                    self.player.analyze(&game, Some(moves), every, &mut |_| ControlFlow::Break(()));
                decision = found.map(|found| Decision::Move(game.move_of(found.best())));
            }
        }
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
                    self.waits = true;
                } else if let Some(reason) = game.why_illegal(chosen) {
                    return Err(format!("the player chose an illegal move: {reason}"));
                }
                Ok(chosen.name(height))
            }
        }
    }

    /// Whether the opponent has dead stones on the board.
    fn is_littered(&self, color: Color) -> bool {
        let board = self.game.board();
        let other = |points: &[Point]| {
            points.first().and_then(|point| board.stone(*point)) == Some(color.opponent())
        };
        let chains = self.statuses().chains;
        chains.iter().any(|(status, points)| *status == Status::Dead && other(points))
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

    /// `none`, `absolute MAIN`, `byoyomi MAIN PERIOD PERIODS` or `canadian MAIN PERIOD STONES`.
    fn kgs_time_settings(&mut self, command: &Command) -> Result<(), String> {
        let seconds = |index| command.number::<u32>(index, "seconds").map(u64::from);
        let overtime = match command.argument(0, "a kind of clock")? {
            "none" => {
                self.clocks = None;
                return Ok(());
            }
            "absolute" => Overtime::None,
            kind @ ("byoyomi" | "canadian") => {
                let (time, count) = (seconds(2)?, command.number(3, "a number")?);
                // One move a period; further periods are a reserve that is not counted on.
                let moves = if kind == "byoyomi" { 1 } else { count };
                Overtime::Period { time: Duration::from_secs(time), moves }
            }
            other => {
                return Err(format!("invalid clock `{other}`: none, absolute, byoyomi, canadian"));
            }
        };
        self.clocks = Some([Clock::new(Duration::from_secs(seconds(1)?), overtime); 2]);
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
    fn final_score(&self) -> String {
        let score = self.statuses().score;
        match score {
            0.0 => "0".to_owned(),
            score if score > 0.0 => format!("B+{score}"),
            score => format!("W+{}", -score),
        }
    }

    /// The same for the same position, however often it is asked for.
    fn statuses(&self) -> Statuses {
        statuses(&self.game)
    }

    fn final_status_list(&self, command: &Command) -> Result<String, String> {
        let wanted = match command.argument(0, "alive, dead or seki")? {
            "alive" => Status::Alive,
            "dead" => Status::Dead,
            "seki" => Status::Seki,
            other => return Err(format!("invalid status `{other}`: alive, dead or seki")),
        };
        let height = self.game.board().height();
        let chains = self.statuses().chains;
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
            Sgf::open(Path::new(path)).and_then(|sgf| Record::lenient(&sgf, 0)).map_err(failed)?.0;
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

pub(super) fn color(command: &Command, index: usize) -> Result<Color, String> {
    let text = command.argument(index, "a colour")?;
    match text.to_ascii_lowercase().as_str() {
        "b" | "black" => Ok(Color::Black),
        "w" | "white" => Ok(Color::White),
        _ => Err(format!("invalid color `{text}`")),
    }
}
