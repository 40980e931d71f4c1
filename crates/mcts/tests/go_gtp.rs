//! GTP: every command, every refusal, anything at all, and GNU Go as a client and an opponent.
//! `fixtures/drive_gtp.cjs` lets Sabaki's module play whole games.

use std::io::{BufRead as _, BufReader, PipeWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mcts::go::{Color, Go, Move, Rules};
use mcts::gtp::{Client, Command, Decision, Engine, MoveGenerator, Searcher};
use mcts::{Action, Found, Limits};
use proptest::prelude::*;

/// Plays the first legal point that is no own eye as far as stones beside it tell.
struct First;

impl MoveGenerator for First {
    fn name(&self) -> String {
        "first".to_owned()
    }

    fn choose(&mut self, game: &Go, _: Option<Duration>) -> mcts::Result<Decision> {
        let legal = game.points().map(Move::Play).find(|&m| game.why_illegal(m).is_none());
        Ok(Decision::Move(legal.unwrap_or(Move::Pass)))
    }
}

/// Asks one after another; the replies without their empty lines.
fn ask<P: MoveGenerator>(engine: &mut Engine<P>, lines: &[&str]) -> Vec<String> {
    let replies = lines.iter().filter_map(|line| engine.answer(line));
    replies.map(|reply| reply.to_string().trim_end().to_owned()).collect()
}

fn last<P: MoveGenerator>(engine: &mut Engine<P>, lines: &[&str]) -> String {
    ask(engine, lines).pop().unwrap_or_default()
}

#[test]
fn administrative_commands() {
    let mut engine = Engine::new(First);
    let replies = ask(
        &mut engine,
        &[
            "7 protocol_version",
            "name",
            "  12\tversion # what is it",
            "known_command genmove",
            "known_command x",
        ],
    );
    assert_eq!(replies[0], "=7 2");
    assert_eq!(replies[1], "= first");
    assert!(replies[2].starts_with("=12 0."));
    assert_eq!(&replies[3..], ["= true", "= false"]);
    let commands = last(&mut engine, &["list_commands"]);
    for name in "protocol_version name version known_command list_commands quit boardsize \
        clear_board komi play genmove undo fixed_handicap place_free_handicap set_free_handicap \
        time_settings time_left final_score final_status_list loadsgf reg_genmove showboard"
        .split_whitespace()
    {
        assert!(commands.lines().any(|line| line.trim_start_matches("= ") == name), "{name}");
        let known = last(&mut engine, &[&format!("known_command {name}")]);
        assert_eq!(known, "= true");
    }
    assert!(engine.answer("").is_none() && engine.answer(" # nothing").is_none());
    assert_eq!(last(&mut engine, &["quit"]), "=");
    assert!(engine.has_quit());
}

#[test]
fn refusals_name_their_reason_and_change_nothing() {
    let mut engine = Engine::new(First);
    ask(&mut engine, &["boardsize 9", "komi 5.5", "play b e5"]);
    let before = engine.game().clone();
    for (line, reason) in [
        ("nonsense", "unknown command"),
        ("play", "a colour"),
        ("play b", "a vertex"),
        ("play red e4", "invalid color"),
        ("play b i5", "invalid vertex"),
        ("play b k5", "invalid vertex"),
        ("play b e55555555555555555555", "invalid vertex"),
        ("play w e5", "illegal move: a stone is there"),
        ("boardsize 20", "unacceptable size"),
        ("boardsize 0", "unacceptable size"),
        ("boardsize nine", "number"),
        ("boardsize", "a board size"),
        ("komi nan", "finite"),
        ("komi", "points"),
        ("genmove", "a colour"),
        ("genmove green", "invalid color"),
        ("fixed_handicap 2", "board not empty"),
        ("set_free_handicap c3 c4", "board not empty"),
        ("place_free_handicap 1", "invalid number of stones"),
        ("time_settings 1 2", "stones"),
        ("time_settings -1 2 3", "number"),
        ("time_left b x 3", "number"),
        ("loadsgf /no/such/file.sgf", "cannot load file"),
        ("loadsgf", "a file"),
        ("final_status_list nowhere", "invalid status"),
        ("known_command", "a command"),
    ] {
        let reply = last(&mut engine, &[&format!("3 {line}")]);
        assert!(reply.starts_with("?3 ") && reply.contains(reason), "{line}: {reply}");
        assert_eq!(engine.game(), &before, "{line}");
    }
    assert_eq!(last(&mut engine, &["undo", "undo"]), "? cannot undo");
}

#[test]
fn undo_takes_back_plays_moves_and_handicap() {
    let mut engine = Engine::new(First);
    ask(&mut engine, &["boardsize 9", "clear_board"]);
    let empty = engine.game().clone();
    assert_eq!(last(&mut engine, &["fixed_handicap 3"]), "= C3 G7 G3");
    assert_eq!(engine.game().to_play(), Color::White);
    assert_eq!(last(&mut engine, &["genmove w"]), "= A9");
    ask(&mut engine, &["play b pass", "undo", "undo"]);
    assert_eq!(engine.game().board().stones(Color::White), 0);
    ask(&mut engine, &["undo"]);
    assert_eq!(engine.game(), &empty);
    assert_eq!(last(&mut engine, &["place_free_handicap 5"]).split_whitespace().count(), 6);
    ask(&mut engine, &["undo"]);
    assert_eq!(
        last(&mut engine, &["set_free_handicap c3 e5 e5"]).split(':').next(),
        Some("? invalid configuration")
    );
    assert_eq!(last(&mut engine, &["set_free_handicap c3 e5"]), "=");
    assert_eq!(engine.game().handicap(), 2);
}

#[test]
fn reg_genmove_only_says_the_move() {
    let mut engine = Engine::new(First);
    ask(&mut engine, &["boardsize 5"]);
    assert_eq!(last(&mut engine, &["reg_genmove w"]), "= A5");
    assert!(engine.game().moves().is_empty());
    assert_eq!(last(&mut engine, &["genmove w"]), "= A5");
    assert_eq!(engine.game().movers(), [Color::White]);
    let board = last(&mut engine, &["showboard"]);
    assert!(board.contains("5 O . . . .  5"), "{board}");
}

#[test]
fn the_game_goes_on_after_two_passes() {
    let mut engine = Engine::new(First);
    let replies =
        ask(&mut engine, &["boardsize 5", "play b pass", "play w pass", "play b c3", "genmove w"]);
    assert_eq!(&replies[3..], ["=", "= A5"]);
}

#[test]
fn the_final_score_takes_dead_stones_off() {
    let mut engine = Engine::new(First);
    ask(&mut engine, &["boardsize 7", "komi 0.5"]);
    // Black holds the left, White the right; a white stone is dead in Black's part.
    for row in 1..=7 {
        ask(&mut engine, &[&format!("play b c{row}"), &format!("play w d{row}")]);
    }
    ask(&mut engine, &["play w b2", "play b pass", "play w pass"]);
    assert_eq!(last(&mut engine, &["final_score"]), "= W+7.5");
    assert_eq!(last(&mut engine, &["final_status_list dead"]), "= B2");
    assert_eq!(last(&mut engine, &["final_status_list alive"]).lines().count(), 2);
    assert_eq!(last(&mut engine, &["final_status_list seki"]), "=");
}

#[test]
fn a_record_is_scored_as_the_rules_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("game.sgf");
    let mut engine = Engine::new(First);
    // Each side holds half of the board; Black has filled three points of its own.
    for (rules, score) in [("Japanese", "= W+6.5"), ("Chinese", "= W+3.5"), ("AGA", "= W+3.5")] {
        let moves = "AB[ba][bb][bc][bd][be][aa][ac][ae]AW[da][db][dc][dd][de]";
        std::fs::write(&path, format!("(;SZ[5]KM[3.5]RU[{rules}]{moves})")).unwrap();
        assert_eq!(last(&mut engine, &[&format!("loadsgf {}", path.display())]), "=");
        assert_eq!(last(&mut engine, &["final_score"]), score, "{rules}");
        assert!(last(&mut engine, &["printsgf"]).contains(&format!("RU[{rules}]")));
    }
}

#[test]
fn rules_of_a_record_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("game.sgf");
    std::fs::write(&path, "(;SZ[5]KM[3.5]RU[Japanese];B[aa])").unwrap();
    let mut engine = Engine::with_rules(First, Rules::computer());
    let Rules { scoring, bonus, .. } = Rules::japanese();
    let loaded = Rules { scoring, bonus, ..Rules::computer() };
    for next in ["clear_board", "boardsize 9", "komi 7"] {
        assert_eq!(last(&mut engine, &[&format!("loadsgf {}", path.display())]), "=");
        assert_eq!(*engine.game().rules(), Rules { komi: 3.5, ..loaded });
        ask(&mut engine, &[next]);
        // Komi is what was last set or read.
        let (komi, rules) = match next {
            "komi 7" => (7.0, loaded),
            _ => (3.5, Rules::computer()),
        };
        assert_eq!(*engine.game().rules(), Rules { komi, ..rules }, "{next}");
        ask(&mut engine, &["boardsize 5"]);
        assert_eq!(*engine.game().rules(), Rules { komi, ..Rules::computer() }, "{next}");
    }
}

#[test]
fn records_are_loaded_up_to_a_move() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("game.sgf");
    std::fs::write(&path, "(;SZ[9]KM[5.5];B[ee];W[cc];B[gg])").unwrap();
    let mut engine = Engine::new(First);
    let path = path.to_str().unwrap();
    assert_eq!(last(&mut engine, &[&format!("loadsgf {path}")]), "=");
    assert_eq!((engine.game().moves().len(), engine.game().rules().komi), (3, 5.5));
    assert_eq!(last(&mut engine, &[&format!("loadsgf {path} 2")]), "=");
    assert_eq!(engine.game().moves().len(), 1);
    let sgf = last(&mut engine, &["printsgf"]);
    assert!(sgf.contains("SZ[9]") && sgf.contains(";B[ee]"), "{sgf}");
    std::fs::write(path, "(;SZ[9];B[ee];W[ee])").unwrap();
    let refused = last(&mut engine, &[&format!("loadsgf {path}")]);
    assert!(
        refused.starts_with("? cannot load file") && refused.contains("line 1, column 15"),
        "{refused}"
    );
    assert_eq!(engine.game().moves().len(), 1);
}

#[test]
fn a_clock_is_kept() {
    let player = Searcher::knowing(1).with_limits(Limits::simulations(50));
    let mut engine = Engine::with_rules(player, Rules::computer());
    ask(&mut engine, &["boardsize 5", "time_settings 1 0 0"]);
    let started = std::time::Instant::now();
    for _ in 0..4 {
        assert!(last(&mut engine, &["genmove b", "genmove w"]).starts_with("= "));
    }
    assert!(started.elapsed() < Duration::from_secs(3), "two clocks of one second");
    assert_eq!(ask(&mut engine, &["time_left b 0 0", "genmove b"]).len(), 2);
    assert_eq!(last(&mut engine, &["time_settings 0 1 0"]), "=");
}

#[test]
fn a_searcher_sees_what_wins() {
    let player = Searcher::knowing(3).with_limits(Limits::simulations(400));
    let mut engine = Engine::with_rules(player, Rules::computer());
    // Two chains share their only liberty: who takes it wins.
    ask(&mut engine, &["boardsize 5", "komi 0.5"]);
    for column in ["a", "b", "c", "d", "e"] {
        ask(&mut engine, &[&format!("play b {column}2"), &format!("play w {column}3")]);
        if column != "e" {
            ask(&mut engine, &[&format!("play w {column}1")]);
        }
    }
    assert_eq!(last(&mut engine, &["genmove b"]), "= E1");
}

#[test]
fn a_searcher_passes_when_that_wins() {
    let player = Searcher::knowing(3).with_limits(Limits::simulations(50));
    let mut engine = Engine::with_rules(player, Rules::computer());
    ask(&mut engine, &["boardsize 5", "komi 0.5", "play b c3", "play w pass"]);
    assert_eq!(last(&mut engine, &["genmove b"]), "= pass");
}

#[test]
fn komi_is_no_move() {
    let mut engine = Engine::new(First);
    ask(&mut engine, &["boardsize 9", "komi 6.5", "play b e5", "komi 0.5", "undo"]);
    assert_eq!(last(&mut engine, &["get_komi"]), "= 0.5");
    assert_eq!(engine.game().moves().len(), 0);
}

#[test]
fn numbers_and_boards_stand_where_they_belong() {
    let mut engine = Engine::new(First);
    let replies = ask(&mut engine, &["17", "12345678901 name", "boardsize 2", "showboard"]);
    assert_eq!(replies[0], "?17 unknown command");
    assert_eq!(replies[1], "=12345678901 first");
    let lines: Vec<&str> = replies[3].lines().collect();
    assert_eq!(lines[..3], ["=", "   A B", " 2 . .  2"]);
}

#[test]
fn a_position_has_one_score() {
    let mut engine = Engine::new(First);
    ask(&mut engine, &["boardsize 9", "play b c3", "play w g7", "play b c7", "play w g3"]);
    let questions = ["final_score", "final_status_list alive", "final_status_list dead"];
    let first = ask(&mut engine, &questions);
    let listed = ["alive", "dead", "seki"].map(|status| {
        let list = last(&mut engine, &[&format!("final_status_list {status}")]);
        list.trim_start_matches('=').split_whitespace().count()
    });
    assert_eq!(listed.iter().sum::<usize>(), 4, "every stone has a status");
    for _ in 0..5 {
        assert_eq!(ask(&mut engine, &questions), first);
    }
}

#[test]
fn kgs_has_commands_of_its_own() {
    let player = Searcher::knowing(3).with_limits(Limits::simulations(200));
    let mut engine = Engine::with_rules(player, Rules::computer());
    for (line, reply) in [
        ("kgs-time_settings none", "="),
        ("kgs-time_settings absolute 5", "="),
        ("kgs-time_settings byoyomi 1 2 3", "="),
        ("kgs-time_settings canadian 1 30 10", "="),
        ("kgs-time_settings", "? syntax error: kgs-time_settings expects a kind of clock"),
        ("kgs-time_settings byoyomi 1 2", "? syntax error: kgs-time_settings expects a number"),
        (
            "kgs-time_settings fischer",
            "? invalid clock `fischer`: none, absolute, byoyomi, canadian",
        ),
        ("kgs-time_settings none", "="),
    ] {
        assert_eq!(last(&mut engine, &[line]), reply);
    }
    // Black holds all, a white stone is dead: it is taken off before Black passes.
    ask(&mut engine, &["boardsize 5", "komi 0.5"]);
    for point in ["b1", "b2", "b3", "b4", "b5", "d1", "d2", "d3", "d4", "d5"] {
        ask(&mut engine, &[&format!("play b {point}")]);
    }
    ask(&mut engine, &["play w a2", "play w pass"]);
    assert_eq!(last(&mut engine, &["genmove b"]), "= pass");
    ask(&mut engine, &["undo"]);
    assert_ne!(last(&mut engine, &["kgs-genmove_cleanup b"]), "= pass");
}

#[test]
fn an_analysis_is_one_report_or_a_stream() {
    let player = || Searcher::knowing(5).with_threads(2);
    let mut engine = Engine::with_rules(player(), Rules::computer());
    ask(&mut engine, &["boardsize 5"]);
    let report = last(&mut engine, &["lz-analyze b 5"]);
    let words: Vec<&str> = report.split_whitespace().collect();
    assert_eq!(words[..3], ["=", "info", "move"], "{report}");
    let field = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
    let rate: u32 = field("winrate").parse().unwrap();
    assert!(rate <= 10_000 && field("visits").parse::<u32>().unwrap() > 0, "{report}");
    assert_eq!((field("order"), field("pv")), ("0", words[3]));
    let report = last(&mut engine, &["kata-analyze 5 avoid b C3,C2 1 minmoves 2 ownership true"]);
    assert!(report.contains("utility") && !report.contains("move C3"), "{report}");
    let report = last(&mut engine, &["kata-analyze w interval 5 allow w A1,pass 10"]);
    assert!(report.contains("move A1") && !report.contains("move C3"), "{report}");
    for line in ["lz-analyze b avoid b Z9 1", "lz-analyze b allow b C3", "kata-analyze interval x"]
    {
        assert!(last(&mut engine, &[line]).starts_with("? "), "{line}");
    }
    let replies = ask(&mut Engine::new(First), &["boardsize 5", "lz-analyze 5"]);
    assert!(replies[1].contains("cannot analyze"), "{}", replies[1]);

    // As a controller sees it: reports until the next line, which is answered.
    let (engine, mut lines, mut replies) = served(Engine::with_rules(player(), Rules::computer()));
    write!(lines, "boardsize 5\n7 lz-analyze b 2\n").unwrap();
    assert_eq!(replies.by_ref().take(3).collect::<Vec<_>>(), ["=", "", "=7"]);
    for report in replies.by_ref().take(3) {
        assert!(report.starts_with("info move "), "{report}");
    }
    writeln!(lines, "8 name").unwrap();
    let end = replies.by_ref().find(|line| !line.starts_with("info ")).unwrap();
    assert_eq!([end, replies.next().unwrap()], [String::new(), "=8 usagi".to_owned()]);
    // It ends at `quit`, while the input stays open.
    writeln!(lines, "kata-analyze 2\nquit").unwrap();
    engine.join().unwrap();
    drop(lines);
}

/// An engine that runs in a thread: lines to it, lines from it, and itself after `quit`.
fn served<P: MoveGenerator + Send + 'static>(
    mut engine: Engine<P>,
) -> (JoinHandle<Engine<P>>, PipeWriter, impl Iterator<Item = String>) {
    let (input, lines) = std::io::pipe().unwrap();
    let (replies, output) = std::io::pipe().unwrap();
    let engine = std::thread::spawn(move || {
        engine.run(BufReader::new(input), output).unwrap();
        engine
    });
    (engine, lines, BufReader::new(replies).lines().map(Result::unwrap))
}

/// Plays as [`First`], and counts how often it ponders, which may fail.
struct Ponders(Arc<AtomicUsize>, bool);

impl MoveGenerator for Ponders {
    fn name(&self) -> String {
        "ponders".to_owned()
    }

    fn choose(&mut self, game: &Go, time: Option<Duration>) -> mcts::Result<Decision> {
        First.choose(game, time)
    }

    fn analyze(
        &mut self,
        game: &Go,
        _: Option<Vec<Action>>,
        every: Duration,
        see: &mut dyn FnMut(&Found) -> ControlFlow<()>,
    ) -> mcts::Result<Found> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 {
            return Err(mcts::Error::Panicked { message: "no net".to_owned() });
        }
        let mut player = Searcher::knowing(1);
        player.analyze(game, None, every, see)
    }
}

#[test]
fn an_engine_ponders_after_its_own_moves_alone() {
    let count = Arc::new(AtomicUsize::new(0));
    let engine = Engine::with_rules(Ponders(count.clone(), false), Rules::computer());
    let (engine, mut lines, mut replies) = served(engine.with_pondering(true));
    for (line, thoughts) in [
        ("boardsize 5", 0),
        ("play w c3", 0),
        ("genmove b", 1),
        // It goes on after what changes nothing.
        ("time_left w 10 0", 2),
        ("showboard", 3),
        ("play w c2", 3),
        ("genmove b", 4),
        ("undo", 4),
        ("genmove b", 5),
        ("clear_board", 5),
        ("play w pass", 5),
        ("genmove b", 6),
        ("play w pass", 6),
        ("play b pass", 6),
    ] {
        writeln!(lines, "{line}").unwrap();
        assert!(replies.next().unwrap().starts_with('='), "{line}");
        replies.by_ref().find(String::is_empty);
        // The thought follows the reply.
        for _ in 0..500 {
            if count.load(Ordering::Relaxed) != thoughts {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        std::thread::sleep(Duration::from_millis(10));
        assert_eq!(count.load(Ordering::Relaxed), thoughts, "{line}");
    }
    // The end of the input ends it too.
    writeln!(lines, "genmove w").unwrap();
    drop(lines);
    assert!(!engine.join().unwrap().has_quit());
}

#[test]
fn pondering_that_failed_waits_for_another_move() {
    let count = Arc::new(AtomicUsize::new(0));
    let engine = Engine::with_rules(Ponders(count.clone(), true), Rules::computer());
    let (engine, mut lines, replies) = served(engine.with_pondering(true));
    write!(lines, "boardsize 5\ngenmove b\n").unwrap();
    for _ in 0..500 {
        if count.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    write!(lines, "name\nshowboard\nname\nquit\n").unwrap();
    engine.join().unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert!(replies.collect::<Vec<_>>().iter().all(|line| !line.starts_with('?')));
}

#[test]
fn what_was_pondered_is_kept() {
    let ask = |pondering| {
        let player = Searcher::knowing(1).with_limits(Limits::simulations(50));
        let engine = Engine::with_rules(player, Rules::computer()).with_pondering(pondering);
        let (engine, mut lines, mut replies) = served(engine);
        let mut said = Vec::new();
        let questions = ["boardsize 7", "genmove b", "final_score", "showboard", "genmove w"];
        for line in questions {
            writeln!(lines, "{line}").unwrap();
            said.push(replies.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(30));
        }
        writeln!(lines, "quit").unwrap();
        said.pop();
        (said, engine.join().unwrap().player().found().unwrap().clone())
    };
    let ((without, found), (with, pondered)) = (ask(false), ask(true));
    assert_eq!(without, with, "nothing else is said of the position");
    assert_eq!((found.simulations, pondered.simulations), (50, 50));
    assert!(found.visits <= 100 && pondered.visits > 200, "{found}\n{pondered}");
}

#[test]
fn what_cannot_analyze_does_not_ponder() {
    let (engine, mut lines, mut replies) = served(Engine::new(First).with_pondering(true));
    write!(lines, "boardsize 5\ngenmove b\n").unwrap();
    assert_eq!(replies.by_ref().take(4).collect::<Vec<_>>(), ["=", "", "= A5", ""]);
    writeln!(lines, "quit").unwrap();
    assert!(engine.join().unwrap().has_quit());
}

#[test]
fn lines_are_read_until_quit() {
    let mut output = Vec::new();
    let input = b"1 name\r\n\n\xFF\xFE\n2 quit\n3 name\n".as_slice();
    Engine::new(First).run(input, &mut output).unwrap();
    let text = String::from_utf8(output).unwrap();
    assert!(text.starts_with("=1 first\n\n? unknown command\n\n=2\n\n"), "{text}");
    assert!(!text.contains("=3"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_line_is_answered_or_empty(lines in prop::collection::vec(any::<String>(), 1..10)) {
        let mut engine = Engine::new(First);
        for line in lines {
            let reply = engine.answer(&line).map(|reply| reply.to_string());
            prop_assert_eq!(reply.is_some(), Command::parse(&line).is_some());
            if let Some(reply) = reply {
                prop_assert!(reply.starts_with('=') || reply.starts_with('?'));
                prop_assert!(reply.ends_with("\n\n"));
                prop_assert_eq!(reply.matches("\n\n").count(), 1);
            }
        }
    }

    #[test]
    fn what_looks_like_commands_never_panics(
        lines in prop::collection::vec(
            "[0-9]{0,3} ?(boardsize|play|genmove|komi|fixed_handicap|place_free_handicap|set_free_handicap|undo|time_settings|time_left|clear_board|showboard|reg_genmove|known_command|printsgf) ?[bwBWx]{0,1} ?(-?[0-9]{1,3}|[a-t][0-9]{1,2}|pass|nan|inf){0,1} ?[0-9]{0,2}",
            1..30,
        ),
    ) {
        let mut engine = Engine::new(First);
        engine.answer("boardsize 4");
        for line in lines {
            let reply = engine.answer(&line).map(|reply| reply.to_string()).unwrap_or_default();
            prop_assert!(reply.is_empty() || reply.ends_with("\n\n"));
        }
    }
}

/// GNU Go, where it is installed.
fn gnu_go(arguments: &[&str]) -> Option<Client> {
    let places = ["/usr/games/gnugo", "/usr/bin/gnugo", "/usr/local/bin/gnugo"];
    let Some(program) = places.into_iter().find(|place| Path::new(place).exists()) else {
        #[allow(clippy::print_stdout)] // Says why nothing was tested.
        {
            println!("skipped: GNU Go is not installed (Debian: gnugo)");
        }
        return None;
    };
    let fixed = "--mode gtp --chinese-rules --capture-all-dead --positional-superko --level 1";
    let arguments: Vec<&str> = fixed.split(' ').chain(arguments.iter().copied()).collect();
    Some(Client::start(program, &arguments).unwrap())
}

#[test]
fn gnu_go_is_an_opponent_that_sees_the_same_game() {
    let Some(mut opponent) = gnu_go(&["--seed", "5"]) else { return };
    let player = Searcher::knowing(3).with_limits(Limits::simulations(60));
    let mut engine = Engine::with_rules(player, Rules::computer());
    for line in ["boardsize 9", "clear_board", "komi 7"] {
        opponent.ask(line).unwrap();
        assert_eq!(last(&mut engine, &[line]), "=");
    }
    let (mut passes, mut black) = (0, true);
    while passes < 2 && engine.game().moves().len() < 300 {
        let color = if black { "black" } else { "white" };
        let chosen = if black {
            let reply = last(&mut engine, &[&format!("genmove {color}")]);
            let chosen = reply.strip_prefix("= ").expect(&reply).to_owned();
            opponent.ask(&format!("play {color} {chosen}")).expect("a move that GNU Go allows");
            chosen
        } else {
            let chosen = opponent.ask(&format!("genmove {color}")).unwrap();
            if chosen == "resign" {
                break;
            }
            let reply = last(&mut engine, &[&format!("play {color} {chosen}")]);
            assert_eq!(reply, "=", "GNU Go's {chosen} is legal");
            chosen
        };
        passes = if chosen.eq_ignore_ascii_case("pass") { passes + 1 } else { 0 };
        black = !black;
    }
    same_stones(engine.game(), &mut opponent);
}

/// Both programs have the same stones on their boards.
fn same_stones(game: &Go, other: &mut Client) {
    for color in [Color::Black, Color::White] {
        let listed = other.ask(&format!("list_stones {color}")).unwrap();
        let mut theirs: Vec<&str> = listed.split_whitespace().collect();
        let stones = game.points().filter(|&point| game.board().stone(point) == Some(color));
        let mut ours: Vec<String> = stones.map(|point| point.name(9)).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn gnu_go_reads_and_writes_the_same_records() {
    let Some(mut other) = gnu_go(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("game.sgf");
    for line in ["boardsize 9", "clear_board", "komi 5.5", "fixed_handicap 3"] {
        other.ask(line).unwrap();
    }
    for turn in 0..30 {
        other.ask(if turn % 2 == 0 { "genmove white" } else { "genmove black" }).unwrap();
    }
    other.ask(&format!("printsgf {}", path.display())).unwrap();
    let mut engine = Engine::new(First);
    assert_eq!(last(&mut engine, &[&format!("loadsgf {}", path.display())]), "=");
    same_stones(engine.game(), &mut other);
    // And back: GNU Go loads what the engine writes.
    ask(&mut engine, &["boardsize 9", "komi 6.5", "fixed_handicap 3"]);
    for turn in 0..30 {
        ask(&mut engine, &[if turn % 2 == 0 { "genmove white" } else { "genmove black" }]);
    }
    let written = last(&mut engine, &["printsgf"]);
    std::fs::write(&path, written.trim_start_matches("= ")).unwrap();
    other.ask("clear_board").unwrap();
    assert_eq!(other.ask(&format!("loadsgf {}", path.display())).unwrap(), "white");
    same_stones(engine.game(), &mut other);
}

#[test]
fn an_engine_that_is_not_there_or_refuses_is_an_error() {
    assert!(
        Client::start("/no/such/engine", &[""; 0])
            .unwrap_err()
            .to_string()
            .contains("/no/such/engine")
    );
    // What is no engine, and one that does not answer.
    let error = Client::start("cat", &[""; 0]).unwrap().ask("boardsize 9").unwrap_err().to_string();
    assert!(error.contains("it says `boardsize 9`, expected"), "{error}");
    let silent = Client::start("sleep", &["100"]).unwrap();
    let error = silent.with_limit(Duration::from_millis(50)).ask("name").unwrap_err().to_string();
    assert!(error.contains("no answer within 50ms"), "{error}");
    let Some(mut other) = gnu_go(&[]) else { return };
    let refused = other.ask("play black z99").unwrap_err().to_string();
    assert!(refused.contains("play black z99"), "{refused}");
    other.ask("quit").unwrap();
    assert!(other.ask("name").is_err());
}
