//! Life, death and seki at the end of a game, and both ways of scoring, as GNU Go judges them.

use std::collections::BTreeSet;

use mcts::go::{Color, Go, Move, Point, Rules, Status, statuses};

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
fn stones(game: &Go, wanted: Status) -> BTreeSet<String> {
    let height = game.board().height();
    let chains = statuses(game).chains.into_iter().filter(|(status, _)| *status == wanted);
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
        let name = &position.name;
        assert_eq!(stones(&game, Status::Dead), position.dead, "dead: {name}");
        assert_eq!(stones(&game, Status::Seki), position.seki, "seki: {name}");
        assert_eq!(stones(&game, Status::Alive), position.alive, "alive: {name}");
        assert_eq!(written(statuses(&game).score), position.territory, "{name}");
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
    assert!((statuses(&game).score - 0.5).abs() < 1e-6);
    assert_eq!(stones(&game, Status::Dead), BTreeSet::from(["A2".to_owned()]));
}

#[test]
fn the_same_position_gets_the_same_answer() {
    let rows = ["XX.X.", "OOXXX", ".OOX.", "OO.OX", ".OOOX"];
    let game = picture(&rows, Rules::chinese());
    let first = statuses(&game);
    for _ in 0..3 {
        let again = statuses(&game);
        assert_eq!(again.chains, first.chains);
        assert!((again.score - first.score).abs() < 1e-6);
    }
}
