use burn::tensor::Tensor;

use super::shapes::wrong;
use crate::error::Result;

/// The least length that a vector is divided by.
const LEAST_NORM: f64 = 1e-12;

/// Attention transfer (Zagoruyko and Komodakis 2016, <https://arxiv.org/abs/1612.03928>): the student is
/// to look where the teacher looks. The attention map of feature maps is the mean over channels of
/// their squares, as a vector of length 1 for each example;
///
/// ```math
/// L = \frac{1}{n} \sum \left( \frac{Q_s}{\|Q_s\|_2} - \frac{Q_t}{\|Q_t\|_2} \right)^2,
/// \qquad Q = \frac{1}{C} \sum_c A_c^2
/// ```
///
/// over all positions of all examples, as the authors' code computes it (the paper's formula has a
/// norm of the difference). Channels may differ, height and width may not. No gradient goes to the
/// teacher.
///
/// # Errors
///
/// [`Error::Shape`](model_utils::Error::Shape) for maps of another batch, height or width.
pub fn attention_transfer_loss(student: Tensor<4>, teacher: Tensor<4>) -> Result<Tensor<1>> {
    let ([n, c, h, w], found) = (student.dims(), teacher.dims());
    let fits = found == [n, found[1], h, w] && n * c * h * w * found[1] > 0;
    if !fits {
        let expected = format!("[{n}, channels, {h}, {w}], no axis empty");
        return Err(wrong("the teacher's maps", expected, &found));
    }
    let difference = attention_map(student) - attention_map(teacher.without_autodiff());
    Ok(difference.powi_scalar(2).mean())
}

/// Where feature maps are large: `[batch, channels, height, width]` → `[batch, height · width]`, a
/// vector of length 1 for each example.
pub fn attention_map(maps: Tensor<4>) -> Tensor<2> {
    normalized(maps.powi_scalar(2).mean_dim(1).flatten::<2>(1, 3))
}

/// Vectors along the last axis, divided by their length; a vector of zeros stays one.
pub(super) fn normalized<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let squares = x.clone().powi_scalar(2).sum_dim(D - 1);
    x / squares.clamp_min(LEAST_NORM * LEAST_NORM).sqrt()
}
