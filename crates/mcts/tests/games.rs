//! Rules: exact counts, ends, symmetries, text.

use mcts::games::{ConnectFour, Othello, TicTacToe, perft};
use mcts::random::Random;
use mcts::{Action, Encode, Error, Game, Hashed, Symmetry};
use proptest::prelude::*;

fn counts<G: Game>(game: &G, depths: u32) -> Vec<u64> {
    (1..=depths).map(|depth| perft(game, depth)).collect()
}

#[test]
fn tic_tac_toe_has_its_known_counts() {
    assert_eq!(
        counts(&TicTacToe::new(), 9),
        [9, 72, 504, 3024, 15120, 54720, 148_176, 200_448, 127_872]
    );
}

#[test]
fn connect_four_has_its_known_counts() {
    let expected = [7, 49, 343, 2401, 16807, 117_649, 823_536, 5_673_234];
    assert_eq!(counts(&ConnectFour::new(), 8), expected);
}

#[test]
#[ignore = "seconds: run with --ignored"]
fn connect_four_has_its_known_counts_far_down() {
    assert_eq!(perft(&ConnectFour::new(), 9), 39_394_572);
    assert_eq!(perft(&ConnectFour::new(), 10), 268_031_646);
}

#[test]
fn othello_has_its_known_counts() {
    assert_eq!(counts(&Othello::new(), 8), [4, 12, 56, 244, 1396, 8200, 55092, 390_216]);
}

#[test]
#[ignore = "seconds: run with --ignored"]
fn othello_has_its_known_counts_far_down() {
    assert_eq!(perft(&Othello::new(), 9), 3_005_288);
    // The published count holds the games that have ended after nine actions, too.
    let over = ended(&Othello::new(), 9);
    assert_eq!(over, 228);
    assert_eq!(perft(&Othello::new(), 10) + over, 24_571_284);
}

/// Games that have ended after at most so many actions.
fn ended<G: Game>(game: &G, depth: u32) -> u64 {
    if game.outcome().is_some() {
        return 1;
    }
    if depth == 0 {
        return 0;
    }
    let mut actions = Vec::new();
    game.legal_actions(&mut actions);
    let below = |action| {
        let mut next = game.clone();
        next.play(action);
        ended(&next, depth - 1)
    };
    actions.into_iter().map(below).sum()
}

#[test]
fn connect_four_is_won_in_all_directions() {
    for columns in ["1122334", "1213141", "12233434474", "76655454414"] {
        let game = ConnectFour::from_columns(columns).unwrap();
        let values = game.outcome().unwrap_or_else(|| panic!("{columns} is won\n{game}"));
        assert_eq!(values, mcts::Values::two(0, 1.0), "{columns}");
        assert!(game.clone().try_play(6).is_err());
    }
    // A full column and the next one are no row.
    assert_eq!(ConnectFour::from_columns("1212122").unwrap().outcome(), None);
}

#[test]
fn illegal_actions_say_what_is_wrong_and_change_nothing() {
    let mut game = ConnectFour::from_columns("444444").unwrap();
    let before = game;
    let message = game.try_play(3).unwrap_err().to_string();
    assert!(message.contains("connect_four") && message.contains("action 3 (4)"), "{message}");
    assert!(game.try_play(7).unwrap_err().to_string().contains("the actions are 0 to 6"));
    assert_eq!(game, before);
    let mut won = ConnectFour::from_columns("1122334").unwrap();
    assert!(won.try_play(5).unwrap_err().to_string().contains("the game has ended"));

    let message = ConnectFour::from_columns("1238").unwrap_err().to_string();
    assert!(message.contains("character 4, `8`"), "{message}");
    let mut othello = Othello::new();
    assert!(matches!(othello.try_play(0), Err(Error::Illegal { action: 0, .. })));
    let message = othello.parse_action("a1").unwrap_err().to_string();
    assert!(message.contains("a1") && message.contains("one is"), "{message}");
}

#[test]
fn actions_are_read_as_they_are_written() {
    let game = Othello::new();
    let mut actions = Vec::new();
    game.legal_actions(&mut actions);
    let names: Vec<_> = actions.iter().map(|&action| game.action_name(action)).collect();
    assert_eq!(names, ["d3", "c4", "f5", "e6"]);
    for (action, name) in actions.iter().zip(names) {
        assert_eq!(game.parse_action(&name.to_uppercase()).unwrap(), *action);
    }
}

#[test]
fn rollouts_of_both_kinds_have_the_same_mean() {
    // The fast rollouts of a game against the ones that any game has.
    fn means<G: Game>(game: &G) -> [f64; 2] {
        let mut random = Random::new(3);
        let mut buffer = Vec::new();
        let n = 20_000;
        let mut fast = 0.0;
        let mut plain = 0.0;
        for _ in 0..n {
            fast += f64::from(game.clone().rollout(&mut random, &mut buffer).unwrap().of(0));
            let mut next = game.clone();
            while next.outcome().is_none() {
                buffer.clear();
                next.legal_actions(&mut buffer);
                next.play(buffer[random.below_u32(buffer.len() as u32) as usize]);
            }
            plain += f64::from(next.outcome().unwrap().of(0));
        }
        [fast / f64::from(n), plain / f64::from(n)]
    }
    let [fast, plain] = means(&ConnectFour::new());
    // The first player wins 55.6 % and draws 0.3 % of random games.
    assert!((plain - 0.112).abs() < 0.03, "{plain}");
    assert!((fast - plain).abs() < 0.03, "{fast} {plain}");
    let [fast, plain] = means(&Othello::new());
    assert!((fast - plain).abs() < 0.03, "{fast} {plain}");
}

/// A position after some actions, each chosen by a number.
fn after<G: Game>(mut game: G, choices: &[u16]) -> G {
    let mut actions = Vec::new();
    for &choice in choices {
        actions.clear();
        game.legal_actions(&mut actions);
        if actions.is_empty() {
            break;
        }
        game.play(actions[usize::from(choice) % actions.len()]);
    }
    game
}

/// Playing the transformed actions gives the transformed planes, and each symmetry is a
/// permutation.
fn check_symmetry<G: Symmetry + Encode + Hashed>(start: &G, symmetries: &[usize], choices: &[u16]) {
    let [planes, height, width] = start.shape();
    for &symmetry in symmetries {
        let mut game = start.clone();
        let mut turned = start.clone();
        let mut actions = Vec::new();
        for &choice in choices {
            actions.clear();
            game.legal_actions(&mut actions);
            if actions.is_empty() {
                break;
            }
            let action = actions[usize::from(choice) % actions.len()];
            game.play(action);
            turned.try_play(turned.transform_action(symmetry, action)).unwrap();
        }
        let (mut a, mut b) =
            (vec![9.0_f32; planes * height * width], vec![9.0_f32; planes * height * width]);
        game.encode(&mut a);
        turned.encode(&mut b);
        let size = height * width;
        for point in 0..size {
            let to = game.transform_point(symmetry, point);
            for plane in 0..planes {
                assert_eq!(a[plane * size + point].to_bits(), b[plane * size + to].to_bits());
            }
        }
        assert_eq!(game.outcome(), turned.outcome());
        if symmetry == 0 {
            assert_eq!(game.hash(), turned.hash());
            assert!(game == turned);
        }
        let mut all: Vec<Action> = (0..game.actions() as Action)
            .map(|action| game.transform_action(symmetry, action))
            .collect();
        all.sort_unstable();
        assert!(all.iter().enumerate().all(|(index, &action)| index == usize::from(action)));
    }
}

proptest! {
    #[test]
    fn symmetries_commute_with_play(choices in prop::collection::vec(any::<u16>(), 0..60)) {
        check_symmetry(&TicTacToe::new(), &[0, 1, 2, 3, 4, 5, 6, 7], &choices);
        check_symmetry(&ConnectFour::new(), &[0, 1], &choices);
        // The other four change the position at the start.
        check_symmetry(&Othello::new(), &[0, 3, 4, 7], &choices);
    }

    #[test]
    fn the_rules_agree_with_themselves(choices in prop::collection::vec(any::<u16>(), 0..70)) {
        fn check<G: Game>(game: G, choices: &[u16]) {
            let game = after(game, choices);
            let mut actions = Vec::new();
            game.legal_actions(&mut actions);
            assert_eq!(actions.is_empty(), game.outcome().is_some());
            assert!(actions.is_sorted());
            for action in 0..game.actions() as Action {
                assert_eq!(game.clone().try_play(action).is_ok(), actions.contains(&action));
            }
        }
        check(TicTacToe::new(), &choices);
        check(ConnectFour::new(), &choices);
        check(Othello::new(), &choices);
    }
}
