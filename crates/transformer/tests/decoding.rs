//! Cached steps, and what the strategies find.
#![cfg(feature = "flex")]
#![allow(missing_docs, clippy::needless_range_loop)]

use std::sync::{Mutex, PoisonError};

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::device::seed;
use transformer::recurrent::{AttentionKind, Cell};
use transformer::{
    Beam, DecoderState, Decoding, DecodingStrategy, EncoderDecoder, Greedy, Hypothesis,
    LengthLimits, LengthPenalty, NormOrder, Padded, Positions, RecurrentConfig, Sampling,
    SpecialTokens, Transformer, TransformerConfig, Tying,
};

fn device() -> Device {
    Device::flex()
}

/// Weights are drawn from one generator a process, when they are first looked at: models take turns.
static DRAWING: Mutex<()> = Mutex::new(());

/// Of `init`, with weights that follow from the seed.
fn drawn<M: EncoderDecoder>(init: impl FnOnce() -> M) -> M {
    let _turn = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    seed(&device(), 7);
    let model = init();
    model.logits(&padded(&[vec![4]]), &padded(&[vec![1]]));
    model
}

/// A model with weights large enough that its sentences differ and end.
fn model(
    vocabulary: usize,
    config: impl Fn(TransformerConfig) -> TransformerConfig,
) -> Transformer {
    let config = config(
        TransformerConfig::new(vocabulary, vocabulary)
            .with_d_model(16)
            .with_heads(4)
            .with_encoder_layers(2)
            .with_decoder_layers(2)
            .with_d_ff(32)
            .with_tying(Tying::None),
    );
    let mut model = drawn(|| config.init(&device()).unwrap());
    if let Some(projection) = &mut model.projection {
        let bias: Vec<f32> = (0..vocabulary).map(|id| if id == 2 { 1.5 } else { 0.0 }).collect();
        projection.bias = Some(Param::from_data(TensorData::new(bias, [vocabulary]), &device()));
    }
    model
}

fn sentences(vocabulary: u32) -> Vec<Vec<u32>> {
    let lengths = [5, 1, 9, 3, 7, 2];
    lengths
        .iter()
        .enumerate()
        .map(|(row, &length)| {
            (0..length).map(|t| 4 + (row as u32 * 7 + t * t * 3 + t) % (vocabulary - 4)).collect()
        })
        .collect()
}

fn padded(rows: &[Vec<u32>]) -> Padded {
    Padded::new(rows, 0, &device())
}

fn limits() -> LengthLimits {
    LengthLimits::new(SpecialTokens::default()).with_max_length(12).with_max_ratio(None)
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

fn assert_near(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours - theirs).abs() <= tolerance, "{at}: {ours} for {theirs}");
    }
}

/// Steps through teacher-forced targets with three beams a sentence, whose rows are moved about,
/// and drops a sentence on the way.
fn assert_cached_is_uncached<M: EncoderDecoder>(model: &M) {
    let rows = sentences(30);
    let source = padded(&rows[..3]);
    let targets: Vec<Vec<u32>> = (0..9_u32)
        .map(|row| {
            let later = (0..40).map(|t| 4 + (row * 5 + t * 11) % 26);
            std::iter::once(1).chain(later).collect()
        })
        .collect();
    let thrice: Vec<Vec<u32>> = rows[..3].iter().flat_map(|row| vec![row.clone(); 3]).collect();
    let expected = model.logits(&padded(&thrice), &padded(&targets));
    let mut state = model.start(&source, Decoding { steps: 41, beams: 3, attention: true });
    // Which target each row of the state now follows.
    let mut followed: Vec<usize> = (0..9).collect();
    for t in 0..41 {
        let tokens: Vec<u32> = followed.iter().map(|&row| targets[row][t]).collect();
        let step = model.step(&tokens, &mut state);
        let logits = numbers(step.logits);
        for (at, &row) in followed.iter().enumerate() {
            let theirs = numbers(expected.clone().slice([row..row + 1, t..t + 1, 0..30]));
            assert_near(&logits[at * 30..][..30], &theirs, 2e-5);
        }
        if let Some(attention) = step.attention {
            let sums = numbers(attention.sum_dim(1));
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{sums:?}");
        }
        let moved: Vec<usize> = match t {
            2 => vec![1, 0, 2, 5, 3, 4, 6, 8, 7],
            20 => vec![2, 2, 0, 6, 7, 8],
            _ => continue,
        };
        state.select(&moved);
        followed = moved.iter().map(|&row| followed[row]).collect();
    }
}

#[test]
fn cached_steps_give_the_logits_of_a_whole_sentence() {
    for positions in
        [Positions::Sinusoidal, Positions::SinusoidalHalves, Positions::Learned, Positions::Rotary]
    {
        for norm in [NormOrder::Pre, NormOrder::Post] {
            let model = model(30, |config| {
                config
                    .with_positions(positions)
                    .with_norm(norm)
                    .with_final_norm(norm == NormOrder::Pre)
                    .with_tying(Tying::All)
                    .with_output_bias(true)
            });
            assert_cached_is_uncached(&model);
        }
    }
}

#[test]
fn recurrent_models_step_as_they_are_trained() {
    for cell in [Cell::Gru, Cell::Lstm] {
        for kind in [AttentionKind::None, AttentionKind::Bahdanau, AttentionKind::Luong] {
            let config = RecurrentConfig::new(30, 30)
                .with_d_embedding(12)
                .with_d_hidden(10)
                .with_layers(2)
                .with_cell(cell)
                .with_attention(kind);
            let model = drawn(|| config.init(&device()).unwrap());
            assert_cached_is_uncached(&model);
            assert_batch_is_single(&Greedy, &model);
            let beam = Beam::new(3).with_n_best(2);
            assert_batch_is_single(&beam, &model);
            let asked = limits().with_attention(true);
            let found = Greedy.decode(&model, &padded(&sentences(30)), &asked).unwrap();
            let attends = found.iter().flatten().all(|found| found.attention.is_some());
            assert_eq!(attends, kind != AttentionKind::None);
        }
    }
    let config = || RecurrentConfig::new(10, 12);
    for (field, config) in [
        ("d_hidden", config().with_d_hidden(0)),
        ("dropout", config().with_dropout(-0.1)),
        ("source_vocabulary", config().with_shared(true)),
    ] {
        let error = config.init(&device()).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{error}");
    }
}

#[test]
fn what_comes_later_changes_nothing_before() {
    let model = model(30, |config| config);
    let source = padded(&sentences(30)[..1]);
    let logits = |target: &[u32]| {
        let logits = model.logits(&source, &padded(&[target.to_vec()]));
        numbers(logits.slice([0..1, 0..3, 0..30]))
    };
    assert_near(&logits(&[1, 8, 9, 10, 11]), &logits(&[1, 8, 9, 20, 5]), 1e-6);
}

#[test]
fn padding_changes_nothing() {
    let model = model(30, |config| config);
    let rows = sentences(30);
    let targets: Vec<Vec<u32>> = vec![vec![1, 5, 6], vec![1, 9], vec![1, 7, 8, 9, 10]];
    let together = model.logits(&padded(&rows[..3]), &padded(&targets));
    for row in 0..3 {
        let alone = model.logits(&padded(&rows[row..=row]), &padded(&targets[row..=row]));
        let ours = numbers(alone);
        let theirs = together.clone().slice([row..row + 1, 0..targets[row].len(), 0..30]);
        assert_near(&ours, &numbers(theirs), 1e-5);
    }
}

fn assert_same(ours: &[Vec<Hypothesis>], theirs: &[Vec<Hypothesis>]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        assert_eq!(ours.ids, theirs.ids);
        assert_eq!(ours.is_finished, theirs.is_finished);
        assert!((ours.score - theirs.score).abs() < 1e-5, "{ours:?} {theirs:?}");
    }
}

/// Together in the batch, and each alone.
fn assert_batch_is_single(
    strategy: &impl DecodingStrategy,
    model: &impl EncoderDecoder,
) -> Vec<Vec<Hypothesis>> {
    let rows = sentences(30);
    let together = strategy.decode(model, &padded(&rows), &limits()).unwrap();
    let alone: Vec<Vec<Hypothesis>> = rows
        .iter()
        .flat_map(|row| {
            strategy.decode(model, &padded(std::slice::from_ref(row)), &limits()).unwrap()
        })
        .collect();
    assert_same(&together, &alone);
    together
}

#[test]
fn a_sentence_is_translated_alike_in_a_batch_and_alone() {
    let model = model(30, |config| config);
    let greedy = assert_batch_is_single(&Greedy, &model);
    let lengths: Vec<usize> = greedy.iter().map(|found| found[0].ids.len()).collect();
    assert!(lengths.iter().any(|&length| length != lengths[0]), "{lengths:?}");
    let beams = assert_batch_is_single(&Beam::new(4).with_n_best(3), &model);
    assert!(beams.iter().all(|found| found.len() == 3));
    assert!(beams.iter().flatten().any(|hypothesis| hypothesis.is_finished));
    assert_batch_is_single(&Beam::new(3).with_coverage(0.4), &model);
    let drawn = Sampling::new(3).with_samples(2).with_top_k(20).with_temperature(1.5);
    let drawn = assert_batch_is_single(&drawn, &model);
    assert!(drawn.iter().any(|found| found[0].ids != found[1].ids));
    let other = Sampling::new(4).decode(&model, &padded(&sentences(30)), &limits()).unwrap();
    assert!(other.iter().zip(&drawn).any(|(a, b)| a[0].ids != b[0].ids));
}

#[test]
fn a_beam_of_one_is_greedy() {
    let model = model(30, |config| config);
    let source = padded(&sentences(30));
    let plain = Beam::new(1).with_length_penalty(LengthPenalty::None);
    let beam = plain.decode(&model, &source, &limits()).unwrap();
    assert_same(&beam, &Greedy.decode(&model, &source, &limits()).unwrap());
}

#[test]
fn a_stream_gives_the_greedy_tokens() {
    let model = model(30, |config| config);
    for row in sentences(30) {
        let source = padded(&[row]);
        let streamed: Vec<u32> = Greedy.stream(&model, &source, &limits()).unwrap().collect();
        assert_eq!(streamed, Greedy.decode(&model, &source, &limits()).unwrap()[0][0].ids);
    }
    let two = padded(&sentences(30)[..2]);
    assert!(Greedy.stream(&model, &two, &limits()).is_err());
}

/// Every sentence of at most `most` tokens, with its log-probability by teacher forcing.
fn all_sentences(model: &Transformer, source: &Padded, most: usize) -> Vec<(Vec<u32>, f64)> {
    let mut all = Vec::new();
    let mut open = vec![(Vec::<u32>::new(), 0.0)];
    for written in 0..=most {
        let mut longer = Vec::new();
        for (ids, log_p) in open {
            let target: Vec<u32> = std::iter::once(1).chain(ids.iter().copied()).collect();
            let logits = model.logits(source, &padded(&[target]));
            let log_ps = burn::tensor::activation::log_softmax(logits, 2);
            let vocabulary = log_ps.dims()[2];
            let last = numbers(log_ps.narrow(1, ids.len(), 1));
            for id in 0..vocabulary as u32 {
                let log_p = log_p + f64::from(last[id as usize]);
                match id {
                    2 => all.push((ids.clone(), log_p)),
                    4.. if written < most => {
                        longer.push(([ids.as_slice(), &[id]].concat(), log_p));
                    }
                    _ => {}
                }
            }
        }
        open = longer;
    }
    all
}

#[test]
fn a_wide_beam_finds_the_best_of_all_sentences() {
    let model = model(7, |config| config);
    let source = padded(&[vec![4, 6, 5, 2]]);
    // Three tokens that say something, in sentences of up to four: 3⁵ beams hold them all, and one
    // length more than is asked for lets the longest end.
    for penalty in [LengthPenalty::None, LengthPenalty::Power(1.0), LengthPenalty::Wu(0.6)] {
        let mut expected: Vec<(Vec<u32>, f64)> = all_sentences(&model, &source, 4)
            .into_iter()
            .map(|(ids, log_p)| {
                let score = log_p / penalty.divisor(ids.len() + 1);
                (ids, score)
            })
            .collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        let beam = Beam::new(243).with_n_best(40).with_length_penalty(penalty);
        let found = beam.decode(&model, &source, &limits().with_max_length(5)).unwrap();
        let short = found[0].iter().filter(|found| found.is_finished && found.ids.len() <= 4);
        for (ours, (ids, score)) in short.take(10).zip(expected) {
            assert_eq!(ours.ids, ids);
            assert!((ours.score - score).abs() < 1e-5, "{ours:?} {score}");
        }
    }
}

#[test]
fn lengths_are_kept_to() {
    let model = model(30, |config| config);
    let source = padded(&sentences(30));
    let bounded = limits().with_min_length(4).with_max_length(6);
    for found in [
        Greedy.decode(&model, &source, &bounded).unwrap(),
        Beam::new(3).decode(&model, &source, &bounded).unwrap(),
        Sampling::new(1).decode(&model, &source, &bounded).unwrap(),
    ] {
        for hypothesis in found.iter().flatten() {
            assert!((4..=6).contains(&hypothesis.ids.len()), "{hypothesis:?}");
            assert!(hypothesis.is_finished || hypothesis.ids.len() == 6);
            assert!(hypothesis.ids.iter().all(|&id| id > 3));
        }
    }
    let by_ratio = LengthLimits::new(SpecialTokens::default()).with_max_ratio(Some(0.5));
    let found = Greedy.decode(&model, &source, &by_ratio).unwrap();
    for (found, row) in found.iter().zip(sentences(30)) {
        assert!(found[0].ids.len() <= row.len() / 2 + 10);
    }
}

#[test]
fn attention_is_over_the_source_of_each_sentence() {
    let model = model(30, |config| config);
    let rows = sentences(30);
    let asked = limits().with_attention(true);
    for found in [
        Greedy.decode(&model, &padded(&rows), &asked).unwrap(),
        Beam::new(3).decode(&model, &padded(&rows), &asked).unwrap(),
    ] {
        for (hypothesis, row) in found.iter().flatten().zip(&rows) {
            let attention = hypothesis.attention.as_ref().unwrap();
            assert_eq!(attention.len(), hypothesis.ids.len() + usize::from(hypothesis.is_finished));
            for weights in attention {
                assert_eq!(weights.len(), row.len());
                assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
            let alignment = hypothesis.alignment().unwrap();
            assert_eq!(alignment.len(), hypothesis.ids.len());
        }
    }
    let without = Beam::new(3).with_coverage(1.0).decode(&model, &padded(&rows), &limits());
    assert!(without.unwrap().iter().flatten().all(|hypothesis| hypothesis.attention.is_none()));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let model = model(30, |config| config.with_positions(Positions::Learned).with_max_length(20));
    let source = padded(&sentences(30));
    let refused = |field: &str, error: transformer::Error| {
        assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
    };
    let check = |field: &str,
                 decode: &dyn Fn(&LengthLimits) -> transformer::Result<()>,
                 limits: &LengthLimits| {
        refused(field, decode(limits).unwrap_err());
    };
    let of_beam = |beam: Beam| {
        let (model, source) = (&model, &source);
        move |limits: &LengthLimits| beam.decode(model, source, limits).map(drop)
    };
    let of_sampling = |sampling: Sampling| {
        let (model, source) = (&model, &source);
        move |limits: &LengthLimits| sampling.decode(model, source, limits).map(drop)
    };
    check("beam size", &of_beam(Beam::new(0)), &limits());
    check("n_best", &of_beam(Beam::new(2).with_n_best(3)), &limits());
    check("coverage", &of_beam(Beam::new(2).with_coverage(-1.0)), &limits());
    check("temperature", &of_sampling(Sampling::new(1).with_temperature(0.0)), &limits());
    check("top_k", &of_sampling(Sampling::new(1).with_top_k(0)), &limits());
    check("top_p", &of_sampling(Sampling::new(1).with_top_p(1.5)), &limits());
    check("samples", &of_sampling(Sampling::new(1).with_samples(0)), &limits());
    check("max_length", &of_beam(Beam::new(2)), &limits().with_max_length(0));
    check("min_length", &of_beam(Beam::new(2)), &limits().with_min_length(99));
    check("max_ratio", &of_beam(Beam::new(2)), &limits().with_max_ratio(Some(-1.0)));
    check("length", &of_beam(Beam::new(2)), &limits().with_max_length(21));
}

#[test]
fn models_that_cannot_work_are_named() {
    let config = || TransformerConfig::tiny(10, 12);
    for (field, config) in [
        ("heads", config().with_heads(3)),
        ("heads", config().with_heads(0)),
        ("d_model", config().with_d_model(7).with_heads(7)),
        ("heads", config().with_d_model(6).with_heads(6).with_positions(Positions::Rotary)),
        ("dropout", config().with_dropout(1.0)),
        ("norm_epsilon", config().with_norm_epsilon(0.0)),
        ("source_vocabulary", config().with_tying(Tying::All)),
        ("decoder_layers", config().with_decoder_layers(0)),
    ] {
        let error = config.init(&device()).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{error}");
    }
}
