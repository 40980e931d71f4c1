//! Numbers in files: JSON has no word for infinity and NaN. For `#[serde(with = "…")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Word(String),
    /// What older files hold for a number that is not finite.
    Null(()),
}

impl Written {
    fn of(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Word(number.to_string()) }
    }

    fn read<E: de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Null(()) => Ok(f64::NAN),
            Self::Word(word) => match word.as_str() {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                "NaN" => Ok(f64::NAN),
                _ => Err(E::custom(format!("`{word}` is no number"))),
            },
        }
    }
}

/// Writes a number, or the word for it.
///
/// # Errors
///
/// Those of the format.
#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Written::of(*number).serialize(serializer)
}

/// Reads either; nothing is NaN.
///
/// # Errors
///
/// Those of the format, and a word that is none of a number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Written::deserialize(deserializer)?.read()
}

/// The same for a number that may be missing.
pub mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Written};

    /// Writes a number, the word for it, or nothing.
    ///
    /// # Errors
    ///
    /// Those of the format.
    #[allow(clippy::ref_option)] // As serde calls it.
    pub fn serialize<S: Serializer>(
        number: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.map(Written::of).serialize(serializer)
    }

    /// Reads either; nothing is none.
    ///
    /// # Errors
    ///
    /// Those of the format, and a word that is none of a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Option::<Written>::deserialize(deserializer)?.map(Written::read).transpose()
    }
}

/// The same for numbers by name.
pub mod map {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, Serializer, Written};

    /// Writes each number, or the word for it.
    ///
    /// # Errors
    ///
    /// Those of the format.
    pub fn serialize<S: Serializer>(
        numbers: &BTreeMap<String, f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(numbers.iter().map(|(name, number)| (name, Written::of(*number))))
    }

    /// Reads either; nothing is NaN.
    ///
    /// # Errors
    ///
    /// Those of the format, and a word that is none of a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let written = BTreeMap::<String, Written>::deserialize(deserializer)?;
        written.into_iter().map(|(name, number)| Ok((name, number.read()?))).collect()
    }
}

/// The same for points, (step, value) each.
pub mod points {
    use super::{Deserialize, Deserializer, Serializer, Written};

    /// Writes each value, or the word for it.
    ///
    /// # Errors
    ///
    /// Those of the format.
    pub fn serialize<S: Serializer>(
        points: &[(u64, f64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(points.iter().map(|&(step, value)| (step, Written::of(value))))
    }

    /// Reads either; nothing is NaN.
    ///
    /// # Errors
    ///
    /// Those of the format, and a word that is none of a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u64, f64)>, D::Error> {
        let written = Vec::<(u64, Written)>::deserialize(deserializer)?;
        written.into_iter().map(|(step, value)| Ok((step, value.read()?))).collect()
    }
}
