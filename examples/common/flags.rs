//! What the values of flags may be: `--help` shows it, and what is outside is refused by flag, value
//! and range.

use std::fmt::{self, Display};
use std::iter::once;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PathBufValueParser, PossibleValue, TypedValueParser};
use clap::error::Error;
use clap::{Arg, Command};

/// The most passes over data.
pub const EPOCHS: u64 = 10_000;
/// The most steps of an optimiser.
pub const STEPS: u64 = 100_000_000;
/// The most items of a batch.
pub const BATCH: usize = 65_536;
/// The most images, games or sentences that are made or looked at.
pub const ITEMS: usize = 1_000_000;
/// The most units of a layer.
pub const UNITS: usize = 10_000;
/// The highest learning rate.
pub const RATE: f64 = 10.0;
/// The longest time, a day, in seconds.
pub const TIME_S: f64 = 86_400.0;

/// A number that has a range.
pub trait Number: FromStr + PartialOrd + Display + Copy + Send + Sync + 'static {
    /// What it is called.
    const NAME: &'static str;
}

impl Number for u32 {
    const NAME: &'static str = "a whole number";
}

impl Number for u64 {
    const NAME: &'static str = "a whole number";
}

impl Number for usize {
    const NAME: &'static str = "a whole number";
}

impl Number for f32 {
    const NAME: &'static str = "a number";
}

impl Number for f64 {
    const NAME: &'static str = "a number";
}

/// Numbers of a range, as a value parser.
#[derive(Debug, Clone, Copy)]
pub struct Within<T>(Bound<T>, Bound<T>);

/// Numbers of a range, which must have the type of the flag: `within(1..=EPOCHS)`.
pub fn within<T: Number>(range: impl RangeBounds<T>) -> Within<T> {
    Within(range.start_bound().cloned(), range.end_bound().cloned())
}

/// Above 0, and at most so much.
pub fn positive(most: f64) -> Within<f64> {
    Within(Excluded(0.0), Included(most))
}

/// At least 0, and below 1.
pub fn below_one() -> Within<f64> {
    within(0.0..1.0)
}

/// As in `1…10`, `>0…1` and `0…<1`.
impl<T: Number> Display for Within<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Included(least) => write!(f, "{least}…")?,
            Excluded(bound) => write!(f, ">{bound}…")?,
            Unbounded => f.write_str("…")?,
        }
        match self.1 {
            Included(most) => write!(f, "{most}"),
            Excluded(bound) => write!(f, "<{bound}"),
            Unbounded => Ok(()),
        }
    }
}

impl<T: Number> TypedValueParser for Within<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        flag: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<T, Error> {
        let range = *self;
        let parse = move |text: &str| {
            let value = text.parse().ok().filter(|value| (range.0, range.1).contains(value));
            value.ok_or_else(|| format!("expected {} in {range}", T::NAME))
        };
        parse.parse_ref(command, flag, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(once(PossibleValue::new(self.to_string()))))
    }
}

/// A file that is there.
pub fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => Err("it is a folder, expected a file".to_owned()),
        Ok(_) => Ok(path),
        Err(error) => Err(format!("no such file ({error})")),
    })
}

/// A folder that is there.
pub fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err("it is a file, expected a folder".to_owned()),
        Err(error) => Err(format!("no such folder ({error})")),
    })
}

/// Some text.
pub fn text(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
}

/// For `#[command(mut_args(signed))]`: what looks like a negative number is a flag's value, so that
/// the flag refuses it by its range.
pub fn signed(flag: Arg) -> Arg {
    flag.allow_negative_numbers(true)
}
