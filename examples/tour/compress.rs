//! The stage of compress.

use compress::prune::{Importance, Structured};
use compress::quantize::{PostTraining, stored_bytes};
use compress::report::Variant;
use model_utils::data::Dataset as _;

use super::{Context, Shown};
use common::compress::{Family, Subject, before_and_after, finish_in, test_set};
use common::vision::drawn_shapes;

const FAMILY: Family = Family::Vgg;
/// Passes over the images, at first and after pruning.
const EPOCHS: [u64; 2] = [4, 1];

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Shown> {
    let (train, test) = drawn_shapes(3000, 1000, context.seed)?;
    println!("data: {} training and {} test images", train.len(), test.len());
    let graph = FAMILY.graph([3, 32, 32], train.classes().len(), context.device)?;
    let mut subject = Subject {
        graph,
        test: test_set(&test, context.device)?.with_stop(&context.session.stop()),
        train,
        device: context.device.clone(),
        seed: context.seed,
        batch_size: 64,
    };
    let session = context.session;
    let rate = FAMILY.learning_rate();
    subject.graph = subject.train(session, context.name, &subject.graph, EPOCHS[0], rate)?;

    let pruned = Structured::half()
        .with_importance(Importance::L2)
        .with_round_to(4)
        .prune(&subject.graph)?
        .graph;
    let half = subject.train(session, "half", &pruned, EPOCHS[1], rate / 4.0)?;
    let int8 = PostTraining::per_channel()
        .with_stop(Some(session.stop()))
        .calibrate(&half, subject.calibration(8)?)?;
    let bytes = stored_bytes(&int8)?;
    let report = subject
        .report()
        .row("float", &subject.graph)?
        .row("half the work", &half)?
        .row("and 8 bits", Variant::new(&int8).bytes(bytes))?
        .time_in_turns()?;
    session.check()?;
    finish_in(&report, context.out)?;
    Ok(Shown {
        metrics: before_and_after(&report, "float", "and 8 bits")?,
        pictures: vec![
            (
                "size.svg",
                "Accuracy against size, with intervals: a classifier, half of it, and that in 8 bits",
            ),
            ("time.svg", "Accuracy against time; eight bits are simulated here, and take longer"),
        ],
    })
}
