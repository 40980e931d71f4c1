//! The stage of mobilenet-densenet.

use mobilenet_densenet::DenseNetConfig;

use super::{Context, Shown};
use common::vision::{Recipe, Task, drawn_shapes};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Shown> {
    let device = context.device.clone().autodiff();
    let (train, test) = drawn_shapes(7000, 1000, context.seed)?;
    let task = Task {
        session: context.session,
        out: context.out,
        name: context.name,
        device: &device,
        train,
        test,
        seed: context.seed,
        epochs: 3,
        batch_size: 32,
        learning_rate: 6e-3,
        augment: false,
        recipe: Recipe::default(),
    };
    println!("data: {}", task.describe()?);
    let (channels, classes) = task.channels_and_classes()?;
    let model = DenseNetConfig::new(12, vec![4, 4, 4], 24)
        .with_channels(channels)
        .with_classes(classes)
        .init(&device)?;
    let metrics = task.run(model)?;
    Ok(Shown {
        metrics,
        pictures: vec![
            ("predictions.png", "Test images with the model's answers; its mistakes in red"),
            ("curves.svg", "The loss on images it learns from and on others"),
            ("confusion.svg", "Which shape is taken for which"),
        ],
    })
}
