//! A training step and a greedy decoding of a small Transformer.

use burn::tensor::TensorData;
use model_utils::compare::{Output, Part, Step, Workload};
use model_utils::ops;
use transformer::{
    DecodingStrategy as _, EncoderDecoder as _, Greedy, LengthLimits, Padded, SpecialTokens,
    TransformerConfig,
};

use super::setup::{Fault, Setup, five};

const VOCABULARY: usize = 500;
const TIME: usize = 16;

fn config() -> TransformerConfig {
    TransformerConfig::tiny(VOCABULARY, VOCABULARY).with_dropout(0.0)
}

fn sentences(batch: usize, here: Setup, device: &burn::tensor::Device) -> Padded {
    let id = |row: usize, t: usize| 4 + ((row * 131 + t * 97) % (VOCABULARY - 4)) as u32;
    let length = |row: usize| TIME - row % 5;
    let rows: Vec<Vec<u32>> =
        (0..batch).map(|row| (0..length(row)).map(|t| id(row, t)).collect()).collect();
    let mut text = Padded::new(&rows, 0, device);
    if here.has(Fault::Mask) {
        for length in &mut text.lengths {
            *length -= 1;
        }
    }
    text
}

/// Forward and backward.
pub(super) fn training(setup: Setup) -> Workload {
    let work = Workload::new("translation", move |device, size| {
        let here = setup.on(device);
        let device = device.clone().autodiff();
        let model = here.weights(config().init(&device)?)?;
        let text = sentences(size.value as usize, here, &device);
        here.training_step(model, move |model| {
            let logits = model.logits(&text, &text).flatten(0, 1);
            ops::cross_entropy_ignoring(logits, text.ids.clone().flatten(0, 1), 0, 0.1)
        })
    })
    .title("Transformer (d 64, 2+2 layers), forward and backward on 16 tokens a sentence")
    .size_unit("batch size")
    .items_unit("sentences")
    .training();
    five(work, [2, 4, 16, 64, 128], |batch| batch)
}

/// Sixteen tokens a sentence; the outputs are their log-probabilities.
pub(super) fn decoding(setup: Setup) -> Workload {
    let work = Workload::new("decoding", move |device, size| {
        let here = setup.on(device);
        let model = here.weights(config().init(device)?)?;
        let source = sentences(size.value as usize, here, device);
        let limits =
            LengthLimits::new(SpecialTokens::default()).with_min_length(TIME).with_max_length(TIME);
        Ok(Step::new(move || {
            let found = Greedy.decode(&model, &source, &limits)?;
            let scores: Vec<f32> =
                found.iter().flatten().map(|one| one.log_probability as f32).collect();
            let scores = TensorData::new(scores.clone(), [scores.len()]);
            Ok(Output::new(move || Ok(vec![Part::value("the log-probabilities", scores)])))
        }))
    })
    .title("Transformer (d 64, 2+2 layers), greedy decoding of 16 tokens a sentence")
    .size_unit("batch size")
    .items_unit("sentences");
    five(work, [1, 4, 8, 32, 64], |batch| batch).tolerance(2e-6)
}
