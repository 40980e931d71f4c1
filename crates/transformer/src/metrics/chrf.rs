//! chrF (Popović 2015, <https://aclanthology.org/W15-3049>), as sacreBLEU computes it.

use std::collections::HashMap;
use std::hash::Hash;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};

use super::bleu_tokenizer::{is_space, split};
use super::metric::{Metric, ngrams};

/// The metric: the mean precision P and the mean recall R of n-grams of characters, white space left
/// out, and of words where asked for (chrF++), over the whole corpus:
///
/// ```math
/// \text{chrF} = \frac{(1 + \beta^2) P R}{\beta^2 P + R}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
pub struct Chrf {
    /// The longest n-grams of characters.
    pub char_order: usize,
    /// The longest n-grams of words; 2 is chrF++.
    pub word_order: usize,
    /// How many times as much recall weighs as precision.
    pub beta: f64,
    /// Whether large and small letters are the same.
    pub lowercase: bool,
    /// Whether white space counts.
    pub whitespace: bool,
    /// Whether the score is the mean of the scores of the orders, in which no match is next to
    /// nothing, as NLTK has it; else orders that one side does not have are left out.
    pub epsilon_smoothing: bool,
}

impl Default for Chrf {
    fn default() -> Self {
        Self {
            char_order: 6,
            word_order: 0,
            beta: 2.0,
            lowercase: false,
            whitespace: false,
            epsilon_smoothing: false,
        }
    }
}

impl Chrf {
    /// Six characters, no words, β 2.
    pub fn new() -> Self {
        Self::default()
    }

    /// chrF++: with n-grams of one and two words.
    pub fn plus_plus() -> Self {
        Self { word_order: 2, ..Self::default() }
    }
}

impl Metric for Chrf {
    fn name(&self) -> &'static str {
        if self.word_order > 0 { "chrF++" } else { "chrF" }
    }

    fn signature(&self, references: usize) -> String {
        let case = if self.lowercase { "lc" } else { "mixed" };
        format!(
            "nrefs:{references}|case:{case}|eff:{}|nc:{}|nw:{}|space:{}|version:usagi-{}",
            if self.epsilon_smoothing { "no" } else { "yes" },
            self.char_order,
            self.word_order,
            if self.whitespace { "yes" } else { "no" },
            env!("CARGO_PKG_VERSION")
        )
    }

    /// For each order n-grams of the hypothesis, of the reference and of both, with the reference
    /// that scores best.
    fn counts(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let cut = |text: &str| {
            let text = if self.lowercase { text.to_lowercase() } else { text.to_owned() };
            let characters: Vec<char> =
                text.chars().filter(|&c| self.whitespace || !is_space(c)).collect();
            (characters, if self.word_order > 0 { words(&text) } else { Vec::new() })
        };
        let (characters, words) = cut(hypothesis);
        let counts = references.iter().map(|reference| {
            let (of_characters, of_words) = cut(reference);
            let mut counts = Vec::new();
            for n in 1..=self.char_order {
                counts.extend(matches(&ngrams(&characters, n), &ngrams(&of_characters, n)));
            }
            for n in 1..=self.word_order {
                counts.extend(matches(&ngrams(&words, n), &ngrams(&of_words, n)));
            }
            counts
        });
        let mut best: Option<(f64, Vec<f64>)> = None;
        for counts in counts {
            let score = self.score_of(&counts);
            if best.as_ref().is_none_or(|(most, _)| score > *most) {
                best = Some((score, counts));
            }
        }
        best.map(|(_, counts)| counts).unwrap_or_default()
    }

    fn score_of(&self, counts: &[f64]) -> f64 {
        let factor = self.beta * self.beta;
        if self.epsilon_smoothing {
            return 100.0 * smoothed(counts, factor);
        }
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0_u32);
        for order in counts.chunks_exact(3) {
            let [hypothesis, reference, both] = [order[0], order[1], order[2]];
            if hypothesis > 0.0 && reference > 0.0 {
                precision += both / hypothesis;
                recall += both / reference;
                orders += 1;
            }
        }
        if orders == 0 || precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / f64::from(orders), recall / f64::from(orders));
        100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
    }
}

/// The mean of the scores of all orders, 0 to 1.
fn smoothed(counts: &[f64], factor: f64) -> f64 {
    const NEXT_TO_NOTHING: f64 = 1e-16;
    let share = |part: f64, of: f64| if of > 0.0 { part / of } else { NEXT_TO_NOTHING };
    let of_order = |order: &[f64]| {
        let (precision, recall) = (share(order[2], order[0]), share(order[2], order[1]));
        let below = factor * precision + recall;
        if below > 0.0 { (1.0 + factor) * precision * recall / below } else { NEXT_TO_NOTHING }
    };
    let scores: Vec<f64> = counts.chunks_exact(3).map(of_order).collect();
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

/// Counts of the hypothesis (none where the reference has none), of the reference, of both.
fn matches<T: Hash + Eq>(
    hypothesis: &HashMap<&[T], u64>,
    reference: &HashMap<&[T], u64>,
) -> [f64; 3] {
    let both: u64 = hypothesis
        .iter()
        .map(|(ngram, &count)| count.min(reference.get(ngram).copied().unwrap_or(0)))
        .sum();
    let all = if reference.is_empty() { 0 } else { hypothesis.values().sum() };
    [all, reference.values().sum(), both].map(|count| count as f64)
}

/// Words, one sign of punctuation at an end cut off.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in split(text) {
        let mut characters = word.chars();
        let (first, last) = (characters.next(), characters.next_back());
        match (first, last) {
            (Some(_), Some(last)) if last.is_ascii_punctuation() => {
                words.push(word[..word.len() - 1].to_owned());
                words.push(last.to_string());
            }
            (Some(first), Some(_)) if first.is_ascii_punctuation() => {
                words.push(first.to_string());
                words.push(word[1..].to_owned());
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}
