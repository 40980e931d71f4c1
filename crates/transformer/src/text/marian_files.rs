//! The text files of a Marian model in Hugging Face's layout: two SentencePiece models and one
//! vocabulary for both sides.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use model_utils::atomic;

use super::encoded::Tokenizers;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

const SOURCE: &str = "source.spm";
const TARGET: &str = "target.spm";
const VOCABULARY: &str = "vocab.json";
const CONFIG: &str = "tokenizer_config.json";

/// The files as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarianFiles {
    source: Vec<u8>,
    target: Vec<u8>,
    vocabulary: Vec<u8>,
    config: Option<Vec<u8>>,
}

impl MarianFiles {
    /// Whether a folder has such files.
    pub(crate) fn are_in(folder: &Path) -> bool {
        folder.join(SOURCE).exists()
    }

    /// Reads those of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(model_utils::Error::io("read", &path))
        };
        let config = folder.join(CONFIG).exists().then(|| read(CONFIG)).transpose()?;
        let (source, target, vocabulary) = (read(SOURCE)?, read(TARGET)?, read(VOCABULARY)?);
        Ok(Self { source, target, vocabulary, config })
    }

    /// Writes them into a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let files =
            [(SOURCE, &self.source), (TARGET, &self.target), (VOCABULARY, &self.vocabulary)];
        for (name, bytes) in files.into_iter().chain(self.config.as_ref().map(|c| (CONFIG, c))) {
            atomic::write(folder.join(name), bytes)?;
        }
        Ok(())
    }

    /// The tokenizers of both sides, as `MarianTokenizer` has them: the model of a side cuts, the
    /// vocabulary numbers, and what it lacks is unknown. `special` tells the ids of pad, begin, end.
    pub(crate) fn tokenizers(&self, special: [u32; 3], folder: &Path) -> Result<Tokenizers> {
        let place = |name: &str| folder.join(name).display().to_string();
        let vocabulary = vocabulary(&self.vocabulary, &place(VOCABULARY))?;
        let side = |name: &str, bytes: &[u8]| {
            Tokenizer::numbered(bytes, &vocabulary, special, &place(name))
        };
        let source = side(SOURCE, &self.source)?;
        let target = side(TARGET, &self.target)?;
        Ok(Tokenizers::each(source, target).with_files(Some(self.clone())))
    }
}

/// The pieces by their ids.
fn vocabulary(bytes: &[u8], place: &str) -> Result<Vec<String>> {
    let bad = |reason: String| Error::tokenizer(place, reason);
    let ids: BTreeMap<String, u32> =
        serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    let mut pieces = vec![None; ids.len()];
    let count = pieces.len();
    for (piece, id) in ids {
        let slot = pieces.get_mut(id as usize).ok_or_else(|| {
            bad(format!("`{piece}` has the id {id}, and there are {count} pieces"))
        })?;
        if let Some(other) = slot.replace(piece) {
            return Err(bad(format!("`{other}` is not the only piece with the id {id}")));
        }
    }
    // As many ids as places, none twice: none is missing.
    Ok(pieces.into_iter().flatten().collect())
}
