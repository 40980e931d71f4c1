//! Beam search: the likeliest few sentences, step by step.

use derive_setters::Setters;
use model_utils::config::{self, ConfigError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::length_limits::LengthLimits;
use super::scores::{Rule, Scores, Written};
use super::strategy::{DecodingStrategy, Hypothesis, MOST_ROWS, among_workers};
use crate::encoder_decoder::{DecoderState as _, Decoding, EncoderDecoder, Padded};
use crate::error::Result;

/// What log-probabilities are divided by, as each token makes a sentence less likely. Lengths
/// count the token of end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthPenalty {
    /// 1.
    None,
    /// `length^α`: at α = 1 the mean of the tokens (Hugging Face).
    Power(f64),
    /// `((5 + length) / 6)^α` (Wu et al. 2016, <https://arxiv.org/abs/1609.08144>; the
    /// Transformer's paper with α = 0.6).
    Wu(f64),
}

impl LengthPenalty {
    /// For a sentence of this length.
    pub fn divisor(self, length: usize) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Power(alpha) => (length as f64).powf(alpha),
            Self::Wu(alpha) => ((5.0 + length as f64) / 6.0).powf(alpha),
        }
    }
}

/// Keeps the likeliest `size` beginnings of a sentence at each step.
///
/// A hypothesis ends where the token of end is among the `size` likeliest continuations; the search
/// of a sentence ends with `size` ended hypotheses (or later, see
/// [`early_stopping`](Self::early_stopping)) or at the length limit. What the limit cuts stands
/// behind what ended. A beam of 1 is greedy search.
#[derive(Debug, Clone, PartialEq, Setters, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[setters(prefix = "with_")]
pub struct Beam {
    /// Beginnings kept at each step.
    pub size: usize,
    /// Hypotheses returned a sentence; at most `size`.
    pub n_best: usize,
    /// What scores are divided by; the paper's by default.
    pub length_penalty: LengthPenalty,
    /// The weight of the coverage penalty, 0 by default (Wu et al. 2016): to the score is added
    ///
    /// ```math
    /// \beta \sum_i \log \min\Big(1, \sum_j a_{j,i}\Big)
    /// ```
    ///
    /// over source tokens `i`, with the attention `a` of target token `j` to them: a sentence that
    /// leaves parts of its source out is worth less.
    pub coverage: f64,
    /// Whether the search of a sentence ends with `size` ended hypotheses, as by default. Otherwise it
    /// goes on until the likeliest beginning, at the length that it has, is worth no more than the
    /// worst of the `size` best that ended (Hugging Face's default).
    pub early_stopping: bool,
}

impl Default for Beam {
    fn default() -> Self {
        Self::new(4)
    }
}

impl Beam {
    /// A beam with the paper's length penalty, Wu's with α = 0.6, one hypothesis a sentence.
    pub fn new(size: usize) -> Self {
        let length_penalty = LengthPenalty::Wu(0.6);
        Self { size, n_best: 1, length_penalty, coverage: 0.0, early_stopping: true }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let what = format!("1 to {MOST_ROWS}");
        config::require((1..=MOST_ROWS).contains(&self.size), "beam size", self.size, what)?;
        let n_best = self.n_best;
        let what = format!("between 1 and the beam size, {}", self.size);
        config::require((1..=self.size).contains(&n_best), "n_best", n_best, what)?;
        config::not_negative("coverage", self.coverage)?;
        match self.length_penalty {
            LengthPenalty::None => Ok(()),
            LengthPenalty::Power(alpha) | LengthPenalty::Wu(alpha) => {
                config::finite("length_penalty", alpha)
            }
        }
    }

    /// What a hypothesis is ranked by; the length is that of what counts.
    fn score(&self, beginning: &Beginning, length: usize) -> f64 {
        let normalised = beginning.rank / self.length_penalty.divisor(length.max(1));
        if self.coverage == 0.0 {
            return normalised;
        }
        normalised + self.coverage * covered(&beginning.attention)
    }
}

/// Σᵢ log min(1, Σⱼ aⱼᵢ) of `attention[j][i]`, and 0 without attention.
fn covered(attention: &[Vec<f32>]) -> f64 {
    let tokens = attention.first().map_or(0, Vec::len);
    let of_token = |i: usize| attention.iter().map(|weights| f64::from(weights[i])).sum::<f64>();
    // A token that nothing attends to at all counts as one attended to by one in 10¹².
    (0..tokens).map(|i| of_token(i).clamp(1e-12, 1.0).ln()).sum()
}

/// The beginning of a sentence.
#[derive(Debug, Clone, Default)]
struct Beginning {
    ids: Vec<u32>,
    /// The model's.
    log_p: f64,
    /// The same after penalties; −∞ for none.
    rank: f64,
    attention: Vec<Vec<f32>>,
}

impl Beginning {
    fn dead() -> Self {
        Self { rank: f64::NEG_INFINITY, ..Self::default() }
    }

    fn is_live(&self) -> bool {
        self.rank > f64::NEG_INFINITY
    }
}

/// What is known of one sentence: the state of the search, apart from the model's.
#[derive(Debug)]
struct Sentence {
    /// Among the source rows.
    index: usize,
    length: usize,
    most: usize,
    /// Tokens that were given and count for nothing.
    given: usize,
    /// As many as the beam is wide; dead where there are not so many.
    live: Vec<Beginning>,
    ended: Vec<Hypothesis>,
}

/// A beginning and a token after it.
#[derive(Debug, Clone, Copy)]
struct Continuation {
    beam: usize,
    id: u32,
    log_p: f64,
    rank: f64,
}

impl Sentence {
    fn new(index: usize, length: usize, limits: &LengthLimits, size: usize) -> Self {
        let mut live = vec![Beginning::dead(); size];
        live[0] = Beginning::default();
        let (most, given) = (limits.most(length), limits.prefix.len());
        Self { index, length, most, given, live, ended: Vec::new() }
    }

    /// The likeliest continuations of all beginnings, twice as many as the beam is wide: half of
    /// them could be ends.
    fn continuations(&self, scores: &Scores, first_row: usize) -> Vec<Continuation> {
        let wanted = 2 * self.live.len();
        let mut all = Vec::new();
        for (beam, beginning) in self.live.iter().enumerate() {
            if beginning.is_live() {
                let candidates = scores.top(first_row + beam, wanted);
                all.extend(candidates.into_iter().map(|candidate| Continuation {
                    beam,
                    id: candidate.id,
                    log_p: beginning.log_p + candidate.log_p,
                    rank: beginning.rank + candidate.score,
                }));
            }
        }
        all.sort_by(|a, b| b.rank.total_cmp(&a.rank));
        all.truncate(wanted);
        all
    }

    /// Ends and goes on with the best; returns which beam each new beginning came from.
    fn advance(
        &mut self,
        beam: &Beam,
        eos: u32,
        scores: &Scores,
        first_row: usize,
        keeps_attention: bool,
    ) -> Vec<usize> {
        let mut next = Vec::with_capacity(beam.size);
        let mut origins = Vec::with_capacity(beam.size);
        for (rank, chosen) in self.continuations(scores, first_row).into_iter().enumerate() {
            if next.len() == beam.size {
                break;
            }
            let is_end = chosen.id == eos;
            if is_end && rank >= beam.size {
                continue;
            }
            let mut longer = self.live[chosen.beam].clone();
            (longer.log_p, longer.rank) = (chosen.log_p, chosen.rank);
            if keeps_attention {
                let weights = scores.attention(first_row + chosen.beam, self.length);
                longer.attention.extend(weights);
            }
            if is_end {
                let score = beam.score(&longer, longer.ids.len() + 1 - self.given);
                self.ended.push(ended(longer, score, true));
            } else {
                longer.ids.push(chosen.id);
                next.push(longer);
                origins.push(chosen.beam);
            }
        }
        next.resize(beam.size, Beginning::dead());
        origins.resize(beam.size, 0);
        self.live = next;
        if self.live[0].ids.len() >= self.most {
            for cut in std::mem::take(&mut self.live) {
                if cut.is_live() {
                    let score = beam.score(&cut, cut.ids.len() - self.given);
                    self.ended.push(ended(cut, score, false));
                }
            }
        }
        origins
    }

    fn is_over(&self, beam: &Beam) -> bool {
        let Some(best) = self.live.first().filter(|best| best.is_live()) else { return true };
        let mut finished: Vec<f64> = self
            .ended
            .iter()
            .filter(|hypothesis| hypothesis.is_finished)
            .map(|hypothesis| hypothesis.score)
            .collect();
        if finished.len() < beam.size || beam.early_stopping {
            return finished.len() >= beam.size;
        }
        finished.sort_by(|a, b| b.total_cmp(a));
        beam.score(best, best.ids.len() - self.given) <= finished[beam.size - 1]
    }

    /// The best first.
    fn best(mut self, count: usize, keeps_attention: bool) -> Vec<Hypothesis> {
        self.ended
            .sort_by(|a, b| b.is_finished.cmp(&a.is_finished).then(b.score.total_cmp(&a.score)));
        self.ended.truncate(count);
        if !keeps_attention {
            self.ended.iter_mut().for_each(|hypothesis| hypothesis.attention = None);
        }
        self.ended
    }
}

fn ended(beginning: Beginning, score: f64, is_finished: bool) -> Hypothesis {
    Hypothesis {
        ids: beginning.ids,
        score,
        log_probability: beginning.log_p,
        is_finished,
        attention: (!beginning.attention.is_empty()).then_some(beginning.attention),
    }
}

impl DecodingStrategy for Beam {
    fn decode<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &LengthLimits,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        self.check()?;
        limits.check_for(model, source)?;
        Ok(among_workers(|| self.decode_here(model, source, limits)))
    }

    fn rows(&self) -> usize {
        self.size
    }
}

impl Beam {
    fn decode_here<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &LengthLimits,
    ) -> Vec<Vec<Hypothesis>> {
        let size = self.size;
        let mut live: Vec<Sentence> = (0..)
            .zip(&source.lengths)
            .map(|(index, &length)| Sentence::new(index, length, limits, size))
            .collect();
        let mut found = vec![Vec::new(); live.len()];
        let steps = live.iter().map(|sentence| sentence.most).max().unwrap_or(0);
        if live.is_empty() {
            return found;
        }
        let keeps_attention = limits.attention || self.coverage > 0.0;
        let decoding = Decoding { steps, beams: size, attention: keeps_attention };
        let mut state = model.start(source, decoding);
        let mut tokens = vec![limits.special.bos; live.len() * size];
        for _ in 0..steps {
            let step = model.step(&tokens, &mut state);
            let scores = Scores::read(step, limits, Rule::OfLogProbabilities, |row| {
                let sentence = &live[row / size];
                let beginning = &sentence.live[row % size];
                let written = Written { ids: &beginning.ids, most: sentence.most };
                beginning.is_live().then_some(written)
            });
            let eos = limits.special.eos;
            let advance = |(at, sentence): (usize, &mut Sentence)| {
                sentence.advance(self, eos, &scores, at * size, keeps_attention)
            };
            let origins: Vec<Vec<usize>> = live.par_iter_mut().enumerate().map(advance).collect();
            let mut rows = Vec::with_capacity(tokens.len());
            tokens.clear();
            let mut going_on = Vec::with_capacity(live.len());
            for (at, (sentence, origins)) in live.into_iter().zip(origins).enumerate() {
                if sentence.is_over(self) {
                    let index = sentence.index;
                    found[index] = sentence.best(self.n_best, limits.attention);
                    continue;
                }
                rows.extend(origins.iter().map(|&beam| at * size + beam));
                let last = |live: &Beginning| live.ids.last().copied().unwrap_or(eos);
                tokens.extend(sentence.live.iter().map(last));
                going_on.push(sentence);
            }
            live = going_on;
            if live.is_empty() {
                break;
            }
            state.select(&rows);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_penalties() {
        assert!((LengthPenalty::None.divisor(7) - 1.0).abs() < 1e-12);
        assert!((LengthPenalty::Power(1.0).divisor(7) - 7.0).abs() < 1e-12);
        assert!((LengthPenalty::Wu(0.6).divisor(7) - 2.0_f64.powf(0.6)).abs() < 1e-12);
    }

    /// Two target tokens over three source tokens: sums over the targets, logarithms over the
    /// sources.
    #[test]
    fn coverage_is_of_source_tokens() {
        let attention = [vec![0.7, 0.2, 0.1], vec![0.6, 0.3, 0.1]];
        let expected = 0.0 + 0.5_f64.ln() + 0.2_f64.ln();
        assert!((covered(&attention) - expected).abs() < 1e-6);
        assert!(covered(&[]).abs() < 1e-12);
    }
}
