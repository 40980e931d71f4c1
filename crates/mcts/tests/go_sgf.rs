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
        ("()", "line 1, column 3", "`(`"),
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
        ("(;SZ[9]KM[6.5目])", "line 1, column 8", "expected a number"),
        ("(;SZ[9]HA[对子])", "line 1, column 8", "expected a number"),
        ("(;SZ[9]KM[375])", "line 1, column 8", "7.5, as it seems"),
        ("(;a4[x])", "line 1, column 5", "capital"),
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
fn every_character_set_is_read() {
    // (label, with CA or without, names)
    for (label, names) in [
        ("Shift_JIS", ["本因坊秀策", "井上幻庵因碩"]),
        ("EUC-JP", ["本因坊秀策", "井上幻庵因碩"]),
        ("ISO-2022-JP", ["本因坊秀策", "井上幻庵因碩"]),
        ("Big5", ["許功蓋", "周俊勳"]),
        ("GB18030", ["柯洁", "聂卫平"]),
        ("gb2312", ["柯洁", "聂卫平"]),
        ("EUC-KR", ["이창호", "조훈현"]),
        ("windows-1252", ["Müller", "Ørsted"]),
        ("UTF-8", ["本因坊秀策", "Müller"]),
    ] {
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
        let [black, white] = names;
        // Bytes 5C and 5D of a name are no escape and no bracket.
        let comment = if label == "windows-1252" { "la défense était là" } else { black };
        for charset in [format!("CA[{label}]"), String::new()] {
            let text = format!(
                "(;GM[1]FF[4]{charset}SZ[19]PB[{black}]PW[{white}]C[{comment}、{white}];B[pd];W[dd])"
            )
            .replace('、', if label.ends_with("1252") { "," } else { "、" });
            let (bytes, _, lossy) = encoding.encode(&text);
            assert!(!lossy, "{label}");
            let sgf = Sgf::from_bytes(&bytes).unwrap();
            let record = Record::from_sgf(&sgf).unwrap();
            assert_eq!([&record.black, &record.white], names, "{label}, {charset}");
            assert_eq!(record.steps.len(), 2, "{label}, {charset}");
            let written = sgf.to_string();
            let again = Sgf::from_bytes(written.as_bytes()).unwrap();
            assert_eq!(again, sgf);
            assert_eq!(written.contains("CA[UTF-8]"), !charset.is_empty());
        }
    }
    // Named wrongly, or by a name of its own.
    let gbk = encoding_rs::GBK.encode("(;CA[UTF-8]PB[柯洁]PW[聂卫平]C[中国围棋甲级联赛])").0;
    let record = Record::from_sgf(&Sgf::from_bytes(&gbk).unwrap()).unwrap();
    assert_eq!(record.black, "柯洁");
    let sjis = encoding_rs::SHIFT_JIS.encode("(;CA[CP932]PB[表示能力])").0;
    assert_eq!(Record::from_sgf(&Sgf::from_bytes(&sjis).unwrap()).unwrap().black, "表示能力");
    let marked = "\u{feff}(;PB[許])".as_bytes();
    assert_eq!(Record::from_sgf(&Sgf::from_bytes(marked).unwrap()).unwrap().black, "許");
    let wide: Vec<u8> = "\u{feff}(;PB[許])".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(Record::from_sgf(&Sgf::from_bytes(&wide).unwrap()).unwrap().black, "許");
    for bytes in [&b"\xff\xfe\xfd(;B[pd"[..], b"\x80\x81\xff", b""] {
        assert!(Sgf::from_bytes(bytes).is_err());
    }
}

#[test]
fn what_stands_around_games_is_skipped() {
    let text = "To: us (all of us)\nSubject: [Go] (see below)\n\n(;SZ[9];B[ee])\n\
        and the second (lost):\n(;SZ[13];B[aa];W[bb]) -- \nsent (from) somewhere";
    let sgf: Sgf = text.parse().unwrap();
    assert_eq!(sgf.games().len(), 2);
    assert_eq!(Record::from_sgf_game(&sgf, 1).unwrap().steps.len(), 2);
}

#[test]
fn a_lenient_record_says_what_it_passed_over() {
    for (text, komi, faults) in [
        ("KM[6.5]", Some(6.5), 0),
        ("KM[6.5目]", Some(6.5), 1),
        ("KM[半目]", None, 1),
        ("KM[375]", Some(7.5), 1),
        ("KM[650]", Some(6.5), 1),
        ("KM[3.75]", Some(7.5), 1),
        ("KM[0]", Some(0.0), 0),
        ("KM[-7.5]", Some(-7.5), 0),
        ("HA[对子]", None, 1),
    ] {
        let sgf: Sgf = format!("(;SZ[9]{text};B[ee];W[zz];W[cc])").parse().unwrap();
        let (record, passed) = Record::lenient(&sgf, 0).unwrap();
        let faults_in_all: Vec<String> = passed.iter().map(ToString::to_string).collect();
        assert_eq!((record.komi, record.handicap), (komi, 0), "{text}");
        // The point off the board is one.
        assert_eq!(passed.len(), faults + 1, "{text}: {faults_in_all:?}");
        assert!(faults_in_all.last().unwrap().contains("`zz` is no point"));
        assert_eq!(record.steps.len(), 2);
        assert!(Record::from_sgf(&sgf).is_err());
    }
    for text in ["(;SZ[nine])", "(;GM[2])"] {
        assert!(Record::lenient(&text.parse().unwrap(), 0).is_err());
    }
    assert!(Record::lenient(&"(;SZ[9])".parse().unwrap(), 1).is_err());
}

#[test]
fn whose_turn_it_was_stays_before_a_move() {
    let sgf: Sgf = "(;SZ[9]HA[2]AB[cc][gg];W[ee];B[cg])".parse().unwrap();
    for (number, color) in [(1, Color::White), (2, Color::Black), (3, Color::White)] {
        let mut record = Record::from_sgf(&sgf).unwrap();
        record.keep_before_move(number);
        let game = record.replay(Rules::chinese()).unwrap();
        assert_eq!((game.moves().len(), game.to_play()), (number - 1, color), "{number}");
    }
    let mut record = Record::from_sgf(&"(;SZ[9];W[ee])".parse().unwrap()).unwrap();
    record.keep_before_move(1);
    assert_eq!(record.replay(Rules::chinese()).unwrap().to_play(), Color::White);
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
