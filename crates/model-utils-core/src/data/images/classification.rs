//! Which kind of labelled set a folder is.

use std::path::Path;
use std::sync::Arc;

use crate::data::dataset::Dataset as _;
use crate::data::images::csv_images::ImageCsv;
use crate::data::images::folder::{ImageFolder, class_folders};
use crate::data::images::idx::{IdxImages, find, mnist_names};
use crate::data::images::labelled::{Classification, Split};
use crate::data::images::listing::images_in;
use crate::error::{Error, Result};

/// The part to learn from where a folder is not split by its owner.
const TRAIN_FRACTION: f64 = 0.9;
/// The seed of that split: fixed, so that both parts agree whoever opens them.
const SPLIT_SEED: u64 = 0;

/// Opens a folder of labelled pictures in the layout that is found there, looked for in this order:
///
/// | found | read as |
/// | --- | --- |
/// | `train-images-idx3-ubyte` or `t10k-images-idx3-ubyte`, also with `.gz` | [`IdxImages::mnist`] |
/// | `train/` with class folders, and `test/` or `val/` | [`ImageFolder`] |
/// | `train.csv` and `test.csv` or `val.csv` | [`ImageCsv`] |
/// | `train.csv` or `labels.csv` alone | [`ImageCsv`], 90 % to learn from and 10 % to test |
/// | class folders | [`ImageFolder`], 90 % to learn from and 10 % to test |
///
/// Where the folder itself is not split, the split is random but always the same. The classes of the
/// test part are those of the part to learn from.
///
/// # Errors
///
/// [`Error::Data`] that says what was looked for if none of it is there or the part is missing or
/// empty, and what reading the set brings.
pub fn open_classification(
    folder: impl AsRef<Path>,
    split: Split,
) -> Result<Arc<dyn Classification>> {
    let folder = folder.as_ref();
    let fail = |reason: &str| Error::data(folder.display().to_string(), reason);
    if !folder.is_dir() {
        return Err(fail("there is no such folder"));
    }
    if [Split::Train, Split::Test].iter().any(|&s| find(folder, &mnist_names(s)[0]).is_some()) {
        return Ok(Arc::new(IdxImages::mnist(folder, split)?));
    }
    let train = folder.join("train");
    if train.is_dir() && has_class_folders(&train)? {
        let learned = ImageFolder::open(&train)?;
        if split == Split::Train {
            return Ok(Arc::new(learned));
        }
        let test = ["test", "val"].map(|name| folder.join(name)).into_iter().find(|p| p.is_dir());
        let test = test.ok_or_else(|| fail("there is train/, but neither test/ nor val/"))?;
        let classes = crate::data::Classes::classes(&learned).to_vec();
        return Ok(Arc::new(ImageFolder::open_with_classes(test, classes)?));
    }
    let list = ["train.csv", "labels.csv"].map(|name| folder.join(name));
    if let Some(list) = list.into_iter().find(|path| path.is_file()) {
        let learned = ImageCsv::open(&list)?;
        let test = ["test.csv", "val.csv"].map(|name| folder.join(name));
        let test = test.into_iter().find(|path| path.is_file());
        return match (test, split) {
            (None, _) => part(learned, split, folder),
            (Some(_), Split::Train) => Ok(Arc::new(learned)),
            (Some(test), Split::Test) => {
                let classes = crate::data::Classes::classes(&learned).to_vec();
                Ok(Arc::new(ImageCsv::open_with_classes(test, classes)?))
            }
        };
    }
    let mut found = "found no labelled pictures".to_owned();
    if has_class_folders(folder)? {
        match ImageFolder::open(folder) {
            Err(Error::Data { reason, .. }) => found = reason,
            opened => return part(opened?, split, folder),
        }
    }
    Err(fail(&format!(
        "{found}; looked for train-images-idx3-ubyte[.gz], train/ with a folder a class, train.csv \
         or labels.csv, and folders with pictures, one a class"
    )))
}

/// Whether a folder holds a folder with pictures.
fn has_class_folders(folder: &Path) -> Result<bool> {
    for class in class_folders(folder)? {
        if !images_in(&class)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One part of a set that is not split by its owner.
fn part(
    set: impl Classification + 'static,
    split: Split,
    folder: &Path,
) -> Result<Arc<dyn Classification>> {
    let len = set.len();
    let (train, test) = set.split(TRAIN_FRACTION, SPLIT_SEED)?;
    let part = match split {
        Split::Train => train,
        Split::Test => test,
    };
    if part.is_empty() {
        let reason = format!("{len} pictures are too few for a part to learn from and one to test");
        return Err(Error::data(folder.display().to_string(), reason));
    }
    Ok(Arc::new(part))
}
