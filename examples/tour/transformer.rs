//! The stage of transformer.

use model_utils::picture::Section;
use model_utils::train::{Budget, History};
use transformer::decoding::Greedy;
use transformer::{
    Grammar, ModelConfig, Schedule, TokenizerConfig, TrainingConfig, TransformerConfig, Translator,
    TranslatorConfig, Tying,
};

use super::story::{percent, rounded};
use super::{Context, Shown};
use common::Metrics;
use common::translation::{draw_attention, draw_training, examples};

const STEPS: u64 = 1300;

pub(super) fn run(context: &Context<'_>, section: Section) -> anyhow::Result<Shown> {
    let splits = Grammar::Simple.splits([12_000, 200, 1000], context.seed)?;
    let model = TransformerConfig::tiny(0, 0)
        .with_encoder_layers(1)
        .with_decoder_layers(1)
        .with_d_ff(128)
        .with_dropout(0.0)
        .with_tying(Tying::All);
    let training = TrainingConfig::new()
        .with_batch_tokens(300)
        .with_schedule(Schedule::Linear { rate: 8e-3, warm_up: STEPS / 10, steps: STEPS })
        .with_valid_every(STEPS / 3)
        .with_valid_sentences(100)
        .with_seed(context.seed);
    let config = TranslatorConfig::new(ModelConfig::Transformer(model))
        .with_budget(Budget::steps(STEPS))
        .with_tokenizer(TokenizerConfig::new().with_vocabulary(1000))
        .with_training(training);
    let mut trainer = config.trainer(context.session.around(&splits), context.device)?;
    println!("data: {} pairs of a small Portuguese and English grammar", trainer.pairs());
    let mut observer = (context.session.progress(), History::default());
    let trained = trainer.train(config.budget, &mut observer)?;
    context.session.check()?;
    draw_training(&observer.1, config.training.keep_by, context.out)?;

    let translator = Translator::from_trainer(trainer)?.with_stop(context.session.stop());
    let found = translator.evaluate(&splits.test, &Greedy)?;
    context.session.check()?;
    let shown = examples(&splits.test, &found.translations, 4);
    let longest = splits.test.pairs().iter().max_by_key(|pair| pair.source.len());
    if let Some(pair) = longest {
        draw_attention(&translator, &pair.source, &context.out.join("attention.svg"))?;
    }

    let mut metrics = Metrics::default();
    metrics.set("exact_match", found.exact_match);
    metrics.set("bleu", found.bleu.score);
    metrics.set("train_target_tokens_per_s", trained.target_tokens_per_s);
    metrics.set("decode_target_tokens_per_s", found.target_tokens as f64 / found.decode_s);
    metrics.set("train_wall_s", trained.wall_s);
    metrics.set("steps", trained.steps);
    let mut section = section
        .header(&context.say(["source", "translation", "reference"], ["原文", "翻訳", "参照訳"]));
    for row in shown {
        section = section.row(&row);
    }
    let section = section
        .picture(
            context.picture("attention.svg"),
            context.say(
                "An unseen sentence: where the translator looks (columns) as it writes each word (rows)",
                "未知の文。訳語（行）を書くときに、原文のどこ（列）を見ているか",
            ),
        )
        .picture(
            context.picture("loss.svg"),
            context.say(
                "The loss of a token while the translator learns",
                "学習中のトークンあたりの損失",
            ),
        )
        .figure(
            context.say(
                "of 1,000 unseen sentences of a small grammar are translated word for word as the reference",
                "小さな文法の未知の文 1,000 のうち、参照訳と完全に一致した割合",
            ),
            percent(found.exact_match),
        )
        .figure(
            context.say("seconds of learning", "学習にかかった秒数"),
            rounded(trained.wall_s),
        );
    Ok(Shown { metrics, section })
}
