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
//! use model_utils::data::{Dataset, Loader, Normalize, Shapes, Split, Transform};
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
//! # Ok::<(), model_utils::error::Error>(())
//! ```
//!
//! Files are never trusted: what is broken, truncated or does not belong together ends in an error
//! that names the file and the line or item, and nothing is set aside because a header asks for it.

mod batch;
mod boxes;
mod classification;
mod csv_images;
mod dataset;
mod files;
mod folder;
mod geometry;
mod idx;
mod labelled;
mod loader;
mod masks;
mod pipeline;
mod sentences;
mod shapes;
mod stream;
mod tensors;
mod transform;
mod voc;

pub use batch::{ImageBatch, Normalize};
pub use boxes::{BoundingBox, BoxedImage};
pub use classification::open_classification;
pub use csv_images::ImageCsv;
pub use dataset::{Classes, Dataset, InMemory, Map, Part, Subset};
pub use folder::ImageFolder;
pub use geometry::Geometry;
pub use idx::{Idx, IdxImages};
pub use labelled::{Classification, Labelled, LabelledImages, Split};
pub use loader::{Epoch, Loader, Position};
pub use masks::{ImageMasks, MaskedImage};
pub use sentences::{SentencePair, SentencePairs, read_sentences};
pub use shapes::{Scene, Shape, Shapes, ShapesAs, ShapesConfig};
pub use transform::{Augment, Spatial, Transform};
pub use voc::VocBoxes;
