//! Reading sentence pairs: formats, packed files, and what is said of lines that are none.
#![cfg(feature = "text")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use model_utils_core::data::{
    Columns, Dataset as _, DropReason, PairReport, SentencePair, SentencePairs, first_line,
    read_sentences,
};
use model_utils_core::error::{Error, Result};
use proptest::prelude::*;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
    fs::write(path.as_ref(), content).unwrap();
    path.as_ref().to_path_buf()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn set(pairs: &[(&str, &str)]) -> SentencePairs {
    pairs.iter().copied().collect()
}

/// The text of an error, which has to contain all of `parts`.
#[track_caller]
fn fails<T>(result: Result<T>, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// What was dropped: reason, how often, first line.
fn dropped(report: &PairReport) -> Vec<(DropReason, u64, u64)> {
    report.dropped.iter().map(|(reason, d)| (*reason, d.count, d.first_line)).collect()
}

#[test]
fn lines_of_two_files_belong_together() {
    let folder = folder();
    let root = folder.path();
    let source = write(root.join("s"), gzip("\u{feff}um\r\ndois \r\n".as_bytes()));
    let target = write(root.join("t"), "one\ntwo");
    let pairs = SentencePairs::open(&source, &target).unwrap();
    assert_eq!(pairs, set(&[("um", "one"), ("dois", "two")]));
    assert_eq!(pairs.report().dropped(), 0);
    assert_eq!(pairs.clone().reversed().get(1).unwrap().source, "two");
    assert!(pairs.get(2).is_err());

    let with = |text: &[u8]| SentencePairs::open(&source, write(root.join("t"), text));
    fails(with(b"one\n"), &["the first has 2 lines and the second 1", "s and ", "t: "]);
    fails(with(b"1\n2\n3\n4\n"), &["the first has 2 lines and the second 4"]);
    fails(SentencePairs::open(&source, root.join("none")), &["cannot open", "none"]);
    let empty = write(root.join("e"), "");
    fails(SentencePairs::open(&empty, &empty), &["there is no sentence"]);
}

#[test]
fn a_line_that_is_no_pair_is_counted_and_shifts_nothing() {
    let folder = folder();
    let root = folder.path();
    let long = "x".repeat(2 << 20);
    let source = format!("um\n\ndois\n\ntrês\n{long}\nquatro\ncinco\nseis\nsete\noito\nnove\n");
    let target = b"one\n\ntwo\nblank\n  \nlong\n\xff\xfe\nfive\nsix\nseven\neight\nnine\n";
    let open = |s: &[u8], t: &[u8]| {
        SentencePairs::open(write(root.join("s"), s), write(root.join("t"), t))
    };
    let pairs = open(source.as_bytes(), target).unwrap();
    let expected = [
        ("um", "one"),
        ("dois", "two"),
        ("cinco", "five"),
        ("seis", "six"),
        ("sete", "seven"),
        ("oito", "eight"),
        ("nove", "nine"),
    ];
    assert_eq!(pairs, set(&expected));
    assert_eq!([0, 1, 2, 6].map(|at| pairs.line(at)), [1, 3, 8, 12]);
    let report = pairs.report();
    let found = [
        (DropReason::BlankBoth, 1, 2),
        (DropReason::BlankSource, 1, 4),
        (DropReason::BlankTarget, 1, 5),
        (DropReason::NotUtf8, 1, 7),
        (DropReason::LongLine, 1, 6),
    ];
    assert_eq!(dropped(&report), found);
    assert_eq!((report.kept, report.dropped(), report.faults()), (7, 5, 4));
    let text = report.to_string();
    assert!(
        text.ends_with(
            "t: 7 pairs, 5 dropped: 1 blank on both sides (first: line 2), 1 blank source (first: \
             line 4), 1 blank target (first: line 5), 1 not UTF-8 (first: line 7), 1 line longer \
             than 1 MiB (first: line 6)"
        ),
        "{text}"
    );
    let turned = pairs.reversed();
    assert_eq!(dropped(&turned.report())[1], (DropReason::BlankSource, 1, 5));

    // Blank lines between documents are none of a damaged file, however many.
    assert_eq!(
        open(b"a\n\n\n\n\nb\n", b"A\n\n \n\n\nB\n").unwrap(),
        set(&[("a", "A"), ("b", "B")])
    );
    // Text of two bytes a letter is one.
    let wide: Vec<u8> = "one\ntwo\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fails(open(&wide, b"1\n2\n3\n"), &["no sentence pair", "not UTF-8 (first: line 1)"]);
    fails(open(b"a\nb\nc\n", b"A\n\n\n"), &["only 1 lines are pairs", "2 blank target", "line 2"]);
    fails(open(b"\n\n", b"\n\n"), &["no sentence pair", "2 blank on both sides (first: line 1)"]);
}

#[test]
fn columns_of_tables() {
    let folder = folder();
    let root = folder.path();
    let open = |text: &str, columns: &str| {
        let columns = if columns.is_empty() { Columns::Guessed } else { columns.parse().unwrap() };
        SentencePairs::open_tsv(write(root.join("p.tsv"), text), &columns)
    };
    let one = set(&[("um", "one")]);
    assert_eq!(open("um\tone\tCC-BY\n", "").unwrap(), one);
    assert_eq!(open("one\tx\t um \r\n", "3,1").unwrap(), one);
    let pairs = open("um\tone\n\ndois\n\t\ntrês\tthree\n\tfour\n", "").unwrap();
    assert_eq!(pairs, set(&[("um", "one"), ("três", "three")]));
    let found = [
        (DropReason::BlankBoth, 2, 2),
        (DropReason::BlankSource, 1, 6),
        (DropReason::TooFewColumns, 1, 3),
    ];
    assert_eq!(dropped(&pairs.report()), found);
    // More than are looked at for the columns.
    let many = (0..40).map(|n| format!("s{n}\tt{n}\n")).collect::<Vec<_>>().concat();
    let pairs = open(&(many + "s\n"), "").unwrap();
    assert_eq!((pairs.pairs().len(), pairs.line(39)), (40, 40));
    assert_eq!(dropped(&pairs.report()), [(DropReason::TooFewColumns, 1, 41)]);

    let named = "id\ten\tpt\n7\tone\tum\n";
    assert_eq!(open(named, "pt,en").unwrap(), one);
    assert_eq!(open(named, "pt,en").unwrap().line(0), 2);
    fails(open(named, "pt,de"), &["no columns `pt` and `de`", "id, en, pt"]);
    fails(open("", "pt,en"), &["no columns `pt` and `en`"]);
    fails(open("um\none\n", ""), &["no sentence pair", "2 too few", "at least 2 columns"]);
    fails(open("um\tone\n", "1,9"), &["at least 9 columns"]);
    fails(open("en\tpt\ten\none\tum\tuno\n", "pt,en"), &["several columns `en`"]);
    for same in ["1,1", "pt, pt"] {
        let error = same.parse::<Columns>().unwrap_err().to_string();
        assert!(error.contains("not the same"), "{error}");
    }
    let same = SentencePairs::open_tsv(root.join("p.tsv"), &Columns::Numbers(2, 2));
    fails(same, &["`columns` is 2,", "not the same"]);
    fails(open("", ""), &["there is no sentence"]);
    let zero = Columns::Numbers(0, 1);
    fails(
        SentencePairs::open_tsv(root.join("p.tsv"), &zero),
        &["`columns` is 0,", "counted from 1"],
    );
    for wrong in ["", "1", "1,", "0,1", "1,en", "a,b,c", "-1,2"] {
        let error = wrong.parse::<Columns>().unwrap_err().to_string();
        assert!(error.contains("two numbers from 1, or two names"), "{wrong}: {error}");
    }
}

/// What <https://tatoeba.org/en/downloads> gives: pairs with their ids, sentences, links.
#[test]
fn exports_of_tatoeba() {
    let folder = folder();
    let open = |text: &str| {
        SentencePairs::open_tsv(write(folder.path().join("t.tsv"), text), &Columns::Guessed)
    };
    let export = "\u{feff}1276\tLet's try something.\t4702\t何かしてみましょう。\n\
                  1277\tI have to go to sleep.\t4703\t私は眠らなければなりません。\n";
    let pairs = open(export).unwrap();
    assert_eq!(pairs.pairs()[0].source, "Let's try something.");
    assert_eq!(pairs.pairs()[1].target, "私は眠らなければなりません。");
    // A sentence that is a number is a sentence.
    assert_eq!(open("1999\tin 1999\na year\tum ano\n").unwrap().pairs().len(), 2);
    fails(open("1276\teng\tLet's try something.\n"), &["column 1 holds numbers", "say which"]);
    fails(open("1276\t4702\n1277\t4703\n"), &["column 1 holds numbers"]);
    fails(open("1.2391\tein Satz\ta sentence\n"), &["column 1 holds numbers"]);
    fails(open("Let's try something.\t1276\teng\n"), &["column 2 holds numbers"]);
    let chosen = SentencePairs::open_tsv(
        write(folder.path().join("n.tsv"), "1\tum\n2\tdois\n"),
        &Columns::Numbers(1, 2),
    );
    assert_eq!(chosen.unwrap(), set(&[("1", "um"), ("2", "dois")]));
}

#[test]
fn json_lines() {
    let folder = folder();
    let root = folder.path();
    let json = |text: &str, keys: [&str; 2]| {
        SentencePairs::open_json_lines(write(root.join("p.jsonl"), text), keys[0], keys[1])
    };
    let keys = ["pt", "en"];
    let pairs = json("{\"pt\": \" olá \", \"en\": \"hi\", \"id\": 1}\n", keys).unwrap();
    assert_eq!(pairs.pairs(), [SentencePair { source: "olá".into(), target: "hi".into() }]);
    let nested = "{\"id\": \"0\", \"translation\": {\"pt\": \"olá\", \"en\": \"hi\"}}\n";
    assert_eq!(json(nested, keys).unwrap(), pairs);
    assert_eq!(json(nested, ["/translation/pt", "/translation/en"]).unwrap(), pairs);

    let good = "{\"pt\": \"a\", \"en\": \"b\"}\n";
    let text = format!(
        "{good}{{\"pt\": 1, \"en\": \"b\"}}\n{good}{{\"pt\": \"a\"}}\n{good}no\n{good}\n\
         {good}{{\"pt\": \"a\", \"en\": \" \"}}\n[]\n{good}"
    );
    let pairs = json(&text, keys).unwrap();
    assert_eq!(pairs.pairs().len(), 6);
    let found = [
        (DropReason::BlankBoth, 1, 8),
        (DropReason::BlankTarget, 1, 10),
        (DropReason::NotJson, 1, 6),
        (DropReason::NoKey, 3, 2),
    ];
    assert_eq!(dropped(&pairs.report()), found);
    fails(json(good, ["de", "en"]), &["no sentence pair", "JSON object with `de` and `en`"]);
    fails(json("", keys), &["there is no sentence"]);
}

#[test]
fn sentences_keep_their_line() {
    let folder = folder();
    let path = write(folder.path().join("s"), "um\n\n dois \n");
    assert_eq!(read_sentences(&path).unwrap(), ["um", "", "dois"]);
    assert_eq!(first_line(&path).unwrap().as_deref(), Some("um"));
    fails(read_sentences(write(&path, "\n\n")), &["there is no sentence"]);
    fails(read_sentences(write(&path, b"a\n\xff\n")), &["line 2", "not UTF-8"]);
    assert_eq!(first_line(write(&path, b"\xff\n")).unwrap(), None);
}

/// Every beginning of a packed file is told from the whole, with the file and the line.
#[test]
fn packed_files_that_end_too_early_are_refused() {
    let folder = folder();
    let path = folder.path().join("packed");
    let packed = fs::read("tests/fixtures/numbered.txt.zst").unwrap();
    let lines = read_sentences("tests/fixtures/numbered.txt.zst").unwrap();
    assert_eq!(lines.len(), 30_001);
    assert!((0..30_000).all(|at| lines[at] == format!("line {}", at + 1)));
    assert_eq!(lines[30_000], "the end");
    let pairs =
        SentencePairs::open("tests/fixtures/numbered.txt.zst", "tests/fixtures/numbered.txt.zst");
    assert_eq!(pairs.unwrap().pairs().len(), 30_001);

    let zipped = gzip(
        (0..2000)
            .map(|n| format!("linha {}\n", n * 7919 % 2000))
            .collect::<Vec<_>>()
            .concat()
            .as_bytes(),
    );
    let twice = [zipped.clone(), gzip(b"fim\n")].concat();
    assert_eq!(read_sentences(write(&path, &twice)).unwrap().len(), 2001);
    // The frames and members end here: what is behind is not missed.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
    let place = packed.windows(skipped.len()).position(|window| window == skipped).unwrap();
    let whole = [vec![zipped.len()], vec![place, place + skipped.len()]];
    for (whole, bytes) in whole.into_iter().zip([&twice, &packed]) {
        for length in (4..bytes.len()).step_by(7).chain(bytes.len() - 20..bytes.len()) {
            let result = read_sentences(write(&path, &bytes[..length]));
            if whole.contains(&length) {
                result.unwrap();
            } else {
                let Err(Error::Format { reason, path: named, .. }) = result else {
                    panic!("{length} of {} bytes are read", bytes.len());
                };
                assert!(named == path && reason.starts_with("line "), "{reason}");
            }
        }
    }
    // A bit turned is noticed by the checksum.
    for (bytes, at) in [(&twice, zipped.len() / 2), (&packed, place / 2)] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        fails(read_sentences(write(&path, &bytes)), &["packed is not a valid text file: line "]);
    }
}

proptest! {
    /// Any bytes, packed or not, give pairs or an error, and every line is counted once.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(
            prop_oneof![4 => Just(b'\n'), 3 => Just(b'\t'), 2 => Just(b'1'), 9 => any::<u8>()],
            0..80,
        ),
        head in prop_oneof![
            8 => Just(&b""[..]), 1 => Just(&b"\x1f\x8b\x08"[..]),
            1 => Just(&b"\x28\xb5\x2f\xfd"[..]), 1 => Just(&b"\x50\x2a\x4d\x18"[..]),
            1 => Just(&b"{\"translation\": {\"a\": "[..]),
        ],
    ) {
        let folder = folder();
        let path = write(folder.path().join("x"), [head, &bytes].concat());
        let columns = [Columns::Guessed, Columns::Numbers(2, 1), Columns::Names("1".into(), "1".into())];
        let sets = [
            SentencePairs::open(&path, &path),
            SentencePairs::open_json_lines(&path, "a", "/translation/a"),
        ];
        for pairs in sets.into_iter().chain(columns.iter().map(|c| SentencePairs::open_tsv(&path, c))).flatten() {
            let report = pairs.report();
            let lines = fs::read(&path).unwrap().split_inclusive(|byte| *byte == b'\n').count() as u64;
            prop_assert!(report.kept >= report.faults());
            if head.is_empty() {
                prop_assert!(lines - report.kept - report.dropped() <= 1, "{lines}: {report}");
            }
            for (at, pair) in pairs.pairs().iter().enumerate() {
                prop_assert!(!pair.source.trim().is_empty() && !pair.target.trim().is_empty());
                prop_assert!(pairs.line(at) <= lines || !head.is_empty());
            }
        }
        let _ = read_sentences(&path);
    }

    /// A whole zstd frame with any bytes changed never panics.
    #[test]
    fn damaged_zstandard_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut packed = fs::read("tests/fixtures/numbered.txt.zst").unwrap();
        for (at, byte) in changes {
            let at = at.index(packed.len());
            packed[at] = byte;
        }
        let folder = folder();
        let _ = read_sentences(write(folder.path().join("x"), packed));
    }
}
