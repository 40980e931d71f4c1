//! A training step and a greedy decoding of a small Transformer.

use burn::tensor::TensorData;
use model_utils::compare::{Output, Size, Step, Workload};
use model_utils::ops;
use transformer::{
    DecodingStrategy as _, EncoderDecoder as _, Greedy, LengthLimits, Padded, SpecialTokens,
    TransformerConfig,
};

use super::shared::{training_step, with_weights};

const VOCABULARY: usize = 500;
const TIME: usize = 16;

fn config() -> TransformerConfig {
    TransformerConfig::tiny(VOCABULARY, VOCABULARY).with_dropout(0.0)
}

fn sentences(batch: usize, device: &burn::tensor::Device) -> Padded {
    let id = |row: usize, t: usize| 4 + ((row * 131 + t * 97) % (VOCABULARY - 4)) as u32;
    let length = |row: usize| TIME - row % 5;
    let rows: Vec<Vec<u32>> =
        (0..batch).map(|row| (0..length(row)).map(|t| id(row, t)).collect()).collect();
    Padded::new(&rows, 0, device)
}

/// Forward and backward.
pub(super) fn training(seed: u64) -> Workload {
    Workload::new("translation", move |device, size| {
        let device = device.clone().autodiff();
        let model = with_weights(config().init(&device)?, seed)?;
        let text = sentences(size.value as usize, &device);
        training_step(model, move |model| {
            let logits = model.logits(&text, &text).flatten(0, 1);
            ops::cross_entropy_ignoring(logits, text.ids.clone().flatten(0, 1), 0, 0.1)
        })
    })
    .title("Transformer (d 64, 2+2 layers), forward and backward on 16 tokens a sentence")
    .size_unit("batch size")
    .items_unit("sentences")
    .tolerance(1e-3)
    .size(Size::new("small", 4.0, 4.0))
    .size(Size::new("medium", 16.0, 16.0))
    .size(Size::new("large", 64.0, 64.0))
}

/// Sixteen tokens a sentence; the outputs are their log-probabilities.
pub(super) fn decoding(seed: u64) -> Workload {
    Workload::new("decoding", move |device, size| {
        let model = with_weights(config().init(device)?, seed)?;
        let source = sentences(size.value as usize, device);
        let limits =
            LengthLimits::new(SpecialTokens::default()).with_min_length(TIME).with_max_length(TIME);
        Ok(Step::new(move || {
            let found = Greedy.decode(&model, &source, &limits)?;
            let scores: Vec<f32> =
                found.iter().flatten().map(|one| one.log_probability as f32).collect();
            let count = scores.len();
            Ok(Output::new(move || Ok(vec![TensorData::new(scores, [count])])))
        }))
    })
    .title("Transformer (d 64, 2+2 layers), greedy decoding of 16 tokens a sentence")
    .size_unit("batch size")
    .items_unit("sentences")
    .tolerance(1e-3)
    .size(Size::new("small", 1.0, 1.0))
    .size(Size::new("medium", 8.0, 8.0))
    .size(Size::new("large", 32.0, 32.0))
}
