//! Decoding in which each row goes its own way: greedy, or by chance.

use super::length_limits::LengthLimits;
use super::scores::{Rule, Scores, Written};
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

/// Decodes `samples` rows a sentence, each with what `choose` takes of the scores; a row for which it
/// takes nothing leaves no hypothesis.
pub(super) fn decode<M: EncoderDecoder>(
    model: &M,
    source: &Padded,
    limits: &LengthLimits,
    samples: usize,
    choose: impl FnMut(&Scores, Place) -> Option<u32> + Send,
) -> Vec<Vec<Hypothesis>> {
    among_workers(|| decode_here(model, source, limits, samples, choose))
}

fn decode_here<M: EncoderDecoder>(
    model: &M,
    source: &Padded,
    limits: &LengthLimits,
    samples: usize,
    mut choose: impl FnMut(&Scores, Place) -> Option<u32>,
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
    for _ in 0..steps {
        let step = model.step(&tokens, &mut state);
        let scores = Scores::read(step, limits, Rule::OfLogits, |row| {
            let sentence = live[row / samples];
            let growing = &found[sentence][row % samples];
            let written = Written { ids: &growing.ids, most: most[sentence] };
            (!growing.is_over).then_some(written)
        });
        tokens.clear();
        for (at, &sentence) in live.iter().enumerate() {
            for (sample, growing) in found[sentence].iter_mut().enumerate() {
                let row = at * samples + sample;
                if !growing.is_over {
                    let place = Place { row, sentence, sample };
                    if let Some(id) = scores.forced(row).or_else(|| choose(&scores, place)) {
                        growing.log_probability += scores.log_p(row, id);
                        let weights = scores.attention(row, source.lengths[sentence]);
                        growing.attention.extend(weights);
                        growing.is_finished = id == limits.special.eos;
                        if !growing.is_finished {
                            growing.ids.push(id);
                        }
                        growing.is_over =
                            growing.is_finished || growing.ids.len() == most[sentence];
                    } else {
                        (growing.is_lost, growing.is_over) = (true, true);
                    }
                }
                tokens.push(growing.ids.last().copied().unwrap_or(limits.special.bos));
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
    let kept = |samples: Vec<Growing>| {
        samples.into_iter().filter(|growing| !growing.is_lost).map(ended).collect()
    };
    found.into_iter().map(kept).collect()
}

/// A sentence that is being written.
#[derive(Debug, Clone, Default)]
struct Growing {
    ids: Vec<u32>,
    log_probability: f64,
    attention: Vec<Vec<f32>>,
    is_finished: bool,
    is_over: bool,
    /// Nothing could follow.
    is_lost: bool,
}
