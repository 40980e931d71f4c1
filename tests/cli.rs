//! The examples as a newcomer meets them: bad input ends with a clear message and a non-zero
//! exit, a small run ends with its files.
#![allow(missing_docs)]

mod built;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use built::{example, images};

fn vision_train(out: &Path, args: &[&str]) -> Output {
    example("vision_train").arg("--out").arg(out).args(args).output().unwrap()
}

/// Runs, expects a failure, and returns what it said.
fn refused(args: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = vision_train(out.path(), args);
    assert!(!output.status.success(), "{args:?} succeeded");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    text
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn unknown_flags_and_devices_say_what_is_known() {
    assert!(refused(&["--colour"]).contains("unexpected argument '--colour'"));
    let text = refused(&["--model", "alexnet"]);
    assert!(text.contains("densenet, vgg, mobilenet_v1, mobilenet_v2"), "{text}");
    assert!(refused(&["--device", "gpu"]).contains("expected one of flex, ndarray, cpu, wgpu"));
    let absent = refused(&["--device", "wgpu:99"]);
    let known = ["built without `wgpu`: add `--features wgpu`", "no such adapter answers"];
    assert!(known.iter().any(|text| absent.contains(text)), "{absent}");
    assert!(refused(&["--strides", "2,2"]).contains("2 numbers, expected 5"));
    assert!(refused(&["--batch-size", "9000"]).contains("expected at most the"));
}

#[test]
fn bad_data_is_named() {
    let missing = refused(&["--data", "no/such/folder"]);
    assert!(missing.contains("no/such/folder") && missing.contains("no such folder"), "{missing}");

    let empty = tempfile::tempdir().unwrap();
    let text = refused(&["--data", path(empty.path())]);
    assert!(text.contains("train-images-idx3-ubyte"), "says what it looked for: {text}");

    let cut = tempfile::tempdir().unwrap();
    for name in ["train", "t10k"] {
        let mut header = vec![0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 28, 0, 0, 0, 28];
        header.extend([7; 100]);
        fs::write(cut.path().join(format!("{name}-images-idx3-ubyte")), header).unwrap();
        let labels = [[0, 0, 8, 1, 0, 0, 0, 10].as_slice(), &[1; 10]].concat();
        fs::write(cut.path().join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
    let text = refused(&["--data", path(cut.path())]);
    assert!(text.contains("train-images-idx3-ubyte") && text.contains("IDX"), "{text}");

    let single = images(10);
    fs::remove_dir_all(single.path().join("dark")).unwrap();
    let text = refused(&["--data", path(single.path())]);
    assert!(text.contains("all images are of the class") && text.contains("2 classes"), "{text}");

    let broken = images(10);
    let victim: PathBuf = broken.path().join("dark/3.ppm");
    fs::write(&victim, b"P6\n12 12\n255\nshort").unwrap();
    let small = ["--model", "mobilenet_v2", "--epochs", "1", "--batch-size", "4"];
    let text = refused(&[&["--data", path(broken.path())], &small[..]].concat());
    assert!(text.contains("3.ppm"), "{text}");
}

#[test]
fn where_there_is_nothing_to_resume_a_run_begins() {
    let data = images(20);
    let out = tempfile::tempdir().unwrap();
    let small = ["--model", "mobilenet_v2", "--epochs", "1", "--batch-size", "8", "--resume"];
    let output = vision_train(out.path(), &[&["--data", path(data.path())], &small[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("nothing to resume in"), "{text}");
}

/// Starts a long run, sends it signals, and gives back its exit status, its last line and its
/// metrics.json.
#[cfg(unix)]
fn stopped(name: &str, args: &[&str], signals: &[&str]) -> (Option<i32>, String, String) {
    let out = tempfile::tempdir().unwrap();
    let mut command = example(name);
    command.arg("--out").arg(out.path()).args(args);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    for signal in signals {
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, id.as_str()]).status().unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_default().to_owned();
    let metrics = fs::read_to_string(out.path().join("metrics.json")).unwrap_or_default();
    (output.status.code(), last, metrics)
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_a_program_without_a_word() {
    use std::os::unix::process::ExitStatusExt as _;

    let out = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("mcts_gtp", &[][..]),
        ("mcts_play", &["--auto", "--simulations", "5000", "--out", path(out.path())]),
    ] {
        let mut child = example(name)
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"name\nname\nquit\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{name}: {output:?}");
        assert!(output.stderr.is_empty(), "{name}: {output:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_program_with_a_last_line() {
    let speed = ["--seconds", "60"];
    for signal in ["-INT", "-TERM"] {
        let (status, last, metrics) = stopped("mcts_speed", &speed, &[signal]);
        assert_eq!(status, Some(130), "{last}");
        assert!(last.contains("it begins anew with: cargo run --release"), "{last}");
        assert!(metrics.contains("\"stopped\": true"), "{metrics}");
    }
    let (status, last, _) = stopped("vision_train", &[], &["-INT"]);
    assert_eq!(status, Some(130), "{last}");
    assert!(last.starts_with("stopped in ") && last.ends_with(" --resume"), "{last}");
    // Two in a moment, as `timeout` sends them, are one.
    let (status, _, metrics) = stopped("mcts_speed", &speed, &["-INT", "-TERM"]);
    assert_eq!(status, Some(130));
    assert!(metrics.contains("\"stopped\": true"), "{metrics}");
}

#[test]
fn a_small_run_learns_writes_its_files_and_resumes() {
    let data = images(40);
    let out = tempfile::tempdir().unwrap();
    let run = |epochs: &str, more: &[&str]| {
        let mut args = vec!["--data", path(data.path()), "--model", "densenet", "--blocks", "1,1"];
        args.extend(["--growth-rate", "4", "--batch-size", "8", "--epochs", epochs]);
        args.extend(more);
        let output = vision_train(out.path(), &args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        let metrics = fs::read(out.path().join("metrics.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&metrics).unwrap()
    };
    let metrics = run("2", &[]);
    for key in ["test_accuracy", "train_images_per_s", "train_wall_s", "parameters"] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    assert_eq!(metrics["steps"], 18);
    for file in ["curves.svg", "confusion.svg", "predictions.png", "model.safetensors", "log.csv"] {
        assert!(fs::metadata(out.path().join(file)).unwrap().len() > 100, "{file}");
    }
    let longer = run("6", &["--resume"]);
    assert_eq!(longer["steps"], 54);
    assert_eq!(longer["test_accuracy"], 1.0);

    // The other model does not go on from these checkpoints.
    let data = path(data.path()).to_owned();
    let other = ["--model", "mobilenet_v2", "--resume", "--epochs", "9", "--batch-size", "8"];
    let other = vision_train(out.path(), &[&["--data", data.as_str()], &other[..]].concat());
    assert!(!other.status.success());
    let text = String::from_utf8(other.stderr).unwrap();
    assert!(text.contains("does not fit"), "{text}");
}

#[test]
fn a_graph_summary_counts_draws_and_refuses_what_does_not_fit() {
    let out = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        example("graph_summary").arg("--out").arg(out.path()).args(args).output().unwrap()
    };
    let output = run(&[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("conv2d 3×3, stride 2, groups 96"), "{text}");
    let metrics = fs::read(out.path().join("metrics.json")).unwrap();
    let metrics = serde_json::from_slice::<serde_json::Value>(&metrics).unwrap();
    assert_eq!(metrics["learnable_parameters"], 3_504_872);
    assert_eq!(metrics["multiply_adds"], 300_774_272);
    assert_eq!(metrics["folded_batch_norms"], 52);
    for file in ["graph.dot", "block.svg", "block-folded.svg"] {
        assert!(fs::metadata(out.path().join(file)).unwrap().len() > 500, "{file}");
    }

    let refused = |args: &[&str]| {
        let output = run(args);
        assert!(!output.status.success(), "{args:?} succeeded");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        text
    };
    let foreign = out.path().join("foreign.tflite");
    fs::write(&foreign, b"no flatbuffer at all").unwrap();
    let text = refused(&["--tflite", path(&foreign)]);
    assert!(text.contains("foreign.tflite is not a valid TensorFlow Lite file"), "{text}");
    assert!(refused(&["--image", path(&foreign)]).contains("--tflite <FILE>"));
}

fn run_example(name: &str, out: &Path, args: &[&str]) -> Output {
    example(name).arg("--out").arg(out).args(args).output().unwrap()
}

fn metrics_of(name: &str, out: &Path, args: &[&str]) -> serde_json::Value {
    let output = run_example(name, out, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {args:?}: {text}");
    serde_json::from_slice(&fs::read(out.join("metrics.json")).unwrap()).unwrap()
}

fn says(name: &str, args: &[&str], expected: &str) {
    let out = tempfile::tempdir().unwrap();
    let output = run_example(name, out.path(), args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !text.contains("panicked"), "{name} {args:?}: {text}");
    assert!(text.contains(expected), "{name} {args:?}: {text}");
}

#[test]
fn agents_and_worlds_that_cannot_be_are_named() {
    says("rl_classic_control", &["--env", "chess"], "cart_pole, mountain_car");
    says(
        "rl_classic_control",
        &["--env", "pendulum", "--algorithm", "dqn"],
        "chooses among indices",
    );
    says("rl_classic_control", &["--algorithm", "sac"], "chooses numbers");
    says("rl_maze", &["--size", "1"], "expected a whole number in 2…64");
    says("rl_traffic_signal", &["--loads", "1.5"], "expected a number in >0…<1");
}

#[test]
fn mazes_are_solved_by_all_algorithms() {
    for (size, algorithm) in
        [("3", "q_learning"), ("3", "sarsa"), ("3", "value_iteration"), ("6", "q_learning")]
    {
        let out = tempfile::tempdir().unwrap();
        let metrics =
            metrics_of("rl_maze", out.path(), &["--size", size, "--algorithm", algorithm]);
        assert_eq!(metrics["reaches_goal"], true, "{algorithm}: {metrics}");
        assert_eq!(metrics["path_steps"], metrics["shortest_steps"], "{algorithm}: {metrics}");
        for file in ["maze.png", "learning.gif"] {
            assert!(fs::metadata(out.path().join(file)).unwrap().len() > 500, "{file}");
        }
    }
}

#[test]
fn a_short_training_of_an_agent_writes_its_files() {
    let out = tempfile::tempdir().unwrap();
    let args = ["--steps", "3000", "--seeds", "2"];
    let metrics = metrics_of("rl_classic_control", out.path(), &args);
    for key in ["eval_reward_mean", "eval_reward_std", "train_wall_s", "steps_per_s"] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    // A random policy balances for 22 steps.
    assert!(metrics["eval_reward_mean"].as_f64().unwrap() > 40.0, "{metrics}");
    for file in ["curve.svg", "episode.gif", "agent.safetensors"] {
        assert!(fs::metadata(out.path().join(file)).unwrap().len() > 500, "{file}");
    }
}

#[test]
fn bandits_and_signals_write_their_figures() {
    let out = tempfile::tempdir().unwrap();
    let metrics = metrics_of("rl_bandit_ads", out.path(), &["--steps", "2000", "--runs", "20"]);
    let regret = |name: &str| metrics[format!("regret_{name}")].as_f64().unwrap();
    assert!(regret("thompson") < regret("uniform"), "{metrics}");
    assert!(metrics["clicks_percent_lin_ucb"].is_number(), "{metrics}");
    let out = tempfile::tempdir().unwrap();
    let metrics =
        metrics_of("rl_traffic_signal", out.path(), &["--steps", "4096", "--loads", "0.24"]);
    for key in ["learned", "webster", "exhaustive"] {
        let delay = metrics[format!("delay_s_{key}_y24")].as_f64().unwrap();
        assert!(delay > 0.0, "{key}: {metrics}");
    }
    assert!(fs::metadata(out.path().join("delays.svg")).unwrap().len() > 500);
}

#[test]
fn worlds_of_ones_own_are_learned_in() {
    for world in ["game", "tank"] {
        let out = tempfile::tempdir().unwrap();
        let flags = ["--world", world, "--steps", "8000"];
        let metrics = metrics_of("rl_own_world", out.path(), &flags);
        let reward = |name: &str| metrics[format!("reward_{name}")].as_f64().unwrap();
        assert!(reward("learned") > reward("random"), "{world}: {metrics}");
        assert!(fs::metadata(out.path().join("agent.safetensors")).unwrap().len() > 500);
    }
}

#[test]
fn pictures_are_classified_by_a_model_that_was_trained_here() {
    let data = images(30);
    let out = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut all = vec!["--data", path(data.path()), "--batch-size", "8", "--epochs", "2"];
        all.extend(args);
        let output = vision_train(out.path(), &all);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {text}");
    };
    // The whole recipe, on a model of another family; then its head alone.
    let vgg = ["--model", "vgg", "--convs", "1,1,1,1,1", "--width", "0.125"];
    let strides = ["--strides", "2,2,1,1,1"];
    let recipe = ["--mixup", "0.2", "--label-smoothing", "0.1", "--ema", "0.9", "--augment"];
    run(&[&vgg[..], &strides, &recipe].concat());
    let first = out.path().join("first.safetensors");
    fs::copy(out.path().join("model.safetensors"), &first).unwrap();
    let more = ["--pretrained", path(&first), "--freeze", "--cutmix", "1"];
    run(&[&vgg[..], &strides, &more].concat());

    let shown = tempfile::tempdir().unwrap();
    let classify = |args: &[&str]| {
        example("vision_classify").arg("--out").arg(shown.path()).args(args).output().unwrap()
    };
    let weights = out.path().join("model.safetensors");
    let picture = data.path().join("dark/1.ppm");
    let dot = shown.path().join("dot.ppm");
    fs::write(&dot, b"P6\n1 1\n255\n\x01\x02\x03").unwrap();
    let pictures = [path(&picture), path(&dot)];
    let output =
        classify(&[&["--weights", path(&weights), "--side", "12"][..], &pictures].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let metrics = fs::read(shown.path().join("metrics.json")).unwrap();
    let metrics = serde_json::from_slice::<serde_json::Value>(&metrics).unwrap();
    assert!(metrics["top1_label"].as_str().unwrap().starts_with("class "), "{metrics}");
    for key in ["top1_probability", "latency_ms"] {
        assert!(metrics[key].as_f64().unwrap() > 0.0, "{key}: {metrics}");
    }
    for file in ["grad_cam.png", "feature_maps.png"] {
        assert!(fs::metadata(shown.path().join(file)).unwrap().len() > 500, "{file}");
    }

    let refused = |args: &[&str]| {
        let output = classify(args);
        assert!(!output.status.success(), "{args:?} succeeded");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("panicked"), "{text}");
        text
    };
    let text = refused(&["--weights", "no/such.pth", path(&picture)]);
    assert!(text.contains("no/such.pth"), "{text}");
    let readme = shown.path().join("resnet18.tflite");
    fs::write(&readme, "no model").unwrap();
    let text = refused(&["--weights", path(&readme), path(&picture)]);
    assert!(text.contains("not a valid TensorFlow Lite file"), "{text}");
    let text = refused(&["--weights", path(&weights), "--side", "12", path(&readme)]);
    assert!(text.contains("no PNG, JPEG, BMP, GIF or PNM signature"), "{text}");
}

#[test]
fn a_small_comparison_of_models_writes_its_figures() {
    let data = images(30);
    let out = tempfile::tempdir().unwrap();
    let mut command = example("vision_compare");
    command.arg("--out").arg(out.path()).arg("--data").arg(data.path());
    command.args(["--only", "mobilenet_v1,mobilenet_v2", "--epochs", "1", "--batch-size", "8"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let metrics = fs::read(out.path().join("metrics.json")).unwrap();
    let metrics = serde_json::from_slice::<serde_json::Value>(&metrics).unwrap();
    for model in ["mobilenet_v1", "mobilenet_v2"] {
        for key in ["accuracy", "latency_ms", "multiply_adds"] {
            assert!(metrics[format!("{model}_{key}")].is_number(), "{model}: {metrics}");
        }
    }
    for picture in ["parameters", "multiply_adds", "latency", "dense", "residual"] {
        let file = format!("{picture}.svg");
        assert!(fs::metadata(out.path().join(&file)).unwrap().len() > 500, "{file}");
    }
}

#[test]
fn games_are_played_timed_and_learned_from_the_command_line() {
    let out = tempfile::tempdir().unwrap();
    let run = |name: &str, args: &[&str], input: &str| {
        let mut child = example(name)
            .arg("--out")
            .arg(out.path())
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name} {args:?}: {text}");
        let metrics = fs::read(out.path().join("metrics.json")).unwrap();
        let metrics = serde_json::from_slice::<serde_json::Value>(&metrics).unwrap();
        (metrics, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let game = ["--game", "tic_tac_toe", "--simulations", "300"];
    let (metrics, _) = run("mcts_play", &[&game[..], &["--auto"]].concat(), "");
    assert!(metrics["plies"].as_u64().unwrap() >= 5, "{metrics}");
    assert!(fs::read_to_string(out.path().join("tree.dot")).unwrap().starts_with("digraph"));
    let (metrics, said) = run("mcts_play", &game, "x9\nhint\nmoves\na1\nundo\nb2\nquit\n");
    assert!(said.contains("cannot read action `x9`") && said.contains("visits"), "{said}");
    assert_eq!(metrics["result"], "not finished");
    let args = ["--game", "othello", "--seconds", "0.1", "--simulations", "100"];
    assert!(run("mcts_speed", &args, "").0["sims_per_s"].as_f64().unwrap() > 100.0);
    let playout = ["--game", "connect_four", "--evaluator", "playout", "--seconds", "0.1"];
    assert!(run("mcts_speed", &playout, "").0["playouts_per_s"].as_f64().unwrap() > 100.0);
    let (metrics, said) = run("mcts_own_game", &["--simulations", "200", "--pairs", "10"], "");
    assert_eq!(metrics["breaches"], 0);
    assert!(metrics["score_against_random"].as_f64().unwrap() > 0.8, "{metrics}");
    assert!(said.contains("player 0 to move") && said.contains("simulations"), "{said}");

    let learn = ["--game", "tic_tac_toe", "--generations", "2", "--games", "20", "--channels", "8"];
    let small = ["--blocks", "1", "--simulations", "16", "--self-play-simulations", "8"];
    let learn = [&learn[..], &small].concat();
    let (metrics, _) = run("mcts_alphazero", &learn, "");
    assert_eq!((&metrics["generations"], &metrics["games"]), (&2.into(), &40.into()));
    for key in ["win_rate_vs_uct", "games_per_hour", "train_wall_s", "search_share_of_net"] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    let net = out.path().join("net.safetensors");
    let (metrics, _) =
        run("mcts_play", &[&game[..], &["--auto", "--net", path(&net)]].concat(), "");
    assert!(metrics["searches"].as_u64().unwrap() >= 5);

    let output = example("mcts_alphazero")
        .args(["--game", "othello", "--net", path(&net), "--out", path(out.path())])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("tic_tac_toe"), "{text}");
}

#[test]
fn networks_losses_and_images_that_cannot_be_are_named() {
    says("gan_dcgan", &["--loss", "bce"], "minimax, non_saturating, least_squares");
    says("gan_dcgan", &["--size", "30", "--shapes", "60"], "`size` is 30");
    says("gan_mixture", &["--mixture", "cross"], "ring, grid");
}

#[test]
fn a_short_game_writes_its_files_and_resumes() {
    let out = tempfile::tempdir().unwrap();
    let args = ["--size", "16", "--width", "4", "--batch-size", "16", "--shapes", "300"];
    let args = [&args[..], &["--steps", "3", "--conditional"]].concat();
    let metrics = metrics_of("gan_dcgan", out.path(), &args);
    let keys = ["fid", "fid_floor", "kid", "precision", "recall", "asked_class_accuracy"];
    for key in [&keys[..], &["images_per_s", "train_wall_s"]].concat() {
        assert!(metrics[key].as_f64().is_some_and(f64::is_finite), "{key}: {metrics}");
    }
    for file in
        ["samples.png", "training.gif", "curves.svg", "nearest.png", "generator.safetensors"]
    {
        assert!(out.path().join(file).is_file(), "{file}");
    }
    let resumed = metrics_of("gan_dcgan", out.path(), &[&args[..], &["--resume"]].concat());
    assert_eq!(resumed["fid"], metrics["fid"], "nothing was left to do");
    let output = run_example(
        "gan_dcgan",
        out.path(),
        &[&args[..], &["--resume", "--learning-rate", "1e-3"]].concat(),
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("rules.generator_rate"), "{text}");
}

#[test]
fn mixtures_and_turns_write_their_figures() {
    let out = tempfile::tempdir().unwrap();
    let args = ["--mixture", "ring", "--steps", "4", "--compare"];
    let metrics = metrics_of("gan_mixture", out.path(), &args);
    for key in ["modes_ring", "good_ring", "wasserstein_gp_modes_ring", "minimax_good_ring"] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    assert!(out.path().join("ring.gif").is_file() && out.path().join("ring.svg").is_file());

    let out = tempfile::tempdir().unwrap();
    let metrics = metrics_of("gan_turns", out.path(), &["--warm-up", "2", "--cycles", "1"]);
    assert_eq!(metrics["discriminator_turn_generator_weights_moved"], 0);
    assert_eq!(metrics["discriminator_turn_generator_statistics_moved"], 0);
    assert_eq!(metrics["generator_turn_discriminator_weights_moved"], 0);
    assert!(metrics["generator_turn_generator_weights_moved"].as_u64().unwrap() > 0);
    assert_eq!(metrics["same_samples_after_discriminator"], true);
    assert!(out.path().join("cycles.svg").is_file() && out.path().join("movement.svg").is_file());
}

/// Two files of sentence pairs a part, from Portuguese to English.
fn sentence_pairs(folder: &Path) {
    for (part, count) in [("train", 60), ("valid", 6), ("test", 6)] {
        let lines = |word: &str| {
            let lines: Vec<String> =
                (0..count).map(|n| format!("{word} {part} {n} de {}", n % 7)).collect();
            lines.join("\n") + "\n"
        };
        fs::write(folder.join(format!("{part}.por")), lines("o coelho")).unwrap();
        fs::write(folder.join(format!("{part}.eng")), lines("the rabbit")).unwrap();
    }
}

const SMALL: [&str; 12] = [
    "--vocabulary",
    "320",
    "--d-model",
    "16",
    "--heads",
    "2",
    "--layers",
    "1",
    "--batch-tokens",
    "200",
    "--beam",
    "2",
];

#[test]
fn sentence_pairs_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = path(folder.path());
    let refused = |expected: &str| says("transformer_translate", &["--data", data], expected);
    refused("no pairs in it");
    sentence_pairs(folder.path());
    let train = folder.path().join("train.eng");
    let good = fs::read(&train).unwrap();
    fs::write(&train, [&good[..], b"one more\n"].concat()).unwrap();
    refused("the first has 60 lines and the second 61");
    // A line that is no text is counted, a file of such lines is none.
    fs::write(&train, b"\xff\xfe\n".repeat(60)).unwrap();
    refused("there is no sentence pair in it: 60");
    fs::write(&train, b"\n".repeat(60)).unwrap();
    refused("there is no sentence pair in it: 60");
    says(
        "transformer_translate",
        &["--subwords", "letters"],
        "expected bpe, word_piece or unigram",
    );
    says("transformer_translate", &["--pairs", "50", "--heads", "3"], "`heads` is 3");
    says("transformer_translate", &["--pairs", "50", "--from", "por"], "--to");
}

#[test]
fn a_translator_resumes_and_gives_the_same_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    sentence_pairs(folder.path());
    let data = ["--data", path(folder.path())];
    let out = tempfile::tempdir().unwrap();
    let run = |out: &Path, args: &[&str]| {
        let args = [&data[..], &SMALL, args].concat();
        metrics_of("transformer_translate", out, &args)
    };
    let metrics = run(out.path(), &["--steps", "30"]);
    for key in [
        "bleu",
        "chrf",
        "valid_perplexity",
        "train_target_tokens_per_s",
        "decode_target_tokens_per_s",
        "train_wall_s",
    ] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    for file in
        ["loss.svg", "train.csv", "translator/model.safetensors", "translator/tokenizer.json"]
    {
        assert!(fs::metadata(out.path().join(file)).unwrap().len() > 100, "{file}");
    }
    let again = run(out.path(), &["--steps", "30", "--resume"]);
    assert_eq!(again["bleu"], metrics["bleu"]);
    says("transformer_translate", &["--resume", "--pairs", "50", "--steps", "x"], "invalid value");

    // Each run is a process of its own.
    let translator = out.path().join("translator");
    let translate = |beam: &str| {
        let mut child = example("transformer_translate")
            .args(["--load", path(&translator), "--beam", beam])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let input = "o coelho test 1 de 1\n\no coelho test 5 de 5\n";
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[1], "");
        lines
    };
    assert_eq!(translate("2"), translate("2"));
    assert_eq!(translate("1"), translate("1"));
}

#[test]
fn what_cannot_be_made_smaller_or_divided_is_named() {
    let data = images(20);
    let data = path(data.path());
    says("compress_quantize", &["--variants", "int1"], "possible values");
    for name in ["compress_prune", "compress_distill", "compress_distribute"] {
        says(name, &["--data", data, "--batch-size", "99"], "--batch-size is 99, expected at most");
    }
    let modes = ["--data", data, "--mode", "local", "--compression", "8bit", "--batch-size", "8"];
    says("compress_distribute", &modes, "`compression`");
    says("vision_compare", &["--only", "resnet50"], "resnet18");
    says("mcts_alphazero", &["--game", "othello", "--positions", file!()], "connect_four");
}

#[test]
fn a_model_is_made_smaller_and_judged_from_the_command_line() {
    let data = images(40);
    let given =
        ["--data", path(data.path()), "--family", "vgg", "--epochs", "1", "--batch-size", "8"];
    for (name, more) in [
        ("compress_quantize", ["--variants", "int8-per-channel"]),
        ("compress_prune", ["--fine-tune", "1"]),
        ("compress_report", ["--student-epochs", "1"]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let metrics = metrics_of(name, out.path(), &[&given[..], &more].concat());
        for key in ["accuracy_before", "accuracy_after", "accuracy_lost", "mcnemar_p"] {
            assert!(metrics[key].is_number(), "{name}: {key} in {metrics}");
        }
        for key in ["bytes", "latency_ms", "multiply_adds"] {
            let figure = |when: &str| metrics[format!("{key}_{when}")].as_f64().unwrap();
            assert!(figure("before") > 0.0 && figure("after") > 0.0, "{name}: {metrics}");
            assert!(key != "bytes" || figure("after") < figure("before"), "{name}: {metrics}");
        }
        for file in ["report.md", "size.svg", "time.svg"] {
            assert!(fs::metadata(out.path().join(file)).unwrap().len() > 200, "{name}: {file}");
        }
    }
}
