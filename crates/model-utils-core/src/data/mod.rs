//! Data sets, from files or drawn on demand, and the batches that are made of them.
//!
//! | what | read by | an item |
//! | --- | --- | --- |
//! | labelled pictures | [`open_classification`], which tells [`IdxImages`], [`ImageFolder`] and [`ImageCsv`] apart | [`Labelled`] |
//! | objects in boxes | [`VocBoxes`] | [`BoxedImage`] |
//! | classes of pixels | [`ImageMasks`] | [`MaskedImage`] |
//! | translations | [`SentencePairs`] | [`SentencePair`] |
//! | all of these but the last, without a file | [`Shapes`] | [`Scene`] |
//!
//! All are a [`Dataset`]: a length and `get(index)`. Sets are cut, split and mapped lazily, and a
//! [`Loader`] turns them into batches in a seeded order, decoding in the background.
//!
//! ```
//! use model_utils_core::data::{Dataset, Loader, Normalize, Shapes, Split, Transform};
//!
//! let (train, valid) = Shapes::new(Split::Train, 200).classification().split(0.9, 42)?;
//! let train = Loader::new(train, 16)?
//!     .shuffle(42)
//!     .augment(vec![Transform::random_flip(), Transform::random_affine(10.0, 0.1, 0.1)])
//!     .normalize(Normalize::symmetric());
//! for epoch in 0..2 {
//!     for batch in train.epoch(epoch, 0) {
//!         let batch = batch?;
//!         assert_eq!(batch.images.len(), batch.shape.iter().product::<usize>());
//!     }
//! }
//! # Ok::<(), model_utils_core::error::Error>(())
//! ```
//!
//! Files are never trusted: what is broken, truncated or does not belong together ends in an error
//! that names the file and the line or item, and nothing is set aside because a header asks for it.

mod augment;
mod dataset;
#[cfg(feature = "images")]
mod images;
mod loader;
mod pipeline;
mod seeded;
#[cfg(feature = "text")]
mod sentences;
mod unpack;

pub use augment::Augment;
pub use dataset::{Classes, Dataset, InMemory, Map, Part, Subset};
#[cfg(feature = "images")]
pub use images::{
    BoundingBox, BoxedImage, Classification, Geometry, Idx, IdxImages, ImageBatch, ImageCsv,
    ImageFolder, ImageMasks, Labelled, LabelledImages, MaskedImage, Normalize, Scene, Shape,
    Shapes, ShapesAs, ShapesConfig, Spatial, Split, Transform, VocBoxes, open_classification,
};
pub use loader::{Epoch, Loader, Position};
#[cfg(feature = "text")]
pub use sentences::{
    Columns, DropReason, Dropped, PairReport, SentencePair, SentencePairs, first_line,
    read_sentences,
};
