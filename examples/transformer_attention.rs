//! Pictures of a translator at work: what masks hide, how positions look, where each head of each
//! layer looks, and the decoder's state token by token.
//!
//! ```console
//! $ cargo run --release --example transformer_attention
//! $ cargo run --release --example transformer_attention -- \
//!     --load out/transformer_translate/translator --sentence "Ein Hund läuft am Strand."
//! ```
//!
//! Without `--load` it first learns a small grammar of Portuguese and English, in about half a
//! minute. The pictures and a page that holds them all, `attention.html`, are in the output folder.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use clap::Parser;
use common::flags::{folder, signed, text, within};
use common::translation::Recipe;
use common::{Common, Metrics, Resume, Session, program};
use model_utils::ops::Mask;
use model_utils::picture::{HeatMap, Page, Section};
use transformer::attention::sinusoids;
use transformer::decoding::Greedy;
use transformer::text::Overlong;
use transformer::{
    DecodingStrategy as _, EncoderDecoder as _, Grammar, Model, Padded, Transformer, Translator,
};

/// Draw where a translator looks
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// A saved translator [default: one is trained on a grammar of Portuguese and English]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    load: Option<PathBuf>,
    /// The sentence to translate [default: the longest of some of the grammar's]
    #[arg(long, value_name = "TEXT", value_parser = text)]
    sentence: Option<String>,
    /// Likeliest tokens told a step
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = within(1..=1000_usize))]
    top: usize,
    #[command(flatten)]
    recipe: Recipe,
}

fn main() -> ExitCode {
    program("transformer_attention", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let out = session.out();
    let seed = args.common.seed;
    session.stage("reading the translator");
    let translator = if let Some(folder) = &args.load {
        Translator::load(folder, &device)?
    } else {
        let config = args.recipe.config(false, seed);
        config.check()?;
        let splits = Grammar::Full.splits([20_000, 500, 1000], seed)?;
        session.stage("training");
        let every = args.recipe.checkpoint_every;
        let trainer = config.trainer(session.around(&splits), &device)?;
        let mut trainer = trainer.resume_in(session.checkpoints("translator")?, every)?;
        trainer.train(config.budget, &mut session.progress())?;
        session.check()?;
        Translator::from_trainer(trainer)?
    };
    let translator = translator.with_overlong(Overlong::Truncate).with_stop(session.stop());
    let Model::Transformer(model) = translator.model() else {
        bail!("the translator is recurrent: its heads cannot be drawn, as it has none");
    };
    let sentence = if let Some(sentence) = args.sentence {
        sentence
    } else {
        let pairs = Grammar::Full.pairs(20, seed + 1)?;
        let longest = pairs.pairs().iter().max_by_key(|pair| pair.source.len());
        longest.context("the grammar has sentences")?.source.clone()
    };
    let scene = Scene::new(&translator, model, &sentence, &device)?;
    session.stage("drawing");
    println!("\n{sentence}\n{}", scene.translation);

    let page = Page::new("Where a translator looks")
        .text(format!("{sentence} → {}", scene.translation))
        .section(masks(&scene, out)?)
        .section(positions(model, &device, out)?)
        .section(heads(&scene, model, out)?)
        .section(states(&scene, model, args.top, &translator, out)?);
    session.check()?;
    page.embed_from(out).save(out.join("attention.html"))?;

    let mut metrics = Metrics::default();
    metrics.set("source_tokens", scene.read.len());
    metrics.set("target_tokens", scene.written.len());
    let config = model.config();
    let attentions = config.encoder_layers + 2 * config.decoder_layers;
    metrics.set("heads_drawn", attentions * config.heads);
    session.finish(&metrics)
}

/// A sentence, its translation, and the tokens of both.
struct Scene {
    source: Padded,
    /// Begin and the tokens of the translation.
    target: Padded,
    translation: String,
    read: Vec<String>,
    /// The tokens that the decoder is given.
    given: Vec<String>,
    /// The tokens that it writes: those given, one further.
    written: Vec<String>,
}

impl Scene {
    fn new(
        translator: &Translator,
        model: &Transformer,
        sentence: &str,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let tokenizers = translator.tokenizers();
        let limits = translator.limits();
        let special = limits.special;
        let mut ids = tokenizers.source().encode(sentence)?;
        ids.push(tokenizers.source().special().eos);
        let read = tokenizers.source().tokens(&ids);
        let source = Padded::new(&[ids], special.pad, device);
        let found = Greedy.decode(model, &source, &limits)?;
        let best = found.first().and_then(|found| found.first()).context("one is found")?;
        let translation = tokenizers.target().decode(&best.ids)?;
        let given: Vec<u32> = std::iter::once(special.bos).chain(best.ids.clone()).collect();
        let written: Vec<u32> =
            best.ids.iter().copied().chain(std::iter::once(special.eos)).collect();
        Ok(Self {
            target: Padded::new(std::slice::from_ref(&given), special.pad, device),
            source,
            translation,
            read,
            given: tokenizers.target().tokens(&given),
            written: tokenizers.target().tokens(&written),
        })
    }
}

/// A grid of what is seen: 1, and what is hidden: 0.
fn grid(
    title: &str,
    mask: &Mask,
    row: usize,
    [asking, asked]: [&[String]; 2],
    path: &Path,
) -> anyhow::Result<()> {
    let seen = |query: usize| -> Vec<f64> {
        (0..asked.len()).map(|key| f64::from(!mask.hides(row, query, key))).collect()
    };
    let rows: Vec<Vec<f64>> = (0..asking.len()).map(seen).collect();
    HeatMap::new(title, &rows)?
        .y_label("asks")
        .x_label("is looked up")
        .row_labels(asking)
        .column_labels(asked)
        .range(0.0, 1.0)
        .decimals(0)
        .save(path)?;
    Ok(())
}

/// The three masks over this sentence, shortened and filled up with padding as beside a longer one.
fn masks(scene: &Scene, out: &Path) -> anyhow::Result<Section> {
    let pad = |tokens: &[String]| {
        let mut padded = tokens.to_vec();
        padded.extend(["<pad>", "<pad>", "<pad>"].map(str::to_owned));
        padded
    };
    let (read, given) = (pad(&scene.read), pad(&scene.given));
    let (sources, targets) = ([scene.read.len()], [scene.given.len()]);
    let padding = Mask::padding(&sources);
    let path = |name: &str| out.join(name);
    grid("Padding mask", &padding, 0, [&read, &read], &path("mask_padding.svg"))?;
    let causal = Mask::causal(&targets);
    grid("Causal mask", &causal, 0, [&given, &given], &path("mask_causal.svg"))?;
    grid("Cross mask", &padding, 0, [&given, &read], &path("mask_cross.svg"))?;
    Ok(Section::new("What is hidden")
        .text(
            "Each row is a token that asks, each column one that is looked up; 1 is seen, 0 is \
             hidden. In a batch shorter sentences are filled up, and nothing looks at the filling. \
             While it learns, the decoder is given the whole translation at once: the causal mask \
             hides from each token those that come after it, as they are what it must predict.",
        )
        .picture("mask_padding.svg", "The encoder's self-attention: all but the padding")
        .picture("mask_causal.svg", "The decoder's self-attention: nothing that comes later")
        .picture("mask_cross.svg", "From the decoder to the source: all but the padding"))
}

/// The numbers that tell positions apart.
fn positions(model: &Transformer, device: &Device, out: &Path) -> anyhow::Result<Section> {
    let width = model.config().d_model.min(64);
    let table = rows(sinusoids(0, 40, width, false, device));
    HeatMap::new("Sinusoidal positions", &table)?
        .y_label("position")
        .x_label("feature")
        .range(-1.0, 1.0)
        .save(out.join("positions.svg"))?;
    Ok(Section::new("Where a token stands")
        .text("Sines and cosines of falling frequency are added to the embeddings.")
        .picture("positions.svg", format!("40 positions, {width} features")))
}

fn rows(x: Tensor<2>) -> Vec<Vec<f64>> {
    let [_, columns] = x.dims();
    let numbers: Vec<f64> = x.into_data().iter::<f64>().collect();
    numbers.chunks(columns).map(<[f64]>::to_vec).collect()
}

/// One heat map a layer, kind of attention and head.
fn heads(scene: &Scene, model: &Transformer, out: &Path) -> anyhow::Result<Section> {
    let maps = model.attention_maps(&scene.source, &scene.target);
    let kinds = [
        ("encoder", &maps.encoder, &scene.read, &scene.read),
        ("decoder", &maps.decoder, &scene.given, &scene.given),
        ("cross", &maps.cross, &scene.given, &scene.read),
    ];
    let mut section = Section::new("Where each head looks").text(
        "Rows are the tokens that look, columns those looked at; each row sums to 1. In the decoder \
         a row is the token given, and what it writes is the next.",
    );
    for (kind, layers, asking, asked) in kinds {
        for (layer, weights) in layers.iter().enumerate() {
            let [_, heads, queries, keys] = weights.dims();
            for head in 0..heads {
                let of_head = weights.clone().slice([0..1, head..head + 1, 0..queries, 0..keys]);
                let name = format!("{kind}_layer{}_head{}.svg", layer + 1, head + 1);
                HeatMap::new(
                    format!("{kind}, layer {}, head {}", layer + 1, head + 1),
                    &rows(of_head.reshape([queries, keys])),
                )?
                .row_labels(asking)
                .column_labels(asked)
                .range(0.0, 1.0)
                .decimals(2)
                .save(out.join(&name))?;
                section = section.picture(name, "");
            }
        }
    }
    Ok(section)
}

/// The decoder's output behind each token, and what it makes of it.
fn states(
    scene: &Scene,
    model: &Transformer,
    top: usize,
    translator: &Translator,
    out: &Path,
) -> anyhow::Result<Section> {
    let memory = model.encode(&scene.source);
    let hidden = model.decode(&scene.target, &memory, &scene.source.lengths);
    let [_, time, width] = hidden.dims();
    HeatMap::new("The decoder's state", &rows(hidden.reshape([time, width])))?
        .y_label("token given")
        .x_label("feature")
        .row_labels(&scene.given)
        .save(out.join("states.svg"))?;
    let logits = model.logits(&scene.source, &scene.target);
    let vocabulary = logits.dims()[2];
    let probabilities = rows(softmax(logits, 2).reshape([time, vocabulary]));
    let mut section = Section::new("Step by step")
        .text("Behind each token given, the likeliest next ones and their probabilities.")
        .picture("states.svg", "One row a step: what is projected onto the vocabulary")
        .header(&["step", "given", "written", "likeliest"]);
    for (step, (row, given)) in probabilities.iter().zip(&scene.given).enumerate() {
        let mut ranked: Vec<u32> = (0..vocabulary as u32).collect();
        ranked.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        ranked.truncate(top);
        let names = translator.tokenizers().target().tokens(&ranked);
        let told: Vec<String> = names
            .iter()
            .zip(&ranked)
            .map(|(name, &id)| format!("{name} {:.3}", row[id as usize]))
            .collect();
        let number = (step + 1).to_string();
        let likeliest = told.join(", ");
        section = section.row(&[&number, given, &scene.written[step], &likeliest]);
    }
    Ok(section)
}
