//! What trainer and decoding strategies ask of a model: teacher-forced logits, and decoding one token a row.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Right-padded token ids.
#[derive(Debug, Clone)]
pub struct Padded {
    /// `[batch, time]`.
    pub ids: Tensor<2, Int>,
    /// Tokens of each row that are not padding; at least 1.
    pub lengths: Vec<usize>,
}

impl Padded {
    /// Fills the rows up with `pad`. An empty row counts as one `pad`.
    pub fn new(rows: &[Vec<u32>], pad: u32, device: &Device) -> Self {
        let lengths: Vec<usize> = rows.iter().map(|row| row.len().max(1)).collect();
        let time = lengths.iter().copied().max().unwrap_or(1);
        let mut ids = vec![pad as i32; rows.len() * time];
        for (to, row) in ids.chunks_mut(time).zip(rows) {
            for (to, &id) in to.iter_mut().zip(row) {
                *to = id as i32;
            }
        }
        let ids = Tensor::from_data(TensorData::new(ids, [rows.len(), time]), device);
        Self { ids, lengths }
    }

    /// Rows.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Tokens of the longest row.
    pub fn time(&self) -> usize {
        self.ids.dims()[1]
    }
}

/// How a model is to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoding {
    /// Most tokens that will be decoded.
    pub steps: usize,
    /// Rows a sentence.
    pub beams: usize,
    /// Whether the steps give their attention.
    pub attention: bool,
}

/// What one step of decoding gives.
#[derive(Debug, Clone)]
pub struct Step {
    /// `[rows, vocabulary]`.
    pub logits: Tensor<2>,
    /// How much each source token was attended to, `[rows, source_time]`, where it was asked for and
    /// the model attends.
    pub attention: Option<Tensor<2>>,
}

/// What a model carries from one step of decoding to the next.
///
/// Rows come in groups of as many as there are beams, each group of one sentence.
pub trait DecoderState {
    /// Goes on with these rows only, in this order: row `i` becomes what row `rows[i]` was. Whole
    /// groups may be left out; inside a group rows may be repeated, not taken from another group.
    fn select(&mut self, rows: &[usize]);
}

/// An encoder–decoder that the trainer and the decoding strategies work on.
pub trait EncoderDecoder: Module + Sync {
    /// What [`step`](Self::step) carries on: cached keys and values, or a recurrent state.
    type State: DecoderState;

    /// Teacher-forced logits `[batch, target_time, vocabulary]`; each target row starts with the
    /// token of begin, and row `t` of the logits is of the token after `target[t]`.
    fn logits(&self, source: &Padded, target: &Padded) -> Tensor<3>;

    /// Encodes the source and prepares the decoding of `beams` rows a sentence.
    fn start(&self, source: &Padded, decoding: Decoding) -> Self::State;

    /// Takes one token a row and gives the logits of the next.
    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Step;

    /// Ids that the model knows on the source side and on the target side.
    fn vocabularies(&self) -> [usize; 2];

    /// The most tokens that a row may have, where positions end.
    fn max_length(&self) -> Option<usize>;
}

/// Row numbers as a tensor.
pub(crate) fn row_indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// One token a row as the ids that a step reads, `[rows, 1]`.
pub(crate) fn token_column(tokens: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = tokens.iter().map(|&id| id as i32).collect();
    Tensor::from_data(TensorData::new(ids, [tokens.len(), 1]), device)
}

/// The sentences behind the rows that [`DecoderState::select`] keeps; `None` for all `count`.
pub(crate) fn kept_sentences(rows: &[usize], beams: usize, count: usize) -> Option<Vec<usize>> {
    let kept: Vec<usize> = rows.chunks(beams).map(|group| group[0] / beams).collect();
    (!kept.iter().copied().eq(0..count)).then_some(kept)
}
