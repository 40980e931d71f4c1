//! How far outputs are from a reference.

use std::fmt;

use burn::tensor::TensorData;

/// Below this a reference counts as 0, and differences from it are absolute.
const LEAST_SCALE: f64 = 1e-12;

/// A tensor that a step computed, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is, for messages.
    pub name: String,
    /// Its values.
    pub data: TensorData,
    /// Whether it is the gradient of a weight. Gradients are measured against the largest of all: one that
    /// is 0 but for rounding (as that of an attention's key bias, which the softmax does not feel) has no
    /// scale of its own.
    pub is_gradient: bool,
    /// How much a difference in it counts, 1 as a rule. Less where rounding moves it by steps, as it
    /// does the gradients of quantized layers.
    pub weight: f64,
}

impl Part {
    /// A value: a loss, an output, a statistic.
    pub fn value(name: impl Into<String>, data: TensorData) -> Self {
        Self { name: name.into(), data, is_gradient: false, weight: 1.0 }
    }

    /// The gradient of a weight.
    pub fn gradient(name: impl Into<String>, data: TensorData) -> Self {
        Self { name: name.into(), data, is_gradient: true, weight: 1.0 }
    }
}

/// What [`difference`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference<'a> {
    /// The difference.
    pub largest: f64,
    /// The name of the tensor that it was found in; empty where there is none.
    pub part: &'a str,
}

/// Such as `3.2e-3 in the gradient of conv.weight`.
impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1e} in {}", self.largest, self.part)
    }
}

/// How far outputs are from a reference: for each tensor the largest difference of two values as
/// a share of its scale, and of these the largest.
///
/// ```math
/// \max_k \frac{\max_i |a_{ki} - b_{ki}|}{s_k} \qquad s_k = \max_i |b_{ki}|
/// ```
///
/// with the outputs `a` and the reference `b`, read as f32, each times its [weight](Part::weight). The scale of all gradients is the largest
/// value of any of them, and any scale is at least 10⁻¹².
///
/// # Errors
///
/// The reason why there is no such number: another count of tensors, another name or shape, a value
/// that is NaN or infinite.
pub fn difference<'a>(outputs: &[Part], reference: &'a [Part]) -> Result<Difference<'a>, String> {
    if outputs.len() != reference.len() {
        return Err(format!("{} tensors, expected {}", outputs.len(), reference.len()));
    }
    let gradients = reference.iter().filter(|part| part.is_gradient);
    let of_gradients = gradients.map(magnitude).fold(0.0, f64::max);
    let mut found = Difference { largest: 0.0, part: "" };
    for (Part { name, data: output, .. }, part) in outputs.iter().zip(reference) {
        if *name != part.name {
            return Err(format!("{name}, expected {}", part.name));
        }
        let (shape, expected) = (output.shape().to_vec(), part.data.shape().to_vec());
        if shape != expected {
            return Err(format!("{name}: shape {shape:?}, expected {expected:?}"));
        }
        let mut off = 0.0_f64;
        for (at, (a, b)) in output.iter::<f32>().zip(part.data.iter::<f32>()).enumerate() {
            for (whose, value) in [("the reference", b), ("the output", a)] {
                if !value.is_finite() {
                    return Err(format!("{name}: value {at} of {whose} is {value}"));
                }
            }
            off = off.max((f64::from(a) - f64::from(b)).abs());
        }
        let scale = if part.is_gradient { of_gradients } else { magnitude(part) };
        let share = part.weight * off / scale.max(LEAST_SCALE);
        if share > found.largest || found.part.is_empty() {
            found = Difference { largest: share, part: &part.name };
        }
    }
    Ok(found)
}

/// The largest absolute value.
fn magnitude(part: &Part) -> f64 {
    part.data.iter::<f32>().map(|value| f64::from(value).abs()).fold(0.0, f64::max)
}
