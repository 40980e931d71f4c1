//! What observations and actions may be, as values.
//!
//! An element of any space is also a row of numbers, its *flat* form: an index is one number, a bit 0 or
//! 1, and what is put together stands one after the other. A network reads it as *features*:
//! indices one-hot, images over their greatest value, other numbers as they are.
//!
//! | space | element | flat numbers | features | choices |
//! | --- | --- | --- | --- | --- |
//! | [`Discrete(n)`](Space::Discrete) | `usize` | 1 | n | n |
//! | [`Continuous`](Space::Continuous) of n | `[f64; N]`, `Vec<f64>` | n | n | 0 |
//! | [`MultiDiscrete([a, b])`](Space::MultiDiscrete) | `[usize; N]`, `Vec<usize>` | 2 | a + b | a + b |
//! | [`MultiBinary(n)`](Space::MultiBinary) | `[bool; N]`, `Vec<bool>` | n | n | 2 n |
//! | [`Image`](Space::Image) `[c, h, w]` | `Vec<u8>`, `Vec<f64>` | c · h · w | c · h · w | 0 |
//! | [`Tuple`](Space::Tuple), [`Dict`](Space::Dict) | tuples, a type of [`element!`](crate::element) | sum | sum | sum |
//!
//! `Vec<f64>`, the flat form itself, is an element of each. Choices are what an action mask has an
//! entry for.

use std::fmt;

use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most features or choices of a space.
const MOST: usize = 1 << 24;

/// A set of observations or actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Space {
    /// 0, 1, …, n − 1.
    Discrete(usize),
    /// A vector of numbers, each between its own ends.
    Continuous {
        /// The least values; −∞ where there is none.
        #[serde(with = "ends")]
        low: Vec<f64>,
        /// The greatest values; ∞ where there is none.
        #[serde(with = "ends")]
        high: Vec<f64>,
    },
    /// Several indices, each below its own count.
    MultiDiscrete(Vec<usize>),
    /// So many bits.
    MultiBinary(usize),
    /// A picture.
    Image {
        /// Channels, height, width.
        shape: [usize; 3],
        /// The greatest value: 255 for bytes, 1 for planes of bits.
        most: f64,
    },
    /// One of each, in this order.
    Tuple(Vec<Self>),
    /// One of each, by name.
    Dict(Vec<(String, Self)>),
}

/// Why numbers are no element of a space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Misfit {
    /// There are so many of them.
    Length(usize),
    /// This one is NaN, infinite, or beyond single precision.
    NotFinite(f64),
    /// The number at this place is no index, bit or number within the ends.
    Outside {
        /// Its place in the flat form, from 0.
        place: usize,
        /// What it is.
        value: f64,
    },
}

/// As `3 numbers`, `NaN`, `7 at place 2`.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(found) => write!(f, "{found} numbers"),
            Self::NotFinite(value) => write!(f, "{value}"),
            Self::Outside { place, value } => write!(f, "{value} at place {place}"),
        }
    }
}

/// A part of an action that is chosen by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Head {
    /// One of so many.
    Category(usize),
    /// A number between these.
    Number { low: f64, high: f64 },
}

impl Space {
    /// A vector of `length` numbers, each between −`most` and `most`.
    pub fn symmetric(length: usize, most: f64) -> Self {
        Self::Continuous { low: vec![-most; length], high: vec![most; length] }
    }

    /// A vector whose numbers are between minus and plus these.
    pub fn within(most: &[f64]) -> Self {
        Self::Continuous { low: most.iter().map(|x| -x).collect(), high: most.to_vec() }
    }

    /// A vector of `length` numbers of any size.
    pub fn unbounded(length: usize) -> Self {
        Self::symmetric(length, f64::INFINITY)
    }

    /// The parts of it, for what is put together.
    fn parts(&self) -> impl Iterator<Item = &Self> {
        let (tuple, dict) = match self {
            Self::Tuple(parts) => (parts.as_slice(), [].as_slice()),
            Self::Dict(parts) => ([].as_slice(), parts.as_slice()),
            _ => ([].as_slice(), [].as_slice()),
        };
        tuple.iter().chain(dict.iter().map(|(_, part)| part))
    }

    /// The sum of a count over it or its parts; no overflow.
    fn sum(&self, count: impl Fn(&Self) -> usize) -> usize {
        self.parts().map(count).fold(0, usize::saturating_add)
    }

    /// The length of the flat form.
    pub fn numbers(&self) -> usize {
        match self {
            Self::Discrete(_) => 1,
            Self::MultiDiscrete(counts) => counts.len(),
            Self::Tuple(_) | Self::Dict(_) => self.sum(Self::numbers),
            _ => self.features(),
        }
    }

    /// How many numbers describe an element to a network: indices are one-hot.
    pub fn features(&self) -> usize {
        match self {
            Self::Discrete(count) | Self::MultiBinary(count) => *count,
            Self::Continuous { low, .. } => low.len(),
            Self::MultiDiscrete(counts) => counts.iter().copied().fold(0, usize::saturating_add),
            Self::Image { shape, .. } => shape.iter().copied().fold(1, usize::saturating_mul),
            Self::Tuple(_) | Self::Dict(_) => self.sum(Self::features),
        }
    }

    /// What an action mask has an entry for: each index of each part, and of a bit 0 and 1.
    pub fn choices(&self) -> usize {
        match self {
            Self::Discrete(_) | Self::MultiDiscrete(_) => self.features(),
            Self::MultiBinary(count) => count.saturating_mul(2),
            Self::Continuous { .. } | Self::Image { .. } => 0,
            Self::Tuple(_) | Self::Dict(_) => self.sum(Self::choices),
        }
    }

    /// What is chosen by itself, a part for each flat number.
    pub(crate) fn heads(&self) -> Vec<Head> {
        let number = |(low, high): (&f64, &f64)| Head::Number { low: *low, high: *high };
        match self {
            Self::Discrete(count) => vec![Head::Category(*count)],
            Self::MultiDiscrete(counts) => counts.iter().map(|n| Head::Category(*n)).collect(),
            Self::MultiBinary(count) => vec![Head::Category(2); *count],
            Self::Continuous { low, high } => low.iter().zip(high).map(number).collect(),
            Self::Image { most, .. } => {
                vec![Head::Number { low: 0.0, high: *most }; self.features()]
            }
            Self::Tuple(_) | Self::Dict(_) => self.parts().flat_map(Self::heads).collect(),
        }
    }

    /// Whether it holds an index.
    pub fn holds_index(&self, index: usize) -> bool {
        matches!(self, Self::Discrete(count) if index < *count)
    }

    /// Whether these flat numbers are an element.
    pub fn holds(&self, numbers: &[f64]) -> bool {
        self.misfit(numbers).is_none()
    }

    /// Why these flat numbers are no element; none where they are.
    pub fn misfit(&self, numbers: &[f64]) -> Option<Misfit> {
        if let Err(misfit) = self.form(numbers) {
            return Some(misfit);
        }
        let outside = |(head, x): (&Head, &f64)| match head {
            Head::Category(_) => false,
            Head::Number { low, high } => x < low || high < x,
        };
        let place = self.heads().iter().zip(numbers).position(outside)?;
        Some(Misfit::Outside { place, value: numbers[place] })
    }

    /// Whether flat numbers have the form of an element: their count, finite in single precision, indices
    /// and bits where they are expected. Numbers beyond the ends have it.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn form(&self, numbers: &[f64]) -> Result<(), Misfit> {
        if numbers.len() != self.numbers() {
            return Err(Misfit::Length(numbers.len()));
        }
        self.form_from(0, numbers)
    }

    /// The same of a part that begins at a place.
    fn form_from(&self, from: usize, numbers: &[f64]) -> Result<(), Misfit> {
        if let Some(x) = numbers.iter().find(|x| !(**x as f32).is_finite()) {
            return Err(Misfit::NotFinite(*x));
        }
        let below = |count: &dyn Fn(usize) -> usize| match numbers
            .iter()
            .enumerate()
            .find(|(at, x)| !is_index(**x, count(*at)))
        {
            Some((at, x)) => Err(Misfit::Outside { place: from + at, value: *x }),
            None => Ok(()),
        };
        match self {
            Self::Continuous { .. } | Self::Image { .. } => Ok(()),
            Self::Discrete(count) => below(&|_| *count),
            Self::MultiBinary(_) => below(&|_| 2),
            Self::MultiDiscrete(counts) => below(&|at| counts[at]),
            Self::Tuple(_) | Self::Dict(_) => self
                .along(numbers)
                .try_fold(from, |at, pair| {
                    let (part, numbers) = pair;
                    part.form_from(at, numbers).map(|()| at + numbers.len())
                })
                .map(|_| ()),
        }
    }

    /// The parts, each with its flat numbers.
    pub(crate) fn along<'a>(
        &'a self,
        mut numbers: &'a [f64],
    ) -> impl Iterator<Item = (&'a Self, &'a [f64])> {
        self.parts().map(move |part| {
            let (mine, rest) = numbers.split_at(part.numbers().min(numbers.len()));
            numbers = rest;
            (part, mine)
        })
    }

    /// Writes flat numbers as features. Numbers beyond the ends are written as they are.
    ///
    /// # Errors
    ///
    /// As [`form`](Self::form).
    ///
    /// # Panics
    ///
    /// Where there is not room for exactly [`features`](Self::features) numbers.
    pub fn encode(&self, numbers: &[f64], out: &mut [f32]) -> Result<(), Misfit> {
        self.form(numbers)?;
        assert_eq!(out.len(), self.features(), "room for the features of {self}");
        self.write_features(numbers, out);
        Ok(())
    }

    fn write_features(&self, numbers: &[f64], mut out: &mut [f32]) {
        let all = |out: &mut [f32], most: f64| {
            out.iter_mut().zip(numbers).for_each(|(out, x)| *out = (x / most) as f32);
        };
        match self {
            Self::Continuous { .. } | Self::MultiBinary(_) => all(out, 1.0),
            Self::Image { most, .. } => all(out, *most),
            Self::Discrete(_) => {
                out.fill(0.0);
                out[numbers[0] as usize] = 1.0;
            }
            Self::MultiDiscrete(counts) => {
                out.fill(0.0);
                let mut from = 0;
                for (count, x) in counts.iter().zip(numbers) {
                    out[from + *x as usize] = 1.0;
                    from += count;
                }
            }
            Self::Tuple(_) | Self::Dict(_) => {
                for (part, numbers) in self.along(numbers) {
                    let (mine, rest) = out.split_at_mut(part.features());
                    part.write_features(numbers, mine);
                    out = rest;
                }
            }
        }
    }

    /// An element at random in its flat form: choices even among those that the mask does not forbid,
    /// among all of a part where it forbids all, numbers even between their ends, or standard normal
    /// where there is none.
    pub fn sample(&self, mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        let mut at = 0;
        let mut draw = |head: Head| match head {
            Head::Category(count) => {
                let from = at;
                at += count;
                let free = |at: usize| mask.and_then(|mask| mask.get(at)) != Some(&false);
                let allowed: Vec<usize> = (0..count).filter(|choice| free(from + choice)).collect();
                let pick = random.below(if allowed.is_empty() { count } else { allowed.len() });
                allowed.get(pick).map_or(pick, |choice| *choice) as f64
            }
            Head::Number { low, high } => match (low.is_finite(), high.is_finite()) {
                (true, true) => random.uniform_in(low..high),
                (true, false) => low + random.normal().abs(),
                (false, true) => high - random.normal().abs(),
                (false, false) => random.normal(),
            },
        };
        self.heads().into_iter().map(&mut draw).collect()
    }

    /// Whether a mask allows an element, which is given by its flat numbers.
    pub fn allows(&self, numbers: &[f64], mask: &[bool]) -> bool {
        let mut at = 0;
        self.heads().iter().zip(numbers).all(|(head, x)| {
            let Head::Category(count) = head else { return true };
            let from = at;
            at += count;
            !is_index(*x, *count) || mask.get(from + *x as usize) != Some(&false)
        })
    }

    /// Refuses a space that has no element or is too large.
    pub(crate) fn check(&self, field: &'static str) -> Result<(), ConfigError> {
        match self {
            Self::Discrete(count) | Self::MultiBinary(count) => {
                config::at_least(field, *count, 1)?;
            }
            Self::MultiDiscrete(counts) => {
                let fits = !counts.is_empty() && !counts.contains(&0);
                config::require(fits, field, self, "counts of at least 1")?;
            }
            Self::Continuous { low, high } => {
                // Ends are infinite or within single precision.
                let is_end = |end: f64| end.is_infinite() || (end as f32).is_finite();
                let ordered = |(l, h): (&f64, &f64)| {
                    let some = *l < f64::INFINITY && *h > f64::NEG_INFINITY;
                    l <= h && some && is_end(*l) && is_end(*h)
                };
                let fits =
                    !low.is_empty() && low.len() == high.len() && low.iter().zip(high).all(ordered);
                let expected =
                    "at least 1 number, each low at most its high, within single precision";
                config::require(fits, field, self, expected)?;
            }
            Self::Image { shape, most } => {
                let fits = !shape.contains(&0) && (*most as f32).is_finite() && *most > 0.0;
                let expected = "sides of at least 1 and a value above 0, within single precision";
                config::require(fits, field, self, expected)?;
            }
            Self::Tuple(_) | Self::Dict(_) => {
                config::require(self.parts().next().is_some(), field, self, "at least 1 part")?;
                self.parts().try_for_each(|part| part.check(field))?;
                if let Self::Dict(parts) = self {
                    let names: std::collections::BTreeSet<_> =
                        parts.iter().map(|(name, _)| name).collect();
                    config::require(names.len() == parts.len(), field, self, "a name each")?;
                }
            }
        }
        let size = self.features().max(self.choices());
        config::require(size <= MOST, field, self, format!("at most {MOST} features"))
    }

    /// Whether the other has elements of the same form: ends may differ.
    fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Continuous { low, .. }, Self::Continuous { low: other, .. }) => {
                low.len() == other.len()
            }
            (Self::Tuple(_), Self::Tuple(_)) | (Self::Dict(_), Self::Dict(_)) => {
                let names = |space: &Self| match space {
                    Self::Dict(parts) => parts.iter().map(|(name, _)| name.clone()).collect(),
                    _ => Vec::new(),
                };
                let alike = |(a, b): (&Self, &Self)| a.is_alike(b);
                names(self) == names(other)
                    && self.parts().count() == other.parts().count()
                    && self.parts().zip(other.parts()).all(alike)
            }
            _ => self == other,
        }
    }
}

/// Whether it is one of 0, 1, …, count − 1.
fn is_index(value: f64, count: usize) -> bool {
    value >= 0.0 && value < count as f64 && value.fract() == 0.0
}

impl fmt::Display for Space {
    #[allow(clippy::float_cmp)] // The same ends are meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discrete(count) => write!(f, "one of 0..{count}"),
            Self::MultiDiscrete(counts) => write!(f, "{} indices below {counts:?}", counts.len()),
            Self::MultiBinary(count) => write!(f, "{count} bits"),
            Self::Image { shape: [channels, height, width], most } => {
                write!(f, "an image [{channels}, {height}, {width}] in 0..={most}")
            }
            Self::Continuous { low, high } => {
                let same = |v: &[f64]| v.iter().all(|x| *x == v[0]);
                if !low.is_empty() && !high.is_empty() && same(low) && same(high) {
                    write!(f, "{} numbers in {}..={}", low.len(), low[0], high[0])
                } else {
                    write!(f, "{} numbers in {low:?}..={high:?}", low.len())
                }
            }
            Self::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                write!(f, "({})", parts.join("; "))
            }
            Self::Dict(parts) => {
                let part = |(name, part): &(String, Self)| format!("{name}: {part}");
                let parts: Vec<String> = parts.iter().map(part).collect();
                write!(f, "{{{}}}", parts.join("; "))
            }
        }
    }
}

/// The spaces of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spaces {
    /// What is observed.
    pub observation: Space,
    /// What can be done.
    pub action: Space,
}

impl Spaces {
    /// Refuses spaces without elements: ends in the wrong order, no actions, an empty observation.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with what was found and expected.
    pub fn check(&self) -> Result<()> {
        self.observation.check("observation space")?;
        Ok(self.action.check("action space")?)
    }

    /// Refuses spaces that are not these; the ends of observations may differ.
    pub(crate) fn expect(&self, found: &Self) -> Result<()> {
        if !self.observation.is_alike(&found.observation) {
            let expected = self.observation.to_string();
            return Err(Error::spaces("observation", &found.observation, expected));
        }
        if self.action != found.action {
            return Err(Error::spaces("action", &found.action, self.action.to_string()));
        }
        Ok(())
    }

    /// Refuses a mask that is not one of the action space, or that allows nothing in a part.
    ///
    /// # Errors
    ///
    /// [`Error::Mask`].
    pub(crate) fn check_mask(&self, mask: &[bool]) -> Result<()> {
        let bad = |found: String| {
            let expected =
                format!("{} entries that leave a choice of {}", self.action.choices(), self.action);
            Err(Error::Mask { found, expected })
        };
        if mask.len() != self.action.choices() {
            return bad(format!("{} entries", mask.len()));
        }
        // The usual one without a look at its parts.
        if let Space::Discrete(_) = self.action {
            return if mask.contains(&true) { Ok(()) } else { bad("all false".to_owned()) };
        }
        let mut at = 0;
        for (part, head) in self.action.heads().iter().enumerate() {
            let Head::Category(count) = head else { continue };
            if !mask[at..at + count].contains(&true) {
                return bad(format!("all false in part {part}"));
            }
            at += count;
        }
        Ok(())
    }
}

/// JSON has no infinity: a word stands for it.
mod ends {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum End {
        Number(f64),
        Word(Word),
    }

    #[derive(Serialize, Deserialize)]
    enum Word {
        #[serde(rename = "inf")]
        Infinity,
        #[serde(rename = "-inf")]
        MinusInfinity,
        #[serde(rename = "nan")]
        NotANumber,
    }

    pub(super) fn serialize<S: Serializer>(ends: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let end = |x: &f64| match *x {
            x if x.is_finite() => End::Number(x),
            f64::INFINITY => End::Word(Word::Infinity),
            f64::NEG_INFINITY => End::Word(Word::MinusInfinity),
            _ => End::Word(Word::NotANumber),
        };
        to.collect_seq(ends.iter().map(end))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let ends: Vec<End> = Deserialize::deserialize(from)?;
        let number = |end| match end {
            End::Number(x) => x,
            End::Word(Word::Infinity) => f64::INFINITY,
            End::Word(Word::MinusInfinity) => f64::NEG_INFINITY,
            End::Word(Word::NotANumber) => f64::NAN,
        };
        Ok(ends.into_iter().map(number).collect())
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // Exact values are meant.
mod tests {
    use super::*;

    fn nested() -> Space {
        Space::Dict(vec![
            ("day".to_owned(), Space::Discrete(3)),
            ("stock".to_owned(), Space::symmetric(2, 9.0)),
            ("open".to_owned(), Space::MultiBinary(2)),
            (
                "rest".to_owned(),
                Space::Tuple(vec![
                    Space::MultiDiscrete(vec![2, 3]),
                    Space::Image { shape: [1, 1, 2], most: 255.0 },
                ]),
            ),
        ])
    }

    #[test]
    fn spaces_survive_json_with_their_infinities() {
        let infinity = f64::INFINITY;
        for space in [
            Space::within(&[2.4, infinity]),
            Space::Continuous { low: vec![-infinity, -infinity], high: vec![infinity, -1.0] },
            nested(),
        ] {
            let text = serde_json::to_string(&space).unwrap();
            assert_eq!(serde_json::from_str::<Space>(&text).unwrap(), space, "{text}");
        }
        let space = Space::within(&[2.4, infinity]);
        assert!(space.holds(&[-2.4, 1e9]) && !space.holds(&[2.5, 0.0]) && !space.holds(&[0.0]));
        assert!(!space.holds(&[f64::NAN, 0.0]));
        assert_eq!(Space::symmetric(2, 1.0).to_string(), "2 numbers in -1..=1");
    }

    #[test]
    fn what_is_put_together_stands_one_after_the_other() {
        let space = nested();
        assert_eq!((space.numbers(), space.features(), space.choices()), (9, 14, 3 + 4 + 5));
        let flat = [2.0, -1.5, 4.0, 1.0, 0.0, 1.0, 2.0, 255.0, 51.0];
        assert!(space.holds(&flat));
        let mut out = [9.0; 14];
        space.encode(&flat, &mut out).unwrap();
        let expected = [0.0, 0.0, 1.0, -1.5, 4.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.2];
        assert_eq!(out, expected);
        for (place, value) in [(0, 3.0), (0, 0.5), (3, 2.0), (6, -1.0)] {
            let mut wrong = flat;
            wrong[place] = value;
            let misfit = Misfit::Outside { place, value };
            assert_eq!(space.misfit(&wrong), Some(misfit));
            assert_eq!(space.encode(&wrong, &mut out), Err(misfit));
        }
        assert_eq!(space.encode(&flat[1..], &mut out), Err(Misfit::Length(8)));
        let mut wrong = flat;
        wrong[1] = 1e39;
        assert_eq!(space.encode(&wrong, &mut out), Err(Misfit::NotFinite(1e39)));

        let mut random = Random::new(1);
        // Only the last of each.
        let mask: Vec<bool> =
            [3, 2, 2, 2, 3].iter().flat_map(|n| (0..*n).map(move |i| i + 1 == *n)).collect();
        for _ in 0..100 {
            let drawn = space.sample(Some(&mask), &mut random);
            assert!(space.holds(&drawn), "{drawn:?}");
            assert_eq!((drawn[0], &drawn[3..7]), (2.0, [1.0, 1.0, 1.0, 2.0].as_slice()));
        }
    }

    #[test]
    fn spaces_without_elements_are_refused() {
        let discrete = Space::Discrete(2);
        let space = |action: Space| Spaces { observation: discrete.clone(), action }.check();
        for bad in [
            Space::Discrete(0),
            Space::Continuous { low: vec![1.0], high: vec![0.0] },
            Space::Continuous { low: vec![f64::NAN], high: vec![0.0] },
            Space::Continuous { low: vec![0.0], high: vec![] },
            Space::unbounded(0),
            Space::MultiDiscrete(vec![]),
            Space::MultiDiscrete(vec![2, 0]),
            Space::MultiDiscrete(vec![usize::MAX, usize::MAX]),
            Space::MultiBinary(usize::MAX),
            Space::symmetric(1, 1e308),
            Space::Image { shape: [1, 0, 1], most: 1.0 },
            Space::Image { shape: [usize::MAX, 2, 2], most: 1.0 },
            Space::Tuple(vec![]),
            Space::Dict(vec![("a".to_owned(), Space::Discrete(0))]),
        ] {
            let error = space(bad.clone()).unwrap_err().to_string();
            assert!(error.contains("action space"), "{bad:?}: {error}");
        }
        space(Space::Continuous { low: vec![0.0], high: vec![f64::INFINITY] }).unwrap();
    }

    #[test]
    fn masks_are_of_the_space_and_leave_a_choice() {
        let spaces = |action| Spaces { observation: Space::Discrete(1), action };
        let two = spaces(Space::MultiDiscrete(vec![2, 3]));
        two.check_mask(&[true, false, false, false, true]).unwrap();
        for (mask, found) in [
            (vec![true; 4], "4 entries"),
            (vec![true, true, false, false, false], "all false in part 1"),
        ] {
            let error = two.check_mask(&mask).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
        let one = spaces(Space::Discrete(2));
        assert!(one.check_mask(&[false; 2]).unwrap_err().to_string().contains("all false"));
    }
}
