//! The inception score, of any classifier.

use super::features::Features;
use crate::error::{Error, Result};

/// exp of the mean divergence of each sample's class probabilities from their mean, averaged over
/// `splits` parts: 1 at worst, the number of classes at best. `logits` has a column a class; the
/// order of its rows decides the parts.
///
/// # Errors
///
/// [`Error::Metric`] for no parts, or fewer rows than parts.
pub fn class_score(logits: &Features, splits: usize) -> Result<f64> {
    if splits == 0 || logits.len() < splits {
        let rows = logits.len();
        return Err(Error::metric("class score", format!("{rows} rows in {splits} parts")));
    }
    let scores = (0..splits).map(|split| {
        let from = split * logits.len() / splits;
        let to = (split + 1) * logits.len() / splits;
        let log_p: Vec<Vec<f64>> = (from..to).map(|row| log_softmax(logits.row(row))).collect();
        let count = log_p.len() as f64;
        let mean: Vec<f64> = (0..logits.width())
            .map(|class| log_p.iter().map(|log_p| log_p[class].exp()).sum::<f64>() / count)
            .collect();
        let divergences = log_p.iter().map(|log_p| {
            // What has no probability adds nothing, and has none in the mean either.
            let likely = log_p.iter().zip(&mean).filter(|(log_p, _)| log_p.exp() > 0.0);
            likely.map(|(log_p, q)| log_p.exp() * (log_p - q.ln())).sum::<f64>()
        });
        (divergences.sum::<f64>() / count).exp()
    });
    Ok(scores.sum::<f64>() / splits as f64)
}

/// The logarithms of the class probabilities of a row.
pub(super) fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |most, &x| most.max(f64::from(x)));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
    logits.iter().map(|&x| f64::from(x) - largest - sum.ln()).collect()
}
