//! Both crates with their default features: a model answers, is saved, and answers the same.

use burn::tensor::Tensor;
use mobilenet_densenet::{Classifier, MobileNetV2, MobileNetV2Config};
use model_utils::device::{DeviceSpec, seed};
use model_utils::weights::Stored;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(DeviceSpec::built(), [DeviceSpec::Flex]);
    let device = DeviceSpec::default().open()?;
    seed(&device, 42);
    let model = MobileNetV2Config::new().with_width(0.35).with_classes(10).init(&device)?;
    let images = Tensor::<4>::ones([2, 3, 64, 64], &device);
    let answers = model.predict(images.clone(), 3)?;
    let path = std::env::temp_dir().join(format!("dependent-{}.safetensors", std::process::id()));
    model.save(&path)?;
    let again = MobileNetV2::load(&path, &device)?.predict(images, 3);
    std::fs::remove_file(&path)?;
    assert_eq!(answers, again?);
    println!("surest class {} of {}", answers[0][0].class, model.classes());
    Ok(())
}
