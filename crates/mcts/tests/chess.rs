//! Chess: exact counts, names, ends, planes, mates.
//!
//! `cargo test -p mcts --release --no-default-features --features chess --test chess`

#![allow(clippy::float_cmp)] // Planes are exact.

use std::collections::BTreeSet;

use mcts::check::{check_encoding, check_game, check_hash};
use mcts::chess::{Chess, Classical, Ending};
use mcts::games::perft;
use mcts::random::Random;
use mcts::tree::Proven;
use mcts::{Action, Encode, Game, Hashed, Limits, Search, Turn, Values};
use proptest::prelude::*;

const KIWIPETE: &str = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1";

/// The positions of the Chess Programming Wiki and their counts at depth 1 to 5.
const PERFT: [(&str, [u64; 5]); 6] = [
    (
        "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1",
        [20, 400, 8902, 197_281, 4_865_609],
    ),
    (KIWIPETE, [48, 2039, 97_862, 4_085_603, 193_690_690]),
    ("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", [14, 191, 2812, 43_238, 674_624]),
    (
        "r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1",
        [6, 264, 9467, 422_333, 15_833_292],
    ),
    (
        "rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8",
        [44, 1486, 62_379, 2_103_487, 89_941_194],
    ),
    (
        "r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 w - - 0 10",
        [46, 2079, 89_890, 3_894_594, 164_075_551],
    ),
];

fn at(fen: &str) -> Chess {
    Chess::from_fen(fen).unwrap()
}

fn play(game: &mut Chess, moves: &str) {
    for text in moves.split_whitespace() {
        let action = game.parse_action(text).unwrap();
        game.play(action);
    }
}

fn legal(game: &Chess) -> Vec<Action> {
    let mut actions = Vec::new();
    game.legal_actions(&mut actions);
    actions
}

#[test]
fn the_known_counts() {
    for (fen, counts) in PERFT {
        let game = at(fen);
        let found = [1, 2, 3].map(|depth| perft(&game, depth));
        assert_eq!(found, counts[..3], "{fen}");
    }
}

#[test]
#[ignore = "a minute: run with --ignored"]
fn the_known_counts_far_down() {
    for (fen, counts) in PERFT {
        for depth in 4..=5 {
            assert_eq!(perft(&at(fen), depth as u32), counts[depth - 1], "{fen} {depth}");
        }
    }
}

#[test]
fn it_keeps_what_searches_rely_on() {
    for fen in [PERFT[0].0, KIWIPETE, "4k3/P6P/8/8/8/8/p6p/4K3 b - - 90 60"] {
        let game = at(fen);
        assert_eq!(check_game(&game), [], "{fen}");
        assert_eq!(check_hash(&game), [], "{fen}");
        assert_eq!(check_encoding(&game), [], "{fen}");
    }
}

/// Moves, their names, and ends as python-chess has them.
#[test]
fn python_chess_says_the_same() {
    let lines = include_str!("fixtures/chess_moves.txt");
    for line in lines.lines() {
        let [fen, ending, names] = line.split(';').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let game = at(fen);
        assert_eq!(game.fen(), fen);
        let found = game.ending().map(|ending| match ending {
            Ending::Checkmate => "CHECKMATE",
            Ending::Stalemate => "STALEMATE",
            Ending::InsufficientMaterial => "INSUFFICIENT_MATERIAL",
            Ending::FiftyMoves => "FIFTY_MOVES",
            Ending::Repetition => "THREEFOLD_REPETITION",
        });
        assert_eq!(found.unwrap_or_default(), ending, "{fen}");
        if found.is_some() {
            assert!(legal(&game).is_empty() && game.parse_action("e4").is_err());
            continue;
        }
        let actions = legal(&game);
        let named =
            |action: &Action| format!("{} {}", game.uci(*action), game.action_name(*action));
        let found: BTreeSet<String> = actions.iter().map(named).collect();
        assert_eq!(found, names.split(',').map(str::to_owned).collect(), "{fen}");
        for action in actions {
            assert_eq!(game.parse_action(&game.uci(action)).unwrap(), action);
            assert_eq!(game.parse_action(&game.action_name(action)).unwrap(), action);
        }
    }
}

#[test]
fn moves_are_read_as_people_write_them() {
    let reads = |fen: &str, text: &str| {
        let game = at(fen);
        game.parse_action(text).map(|action| game.uci(action)).map_err(|error| error.to_string())
    };
    for (text, uci) in [
        ("0-0", "e1g1"),
        ("O-O-O", "e1c1"),
        ("o-o", "e1g1"),
        ("00", "e1g1"),
        ("e1g1", "e1g1"),
        ("Nxd7", "e5d7"),
        ("Nd7", "e5d7"),
        ("nd7!?", "e5d7"),
        (" N:d7 ", "e5d7"),
        ("Ne5xd7", "e5d7"),
        ("E5-D7", "e5d7"),
        ("de6", "d5e6"),
        ("dxe6??", "d5e6"),
        ("Bxa6+", "e2a6"),
        ("ba6", "e2a6"),
        ("bxa6", "e2a6"),
    ] {
        assert_eq!(reads(KIWIPETE, text).as_deref(), Ok(uci), "{text}");
    }
    let promotes = "3r4/4P1k1/8/8/8/8/8/4K3 w - - 0 1";
    for text in ["exd8=Q", "exd8Q", "ed8=q", "e7d8q", "exd8(Q)", "e7xd8/Q", "exd8=Q+"] {
        assert_eq!(reads(promotes, text).as_deref(), Ok("e7d8q"), "{text}");
    }
    assert_eq!(reads("8/8/8/4k3/3pP3/8/8/4K3 b - e3 0 1", "dxe3 e.p.").as_deref(), Ok("d4e3"));
    for (fen, text, reason) in [
        (KIWIPETE, "Nd5", "no legal move"),
        (KIWIPETE, "e5", "no legal move"),
        (KIWIPETE, "hello", "expected SAN or two squares, as "),
        (KIWIPETE, "", "expected SAN"),
        (KIWIPETE, "0000", "expected SAN"),
        (KIWIPETE, "ß7♞é", "expected SAN"),
        (promotes, "exd8", "no legal move"),
        ("7k/8/8/8/2Q1Q3/8/2Q5/7K w - - 0 1", "Qd3", "it may be Q"),
        ("3k4/3P4/3K4/8/8/8/8/8 b - - 0 1", "Ke8", "the game has ended: Stalemate"),
    ] {
        let error = reads(fen, text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_fen_that_cannot_be_says_why() {
    for (fen, reason) in [
        ("", "0 fields, expected 6"),
        ("8/8/8/8/8/8/8/8 w - - 0", "5 fields, expected 6"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1 extra", "7 fields"),
        ("4k3/8/8/8/8/8/4K3 w - - 0 1", "pieces: 7 ranks, expected 8"),
        ("4k3/8/8/8/8/8/9/4K3 w - - 0 1", "`9` in rank 2"),
        ("4k3/8/8/8/8/8/8/4K2 w - - 0 1", "rank 1, `4K2`, has 7 squares"),
        ("4k3/8/8/8/8/8/7PP/4K3 w - - 0 1", "rank 2, `7PP`, has 9 squares"),
        ("4k3/8/8/8/8/8/4x3/4K3 w - - 0 1", "`x` in rank 2 is no piece"),
        ("4k3/8/8/8/8/8/8/8 w - - 0 1", "0 kings of white, expected 1"),
        ("4kk2/8/8/8/8/8/8/4K3 w - - 0 1", "2 kings of black, expected 1"),
        ("4k2P/8/8/8/8/8/8/4K3 w - - 0 1", "a pawn on rank 8"),
        ("4k3/8/8/8/8/8/8/p3K3 w - - 0 1", "a pawn on rank 1"),
        ("4k3/8/8/8/8/P7/PPPPPPPP/4K3 w - - 0 1", "9 pawns of white, expected at most 8"),
        ("4k3/8/8/8/8/QQ6/PPPPPPPP/4K3 w - - 0 1", "1 promoted pieces and 8 pawns of white"),
        ("4k3/4R3/8/8/8/8/8/4K3 w - - 0 1", "the side that has just moved is in check"),
        ("4k3/8/3N1N2/8/8/8/4R3/4K3 b - - 0 1", "too many pieces give check"),
        ("4k3/8/8/8/8/8/8/4K3 x - - 0 1", "side to move: `x`, expected `w` or `b`"),
        ("4k3/8/8/8/8/8/8/4K2R w KK - 0 1", "castling rights: `KK`, expected"),
        ("4k3/8/8/8/8/8/8/4K2R w H - 0 1", "castling rights: `H`, expected"),
        ("4k3/8/8/8/8/8/8/4K2R w Q - 0 1", "castling rights: `Q` without king and rook"),
        ("4k3/8/8/8/8/8/8/3K3R w K - 0 1", "castling rights: `K` without the king on the e-file"),
        ("4k3/8/8/8/8/8/8/4K3 w - e9 0 1", "en passant square: `e9`"),
        ("4k3/8/8/8/8/8/8/4K3 w - e6 0 1", "`e6` is not behind a pawn that black has just moved"),
        ("4k3/8/8/8/4P3/8/8/4K3 w - e3 0 1", "en passant square: `e3`"),
        ("4k3/8/8/8/8/8/8/4K3 w - - -1 1", "plies without capture or pawn move: `-1`"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 0", "number of the move: `0`, expected a number from 1"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 99999", "number of the move: `99999`"),
    ] {
        let error = Chess::from_fen(fen).unwrap_err().to_string();
        assert!(error.contains(reason), "{fen}: {error}");
    }
    let start = at("rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w qkQK -");
    assert_eq!(start, Chess::new());
    let late = at("4k3/8/8/8/8/8/4P3/4K3 w - - 149 90");
    assert_eq!(late.ending(), Some(Ending::FiftyMoves));
}

#[test]
fn games_end() {
    for (fen, ending) in [
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1", Some(Ending::InsufficientMaterial)),
        ("4k3/8/8/8/8/8/8/4KB2 w - - 0 1", Some(Ending::InsufficientMaterial)),
        ("4k3/8/8/8/8/8/8/4KN2 w - - 0 1", Some(Ending::InsufficientMaterial)),
        // All on dark squares, however many.
        ("4k3/8/8/b1b5/8/8/8/2B1K3 w - - 0 1", Some(Ending::InsufficientMaterial)),
        ("4kb2/8/8/8/8/4B3/8/2B1K3 w - - 0 1", Some(Ending::InsufficientMaterial)),
        ("2b1k3/8/8/8/8/8/8/2B1K3 w - - 0 1", None),
        ("4k3/8/8/8/8/8/8/3NKN2 w - - 0 1", None),
        ("4k1n1/8/8/8/8/8/8/4KN2 w - - 0 1", None),
        ("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1", None),
        ("3k4/8/8/8/8/8/4R3/4K3 w - - 99 80", None),
        ("3k4/8/8/8/8/8/4R3/4K3 w - - 100 80", Some(Ending::FiftyMoves)),
        // A mate on the last move counts.
        ("4k2R/R7/8/8/8/8/8/4K3 b - - 100 80", Some(Ending::Checkmate)),
        ("k7/1Q6/1K6/8/8/8/8/8 b - - 0 1", Some(Ending::Checkmate)),
        ("k7/2Q5/1K6/8/8/8/8/8 b - - 0 1", Some(Ending::Stalemate)),
    ] {
        let game = at(fen);
        assert_eq!(game.ending(), ending, "{fen}");
        let value = match ending {
            None => None,
            Some(Ending::Checkmate) => Some(Values::two(0, 1.0)),
            Some(_) => Some(Values::DRAW),
        };
        assert_eq!(game.outcome(), value, "{fen}");
    }
    let mut game = at("3k4/8/8/8/8/8/4R3/4K3 w - - 98 80");
    play(&mut game, "Kd1 Kc8");
    assert_eq!(game.ending(), Some(Ending::FiftyMoves));
    let mut game = Chess::new();
    play(&mut game, "f3 e5 g4 Qh4#");
    assert_eq!(game.outcome(), Some(Values::two(1, 1.0)));
    assert_eq!(game.turn(), Turn::Player(0));
}

#[test]
fn positions_repeat() {
    let mut game = Chess::new();
    play(&mut game, "Nf3 Nf6 Ng1 Ng8");
    assert_eq!((game.repetitions(), game.ending()), (1, None));
    play(&mut game, "Nf3 Nf6 Ng1");
    assert_eq!(game.ending(), None);
    play(&mut game, "Ng8");
    assert_eq!(game.ending(), Some(Ending::Repetition));
    assert_eq!(game.without_past().ending(), None);
    // After e4 no pawn can take en passant: the position is the same each time.
    let mut game = Chess::new();
    play(&mut game, "e4 Nf6 Nf3 Ng8 Ng1");
    assert_eq!(game.repetitions(), 1);
    // Here one can, the first time.
    let mut game = at("4k3/8/8/8/3p4/8/4P3/4K3 w - - 0 1");
    play(&mut game, "e4 Kd7 Kd1 Ke8 Ke1");
    assert_eq!(game.repetitions(), 0);
    // Here it cannot, as the king would be in check.
    let mut game = at("8/8/8/8/k2p3R/8/4P3/4K3 w - - 0 1");
    play(&mut game, "e4 Ka5 Kd1 Ka4 Ke1");
    assert_eq!(game.repetitions(), 1);
    // Rights to castle tell positions apart.
    let mut game = at("4k3/8/8/8/8/8/8/4K2R w K - 0 1");
    play(&mut game, "Rg1 Kd8 Rh1 Ke8");
    assert_eq!(game.repetitions(), 0);
    play(&mut game, "Rg1 Kd8 Rh1 Ke8");
    assert_eq!(game.repetitions(), 1);
    // What decides the future is in the hash.
    let mut once = at("4k3/8/8/8/8/8/8/4K2R w - - 4 3");
    assert_eq!(once.fen().rsplit_once(" - ").unwrap().1, "4 3");
    assert_ne!(once.hash(), game.hash());
    assert_ne!(once, game);
    play(&mut once, "Rg1 Kd8 Rh1 Ke8");
    assert_eq!(once.hash(), game.hash());
}

#[test]
fn the_numbers_of_moves_are_alphazeros() {
    let number = |fen: &str, text: &str| {
        let game = at(fen);
        let action = game.parse_action(text).unwrap();
        (action / 64, action % 64)
    };
    let start = PERFT[0].0;
    assert_eq!(number(start, "e4"), (1, 12));
    assert_eq!(number(start, "Nf3"), (56 + 7, 6));
    assert_eq!(number(start, "Nc3"), (56, 1));
    // Black sees the same.
    let black = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR b KQkq - 0 1";
    assert_eq!(number(black, "e5"), (1, 12));
    assert_eq!(number(black, "Nf6"), (56 + 7, 6));
    assert_eq!(number(KIWIPETE, "O-O"), (2 * 7 + 1, 4));
    assert_eq!(number(KIWIPETE, "O-O-O"), (6 * 7 + 1, 4));
    let promotes = "3r1r2/4P1k1/8/8/8/8/8/4K3 w - - 0 1";
    assert_eq!(number(promotes, "e8=Q"), (0, 52));
    assert_eq!(number(promotes, "exf8=Q"), (7, 52));
    assert_eq!(number(promotes, "exd8=N"), (64, 52));
    assert_eq!(number(promotes, "e8=B"), (64 + 4, 52));
    assert_eq!(number(promotes, "exf8=R"), (64 + 8, 52));
}

/// One number for each plane and square.
fn planes(game: &Chess) -> Vec<Vec<f32>> {
    let mut planes = vec![f32::NAN; 119 * 64];
    assert_eq!(game.shape(), [119, 8, 8]);
    game.encode(&mut planes);
    planes.chunks(64).map(<[f32]>::to_vec).collect()
}

fn squares(plane: &[f32]) -> Vec<usize> {
    (0..64).filter(|&square| plane[square] == 1.0).collect()
}

#[test]
fn planes_show_the_position_and_its_past() {
    let mut game = Chess::new();
    play(&mut game, "e4");
    let seen = planes(&game);
    // Black to move sees its own pawns on row 1, and white's on row 6 and one on row 4.
    assert_eq!(squares(&seen[0]), (8..16).collect::<Vec<_>>());
    assert_eq!(squares(&seen[6]), [36, 48, 49, 50, 51, 53, 54, 55]);
    assert_eq!(squares(&seen[5]), [4]);
    assert_eq!(squares(&seen[4]), [3]);
    // One position before: the pawn at home. Then nothing.
    assert_eq!(squares(&seen[14 + 6]), (48..56).collect::<Vec<_>>());
    assert!(seen[28..112].iter().flatten().all(|value| *value == 0.0));
    let whole: Vec<f32> = seen[112..].iter().map(|plane| plane[0]).collect();
    assert_eq!(whole, [1.0, 0.01, 1.0, 1.0, 1.0, 1.0, 0.0]);
    play(&mut game, "Nf6 Nf3 Ng8 Ng1");
    let seen = planes(&game);
    assert_eq!((seen[12][0], seen[13][0]), (1.0, 0.0));
    assert_eq!(seen[14 + 12][0], 0.0);
    assert_eq!(seen[118][9], 0.04);
    play(&mut game, "Nf6 Nf3 Ng8 Ng1");
    assert_eq!(planes(&game)[13][0], 1.0);
    // What a FEN tells of the past.
    let passant = planes(&at("4k3/8/8/8/3pP3/8/8/4K3 b - e3 0 1"));
    assert_eq!((squares(&passant[6]), squares(&passant[14 + 6])), (vec![36], vec![52]));
}

#[test]
fn the_board_prints_itself() {
    let text = at(KIWIPETE).to_string();
    assert!(text.starts_with("8 r . . . k . . r\n7 p . p p q p b .\n"), "{text}");
    assert!(
        text.ends_with(&format!("1 R . . . K . . R\n  a b c d e f g h\n{KIWIPETE}\n")),
        "{text}"
    );
    assert_eq!((at(KIWIPETE).piece_on(4), at(KIWIPETE).piece_on(64)), (Some('K'), None));
}

#[test]
fn exchanges_are_counted() {
    for (fen, text, won) in [
        ("1k1r4/1pp4p/p7/4p3/8/P5P1/1PP4P/2K1R3 w - - 0 1", "Rxe5", 100),
        ("1k1r3q/1ppn3p/p4b2/4p3/8/P2N2P1/1PP1R1BP/2K1Q3 w - - 0 1", "Nxe5", 100 - 320),
        ("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 1", "exd6", 100),
        ("4k3/8/2p5/3p4/8/8/8/3RK3 w - - 0 1", "Rxd5", 100 - 500),
        ("3r4/4P1k1/8/8/8/8/8/4K3 w - - 0 1", "exd8=Q", 500 + 950 - 100),
        ("4k3/8/2p5/8/8/8/8/3RK3 w - - 0 1", "Rd5", -500),
        (KIWIPETE, "O-O", 0),
    ] {
        let game = at(fen);
        assert_eq!(game.exchange(game.parse_action(text).unwrap()), won, "{fen} {text}");
    }
}

/// The same position with the colours swapped.
fn swapped(fen: &str) -> String {
    let fields: Vec<&str> = fen.split(' ').collect();
    let swap = |c: char| {
        if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
    };
    let pieces: Vec<&str> = fields[0].split('/').rev().collect();
    let pieces: String = pieces.join("/").chars().map(swap).collect();
    let side = if fields[1] == "w" { "b" } else { "w" };
    let rights: String = fields[2].chars().map(swap).collect();
    let passant = fields[3].replace('3', "x").replace('6', "3").replace('x', "6");
    format!("{pieces} {side} {rights} {passant} {} {}", fields[4], fields[5])
}

#[test]
fn both_sides_are_judged_alike() {
    let judge = Classical::new();
    for line in include_str!("fixtures/chess_moves.txt").lines() {
        let fen = line.split(';').next().unwrap();
        let (white, black) = (at(fen), at(&swapped(fen)));
        assert_eq!(judge.centipawns(&white), judge.centipawns(&black), "{fen}");
        assert_eq!(legal(&white), legal(&black), "{fen}");
        if white.outcome().is_none() {
            let run = |game: &Chess| {
                let mut search = Search::new(Classical::rule(), Classical::new());
                search.run(game, Limits::simulations(50)).unwrap()
            };
            assert_eq!(
                (run(&white).best(), run(&white).value),
                (run(&black).best(), run(&black).value)
            );
        }
    }
    assert!(judge.centipawns(&Chess::new()).abs() < 50);
    assert!(judge.centipawns(&at("4k3/8/8/8/8/8/8/Q3K3 w - - 0 1")) > 800);
    for cp in [-700.0, -20.0, 0.0, 350.0] {
        assert!((Classical::to_centipawns(Classical::value(cp)) - cp).abs() < 0.1);
    }
}

/// Mates in exactly two and three moves: `moves FEN` a line.
fn mates() -> impl Iterator<Item = (usize, &'static str)> {
    let lines = include_str!("fixtures/chess_mates.txt").lines();
    lines.map(|line| {
        let (moves, fen) = line.split_once(' ').unwrap();
        (moves.parse().unwrap(), fen)
    })
}

#[test]
fn mates_are_proven() {
    let mut counts = [Vec::new(), Vec::new()];
    for (moves, fen) in mates() {
        let mut search = Search::new(Classical::rule(), Classical::new());
        let found = search.run(&at(fen), Limits::simulations(400_000)).unwrap();
        assert_eq!(found.proven, Some(Proven::Win), "mate in {moves}: {fen}\n{found}");
        counts[moves - 2].push(found.simulations);
    }
    for (counts, moves) in counts.iter_mut().zip(2..) {
        counts.sort_unstable();
        let (median, most) = (counts[counts.len() / 2], counts[counts.len() - 1]);
        println!(
            "mate in {moves}: {} proven, simulations: median {median}, most {most}",
            counts.len()
        );
        assert_eq!(counts.len(), 100);
    }
}

#[test]
#[ignore = "half a minute: run with --ignored"]
fn kings_that_stand_alone_are_mated() {
    for fen in [
        "8/8/8/4k3/8/8/8/R3K3 w - - 0 1",
        "8/8/3k4/8/8/8/2R5/3K4 w - - 0 1",
        "8/8/8/3k4/8/8/8/Q3K3 w - - 0 1",
        "8/8/8/3k4/8/8/8/2B1KB2 w - - 0 1",
    ] {
        let (mut game, mut search) = (at(fen), Search::new(Classical::rule(), Classical::new()));
        while game.outcome().is_none() {
            let simulations = if game.turn() == Turn::Player(0) { 40_000 } else { 2000 };
            let best = search.run(&game, Limits::simulations(simulations)).unwrap().best();
            game.play(best);
            search.advance(best).unwrap();
        }
        println!("{fen}: {}", game.fen());
        assert_eq!(game.ending(), Some(Ending::Checkmate), "{fen}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,12}|[KQRBNPkqrbnp1-8/ wb-]{0,60}|[a-hx1-8=KQRBNO+#-]{1,8}") {
        let _ = Chess::from_fen(&text);
        let _ = at(KIWIPETE).parse_action(&text);
    }

    #[test]
    fn a_position_is_read_as_it_is_written(seed in 0..u64::MAX, plies in 0..150_usize) {
        let (mut game, mut random) = (Chess::new(), Random::new(seed));
        for _ in 0..plies {
            let actions = legal(&game);
            if actions.is_empty() {
                break;
            }
            game.play(actions[random.below(actions.len())]);
        }
        let again = at(&game.fen());
        prop_assert_eq!(game.fen(), again.fen());
        if game.repetitions() == 0 {
            prop_assert_eq!(game.hash(), again.hash());
            prop_assert_eq!(legal(&game), legal(&again));
        }
    }
}
