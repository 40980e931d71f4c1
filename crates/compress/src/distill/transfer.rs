use burn::tensor::{Device, Int, Tensor};
use model_utils::data::{ImageBatch, ToTensors as _};
use model_utils::graph::AnyTensor;

/// A batch to distill on: inputs for both graphs, and the true classes where they are known.
pub trait TransferBatch {
    /// The inputs on a device, `[batch, …]` each, and the classes, `[batch]`.
    fn place(&self, device: &Device) -> (Vec<AnyTensor>, Option<Tensor<1, Int>>);

    /// Examples in it.
    fn items(&self) -> usize;
}

impl TransferBatch for ImageBatch {
    fn place(&self, device: &Device) -> (Vec<AnyTensor>, Option<Tensor<1, Int>>) {
        let (images, labels) = self.to_tensors(device);
        (vec![images.into()], Some(labels))
    }

    fn items(&self) -> usize {
        self.len()
    }
}

/// Inputs without labels.
impl<const D: usize> TransferBatch for Tensor<D> {
    fn place(&self, device: &Device) -> (Vec<AnyTensor>, Option<Tensor<1, Int>>) {
        (vec![moved(self, device).into()], None)
    }

    fn items(&self) -> usize {
        self.dims()[0]
    }
}

/// Inputs and their classes.
impl<const D: usize> TransferBatch for (Tensor<D>, Tensor<1, Int>) {
    fn place(&self, device: &Device) -> (Vec<AnyTensor>, Option<Tensor<1, Int>>) {
        let labels = self.1.clone().without_autodiff().to_device(&device.clone().inner());
        let labels = if device.is_autodiff() { labels.autodiff() } else { labels };
        (vec![moved(&self.0, device).into()], Some(labels))
    }

    fn items(&self) -> usize {
        self.0.dims()[0]
    }
}

/// A tensor on another device, with autodiff where that has it.
fn moved<const D: usize>(tensor: &Tensor<D>, device: &Device) -> Tensor<D> {
    let tensor = tensor.clone().without_autodiff().to_device(&device.clone().inner());
    if device.is_autodiff() { tensor.autodiff() } else { tensor }
}
