//! BLEU (Papineni et al. 2002), as sacreBLEU computes it (Post 2018,
//! <https://arxiv.org/abs/1804.08771>).

use std::collections::HashMap;
use std::fmt;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};

use super::bleu_tokenizer::BleuTokenizer;
use super::metric::{Metric, ngrams, sum};
use crate::error::Result;

/// n-grams of 1 to 4 words.
const ORDER: usize = 4;

/// What a precision of no match counts as (Chen and Cherry 2014,
/// <https://aclanthology.org/W14-3346>).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Smoothing {
    /// 0, and with it the score.
    None,
    /// As so many matches.
    Floor(f64),
    /// So many are added to matches and n-grams, but for those of one word.
    AddK(f64),
    /// As half a match, the next as a quarter, and so on: that of `mteval-v13a.pl`.
    #[default]
    Exponential,
}

/// The metric: the geometric mean of the precisions of n-grams of 1 to 4 words over the whole corpus,
/// times a penalty for translations that are shorter than their references:
///
/// ```math
/// \text{BLEU} = \min(1, e^{1 - r/c}) \Big(\prod_{n=1}^4 p_n\Big)^{1/4}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
pub struct Bleu {
    /// How text is cut into words.
    pub tokenizer: BleuTokenizer,
    /// Whether large and small letters are the same.
    pub lowercase: bool,
    /// What a precision of no match counts as.
    pub smoothing: Smoothing,
    /// Whether n-grams that are longer than every sentence are left out: for single sentences.
    pub effective_order: bool,
}

/// BLEU with its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BleuScore {
    /// 0 to 100.
    pub score: f64,
    /// The precisions of n-grams of 1 to 4 words, 0 to 100.
    pub precisions: [f64; ORDER],
    /// The penalty for brevity, 0 to 1.
    pub brevity_penalty: f64,
    /// Words of the hypotheses.
    pub hypothesis_words: u64,
    /// Words of the references.
    pub reference_words: u64,
    /// What it was computed with, in sacreBLEU's form.
    pub signature: String,
}

impl fmt::Display for BleuScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.precisions;
        let ratio = self.hypothesis_words as f64 / self.reference_words.max(1) as f64;
        write!(
            f,
            "BLEU|{} = {:.2} {a:.1}/{b:.1}/{c:.1}/{d:.1} (BP = {:.3} ratio = {ratio:.3} hyp_len = {} \
             ref_len = {})",
            self.signature,
            self.score,
            self.brevity_penalty,
            self.hypothesis_words,
            self.reference_words
        )
    }
}

impl Bleu {
    /// With WMT's words, letters as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// The score of a corpus with its parts.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`](crate::Error::Metric) where there are not as many references as hypotheses,
    /// or none.
    pub fn corpus<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[R],
    ) -> Result<BleuScore> {
        self.corpus_with(hypotheses, &[references])
    }

    /// The score of a corpus with several sets of references, with its parts.
    ///
    /// # Errors
    ///
    /// As [`corpus`](Self::corpus).
    pub fn corpus_with<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<BleuScore> {
        Ok(self.parts(&sum(&self.counts_of(hypotheses, references)?), references.len()))
    }

    fn parts(&self, counts: &[f64], references: usize) -> BleuScore {
        let (hypothesis_words, reference_words) = (counts[0], counts[1]);
        let (matches, totals) = counts[2..].split_at(ORDER);
        let brevity_penalty = if hypothesis_words >= reference_words {
            1.0
        } else if hypothesis_words == 0.0 {
            0.0
        } else {
            (1.0 - reference_words / hypothesis_words).exp()
        };
        let mut precisions = [0.0; ORDER];
        let mut score = 0.0;
        if matches.iter().any(|&count| count > 0.0) {
            let (mut share, mut order) = (1.0, ORDER);
            for (n, (&matched, &total)) in matches.iter().zip(totals).enumerate() {
                let added = match self.smoothing {
                    Smoothing::AddK(k) if n > 0 => k,
                    _ => 0.0,
                };
                let (matched, total) = (matched + added, total + added);
                if total == 0.0 {
                    break;
                }
                if self.effective_order {
                    order = n + 1;
                }
                let counted = match self.smoothing {
                    _ if matched > 0.0 => matched,
                    Smoothing::Exponential => {
                        share /= 2.0;
                        share
                    }
                    Smoothing::Floor(floor) => floor,
                    Smoothing::None | Smoothing::AddK(_) => 0.0,
                };
                precisions[n] = 100.0 * counted / total;
            }
            let counted = &precisions[..order];
            if counted.iter().all(|&precision| precision > 0.0) {
                let logarithms: f64 = counted.iter().map(|precision| precision.ln()).sum();
                score = brevity_penalty * (logarithms / order as f64).exp();
            }
        }
        BleuScore {
            score,
            precisions,
            brevity_penalty,
            hypothesis_words: hypothesis_words as u64,
            reference_words: reference_words as u64,
            signature: self.signature(references),
        }
    }

    fn words(&self, text: &str) -> Vec<String> {
        if self.lowercase {
            self.tokenizer.words(&text.to_lowercase())
        } else {
            self.tokenizer.words(text)
        }
    }
}

impl Metric for Bleu {
    fn name(&self) -> &'static str {
        "BLEU"
    }

    fn signature(&self, references: usize) -> String {
        let case = if self.lowercase { "lc" } else { "mixed" };
        let order = if self.effective_order { "yes" } else { "no" };
        let smoothing = match self.smoothing {
            Smoothing::None => "none".to_owned(),
            Smoothing::Floor(floor) => format!("floor[{floor:.2}]"),
            Smoothing::AddK(k) => format!("add-k[{k:.2}]"),
            Smoothing::Exponential => "exp".to_owned(),
        };
        format!(
            "nrefs:{references}|case:{case}|eff:{order}|tok:{}|smooth:{smoothing}|version:usagi-{}",
            self.tokenizer.name(),
            env!("CARGO_PKG_VERSION")
        )
    }

    fn counts(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.words(hypothesis);
        let references: Vec<Vec<String>> = references.iter().map(|text| self.words(text)).collect();
        let length = hypothesis.len();
        // The reference of the nearest length; of two, the shorter.
        let nearest = references
            .iter()
            .map(Vec::len)
            .min_by_key(|&other| (other.abs_diff(length), other))
            .unwrap_or(0);
        let (mut matches, mut totals) = (vec![0; ORDER], vec![0; ORDER]);
        for n in 1..=ORDER {
            let mut most: HashMap<&[String], u64> = HashMap::new();
            for reference in &references {
                for (ngram, count) in ngrams(reference, n) {
                    let most = most.entry(ngram).or_insert(0);
                    *most = count.max(*most);
                }
            }
            for (ngram, count) in ngrams(&hypothesis, n) {
                totals[n - 1] += count;
                matches[n - 1] += count.min(most.get(ngram).copied().unwrap_or(0));
            }
        }
        let lengths = [length as u64, nearest as u64];
        lengths.into_iter().chain(matches).chain(totals).map(|count| count as f64).collect()
    }

    fn score_of(&self, counts: &[f64]) -> f64 {
        self.parts(counts, 1).score
    }
}
