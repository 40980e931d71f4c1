//! The stage of gan.

use gan::{DcganConfig, GanConfig, Loss};
use model_utils::data::{Shape, Split};
use model_utils::picture::grid;
use model_utils::train::Budget;

use super::{Context, Shown};
use common::gan::{draw_curves, draw_nearest, look, silhouettes};
use common::{Film, Metrics};

/// Height and width of the images.
const SIZE: usize = 24;
const STEPS: u64 = 600;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Shown> {
    let shapes = [Shape::Ring, Shape::Square, Shape::Star, Shape::Heart];
    let images = silhouettes(2000, Split::Train, SIZE, &shapes, context.seed)?;
    println!("data: {} white shapes on black, {SIZE}×{SIZE}", images.count());
    let networks = DcganConfig::for_size(SIZE).with_channels(1).with_width(24).with_latent(32);
    let mut gan = GanConfig::new(networks, Loss::NonSaturating)
        .with_learning_rate(1e-3)
        .with_ema_decay(0.99)
        .with_anneal_steps(STEPS)
        .with_seed(context.seed)
        .init(context.device)?;
    let mut film = Film::open(context.session.kept()?.join("film"), 0)?;
    let trained = gan.train_with_callback(
        &images,
        Budget::steps(STEPS),
        &mut context.session.progress(),
        STEPS / 20,
        |gan| look(&mut film, gan, 36),
    )?;
    context.session.check()?;
    film.save(&context.out.join("training.gif"))?;
    draw_curves(gan.history(), context.out)?;
    grid(&gan.sample(64, 3)?)?.scale(2).save(context.out.join("samples.png"))?;
    draw_nearest(&gan.sample_tensor(8, 3)?, &images, &context.out.join("nearest.png"))?;

    let mut metrics = Metrics::default();
    metrics.set("images_per_s", trained.samples_per_s);
    metrics.set("train_wall_s", trained.wall_s);
    metrics.set("steps", trained.steps);
    Ok(Shown {
        metrics,
        pictures: vec![
            (
                "samples.png",
                "Made images: a ring, a square, a star and a heart were asked for in turn",
            ),
            ("training.gif", "The same random numbers while the generator learns"),
            ("nearest.png", "Above samples, below the training image nearest to each"),
            ("beliefs.svg", "How sure the discriminator is that real and made images are real"),
        ],
    })
}
