//! Marian models of Hugging Face: read, decoded as `transformers` does, written, trained on. The folder
//! `fixtures/marian` and its script stand in `fixtures/`.
//!
//! In full, on 200 real sentences:
//!
//! ```console
//! $ python crates/transformer/tests/fixtures/marian.py --data MULTI30K out/marian
//! $ MARIAN=$PWD/out/marian cargo test --workspace --release --test hugging_face -- --ignored
//! ```
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module as _;
use burn::tensor::{Device, Tensor};
use model_utils::device::seed;
use model_utils::layers::Activation;
use model_utils::train::{Budget, Silent};
use serde::Deserialize;
use serde_json::{Value, json};
use transformer::{
    Beam, EncoderDecoder as _, Error, Grammar, Greedy, LengthLimits, LengthPenalty, Model,
    ModelConfig, NormOrder, Padded, Positions, Schedule, SpecialTokens, Splits, Strategy,
    TrainingConfig, TransformerConfig, Translator, TranslatorConfig, Tying,
};

#[derive(Deserialize)]
struct Expected {
    sentences: Vec<String>,
    source_ids: Vec<Vec<u32>>,
    target: Vec<String>,
    target_ids: Vec<Vec<u32>>,
    prefix: Vec<u32>,
    logits: Vec<f32>,
    cross: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    settings: Value,
    texts: Vec<String>,
    found: Vec<Vec<Found>>,
    /// Sentences that rounding decides, by what `fixtures/marian.py` tried.
    #[serde(default)]
    unsettled: Vec<usize>,
}

#[derive(Deserialize)]
struct Found {
    ids: Vec<u32>,
    score: Option<f64>,
}

fn device() -> Device {
    Device::flex()
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/marian")
}

fn expected(folder: &Path) -> Expected {
    serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

fn assert_near(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-4 * theirs.abs().max(1.0), "{ours} for {theirs}");
    }
}

/// What a case sets over what the folder says.
fn settings(case: &Case, translator: &Translator) -> (Strategy, LengthLimits) {
    let (mut limits, mut strategy) = (translator.limits(), translator.strategy().clone());
    if let Strategy::Beam(beam) = &mut strategy {
        beam.n_best = beam.size;
    }
    for (name, value) in case.settings.as_object().unwrap() {
        let number = value.as_f64();
        let count = || number.unwrap() as usize;
        let Strategy::Beam(beam) = &mut strategy else { unreachable!() };
        match name.as_str() {
            "num_beams" => (beam.size, beam.n_best) = (count(), count()),
            "early_stopping" => beam.early_stopping = value.as_bool().unwrap(),
            "length_penalty" => beam.length_penalty = LengthPenalty::Power(number.unwrap()),
            "renormalize_logits" => limits.renormalize = value.as_bool().unwrap(),
            "forced_eos_token_id" => limits.end_at_limit = number.is_some(),
            "forced_bos_token_id" => limits.first_token = Some(count() as u32),
            "no_repeat_ngram_size" => limits.no_repeat_ngram = Some(count()),
            "repetition_penalty" => limits.repetition_penalty = number.unwrap(),
            "min_new_tokens" => limits.min_length = count(),
            "max_new_tokens" => limits.max_length = count(),
            "max_length" => assert!(value.is_null()),
            "prefix" => limits.prefix = Deserialize::deserialize(value).unwrap(),
            _ => panic!("{name}"),
        }
    }
    // There new tokens are counted, here all.
    if !limits.prefix.is_empty() {
        limits.max_length += limits.prefix.len();
    }
    match strategy {
        Strategy::Beam(beam) if beam.size == 1 => (Greedy.into(), limits),
        strategy => (strategy, limits),
    }
}

/// Returns how many sentences were left out, as rounding decides what is found for them.
fn assert_is_theirs(folder: &Path) -> usize {
    let theirs = expected(folder);
    let translator = Translator::from_hugging_face(folder, &device()).unwrap();
    for (text, ids) in theirs.sentences.iter().zip(&theirs.source_ids) {
        let ours = translator.tokenizers().source().encode(text).unwrap();
        assert_eq!(ours, ids[..ids.len() - 1], "{text}");
    }
    for (text, ids) in theirs.target.iter().zip(&theirs.target_ids) {
        let ours = translator.tokenizers().target().encode(text).unwrap();
        assert_eq!(ours, ids[..ids.len() - 1], "{text}");
    }
    let begin = translator.limits().special.bos;
    let target = [vec![begin], theirs.prefix.clone()].concat();
    let source = Padded::new(&theirs.source_ids[..1], begin, &device());
    let target = Padded::new(&[target], begin, &device());
    let Model::Transformer(model) = translator.model() else { unreachable!() };
    let logits = model.logits(&source, &target);
    let last = logits.slice([0..1, theirs.prefix.len()..theirs.prefix.len() + 1]);
    assert_near(&numbers(last), &theirs.logits);
    let cross = model.attention_maps(&source, &target).cross;
    assert_eq!(cross.len(), theirs.cross.len());
    for (ours, theirs) in cross.into_iter().zip(&theirs.cross) {
        assert_near(&numbers(ours), theirs);
    }
    let (mut compared, mut furthest) = (0, 0.0_f64);
    for case in &theirs.cases {
        let (strategy, limits) = settings(case, &translator);
        let ours = translator.n_best(&theirs.sentences, &strategy, &limits).unwrap();
        assert_eq!(ours.len(), case.found.len());
        for (at, (ours, found)) in ours.iter().zip(&case.found).enumerate() {
            if case.unsettled.contains(&at) {
                continue;
            }
            let place = format!("{}, sentence {}", case.name, at + 1);
            assert_eq!(ours.len(), found.len(), "{place}");
            // Their tokenizer takes the space at the end of a text for none.
            assert_eq!(ours[0].text, case.texts[at].trim(), "{place}");
            for (ours, theirs) in ours.iter().zip(found) {
                assert_eq!(ours.hypothesis.ids, theirs.ids, "{place}");
                if let Some(score) = theirs.score {
                    let off = (ours.hypothesis.score - score).abs();
                    furthest = furthest.max(off);
                    assert!(off < 1e-4, "{place}: {} for {score}", ours.hypothesis.score);
                }
                compared += 1;
            }
        }
    }
    let left_out = theirs.cases.iter().map(|case| case.unsettled.len()).sum();
    #[allow(clippy::print_stdout)] // For a run that asks for it.
    {
        println!(
            "{compared} hypotheses, scores within {furthest:.1e}; {left_out} sentences left out"
        );
    }
    left_out
}

#[test]
fn hypotheses_are_those_of_transformers() {
    assert_eq!(assert_is_theirs(&fixture()), 0);
}

#[test]
#[ignore = "needs a folder that fixtures/marian.py makes of real text"]
fn hypotheses_of_real_sentences_are_those_of_transformers() {
    let folder = std::env::var("MARIAN").expect("MARIAN names the folder");
    assert!(assert_is_theirs(Path::new(&folder)) < 18, "one in a hundred");
}

/// A copy of the fixture without some of its files.
fn copy_without(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let entry = entry.unwrap();
        if !names.iter().any(|&name| entry.file_name() == name) {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

#[test]
fn weights_of_pytorch_are_read_where_there_are_no_others() {
    let folder = copy_without(&["model.safetensors"]);
    assert_eq!(assert_is_theirs(folder.path()), 0);

    let path = folder.path().join("pytorch_model.bin");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = Translator::from_hugging_face(folder.path(), &device()).unwrap_err().to_string();
    assert!(error.contains("pytorch_model.bin"), "{error}");

    let folder = copy_without(&["model.safetensors", "pytorch_model.bin"]);
    let error = Translator::from_hugging_face(folder.path(), &device()).unwrap_err().to_string();
    assert!(error.contains("expected model.safetensors or pytorch_model.bin"), "{error}");
}

/// The fixture with a change in one of its JSON files.
fn changed(file: &str, field: &str, value: Value) -> (tempfile::TempDir, Error) {
    let folder = copy_without(&[]);
    let path = folder.path().join(file);
    let mut told: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    told[field] = value;
    fs::write(&path, told.to_string()).unwrap();
    let error = Translator::from_hugging_face(folder.path(), &device()).unwrap_err();
    (folder, error)
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (file, field, value) in [
        ("config.json", "model_type", json!("t5")),
        ("config.json", "activation_function", json!("mish")),
        ("config.json", "normalize_before", json!(true)),
        ("config.json", "share_encoder_decoder_embeddings", json!(false)),
        ("config.json", "decoder_ffn_dim", json!(64)),
        ("config.json", "decoder_attention_heads", json!(2)),
        ("generation_config.json", "early_stopping", json!("never")),
        ("generation_config.json", "num_beam_groups", json!(2)),
        ("generation_config.json", "bad_words_ids", json!([[7, 8]])),
        ("generation_config.json", "forced_eos_token_id", json!(3)),
    ] {
        let (_folder, error) = changed(file, field, value);
        assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        assert!(matches!(error, Error::HuggingFace { .. }), "{error:?}");
    }
    let (_folder, error) = changed("config.json", "d_model", json!("wide"));
    assert!(error.to_string().contains("config.json: invalid type: string \"wide\""), "{error}");
    // Sizes that the weights have not, and a vocabulary that the model has not.
    let (_folder, error) = changed("config.json", "d_model", json!(32));
    assert!(error.to_string().contains("model.shared.weight"), "{error}");
    let (folder, error) = changed("vocab.json", "one more", json!(407));
    assert!(matches!(error, Error::Model(_)), "{error}");
    let (_folder, error) = changed("vocab.json", "twice", json!(5));
    assert!(error.to_string().contains("the id 5"), "{error}");
    // Damaged files.
    for name in ["source.spm", "model.safetensors", "config.json", "vocab.json"] {
        let path = folder.path().join(name);
        let whole = fs::read(fixture().join(name)).unwrap();
        for kept in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..kept]).unwrap();
            assert!(Translator::from_hugging_face(folder.path(), &device()).is_err(), "{name}");
        }
        fs::remove_file(&path).unwrap();
        assert!(Translator::from_hugging_face(folder.path(), &device()).is_err(), "{name}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn text_that_spells_special_tokens_is_text() {
    let translator = Translator::from_hugging_face(fixture(), &device()).unwrap();
    let tokenizer = translator.tokenizers().source();
    let special = tokenizer.special();
    for text in ["a</s>b", "<pad>", "</s>", "</s> ", "<pad> x"] {
        let ids = tokenizer.encode(text).unwrap();
        assert!(!ids.is_empty() && !ids.contains(&special.eos) && !ids.contains(&special.pad));
    }
}

#[test]
fn a_folder_of_marian_is_kept_on_every_road() {
    let translator = Translator::from_hugging_face(fixture(), &device()).unwrap();
    let theirs = expected(&fixture());
    let strategy = Beam::new(2);
    let before = translator.translate(&theirs.sentences, &strategy).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    translator.save(&own).unwrap();
    let loaded = Translator::load(&own, &device()).unwrap();
    assert_eq!(loaded.translate(&theirs.sentences, &strategy).unwrap(), before);
    assert_eq!((loaded.limits(), loaded.strategy()), (translator.limits(), translator.strategy()));
    loaded.save_hugging_face(&other).unwrap();
    for name in ["source.spm", "target.spm", "vocab.json", "tokenizer_config.json"] {
        assert_eq!(fs::read(other.join(name)).unwrap(), fs::read(fixture().join(name)).unwrap());
    }
    let again = Translator::from_hugging_face(&other, &device()).unwrap();
    assert_eq!(again.translate(&theirs.sentences, &strategy).unwrap(), before);
    assert_eq!((again.limits(), again.strategy()), (translator.limits(), translator.strategy()));
}

/// Of the grammar, with a configuration that the format can tell.
fn trained(positions: Positions, steps: u64) -> (Splits, Translator) {
    let splits = Grammar::Simple.splits([600, 60, 60], 5).unwrap();
    let model = TransformerConfig::tiny(0, 0)
        .with_norm(NormOrder::Post)
        .with_final_norm(false)
        .with_tying(Tying::All)
        .with_positions(positions)
        .with_activation(Activation::Silu)
        .with_dropout(0.0);
    let mut config = TranslatorConfig::tiny(steps);
    config.model = ModelConfig::Transformer(model);
    config.training.schedule = Schedule::InverseSquareRoot { rate: 2e-3, warm_up: 50 };
    let translator = Translator::train(&splits, &config, &device(), &mut Silent).unwrap();
    (splits, translator)
}

fn logits(translator: &Translator, texts: &[&str]) -> Vec<f32> {
    let tokenizers = translator.tokenizers();
    let SpecialTokens { pad, bos, .. } = tokenizers.target().special();
    let rows = |begin: Option<u32>| {
        let ids = |text: &&str| {
            let ids = tokenizers.source().encode(text).unwrap();
            begin.into_iter().chain(ids).collect::<Vec<u32>>()
        };
        Padded::new(&texts.iter().map(ids).collect::<Vec<_>>(), pad, &device())
    };
    numbers(translator.model().logits(&rows(None), &rows(Some(bos))))
}

#[test]
fn what_is_trained_here_is_the_same_from_their_layout() {
    for positions in [Positions::Sinusoidal, Positions::SinusoidalHalves] {
        let (splits, translator) = trained(positions, 30);
        let beam = Beam::new(3).with_length_penalty(LengthPenalty::Power(0.8));
        let translator = translator.with_strategy(beam);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("marian");
        translator.save_hugging_face(&folder).unwrap();
        let again = Translator::from_hugging_face(&folder, &device()).unwrap();
        let Model::Transformer(model) = again.model() else { unreachable!() };
        assert_eq!(model.config().positions, Positions::SinusoidalHalves);
        let texts = ["O gato dorme.", "A menina alta vê o cão."];
        let (ours, theirs) = (logits(&translator, &texts), logits(&again, &texts));
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-4, "{ours} for {theirs}");
        }
        let sources: Vec<&str> =
            splits.test.pairs().iter().map(|pair| pair.source.as_str()).take(10).collect();
        let limits = translator.limits();
        let texts = |translator: &Translator| {
            let found = translator.n_best(&sources, translator.strategy(), &limits).unwrap();
            found.into_iter().map(|found| found[0].text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(&translator), texts(&again));
        assert_eq!(again.strategy(), translator.strategy());
    }
}

#[test]
fn what_their_layout_cannot_tell_is_refused_by_name() {
    let splits = Grammar::Simple.splits([60, 5, 5], 5).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("refused");
    let post = || {
        TransformerConfig::tiny(0, 0)
            .with_norm(NormOrder::Post)
            .with_final_norm(false)
            .with_tying(Tying::All)
    };
    let refused = |field: &str, model: ModelConfig, shared: bool| {
        let config = TranslatorConfig::tiny(1).with_shared(shared);
        let config = TranslatorConfig { model, ..config };
        let translator = Translator::train(&splits, &config, &device(), &mut Silent).unwrap();
        let error = translator.save_hugging_face(&folder).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{error}");
        assert!(!folder.exists());
    };
    let transformer = |field: &str, config| refused(field, ModelConfig::Transformer(config), true);
    transformer("norm", post().with_norm(NormOrder::Pre));
    transformer("final_norm", post().with_final_norm(true));
    transformer("tying", post().with_tying(Tying::Output));
    transformer("positions", post().with_positions(Positions::Rotary));
    transformer("norm_epsilon", post().with_norm_epsilon(1e-6));
    transformer("activation", post().with_activation(Activation::HardSwish));
    transformer("causal", post().with_causal(false));
    refused(
        "model",
        ModelConfig::Recurrent(transformer::RecurrentConfig::new(0, 0).with_d_hidden(16)),
        true,
    );
}

#[test]
fn a_loaded_model_trains_on() {
    let (splits, translator) = trained(Positions::SinusoidalHalves, 60);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("marian");
    translator.save_hugging_face(&folder).unwrap();
    let loaded = Translator::from_hugging_face(&folder, &device()).unwrap();
    let schedule = Schedule::InverseSquareRoot { rate: 1e-3, warm_up: 20 };
    let config = TrainingConfig::new().with_batch_tokens(500).with_schedule(schedule);
    let before = loaded.evaluate(&splits.test, &Greedy).unwrap();
    let mut trainer = loaded.trainer(&splits, config).unwrap();
    trainer.train(Budget::steps(60), &mut Silent).unwrap();
    let after = Translator::from_trainer(trainer).unwrap().with_limits(loaded.limits());
    let after = after.evaluate(&splits.test, &Greedy).unwrap();
    assert!(
        after.perplexity < 0.9 * before.perplexity,
        "{} {}",
        after.perplexity,
        before.perplexity
    );
    // The one that was loaded is as it was.
    let still = loaded.evaluate(&splits.test, &Greedy).unwrap();
    assert_eq!(still.translations, before.translations);
}

/// From the grammar's simple sentences to the phrases of its other half: BLEU on those before and after
/// 500 steps.
#[test]
#[ignore = "takes a minute"]
fn fine_tuning_raises_bleu() {
    let started = std::time::Instant::now();
    let (_, translator) = trained(Positions::SinusoidalHalves, 600);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("marian");
    translator.save_hugging_face(&folder).unwrap();
    let loaded = Translator::from_hugging_face(&folder, &device()).unwrap();
    let other = Grammar::Full.splits([3000, 100, 300], 9).unwrap();
    let before = loaded.evaluate(&other.test, &Greedy).unwrap();
    let schedule = Schedule::InverseSquareRoot { rate: 1e-3, warm_up: 50 };
    let config = TrainingConfig::new().with_batch_tokens(1000).with_schedule(schedule);
    let mut trainer = loaded.trainer(&other, config).unwrap();
    let learning = std::time::Instant::now();
    trainer.train(Budget::steps(500), &mut Silent).unwrap();
    let learning_s = learning.elapsed().as_secs_f64();
    let after = Translator::from_trainer(trainer).unwrap().with_limits(loaded.limits());
    let after = after.evaluate(&other.test, &Greedy).unwrap();
    println!(
        "BLEU {:.1} before, {:.1} after 500 steps in {learning_s:.0} s; {:.0} s in all",
        before.bleu.score,
        after.bleu.score,
        started.elapsed().as_secs_f64()
    );
    assert!(after.bleu.score > before.bleu.score + 5.0);
}

/// Writes what `fixtures/open_saved.py` opens: `SAVED=DIR`.
#[test]
#[ignore = "writes a folder for fixtures/open_saved.py"]
fn a_saved_model_is_written_for_transformers() {
    let out = PathBuf::from(std::env::var("SAVED").expect("SAVED names the folder"));
    for (name, positions) in
        [("in_turn", Positions::Sinusoidal), ("halves", Positions::SinusoidalHalves)]
    {
        seed(&device(), 3);
        let (splits, translator) = trained(positions, 300);
        let translator =
            translator.with_strategy(Beam::new(4).with_length_penalty(LengthPenalty::Power(1.0)));
        let folder = out.join(name);
        translator.save_hugging_face(&folder).unwrap();
        let texts: Vec<&str> =
            splits.test.pairs().iter().map(|pair| pair.source.as_str()).take(20).collect();
        let ids = |text: &&str| translator.tokenizers().source().encode(text).unwrap();
        let source: Vec<Vec<u32>> = texts.iter().map(ids).collect();
        let of_each: Vec<Vec<f32>> =
            texts.iter().map(|text| logits(&translator, std::slice::from_ref(text))).collect();
        let limits = LengthLimits { max_ratio: None, ..translator.limits() };
        let found = translator.n_best(&texts, translator.strategy(), &limits).unwrap();
        let found: Vec<Value> = found
            .iter()
            .map(|found| json!({"text": found[0].text, "ids": found[0].hypothesis.ids}))
            .collect();
        let told = json!({"texts": texts, "source": source, "logits": of_each, "found": found});
        fs::write(folder.join("check.json"), told.to_string()).unwrap();
        assert!(translator.model().num_params() > 0);
    }
}
