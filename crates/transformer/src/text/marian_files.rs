//! The text files of a Marian model in Hugging Face's layout: two SentencePiece models and one
//! vocabulary for both sides.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use model_utils::atomic;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{NormalizerWrapper, Precompiled, Sequence};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{AddedToken, PostProcessorWrapper};

use super::encoded::Tokenizers;
use super::sentence_piece::{self, ModelKind, Piece, PieceKind, SentencePieceModel};
use super::special::SpecialNames;
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
    /// Those of a folder; none where it has no `source.spm`.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        if !folder.join(SOURCE).exists() {
            return Ok(None);
        }
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(model_utils::Error::io("read", &path))
        };
        let config = folder.join(CONFIG).exists().then(|| read(CONFIG)).transpose()?;
        let (source, target, vocabulary) = (read(SOURCE)?, read(TARGET)?, read(VOCABULARY)?);
        Ok(Some(Self { source, target, vocabulary, config }))
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

    /// The tokenizers of both sides. `special` tells the ids of pad, begin, end and unknown.
    ///
    /// A piece of a SentencePiece model that the vocabulary lacks is not used: text is cut into
    /// pieces that it has.
    pub(crate) fn tokenizers(&self, special: [u32; 3], folder: &Path) -> Result<Tokenizers> {
        let place = |name: &str| folder.join(name).display().to_string();
        let vocabulary = vocabulary(&self.vocabulary, &place(VOCABULARY))?;
        let side = |name: &str, bytes: &[u8]| {
            let place = place(name);
            tokenizer(&sentence_piece::read(bytes, &place)?, &vocabulary, special, &place)
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

/// The name in a vocabulary of both sides of a piece that one side does not cut text into: as spaces
/// become `▁` before text is cut, no text matches it.
pub(super) fn unmatched(piece: &str) -> String {
    format!("{piece} ")
}

/// The tokenizer of one side: its SentencePiece model cuts, the vocabulary numbers.
fn tokenizer(
    model: &SentencePieceModel,
    vocabulary: &[String],
    [pad, bos, eos]: [u32; 3],
    place: &str,
) -> Result<Tokenizer> {
    let bad = |reason: String| Error::tokenizer(place, reason);
    let failed = |error: tokenizers::Error| Error::tokenizer(place, error);
    if model.kind != ModelKind::Unigram {
        return Err(bad(format!("it is a {:?} model, expected Unigram", model.kind)));
    }
    let unknown = model.pieces.iter().find(|piece| piece.kind == PieceKind::Unknown);
    let unknown = unknown.ok_or_else(|| bad("it has no piece for the unknown".to_owned()))?;
    let unk = vocabulary.iter().position(|piece| *piece == unknown.text);
    let unk = unk.ok_or_else(|| bad(format!("the vocabulary lacks `{}`", unknown.text)))?;
    let scores: HashMap<&str, f64> = scores(model);
    let least = scores.values().copied().fold(f64::INFINITY, f64::min).min(0.0);
    let is_special = |id: usize| [pad as usize, bos as usize, eos as usize, unk].contains(&id);
    // The marks of target languages of multilingual models, `>>fra<<`, are cut out of the text.
    let is_mark = |piece: &str| piece.starts_with(">>") && piece.ends_with("<<");
    let numbered =
        vocabulary.iter().enumerate().map(|(id, piece)| match scores.get(piece.as_str()) {
            Some(&score) if !is_special(id) => (piece.clone(), score),
            _ if is_mark(piece) => (piece.clone(), least),
            _ => (unmatched(piece), least),
        });
    let inner =
        Unigram::from(numbered.collect(), Some(unk), model.byte_fallback).map_err(failed)?;
    let mut inner = tokenizers::Tokenizer::new(inner);
    let spec = &model.normalizer;
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if !spec.precompiled_charsmap.is_empty() {
        check_charsmap(&spec.precompiled_charsmap).map_err(|reason| bad(reason.to_owned()))?;
        let map = Precompiled::from(&spec.precompiled_charsmap);
        steps.push(map.map_err(|error| bad(error.to_string()))?.into());
    }
    if spec.remove_extra_whitespaces {
        for (pattern, with) in [("^ +| +$", ""), (" {2,}", " ")] {
            let pattern = ReplacePattern::Regex(pattern.to_owned());
            steps.push(Replace::new(pattern, with).map_err(failed)?.into());
        }
    }
    inner.with_normalizer(Some(NormalizerWrapper::from(Sequence::new(steps))));
    let scheme = if spec.add_dummy_prefix { PrependScheme::Always } else { PrependScheme::Never };
    inner.with_pre_tokenizer(Some(Metaspace::new('▁', scheme, false)));
    inner.with_post_processor(None::<PostProcessorWrapper>);
    let spaces = Replace::new(ReplacePattern::String(" ".to_owned()), "").map_err(failed)?;
    let decoders: Vec<DecoderWrapper> =
        vec![spaces.into(), Metaspace::new('▁', PrependScheme::Always, false).into()];
    let decoder = tokenizers::decoders::sequence::Sequence::new(decoders);
    inner.with_decoder(Some(DecoderWrapper::from(decoder)));
    let marks = vocabulary.iter().filter(|piece| is_mark(piece));
    let marks: Vec<AddedToken> =
        marks.map(|mark| AddedToken::from(mark.clone(), false).normalized(false)).collect();
    inner.add_tokens(&marks);
    let name = |id: u32| {
        let name = vocabulary.get(id as usize).map(|piece| unmatched(piece));
        name.ok_or_else(|| bad(format!("the vocabulary lacks the special id {id}")))
    };
    let names =
        SpecialNames { pad: name(pad)?, bos: name(bos)?, eos: name(eos)?, unk: name(unk as u32)? };
    Tokenizer::new(inner, names, place)
}

/// What the pieces that text may be cut into are worth.
fn scores(model: &SentencePieceModel) -> HashMap<&str, f64> {
    let normal = model.pieces.iter().filter(|piece| piece.kind == PieceKind::Normal);
    let most = normal.map(|piece| piece.score).fold(f32::NEG_INFINITY, f32::max);
    let score = |piece: &Piece| match piece.kind {
        PieceKind::Normal | PieceKind::Byte => Some(f64::from(piece.score)),
        // So that it is always taken, as SentencePiece does it.
        PieceKind::UserDefined => Some(f64::from(piece.text.len() as f32 * most - 0.1)),
        PieceKind::Unknown | PieceKind::Control | PieceKind::Unused => None,
    };
    let scored = model.pieces.iter().filter_map(|piece| Some((piece.text.as_str(), score(piece)?)));
    scored.collect()
}

/// Refuses a table of replacements that would be read beyond its end: the length of a trie in bytes,
/// its units (Yata's double array, as darts-clone writes it), the replacements.
fn check_charsmap(bytes: &[u8]) -> std::result::Result<(), &'static str> {
    const BROKEN: &str = "its table of replacements is damaged";
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(BROKEN)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trie, texts) = rest.split_at_checked(length).ok_or(BROKEN)?;
    let texts = std::str::from_utf8(texts).map_err(|_| BROKEN)?;
    let units: Vec<usize> = trie
        .chunks_exact(4)
        .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]) as usize)
        .collect();
    let offset = |unit: usize| (unit >> 10) << ((unit & (1 << 9)) >> 6);
    let mut seen = vec![false; units.len()];
    let mut open = vec![offset(*units.first().ok_or(BROKEN)?)];
    while let Some(base) = open.pop() {
        // All bytes that a text may go on with are looked up from here.
        if (base | 0xff) >= units.len() {
            return Err(BROKEN);
        }
        for byte in 1..=0xff_usize {
            let at = base ^ byte;
            let unit = units[at];
            if unit & ((1 << 31) | 0xff) != byte || std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let next = at ^ offset(unit);
            if (unit >> 8) & 1 == 1 {
                let value = units.get(next).ok_or(BROKEN)? & ((1 << 31) - 1);
                if !texts.is_char_boundary(value) {
                    return Err(BROKEN);
                }
            }
            open.push(next);
        }
    }
    Ok(())
}
