//! The course's own loop, on the matrices of users: `rl_maze --matrix`.
#![allow(missing_docs)]

mod built;

use std::fs;
use std::path::Path;

use built::example;

/// Nine rooms on a grid; 0 is a wall, 1 a door, and the last room is the goal.
const COURSE: &str = "\
0,1,0,0,0,0,0,0,0
1,0,1,0,1,0,0,0,0
0,1,0,0,0,1,0,0,0
0,0,0,0,0,0,1,0,0
0,1,0,0,0,0,0,1,0
0,0,1,0,0,0,0,0,0
0,0,0,1,0,0,0,1,0
0,0,0,0,1,0,1,0,1
0,0,0,0,0,0,0,1,100
";

/// Status, output, errors.
fn maze(matrix: &str, flags: &[&str], out: &Path) -> (bool, String, String) {
    let path = out.join("matrix.csv");
    fs::write(&path, matrix).unwrap();
    let mut command = example("rl_maze");
    command.arg("--matrix").arg(&path).arg("--out").arg(out.join("out")).args(flags);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_matrix_of_the_course_is_learned() {
    let python = COURSE.replace(',', " ").replace('\n', "]\n[");
    let python = format!("[[{}]", python.trim_end_matches("\n["));
    let without_prize = COURSE.replace("100", "0");
    for (matrix, flags) in [
        (COURSE, vec![]),
        (python.as_str(), vec!["--walls", "below_one"]),
        (without_prize.as_str(), vec!["--goal", "8", "--start", "0"]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let (is_well, text, error) = maze(matrix, &flags, out.path());
        assert!(is_well, "{error}");
        assert!(text.contains("walls are the entries below 1"), "{text}");
        assert!(text.contains("path: 0 → 1 → 4 → 7 → 8"), "{text}");
        // 100 for ever in the goal, each door before it a tenth less.
        let row = |room: usize| {
            let line = text.lines().find(|line| line.trim().starts_with(&format!("{room}  ")));
            line.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row(8), ["8", "·", "·", "·", "·", "·", "·", "·", "811.9", "1000.0"], "{text}");
        assert_eq!(row(7)[9], "901.0", "{text}");
        let metrics = fs::read_to_string(out.path().join("out/metrics.json")).unwrap();
        let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
        assert!(metrics["largest_error"].as_f64().unwrap() < 0.01, "{metrics}");
        assert_eq!(metrics["path_steps"], metrics["shortest_steps"]);
        let table = fs::read_to_string(out.path().join("out/q_table.csv")).unwrap();
        assert_eq!(table.lines().count(), 9);
        for file in ["maze.png", "learning.gif", "q_table.svg"] {
            assert!(fs::metadata(out.path().join("out").join(file)).unwrap().len() > 500, "{file}");
        }
    }
}

#[test]
fn matrices_that_are_none_are_refused_by_name_before_any_work() {
    let out = tempfile::tempdir().unwrap();
    for (matrix, flags, says) in [
        ("", vec![], "it is empty"),
        ("0,1\n1\n", vec![], "row 1 has 1 entries, expected 2"),
        ("0,1,2\n1,0,3\n", vec![], "row 0 has 3 entries, expected 2"),
        ("0,door\n1,0\n", vec![], "line 1 has `door`, expected a number"),
        ("0,1\nNaN,0\n", vec![], "line 2 has `NaN`, expected a number"),
        ("0,1e999\n1,0\n", vec![], "line 1 has `1e999`"),
        ("0,1,0\n1,0,0\n0,1,100\n", vec![], "room 0 is a dead end: no way leads to room 2"),
        ("0,1\n1,0\n", vec![], "--goal: several rooms have the largest entry, 1"),
        ("0,1\n1,9\n", vec!["--goal", "2"], "`goal` is 2"),
        ("0,1\n1,9\n", vec!["--start", "7"], "`start` is 7"),
        ("-1,0,1\n0,-1,1\n1,1,100\n", vec![], "--walls"),
        ("50,1\n1,0\n", vec!["--goal", "0", "--size", "4"], "cannot be used with"),
    ] {
        let (is_well, text, error) = maze(matrix, &flags, out.path());
        assert!(!is_well && error.contains(says), "{matrix:?} {flags:?}: {text} {error}");
        assert!(!out.path().join("out/q_table.csv").exists());
    }
    let output = example("rl_maze").args(["--goal", "1"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("--matrix"));
}
