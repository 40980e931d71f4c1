//! Go's rules: exact counts, ko, suicide, scoring, and the incremental board against a slow one.

use mcts::Game as _;
use mcts::go::{Color, Go, Ko, Move, Point, Rules, games, legal_positions, perft};
use proptest::prelude::*;

fn go(side: usize, rules: Rules) -> Go {
    Go::new(side, rules).expect("a legal size")
}

/// A position from a picture: `X` Black, `O` White.
fn picture(rows: &[&str], rules: Rules, to_play: Color) -> Go {
    let mut game = Go::rectangle(rows[0].len(), rows.len(), rules).expect("a legal size");
    let mut stones = Vec::new();
    for (y, row) in rows.iter().enumerate() {
        for (x, mark) in row.chars().enumerate() {
            match mark {
                'X' => stones.push((Point::new(x, y), Some(Color::Black))),
                'O' => stones.push((Point::new(x, y), Some(Color::White))),
                _ => {}
            }
        }
    }
    game.set_up(&stones, to_play).expect("a legal position");
    game
}

fn play(x: usize, y: usize) -> Move {
    Move::Play(Point::new(x, y))
}

fn counts(
    side: usize,
    rules: Rules,
    depths: std::ops::RangeInclusive<usize>,
    pass: bool,
) -> Vec<u64> {
    depths.map(|depth| perft(&go(side, rules), depth, pass)).collect()
}

#[test]
fn perft_with_passes() {
    let known = [1, 10, 91, 738, 5281, 33_384, 180_768, 857_576];
    assert_eq!(counts(3, Rules::tromp_taylor(), 0..=7, true), known);
    let known = [1, 10, 91, 738, 5281, 33_384, 179_712, 842_696];
    assert_eq!(counts(3, Rules::chinese(), 0..=7, true), known);
    let known = [26, 651, 15_650, 361_041];
    assert_eq!(counts(5, Rules::tromp_taylor(), 1..=4, true), known);
    assert_eq!(counts(19, Rules::tromp_taylor(), 1..=2, true), [362, 130_683]);
}

#[test]
fn perft_without_passes() {
    assert_eq!(counts(9, Rules::chinese(), 1..=3, false), [81, 6480, 511_920]);
    assert_eq!(counts(5, Rules::chinese(), 1..=4, false), [25, 600, 13_800, 303_424]);
}

#[test]
#[ignore = "several seconds: run with --release"]
fn perft_deep() {
    let known = [7_984_104, 168_759_376];
    assert_eq!(counts(5, Rules::tromp_taylor(), 5..=6, true), known);
    assert_eq!(counts(5, Rules::chinese(), 6..=6, true), [168_755_200]);
    assert_eq!(counts(19, Rules::tromp_taylor(), 3..=3, true), [47_046_242]);
    assert_eq!(counts(9, Rules::chinese(), 4..=4, false), [39_929_136]);
    assert_eq!(counts(5, Rules::chinese(), 5..=5, false), [6_368_416]);
}

#[test]
fn legal_positions_by_side() {
    let found: Vec<u128> = (1..=5).map(|side| legal_positions(side, side).unwrap()).collect();
    assert_eq!(found, [1, 57, 12_675, 24_318_165, 414_295_148_741]);
}

#[test]
fn games_on_a_line() {
    let found: Vec<u64> = (1..=3).map(|width| games(width, 1).unwrap()).collect();
    assert_eq!(found, [1, 9, 907]);
}

#[test]
#[ignore = "two thousand million games: run with --release"]
fn games_on_a_line_of_four() {
    assert_eq!(games(4, 1).unwrap(), 2_098_407_841);
}

#[test]
fn ko_may_not_be_retaken_at_once() {
    let rows = [".XO.", "XO.O", ".XO.", "...."];
    for rules in [Rules::chinese(), Rules::american(), Rules::japanese()] {
        let mut game = picture(&rows, rules, Color::Black);
        game.make(play(2, 1)).unwrap();
        assert_eq!(game.board().stone(Point::new(1, 1)), None);
        let refused = game.make(play(1, 1)).unwrap_err().to_string();
        assert!(refused.contains("ko"), "{refused}");
        game.make(play(3, 3)).unwrap();
        game.make(play(0, 3)).unwrap();
        game.make(play(1, 1)).unwrap();
        assert_eq!(game.board().stone(Point::new(2, 1)), None);
    }
}

#[test]
fn the_ko_rules_differ_where_the_player_to_move_does() {
    // White takes a stone that was there with Black to move; Black's taking back makes the same
    // stones with White to move.
    let retake = |ko: Ko, pass: bool| {
        let mut game = picture(&["X."], Rules { ko, ..Rules::japanese() }, Color::Black);
        game.make_as(Color::White, play(1, 0)).unwrap();
        assert_eq!(game.board().stones(Color::Black), 0);
        if pass {
            game.make_as(Color::White, Move::Pass).unwrap();
        }
        game.why_illegal(play(0, 0))
    };
    assert_eq!(retake(Ko::Simple, false), Some("ko"));
    assert_eq!(retake(Ko::Simple, true), None);
    assert_eq!(retake(Ko::Positional, false), Some("superko"));
    assert_eq!(retake(Ko::Positional, true), Some("superko"));
    assert_eq!(retake(Ko::Situational, false), None);
}

#[test]
fn suicide_follows_the_rules() {
    let rows = [".X.", "XX.", "..."];
    let lone = |rules| picture(&rows, rules, Color::White).why_illegal(play(0, 0));
    assert_eq!(lone(Rules::chinese()), Some("suicide"));
    assert_eq!(lone(Rules::tromp_taylor()), Some("superko"));
    let rows = ["O.X.", "XXX.", "...."];
    let mut game = picture(&rows, Rules::tromp_taylor(), Color::White);
    game.make(play(1, 0)).unwrap();
    assert_eq!(game.board().stones(Color::White), 0);
    let refused = picture(&rows, Rules::chinese(), Color::White).make(play(1, 0)).unwrap_err();
    assert!(refused.to_string().contains("B3") && refused.to_string().contains("suicide"));
}

#[test]
fn the_area_counts_stones_and_what_touches_one_colour() {
    let game = picture(
        &[".XO..", "XXOO.", "XX.O.", "XXOOO", ".XO.."],
        Rules::tromp_taylor(),
        Color::Black,
    );
    let area = game.area();
    assert_eq!(area.points(Color::Black), 10);
    assert_eq!(area.points(Color::White), 14);
    assert_eq!(area.owner(Point::new(2, 2), 5), None);
    assert!((game.score() - (-4.0 - 7.5)).abs() < 1e-6);
}

#[test]
fn handicap_is_paid_for_as_the_rules_say() {
    for (rules, points) in
        [(Rules::chinese(), 4.0), (Rules::american(), 3.0), (Rules::japanese(), 0.0)]
    {
        let mut game = go(9, rules.with_komi(0.5));
        let places = game.handicap_points(4).unwrap();
        game.set_handicap(&places).unwrap();
        assert_eq!((game.to_play(), game.handicap()), (Color::White, 4));
        assert!((game.compensation() - points - 0.5).abs() < 1e-6);
        assert!(game.set_handicap(&places).is_err(), "the board is not empty any more");
    }
}

#[test]
fn bad_input_is_named() {
    for side in [0, 20, 1000] {
        assert!(Go::new(side, Rules::chinese()).unwrap_err().to_string().contains("1 to 19"));
    }
    assert!(
        Go::new(9, Rules::chinese().with_komi(f32::NAN)).unwrap_err().to_string().contains("komi")
    );
    let endless = Rules { ko: Ko::Simple, ..Rules::chinese() };
    assert!(Go::new(9, endless).unwrap_err().to_string().contains("max_moves"));
    let mut game = go(9, Rules::chinese());
    assert!(game.make(play(9, 0)).unwrap_err().to_string().contains("outside"));
    assert!(game.try_play(82).unwrap_err().to_string().contains("0 to 81"));
    let dead = [
        (Point::new(0, 0), Some(Color::Black)),
        (Point::new(1, 0), Some(Color::White)),
        (Point::new(0, 1), Some(Color::White)),
    ];
    assert!(game.set_up(&dead, Color::Black).unwrap_err().to_string().contains("liberty"));
    assert!(game.set_up(&[(Point::new(0, 9), None)], Color::Black).is_err());
    assert_eq!(game, go(9, Rules::chinese()), "nothing has changed");
    assert!(game.set_handicap(&[Point::new(0, 0)]).is_err());
    assert!(game.set_handicap(&[Point::new(0, 0), Point::new(0, 0)]).is_err());
}

#[test]
fn a_limit_of_moves_ends_the_game() {
    let mut game = go(3, Rules::japanese().with_max_moves(2));
    game.make(play(1, 1)).unwrap();
    game.make(play(0, 0)).unwrap();
    assert!(game.ended() && game.outcome().is_some());
    assert!(game.make(play(2, 2)).unwrap_err().to_string().contains("ended"));
}

/// The same rules, found anew at every move.
#[derive(Clone)]
struct Slow {
    width: usize,
    height: usize,
    cells: Vec<Option<Color>>,
}

impl Slow {
    fn near(&self, i: usize) -> Vec<usize> {
        let (x, y) = (i % self.width, i / self.width);
        let mut near = Vec::new();
        if x > 0 {
            near.push(i - 1);
        }
        if x + 1 < self.width {
            near.push(i + 1);
        }
        if y > 0 {
            near.push(i - self.width);
        }
        if y + 1 < self.height {
            near.push(i + self.width);
        }
        near
    }

    fn chain(&self, start: usize) -> (Vec<usize>, Vec<usize>) {
        let mut chain = vec![start];
        let mut liberties = Vec::new();
        let mut done = 0;
        while done < chain.len() {
            for n in self.near(chain[done]) {
                if self.cells[n].is_none() && !liberties.contains(&n) {
                    liberties.push(n);
                }
                if self.cells[n] == self.cells[start] && !chain.contains(&n) {
                    chain.push(n);
                }
            }
            done += 1;
        }
        (chain, liberties)
    }

    fn play(&mut self, i: usize, color: Color) {
        self.cells[i] = Some(color);
        for n in self.near(i) {
            if self.cells[n] == Some(color.opponent()) {
                let (chain, liberties) = self.chain(n);
                if liberties.is_empty() {
                    for stone in chain {
                        self.cells[stone] = None;
                    }
                }
            }
        }
        let (chain, liberties) = self.chain(i);
        if liberties.is_empty() {
            for stone in chain {
                self.cells[stone] = None;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Stones, liberties, chains, legal moves: the incremental board tells what a slow one finds.
    #[test]
    fn the_board_agrees_with_a_slow_one(
        width in 1..8_usize, height in 1..8_usize, suicide: bool, picks in prop::collection::vec(any::<u16>(), 0..150),
    ) {
        let rules = Rules { suicide, ..Rules::tromp_taylor() };
        let mut game = Go::rectangle(width, height, rules).unwrap();
        let mut slow = Slow { width, height, cells: vec![None; width * height] };
        let mut past = vec![slow.cells.clone()];
        let mut actions = Vec::new();
        for pick in picks {
            actions.clear();
            game.legal_actions(&mut actions);
            let color = game.to_play();
            let mut expected = Vec::new();
            for i in 0..width * height {
                if slow.cells[i].is_none() {
                    let mut next = slow.clone();
                    next.play(i, color);
                    if !past.contains(&next.cells) && (suicide || next.cells[i].is_some()) {
                        expected.push(i as u16);
                    }
                }
            }
            expected.push((width * height) as u16);
            prop_assert_eq!(&actions, &expected);
            let mut action = actions[usize::from(pick) % actions.len()];
            if game.passes() == 1 && action == game.pass() {
                action = actions[0];
            }
            if action == game.pass() && game.passes() == 1 {
                break;
            }
            if action < game.pass() {
                slow.play(usize::from(action), color);
            }
            game.play(action);
            past.push(slow.cells.clone());
            for (i, point) in game.points().enumerate() {
                prop_assert_eq!(game.board().stone(point), slow.cells[i]);
                if slow.cells[i].is_some() {
                    let (chain, liberties) = slow.chain(i);
                    prop_assert_eq!(game.board().liberties(point), liberties.len());
                    prop_assert_eq!(game.board().chain(point).len(), chain.len());
                }
            }
            let mut copy = go(width.max(height), rules);
            copy.clone_from(&game);
            prop_assert_eq!(&copy, &game);
        }
    }
}
