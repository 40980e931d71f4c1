//! The error of this crate, and what its configurations are checked for alike.

use model_utils::config::{self, ConfigError};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Images that the model cannot take.
    #[error(
        "images of shape {found:?} do not fit: expected [batch, {channels}, height, width] with sides of at least {min_side}"
    )]
    Images {
        /// The shape that was given.
        found: [usize; 4],
        /// The channels that the model takes.
        channels: usize,
        /// The least height and width.
        min_side: usize,
    },
    /// From below: files, devices, data, training.
    #[error(transparent)]
    Utils(#[from] model_utils::Error),
}

/// The checks that all configurations share.
pub(crate) fn check_common(
    classes: usize,
    channels: usize,
    dropout: f64,
    output_stride: usize,
) -> Result<(), ConfigError> {
    config::at_least("classes", classes, 1)?;
    config::at_least("channels", channels, 1)?;
    config::share_below_one("dropout", dropout)?;
    let is_known = [8, 16, 32].contains(&output_stride);
    config::require(is_known, "output_stride", output_stride, "8, 16 or 32")
}

/// Refuses a width multiplier that leaves no channels, or too many to be meant.
pub(crate) fn check_width(width: f64) -> Result<(), ConfigError> {
    config::require(width > 0.0 && width <= 16.0, "width", width, "above 0 and at most 16")
}

/// Refuses strides other than 1 and 2.
pub(crate) fn check_strides(strides: [usize; 5]) -> Result<(), ConfigError> {
    let fit = strides.iter().all(|stride| (1..=2).contains(stride));
    config::require(fit, "strides", strides, "1 or 2 at each place")
}
