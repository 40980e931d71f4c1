//! Folders of sentence pairs as their publishers have them, and filters.

use std::fs;
use std::path::Path;

use model_utils::data::{Columns, DropReason, SentencePairs};
use transformer::text::{Filter, LengthUnit, Side, Splits, SplitsConfig};

/// A folder with these files; each line of a file is its name and a number.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let lines = (0..30).map(|n| format!("{file} {n}\n")).collect::<Vec<_>>().concat();
        write(root.path(), file, &lines);
    }
    root
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The files that the first pair of each part comes from.
fn read(root: &tempfile::TempDir, config: &SplitsConfig) -> Result<Vec<String>, String> {
    let splits = Splits::open_with(root.path(), config).map_err(|error| error.to_string())?;
    let parts = [&splits.train, &splits.valid, &splits.test];
    let file = |line: &str| line.split(' ').next().unwrap().to_owned();
    Ok(parts
        .iter()
        .flat_map(|part| [file(&part.pairs()[0].source), file(&part.pairs()[0].target)])
        .collect())
}

#[track_caller]
fn fails(root: &tempfile::TempDir, config: &SplitsConfig, parts: &[&str]) {
    let error = read(root, config).unwrap_err();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

fn config() -> SplitsConfig {
    SplitsConfig::new()
}

#[test]
fn folders_as_their_publishers_name_them() {
    // fairseq and Moses name the direction in each file; files about the data are passed over.
    let files = [
        "train.de-en.de",
        "train.de-en.en",
        "valid.de-en.de",
        "valid.de-en.en",
        "test.de-en.de",
        "test.de-en.en",
        "README.md",
        "README.txt",
        "LICENSE.md",
        "prepare.py",
        "prepare.sh",
        ".hidden.de",
        ".hidden.en",
        "_about.txt",
        "train.de-en.de~",
    ];
    let root = folder(&files);
    assert_eq!(read(&root, &config()).unwrap(), &files[..6]);
    let english_first = config().with_direction(Some(["en", "de"].map(str::to_owned)));
    assert_eq!(read(&root, &english_first).unwrap()[..2], ["train.de-en.en", "train.de-en.de"]);

    // WMT: both directions of a test set, each with what was translated.
    let files = [
        "training/europarl-v7.de-en.de",
        "training/europarl-v7.de-en.en",
        "dev/newstest2013.de",
        "dev/newstest2013.en",
        "dev/newstest2014-deen-src.de",
        "dev/newstest2014-deen-ref.en",
        "dev/newstest2014-ende-src.en",
        "dev/newstest2014-ende-ref.de",
    ];
    let root = folder(&files);
    let test = "dev/newstest2013, dev/newstest2014-deen";
    fails(&root, &config(), &["several sets may be the test part", test]);
    let chosen = config().with_valid(Some("newstest2013".to_owned()));
    assert_eq!(read(&root, &chosen).unwrap(), &files[..6]);
    let turned = chosen.clone().with_direction(Some(["en", "de"].map(str::to_owned)));
    assert_eq!(read(&root, &turned).unwrap()[4..], files[6..]);
    let wrong = config().with_test(Some("newstest2020".to_owned()));
    fails(&root, &wrong, &["no set is called `newstest2020`", "training/europarl-v7.de-en"]);

    // FLORES, beside a training part.
    let files = [
        "train.deu_Latn",
        "train.eng_Latn",
        "dev/deu_Latn.dev",
        "dev/eng_Latn.dev",
        "devtest/deu_Latn.devtest",
        "devtest/eng_Latn.devtest",
    ];
    assert_eq!(read(&folder(&files), &config()).unwrap(), files);
    let flat = [
        "train.deu_Latn",
        "train.eng_Latn",
        "deu_Latn.dev",
        "eng_Latn.dev",
        "deu_Latn.devtest",
        "eng_Latn.devtest",
    ];
    assert_eq!(read(&folder(&flat), &config()).unwrap(), flat);

    let sides =
        ["src-train.txt", "train.src", "train.tgt", "val.src", "val.tgt", "test.src", "test.tgt"];
    assert_eq!(read(&folder(&sides), &config()).unwrap(), sides[1..]);
    let texts = ["train/de.txt", "train/en.txt", "val.de.txt", "val.en.txt", "test/de", "test/en"];
    assert_eq!(read(&folder(&texts), &config()).unwrap(), texts);
}

#[test]
fn ambiguity_is_an_error_that_names_the_candidates() {
    let rest = ["valid.de", "valid.en", "test.de", "test.en"];
    let two = ["train_small.de", "train_small.en", "train_big.de", "train_big.en"];
    let root = folder(&[&rest[..], &two].concat());
    fails(&root, &config(), &["several sets may be the training part: train_big, train_small"]);
    let big = config().with_train(Some("train_big".to_owned()));
    assert_eq!(read(&root, &big).unwrap()[0], "train_big.de");
    // One that is called just that is it.
    let root = folder(&[&rest[..], &two, &["train.de", "train.en"]].concat());
    assert_eq!(read(&root, &config()).unwrap()[0], "train.de");

    let root = folder(&["train.de", "train.en", "test.de", "test.en"]);
    fails(&root, &config(), &["no validation part", "found test, train"]);
    let root = folder(&[&rest[..], &["train.de", "train.en", "train.de.gz"]].concat());
    fails(&root, &config(), &["several files are `train`", "train.de.gz", "leave one"]);
    let root = folder(&["train.de", "train.fr", "train.en"]);
    fails(&root, &config(), &["found de, en, fr: say from which"]);
    let root = folder(&["a.de", "a.en", "b.de", "b.en"]);
    fails(&root, &config(), &["one set of pairs, found a, b"]);
    fails(&folder(&["README.md", "README.txt"]), &config(), &["no pairs in it"]);
}

#[test]
fn tables_and_json_lines() {
    let root = tempfile::tempdir().unwrap();
    let rows = |row: fn(usize) -> String| (0..40).map(row).collect::<String>();
    write(root.path(), "jpn.txt", &rows(|n| format!("Go {n}.\t行け{n}。\n")));
    write(root.path(), "_about.txt", "about\tit\n");
    let splits = Splits::open(root.path(), None, 1).unwrap();
    assert!(splits.train.pairs().len() == 36 && splits.train.pairs()[0].source.starts_with("Go"));
    let turned = config().with_columns(Columns::Numbers(2, 1)).with_unique(Side::Source);
    let splits = Splits::open_with(root.path(), &turned).unwrap();
    assert!(splits.train.pairs()[0].source.starts_with("行け"));

    let root = tempfile::tempdir().unwrap();
    let json = rows(|n| format!("{{\"translation\": {{\"en\": \"e{n}\", \"fr\": \"f{n}\"}}}}\n"));
    write(root.path(), "books.jsonl", &(json + "\n"));
    let splits = Splits::open(root.path(), None, 1).unwrap();
    assert!(splits.train.pairs()[0].source.starts_with('f'));
    assert_eq!(splits.reports()[0].dropped[&DropReason::BlankBoth].first_line, 41);

    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        "t.tsv",
        &(String::from("de\tid\ten\n") + &rows(|n| format!("d{n}\t1\te{n}\n"))),
    );
    let named = config().with_direction(Some(["en", "de"].map(str::to_owned)));
    let splits = Splits::open_with(root.path(), &named).unwrap();
    assert!(splits.train.pairs()[0].source.starts_with('e'));
}

#[test]
fn filters_count_what_they_drop() {
    let pairs: SentencePairs = [
        ("a", "b"),
        ("a b c", "d"),
        ("a b", "c d e"),
        ("1 2", "3 4"),
        ("a", "b"),
        ("行きなさい", "go"),
    ]
    .into_iter()
    .collect();
    let dropped = |filter: Filter| -> Vec<(DropReason, u64, u64)> {
        let report = filter.apply(pairs.clone()).unwrap().report();
        report.dropped.iter().map(|(reason, d)| (*reason, d.count, d.first_line)).collect()
    };
    assert_eq!(dropped(Filter::new()), []);
    assert_eq!(dropped(Filter::new().with_max_ratio(Some(2.0))), [(DropReason::Ratio, 1, 2)]);
    assert_eq!(dropped(Filter::new().with_max_length(Some(2))), [(DropReason::TooLong, 2, 2)]);
    assert_eq!(dropped(Filter::new().with_min_length(2)), [(DropReason::TooShort, 4, 1)]);
    assert_eq!(dropped(Filter::new().with_unique(true)), [(DropReason::Duplicate, 1, 5)]);
    assert_eq!(dropped(Filter::new().with_min_letters(0.5)), [(DropReason::FewLetters, 1, 4)]);
    // Without spaces a sentence is one word, but five characters.
    let characters = Filter::new().with_unit(LengthUnit::Characters);
    let long = characters.clone().with_max_length(Some(4));
    assert_eq!(dropped(long), [(DropReason::TooLong, 1, 6)]);
    assert_eq!(dropped(characters.with_max_ratio(Some(2.4))), [(DropReason::Ratio, 2, 2)]);

    for (filter, field) in [
        (Filter::new().with_max_ratio(Some(0.5)), "max_ratio"),
        (Filter::new().with_max_ratio(Some(f64::NAN)), "max_ratio"),
        (Filter::new().with_min_letters(1.5), "min_letters"),
        (Filter::new().with_min_length(3).with_max_length(Some(2)), "max_length"),
        (Filter::new().with_min_length(9), "no pair is left"),
    ] {
        let error = filter.apply(pairs.clone()).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}
