//! Models in Hugging Face's layout: Marian's (OPUS-MT) read, and what is trained here written.

mod config;
mod generation;
mod weights;

use std::path::Path;

use burn::tensor::Device;
use model_utils::atomic;
use serde::Serialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::text::{MarianFiles, Overlong, SpecialNames, TokenLimit, Tokenizer, Tokenizers};
use crate::translator::Translator;
use config::MarianConfig;
use generation::Generation;

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

impl Translator {
    /// Reads a folder of Hugging Face with a Marian model (OPUS-MT): `config.json`,
    /// `generation_config.json` where there is one, `model.safetensors` or (with the feature
    /// `pretrained`) `pytorch_model.bin`, and `source.spm`, `target.spm` and `vocab.json`, or the
    /// `tokenizer.json` that [`save_hugging_face`](Self::save_hugging_face) writes.
    ///
    /// What the folder says of generation becomes [`limits`](Self::limits) and
    /// [`strategy`](Self::strategy). A model for several target languages is told which by the mark
    /// that a sentence begins with: `>>fra<< A dog runs.`
    ///
    /// ```no_run
    /// # use transformer::prelude::*;
    /// # let device = DeviceSpec::default().open()?;
    /// let translator = Translator::from_hugging_face("opus-mt-en-de", &device)?;
    /// let found = translator.translate(&["A dog runs."], translator.strategy())?;
    /// println!("{}", found[0]);
    /// # Ok::<(), transformer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] for files that are missing or damaged, [`Error::HuggingFace`] with the field of
    /// a model that is no Marian model or has a part that is not known here, [`Error::Tokenizer`] for
    /// text files that do not fit each other, [`Error::Model`] where they do not fit the model.
    pub fn from_hugging_face(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join(CONFIG);
        let bytes = std::fs::read(&path).map_err(model_utils::Error::io("read", &path))?;
        let parse = |path: &Path, bytes: &[u8]| {
            serde_json::from_slice::<serde_json::Value>(bytes)
                .map_err(|error| Error::hugging_face(path, error.to_string()))
        };
        let told = parse(&path, &bytes)?;
        let config = MarianConfig::read(&told, &path)?;
        let transformer = config.transformer(&path)?;
        let path = folder.join(GENERATION);
        let generation = if path.exists() {
            let bytes = std::fs::read(&path).map_err(model_utils::Error::io("read", &path))?;
            Generation::read(&[&told, &parse(&path, &bytes)?], &path)?
        } else {
            Generation::read(&[&told], &folder.join(CONFIG))?
        };
        let [pad, bos, eos] = config.special();
        let tokenizers = if MarianFiles::are_in(folder) {
            MarianFiles::open(folder)?.tokenizers([pad, bos, eos], folder)?
        } else {
            Tokenizers::shared(tokenizer(folder)?)
        };
        let path = WEIGHTS.map(|name| folder.join(name)).into_iter().find(|path| path.exists());
        let missing = || format!("it has no weights, expected {} or {}", WEIGHTS[0], WEIGHTS[1]);
        let path = path.ok_or_else(|| Error::hugging_face(folder, missing()))?;
        let device = device.clone().without_autodiff();
        let model = weights::load(transformer.init(&device)?, &path)?;
        let special = tokenizers.target().special();
        if [special.pad, special.bos, special.eos] != [pad, bos, eos] {
            let reason = format!("its special ids are {pad}, {bos}, {eos}, expected {special:?}");
            return Err(Error::hugging_face(folder.join(CONFIG), reason));
        }
        let limit = TokenLimit::new(config.max_position_embeddings, Overlong::Refuse);
        let translator = Self::new(Model::Transformer(model), tokenizers, limit)?;
        let limits = generation.limits(special, &folder.join(GENERATION))?;
        let strategy = generation.strategy(&folder.join(GENERATION))?;
        Ok(translator.with_limits(limits).with_strategy(strategy))
    }

    /// Writes a folder that `transformers` opens as `MarianMTModel`, with equal logits, whole or not
    /// at all: `config.json`, `generation_config.json`, `model.safetensors`, and `source.spm`,
    /// `target.spm` and `vocab.json` where they were read from such, otherwise a `tokenizer.json` for
    /// `AutoTokenizer`.
    ///
    /// The format knows post-norm Transformers with sinusoidal positions whose three tables are one,
    /// as [`TransformerConfig::marian`](crate::TransformerConfig::marian) and
    /// [`base`](crate::TransformerConfig::base) are. Sines and cosines in turn are written as halves,
    /// with the numbers of each vector in another order. Of the strategy a beam is told, of length
    /// penalties [`Power`](crate::LengthPenalty::Power) and none; it has no word for others.
    ///
    /// # Errors
    ///
    /// [`Error::HuggingFace`] with the field that cannot be told in this format, [`Error::Utils`] where
    /// the folder cannot be written.
    pub fn save_hugging_face(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let refused = |reason: &str| Error::hugging_face(folder, reason);
        let Model::Transformer(model) = self.model() else {
            return Err(refused("`model` is recurrent, expected a Transformer"));
        };
        let special = self.tokenizers().target().special();
        let max_tokens = self.token_limit().max_tokens;
        let config = MarianConfig::of(model.config(), special, max_tokens)
            .map_err(|reason| refused(&reason))?;
        let files = self.tokenizers().files();
        if files.is_none() && !self.tokenizers().is_shared() {
            return Err(refused("`shared` is false, expected one tokenizer for both sides"));
        }
        let generation = Generation::of(&self.limits(), self.strategy());
        atomic::write_folder(folder, |folder| {
            write(folder, CONFIG, &config)?;
            write(folder, GENERATION, &generation)?;
            weights::save(model, &folder.join(WEIGHTS[0]))?;
            match files {
                Some(files) => files.write(folder),
                None => write_tokenizer(folder, self.tokenizers().source(), max_tokens),
            }
        })
    }
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::hugging_face(&path, error.to_string()))?;
    Ok(atomic::write(path, text.as_bytes())?)
}

/// A `tokenizer.json` that adds the end, and what `AutoTokenizer` asks beside it.
fn write_tokenizer(folder: &Path, tokenizer: &Tokenizer, max_tokens: usize) -> Result<()> {
    let path = folder.join(TOKENIZER);
    let mut text: serde_json::Value = serde_json::from_slice(tokenizer.content())
        .map_err(|_| Error::hugging_face(&path, "expected a `tokenizer.json`, not a `.model`"))?;
    let names = tokenizer.special_names();
    let (eos, id) = (&names.eos, tokenizer.special().eos);
    let end = json!({"SpecialToken": {"id": eos, "type_id": 0}});
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    text["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [sequence("A"), end],
        "pair": [sequence("A"), sequence("B"), end],
        "special_tokens": {eos: {"id": eos, "ids": [id], "tokens": [eos]}},
    });
    write(folder, TOKENIZER, &text)?;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": names.pad,
        "bos_token": names.bos,
        "eos_token": names.eos,
        "unk_token": names.unk,
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": false,
    });
    write(folder, TOKENIZER_CONFIG, &config)
}

/// That of a folder that `save_hugging_face` wrote.
fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    let path = folder.join(TOKENIZER_CONFIG);
    let bytes = std::fs::read(&path).map_err(model_utils::Error::io("read", &path))?;
    let told: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| Error::hugging_face(&path, error.to_string()))?;
    let name = |field: &str| match told[field].as_str() {
        Some(name) => Ok(name.to_owned()),
        None => Err(Error::hugging_face(&path, format!("`{field}` is missing, expected a text"))),
    };
    let names = SpecialNames {
        pad: name("pad_token")?,
        bos: name("bos_token")?,
        eos: name("eos_token")?,
        unk: name("unk_token")?,
    };
    Tokenizer::load_named(folder.join(TOKENIZER), names)
}
