//! SGF: real-world forms, round trips, errors with their place, and no panic on anything.

use mcts::go::{Color, Go, Move, Point, Rules};
use mcts::sgf::{Property, Record, Sgf, Step, Value};
use proptest::prelude::*;

fn error(text: &str) -> String {
    let fault =
        |sgf: Sgf| Record::from_sgf(&sgf).and_then(|record| record.replay(Rules::chinese()));
    text.parse::<Sgf>().and_then(fault).expect_err(text).to_string()
}

#[test]
fn a_file_with_all_that_real_files_have() {
    let text = "From: someone\r\n\r\n(;GaMe[1]FF[3]SiZe[9]KoMi[0,5]\r\nHA[2]AB[cg][gc]\n\
        PB[Shusaku \\[4p\\]]PW[back\\\\slash]RE[W+Resign] C[a comment; with (marks)\nand \\\nlines\\: two]\n\
        ;W[ee]WL[12.5];B[]\n(;W[ff];B[tt])(;W[gg](;B[aa])(;B[bb];W[cc]))) (;SZ[5:4];B[ed])";
    let sgf: Sgf = text.parse().unwrap();
    assert_eq!(sgf.games().len(), 2);
    let record = Record::from_sgf(&sgf).unwrap();
    assert_eq!((record.width, record.height, record.handicap), (9, 9, 2));
    assert_eq!(record.komi, Some(0.5));
    assert_eq!((record.black.as_str(), record.white.as_str()), ("Shusaku [4p]", "back\\slash"));
    assert_eq!(record.winner(), Some(Color::White));
    let comment = sgf.node(0).unwrap().property("C").unwrap().text();
    assert_eq!(comment, "a comment; with (marks)\nand lines: two");
    let game = record.replay(Rules::chinese()).unwrap();
    assert_eq!((game.moves().len(), game.handicap()), (4, 2));
    assert!((game.compensation() - 2.5).abs() < 1e-6);
    assert_eq!(game.to_play(), Color::White);
    let second = Record::from_sgf_game(&sgf, 1).unwrap();
    assert_eq!((second.width, second.height), (5, 4));
    assert_eq!(second.steps[0].0, Step::Move(Color::Black, Move::Play(Point::new(4, 3))));
    assert_eq!(sgf.to_string().parse::<Sgf>().unwrap(), sgf);
}

#[test]
fn set_up_in_the_middle_rectangles_and_turns() {
    let sgf: Sgf = "(;SZ[5]AB[aa:bb]AW[ee];PL[W];W[dd]AE[aa];AE[bb]AW[cc];B[dc])".parse().unwrap();
    let game = Record::from_sgf(&sgf).unwrap().replay(Rules::chinese()).unwrap();
    assert_eq!(game.board().stones(Color::Black), 3);
    assert_eq!(game.board().stones(Color::White), 3);
}

#[test]
fn errors_name_line_and_column() {
    for (text, place, reason) in [
        ("", "line 1, column 1", "the end of the text"),
        ("no game", "line 1, column 8", "`(`"),
        ("()", "line 1, column 2", "`;`"),
        ("(;B[aa]", "line 1, column 8", "the end of the text"),
        ("(;SZ[9]\n  ;B[aa", "line 2, column 8", "`]`"),
        ("(;SZ[9]\n;B aa)", "line 2, column 4", "`[`"),
        ("(;SZ[9];b[aa])", "line 1, column 10", "capital"),
        ("(;SZ[9]?)", "line 1, column 8", "`?`"),
        ("(;SZ[20])", "line 1, column 3", "1 to 19"),
        ("(;SZ[0])", "line 1, column 3", "1 to 19"),
        ("(;SZ[nine])", "line 1, column 3", "nine"),
        ("(;GM[2])", "line 1, column 3", "expected 1"),
        ("(;SZ[9]KM[six])", "line 1, column 8", "six"),
        ("(;SZ[9];B[jj])", "line 1, column 9", "jj"),
        ("(;SZ[9];B[a1])", "line 1, column 9", "a1"),
        ("(;SZ[9];PL[x])", "line 1, column 9", "B or W"),
        ("(;SZ[9]\n;B[ee]\n;W[ee])", "line 3, column 2", "a stone is there"),
        ("(;SZ[2];AB[aa][ab][ba][bb])", "line 1, column 9", "liberty"),
    ] {
        let found = error(text);
        assert!(found.contains(place) && found.contains(reason), "{text}: {found}");
    }
    let sgf: Sgf = "(;SZ[9])".parse().unwrap();
    assert!(Record::from_sgf_game(&sgf, 1).unwrap_err().to_string().contains("no game 1"));
    assert!(Sgf::open("/no/such/file.sgf".as_ref()).is_err());
}

#[test]
fn latin_1_is_read_where_it_is_no_utf_8() {
    let sgf = Sgf::from_bytes(b"(;SZ[9]PB[M\xFCller])").unwrap();
    assert_eq!(Record::from_sgf(&sgf).unwrap().black, "Müller");
}

#[test]
fn deep_nesting_is_no_problem() {
    let deep = 200_000;
    let text = "(;C[x]".repeat(deep) + &")".repeat(deep);
    let sgf: Sgf = text.parse().unwrap();
    assert_eq!(sgf.nodes().len(), deep);
    assert_eq!(sgf.to_string().parse::<Sgf>().unwrap(), sgf);
    assert!("(".repeat(deep).parse::<Sgf>().is_err());
}

/// Trees with any text in them.
fn trees() -> impl Strategy<Value = Sgf> {
    let property = ("[A-Z]{1,3}", prop::collection::vec(any::<String>(), 1..3));
    let node = (any::<prop::sample::Index>(), prop::collection::vec(property, 0..3));
    prop::collection::vec(node, 1..20).prop_map(|nodes| {
        let mut sgf = Sgf::new();
        for (index, (parent, properties)) in nodes.into_iter().enumerate() {
            let properties = properties.into_iter().map(|(name, texts)| {
                let values = texts.iter().map(|text| Value::new(text)).collect();
                Property { values, ..Property::new(&name, "") }
            });
            let parent = (index > 0).then(|| parent.index(index));
            sgf.add(parent, properties.collect());
        }
        sgf
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(sgf) = text.parse::<Sgf>() {
            let _ = Record::from_sgf(&sgf).map(|record| record.replay(Rules::chinese()));
        }
    }

    #[test]
    fn what_looks_like_sgf_is_read_or_refused(
        text in r"\((;|\(|\)|\[|\]|\\|B\[[a-j]{0,3}\]|W\[[a-j]{0,3}\]|SZ\[[0-9:]{0,3}\]|A[BWE]\[[a-e:]{0,5}\]|KM\[[0-9.,-]{0,4}\]|HA\[[0-9]\]|[ \n]){0,40}\)?"
    ) {
        if let Ok(sgf) = text.parse::<Sgf>() {
            prop_assert_eq!(&sgf.to_string().parse::<Sgf>().unwrap(), &sgf);
            let _ = Record::from_sgf(&sgf).map(|record| record.replay(Rules::tromp_taylor()));
        }
    }

    #[test]
    fn trees_come_back_as_they_were(sgf in trees()) {
        let again: Sgf = sgf.to_string().parse().unwrap();
        prop_assert_eq!(again.nodes().len(), sgf.nodes().len());
        prop_assert_eq!(again.to_string(), sgf.to_string());
    }

    #[test]
    fn texts_come_back_as_they_were(text in any::<String>()) {
        prop_assert_eq!(Value::new(&text).text(), text.clone());
        let sgf = format!("(;C[{}])", Value::new(&text).raw()).parse::<Sgf>().unwrap();
        prop_assert_eq!(sgf.node(0).unwrap().property("C").unwrap().text(), text);
    }

    #[test]
    fn games_come_back_as_they_were(
        picks in prop::collection::vec(any::<u16>(), 0..120), handicap in 0..6_usize, komi in -20..20_i32,
    ) {
        use mcts::Game as _;
        let rules = Rules::chinese().with_komi(komi as f32 / 2.0);
        let mut game = Go::new(9, rules).unwrap();
        if let Some(places) = game.handicap_points(handicap) {
            game.set_handicap(&places).unwrap();
        }
        for pick in picks {
            let mut actions = Vec::new();
            game.legal_actions(&mut actions);
            if actions.is_empty() {
                break;
            }
            game.play(actions[usize::from(pick) % actions.len()]);
        }
        let record = Record::from_game(&game).unwrap();
        let text = record.to_sgf().to_string();
        let read = Record::from_sgf(&text.parse().unwrap()).unwrap();
        let again = read.replay(rules).unwrap();
        prop_assert_eq!(again.moves(), game.moves());
        prop_assert_eq!(again.board(), game.board());
        prop_assert!((again.score() - game.score()).abs() < 1e-6);
        prop_assert_eq!(again.to_play(), game.to_play());
    }
}
