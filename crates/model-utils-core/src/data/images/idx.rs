//! IDX files, the format of MNIST.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::data::dataset::{Classes, Dataset, out_of_range};
use crate::data::images::labelled::{Labelled, Split, label_reason};
use crate::data::images::listing::name_of;
use crate::data::unpack::open_unpacked;
use crate::error::{Error, Result};
use crate::image::Image;

/// The most values that are read of one file.
const MAX_VALUES: usize = 1 << 32;
/// How much is set aside before a value has been read, in bytes.
const FIRST_ALLOC_BYTES: usize = 1 << 20;

/// The content of an IDX file of bytes: an array of any rank.
///
/// The file starts with two zero bytes, the type (`0x08`, unsigned bytes), the rank, and one
/// big-endian `u32` a dimension; the values follow, the last dimension fastest
/// ([the MNIST database](http://yann.lecun.com/exdb/mnist/)). Gzipped files are unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Idx {
    /// Reads a file, gzipped or not.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is not IDX of unsigned bytes, or
    /// holds fewer or more values than its header says. No more is read than the header says, at
    /// most 4 Gi values.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::read(open_unpacked(path)?, path)
    }

    /// Reads an array that is not compressed; `origin` only names the source in errors.
    ///
    /// # Errors
    ///
    /// As [`Idx::open`].
    pub fn read(mut reader: impl Read, origin: impl AsRef<Path>) -> Result<Self> {
        let path = origin.as_ref();
        let fail = |reason: String| Error::format(path, "IDX", reason);
        let mut magic = [0; 4];
        fill(&mut reader, &mut magic, path, "the magic number")?;
        let [0, 0, kind, rank] = magic else {
            return Err(fail(format!("it starts with {magic:02x?}, expected [00, 00, 08, rank]")));
        };
        if kind != 0x08 {
            return Err(fail(format!("its values have type {kind:#04x}, expected 0x08 (u8)")));
        }
        let mut shape = Vec::with_capacity(rank.into());
        for _ in 0..rank {
            let mut length = [0; 4];
            fill(&mut reader, &mut length, path, "the shape")?;
            shape.push(u32::from_be_bytes(length) as usize);
        }
        let size = shape.iter().try_fold(1_usize, |n, &length| n.checked_mul(length));
        let Some(size) = size.filter(|&n| n <= MAX_VALUES) else {
            return Err(fail(format!("its shape {shape:?} is more than {MAX_VALUES} values")));
        };
        let mut data = Vec::with_capacity(size.min(FIRST_ALLOC_BYTES));
        let read = reader.take(size as u64 + 1).read_to_end(&mut data);
        read.map_err(|e| read_error(e, path))?;
        if data.len() > size {
            return Err(fail(format!("there is more than the {size} values of shape {shape:?}")));
        }
        if data.len() < size {
            let found = data.len();
            return Err(fail(format!(
                "it ends after {found} of the {size} values of shape {shape:?}"
            )));
        }
        Ok(Self { shape, data })
    }

    /// The length of every dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, the last dimension fastest.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Fills a part of the header.
fn fill(reader: &mut impl Read, bytes: &mut [u8], path: &Path, what: &str) -> Result<()> {
    reader.read_exact(bytes).map_err(|e| {
        if e.kind() == io::ErrorKind::UnexpectedEof {
            Error::format(path, "IDX", format!("it ends within {what}"))
        } else {
            read_error(e, path)
        }
    })
}

/// A failed read: the fault of the compression or of the system.
fn read_error(error: io::Error, path: &Path) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
        Error::format(path, "gzip", error.to_string())
    } else {
        Error::io("read", path)(error)
    }
}

/// Labelled pictures of two [`Idx`] arrays.
#[derive(Debug, Clone)]
pub struct IdxImages {
    images: Idx,
    labels: Idx,
    classes: Vec<String>,
    origin: String,
}

impl IdxImages {
    /// Pairs `[items, height, width]` or `[items, height, width, channels]` pictures with `[items]`
    /// labels. `origin` names the set in errors.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the shapes are others, the numbers of items differ, there is none, or a
    /// label is not a place in `classes`.
    pub fn new(
        images: Idx,
        labels: Idx,
        classes: Vec<String>,
        origin: impl Into<String>,
    ) -> Result<Self> {
        let origin = origin.into();
        let fail = |reason: String| Err(Error::data(&origin, reason));
        let (&[items, height, width] | &[items, height, width, 1 | 3]) = &images.shape[..] else {
            return fail(format!(
                "images have shape {:?}, expected [items, height, width] or [items, height, width, \
                 1 or 3]",
                images.shape
            ));
        };
        let &[count] = &labels.shape[..] else {
            return fail(format!("labels have shape {:?}, expected [items]", labels.shape));
        };
        if items != count {
            return fail(format!("there are {items} images but {count} labels"));
        }
        if items == 0 || height == 0 || width == 0 {
            return fail(format!("images have shape {:?}, expected at least one", images.shape));
        }
        let labelled = labels.data.iter().map(|&l| usize::from(l)).enumerate();
        if let Some((i, label)) = labelled.into_iter().find(|&(_, l)| l >= classes.len()) {
            return fail(label_reason(i, label, classes.len()));
        }
        Ok(Self { images, labels, classes, origin })
    }

    /// MNIST, or another set under its file names (Fashion-MNIST, KMNIST): ten classes `0` to `9`,
    /// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, for the test `t10k-…`, each also with
    /// `.gz` behind it.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if a file is missing or the files do not belong together, and as
    /// [`Idx::open`].
    pub fn mnist(folder: impl AsRef<Path>, split: Split) -> Result<Self> {
        let folder = folder.as_ref();
        let [images, labels] = mnist_names(split);
        let open = |name: &str| match find(folder, name) {
            Some(path) => Idx::open(path),
            None => Err(Error::data(
                folder.display().to_string(),
                format!("there is neither {name} nor {name}.gz"),
            )),
        };
        let classes = (0..10).map(|digit| digit.to_string()).collect();
        Self::new(open(&images)?, open(&labels)?, classes, folder.display().to_string())
    }
}

/// The names of the two files of a split, without `.gz`.
pub(crate) fn mnist_names(split: Split) -> [String; 2] {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    [format!("{prefix}-images-idx3-ubyte"), format!("{prefix}-labels-idx1-ubyte")]
}

/// The file of that name, plain or gzipped; also where `-idx` was unpacked to `.idx`.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")]
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.is_file())
}

impl Dataset for IdxImages {
    type Item = Labelled;

    fn len(&self) -> usize {
        self.labels.data.len()
    }

    fn get(&self, index: usize) -> Result<Labelled> {
        let Some(&label) = self.labels.data.get(index) else {
            let name = name_of(Path::new(&self.origin));
            return Err(out_of_range(name, index, self.len()));
        };
        let (height, width) = (self.images.shape[1], self.images.shape[2]);
        let channels = self.images.shape.get(3).copied().unwrap_or(1);
        let size = height * width * channels;
        let pixels = self.images.data[index * size..(index + 1) * size].to_vec();
        Ok(Labelled { image: Image::new(width, height, channels, pixels)?, label: label.into() })
    }
}

impl Classes for IdxImages {
    fn classes(&self) -> &[String] {
        &self.classes
    }
}
