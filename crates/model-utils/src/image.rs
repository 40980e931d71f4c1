//! Images: those of `model_utils_core::image`, and their way to a device and back.

use burn::tensor::{Device, Tensor, TensorData};
pub use model_utils_core::image::*;

use crate::error::{Error, Result};

/// An image on its way to a device and back.
pub trait ImageTensor: Sized {
    /// The image as `[channels, height, width]` from 0 to 1.
    fn to_tensor(&self, device: &Device) -> Tensor<3>;

    /// The image of `[channels, height, width]` values, `low` as black and `high` as white.
    ///
    /// # Errors
    ///
    /// As [`Image::from_planes`]: other than 1 or 3 channels, no pixel, a NaN; and
    /// [`Error::Data`] for values that cannot be read back.
    fn from_tensor(tensor: Tensor<3>, low: f32, high: f32) -> Result<Self>;
}

impl ImageTensor for Image {
    fn to_tensor(&self, device: &Device) -> Tensor<3> {
        let shape = [self.channels(), self.height(), self.width()];
        Tensor::from_data(TensorData::new(self.to_planes(), shape), device)
    }

    fn from_tensor(tensor: Tensor<3>, low: f32, high: f32) -> Result<Self> {
        let shape = tensor.dims();
        let values = tensor
            .into_data()
            .convert::<f32>()
            .try_to_vec::<f32>()
            .map_err(|error| Error::data("image tensor", error.to_string()))?;
        Self::from_planes(&values, shape, low, high)
    }
}

#[cfg(all(test, feature = "flex"))]
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
