//! The stage of gan.

use gan::sample::nearest;
use gan::{DcganConfig, GanConfig, Loss};
use model_utils::data::{Shape, Split};
use model_utils::picture::{Section, grid};
use model_utils::train::Budget;

use super::story::rounded;
use super::{Context, Shown};
use common::gan::{draw_curves, draw_nearest, look, silhouettes};
use common::{Film, Metrics};

/// Height and width of the images.
const SIZE: usize = 24;
const STEPS: u64 = 600;

pub(super) fn run(context: &Context<'_>, section: Section) -> anyhow::Result<Shown> {
    let shapes = [Shape::Ring, Shape::Square, Shape::Star, Shape::Heart];
    let images =
        silhouettes(2000, Split::Train, SIZE, context.session.around(&shapes), context.seed)?;
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
    let gan = gan.with_stop(&context.session.stop());
    film.save(&context.out.join("training.gif"))?;
    draw_curves(gan.history(), context.out)?;
    grid(&gan.sample(64, 3)?)?.scale(2).save(context.out.join("samples.png"))?;
    draw_nearest(
        &gan.sample_tensor(8, 3)?,
        context.session.around(&images),
        &context.out.join("nearest.png"),
    )?;

    let mut metrics = Metrics::default();
    metrics.set("images_per_s", trained.samples_per_s);
    metrics.set("train_wall_s", trained.wall_s);
    metrics.set("steps", trained.steps);
    // Whether it copies: unseen images are the measure.
    let unseen = silhouettes(64, Split::Test, SIZE, context.session.around(&shapes), context.seed)?;
    let indices: Vec<usize> = (0..unseen.count()).collect();
    let distance = |samples| -> anyhow::Result<f64> {
        let found = nearest(samples, context.session.around(&images))?;
        Ok(found.iter().map(|(_, distance)| distance).sum::<f64>() / found.len() as f64)
    };
    let made = distance(gan.sample_tensor(64, 3)?)?;
    let real = distance(unseen.select(&indices, context.device)?.0)?;
    metrics.set("nearest_distance_made", made);
    metrics.set("nearest_distance_unseen", real);
    let section = section
        .picture(
            context.picture("samples.png"),
            context.say(
                "Made images: nobody told it what a ring, a square, a star or a heart is",
                "生成された画像。輪、四角、星、ハートが何かは誰も教えていない",
            ),
        )
        .picture(
            context.picture("training.gif"),
            context.say(
                "The same random numbers while the generator learns",
                "同じ乱数から描かれる絵が、学習につれて変わる",
            ),
        )
        .picture(
            context.picture("nearest.png"),
            context.say(
                "Above made images, below the training image nearest to each: they are no copies",
                "上は生成された画像、下はそれぞれに最も近い学習画像。写しではない",
            ),
        )
        .figure(
            context.say(
                "times as far from the nearest training image as real unseen drawings are: 0 would be copies, 1 as good as real",
                "倍：最も近い学習画像までの距離を、未知の本物の絵の場合と比べた値（0 なら写し、1 なら本物なみ）",
            ),
            rounded(made / real),
        )
        .figure(
            context.say("seconds of learning", "学習にかかった秒数"),
            rounded(trained.wall_s),
        );
    Ok(Shown { metrics, section })
}
