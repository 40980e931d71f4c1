use burn::tensor::{Bool, Tensor};

use super::attention::normalized;
use super::shapes::{same_batch, wrong};
use crate::error::Result;

/// The least squared distance.
const LEAST: f64 = 1e-12;

/// Relational distillation by distances (RKD-D, Park et al. 2019, <https://arxiv.org/abs/1904.05068>):
/// examples that lie far apart for the teacher are to do so for the student. With the distances of
/// all pairs of `[batch, features]`, divided by their mean,
///
/// ```math
/// L = \frac{1}{n^2} \sum_{i,j} \ell_\delta\left( \frac{\|s_i - s_j\|}{\mu_s}, \frac{\|t_i - t_j\|}{\mu_t} \right)
/// ```
///
/// with the Huber loss `ℓ` of δ = 1. Features may differ in number. No gradient goes to the teacher.
///
/// # Errors
///
/// [`Error::Shape`](model_utils::Error::Shape) for another batch, or one of fewer than two examples.
pub fn distance_loss(student: Tensor<2>, teacher: Tensor<2>) -> Result<Tensor<1>> {
    check(&student, &teacher, 2)?;
    let teacher = relative_distances(teacher.without_autodiff());
    Ok(huber(relative_distances(student) - teacher))
}

/// Relational distillation by angles (RKD-A, see [`distance_loss`]): the angles of all triples of
/// examples are to be those of the teacher,
///
/// ```math
/// L = \frac{1}{n^3} \sum_{i,j,k} \ell_\delta\big( \cos\angle\, s_j s_i s_k,\; \cos\angle\, t_j t_i t_k \big)
/// ```
///
/// It holds `[batch, batch, features]`.
///
/// # Errors
///
/// As [`distance_loss`], for fewer than three examples.
pub fn angle_loss(student: Tensor<2>, teacher: Tensor<2>) -> Result<Tensor<1>> {
    check(&student, &teacher, 3)?;
    Ok(huber(angles(student) - angles(teacher.without_autodiff())))
}

fn check(student: &Tensor<2>, teacher: &Tensor<2>, least: usize) -> Result<()> {
    same_batch("the teacher's features", student.dims(), teacher.dims())?;
    let found = student.dims();
    if found[0] < least || found[1] == 0 || teacher.dims()[1] == 0 {
        let expected = format!("[batch, features], {least} examples or more");
        return Err(wrong("the student's features", expected, &found));
    }
    Ok(())
}

/// `[n, features]` → `[n, n]`: distances over the mean of those between different examples.
fn relative_distances(x: Tensor<2>) -> Tensor<2> {
    let [n, _] = x.dims();
    let squares = x.clone().powi_scalar(2).sum_dim(1);
    let products = x.clone().matmul(x.transpose());
    let distances = squares.clone() + squares.transpose() - products * 2.0;
    let itself = Tensor::<2, Bool>::diag_mask([n, n], 0, &distances.device()).bool_not();
    let distances = distances.clamp_min(LEAST).sqrt().mask_fill(itself, 0.0);
    let mean = distances.clone().sum() / (n * (n - 1)) as f64;
    distances / mean.unsqueeze()
}

/// `[n, features]` → `[n, n, n]`: cosines of the angles at each example.
fn angles(x: Tensor<2>) -> Tensor<3> {
    let differences = x.clone().unsqueeze_dim::<3>(0) - x.unsqueeze_dim::<3>(1);
    let directions = normalized(differences);
    directions.clone().matmul(directions.transpose())
}

/// The mean Huber loss of differences, with δ = 1.
fn huber<const D: usize>(difference: Tensor<D>) -> Tensor<1> {
    let size = difference.abs();
    let bounded = size.clone().clamp_max(1.0);
    (bounded.clone() * (size - bounded * 0.5)).mean()
}
