//! Variations of the items of a data set.

use rand::Rng;

use crate::error::Result;

/// What varies the items of a data set, each time in another way: a `Transform` of
/// pictures, several in a `Vec`, or a function `Fn(T, &mut dyn Rng) -> Result<T>`.
pub trait Augment<T>: Send + Sync {
    /// A variation of an item, drawn with `rng` and nothing else.
    ///
    /// # Errors
    ///
    /// What changing the item brings.
    fn augment(&self, item: T, rng: &mut dyn Rng) -> Result<T>;
}

impl<T, F: Fn(T, &mut dyn Rng) -> Result<T> + Send + Sync> Augment<T> for F {
    fn augment(&self, item: T, rng: &mut dyn Rng) -> Result<T> {
        self(item, rng)
    }
}
