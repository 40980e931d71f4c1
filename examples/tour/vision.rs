//! The stage of mobilenet-densenet.

use mobilenet_densenet::DenseNetConfig;
use model_utils::picture::Section;

use super::story::{percent, rounded};
use super::{Context, Shown};
use common::vision::{Recipe, Task, drawn_shapes};

pub(super) fn run(context: &Context<'_>, section: Section) -> anyhow::Result<Shown> {
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
    let section = section
        .picture(
            context.picture("predictions.png"),
            context.say(
                "Images it has never seen, with DenseNet's answers; its mistakes in red",
                "見たことのない画像と DenseNet の答え。間違いは赤",
            ),
        )
        .picture(
            context.picture("confusion.svg"),
            context.say("Which shape is taken for which", "どの図形がどれと間違われたか"),
        )
        .figure(
            context.say(
                "of 1,000 unseen images of ten shapes are named right; guessing gets 10 %",
                "十種類の図形の未知の画像 1,000 枚のうち、正しく答えた割合（当てずっぽうなら 10 %）",
            ),
            percent(metrics.number("test_accuracy")?),
        )
        .figure(
            context.say("seconds of learning", "学習にかかった秒数"),
            rounded(metrics.number("train_wall_s")?),
        );
    Ok(Shown { metrics, section })
}
