//! Pictures with labels, boxes and masks; batches of them.

mod batch;
mod boxes;
mod classification;
mod csv_images;
mod folder;
mod geometry;
mod idx;
mod labelled;
mod listing;
mod masks;
mod shapes;
mod transform;
mod voc;

pub use batch::{ImageBatch, Normalize};
pub use boxes::{BoundingBox, BoxedImage};
pub use classification::open_classification;
pub use csv_images::ImageCsv;
pub use folder::ImageFolder;
pub use geometry::Geometry;
pub use idx::{Idx, IdxImages};
pub use labelled::{Classification, Labelled, LabelledImages, Split};
pub use masks::{ImageMasks, MaskedImage};
pub use shapes::{Scene, Shape, Shapes, ShapesAs, ShapesConfig};
pub use transform::{Spatial, Transform};
pub use voc::VocBoxes;
