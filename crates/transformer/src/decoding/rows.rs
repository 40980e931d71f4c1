//! Decoding in which each row goes its own way: greedy, or by chance.

use super::length_limits::LengthLimits;
use super::scores::Scores;
use super::strategy::{Hypothesis, among_workers};
use crate::encoder_decoder::{DecoderState as _, Decoding, EncoderDecoder, Padded};

/// Rows are dropped when at least one in this many has ended.
const DROP_ONE_IN: usize = 8;

/// Which row of which sentence is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Among the rows of the last step.
    pub(super) row: usize,
    /// Among the source rows.
    pub(super) sentence: usize,
    /// Among the rows of the sentence.
    pub(super) sample: usize,
}

/// Decodes `samples` rows a sentence, each with what `choose` takes of the scores.
pub(super) fn decode<M: EncoderDecoder>(
    model: &M,
    source: &Padded,
    limits: &LengthLimits,
    samples: usize,
    choose: impl FnMut(&Scores, Place) -> u32 + Send,
) -> Vec<Vec<Hypothesis>> {
    among_workers(|| decode_here(model, source, limits, samples, choose))
}

fn decode_here<M: EncoderDecoder>(
    model: &M,
    source: &Padded,
    limits: &LengthLimits,
    samples: usize,
    mut choose: impl FnMut(&Scores, Place) -> u32,
) -> Vec<Vec<Hypothesis>> {
    let most: Vec<usize> = source.lengths.iter().map(|&length| limits.most(length)).collect();
    let steps = most.iter().copied().max().unwrap_or(0);
    let mut found: Vec<Vec<Growing>> =
        most.iter().map(|_| vec![Growing::default(); samples]).collect();
    // The sentences still decoded, in the order of their rows.
    let mut live: Vec<usize> = (0..most.len()).collect();
    let decoding = Decoding { steps, beams: samples, attention: limits.attention };
    if live.is_empty() {
        return Vec::new();
    }
    let mut state = model.start(source, decoding);
    let mut tokens = vec![limits.special.bos; live.len() * samples];
    for written in 0..steps {
        let scores = Scores::read(model.step(&tokens, &mut state), limits, written);
        tokens.clear();
        for (at, &sentence) in live.iter().enumerate() {
            for (sample, hypothesis) in found[sentence].iter_mut().enumerate() {
                let row = at * samples + sample;
                if !hypothesis.is_over {
                    let id = choose(&scores, Place { row, sentence, sample });
                    hypothesis.log_probability += scores.log_p(row, id);
                    if let Some(weights) = scores.attention(row, source.lengths[sentence]) {
                        hypothesis.attention.push(weights);
                    }
                    hypothesis.is_finished = id == limits.special.eos;
                    if !hypothesis.is_finished {
                        hypothesis.ids.push(id);
                    }
                    hypothesis.is_over =
                        hypothesis.is_finished || hypothesis.ids.len() == most[sentence];
                }
                tokens.push(hypothesis.ids.last().copied().unwrap_or(limits.special.bos));
            }
        }
        let goes_on = |sentence: usize| found[sentence].iter().any(|growing| !growing.is_over);
        let kept: Vec<usize> = (0..live.len()).filter(|&at| goes_on(live[at])).collect();
        if kept.is_empty() {
            break;
        }
        if (live.len() - kept.len()) * DROP_ONE_IN >= live.len() {
            let rows: Vec<usize> = kept
                .iter()
                .flat_map(|&at| (0..samples).map(move |sample| at * samples + sample))
                .collect();
            state.select(&rows);
            tokens = rows.iter().map(|&row| tokens[row]).collect();
            live = kept.iter().map(|&at| live[at]).collect();
        }
    }
    let ended = |growing: Growing| Hypothesis {
        ids: growing.ids,
        score: growing.log_probability,
        log_probability: growing.log_probability,
        is_finished: growing.is_finished,
        attention: (!growing.attention.is_empty()).then_some(growing.attention),
    };
    found.into_iter().map(|samples| samples.into_iter().map(ended).collect()).collect()
}

/// A sentence that is being written.
#[derive(Debug, Clone, Default)]
struct Growing {
    ids: Vec<u32>,
    log_probability: f64,
    attention: Vec<Vec<f32>>,
    is_finished: bool,
    is_over: bool,
}
