//! Ridge regression that takes one row after the other.

use serde::{Deserialize, Serialize};

/// Of A = λ I + Σ x xᵀ and b = Σ y x the factor L of A = L Lᵀ, which one row changes in
/// `features²` steps, and b.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ridge {
    /// The lower triangle, row by row: one number, two, …
    factor: Vec<Vec<f64>>,
    target: Vec<f64>,
    /// Rows, as far as they are remembered.
    pub(super) pulls: f64,
}

impl Ridge {
    pub(super) fn new(features: usize, l2: f64) -> Self {
        let row = |i| [vec![0.0; i], vec![l2.sqrt()]].concat();
        Self { factor: (0..features).map(row).collect(), target: vec![0.0; features], pulls: 0.0 }
    }

    /// Leaves a share of all rows: A = share (A − λ I) + λ I.
    pub(super) fn forget(&mut self, share: f64, l2: f64) {
        self.pulls *= share;
        self.target.iter_mut().for_each(|b| *b *= share);
        let (root, kept) = (share.sqrt(), ((1.0 - share) * l2).sqrt());
        self.factor.iter_mut().flatten().for_each(|cell| *cell *= root);
        let mut row = vec![0.0; self.target.len()];
        for i in 0..row.len() {
            row.fill(0.0);
            row[i] = kept;
            self.turn(&mut row);
        }
    }

    pub(super) fn push(&mut self, x: &[f64], y: f64) {
        self.pulls += 1.0;
        self.target.iter_mut().zip(x).for_each(|(b, x)| *b += y * x);
        self.turn(&mut x.to_vec());
    }

    /// The factor after A + x xᵀ; of x nothing is left.
    fn turn(&mut self, x: &mut [f64]) {
        for k in 0..x.len() {
            let old = self.factor[k][k];
            if x[k] == 0.0 {
                continue;
            }
            let new = (old * old + x[k] * x[k]).sqrt();
            let (cos, sin) = (old / new, x[k] / new);
            self.factor[k][k] = new;
            for (row, x) in self.factor[k + 1..].iter_mut().zip(&mut x[k + 1..]) {
                (row[k], *x) = (cos * row[k] + sin * *x, cos * *x - sin * row[k]);
            }
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.factor.iter().flatten().chain(&self.target).all(|cell| cell.is_finite())
    }

    /// L⁻¹ x.
    fn forward(&self, x: &[f64]) -> Vec<f64> {
        let mut solved = Vec::with_capacity(x.len());
        for (row, x) in self.factor.iter().zip(x) {
            let (known, diagonal) = (dot(row, &solved), row[solved.len()]);
            solved.push((x - known) / diagonal);
        }
        solved
    }

    /// A⁻¹ x.
    fn solve(&self, x: &[f64]) -> Vec<f64> {
        let mut solved = self.forward(x);
        for i in (0..solved.len()).rev() {
            solved[i] /= self.factor[i][i];
            let (before, last) = solved.split_at_mut(i);
            before.iter_mut().zip(&self.factor[i]).for_each(|(x, cell)| *x -= cell * last[0]);
        }
        solved
    }

    /// θ = A⁻¹ b.
    pub(super) fn weights(&self) -> Vec<f64> {
        self.solve(&self.target)
    }

    /// A⁻¹, row by row.
    pub(super) fn inverse(&self) -> Vec<Vec<f64>> {
        let features = self.target.len();
        let unit = |i| [vec![0.0; i], vec![1.0], vec![0.0; features - 1 - i]].concat();
        (0..features).map(|i| self.solve(&unit(i))).collect()
    }

    /// θᵀ x, and √(xᵀ A⁻¹ x).
    pub(super) fn predict(&self, x: &[f64]) -> (f64, f64) {
        let (along, target) = (self.forward(x), self.forward(&self.target));
        (dot(&along, &target), dot(&along, &along).sqrt())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
