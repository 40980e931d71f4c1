//! Learning curves.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Observer};

/// A metric over the steps of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The metric's name.
    pub name: String,
    /// (step, value)
    #[serde(with = "crate::number::points")]
    pub points: Vec<(u64, f64)>,
}

/// Collects every metric as a curve. It serialises, so that a resumed run draws whole curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The curves in the order their metrics first came.
    pub curves: Vec<Curve>,
}

impl History {
    /// The curve of a metric.
    pub fn curve(&self, name: &str) -> Option<&Curve> {
        self.curves.iter().find(|curve| curve.name == name)
    }

    /// The last value of a metric.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.curve(name)?.points.last().map(|(_, value)| *value)
    }

    /// Adds a point.
    pub fn push(&mut self, name: &str, step: u64, value: f64) {
        match self.curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push((step, value)),
            None => self.curves.push(Curve { name: name.to_owned(), points: vec![(step, value)] }),
        }
    }
}

impl Curve {
    /// The points averaged in runs of `width`, at the middle step of each: a readable line of a
    /// noisy loss.
    pub fn smoothed(&self, width: usize) -> Vec<(f64, f64)> {
        self.points
            .chunks(width.max(1))
            .map(|run| {
                let n = run.len() as f64;
                let step = run.iter().map(|(step, _)| *step as f64).sum::<f64>() / n;
                (step, run.iter().map(|(_, value)| value).sum::<f64>() / n)
            })
            .collect()
    }
}

impl Observer for History {
    fn observe(&mut self, event: &Event<'_>) {
        if let Event::Step { step, metrics, .. } | Event::Epoch { step, metrics, .. } = event {
            for (name, value) in *metrics {
                self.push(name, *step, *value);
            }
        }
    }
}
