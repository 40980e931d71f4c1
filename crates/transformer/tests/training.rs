//! Training, stopping, resuming, saving and loading as a user sees them.

mod small;

use std::fs;

use burn::module::Module as _;
use model_utils::checkpoint::Checkpoints;
use model_utils::data::SentencePairs;
use model_utils::train::{Budget, Event, History, Observer, Silent, Stop, StopReason};
use model_utils::weights::{State, same_names};
use transformer::decoding::{Beam, Greedy};
use transformer::metrics::{Metric as _, MetricName};
use transformer::text::{Overlong, TokenLimit};
use transformer::{
    Error, LengthPenalty, Model, ModelConfig, Schedule, Splits, TokenizerConfig, Trainer,
    TrainingConfig, TransformerConfig, Translator, TranslatorConfig, Tying,
};

use small::{alone, device, splits};

type Change = fn(TrainingConfig) -> TrainingConfig;

fn config() -> TranslatorConfig {
    let training = TrainingConfig::new()
        .with_batch_tokens(200)
        .with_schedule(Schedule::Linear { rate: 5e-3, warm_up: 5, steps: 40 })
        .with_valid_every(6)
        .with_valid_sentences(5)
        .with_log_every(1);
    small::config(0.1).with_budget(Budget::steps(20)).with_training(training)
}

fn with_model(config: &mut TranslatorConfig, change: impl Fn(&mut TransformerConfig)) {
    if let ModelConfig::Transformer(model) = &mut config.model {
        change(model);
    }
}

fn weights(model: &Model) -> Vec<(String, Vec<f32>)> {
    let state = State::from_module(model, same_names).unwrap();
    let values = |entry: &model_utils::weights::TensorEntry| entry.data.iter::<f32>().collect();
    state.tensors.iter().map(|(name, entry)| (name.clone(), values(entry))).collect()
}

/// Asks to stop at a step.
struct StopAt(u64, Stop);

impl Observer for StopAt {
    fn observe(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Step { step, .. } if *step == self.0) {
            self.1.stop();
        }
    }

    fn wants_stop(&self) -> bool {
        self.1.is_stopped()
    }
}

#[test]
fn a_run_that_was_stopped_ends_like_one_that_was_not() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let averages: [Change; 3] = [
        |training| training,
        |training| training.with_ema_decay(Some(0.9)).with_accumulate(2),
        |training| training.with_average_last(3),
    ];
    for change in averages {
        let mut config = config();
        config.training = change(config.training.clone());
        let mut whole = config.trainer(&splits, &device).unwrap();
        let mut history = History::default();
        let trained = whole.train(Budget::steps(20), &mut history).unwrap();
        assert_eq!((trained.steps, trained.reason), (20, StopReason::BudgetSpent));

        let folder = tempfile::tempdir().unwrap();
        let open = || Checkpoints::open(folder.path()).unwrap();
        let part = || config.trainer(&splits, &device).unwrap().resume_in(open(), 4).unwrap();
        let mut first = part();
        let mut stop = StopAt(7, Stop::new());
        let stopped = first.train(Budget::steps(20), &mut stop).unwrap();
        assert_eq!((stopped.steps, stopped.reason), (7, StopReason::Asked));
        drop(first);
        let mut second = part();
        assert_eq!(second.steps(), 7);
        let mut rest = History::default();
        let resumed = second.train(Budget::steps(20), &mut rest).unwrap();

        assert_eq!(resumed.best, trained.best);
        assert_eq!(weights(second.model()), weights(whole.model()));
        assert_eq!(weights(&second.best().unwrap()), weights(&whole.best().unwrap()));
        for name in ["train_loss", "valid_bleu", "valid_perplexity"] {
            let all = &history.curve(name).unwrap().points;
            let later: Vec<_> = all.iter().filter(|(step, _)| *step > 7).copied().collect();
            assert_eq!(rest.curve(name).unwrap().points, later, "{name}");
        }
        // What is done already is not done again.
        drop(second);
        assert_eq!(part().train(Budget::steps(20), &mut Silent).unwrap().steps, 20);
    }
}

#[test]
fn a_validation_that_was_stopped_is_made_when_the_run_goes_on() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let mut config = config();
    config.training = config.training.with_average_last(2).with_patience(Some(9));
    let budget = Budget::steps(20);
    let mut whole = config.trainer(&splits, &device).unwrap();
    let mut history = History::default();
    let trained = whole.train(budget, &mut history).unwrap();

    // Each step looks once, each validation twice: before its losses and before its translations.
    for (look, steps) in [(7, 6), (8, 6), (15, 12), (27, 20), (28, 20)] {
        let folder = tempfile::tempdir().unwrap();
        let part = || {
            let checkpoints = Checkpoints::open(folder.path()).unwrap();
            config.trainer(&splits, &device).unwrap().resume_in(checkpoints, 6).unwrap()
        };
        let mut told = History::default();
        let mut observer = (&mut told, Stop::after(look - 1));
        let stopped = part().train(budget, &mut observer).unwrap();
        assert_eq!((stopped.steps, stopped.reason), (steps, StopReason::Asked));
        let last = stopped.best.map_or(0, |best| best.step);
        assert!(last < steps, "the validation at step {steps} was dropped");
        assert!(stopped.or_stopped().unwrap_err().to_string().contains("stopped at step"));
        let mut second = part();
        let resumed = second.train(budget, &mut told).unwrap();
        assert_eq!((resumed.best, resumed.reason), (trained.best, trained.reason));
        assert_eq!(weights(second.model()), weights(whole.model()));
        assert_eq!(weights(&second.best().unwrap()), weights(&whole.best().unwrap()));
        for name in ["train_loss", "valid_bleu", "valid_perplexity"] {
            assert_eq!(told.curve(name), history.curve(name), "{look}: {name}");
        }
    }
}

#[test]
fn a_run_that_is_lengthened_is_one_that_was_longer_from_the_start() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let mut config = config();
    config.training = config.training.with_average_last(3);
    let mut whole = config.trainer(&splits, &device).unwrap();
    let trained = whole.train(Budget::steps(20), &mut Silent).unwrap();
    let same = |longer: &Trainer<Model>, best| {
        assert_eq!(best, trained.best);
        assert_eq!(weights(longer.model()), weights(whole.model()));
        assert_eq!(weights(&longer.best().unwrap()), weights(&whole.best().unwrap()));
    };

    let folder = tempfile::tempdir().unwrap();
    let part = || {
        let checkpoints = Checkpoints::open(folder.path()).unwrap();
        config.trainer(&splits, &device).unwrap().resume_in(checkpoints, 5).unwrap()
    };
    let mut first = part();
    // Ends with a validation that the longer run has not.
    let finished = first.train(Budget::steps(13), &mut Silent).unwrap();
    drop(first);
    let mut again = part();
    assert_eq!(again.train(Budget::steps(13), &mut Silent).unwrap().best, finished.best);
    let longer = again.train(Budget::steps(20), &mut Silent).unwrap();
    same(&again, longer.best);
    drop(again);
    let mut resumed = part();
    let longer = resumed.train(Budget::steps(20), &mut Silent).unwrap();
    same(&resumed, longer.best);
}

#[test]
fn a_translator_can_be_stopped() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let is_stopped = |error| matches!(error, Error::Utils(model_utils::Error::Stopped { .. }));
    let mut observer = StopAt(2, Stop::new());
    let error = Translator::train(&splits, &config(), &device, &mut observer).unwrap_err();
    assert!(is_stopped(error), "there is no translator of a training that was stopped");

    let stop = Stop::new();
    let config = config().with_budget(Budget::steps(1));
    let translator = Translator::train(&splits, &config, &device, &mut Silent).unwrap();
    let translator = translator.with_stop(stop.clone());
    assert_eq!(translator.translate(&["o gato"], &Greedy).unwrap().len(), 1);
    stop.stop();
    assert!(is_stopped(translator.translate(&["o gato"], &Greedy).unwrap_err()));
    assert!(is_stopped(translator.evaluate(&splits.test, &Greedy).unwrap_err()));
    let after = |asked| translator.clone().with_stop(Stop::after(asked));
    let error = after(1).evaluate(&splits.test, &Greedy).unwrap_err();
    assert_eq!(error.to_string(), "evaluation was stopped at sentence 0");
    let error = after(3).translate(&["o gato"; 5], &Greedy).unwrap_err();
    assert_eq!(error.to_string(), "translation was stopped at sentence 4");
}

#[test]
fn what_comes_before_training_is_stopped() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    // Both sides of 200 pairs are read and counted; the tokenizer comes to its end; parts are encoded.
    let sentences = 2 * splits.train.pairs().len();
    for (asked, place) in [
        (5, "training of the tokenizer was stopped at sentence 5"),
        (2 * sentences, "training of the tokenizer was stopped at its end"),
        (2 * sentences + 1, "encoding was stopped at the training part, line 1"),
        (2 * sentences + 2, "encoding was stopped at the validation part, line 1"),
    ] {
        let listening = Stop::after(asked);
        let error = config().trainer(listening.around(&splits), &device).err().unwrap();
        assert_eq!(error.to_string(), place);
        let mut listening = Stop::after(asked);
        let error = Translator::train(&splits, &config(), &device, &mut listening).unwrap_err();
        assert_eq!(error.to_string(), place);
    }
    assert!(config().trainer(Stop::after(2 * sentences + 3).around(&splits), &device).is_ok());
}

#[test]
fn a_checkpoint_of_another_run_is_refused_with_the_differences() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let folder = tempfile::tempdir().unwrap();
    let open = || Checkpoints::open(folder.path()).unwrap();
    let mut trainer = config().trainer(&splits, &device).unwrap().resume_in(open(), 4).unwrap();
    trainer.train(Budget::steps(2), &mut Silent).unwrap();
    drop(trainer);

    let mut other = config();
    other.training =
        other.training.with_label_smoothing(0.2).with_log_every(7).with_patience(Some(3));
    let error = other.trainer(&splits, &device).unwrap().resume_in(open(), 4).err().unwrap();
    let message = error.to_string();
    assert!(matches!(error, Error::Utils(model_utils::Error::Mismatch { .. })), "{message}");
    let difference = "does not fit: `training.label_smoothing` is 0.1, expected 0.2";
    assert!(message.ends_with(difference), "{message}");
    let mut other = config();
    other.training = other.training.with_keep_by("bleu:char".parse().unwrap());
    let error = other.trainer(&splits, &device).unwrap().resume_in(open(), 4).err().unwrap();
    let difference = "`training.keep_by` is \"chrf\", expected \"bleu:char\"";
    assert!(error.to_string().ends_with(difference), "{error}");

    let fewer = Splits { train: splits.train.pairs()[..190].iter().cloned().collect(), ..splits };
    let error = config().trainer(&fewer, &device).unwrap().resume_in(open(), 4).err().unwrap();
    assert!(error.to_string().contains("pairs"), "{error}");
}

#[test]
fn a_run_that_its_budget_ended_goes_on_with_a_larger_one() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let run = |folder: &std::path::Path, budget: u64| {
        let checkpoints = Checkpoints::open(folder).unwrap();
        let trainer = config().trainer(&splits, &device).unwrap();
        let mut trainer = trainer.resume_in(checkpoints, 4).unwrap();
        let trained = trainer.train(Budget::steps(budget), &mut Silent).unwrap();
        assert_eq!((trained.steps, trained.reason), (budget, StopReason::BudgetSpent));
        (trained.best, weights(trainer.model()), weights(&trainer.best().unwrap()))
    };
    let [at_once, in_parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let expected = run(at_once.path(), 20);
    // Between two validations, at one, and to the end.
    for budget in [7, 12] {
        assert_ne!(run(in_parts.path(), budget).1, expected.1);
    }
    assert_eq!(run(in_parts.path(), 20), expected);

    // A schedule that ends with the budget may be lengthened where it is said.
    let mut longer = config();
    longer.training.schedule = Schedule::Linear { rate: 5e-3, warm_up: 5, steps: 80 };
    let open = || Checkpoints::open(in_parts.path()).unwrap();
    let error = longer.trainer(&splits, &device).unwrap().resume_in(open(), 4).err().unwrap();
    assert!(error.to_string().contains("training.schedule"), "{error}");
    let allowed = open().allow_change("training.schedule");
    let mut trainer = longer.trainer(&splits, &device).unwrap().resume_in(allowed, 4).unwrap();
    assert_eq!(trainer.train(Budget::steps(24), &mut Silent).unwrap().steps, 24);
}

#[test]
fn a_budget_that_ends_no_run_is_refused() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let expected = "expected a limit of steps or epochs or time";
    for budget in [Budget::default(), Budget::episodes(1)] {
        let error = config().trainer(&splits, &device).unwrap().train(budget, &mut Silent);
        assert!(error.as_ref().unwrap_err().to_string().contains(expected), "{error:?}");
        let config = config().with_budget(budget);
        let error = Translator::train(&splits, &config, &device, &mut Silent).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn gradients_of_parts_are_those_of_the_whole() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let mut config = config();
    with_model(&mut config, |model| model.dropout = 0.0);
    let step = |batches: &[Vec<usize>]| {
        let mut trainer = config.trainer(&splits, &device).unwrap();
        let report = trainer.step(batches).unwrap();
        (report, weights(trainer.model()))
    };
    let (whole, after_whole) = step(&[vec![0, 1, 2, 3, 4, 5]]);
    let (parts, after_parts) = step(&[vec![0, 1], vec![2, 3, 4, 5]]);
    assert_eq!(whole.target_tokens, parts.target_tokens);
    assert!((whole.loss - parts.loss).abs() < 1e-5, "{whole:?} {parts:?}");
    assert!((whole.grad_norm - parts.grad_norm).abs() < 1e-4 * whole.grad_norm);
    let mut farthest = 0.0_f32;
    for ((_, a), (_, b)) in after_whole.iter().zip(&after_parts) {
        for (a, b) in a.iter().zip(b) {
            farthest = farthest.max((a - b).abs());
        }
    }
    // The first step of Adam moves every weight by the rate, 1e-3: only signs near 0 may differ.
    assert!(farthest <= 2.1e-3, "{farthest}");
}

#[test]
fn it_learns_and_early_stopping_ends_it() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let mut config = config();
    config.training = config
        .training
        .with_schedule(Schedule::Constant { rate: 1e-2, warm_up: 5 })
        .with_valid_every(20)
        .with_patience(Some(2));
    let mut trainer = config.trainer(&splits, &device).unwrap();
    let mut history = History::default();
    let trained = trainer.train(Budget::steps(400), &mut history).unwrap();
    assert_eq!(trained.reason, StopReason::NoImprovement);
    assert!(trained.steps < 400);
    let losses = &history.curve("train_loss").unwrap().points;
    assert!(losses.last().unwrap().1 < losses[0].1 - 0.3, "{losses:?}");
    let scores = &history.curve("valid_chrf").unwrap().points;
    let best = trained.best.unwrap();
    assert!(scores.iter().all(|(_, chrf)| *chrf <= best.score));
    let after = scores.iter().filter(|(step, _)| *step > best.step).count();
    assert_eq!(after, 2);
}

#[test]
fn schedules_have_their_published_values() {
    let noam = Schedule::Noam { factor: 1.0, width: 512, warm_up: 4000 };
    // 512^-½ · 4000^-½ at the peak (Vaswani et al. 2017, formula 3).
    assert!((noam.rate(4000) - 6.987_712_4e-4).abs() < 1e-9);
    assert!((noam.rate(1000) - noam.rate(4000) / 4.0).abs() < 1e-12);
    assert!((noam.rate(16_000) - noam.rate(4000) / 2.0).abs() < 1e-12);
    let root = Schedule::InverseSquareRoot { rate: 1e-3, warm_up: 400 };
    let rates = [100, 400, 1600].map(|step| root.rate(step));
    assert!((rates[0] - 2.5e-4).abs() < 1e-12 && (rates[1] - 1e-3).abs() < 1e-12);
    assert!((rates[2] - 5e-4).abs() < 1e-12);
    let linear = Schedule::Linear { rate: 1.0, warm_up: 10, steps: 110 };
    // As transformers' get_linear_schedule_with_warmup from the end of the warm-up on.
    let rates = [1, 10, 11, 61, 110, 111].map(|step| linear.rate(step));
    for (rate, expected) in rates.into_iter().zip([0.1, 1.0, 1.0, 0.5, 0.01, 0.0]) {
        assert!((rate - expected).abs() < 1e-12, "{rates:?}");
    }
}

#[test]
fn a_saved_translator_gives_the_same_after_loading() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let folder = tempfile::tempdir().unwrap();
    for shared in [true, false] {
        let mut config = config().with_shared(shared);
        if !shared {
            with_model(&mut config, |model| model.tying = Tying::Output);
        }
        let translator = Translator::train(&splits, &config, &device, &mut Silent).unwrap();
        let path = folder.path().join("model");
        translator.save(&path).unwrap();
        let loaded = Translator::load(&path, &device).unwrap();
        let sources: Vec<&str> =
            splits.test.pairs().iter().map(|pair| pair.source.as_str()).collect();
        let one = translator.translate(&sources, &Beam::new(3)).unwrap();
        assert_eq!(one, loaded.translate(&sources, &Beam::new(3)).unwrap());
        assert_eq!(one.len(), sources.len());

        // In the caller's order, each as if it were alone.
        let alone: Vec<String> = sources
            .iter()
            .map(|source| loaded.translate(&[source], &Beam::new(3)).unwrap()[0].text.clone())
            .collect();
        let together: Vec<String> = one.iter().map(ToString::to_string).collect();
        assert_eq!(together, alone);

        // Piece by piece it is the greedy one.
        let greedy = loaded.translate(&sources[..5], &Greedy).unwrap();
        for (source, whole) in sources.iter().zip(greedy) {
            let pieces: Result<String, _> = loaded.stream(source).unwrap().collect();
            assert_eq!(pieces.unwrap(), whole.text);
        }

        let evaluation = loaded.evaluate(&splits.test, &Beam::new(3)).unwrap();
        assert_eq!(evaluation.translations, together);
        assert!(evaluation.perplexity > 1.0 && evaluation.perplexity < 200.0);

        // No other penalty is better than the one that is chosen.
        let penalties = [LengthPenalty::None, LengthPenalty::Wu(1.0), LengthPenalty::Power(3.0)];
        let beam = Beam::new(3);
        for metric in [MetricName::Chrf, MetricName::Ter] {
            let chosen = loaded.tune(&splits.valid, &beam, &penalties, &metric).unwrap();
            let score = |penalty| {
                let beam = beam.clone().with_length_penalty(penalty);
                let found = loaded.evaluate(&splits.valid, &beam).unwrap();
                if metric == MetricName::Ter { found.ter } else { found.chrf }
            };
            let reached = score(chosen.length_penalty);
            assert!(penalties.iter().all(|&other| !metric.is_better(score(other), reached)));
            assert_eq!(chosen.size, 3);
        }
        let none = loaded.tune(&splits.valid, &beam, &[], &MetricName::Chrf);
        let error = none.unwrap_err().to_string();
        assert!(error.contains("`penalties` is none, expected at least one"), "{error}");
    }
    let none: [&str; 0] = [];
    let loaded = Translator::load(folder.path().join("model"), &device).unwrap();
    assert_eq!(loaded.translate(&none, &Greedy).unwrap().len(), 0);
}

#[test]
fn folders_that_do_not_fit_are_refused() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let save = |vocabulary: usize| {
        let config = config().with_budget(Budget::steps(1)).with_tokenizer(
            TokenizerConfig::new().with_vocabulary(vocabulary).with_byte_fallback(false),
        );
        let translator = Translator::train(&splits, &config, &device, &mut Silent).unwrap();
        translator.save(&path).unwrap();
        fs::read(path.join("tokenizer.json")).unwrap()
    };
    let load = || Translator::load(&path, &device).unwrap_err().to_string();
    let other = save(110);
    save(120);
    fs::write(path.join("tokenizer.json"), other).unwrap();
    let error = load();
    assert!(error.contains("does not fit the model: its vocabulary of 110 ids"), "{error}");
    fs::remove_file(path.join("tokenizer.json")).unwrap();
    assert!(load().contains("tokenizer.json"), "{}", load());
    save(120);
    let bytes = fs::read(path.join("model.safetensors")).unwrap();
    fs::write(path.join("model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(load().contains("model.safetensors"), "{}", load());
    let error = Translator::load(folder.path().join("none"), &device).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}

#[test]
fn what_cannot_work_is_refused() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let refused = |config: &TranslatorConfig, splits: &Splits| {
        config.trainer(splits, &device).err().unwrap().to_string()
    };
    let changes: [(Change, &str); 10] = [
        (|c| c.with_batch_tokens(3), "`batch_tokens` is 3"),
        (|c| c.with_accumulate(0), "`accumulate` is 0"),
        (|c| c.with_label_smoothing(1.0), "`label_smoothing` is 1.0"),
        (|c| c.with_clip_norm(Some(0.0)), "`clip_norm` is 0.0"),
        (|c| c.with_ema_decay(Some(1.0)), "`ema_decay` is 1.0"),
        (|c| c.with_ema_decay(Some(0.9)).with_average_last(2), "`average_last` is 2"),
        (|c| c.with_betas([0.9, 1.0]), "`betas`"),
        (|c| c.with_valid_every(0), "`valid_every` is 0"),
        (|c| c.with_patience(Some(0)), "`patience` is 0"),
        (
            |c| c.with_schedule(Schedule::Linear { rate: 1.0, warm_up: 5, steps: 5 }),
            "`schedule.steps` is 5",
        ),
    ];
    for (change, expected) in changes {
        let mut config = config();
        config.training = change(config.training.clone());
        let error = refused(&config, &splits);
        assert!(error.contains(expected), "{error}");
    }
    // Before tokenizers are trained.
    let narrow = TransformerConfig::tiny(0, 0).with_heads(3);
    for (config, expected) in [
        (config().with_max_tokens(1), "`max_tokens` is 1"),
        (TranslatorConfig::new(ModelConfig::Transformer(narrow)), "`heads` is 3"),
    ] {
        let error = config.tokenizers(&splits).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = refused(&config().with_max_tokens(4), &splits);
    assert!(error.contains("the training part, line 1,"), "{error}");
    let empty = Splits { valid: SentencePairs::default(), ..splits.clone() };
    let error = refused(&config(), &empty);
    assert!(error.contains("the validation part: there is none"), "{error}");

    // Parts that were not made for each other.
    let tokenizers = config().tokenizers(&splits).unwrap();
    let model = TransformerConfig::tiny(50, 50).init(&device.clone().autodiff()).unwrap();
    let trainer = Trainer::new(
        Model::Transformer(model),
        tokenizers.clone(),
        &splits,
        TokenLimit::new(100, Overlong::Refuse),
        TrainingConfig::new(),
    );
    let error = trainer.err().unwrap().to_string();
    assert!(
        error.contains("it knows 50 ids on the source side, and its tokenizer has 1"),
        "{error}"
    );
    let size = tokenizers.source().vocabulary_size();
    let model = Model::Transformer(TransformerConfig::tiny(size, size).init(&device).unwrap());
    let limit = TokenLimit::new(100, Overlong::Refuse);
    let trainer =
        Trainer::new(model.clone(), tokenizers.clone(), &splits, limit, TrainingConfig::new());
    let error = trainer.err().unwrap().to_string();
    assert!(error.contains("without autodiff") && error.contains("call `.train()`"), "{error}");

    let translator =
        Translator::new(model, tokenizers, TokenLimit::new(12, Overlong::Refuse)).unwrap();
    let long = "o gato ".repeat(40);
    let error = translator.translate(&["o gato", &long], &Greedy).unwrap_err().to_string();
    assert!(error.contains("sentence 2: the sentence has"), "{error}");
    let cut = translator.clone().with_overlong(Overlong::Truncate);
    assert_eq!(cut.translate(&["o gato", &long], &Greedy).unwrap().len(), 2);
    let error = translator.translate(&["o gato"], &Beam::new(0)).unwrap_err().to_string();
    assert!(error.contains("is 0, expected"), "{error}");
    assert!(!translator.model().devices().is_empty());
}
