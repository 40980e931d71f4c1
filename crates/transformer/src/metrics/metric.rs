//! What a metric is.

use std::collections::HashMap;
use std::hash::Hash;

use crate::error::{Error, Result};

/// A corpus metric: counts of every sentence are added up, and the score is one of the sums.
pub trait Metric {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What it was computed with, in sacreBLEU's form.
    fn signature(&self, references: usize) -> String;

    /// The counts of one sentence with its references.
    fn counts(&self, hypothesis: &str, references: &[&str]) -> Vec<f64>;

    /// The score of added counts: 0 to 100, of errors ([`Ter`](super::Ter)) 0 and up.
    fn score_of(&self, counts: &[f64]) -> f64;

    /// Whether a score is better than another: the higher is, but of errors the lower.
    fn is_better(&self, score: f64, than: f64) -> bool {
        score > than
    }

    /// The counts of every sentence, with several sets of references.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] where a set has not as many references as there are hypotheses, or there is
    /// nothing to score.
    fn counts_of<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<Vec<Vec<f64>>>
    where
        Self: Sized,
    {
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
    fn score<H: AsRef<str>, R: AsRef<str>>(&self, hypotheses: &[H], references: &[R]) -> Result<f64>
    where
        Self: Sized,
    {
        self.score_with(hypotheses, &[references])
    }

    /// The score of a corpus with several sets of references. Where a sentence has fewer than others,
    /// one of its own may be given again: for BLEU and chrF that changes nothing.
    ///
    /// # Errors
    ///
    /// As [`counts_of`](Self::counts_of).
    fn score_with<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<f64>
    where
        Self: Sized,
    {
        Ok(self.score_of(&sum(&self.counts_of(hypotheses, references)?)))
    }
}

/// Counts added up.
pub(super) fn sum<'a>(counts: impl IntoIterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let mut total = Vec::new();
    for counts in counts {
        total.resize(counts.len(), 0.0);
        for (total, count) in total.iter_mut().zip(counts) {
            *total += count;
        }
    }
    total
}

/// How often each n-gram comes.
pub(super) fn ngrams<T: Hash + Eq>(items: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for ngram in items.windows(n) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}
