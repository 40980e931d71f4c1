//! Every flag of every example is meant: each that `--help` lists is given what makes no sense, and
//! must refuse it by name and value before any work.
#![allow(missing_docs)]

mod built;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use built::{example, images};

/// What is not over by then was begun.
const PATIENCE: Duration = Duration::from_secs(30);
/// Cases at once.
const THREADS: usize = 2;

const NUMBERS: [&str; 8] = ["N", "X", "Y", "SHARE", "RATE", "S", "MIN", "POINTS"];
const NO_NUMBERS: [&str; 6] = ["0", "-1", "1000000000000000000", "1e30", "NaN", "inf"];

/// Numbers among these that a flag takes.
const MEANT: [(&str, &[&str], &str); 16] = [
    ("seed", &["0"], "a seed as any other"),
    ("komi", &["0", "-1"], "who plays second is given nothing, or gives"),
    ("resign", &["0", "-1"], "values of a game"),
    ("warm-up", &["0"], "at once at the highest rate, or at the first cycle"),
    ("dropout", &["0"], "none"),
    ("input-dropout", &["0"], "none"),
    ("label-smoothing", &["0"], "none"),
    ("weight-decay", &["0"], "none"),
    ("ema", &["0"], "the last weights alone"),
    ("alpha", &["0"], "the teacher alone"),
    ("jitter", &["0"], "images as they are"),
    ("staleness", &["0"], "nobody steps in between"),
    ("gamma", &["0"], "no penalty, as its help says"),
    ("exploration", &["0"], "priors are not followed"),
    ("start", &["0"], "the first room"),
    ("goal", &["0"], "the first room"),
];

/// A flag, or a place (without `--`), as `--help` shows it.
#[derive(Debug, Clone, PartialEq)]
struct Flag {
    example: String,
    name: String,
    /// The name of its value.
    kind: String,
    /// What `--help` says of its values.
    values: Option<String>,
}

impl Flag {
    fn is_place(&self) -> bool {
        self.name.is_empty()
    }

    fn given(&self, value: &str) -> Vec<String> {
        if self.is_place() {
            return vec![value.to_owned()];
        }
        vec![format!("--{}", self.name), value.to_owned()]
    }
}

/// All examples that are built, by their files.
fn built_names() -> BTreeSet<String> {
    let mut names = names();
    for (name, is_built) in
        [("mcts_uci", cfg!(feature = "chess")), ("transformer_serve", cfg!(feature = "serve"))]
    {
        if !is_built {
            names.remove(name);
        }
    }
    names
}

/// All examples, by their files.
fn names() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let name = |path: PathBuf| {
        let stem = path.file_stem()?.to_str()?.to_owned();
        let is_example =
            path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").is_file();
        is_example.then_some(stem)
    };
    fs::read_dir(folder).unwrap().filter_map(|entry| name(entry.unwrap().path())).collect()
}

/// The flags of an example that take a value.
fn flags(name: &str) -> Vec<Flag> {
    let output = example(name).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines() {
        // What goes on is set further in.
        let starts =
            line.starts_with("      --") || line.starts_with("  -") || line.starts_with("  <");
        match entries.last_mut() {
            _ if starts => entries.push(line.trim().to_owned()),
            Some(entry) => *entry = format!("{entry} {}", line.trim()),
            None => {}
        }
    }
    assert!(entries.len() > 2, "{name} --help: {text}");
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from)?;
        rest.split_once(to).map(|(found, _)| found.to_owned())
    };
    let entries = entries.iter().filter_map(|entry| {
        let (flag, _) = entry.split_once('>')?;
        let (name_of_flag, kind) = flag.split_once('<')?;
        let name_of_flag = name_of_flag.trim().trim_start_matches("--");
        (!name_of_flag.contains(' ')).then(|| Flag {
            example: name.to_owned(),
            name: name_of_flag.to_owned(),
            kind: kind.to_owned(),
            values: match between(entry, "[possible values: ", "]") {
                None if entry.contains("Possible values:") => Some(String::new()),
                values => values,
            },
        })
    });
    entries.collect()
}

/// One call that must be refused.
#[derive(Debug)]
struct Case {
    example: String,
    args: Vec<String>,
    /// What it must say, all of it.
    says: Vec<String>,
}

/// Files and folders that are given.
struct Given {
    folder: tempfile::TempDir,
}

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("empty_folder")).unwrap();
        fs::create_dir(path("foreign_folder")).unwrap();
        fs::write(path("foreign_folder/readme.md"), "nothing for you\n").unwrap();
        fs::write(path("empty_file"), "").unwrap();
        fs::write(path("foreign_file"), "nothing for you\n").unwrap();
        // What other flags are looked at after.
        let images = images(10);
        fs::copy(images.path().join("dark/1.ppm"), path("image")).unwrap();
        let mut train = example("vision_train");
        train.arg("--data").arg(images.path()).arg("--out").arg(path("trained"));
        train.args(["--model", "mobilenet_v2", "--epochs", "1", "--batch-size", "4"]);
        train.stdout(Stdio::null());
        assert!(train.status().unwrap().success());
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// What a flag must refuse.
fn cases(flag: &Flag, given: &Given) -> Vec<Case> {
    let shown = if flag.is_place() { flag.kind.clone() } else { format!("--{}", flag.name) };
    let case = |value: &str, says: &[&str]| Case {
        example: flag.example.clone(),
        args: flag.given(value),
        says: says.iter().map(|&text| text.to_owned()).collect(),
    };
    let kind = flag.kind.split(',').next().unwrap();
    let paths = |wanted: &str, other: &str| {
        let files = [
            "no_such",
            &format!("empty_{wanted}"),
            &format!("foreign_{wanted}"),
            &format!("empty_{other}"),
        ];
        let mut cases: Vec<Case> =
            files.map(|file| given.path(file)).iter().map(|path| case(path, &[path])).collect();
        cases.push(case("", &[&shown]));
        // Any text has lines, which a model that is there would hold against its classes.
        let is_of_model = flag.example == "graph_summary" && flag.name == "labels";
        cases.retain(|case| !(is_of_model && case.args[1].contains("foreign")));
        cases
    };
    match kind {
        _ if NUMBERS.contains(&kind) => {
            let range = flag.values.clone().unwrap_or_default();
            assert!(range.contains('…'), "{flag:?}: --help says no range");
            let meant = MEANT
                .iter()
                .filter(|(name, ..)| *name == flag.name)
                .flat_map(|(_, values, _)| *values);
            let meant: Vec<&str> = meant.copied().collect();
            let refused = NO_NUMBERS.iter().filter(|value| !meant.contains(value));
            refused.map(|value| case(value, &[&shown, value, &range])).collect()
        }
        "DIR" if flag.name == "out" => {
            let path = given.path("foreign_file/out");
            vec![case(&path, &[&path]), case("", &["--out"])]
        }
        "DIR" => paths("folder", "file"),
        "FILE" | "IMAGE" => paths("file", "folder"),
        "SPEC" => ["gpu", "", "cuda:999", "wgpu:999"].map(|spec| case(spec, &[&shown])).into(),
        "TEXT" | "COMMAND" | "LANGUAGE" => ["", " "].map(|text| case(text, &[&shown])).into(),
        "NAME" | "METRIC" | "SOURCE" => ["nonsense", ""].map(|name| case(name, &[&shown])).into(),
        // One of several words.
        _ if flag.values.is_some() => ["nonsense", ""].map(|name| case(name, &[&shown])).into(),
        _ => panic!("{flag:?}: its value is of no known kind"),
    }
}

/// What is needed beside a flag before it is looked at.
fn beside(flag: &Flag, given: &Given) -> Vec<String> {
    let (image, weights) = (given.path("image"), given.path("trained/model.safetensors"));
    let mut args = Vec::new();
    if flag.example == "vision_classify" {
        if !flag.is_place() {
            args.push(image.clone());
        }
        if flag.name != "weights" {
            args.extend(["--weights".to_owned(), weights]);
        }
    }
    if flag.example == "graph_summary" && ["image", "labels"].contains(&flag.name.as_str()) {
        args.extend(["--tflite".to_owned(), given.path("foreign_file")]);
    }
    if flag.example == "graph_summary" && flag.name == "labels" {
        args.extend(["--image".to_owned(), image]);
    }
    args
}

/// Ends a child that goes on.
fn waited(mut child: Child) -> Option<(i32, String)> {
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > PATIENCE => {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    Some((status.code().unwrap_or(-1), text))
}

/// What is wrong with the answer to a case.
fn fault(case: &Case) -> Option<String> {
    let out = tempfile::tempdir().unwrap();
    let mut command = example(&case.example);
    command.args(&case.args).current_dir(out.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let asked = format!("{} {:?}", case.example, case.args);
    let Some((status, text)) = waited(command.spawn().unwrap()) else {
        return Some(format!("{asked}: not refused"));
    };
    let missing: Vec<_> = case.says.iter().filter(|said| !text.contains(*said)).collect();
    let is_refused = (status == 1 || status == 2) && !text.contains("panicked");
    (!is_refused || !missing.is_empty())
        .then(|| format!("{asked}: status {status}, does not say {missing:?}: {}", text.trim()))
}

#[test]
fn every_flag_refuses_what_is_not_meant() {
    let given = Given::new();
    let all: Vec<Flag> = built_names().iter().flat_map(|name| flags(name)).collect();
    let cases: Vec<Case> = all
        .iter()
        .flat_map(|flag| {
            let mut cases = cases(flag, &given);
            for case in &mut cases {
                case.args.extend(beside(flag, &given));
            }
            cases
        })
        .collect();
    assert!(cases.len() > 500, "{} cases", cases.len());
    let (next, faults) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().unwrap().next() else { break };
                    if let Some(fault) = fault(case) {
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn what_is_meant_is_taken() {
    let all: Vec<Flag> = built_names().iter().flat_map(|name| flags(name)).collect();
    for (name, values, reason) in MEANT {
        let of_name: Vec<&Flag> = all.iter().filter(|flag| flag.name == name).collect();
        assert!(!of_name.is_empty(), "--{name}: no example has it");
        for (flag, value) in
            of_name.iter().flat_map(|flag| values.iter().map(move |value| (flag, value)))
        {
            // The value is read before help is shown.
            let output =
                example(&flag.example).args(flag.given(value)).arg("--help").output().unwrap();
            assert!(output.status.success(), "{} --{name} {value}: {reason}", flag.example);
        }
    }
}

#[test]
fn the_book_names_every_example() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/examples.md");
    let book = fs::read_to_string(book).unwrap();
    let rows = book.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    assert_eq!(rows.clone().map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>(), names());
    assert!(rows.filter(|(_, row)| row.contains("long: ")).count() <= 6, "too many long ones");
}

/// What lies in a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn documents_name_tests_examples_and_benches_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_in = |folder: PathBuf, name: &str| {
        folder.join(format!("{name}.rs")).is_file() || folder.join(name).join("main.rs").is_file()
    };
    let (chapters, crates) = (root.join("docs/src"), entries(&root.join("crates")));
    let of_tests = crates.iter().map(|member| member.join("tests")).chain([root.join("tests")]);
    let of_tests: Vec<PathBuf> = of_tests.collect();
    let folders = [vec![root.to_owned(), chapters.clone()], entries(&chapters), crates].concat();
    let documents = folders.iter().flat_map(|folder| entries(folder));
    let documents = documents.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2).filter(|pair| pair[1] != "NAME") {
            let is_there = match pair[0] {
                "--test" => of_tests.iter().any(|folder| is_in(folder.clone(), pair[1])),
                "--example" => is_in(root.join("examples"), pair[1]),
                "--bench" => is_in(root.join("benches"), pair[1]),
                _ => continue,
            };
            seen += 1;
            if !is_there {
                wrong.push(format!("{}: {}", document.display(), pair.join(" ")));
            }
        }
    }
    assert!(seen > 150 && wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}
