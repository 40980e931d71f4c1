//! How good translations are: BLEU and chrF equal to sacreBLEU's, and whether two systems differ.
//!
//! ```
//! use transformer::metrics::{Bleu, Chrf, Metric as _, compare};
//!
//! let references = ["The dog bit the man.", "It was not unexpected."];
//! let ours = ["The dog bit the man.", "It was not surprising."];
//! let bleu = Bleu::new().corpus(&ours, &references)?;
//! println!("{bleu}"); // BLEU = 59.46 87.5/70.0/60.0/50.0 (BP = 1.000 …)
//! assert!((bleu.score - Bleu::new().score(&ours, &references)?).abs() < 1e-12);
//!
//! let theirs = ["The dog bit a man.", "It was a surprise."];
//! let paired = compare(&Chrf::new(), &ours, &theirs, &references, 100, 42)?;
//! assert!(paired.difference.estimate > 0.0);
//! # Ok::<(), transformer::Error>(())
//! ```

mod bleu;
mod chrf;
mod compare;
mod tokenize;

pub use bleu::{Bleu, BleuScore, Smoothing};
pub use chrf::Chrf;
pub use compare::{Compared, compare};
pub use tokenize::BleuTokens;

use crate::error::{Error, Result};

/// A corpus metric: counts of every sentence are added up, and the score is one of the sums.
pub trait Metric {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What it was computed with, in sacreBLEU's form.
    fn signature(&self, references: usize) -> String;

    /// The counts of one sentence with its references.
    fn counts(&self, hypothesis: &str, references: &[&str]) -> Vec<u64>;

    /// The score of added counts, 0 to 100.
    fn score_of(&self, counts: &[u64]) -> f64;

    /// The counts of every sentence, with one reference each.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] where there are not as many references as hypotheses, or none.
    fn counts_of<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[R],
    ) -> Result<Vec<Vec<u64>>> {
        self.counts_with(hypotheses, &[references])
    }

    /// The counts of every sentence, with several sets of references.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] where a set has not as many references as there are hypotheses, or there is
    /// nothing to score.
    fn counts_with<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<Vec<Vec<u64>>> {
        let fail = |reason: String| Err(Error::Metric { metric: self.name(), reason });
        if hypotheses.is_empty() || references.is_empty() {
            return fail("there is nothing to score".to_owned());
        }
        for set in references {
            if set.len() != hypotheses.len() {
                let (found, expected) = (set.len(), hypotheses.len());
                return fail(format!("{expected} hypotheses, but {found} references"));
            }
        }
        let of_one = |(at, hypothesis): (usize, &H)| {
            let references: Vec<&str> = references.iter().map(|set| set[at].as_ref()).collect();
            self.counts(hypothesis.as_ref(), &references)
        };
        Ok(hypotheses.iter().enumerate().map(of_one).collect())
    }

    /// The score of a corpus with one reference a sentence.
    ///
    /// # Errors
    ///
    /// As [`counts_of`](Self::counts_of).
    fn score<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[R],
    ) -> Result<f64> {
        Ok(self.score_of(&sum(&self.counts_of(hypotheses, references)?)))
    }

    /// The score of a corpus with several sets of references.
    ///
    /// # Errors
    ///
    /// As [`counts_with`](Self::counts_with).
    fn score_with<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<f64> {
        Ok(self.score_of(&sum(&self.counts_with(hypotheses, references)?)))
    }
}

/// Counts added up.
pub(crate) fn sum(counts: &[Vec<u64>]) -> Vec<u64> {
    let mut total = counts.first().map(|first| vec![0; first.len()]).unwrap_or_default();
    for counts in counts {
        for (total, count) in total.iter_mut().zip(counts) {
            *total += count;
        }
    }
    total
}

/// How often each n-gram comes.
fn ngrams<T: std::hash::Hash + Eq>(items: &[T], n: usize) -> std::collections::HashMap<&[T], u64> {
    let mut counts = std::collections::HashMap::new();
    for ngram in items.windows(n) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}
