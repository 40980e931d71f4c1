//! Data sets and batches: those of `model_utils_core::data`, and their way to a device.

#[cfg(feature = "images")]
use burn::tensor::{Device, Int, Tensor, TensorData};
pub use model_utils_core::data::*;

/// Batches on their way to a device.
#[cfg(feature = "images")]
pub trait ToTensors {
    /// The images, `[batch, channels, height, width]`, and their labels, `[batch]`, on a device.
    fn to_tensors(&self, device: &Device) -> (Tensor<4>, Tensor<1, Int>);
}

#[cfg(feature = "images")]
impl ToTensors for ImageBatch {
    fn to_tensors(&self, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
        let images = TensorData::new(self.images.clone(), self.shape);
        let labels: Vec<i64> = self.labels.iter().map(|&label| label as i64).collect();
        let labels = TensorData::new(labels, [self.labels.len()]);
        (Tensor::from_data(images, device), Tensor::from_data(labels, device))
    }
}
