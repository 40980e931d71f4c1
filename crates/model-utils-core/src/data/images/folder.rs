//! Pictures sorted into one folder a class.

use std::path::{Path, PathBuf};

use crate::data::dataset::{Classes, Dataset, out_of_range};
use crate::data::images::labelled::Labelled;
use crate::data::images::listing::{IMAGE_EXTENSIONS, entries, images_in, name_of};
use crate::error::{Error, Result};
use crate::image::Image;

/// A folder with one sub-folder a class, each with the pictures of that class.
///
/// Classes and files are sorted by name. Pictures are `png`, `jpg`, `jpeg`, `bmp`, `gif`, `ppm`,
/// `pgm` and `pnm` files directly in the class folder; other files and hidden entries are passed
/// over. A picture is decoded when it is asked for.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    folder: PathBuf,
    files: Vec<(PathBuf, usize)>,
    classes: Vec<String>,
}

impl ImageFolder {
    /// Lists a folder; its sub-folders are the classes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a folder cannot be listed, [`Error::Data`] if there is no sub-folder or one
    /// holds no picture.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let classes = class_folders(folder)?.iter().map(|path| name_of(path)).collect();
        Self::open_with_classes(folder, classes)
    }

    /// Lists a folder whose classes are known: so the test part of a set gets the same labels as
    /// the part that was learned from. A class may have no folder.
    ///
    /// # Errors
    ///
    /// As [`ImageFolder::open`], and [`Error::Data`] if a sub-folder is not one of `classes`.
    pub fn open_with_classes(folder: impl AsRef<Path>, classes: Vec<String>) -> Result<Self> {
        let folder = folder.as_ref();
        let fail = |reason: String| Error::data(folder.display().to_string(), reason);
        let mut files = Vec::new();
        for path in class_folders(folder)? {
            let name = name_of(&path);
            let label = classes.iter().position(|class| *class == name).ok_or_else(|| {
                fail(format!("folder `{name}` is not one of the classes {}", classes.join(", ")))
            })?;
            let images = images_in(&path)?;
            if images.is_empty() {
                let known = IMAGE_EXTENSIONS.join(", ");
                return Err(fail(format!("class folder `{name}` holds no picture ({known})")));
            }
            files.extend(images.into_iter().map(|image| (image, label)));
        }
        if files.is_empty() {
            return Err(fail("there is no class folder with pictures in it".into()));
        }
        Ok(Self { folder: folder.to_path_buf(), files, classes })
    }

    /// The files and their labels, in the order of the items.
    pub fn files(&self) -> &[(PathBuf, usize)] {
        &self.files
    }
}

/// The folders in a folder, sorted by name.
pub(crate) fn class_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = entries(folder)?;
    folders.retain(|path| path.is_dir());
    Ok(folders)
}

impl Dataset for ImageFolder {
    type Item = Labelled;

    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, index: usize) -> Result<Labelled> {
        match self.files.get(index) {
            Some((path, label)) => Ok(Labelled { image: Image::open(path)?, label: *label }),
            None => Err(out_of_range(self.folder.display().to_string(), index, self.len())),
        }
    }
}

impl Classes for ImageFolder {
    fn classes(&self) -> &[String] {
        &self.classes
    }
}
