//! Configurations that cannot work are refused by field, value and expectation.
//!
//! ```
//! use model_utils_core::config::{self, ConfigError};
//!
//! fn check(batch_size: usize, dropout: f64) -> Result<(), ConfigError> {
//!     config::at_least("batch_size", batch_size, 1)?;
//!     config::share("dropout", dropout)?;
//!     config::require(batch_size % 8 == 0, "batch_size", batch_size, "a multiple of 8")
//! }
//!
//! let error = check(0, 0.5).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "invalid configuration: `batch_size` is 0, expected at least 1"
//! );
//! assert!(check(8, f64::NAN).is_err());
//! ```

use std::fmt::{self, Debug, Display};

use serde_json::{Map, Value};

/// A field of a configuration, or an argument, that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid configuration: `{field}` is {value}, expected {expected}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The field at fault.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// The values that work.
    pub expected: String,
}

impl ConfigError {
    /// Of a field, its value as it shall be shown, and the values that work.
    pub fn new(field: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), expected: expected.into() }
    }
}

/// Refuses a value for which a condition does not hold.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn require(
    holds: bool,
    field: &'static str,
    value: impl Debug,
    expected: impl Into<String>,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    let value = format!("{value:?}");
    // What is optional is told as it was given.
    let given = value.strip_prefix("Some(").and_then(|value| value.strip_suffix(')'));
    Err(ConfigError::new(field, given.unwrap_or(&value), expected))
}

/// Refuses what is smaller, and NaN.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn at_least<T: PartialOrd + Debug + Display>(
    field: &'static str,
    value: T,
    least: T,
) -> Result<(), ConfigError> {
    require(value >= least, field, value, format!("at least {least}"))
}

/// Refuses what is NaN or infinite.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn finite<T: Into<f64> + Copy + Debug>(
    field: &'static str,
    value: T,
) -> Result<(), ConfigError> {
    require(value.into().is_finite(), field, value, "a finite number")
}

/// Refuses what is not finite and above 0.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn positive<T: Into<f64> + Copy + Debug>(
    field: &'static str,
    value: T,
) -> Result<(), ConfigError> {
    let number = value.into();
    require(number > 0.0 && number.is_finite(), field, value, "a finite number above 0")
}

/// Refuses what is not finite or below 0.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn not_negative<T: Into<f64> + Copy + Debug>(
    field: &'static str,
    value: T,
) -> Result<(), ConfigError> {
    let number = value.into();
    require(number >= 0.0 && number.is_finite(), field, value, "a finite number, not negative")
}

/// Refuses what is not from 0 to 1, both included.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn share<T: Into<f64> + Copy + Debug>(
    field: &'static str,
    value: T,
) -> Result<(), ConfigError> {
    require((0.0..=1.0).contains(&value.into()), field, value, "a share from 0 to 1")
}

/// Refuses what is not a share below 1: at least 0 and below 1.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn share_below_one<T: Into<f64> + Copy + Debug>(
    field: &'static str,
    value: T,
) -> Result<(), ConfigError> {
    require((0.0..1.0).contains(&value.into()), field, value, "at least 0 and below 1")
}

/// Refuses what is not a share above 0: above 0 and at most 1.
///
/// # Errors
///
/// A [`ConfigError`].
pub fn share_above_zero<T: Into<f64> + Copy + Debug>(
    field: &'static str,
    value: T,
) -> Result<(), ConfigError> {
    let number = value.into();
    require(number > 0.0 && number <= 1.0, field, value, "above 0 and at most 1")
}

/// A field in which two configurations differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its name, `.` between levels.
    pub field: String,
    /// What it is.
    pub found: Value,
    /// What it is expected to be.
    pub expected: Value,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, found, expected } = self;
        match field.as_str() {
            "" => write!(f, "it is {found}, expected {expected}"),
            field => write!(f, "`{field}` is {found}, expected {expected}"),
        }
    }
}

/// The fields in which two configurations, as JSON, differ.
///
/// ```
/// use model_utils_core::config::differences;
/// use serde_json::json;
///
/// let expected = json!({ "seed": 42, "optimizer": { "learning_rate": 0.1, "betas": [0.9, 0.98] } });
/// let found = json!({ "seed": 42, "optimizer": { "learning_rate": 0.2, "betas": [0.9, 0.98] } });
/// let lines: Vec<_> = differences(&expected, &found).iter().map(ToString::to_string).collect();
/// assert_eq!(lines, ["`optimizer.learning_rate` is 0.2, expected 0.1"]);
/// ```
pub fn differences(expected: &Value, found: &Value) -> Vec<Difference> {
    fn compare(field: &str, expected: &Value, found: &Value, lines: &mut Vec<Difference>) {
        match (expected, found) {
            (Value::Object(a), Value::Object(b)) => {
                for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                    let field =
                        if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                    let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                    compare(&field, &of(a), &of(b), lines);
                }
            }
            _ if expected == found => {}
            _ => lines.push(Difference {
                field: field.to_owned(),
                found: found.clone(),
                expected: expected.clone(),
            }),
        }
    }
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_where_they_are_said_to_be() {
        let error = require(false, "n", Some(0.5), "at least 1").unwrap_err().to_string();
        assert_eq!(error, "invalid configuration: `n` is 0.5, expected at least 1");
        assert!(at_least("n", 1_usize, 1).is_ok() && at_least("n", 0_usize, 1).is_err());
        assert!(positive("x", 1e-300).is_ok() && positive("x", 0.0).is_err());
        assert!(not_negative("x", 0.0_f32).is_ok() && not_negative("x", -1e-9).is_err());
        assert!(share("x", 1.0).is_ok() && share("x", 1.0 + f64::EPSILON).is_err());
        assert!(share_below_one("x", 0.0).is_ok() && share_below_one("x", 1.0).is_err());
        assert!(share_above_zero("x", 1.0).is_ok() && share_above_zero("x", 0.0).is_err());
        assert!(finite("x", f64::MAX).is_ok());
        for check in [finite, positive, not_negative, share, share_below_one, share_above_zero] {
            assert!(check("x", f64::NAN).is_err() && check("x", f64::INFINITY).is_err());
        }
        assert!(at_least("x", f64::NAN, 0.0).is_err());
    }
}
