//! The Connect Four solver against plain minimax, and against Pons's published scores.

use std::io::Write as _;
use std::path::Path;

use mcts::games::{ConnectFour, ConnectFourSolver, read_positions};
use mcts::random::Random;
use mcts::tree::Proven;
use mcts::{Error, Game};
use model_utils_core::event::Stop;

/// Random positions that go on, with so many stones.
fn positions(stones: u32, count: usize) -> Vec<ConnectFour> {
    let mut random = Random::new(u64::from(stones));
    let mut positions = Vec::new();
    let mut actions = Vec::new();
    while positions.len() < count {
        let mut game = ConnectFour::new();
        while game.outcome().is_none() && game.stones() < stones {
            actions.clear();
            game.legal_actions(&mut actions);
            game.play(actions[random.below_u32(actions.len() as u32) as usize]);
        }
        if game.outcome().is_none() && game.stones() == stones {
            positions.push(game);
        }
    }
    positions
}

/// Plain minimax without tables, as a witness of small cases.
fn minimax(game: &ConnectFour) -> i32 {
    let left = 42 - game.stones() as i32;
    if game.outcome().is_some_and(|values| values != mcts::Values::DRAW) {
        return -(left + 2) / 2;
    }
    let mut actions = Vec::new();
    game.legal_actions(&mut actions);
    let below = |action| {
        let mut next = *game;
        next.play(action);
        -minimax(&next)
    };
    actions.into_iter().map(below).max().unwrap_or(0)
}

#[test]
fn scores_are_those_of_minimax() {
    // A small table, so that entries are overwritten.
    let mut solver = ConnectFourSolver::with_entries(1 << 10).unwrap();
    let mut seen = [0; 3];
    for stones in 34..42 {
        for game in positions(stones, 10) {
            let score = minimax(&game);
            assert_eq!(solver.score(&game).unwrap(), score, "\n{game}");
            assert_eq!(solver.result(&game).unwrap().value() as i32, score.signum());
            seen[(score.signum() + 1) as usize] += 1;
        }
        for game in positions(stones.max(35), 3) {
            for (action, proven) in solver.results(&game).unwrap() {
                let mut next = game;
                next.play(action);
                assert_eq!(proven.value() as i32, (-minimax(&next)).signum());
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 5), "losses, draws and wins: {seen:?}");
}

#[test]
fn scores_do_not_depend_on_the_table() {
    let mut small = ConnectFourSolver::with_entries(97).unwrap();
    let mut large = ConnectFourSolver::with_entries(1 << 16).unwrap();
    for game in positions(27, 20) {
        assert_eq!(small.score(&game).unwrap(), large.score(&game).unwrap());
    }
    assert!(large.nodes() < small.nodes());
}

#[test]
fn a_stopped_solver_gives_no_score_and_keeps_a_sound_table() {
    let mut solver = ConnectFourSolver::with_entries(1 << 16).unwrap();
    let empty = ConnectFour::new();
    // Once at the start, and then every 65,536 positions.
    let error = solver.score(Stop::after(3).around(&empty)).unwrap_err().to_string();
    assert_eq!(error, "solving was stopped at 196608 positions");
    assert!(solver.results(Stop::after(1).around(&empty)).is_err());
    let mut fresh = ConnectFourSolver::with_entries(1 << 16).unwrap();
    for game in positions(27, 20) {
        assert_eq!(solver.score(&game).unwrap(), fresh.score(&game).unwrap());
    }
}

#[test]
fn a_win_in_one_and_the_end_are_seen() {
    let mut solver = ConnectFourSolver::with_entries(64).unwrap();
    let game = ConnectFour::from_columns("112233").unwrap();
    assert_eq!(solver.score(&game).unwrap(), 18);
    let results = solver.results(&game).unwrap();
    assert_eq!(results[3], (3, Proven::Win));
    let over = ConnectFour::from_columns("1122334").unwrap();
    assert!(matches!(solver.score(&over), Err(Error::Ended { .. })));
    assert!(matches!(solver.results(&over), Err(Error::Ended { .. })));
    assert!(ConnectFourSolver::with_entries(0).is_err());
}

#[test]
fn bad_files_are_refused_with_their_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "44 1\n4x 2").unwrap();
    let message = read_positions(file.path()).unwrap_err().to_string();
    assert!(message.contains("line 2") && message.contains("`x`"), "{message}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "44").unwrap();
    assert!(read_positions(file.path()).unwrap_err().to_string().contains("line 1"));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(read_positions(file.path()).unwrap_err().to_string().contains("no positions"));
    assert!(matches!(read_positions(Path::new("/nowhere")), Err(Error::Utils(_))));
}

#[test]
#[ignore = "needs the whole file: USAGI_CONNECT4=Test_L3_R1 and --ignored"]
fn scores_are_those_of_the_whole_benchmark() {
    let path = std::env::var("USAGI_CONNECT4").expect("USAGI_CONNECT4 names the file");
    let mut solver = ConnectFourSolver::new();
    for (game, score) in read_positions(Path::new(&path)).unwrap() {
        assert_eq!(solver.score(&game).unwrap(), score, "\n{game}");
    }
}
