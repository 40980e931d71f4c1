//! UCI: every command, anything at all, and clocks that are kept.
//!
//! `fixtures/drive_uci.py` lets python-chess play whole games.

use std::io::{BufReader, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcts::chess::{Chess, Classical};
use mcts::random::Random;
use mcts::uci::Engine;
use mcts::{Game, Limits, Rollout, Search, Turn};
use proptest::prelude::*;

fn engine() -> Engine<mcts::rule::Puct, Classical> {
    Engine::new("usagi", Classical::rule(), Classical::new())
}

/// What it answers to lines, up to `quit` or their end.
fn ask(lines: &str) -> Vec<String> {
    let mut output = Vec::new();
    let input = std::io::Cursor::new(lines.as_bytes().to_vec());
    engine().run(input, &mut output).unwrap();
    String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
}

/// The move of the last `bestmove`.
fn best(answers: &[String]) -> &str {
    let line = answers.iter().rev().find(|line| line.starts_with("bestmove ")).unwrap();
    line.split(' ').nth(1).unwrap()
}

fn with_start<'a>(answers: &'a [String], start: &str) -> Vec<&'a str> {
    answers.iter().map(String::as_str).filter(|line| line.starts_with(start)).collect()
}

/// The number after a word.
fn number(line: &str, word: &str) -> i64 {
    let mut words = line.split(' ').skip_while(|w| *w != word).skip(1);
    words.next().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{word} in {line}"))
}

#[test]
fn it_introduces_itself() {
    let answers = ask("uci\nisready\nhello isready\nnonsense\n\nquit\nisready\n");
    assert!(answers[0].starts_with("id name usagi 0."));
    for option in
        ["Threads type spin default 1", "Hash type spin", "MultiPV", "Move Overhead", "Ponder"]
    {
        assert_eq!(with_start(&answers, &format!("option name {option}")).len(), 1, "{option}");
    }
    // Words before a command are passed over; after `quit` nothing is read.
    assert_eq!(answers.iter().filter(|line| *line == "readyok").count(), 2);
    assert_eq!(answers.iter().filter(|line| *line == "uciok").count(), 1);
}

#[test]
fn info_tells_depth_nodes_score_and_line() {
    let answers =
        ask("setoption name MultiPV value 3\nposition startpos moves e2e4\ngo nodes 2000\n");
    let infos = with_start(&answers, "info depth");
    assert_eq!(infos.len() % 3, 0);
    let (mut game, last) = (Chess::new(), infos[infos.len() - 3]);
    game.play(game.parse_action("e4").unwrap());
    assert_eq!(number(last, "nodes"), 2000);
    assert!(
        number(last, "depth") >= 2 && number(last, "seldepth") >= number(last, "depth"),
        "{last}"
    );
    assert!(
        number(last, "nps") > 100
            && number(last, "hashfull") < 500
            && number(last, "cp").abs() < 200
    );
    for (line, rank) in infos[infos.len() - 3..].iter().zip(1..) {
        assert_eq!(number(line, "multipv"), rank);
        let mut after = game.clone();
        for text in line.split(" pv ").nth(1).unwrap().split(' ') {
            after.try_play(after.parse_action(text).unwrap()).unwrap();
        }
    }
    let pv = last.split(" pv ").nth(1).unwrap();
    let answer = answers.last().unwrap();
    let (first, second) = (pv.split(' ').next().unwrap(), pv.split(' ').nth(1).unwrap());
    assert_eq!(answer, &format!("bestmove {first} ponder {second}"));
}

#[test]
fn mates_are_told_in_moves() {
    for (fen, score, key) in [
        ("6k1/5ppp/8/8/8/8/5PPP/3R2K1 w - - 0 1", "mate 1", Some("d1d8")),
        ("8/8/8/2PQ4/4P2k/1P6/5K2/8 w - - 0 1", "mate 2", None),
        // All lose: it is told how soon.
        ("k7/8/1K6/8/8/8/8/7R b - - 0 1", "mate -1", Some("a8b8")),
    ] {
        let answers = ask(&format!("position fen {fen}\ngo mate 3\n"));
        let last = *with_start(&answers, "info depth").last().unwrap();
        assert!(last.contains(&format!("score {score} ")), "{fen}: {last}");
        assert!(key.is_none_or(|key| best(&answers) == key), "{fen}");
    }
    for (fen, score) in
        [("k7/1Q6/1K6/8/8/8/8/8 b - - 0 1", "mate 0"), ("k7/2Q5/1K6/8/8/8/8/8 b - - 0 1", "cp 0")]
    {
        let answers = ask(&format!("position fen {fen}\ngo movetime 10\n"));
        assert_eq!(answers, [&format!("info depth 0 score {score}"), "bestmove (none)"]);
    }
}

#[test]
fn limits_of_every_kind_end_a_search() {
    for go in
        ["nodes 1", "nodes 0", "depth 3", "depth 1", "movetime 0", "movetime -5", "wtime 1 btime 1"]
    {
        let answers = ask(&format!("position startpos\ngo {go}\n"));
        assert_eq!(with_start(&answers, "bestmove").len(), 1, "{go}");
    }
    // A move was searched, not the first in a list.
    let answers = ask("position fen 3r2k1/8/8/8/8/8/8/3RK3 w - - 0 1\ngo wtime 2 btime 2\n");
    assert_eq!(best(&answers), "d1d8");
    let answers = ask("position startpos\ngo nodes 300 searchmoves a2a3 h2h4 e2e5\n");
    assert!(["a2a3", "h2h4"].contains(&best(&answers)));
    // The next search has all moves again; what is no move is passed over.
    let answers =
        ask("position startpos\ngo nodes 50 searchmoves a2a3\ngo nodes 900 searchmoves a8a1 x\n");
    assert_ne!(best(&answers), "a2a3");
    // It keeps what it knows of the position after both moves: two simulations alone fill less than
    // a thousandth.
    let lines =
        "setoption name Hash value 4\nposition startpos\ngo nodes 3000\nposition startpos moves";
    let kept = |moves: &str| {
        let answers = ask(&format!("{lines} {moves}\ngo nodes 2\n"));
        let last = *with_start(&answers, "info depth").last().unwrap();
        assert_eq!(number(last, "nodes"), 2);
        number(last, "hashfull")
    };
    let first = ask(&format!("{lines}\n"));
    let guess: Vec<&str> = first.last().unwrap().split(' ').collect();
    assert!(kept(&format!("{} {}", guess[1], guess[3])) > 0);
    let other = ask("position fen 8/8/8/4k3/8/8/4P3/4K3 w - - 0 1\ngo nodes 2\n");
    assert_eq!(number(with_start(&other, "info depth").last().unwrap(), "hashfull"), 0);
}

#[test]
fn positions_are_read_and_refused() {
    for (lines, reason) in [
        ("position", "expected `startpos` or `fen`"),
        ("position fen 8/8 w", "2 fields, expected 6"),
        ("position startpos moves e2e4 e7e6 e4e6 d7d5", "`e4e6`"),
        ("setoption name Threads value 0", "expected 1 to 256"),
        ("setoption name Hash value x", "expected 1 to 4096"),
        ("setoption name Nothing value 3", "no option is named `Nothing`"),
        ("setoption", "no option"),
    ] {
        let answers = ask(&format!("{lines}\n"));
        let [text] = answers.as_slice() else { panic!("{lines}: {answers:?}") };
        assert!(text.starts_with("info string ") && text.contains(reason), "{text}");
    }
    // No move would be one in a position that could not be read.
    let answers = ask("position fen 8/8 w\ngo nodes 9\nposition startpos\ngo nodes 9\n");
    assert_eq!(answers[2], "bestmove (none)");
    assert_ne!(best(&answers), "(none)");
    // Kings alone are drawn, but have moves.
    let answers = ask("position fen 4k3/8/8/8/8/8/8/4K3 w - - 0 1 moves e1e2\ngo infinite\n");
    assert!(best(&answers).starts_with("e8"));
    // What nobody claimed is no draw: there is a move, and moves go on.
    let shuffle = "g1f3 g8f6 f3g1 f6g8 ".repeat(4);
    let answers = ask(&format!("position startpos moves {shuffle}\ngo nodes 50\n"));
    assert_ne!(best(&answers), "(none)");
    let answers = ask("position fen 4k3/8/8/8/8/8/4P3/4K3 w - - 120 90 moves e2e4\ngo nodes 50\n");
    assert!(best(&answers).starts_with("e8"));
}

/// An input and an output that stay open, and what was written so far.
struct Session {
    input: std::io::PipeWriter,
    output: Written,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Session {
    fn start() -> Self {
        let (read, input) = std::io::pipe().unwrap();
        let output = Written::default();
        let to = output.clone();
        let thread = std::thread::spawn(move || engine().run(BufReader::new(read), to));
        Self { input, output, thread }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8(self.output.0.lock().unwrap().clone()).unwrap()
    }

    /// How long until so many lines begin so.
    fn wait(&self, start: &str, count: usize) -> Duration {
        let began = Instant::now();
        while self.text().lines().filter(|line| line.starts_with(start)).count() < count {
            assert!(began.elapsed() < Duration::from_secs(20), "no {start} in {}", self.text());
            std::thread::sleep(Duration::from_millis(1));
        }
        began.elapsed()
    }

    /// Ends it; all that it wrote.
    fn end(mut self) -> String {
        self.send("quit");
        self.thread.join().unwrap().unwrap();
        String::from_utf8(self.output.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn a_search_is_stopped_asked_and_told_that_its_guess_was_right() {
    let pause = || std::thread::sleep(Duration::from_millis(60));
    let mut session = Session::start();
    session.send("position startpos\ngo infinite");
    pause();
    session.send("isready");
    session.wait("readyok", 1);
    assert!(!session.text().contains("bestmove"));
    session.send("stop");
    session.wait("bestmove", 1);
    // A win is proven at once, and is not told before `stop`.
    session.send("position fen 6k1/5ppp/8/8/8/8/5PPP/3R2K1 w - - 0 1\ngo infinite");
    session.wait("info depth 1 seldepth 1 multipv 1 score mate 1", 1);
    pause();
    assert_eq!(session.text().matches("bestmove").count(), 1);
    session.send("stop");
    session.wait("bestmove d1d8", 1);
    // Pondering uses no time before the guess was right; then the clock runs.
    session.send("position startpos moves e2e4 e7e5\ngo ponder wtime 3000 btime 3000");
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(session.text().matches("bestmove").count(), 2);
    session.send("ponderhit");
    session.wait("bestmove", 3);
    // A wrong guess is stopped.
    session.send("go ponder wtime 1000 btime 1000");
    pause();
    session.send("stop");
    session.wait("bestmove", 4);
    // What comes while it searches is done afterwards.
    session.send("go movetime 80\nposition startpos moves d2d4\ngo nodes 20");
    session.wait("bestmove", 6);
    session.send("go infinite");
    pause();
    assert_eq!(session.end().matches("bestmove").count(), 7);
}

#[test]
fn the_end_of_the_input_ends_an_endless_search() {
    for go in ["go infinite", "go", "go ponder wtime 100 btime 100"] {
        let answers = ask(&format!("position startpos\n{go}\n"));
        assert_eq!(with_start(&answers, "bestmove").len(), 1, "{go}");
    }
}

/// Plays with either colour on the engine's clock, by a controller that measures.
#[test]
fn clocks_are_kept_and_moves_are_legal() {
    let mut session = Session::start();
    let mut random = Random::new(3);
    let (mut game, mut moves, mut searches) = (Chess::new(), Vec::new(), 0);
    let (mut left, increment) = (Duration::from_millis(500), Duration::from_millis(10));
    while game.outcome().is_none() && searches < 60 {
        let ms = left.as_millis();
        let go = if game.turn() == Turn::Player(0) {
            format!("go wtime {ms} btime 1 winc 10 binc 0")
        } else {
            format!("go btime {ms} wtime 1 binc 10 winc 0")
        };
        let began = Instant::now();
        session.send(&format!("position startpos moves {}\n{go}", moves.join(" ")));
        searches += 1;
        session.wait("bestmove", searches);
        let spent = began.elapsed();
        assert!(spent <= left, "{spent:?} of {left:?}");
        left = (left + increment).saturating_sub(spent);
        let text = session.text();
        let line = text.lines().rev().find(|line| line.starts_with("bestmove")).unwrap();
        let chosen = line.split(' ').nth(1).unwrap();
        game.try_play(game.parse_action(chosen).unwrap()).unwrap();
        moves.push(chosen.to_owned());
        // Two plies of others: the engine has the other colour then.
        for _ in 0..2 {
            let mut actions = Vec::new();
            game.legal_actions(&mut actions);
            if !actions.is_empty() {
                let action = actions[random.below(actions.len())];
                moves.push(game.uci(action));
                game.play(action);
            }
        }
    }
    assert_eq!(session.end().matches("bestmove").count(), searches);
}

#[test]
fn any_rule_and_evaluator_can_play() {
    let mut engine = Engine::new("light", mcts::rule::Uct::default(), Rollout::new(1));
    let mut output = Vec::new();
    engine.run(b"position startpos\ngo nodes 60\ngo movetime 5\n".as_slice(), &mut output).unwrap();
    assert_eq!(String::from_utf8(output).unwrap().matches("bestmove").count(), 2);
    // Threads share the tree.
    let answers = ask("setoption name Threads value 2\nposition startpos\ngo nodes 3000\n");
    assert_eq!(with_start(&answers, "bestmove").len(), 1);
}

#[test]
fn a_small_hash_is_kept() {
    let answers =
        ask("setoption name Hash value 1\nposition startpos\ngo nodes 6000\ngo depth 90\n");
    let infos = with_start(&answers, "info depth");
    assert!(infos.iter().all(|line| number(line, "hashfull") <= 1000));
    assert_eq!(with_start(&answers, "bestmove").len(), 2);
}

/// The rest of an input that fails is not waited for.
#[test]
fn an_input_that_fails_is_an_error() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let error = engine().run(BufReader::new(Fails), std::io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "gone");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever it is told: each `go` is answered by a move that is legal where it stands.
    #[test]
    fn no_line_upsets_it(
        lines in proptest::collection::vec(
            prop_oneof![
                "(position|setoption|ucinewgame|stop|ponderhit|isready|uci|debug on|register) ?\\PC{0,20}",
                "position (startpos|fen [KQkqPp1-8/]{0,20} w - - 0 1) moves( [a-h][1-8][a-h][1-8]q?){0,3}",
                "setoption name (Hash|Threads|MultiPV) value -?[0-9]{0,3}",
                "\\PC{0,30}",
            ],
            0..6,
        ),
        go in "(nodes|depth|mate|movetime|movestogo|wtime|btime|winc) (-?[0-9]|[0-9]{22}|x)?( nodes 5)",
    ) {
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.contains("go") && !line.contains("quit")).collect();
        let text = format!("{}\ngo {go} nodes 5\n", lines.join("\n"));
        let mut engine = engine();
        let mut output = Vec::new();
        engine.run(std::io::Cursor::new(text.clone().into_bytes()), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        let answers: Vec<String> = output.lines().map(str::to_owned).collect();
        prop_assert_eq!(with_start(&answers, "bestmove").len(), 1, "{}", text);
        let chosen = best(&answers);
        let lost = chosen == "(none)" && output.contains("info string");
        prop_assert!(lost || engine.game().parse_action(chosen).is_ok(), "{}: {}", text, chosen);
    }
}

/// Against plain rollouts and against random moves, at equal time.
#[test]
#[ignore = "minutes: run with --ignored --nocapture"]
fn it_wins_against_rollouts_and_random_moves() {
    let time = Limits::time(Duration::from_millis(100));
    let mut random = Random::new(5);
    for (name, searches) in [("rollouts", true), ("random", false)] {
        let mut points = [0; 3];
        for number in 0..20 {
            let mut game = Chess::new();
            let mut strong = Search::new(Classical::rule(), Classical::new());
            let mut light = Search::new(mcts::rule::Uct::default(), Rollout::new(number));
            while game.outcome().is_none() {
                let ours = game.turn().player() == Some(number as usize % 2);
                let action = if ours {
                    strong.run(&game, time).unwrap().best()
                } else if searches {
                    light.run(&game, time).unwrap().best()
                } else {
                    let mut actions = Vec::new();
                    game.legal_actions(&mut actions);
                    actions[random.below(actions.len())]
                };
                game.play(action);
                strong.advance(action).unwrap();
                light.advance(action).unwrap();
            }
            let value = game.outcome().unwrap().of(number as usize % 2);
            points[(value + 1.0) as usize] += 1;
        }
        println!("against {name}: {} won, {} drawn, {} lost", points[2], points[1], points[0]);
        assert!(points[2] >= 18);
    }
}
