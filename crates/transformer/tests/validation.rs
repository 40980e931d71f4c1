//! By what weights are kept, and what translations are measured against.

mod small;

use std::fs;

use model_utils::data::SentencePairs;
use model_utils::train::{Budget, History, Silent, StopReason};
use transformer::decoding::Greedy;
use transformer::metrics::Metric as _;
use transformer::text::SpecialNames;
use transformer::{
    KeepBy, Schedule, Splits, Tokenizer, TrainingConfig, TransformerConfig, Translator,
    TranslatorConfig,
};

use small::{alone, device, splits};

fn config() -> TranslatorConfig {
    let training = TrainingConfig::new().with_batch_tokens(200).with_valid_sentences(5);
    small::config(TransformerConfig::new(0, 0).dropout).with_training(training)
}

#[test]
fn weights_are_kept_by_what_is_asked_for() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    for name in ["bleu:char", "chrf", "chrf++", "ter", "loss"] {
        let keep_by: KeepBy = name.parse().unwrap();
        let mut config = config();
        config.training = config
            .training
            .with_keep_by(keep_by)
            .with_schedule(Schedule::Constant { rate: 1e-2, warm_up: 5 })
            .with_valid_every(10);
        let mut trainer = config.trainer(&splits, &device).unwrap();
        let mut history = History::default();
        let best = trainer.train(Budget::steps(60), &mut history).unwrap().best.unwrap();
        let points = |name: &str| history.curve(name).unwrap().points.clone();
        let scores = points(&format!("valid_{}", keep_by.key()));
        assert_eq!((scores.len(), points("valid_bleu").len()), (6, 6), "{name}");
        let is_better = |score: f64, than: f64| match keep_by {
            KeepBy::Metric(metric) => metric.is_better(score, than),
            KeepBy::Perplexity => score < than,
        };
        assert!(scores.iter().all(|(_, score)| !is_better(*score, best.score)), "{name}");
        assert!(scores.contains(&(best.step, best.score)) || keep_by.metric().is_none());
        assert!(scores.iter().any(|(_, score)| is_better(best.score, *score)), "{name}");
    }
}

/// With every sentence one word there is never a run of two: BLEU is 0 for any weights.
#[test]
fn weights_that_score_alike_are_kept_by_perplexity() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let unsegmented = |pairs: &SentencePairs| -> SentencePairs {
        let mut pairs = pairs.pairs().to_vec();
        for pair in &mut pairs {
            pair.target = pair.target.replace(' ', "");
        }
        pairs.into_iter().collect()
    };
    let [train, valid, test] = [&splits.train, &splits.valid, &splits.test].map(unsegmented);
    let splits = Splits { train, valid, test };
    let mut config = config();
    config.training = config
        .training
        .with_keep_by("bleu:none".parse().unwrap())
        .with_schedule(Schedule::Constant { rate: 3e-3, warm_up: 5 })
        .with_valid_every(5)
        .with_patience(Some(1));
    let mut trainer = config.trainer(&splits, &device).unwrap();
    let mut history = History::default();
    let trained = trainer.train(Budget::steps(40), &mut history).unwrap();
    let points = |name: &str| history.curve(name).unwrap().points.clone();
    assert!(points("valid_bleu_none").iter().all(|(_, score)| *score < 1e-12));
    // Patience sees that it still learns.
    let perplexities = points("valid_perplexity");
    assert!(perplexities.windows(2).all(|two| two[1].1 < two[0].1), "{perplexities:?}");
    assert_eq!((trained.steps, trained.reason), (40, StopReason::BudgetSpent));
    let best = trained.best.unwrap();
    assert_eq!((best.step, best.perplexity), perplexities[perplexities.len() - 1]);
}

/// The same letters, each mark by itself.
fn decomposed(text: &str) -> String {
    [("ã", "a\u{303}"), ("õ", "o\u{303}"), ("á", "a\u{301}"), ("é", "e\u{301}"), ("ê", "e\u{302}")]
        .into_iter()
        .chain([("í", "i\u{301}"), ("ó", "o\u{301}"), ("ç", "c\u{327}"), ("à", "a\u{300}")])
        .fold(text.to_owned(), |text, (whole, parts)| text.replace(whole, parts))
}

#[test]
fn references_go_through_the_normaliser_of_the_model() {
    let _alone = alone();
    let (splits, device) = (splits(), device());
    let turned = |pairs: &SentencePairs| -> SentencePairs {
        let mut pairs = pairs.pairs().to_vec();
        for pair in &mut pairs {
            std::mem::swap(&mut pair.source, &mut pair.target);
        }
        pairs.into_iter().collect()
    };
    // The same text as a careless writer has it.
    let careless =
        |text: &str| format!("  {}", decomposed(text).to_uppercase().replace(' ', " \t"));
    let [train, valid, test] = [&splits.train, &splits.valid, &splits.test].map(turned);
    let tidy = Splits { train, valid, test };
    let mut untidy = tidy.clone();
    let mut pairs = tidy.valid.pairs().to_vec();
    for pair in &mut pairs {
        pair.target = careless(&pair.target);
    }
    untidy.valid = pairs.into_iter().collect();

    let mut config = TranslatorConfig::tiny(200);
    config.tokenizer = config.tokenizer.with_lowercase(true);
    let train = |splits: &Splits| {
        let mut trainer = config.trainer(splits, &device).unwrap();
        let best = trainer.train(config.budget, &mut Silent).unwrap().best.unwrap();
        (best, Translator::from_trainer(trainer).unwrap())
    };
    let (best, translator) = train(&tidy);
    assert!(best.bleu > 1.0, "{best:?}");
    assert_eq!(train(&untidy).0, best);

    // What it says itself, written carelessly, is what it says.
    let mut pairs = tidy.test.pairs().to_vec();
    let sources: Vec<String> = pairs.iter().map(|pair| pair.source.clone()).collect();
    let said = translator.translate(&sources, &Greedy).unwrap();
    for (pair, said) in pairs.iter_mut().zip(&said) {
        pair.target = careless(&said.text);
    }
    assert!(pairs.iter().any(|pair| pair.target != decomposed(&pair.target.to_lowercase())));
    let pairs: SentencePairs = pairs.into_iter().collect();
    let found = translator.evaluate(&pairs, &Greedy).unwrap();
    assert_eq!(found.references, found.translations);
    let scores = [found.exact_match * 100.0, found.bleu.score, found.chrf, 100.0 - found.ter];
    assert!(scores.iter().all(|score| (score - 100.0).abs() < 1e-9), "{scores:?}");
}

/// Marks that a foreign normaliser puts for spaces are no text.
#[test]
fn a_foreign_normaliser_leaves_text() {
    let tokenizer = config().tokenizers(&splits()).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(tokenizer.target().content()).unwrap();
    json["normalizer"] = serde_json::json!({ "type": "Sequence", "normalizers": [
        { "type": "NFKC" },
        { "type": "Lowercase" },
        { "type": "Prepend", "prepend": "▁" },
        { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
    ] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let load = |json: &serde_json::Value| {
        fs::write(&path, json.to_string()).unwrap();
        Tokenizer::load_named(&path, SpecialNames::default()).unwrap()
    };
    assert_eq!(load(&json).normalize("Ａ Dog ①").unwrap(), "a dog 1");
    json["normalizer"] = serde_json::Value::Null;
    assert_eq!(load(&json).normalize(" Ａ  Dog").unwrap(), " Ａ  Dog");
}
