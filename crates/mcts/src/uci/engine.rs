//! The engine: a position, a search, and an answer to every line.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::depth::Depths;
use super::go::Go;
use crate::chess::{Chess, Classical, Ending};
use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::found::{Choice, Found};
use crate::game::{Action, Game as _};
use crate::limits::Limits;
use crate::rule::Rule;
use crate::search::Search;
use crate::tree::{Proven, Tree};

/// The commands that it knows; words before one are passed over, as the protocol wants.
const COMMANDS: [&str; 11] = [
    "uci",
    "debug",
    "isready",
    "setoption",
    "register",
    "ucinewgame",
    "position",
    "go",
    "stop",
    "ponderhit",
    "quit",
];
/// How long a search does not look for lines.
const GLANCE: Duration = Duration::from_millis(4);
/// How long it says nothing.
const SILENCE: Duration = Duration::from_millis(400);
/// Nodes that a report may look at to count the moves to mate.
const LOOKS: u32 = 2000;
/// What a node of the tree takes, and what goes with it.
const NODE_BYTES: usize = 32;
const THREADS: std::ops::RangeInclusive<usize> = 1..=256;
const HASH_MB: std::ops::RangeInclusive<usize> = 1..=4096;
const MULTI_PV: std::ops::RangeInclusive<usize> = 1..=256;
const OVERHEAD_MS: std::ops::RangeInclusive<usize> = 0..=5000;

/// What can be set.
#[derive(Debug, Clone, Copy)]
struct Options {
    threads: usize,
    hash_mb: usize,
    multi_pv: usize,
    overhead_ms: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, hash_mb: 256, multi_pv: 1, overhead_ms: 30 }
    }
}

impl Options {
    const fn most_nodes(&self) -> usize {
        (self.hash_mb << 20) / NODE_BYTES
    }
}

/// A UCI engine: a rule and an evaluator search the positions that it is given.
///
/// | `setoption name` | sets |
/// | --- | --- |
/// | `Threads` | threads that search the tree |
/// | `Hash` | megabytes of the tree; beyond them, the least visited nodes are given up |
/// | `Clear Hash` | forgets the tree |
/// | `MultiPV` | how many moves are reported |
/// | `Move Overhead` | milliseconds kept back for the way of a move to the other side |
/// | `Ponder` | nothing: `go ponder` is always understood |
///
/// `nodes` are simulations; `depth` is the mean depth of the positions that were judged, `seldepth` the
/// greatest. `go depth N` ends where the line of best play has N plies, `go mate N` where a win or a
/// loss is proven, both at the latest when three quarters of `Hash` are full. A position that is drawn
/// by a claim, but has moves, is searched as if it were the first of its game.
///
/// What makes no sense is passed over, or answered by `info string`; where that was a position, `go` is
/// answered by `bestmove (none)` until there is another.
#[derive(Debug)]
pub struct Engine<R: Rule, E> {
    name: String,
    rule: R,
    evaluator: E,
    search: Search<Chess, R, Depths<E>>,
    options: Options,
    start: Chess,
    moves: Vec<Action>,
    game: Chess,
    /// The last `position` could not be read: no move would be one in it.
    lost: bool,
}

/// Lines as another thread reads them, with the time when they came.
struct Lines {
    coming: Receiver<std::io::Result<(Instant, String)>>,
    /// What came while a search went on, and has to wait.
    waiting: VecDeque<(Instant, String)>,
    /// The input has ended.
    closed: bool,
}

/// What lines have told a search so far.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    stop: bool,
    quit: bool,
    /// It thinks in the time of the other side.
    pondering: bool,
    /// When its own time began.
    hit: Option<Instant>,
}

/// A search that is asked for.
struct Task<'a> {
    game: Chess,
    go: &'a Go,
    /// When it was asked for.
    began: Instant,
    /// It has to be told to stop.
    endless: bool,
    time: Option<Duration>,
}

impl Lines {
    fn new(mut input: impl BufRead + Send + 'static) -> Self {
        let (send, coming) = sync_channel(1 << 10);
        // It is left to itself after `quit`: the other side may keep the input open.
        std::thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                let read = match input.read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) => Ok((Instant::now(), String::from_utf8_lossy(&line).into_owned())),
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if send.send(read).is_err() || failed {
                    break;
                }
            }
        });
        Self { coming, waiting: VecDeque::new(), closed: false }
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> std::io::Result<Option<(Instant, String)>> {
        match self.waiting.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.coming.recv().ok().transpose(),
        }
    }

    /// What lines tell a search: those that came, or, where `wait` is set, the next one.
    fn look(
        &mut self,
        told: &mut Told,
        wait: bool,
        output: &mut impl Write,
    ) -> std::io::Result<()> {
        let mut wait = wait;
        while !self.closed {
            let line = if wait {
                self.coming.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.coming.try_recv()
            };
            wait = false;
            let (at, line) = match line {
                Ok(line) => line?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.closed = true;
                    break;
                }
            };
            match command(&line).0 {
                "stop" => told.stop = true,
                "quit" => (told.stop, told.quit) = (true, true),
                "ponderhit" if told.pondering => (told.pondering, told.hit) = (false, Some(at)),
                "isready" => {
                    writeln!(output, "readyok")?;
                    output.flush()?;
                }
                "" | "debug" | "ponderhit" => {}
                // After the search.
                _ => self.waiting.push_back((at, line)),
            }
        }
        Ok(())
    }
}

/// The command of a line, and what follows.
fn command(line: &str) -> (&str, std::str::SplitWhitespace<'_>) {
    let mut words = line.split_whitespace();
    let name = words.find(|word| COMMANDS.contains(word)).unwrap_or_default();
    (name, words)
}

impl<R: Rule, E: Evaluator<Chess> + Fork> Engine<R, E> {
    /// An engine with a name, a rule and an evaluator.
    pub fn new(name: &str, rule: R, evaluator: E) -> Self {
        let options = Options::default();
        let search = new_search(&rule, &evaluator, options);
        let (start, moves, game) = (Chess::new(), Vec::new(), Chess::new());
        Self {
            name: name.to_owned(),
            rule,
            evaluator,
            search,
            options,
            start,
            moves,
            game,
            lost: false,
        }
    }

    /// The position.
    pub const fn game(&self) -> &Chess {
        &self.game
    }

    /// Reads lines and writes answers until `quit` or the end of the input; a search with a limit is
    /// brought to its end before that. Another thread reads, so that a search sees `stop` come.
    ///
    /// # Errors
    ///
    /// Where reading or writing fails.
    pub fn run(
        &mut self,
        input: impl BufRead + Send + 'static,
        mut output: impl Write,
    ) -> std::io::Result<()> {
        let mut lines = Lines::new(input);
        while let Some((at, line)) = lines.next()? {
            let (name, words) = command(&line);
            match name {
                "uci" => self.introduce(&mut output)?,
                "isready" => writeln!(output, "readyok")?,
                "ucinewgame" => {
                    self.search.clear();
                    (self.start, self.game, self.lost) = (Chess::new(), Chess::new(), false);
                    self.moves.clear();
                }
                "setoption" => say(self.set_option(words), &mut output)?,
                "position" => {
                    let read = self.read_position(words);
                    self.lost = read.is_err();
                    say(read, &mut output)?;
                }
                "go" if self.think(at, &Go::read(words), &mut lines, &mut output)? => break,
                "quit" => break,
                _ => {}
            }
            output.flush()?;
        }
        output.flush()
    }

    fn introduce(&self, output: &mut impl Write) -> std::io::Result<()> {
        let Options { threads, hash_mb, multi_pv, overhead_ms } = Options::default();
        writeln!(output, "id name {} {}", self.name, env!("CARGO_PKG_VERSION"))?;
        writeln!(output, "id author {}", env!("CARGO_PKG_AUTHORS"))?;
        for (name, value, range) in [
            ("Threads", threads, THREADS),
            ("Hash", hash_mb, HASH_MB),
            ("MultiPV", multi_pv, MULTI_PV),
            ("Move Overhead", overhead_ms, OVERHEAD_MS),
        ] {
            let (min, max) = (range.start(), range.end());
            writeln!(output, "option name {name} type spin default {value} min {min} max {max}")?;
        }
        writeln!(output, "option name Clear Hash type button")?;
        writeln!(output, "option name Ponder type check default false\nuciok")
    }

    fn set_option<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let words: Vec<&str> = words.skip_while(|word| *word != "name").skip(1).collect();
        let at = words.iter().position(|word| *word == "value").unwrap_or(words.len());
        let (name, value) = (words[..at].join(" "), words.get(at + 1).copied().unwrap_or_default());
        let (option, range) = match name.to_ascii_lowercase().as_str() {
            "threads" => (&mut self.options.threads, THREADS),
            "hash" => (&mut self.options.hash_mb, HASH_MB),
            "multipv" => (&mut self.options.multi_pv, MULTI_PV),
            "move overhead" => (&mut self.options.overhead_ms, OVERHEAD_MS),
            "clear hash" => {
                self.search.clear();
                return Ok(());
            }
            "ponder" => return Ok(()),
            _ => return Err(format!("no option is named `{name}`")),
        };
        let number = value.parse().ok().filter(|number| range.contains(number));
        *option = number.ok_or_else(|| {
            format!("{name}: `{value}`, expected {} to {}", range.start(), range.end())
        })?;
        if name.eq_ignore_ascii_case("hash") {
            self.search = new_search(&self.rule, &self.evaluator, self.options);
        }
        Ok(())
    }

    /// `startpos` or `fen FIELDS`, then perhaps `moves` and moves.
    fn read_position<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let words: Vec<&str> = words.collect();
        let at = words.iter().position(|word| *word == "moves").unwrap_or(words.len());
        let start = match words.first() {
            Some(&"startpos") => Chess::new(),
            Some(&"fen") => {
                let fen = words.get(1..at).unwrap_or_default().join(" ");
                Chess::from_fen(&fen).map_err(|error| error.to_string())?
            }
            _ => return Err("position: expected `startpos` or `fen`".to_owned()),
        };
        // Moves may go on from a draw that nobody claimed.
        let (mut game, mut moves, mut refused) = (start.clone(), Vec::new(), Ok(()));
        for text in words.iter().skip(at + 1) {
            match game.read_move(text) {
                Ok(action) => {
                    game.play(action);
                    moves.push(action);
                }
                Err(error) => {
                    refused = Err(error.to_string());
                    break;
                }
            }
        }
        let known = self.moves.len();
        if start == self.start && moves.starts_with(&self.moves) {
            for &action in &moves[known..] {
                if self.search.advance(action).is_err() {
                    break;
                }
            }
        }
        (self.start, self.moves, self.game) = (start, moves, game);
        refused
    }

    /// Answers `go`; whether to quit then.
    fn think(
        &mut self,
        began: Instant,
        go: &Go,
        lines: &mut Lines,
        output: &mut impl Write,
    ) -> std::io::Result<bool> {
        let mut game = self.game.clone();
        if game.ending().is_some() {
            game = game.without_past();
        }
        let side = game.side();
        let overhead = Duration::from_millis(self.options.overhead_ms as u64);
        let (endless, time) = (go.is_endless(side), go.time(side, overhead));
        let ending = game.ending();
        let task = Task { game, go, began, endless, time };
        let mut told = Told { pondering: go.ponder, ..Told::default() };
        let mut found = None;
        if self.lost {
            say(Err("go: the last position could not be read".to_owned()), output)?;
        } else if let Some(ending) = ending {
            let score = if ending == Ending::Checkmate { "mate 0" } else { "cp 0" };
            writeln!(output, "info depth 0 score {score}")?;
            output.flush()?;
        } else {
            found = self.search(&task, &mut told, lines, output)?;
        }
        // What has to be told to stop may have come to its end before.
        while (endless || told.pondering) && !told.stop && !lines.closed {
            lines.look(&mut told, true, output)?;
        }
        let none = "bestmove (none)".to_owned();
        let best = if self.lost { none } else { self.best_move(&task.game, found.as_ref()) };
        writeln!(output, "{best}")?;
        output.flush()?;
        Ok(told.quit)
    }

    /// Searches in parts, looks for lines within each and reports after it.
    fn search(
        &mut self,
        task: &Task<'_>,
        told: &mut Told,
        lines: &mut Lines,
        output: &mut impl Write,
    ) -> std::io::Result<Option<Found>> {
        let Task { game, go, began, endless, time } = task;
        self.allow(game, go);
        self.search.evaluator().begin(game);
        let (mut done, mut found) = (0, None);
        let is_deep =
            |found: &Found| go.depth.is_some_and(|d| found.principal_variation.len() >= d);
        loop {
            let pondered = told.pondering;
            let mut limits = self.limits(go, done);
            if let Some(time) = time.filter(|_| !pondered) {
                let end = told.hit.unwrap_or(*began) + time;
                let left = end.saturating_duration_since(Instant::now());
                limits = limits.or_time(left.max(Duration::from_micros(500)));
            }
            let due = Instant::now() + SILENCE;
            let (mut goes_on, mut looked) = (false, Ok(()));
            let part = self.search.watch(game, limits, self.options.threads, GLANCE, |found| {
                looked = lines.look(told, false, output);
                let hit = pondered && !told.pondering;
                let alone = lines.closed && (*endless || told.pondering);
                let over = told.stop || alone || looked.is_err() || is_deep(found);
                goes_on = !over && (hit || Instant::now() >= due);
                if over || goes_on { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            looked?;
            match part {
                Ok(mut part) => {
                    done += part.simulations;
                    part.simulations = done;
                    self.report(game, &part, *began, output)?;
                    found = Some(part);
                }
                Err(error) => {
                    say(Err(error.to_string()), output)?;
                    break;
                }
            }
            if !goes_on || go.nodes.is_some_and(|nodes| done >= nodes) {
                break;
            }
        }
        Ok(found)
    }

    /// Looks at the moves that are asked for alone, where some of them are legal.
    fn allow(&mut self, game: &Chess, go: &Go) {
        let read = go.search_moves.iter().filter_map(|text| game.read_move(text).ok());
        let mut actions: Vec<Action> = read.collect();
        actions.sort_unstable();
        actions.dedup();
        self.search.allow((!actions.is_empty()).then_some(actions));
    }

    /// How far it searches, time left out.
    fn limits(&self, go: &Go, done: u64) -> Limits {
        // One judges the root.
        let nodes = go.nodes.map_or(u64::MAX, |nodes| nodes.max(2) - done.min(nodes.max(2) - 1));
        let limits = Limits::simulations(nodes);
        if go.depth.is_some() || go.mate.is_some() {
            limits.or_nodes(self.options.most_nodes() / 4 * 3)
        } else {
            limits
        }
    }

    /// `info` lines of the best moves.
    fn report(
        &mut self,
        game: &Chess,
        found: &Found,
        began: Instant,
        output: &mut impl Write,
    ) -> std::io::Result<()> {
        let (depth, deepest) = self.search.evaluator().depths();
        let Some(tree) = self.search.tree() else { return Ok(()) };
        let elapsed = began.elapsed();
        let per_s = (found.simulations as f64 / elapsed.as_secs_f64().max(1e-6)) as u64;
        let full = (tree.nodes() as u64 * 1000 / self.options.most_nodes() as u64).min(1000);
        let mut looks = LOOKS;
        for (index, choice) in found.choices.iter().take(self.options.multi_pv).enumerate() {
            let line = line(tree, game, choice.action);
            let deepest = deepest.max(line.len() as u64);
            writeln!(
                output,
                "info depth {} seldepth {deepest} multipv {} score {} nodes {} nps {per_s} \
                 hashfull {full} time {} pv {}",
                depth.max(1),
                index + 1,
                score(tree, choice, &mut looks),
                found.simulations,
                elapsed.as_millis(),
                line.join(" ")
            )?;
        }
        output.flush()
    }

    /// The answer to `go`.
    fn best_move(&self, game: &Chess, found: Option<&Found>) -> String {
        // Where there was no time to visit a move, the most promising one.
        let best = found.and_then(|found| {
            let best = found.best_choice().filter(|best| best.visits > 0 || best.proven.is_some());
            best.or_else(|| found.choices.iter().max_by(|a, b| a.prior.total_cmp(&b.prior)))
        });
        let best = best.map(|choice| choice.action).or_else(|| game.any_move());
        let Some(action) = best else { return "bestmove (none)".to_owned() };
        let mut text = format!("bestmove {}", game.uci(action));
        let line = self.search.tree().map(|tree| line(tree, game, action)).unwrap_or_default();
        if let Some(reply) = line.get(1) {
            let _ = write!(text, " ponder {reply}");
        }
        text
    }
}

fn new_search<R: Rule, E: Evaluator<Chess> + Fork>(
    rule: &R,
    evaluator: &E,
    options: Options,
) -> Search<Chess, R, Depths<E>> {
    let search = Search::new(rule.clone(), Depths::new(evaluator.fork(0)));
    search.with_most_nodes(options.most_nodes())
}

/// A refusal as the other side may show it.
fn say(result: Result<(), String>, output: &mut impl Write) -> std::io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(reason) => writeln!(output, "info string {}", reason.replace(['\n', '\r'], " ")),
    }
}

/// A move and what the search expects after it.
fn line<R: Rule>(tree: &Tree<Chess, R>, game: &Chess, action: Action) -> Vec<String> {
    let (mut game, mut line, mut next) = (game.clone(), Vec::new(), Some(action));
    let mut names = Vec::new();
    while let Some(action) = next {
        names.push(game.uci(action));
        game.play(action);
        line.push(action);
        next = tree.children_after(&line).and_then(|children| {
            let of = |child: usize| {
                (children.proven(child) == Some(Proven::Win), children.visits(child))
            };
            let best = (0..children.len()).max_by_key(|&child| of(child))?;
            (of(best).1 > 0).then(|| children.action(best))
        });
    }
    names
}

/// `cp` or `mate`, for the side to move.
fn score<R: Rule>(tree: &Tree<Chess, R>, choice: &Choice, looks: &mut u32) -> String {
    let mut plies = || 1 + plies_to_end(tree, &mut vec![choice.action], looks);
    match choice.proven {
        Some(Proven::Win) => format!("mate {}", plies().div_ceil(2)),
        Some(Proven::Loss) => format!("mate -{}", (plies() / 2).max(1)),
        Some(Proven::Draw) => "cp 0".to_owned(),
        None => format!("cp {:.0}", Classical::to_centipawns(choice.value)),
    }
}

/// The plies of a proven win or loss below a line, as far as nodes may be looked at: the winner takes
/// the shortest way, the loser the longest.
fn plies_to_end<R: Rule>(tree: &Tree<Chess, R>, line: &mut Vec<Action>, looks: &mut u32) -> u32 {
    let Some(children) = tree.children_after(line).filter(|_| *looks > 0) else { return 0 };
    *looks -= 1;
    let (mut shortest, mut longest) = (None, 0);
    for child in 0..children.len() {
        let proven = children.proven(child);
        if matches!(proven, None | Some(Proven::Draw)) {
            continue;
        }
        line.push(children.action(child));
        let plies = 1 + plies_to_end(tree, line, looks);
        line.pop();
        if proven == Some(Proven::Win) {
            shortest = Some(shortest.map_or(plies, |shortest: u32| shortest.min(plies)));
        }
        longest = longest.max(plies);
    }
    shortest.unwrap_or(longest)
}
