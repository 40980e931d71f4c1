//! What a data set is, and sets made of other sets.

use std::sync::Arc;

use crate::config;
use crate::data::seeded::{Purpose, permutation};
use crate::error::{Error, Result};
use crate::event::{Asks, Stoppable};

/// Items that are reached by their index, from any thread.
///
/// `get` does the work (reading, decoding, drawing), so that a [`Loader`](crate::data::Loader) can
/// do it in the background. Asked twice for the same index it gives the same item.
pub trait Dataset: Send + Sync {
    /// One example.
    type Item: Send;

    /// The number of items.
    fn len(&self) -> usize;

    /// The item at `index`, counted from 0.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if `index` is not below [`len`](Self::len), and what reading the item brings.
    fn get(&self, index: usize) -> Result<Self::Item>;

    /// Whether there is no item.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items at `indices`, in that order; an index may occur more than once.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if an index is not below [`len`](Self::len).
    fn subset(self, indices: Vec<usize>) -> Result<Subset<Self>>
    where
        Self: Sized,
    {
        match indices.iter().find(|&&i| i >= self.len()) {
            Some(&index) => Err(out_of_range("subset", index, self.len())),
            None => Ok(Subset { dataset: self, indices: indices.into() }),
        }
    }

    /// The first `n` items, or all of them where there are fewer.
    fn take(self, n: usize) -> Subset<Self>
    where
        Self: Sized,
    {
        let indices = (0..n.min(self.len())).collect();
        Subset { dataset: self, indices }
    }

    /// Two disjoint parts that together are the whole, drawn at random: the first has
    /// `round(fraction * len)` items. The same seed gives the same parts.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `fraction` is not within 0 to 1.
    fn split(self, fraction: f64, seed: u64) -> Result<(Part<Self>, Part<Self>)>
    where
        Self: Sized,
    {
        config::share("fraction", fraction)?;
        let order = permutation(self.len(), Purpose::Split, [seed, 0]);
        let (first, second) = order.split_at((fraction * order.len() as f64).round() as usize);
        let whole = Arc::new(self);
        let part =
            |indices: &[usize]| Subset { dataset: Arc::clone(&whole), indices: indices.into() };
        Ok((part(first), part(second)))
    }

    /// Every item passed through `change`, each time it is asked for.
    fn map<T, F>(self, change: F) -> Map<Self, F>
    where
        Self: Sized,
        T: Send,
        F: Fn(Self::Item) -> T + Send + Sync,
    {
        Map { dataset: self, change }
    }

    /// All items read once and kept.
    ///
    /// # Errors
    ///
    /// The first error that reading an item brings.
    fn into_memory(self) -> Result<InMemory<Self::Item>>
    where
        Self: Sized,
        Self::Item: Clone + Sync,
    {
        (0..self.len()).map(|i| self.get(i)).collect()
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<Self::Item> {
        (**self).get(index)
    }
}

impl<D: Dataset + ?Sized> Dataset for Box<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<Self::Item> {
        (**self).get(index)
    }
}

/// Asks before each item: whoever reads, draws or loads the set ends.
impl<D: Dataset, S: Asks + Send + Sync> Dataset for Stoppable<D, S> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.get_ref().len()
    }

    fn get(&self, index: usize) -> Result<Self::Item> {
        let set = self.get_ref();
        self.check("reading a data set", format_args!("item {index} of {}", set.len()))?;
        set.get(index)
    }
}

/// A set whose items have one of a fixed list of classes.
pub trait Classes {
    /// The names of the classes; a label is a place in this list.
    fn classes(&self) -> &[String];
}

impl<D: Classes + ?Sized> Classes for Arc<D> {
    fn classes(&self) -> &[String] {
        (**self).classes()
    }
}

impl<D: Classes + ?Sized> Classes for Box<D> {
    fn classes(&self) -> &[String] {
        (**self).classes()
    }
}

impl<D: Classes, S: Asks> Classes for Stoppable<D, S> {
    fn classes(&self) -> &[String] {
        self.get_ref().classes()
    }
}

/// Items held in memory; `get` clones.
///
/// ```
/// use model_utils_core::data::{Dataset, InMemory};
///
/// let numbers = InMemory::from(vec![1, 2, 3, 4]);
/// let (most, rest) = numbers.map(|n| n * 10).split(0.75, 42)?;
/// assert_eq!((most.len(), rest.len()), (3, 1));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InMemory<T> {
    items: Vec<T>,
}

impl<T> InMemory<T> {
    /// The items.
    pub fn items(&self) -> &[T] {
        &self.items
    }
}

impl<T> From<Vec<T>> for InMemory<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items }
    }
}

impl<T> FromIterator<T> for InMemory<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self { items: items.into_iter().collect() }
    }
}

impl<T: Clone + Send + Sync> Dataset for InMemory<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn get(&self, index: usize) -> Result<T> {
        let item = self.items.get(index).cloned();
        item.ok_or_else(|| out_of_range("in memory", index, self.items.len()))
    }
}

/// Some items of another set: see [`Dataset::subset`], [`Dataset::take`] and [`Dataset::split`].
#[derive(Debug, Clone)]
pub struct Subset<D> {
    dataset: D,
    indices: Arc<[usize]>,
}

impl<D> Subset<D> {
    /// Where the items stand in the whole set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The whole set.
    pub fn whole(&self) -> &D {
        &self.dataset
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<Self::Item> {
        match self.indices.get(index) {
            Some(&index) => self.dataset.get(index),
            None => Err(out_of_range("subset", index, self.indices.len())),
        }
    }
}

impl<D: Classes> Classes for Subset<D> {
    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }
}

/// One of the two parts that [`Dataset::split`] makes of a set.
pub type Part<D> = Subset<Arc<D>>;

/// A set whose items are changed on the way: see [`Dataset::map`].
#[derive(Debug, Clone)]
pub struct Map<D, F> {
    dataset: D,
    change: F,
}

impl<D, T, F> Dataset for Map<D, F>
where
    D: Dataset,
    T: Send,
    F: Fn(D::Item) -> T + Send + Sync,
{
    type Item = T;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize) -> Result<T> {
        self.dataset.get(index).map(&self.change)
    }
}

impl<D: Classes, F> Classes for Map<D, F> {
    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }
}

/// The error for an index that does not exist.
pub(crate) fn out_of_range(origin: impl Into<String>, index: usize, len: usize) -> Error {
    Error::data(origin, format!("there is no item {index}, expected an index below {len}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<D: Dataset>(set: &D) -> Vec<D::Item> {
        (0..set.len()).map(|i| set.get(i).unwrap()).collect()
    }

    #[test]
    fn a_stopped_set_is_read_no_further() {
        use crate::event::Stop;

        let set = Stop::after(3).around(InMemory::from(vec!['a', 'b', 'c', 'd']));
        let error = set.into_memory().unwrap_err();
        assert!(matches!(&error, Error::Stopped { at, .. } if at == "item 3 of 4"), "{error}");
        let set = Stop::after(4).around(InMemory::from(vec!['a', 'b', 'c', 'd']));
        assert_eq!(set.into_memory().unwrap().items(), ['a', 'b', 'c', 'd']);
    }

    #[test]
    fn parts_of_a_set() {
        let set = || InMemory::from(vec!['a', 'b', 'c', 'd']);
        assert_eq!(all(&set().subset(vec![3, 0, 3]).unwrap()), ['d', 'a', 'd']);
        assert!(matches!(set().subset(vec![4]), Err(Error::Data { .. })));
        assert_eq!(all(&set().take(2)), ['a', 'b']);
        assert_eq!(set().take(9).len(), 4);
        assert_eq!(all(&set().map(|c| c.to_ascii_uppercase()).take(2)), ['A', 'B']);
        assert_eq!(set().map(|c| c as u32).into_memory().unwrap().items(), [97, 98, 99, 100]);
        assert!(matches!(set().get(4), Err(Error::Data { .. })));
        assert!(set().take(2).get(2).is_err());
        assert!(set().take(0).is_empty());
    }

    #[test]
    fn splits_are_disjoint_complete_and_repeatable() {
        let set = || (0..100).collect::<InMemory<i32>>();
        let (a, b) = set().split(0.9, 7).unwrap();
        assert_eq!((a.len(), b.len()), (90, 10));
        let mut both = [all(&a), all(&b)].concat();
        assert_ne!(both, all(&set()), "it is shuffled");
        both.sort_unstable();
        assert_eq!(both, all(&set()));
        assert_eq!(all(&set().split(0.9, 7).unwrap().1), all(&b));
        assert_ne!(all(&set().split(0.9, 8).unwrap().1), all(&b));
        assert_eq!(set().split(1.0, 0).unwrap().1.len(), 0);
        for fraction in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(set().split(fraction, 0), Err(Error::Config(_))));
        }
    }
}
