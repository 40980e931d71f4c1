//! Life, death and seki at the end of a game, and both ways of scoring, as GNU Go judges them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mcts::go::{Color, Go, Move, Point, Rules, Status, Statuses, statuses};
use mcts::sgf::{Record, Sgf, Step};

/// A position of `fixtures/make_life.py` with GNU Go's judgement.
#[derive(serde::Deserialize)]
struct Position {
    name: String,
    rows: Vec<String>,
    alive: BTreeSet<String>,
    dead: BTreeSet<String>,
    seki: BTreeSet<String>,
    territory: String,
    area: String,
}

/// A position from a picture: `X` Black, `O` White.
fn picture(rows: &[impl AsRef<str>], rules: Rules) -> Go {
    let mut game = Go::rectangle(rows[0].as_ref().len(), rows.len(), rules).unwrap();
    let mut stones = Vec::new();
    for (y, row) in rows.iter().enumerate() {
        for (x, mark) in row.as_ref().chars().enumerate() {
            match mark {
                'X' => stones.push((Point::new(x, y), Some(Color::Black))),
                'O' => stones.push((Point::new(x, y), Some(Color::White))),
                _ => {}
            }
        }
    }
    game.set_up(&stones, Color::Black).unwrap();
    game
}

/// The stones of a status.
fn stones(game: &Go, judged: &Statuses, wanted: Status) -> BTreeSet<String> {
    let height = game.board().height();
    let chains = judged.chains.iter().filter(|(status, _)| *status == wanted);
    chains.flat_map(|(_, points)| points).map(|point| point.name(height)).collect()
}

fn written(score: f32) -> String {
    if score > 0.0 { format!("B+{score}") } else { format!("W+{}", -score) }
}

#[test]
fn positions_are_judged_as_gnu_go_judges_them() {
    let positions: Vec<Position> =
        serde_json::from_str(include_str!("fixtures/life.json")).unwrap();
    assert_eq!(positions.len(), 8);
    for position in positions {
        let game = picture(&position.rows, Rules::japanese().with_komi(0.5));
        let (name, judged) = (&position.name, statuses(&game));
        assert_eq!(stones(&game, &judged, Status::Dead), position.dead, "dead: {name}");
        assert_eq!(stones(&game, &judged, Status::Seki), position.seki, "seki: {name}");
        assert_eq!(stones(&game, &judged, Status::Alive), position.alive, "alive: {name}");
        assert_eq!(written(judged.score), position.territory, "{name}");
        let area = picture(&position.rows, Rules::chinese().with_komi(0.5));
        assert_eq!(written(statuses(&area).score), position.area, "{name}");
    }
}

#[test]
fn territory_is_empty_points_and_prisoners() {
    let mut game = Go::new(5, Rules::japanese().with_komi(0.5)).unwrap();
    let play = |x, y| Move::Play(Point::new(x, y));
    // Two walls, a white stone taken on the way.
    for row in 0..5 {
        game.make_as(Color::Black, play(1, row)).unwrap();
        game.make_as(Color::White, play(3, row)).unwrap();
    }
    assert!((game.score() + 0.5).abs() < 1e-6, "five points each");
    game.make_as(Color::White, play(0, 0)).unwrap();
    game.make_as(Color::Black, play(0, 1)).unwrap();
    assert_eq!((game.prisoners(Color::White), game.prisoners(Color::Black)), (1, 0));
    // A point is filled for the stone that is taken.
    assert!((game.score() + 0.5).abs() < 1e-6);
    // A dead stone is a prisoner and a point.
    game.make_as(Color::White, play(0, 3)).unwrap();
    let judged = statuses(&game);
    assert!((judged.score - 0.5).abs() < 1e-6);
    assert_eq!(stones(&game, &judged, Status::Dead), BTreeSet::from(["A2".to_owned()]));
}

#[test]
fn the_same_position_gets_the_same_answer() {
    let rows = ["XX.X.", "OOXXX", ".OOX.", "OO.OX", ".OOOX"];
    let game = picture(&rows, Rules::chinese());
    let first = statuses(&game);
    for _ in 0..2 {
        let again = statuses(&game);
        assert_eq!(again.chains, first.chains);
        assert!((again.score - first.score).abs() < 1e-6);
    }
}

/// The SGF files of a folder and the folders in it.
fn records(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            records(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sgf") {
            found.push(path);
        }
    }
}

/// The score of a record's last position by territory, whatever rules it names.
fn score_of(record: &mut Record) -> Option<f32> {
    "Japanese".clone_into(&mut record.rules);
    Some(statuses(&record.replay(Rules::japanese()).ok()?).score)
}

/// Scores of the tests of GNU Go 3.8, and of its records of games that ended by two passes with a
/// score: `USAGI_GNUGO=DIR/gnugo-3.8/regression cargo test -p mcts --release --test go_status --
/// --ignored --nocapture`.
#[test]
#[ignore = "needs the source of GNU Go, and minutes"]
#[allow(clippy::print_stdout)] // Says how many.
fn real_games_have_their_scores() {
    let folder = PathBuf::from(std::env::var("USAGI_GNUGO").expect("a folder"));
    let open = |path: &Path| Some(Record::lenient(&Sgf::open(path).ok()?, 0).ok()?.0);
    let (mut right, mut all) = (0, 0);
    for tests in ["score.tst", "score2.tst"] {
        let text = std::fs::read_to_string(folder.join(tests)).unwrap();
        let mut record = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("loadsgf ") {
                record = open(&folder.join(path.trim()));
            } else if let Some(expected) = line.strip_prefix("#? [")
                && let Some(score) = record.take().and_then(|mut record| score_of(&mut record))
            {
                all += 1;
                let expected = expected.replace('\\', "");
                right += usize::from(expected.starts_with(&format!("{}]", written(score))));
            }
        }
    }
    println!("tests: {right} of {all}");
    assert!(all == 57 && right >= 50, "{right} of {all}");

    let mut paths = Vec::new();
    records(&folder.join("games"), &mut paths);
    let (mut right, mut near, mut all) = (0, 0, 0);
    for mut record in paths.iter().filter_map(|path| open(path)) {
        let expected = record.result.get(2..).and_then(|score| score.parse::<f32>().ok());
        let passes = record.steps.iter().rev().take(2);
        let ended = passes.filter(|(step, ..)| matches!(step, Step::Move(_, Move::Pass))).count();
        if let (2, Some(winner), Some(expected)) = (ended, record.winner(), expected)
            && record.steps.len() > 30
            && let Some(score) = score_of(&mut record)
        {
            let expected = if winner == Color::Black { expected } else { -expected };
            all += 1;
            right += usize::from((score - expected).abs() < 1e-3);
            near += usize::from((score - expected).abs() < 2.1);
        }
    }
    println!("games: {right} of {all}, {near} within two points");
    assert!(4 * near > 3 * all, "{near} of {all}");
}
