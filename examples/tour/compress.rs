//! The stage of compress.

use compress::prune::{Importance, Structured};
use compress::quantize::{PostTraining, stored_bytes};
use compress::report::Variant;
use model_utils::data::Dataset as _;
use model_utils::picture::Section;

use super::story::percent;
use super::{Context, Shown};
use common::compress::{Family, Subject, before_and_after, finish_in, test_set};
use common::vision::drawn_shapes;

const FAMILY: Family = Family::Vgg;
/// Passes over the images, at first and after pruning.
const EPOCHS: [u64; 2] = [5, 2];

pub(super) fn run(context: &Context<'_>, section: Section) -> anyhow::Result<Shown> {
    let (train, test) = drawn_shapes(3000, 1000, context.seed)?;
    println!("data: {} training and {} test images", train.len(), test.len());
    let graph = FAMILY.graph([3, 32, 32], train.classes().len(), context.device)?;
    let mut subject = Subject {
        graph,
        test: test_set(context.session.around(&test), context.device)?,
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
        .prune(context.session.around(&subject.graph))?
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
    let metrics = before_and_after(&report, "float", "and 8 bits")?;
    let p = metrics.number("mcnemar_p")?;
    let lost = 100.0 * metrics.number("accuracy_lost")?;
    let [before, half, int8] = ["float", "half the work", "and 8 bits"]
        .map(|row| report.find(row).map_or(f64::NAN, |row| row.latency_ms));
    let section = section
        .picture(
            context.picture("size.svg"),
            context.say(
                "Accuracy against size, with intervals: a classifier, half of it, and that in 8 bits",
                "正解率と大きさ（区間つき）：元の分類器、計算を半分にしたもの、さらに 8 ビットにしたもの",
            ),
        )
        .picture(
            context.picture("time.svg"),
            context.say("Accuracy against time", "正解率と時間"),
        )
        .figure(
            context.say("of the bytes are left", "残ったバイト数の割合"),
            percent(metrics.number("bytes_after")? / metrics.number("bytes_before")?),
        )
        .figure(
            context.say(
                format!(
                    "points of accuracy lost, {} (McNemar's p = {p:.2})",
                    if p < 0.05 { "more than chance explains" } else { "not distinguishable from none" },
                ),
                format!(
                    "ポイントの正解率低下。{}（マクネマー検定 p = {p:.2}）",
                    if p < 0.05 { "偶然では説明できない" } else { "低下なしと区別できない" },
                ),
            ),
            format!("{lost:.1}"),
        )
        .text(context.say(
            format!(
                "One batch takes {half:.1} ms with half of the work instead of {before:.1}: that is faster \
                 here. The model in 8 bits computes in floating point here and takes {int8:.1} ms: it is \
                 smaller, and becomes faster only on hardware that multiplies integers."
            ),
            format!(
                "計算を半分にしたモデルは、1 バッチが {before:.1} ms から {half:.1} ms になり、このマシンでも\
                 速い。8 ビットのモデルはここでは浮動小数点で計算するので {int8:.1} ms かかる。小さくはなるが、\
                 速くなるのは整数で乗算するハードウェアの上だけ。"
            ),
        ));
    Ok(Shown { metrics, section })
}
