//! The error of this crate.

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error("invalid configuration: `{field}` is {value}, expected {expected}")]
    Config {
        /// The field at fault.
        field: &'static str,
        /// Its value.
        value: String,
        /// The values that work.
        expected: String,
    },
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

impl Error {
    pub(crate) fn config(field: &'static str, value: impl std::fmt::Debug, expected: &str) -> Self {
        Self::Config { field, value: format!("{value:?}"), expected: expected.to_owned() }
    }
}

/// Refuses a model that tells no classes apart.
pub(crate) fn check_classes(classes: usize) -> Result<()> {
    if classes == 0 { Err(Error::config("classes", classes, "at least 1")) } else { Ok(()) }
}

/// The checks that all configurations share.
pub(crate) fn check_common(classes: usize, channels: usize, dropout: f64) -> Result<()> {
    check_classes(classes)?;
    if channels == 0 {
        return Err(Error::config("channels", channels, "at least 1 (3 for colour)"));
    }
    if !(0.0..1.0).contains(&dropout) {
        return Err(Error::config("dropout", dropout, "at least 0 and below 1"));
    }
    Ok(())
}

/// Refuses a width multiplier that leaves no channels, or too many to be meant.
pub(crate) fn check_width(width: f64) -> Result<()> {
    if width > 0.0 && width <= 16.0 {
        Ok(())
    } else {
        Err(Error::config("width", width, "above 0 and at most 16"))
    }
}

/// Refuses strides other than 1 and 2.
pub(crate) fn check_strides(strides: [usize; 5]) -> Result<()> {
    if strides.iter().all(|stride| (1..=2).contains(stride)) {
        Ok(())
    } else {
        Err(Error::config("strides", strides, "1 or 2 at each place"))
    }
}
