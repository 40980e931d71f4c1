//! What a translator answers: one answer a sentence, limits, settings from a file, texts.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use std::sync::OnceLock;

use burn::module::Param;
use burn::tensor::{Device, TensorData};
use model_utils::train::Silent;
use serde_json::json;
// Everything of the crate under its own name beside everything in scope.
use transformer::*;

/// The crate's name stands for the crate beside all that its modules bring.
mod named {
    #[allow(unused_imports)]
    use transformer::attention::*;
    #[allow(unused_imports)]
    use transformer::prelude::*;

    pub(super) fn beam() -> transformer::Beam {
        transformer::decoding::Beam::new(2)
    }
}

fn device() -> Device {
    Device::flex()
}

/// Trained on the grammar for a moment.
fn translator() -> &'static Translator {
    static TRAINED: OnceLock<Translator> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let splits = Grammar::Simple.splits([300, 20, 20], 3).unwrap();
        let config = TranslatorConfig::tiny(150).with_max_tokens(24);
        Translator::train(&splits, &config, &device(), &mut Silent).unwrap()
    })
}

/// The same, with an embedding of NaN for one source token alone.
fn with_a_broken_token(text: &str) -> Translator {
    let translator = translator();
    let tokenizers = translator.tokenizers().clone();
    let id = tokenizers.source().encode(text).unwrap()[0] as usize;
    let Model::Transformer(mut model) = translator.model().clone() else { unreachable!() };
    // The tables of both sides are one: the source gets its own.
    let table = model.target_embedding.clone();
    let data = table.weight.val().into_data();
    let [_, width] = table.weight.val().dims();
    let mut numbers: Vec<f32> = data.try_to_vec().unwrap();
    numbers[id * width..][..width].fill(f32::NAN);
    let shape = table.weight.val().dims();
    let mut source = table.clone();
    source.weight = Param::from_data(TensorData::new(numbers, shape), &device());
    model.source_embedding = Some(source);
    let limit = transformer::text::TokenLimit::new(24, transformer::text::Overlong::Refuse);
    Translator::new(Model::Transformer(model), tokenizers, limit).unwrap()
}

fn strategies() -> [Strategy; 3] {
    [Greedy.into(), Sampling::new(1).with_samples(2).into(), Beam::new(3).into()]
}

type Translate = dyn Fn(&str) -> Result<String> + Send + Sync;

#[test]
fn a_sentence_that_cannot_be_translated_is_named_and_keeps_no_other_from_it() {
    let broken = with_a_broken_token("dorme");
    let sentences = ["o gato", "dorme o cão", "a menina"];
    let whole = ["o gato", "a menina"];
    for strategy in strategies() {
        let error = broken.translate(&sentences, &strategy).unwrap_err();
        assert!(matches!(error, Error::Untranslated { .. }), "{error}");
        assert!(error.to_string().contains("sentence 2"), "{error}");
        let each = broken.translate_each(&sentences, &strategy).unwrap();
        assert_eq!(each.len(), 3);
        let told: Vec<bool> = each.iter().map(Result::is_ok).collect();
        assert_eq!(told, [true, false, true]);
        let alone = broken.translate(&whole, &strategy).unwrap();
        let others: Vec<String> = each.into_iter().flatten().map(|found| found.text).collect();
        assert_eq!(others, alone.iter().map(|found| found.text.clone()).collect::<Vec<_>>());
        let found = broken.n_best(&whole, &strategy, &broken.limits()).unwrap();
        assert!(found.iter().all(|found| !found.is_empty()));
    }
    assert!(broken.stream("dorme").unwrap().next().is_none());
}

#[test]
fn one_long_sentence_does_not_refuse_a_batch() {
    let translator = translator();
    let long = "o gato ".repeat(200);
    let mut sentences = vec!["o gato dorme"; 20];
    sentences[7] = &long;
    let each = translator.translate_each(&sentences, &Beam::new(2)).unwrap();
    assert_eq!(each.iter().filter(|found| found.is_ok()).count(), 19);
    let error = each.into_iter().nth(7).unwrap().unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    assert!(error.to_string().contains("sentence 8"), "{error}");
    assert!(translator.translate(&sentences, &Greedy).is_err());

    let cutting = translator.clone().with_overlong(transformer::text::Overlong::Truncate);
    let found = cutting.translate(&sentences, &Greedy).unwrap();
    let whole = translator.tokenizers().source().encode(&long).unwrap().len() + 1;
    assert_eq!(found[7].truncated_tokens, whole - 24);
    assert_eq!(found[7].source_tokens.len(), 24);
    assert!(found.iter().enumerate().all(|(at, one)| at == 7 || one.truncated_tokens == 0));
}

#[test]
fn nothing_is_translated_as_nothing() {
    let translator = translator();
    for strategy in strategies() {
        let found = translator.translate(&["", " \t\u{3000}\n", "o gato", ""], &strategy).unwrap();
        assert_eq!(found.len(), 4);
        for empty in [0, 1, 3] {
            assert_eq!(found[empty].text, "");
            assert!(found[empty].hypothesis.is_finished);
        }
        assert_eq!(found[2], translator.translate(&["o gato"], &strategy).unwrap()[0]);
    }
    assert!(translator.stream(" ").unwrap().next().is_none());
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_asked_for() {
    let translator = translator();
    for size in [0, 1025, 99_999_999_999_999, usize::MAX] {
        let beam = Beam::new(size);
        let error = translator.translate(&["o gato"], &beam).unwrap_err().to_string();
        assert!(error.contains("`beam size`"), "{error}");
        let drawn = Sampling::new(1).with_samples(size);
        let error = translator.translate(&["o gato"], &drawn).unwrap_err().to_string();
        assert!(error.contains("`samples`"), "{error}");
    }
    for (field, limits) in [
        ("max_length", translator.limits().with_max_length(usize::MAX)),
        ("min_length", translator.limits().with_min_length(usize::MAX)),
        ("max_ratio", translator.limits().with_max_ratio(Some(f64::NAN))),
        ("repetition_penalty", translator.limits().with_repetition_penalty(0.0)),
        ("repetition_penalty", translator.limits().with_repetition_penalty(f64::INFINITY)),
        ("no_repeat_ngram", translator.limits().with_no_repeat_ngram(Some(0))),
        ("prefix", translator.limits().with_prefix(vec![u32::MAX])),
        ("prefix", translator.limits().with_prefix(vec![2])),
        ("prefix", translator.limits().with_prefix(vec![5; 1000])),
        ("prefix", translator.limits().with_first_token(Some(0))),
    ] {
        for strategy in strategies() {
            let error = translator.n_best(&["o gato"], &strategy, &limits).unwrap_err();
            assert!(error.to_string().contains(&format!("`{field}`")), "{field}: {error}");
        }
    }
    // As large as can be, and without an end.
    let far = translator.limits().with_max_ratio(Some(f64::INFINITY)).with_max_length(30);
    let wide = Beam::new(1024).with_n_best(5);
    assert_eq!(translator.n_best(&["o gato"], &wide, &far).unwrap()[0].len(), 5);
}

#[test]
fn repeats_are_kept_out_and_prefixes_kept_in() {
    let translator = translator();
    let sentences = ["o gato vê o cão", "a menina alta dorme", "os meninos comem a maçã"];
    let target = translator.tokenizers().target();
    let prefix = target.encode("The big").unwrap();
    for strategy in strategies() {
        let limits = translator.limits().with_min_length(20).with_max_length(22);
        let limits = LengthLimits { max_ratio: None, ..limits };
        let free = translator.n_best(&sentences, &strategy, &limits).unwrap();
        let repeats = |found: &[Vec<Translation>], n: usize| {
            found.iter().flatten().any(|one| {
                let mut grams: Vec<&[u32]> = one.hypothesis.ids.windows(n).collect();
                let all = grams.len();
                grams.sort_unstable();
                grams.dedup();
                grams.len() < all
            })
        };
        assert!(repeats(&free, 1) && repeats(&free, 2));
        for n in [1, 2] {
            let limits = limits.clone().with_no_repeat_ngram(Some(n));
            let found = translator.n_best(&sentences, &strategy, &limits).unwrap();
            assert!(!repeats(&found, n), "{strategy:?} {n}");
        }
        let begun = translator.limits().with_prefix(prefix.clone());
        for found in translator.n_best(&sentences, &strategy, &begun).unwrap() {
            assert!(found[0].text.starts_with("The big"), "{}", found[0].text);
            assert!(
                found[0].hypothesis.ids.len() > prefix.len() || !found[0].hypothesis.is_finished
            );
        }
        let first = translator.limits().with_first_token(Some(prefix[0]));
        for found in translator.n_best(&sentences, &strategy, &first).unwrap() {
            assert_eq!(found[0].hypothesis.ids[0], prefix[0]);
        }
        let ended = translator.limits().with_max_length(4).with_end_at_limit(true);
        for found in translator.n_best(&sentences, &strategy, &ended).unwrap() {
            assert!(found.iter().all(|one| one.hypothesis.is_finished));
            assert!(found.iter().all(|one| one.hypothesis.ids.len() <= 3));
        }
    }
}

#[test]
fn settings_come_from_text() {
    let read = |value: serde_json::Value| serde_json::from_value::<Strategy>(value);
    assert_eq!(read(json!({"strategy": "greedy"})).unwrap(), Greedy.into());
    let beam = json!({"strategy": "beam", "size": 5, "length_penalty": {"power": 0.9}});
    let beam = read(beam).unwrap();
    let expected = Beam::new(5).with_length_penalty(LengthPenalty::Power(0.9));
    assert_eq!(beam, expected.into());
    assert!(read(json!({"strategy": "beam", "sise": 5})).is_err());
    assert!(read(json!({"strategy": "best"})).is_err());
    assert!(read(json!({"strategy": "beam", "size": -1})).is_err());
    for strategy in strategies() {
        let text = serde_json::to_string(&strategy).unwrap();
        assert_eq!(serde_json::from_str::<Strategy>(&text).unwrap(), strategy);
    }
    let limits = translator()
        .limits()
        .with_prefix(vec![7, 9])
        .with_no_repeat_ngram(Some(3))
        .with_repetition_penalty(1.2);
    let text = serde_json::to_string(&limits).unwrap();
    assert_eq!(serde_json::from_str::<LengthLimits>(&text).unwrap(), limits);
    let few: LengthLimits = serde_json::from_value(json!({"max_length": 9})).unwrap();
    assert_eq!(few, LengthLimits::default().with_max_length(9));

    // Chosen at run time, of any kind.
    let boxed: Box<Translate> = {
        let translator = translator().clone();
        Box::new(move |text| translator.translate_text(text, &beam))
    };
    assert_eq!(boxed("").unwrap(), "");
    assert_eq!(named::beam(), Beam::new(2));
}

#[test]
fn what_is_set_is_saved() {
    let limits = translator().limits().with_no_repeat_ngram(Some(2));
    let set = translator().clone().with_limits(limits.clone()).with_strategy(Greedy);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("set");
    set.save(&folder).unwrap();
    let loaded = Translator::load(&folder, &device()).unwrap();
    assert_eq!((loaded.limits(), loaded.strategy()), (limits, &Greedy.into()));
}

#[test]
fn a_text_keeps_its_lines_and_loses_no_sentence() {
    let translator = translator();
    let beam = Beam::new(2);
    let one = |text: &str| translator.translate(&[text], &beam).unwrap()[0].text.clone();
    let (cat, girl) = (one("O gato dorme."), one("A menina vê o cão."));
    let text = "  O gato dorme.  A menina vê o cão.\r\n\r\n\tA menina vê o cão.\nO gato dorme.";
    let found = translator.translate_text(text, &beam).unwrap();
    assert_eq!(found, format!("  {cat}  {girl}\r\n\r\n\t{girl}\n{cat}"));
    assert_eq!(translator.translate_text(" \n\n", &beam).unwrap(), " \n\n");
    let broken = with_a_broken_token("dorme");
    let error = broken.translate_text("O cão.\nO gato dorme.", &Greedy).unwrap_err();
    assert!(error.to_string().contains("sentence 2"), "{error}");
}
