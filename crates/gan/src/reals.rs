//! Real samples: what the discriminator compares with.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::config;
use model_utils::data::{Classes, Dataset, Labelled, Split, open_classification};
use model_utils::image::Image;
use model_utils::train::{Asks as _, Stop};
use nalgebra::DMatrix;

use crate::clusters::balanced_clusters;
use crate::error::{Error, Result};
use crate::noise::Noise;

/// A batch of samples with their classes, where they have any.
pub type Batch<const D: usize> = (Tensor<D>, Option<Tensor<1, Int>>);

/// Where real samples of rank `D` (with the batch) come from.
pub trait Reals<const D: usize> {
    /// The shape of one sample: `[channels, height, width]` or `[features]`.
    fn sample_shape(&self) -> Vec<usize>;

    /// How many there are; `None` where they are drawn without end.
    fn len(&self) -> Option<usize>;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Classes; 0 where samples have none.
    fn classes(&self) -> usize {
        0
    }

    /// The values that samples may have, where they have bounds.
    fn range(&self) -> Option<[f64; 2]> {
        None
    }

    /// The batch of a number, from 0: a function of seed and number alone, so that a run resumes
    /// exactly.
    ///
    /// # Errors
    ///
    /// What reading samples brings.
    fn batch(&self, seed: u64, number: u64, size: usize, device: &Device) -> Result<Batch<D>>;
}

/// Images of one size, held in memory, with values from −1 to 1.
///
/// Each epoch takes them in another order; what does not fill a batch is left out of the epoch.
#[derive(Debug, Clone)]
pub struct Images {
    pixels: Arc<[u8]>,
    labels: Vec<usize>,
    classes: Vec<String>,
    /// Channels, height, width.
    shape: [usize; 3],
    order: Arc<Mutex<Order>>,
}

/// The order of an epoch.
#[derive(Debug, Default)]
struct Order {
    of: Option<(u64, u64)>,
    indices: Vec<u32>,
}

impl Images {
    /// Images and their classes; `classes` may be empty where nothing is known of them.
    ///
    /// # Errors
    ///
    /// [`Error::Reals`] for no images, images of other sizes or channels than the first, a label
    /// without class, or images that are all of one colour.
    pub fn new(items: impl IntoIterator<Item = Labelled>, classes: Vec<String>) -> Result<Self> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let mut shape = None;
        for (at, Labelled { image, label }) in items.into_iter().enumerate() {
            let found = [image.channels(), image.height(), image.width()];
            let expected = *shape.get_or_insert(found);
            if found != expected {
                let [c, h, w] = expected;
                let [channels, height, width] = found;
                return Err(Error::Reals(format!(
                    "image {at} is {width}×{height} with {channels} channels, expected {w}×{h} with \
                     {c}, as the images before it"
                )));
            }
            if !classes.is_empty() && label >= classes.len() {
                let (count, last) = (classes.len(), classes.len() - 1);
                let what =
                    format!("image {at} has label {label}, expected 0 to {last} ({count} classes)");
                return Err(Error::Reals(what));
            }
            pixels.extend(planes(&image));
            labels.push(label);
        }
        let Some(shape) = shape else {
            return Err(Error::Reals("there is no image".to_owned()));
        };
        if pixels.iter().all(|&value| value == pixels[0]) {
            let (count, value) = (labels.len(), pixels[0]);
            let what = format!("all pixels of all {count} images are {value}: nothing to learn");
            return Err(Error::Reals(what));
        }
        let order = Arc::default();
        Ok(Self { pixels: pixels.into(), labels, classes, shape, order })
    }

    /// All items of a labelled set, as they are. It takes a while where they are read from files or
    /// drawn: `Images::from_dataset(&stop.around(set))` can be stopped.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and what reading an item brings.
    pub fn from_dataset<S>(set: &S) -> Result<Self>
    where
        S: Dataset<Item = Labelled> + Classes + ?Sized,
    {
        let items: Vec<Labelled> =
            (0..set.len()).map(|at| set.get(at)).collect::<model_utils::Result<_>>()?;
        Self::new(items, set.classes().to_vec())
    }

    /// A folder of labelled images, of which there are several layouts: see
    /// [`open_classification`].
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new) and [`open_classification`].
    pub fn open(folder: impl AsRef<Path>, split: Split) -> Result<Self> {
        let set = open_classification(folder, split)?;
        Self::from_dataset(&*set)
    }

    /// The same images scaled to this height and width.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`Stopped`](model_utils::Error::Stopped).
    pub fn resized(&self, size: usize, stop: &Stop) -> Result<Self> {
        if self.shape[1..] == [size, size] {
            return Ok(self.clone());
        }
        let items: Vec<Labelled> = (0..self.labels.len())
            .map(|at| {
                stop.check("scaling images", format_args!("image {at} of {}", self.count()))?;
                Ok(Labelled { image: self.image(at)?.resize(size, size), label: self.labels[at] })
            })
            .collect::<Result<_>>()?;
        Self::new(items, self.classes.clone())
    }

    /// The same images with other classes, which need no labels: clusters of images that look
    /// alike. A conditional game on clusters is easier than the plain one (Sage et al. 2018,
    /// <https://arxiv.org/abs/1712.04407>).
    ///
    /// They are found by k-means on pixels, of images scaled to at most 16 × 16. Clusters that touch
    /// come out about as large as each other, so that asking for each equally often gives images as
    /// they were; a group of images that stands apart stays together, whatever its size.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for fewer than 2 clusters, or more than a fourth of the images;
    /// [`Stopped`](model_utils::Error::Stopped).
    pub fn clustered(&self, clusters: usize, seed: u64, stop: &Stop) -> Result<Self> {
        let most = self.count() / 4;
        let fits = (2..=most).contains(&clusters);
        let expected = format!("2 to {most} for {} images", self.count());
        config::require(fits, "clusters", clusters, expected)?;
        let [_, height, width] = self.shape;
        let small = self.resized(height.min(width).min(16), stop)?;
        let values = small.pixels.iter().map(|&value| f32::from(value) / 255.0);
        let points = DMatrix::from_iterator(small.values(), small.count(), values);
        let classes = (0..clusters).map(|cluster| format!("cluster {cluster}")).collect();
        let labels = balanced_clusters(&points, clusters, seed, stop)?;
        Ok(Self { labels, classes, order: Arc::default(), ..self.clone() })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// `[channels, height, width]`
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The names of the classes.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// The class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Numbers a picture has.
    fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of an image, `[channels, height, width]`.
    pub(crate) fn bytes(&self, at: usize) -> &[u8] {
        &self.pixels[at * self.values()..][..self.values()]
    }

    /// One image.
    ///
    /// # Errors
    ///
    /// [`Error::Reals`] for an index that is not below [`count`](Self::count).
    pub fn image(&self, at: usize) -> Result<Image> {
        if at >= self.count() {
            let count = self.count();
            return Err(Error::Reals(format!(
                "there is no image {at}, expected one below {count}"
            )));
        }
        let values: Vec<f32> = self.bytes(at).iter().map(|&value| f32::from(value)).collect();
        Ok(Image::from_planes(&values, self.shape, 0.0, 255.0)?)
    }

    /// Chosen images, `[indices, channels, height, width]`, with their classes.
    ///
    /// # Errors
    ///
    /// As [`image`](Self::image).
    pub fn select(
        &self,
        indices: &[usize],
        device: &Device,
    ) -> Result<(Tensor<4>, Tensor<1, Int>)> {
        if let Some(&at) = indices.iter().find(|&&at| at >= self.count()) {
            self.image(at)?;
        }
        let values: Vec<f32> = indices
            .iter()
            .flat_map(|&at| self.bytes(at).iter().map(|&value| f32::from(value) / 127.5 - 1.0))
            .collect();
        let labels: Vec<i64> = indices.iter().map(|&at| self.labels[at] as i64).collect();
        let [channels, height, width] = self.shape;
        let count = indices.len();
        Ok((
            Tensor::from_data(TensorData::new(values, [count, channels, height, width]), device),
            Tensor::from_data(TensorData::new(labels, [count]), device),
        ))
    }
}

/// The values of an image, `[channels, height, width]`.
fn planes(image: &Image) -> impl Iterator<Item = u8> + '_ {
    let channels = image.channels();
    (0..channels).flat_map(move |c| image.pixels()[c..].iter().step_by(channels).copied())
}

impl Reals<4> for Images {
    fn sample_shape(&self) -> Vec<usize> {
        self.shape.to_vec()
    }

    fn len(&self) -> Option<usize> {
        Some(self.count())
    }

    fn classes(&self) -> usize {
        self.classes.len()
    }

    fn range(&self) -> Option<[f64; 2]> {
        Some([-1.0, 1.0])
    }

    fn batch(&self, seed: u64, number: u64, size: usize, device: &Device) -> Result<Batch<4>> {
        let batches = (self.count() / size.max(1)) as u64;
        if batches == 0 {
            let count = self.count();
            return Err(Error::Reals(format!("{count} images do not fill a batch of {size}")));
        }
        let (epoch, place) = (number / batches, (number % batches) as usize);
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if order.of != Some((seed, epoch)) {
            let mut noise = Noise::new(seed ^ 0x0D0E, epoch);
            let mut indices: Vec<u32> = (0..self.count() as u32).collect();
            for at in (1..indices.len()).rev() {
                indices.swap(at, noise.below(at + 1));
            }
            *order = Order { of: Some((seed, epoch)), indices };
        }
        let indices: Vec<usize> =
            order.indices[place * size..][..size].iter().map(|&at| at as usize).collect();
        drop(order);
        let (images, labels) = self.select(&indices, device)?;
        Ok((images, Some(labels)))
    }
}
