//! The stage of mobilenet-densenet.

use mobilenet_densenet::MobileNetV2Config;
use model_utils::train::ProgressBar;

use super::common::vision::{Task, drawn_shapes};
use super::{Context, Shown};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Shown> {
    let device = context.device.clone().autodiff();
    let (train, test) = drawn_shapes(4000, 1000, context.seed)?;
    let task = Task {
        out: context.out,
        device: &device,
        train,
        test,
        seed: context.seed,
        epochs: 3,
        batch_size: 50,
        learning_rate: 6e-3,
        augment: false,
        resume: false,
    };
    println!("data: {}", task.describe()?);
    let (channels, classes) = task.channels_and_classes()?;
    let model = MobileNetV2Config::new()
        .with_width(0.25)
        .with_channels(channels)
        .with_classes(classes)
        .init(&device)?;
    let metrics = task.run(model, &mut (ProgressBar::new(), context.stop.clone()))?;
    Ok(Shown {
        metrics,
        pictures: vec![
            ("predictions.png", "Test images with the model's answers; its mistakes in red"),
            ("curves.svg", "The loss on images it learns from and on others"),
            ("confusion.svg", "Which shape is taken for which"),
        ],
    })
}
