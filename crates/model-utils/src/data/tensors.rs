//! From the host to a device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::ImageBatch;
use crate::error::{Error, Result};
use crate::image::Image;

impl ImageBatch {
    /// The images, `[batch, channels, height, width]`, and their labels, `[batch]`, on a device.
    pub fn to_tensors(&self, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
        let images = TensorData::new(self.images.clone(), self.shape);
        let labels: Vec<i64> = self.labels.iter().map(|&label| label as i64).collect();
        let labels = TensorData::new(labels, [self.labels.len()]);
        (Tensor::from_data(images, device), Tensor::from_data(labels, device))
    }
}

impl Image {
    /// The image as `[channels, height, width]` from 0 to 1.
    pub fn to_tensor(&self, device: &Device) -> Tensor<3> {
        let shape = [self.channels(), self.height(), self.width()];
        Tensor::from_data(TensorData::new(self.to_planes(), shape), device)
    }

    /// The image of `[channels, height, width]` values, `low` as black and `high` as white.
    ///
    /// # Errors
    ///
    /// As [`from_planes`](Self::from_planes): other than 1 or 3 channels, no pixel, a NaN; and
    /// [`Error::Data`] for values that cannot be read back.
    pub fn from_tensor(tensor: Tensor<3>, low: f32, high: f32) -> Result<Self> {
        let shape = tensor.dims();
        let values = tensor
            .into_data()
            .convert::<f32>()
            .try_to_vec::<f32>()
            .map_err(|error| Error::data("image tensor", error.to_string()))?;
        Self::from_planes(&values, shape, low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_go_to_a_device_and_back() {
        let image = Image::new(3, 2, 3, (0..18).map(|v| v * 14).collect()).unwrap();
        let tensor = image.to_tensor(&Device::flex());
        assert_eq!(tensor.dims(), [3, 2, 3]);
        assert_eq!(Image::from_tensor(tensor.clone(), 0.0, 1.0).unwrap().pixels(), image.pixels());
        assert!(Image::from_tensor(tensor * f32::NAN, 0.0, 1.0).is_err());
    }
}
