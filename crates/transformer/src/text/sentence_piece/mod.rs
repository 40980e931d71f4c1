//! Models of SentencePiece (Kudo and Richardson 2018, <https://arxiv.org/abs/1808.06226>): its file,
//! its normalisation, its ways to cut and its ways to put together, id by id the same.

mod model_file;
mod normalizer;
mod segmentation;

use std::collections::HashMap;

use self::model_file::{Kind, ModelFile, ModelType, Piece};
use self::normalizer::Normalizer;
use super::special::{SpecialNames, SpecialTokens};
use super::tokenizer_config::byte_of;
use crate::error::{Error, Result};

/// The mark of a space.
const MARK: &str = "▁";

/// A model: pieces with scores, and what is done to text before and behind them.
#[derive(Debug)]
pub(super) struct SentencePiece {
    pieces: Vec<Piece>,
    /// The pieces that text can become.
    ids: HashMap<String, u32>,
    /// Of each byte, where a character without a piece becomes its bytes.
    bytes: Option<Vec<u32>>,
    kind: ModelType,
    /// The most characters of a piece that text can become.
    longest: usize,
    /// The lowest and the highest score of an ordinary piece.
    scores: (f32, f32),
    normalizer: Normalizer,
    denormalizer: Option<Normalizer>,
    unknown: u32,
    /// Special tokens that the file lacks, with the ids behind the last piece.
    beyond: Vec<String>,
    /// Where a vocabulary gives the ids.
    numbers: Option<Numbers>,
}

/// The ids of a vocabulary that holds the pieces of several models.
#[derive(Debug)]
struct Numbers {
    /// By their ids; one of another model's is ordinary.
    pieces: Vec<Piece>,
    ids: HashMap<String, u32>,
    unknown: u32,
}

/// A part of a text.
enum Cut {
    /// A piece, by its id in the file.
    Piece(u32),
    /// Characters side by side that have none.
    Unknown(String),
}

/// The pieces that the user wants whole.
fn symbols(pieces: &[Piece]) -> Vec<String> {
    let symbols = pieces.iter().filter(|piece| piece.kind == Kind::UserDefined);
    let mut symbols: Vec<String> = symbols.map(|piece| piece.text.clone()).collect();
    symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.len()));
    symbols
}

impl SentencePiece {
    /// Whether content is that of a `.model`.
    pub(super) fn is(content: &[u8]) -> bool {
        // The first field of the message: its pieces.
        content.first() == Some(&0x0a) && ModelFile::parse(content).is_ok()
    }

    /// Reads the content of a `.model`. Without `names` the file's own are taken.
    pub(super) fn read(
        content: &[u8],
        names: Option<SpecialNames>,
        place: &str,
    ) -> Result<(Self, SpecialNames, SpecialTokens)> {
        let refuse = |reason: String| Error::tokenizer(place, reason);
        let file = ModelFile::parse(content).map_err(&refuse)?;
        let kind = file.kind;
        if matches!(kind, ModelType::Word | ModelType::Char) {
            let reason = format!("its kind is {kind:?}, expected Unigram or Bpe");
            return Err(refuse(reason));
        }
        if file.space_behind {
            return Err(refuse("it has spaces at the ends of words, expected at heads".to_owned()));
        }
        let pieces = file.pieces;
        let mut unknown =
            pieces.iter().enumerate().filter(|(_, piece)| piece.kind == Kind::Unknown);
        let (Some((unknown, piece)), None) = (unknown.next(), unknown.next()) else {
            return Err(refuse("it has no unknown token, or several; expected one".to_owned()));
        };
        let named = names.unwrap_or_else(|| SpecialNames { unk: piece.text.clone(), ..file.names });
        if named.unk != piece.text {
            let reason = format!(
                "it does not know the special token `{}`: its unknown one is `{}`",
                named.unk, piece.text
            );
            return Err(refuse(reason));
        }
        let mut beyond = Vec::new();
        let mut id = |name: &String| {
            let found = pieces.iter().position(|piece| piece.text == *name);
            let id = found.unwrap_or_else(|| {
                let number = beyond.iter().position(|other| other == name).unwrap_or_else(|| {
                    beyond.push(name.clone());
                    beyond.len() - 1
                });
                pieces.len() + number
            });
            id as u32
        };
        let (pad, bos, eos) = (id(&named.pad), id(&named.bos), id(&named.eos));
        let special = SpecialTokens { pad, bos, eos, unk: unknown as u32 };

        let can_be =
            |piece: &Piece| matches!(piece.kind, Kind::Normal | Kind::UserDefined | Kind::Unused);
        let mut ids = HashMap::new();
        for (id, piece) in pieces.iter().enumerate().filter(|(_, piece)| can_be(piece)) {
            if piece.text.is_empty() || ids.insert(piece.text.clone(), id as u32).is_some() {
                let reason = format!("piece {id} `{}` is empty or stands there twice", piece.text);
                return Err(refuse(reason));
            }
            if !piece.score.is_finite() {
                return Err(refuse(format!("the score of piece {id} is {}", piece.score)));
            }
        }
        let mut bytes = None;
        if file.byte_fallback {
            let mut of_bytes = vec![None; 256];
            for (id, piece) in pieces.iter().enumerate().filter(|(_, p)| p.kind == Kind::Byte) {
                let byte = byte_of(&piece.text);
                let byte = byte.ok_or_else(|| {
                    refuse(format!("piece {id} `{}` is no byte, expected `<0x00>`", piece.text))
                })?;
                of_bytes[usize::from(byte)] = Some(id as u32);
            }
            bytes = of_bytes.into_iter().collect();
            if bytes.is_none() {
                return Err(refuse(
                    "it falls back to bytes and has not all 256 of them".to_owned(),
                ));
            }
        }
        let normal = pieces.iter().filter(|piece| piece.kind == Kind::Normal);
        // The highest is at least the smallest positive number, as in SentencePiece.
        let scores = normal.fold((f32::MAX, f32::MIN_POSITIVE), |(low, high), piece| {
            (low.min(piece.score), high.max(piece.score))
        });
        let longest =
            ids.keys().map(|piece: &String| piece.chars().count()).max().unwrap_or_default();
        let normalizer = Normalizer::new(file.normalizer, symbols(&pieces)).map_err(&refuse)?;
        let denormalizer = file.denormalizer.filter(|spec| !spec.charsmap.is_empty());
        let denormalizer = denormalizer.map(|spec| Normalizer::new(spec, Vec::new()));
        let denormalizer = denormalizer.transpose().map_err(&refuse)?;
        let unknown = special.unk;
        let model = Self {
            pieces,
            ids,
            bytes,
            kind,
            longest,
            scores,
            normalizer,
            denormalizer,
            unknown,
            beyond,
            numbers: None,
        };
        Ok((model, named, special))
    }

    /// From here on ids are those of a vocabulary, of which some are `special`: no text becomes them.
    /// The id of the unknown.
    pub(super) fn number(
        &mut self,
        vocabulary: &[String],
        special: [u32; 3],
        unknown: &str,
        place: &str,
    ) -> Result<u32> {
        let ids = (0_u32..).zip(vocabulary).filter(|(id, _)| !special.contains(id));
        let ids: HashMap<String, u32> = ids.map(|(id, piece)| (piece.clone(), id)).collect();
        let unknown = *ids
            .get(unknown)
            .ok_or_else(|| Error::tokenizer(place, format!("the vocabulary lacks `{unknown}`")))?;
        let own: HashMap<&str, &Piece> =
            self.pieces.iter().map(|piece| (piece.text.as_str(), piece)).collect();
        let piece = |text: &String| match own.get(text.as_str()) {
            Some(&piece) => piece.clone(),
            None => Piece { text: text.clone(), score: 0.0, kind: Kind::Normal },
        };
        let pieces = vocabulary.iter().map(piece).collect();
        self.numbers = Some(Numbers { pieces, ids, unknown });
        Ok(unknown)
    }

    /// Whether a vocabulary gives the ids.
    pub(super) fn is_numbered(&self) -> bool {
        self.numbers.is_some()
    }

    /// The pieces by their ids.
    fn numbered(&self) -> &[Piece] {
        self.numbers.as_ref().map_or(&self.pieces, |numbers| &numbers.pieces)
    }

    pub(super) fn size(&self) -> usize {
        match &self.numbers {
            Some(numbers) => numbers.pieces.len(),
            None => self.pieces.len() + self.beyond.len(),
        }
    }

    pub(super) fn piece(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let piece = self.numbered().get(id).map(|piece| piece.text.as_str());
        if self.is_numbered() {
            return piece;
        }
        piece.or_else(|| self.beyond.get(id.checked_sub(self.pieces.len())?).map(String::as_str))
    }

    /// A text as it is before it is cut, without marks.
    pub(super) fn normalize(&self, text: &str) -> String {
        let normalized = self.normalizer.normalize(text).replace(MARK, " ");
        match normalized.strip_prefix(' ') {
            Some(rest) if self.normalizer.spec().dummy_prefix => rest.to_owned(),
            _ => normalized,
        }
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let Some(numbers) = &self.numbers else {
            let id = |cut| match cut {
                Cut::Piece(id) => id,
                Cut::Unknown(_) => self.unknown,
            };
            return self.cut(text).into_iter().map(id).collect();
        };
        let number = |piece: &str| numbers.ids.get(piece).copied().unwrap_or(numbers.unknown);
        // The language to translate to, which a multilingual Marian model is told at the head.
        let end = text.rfind("<<").filter(|&end| end > 2 && text.starts_with(">>"));
        let (mark, text) = text.split_at(end.map_or(0, |end| end + 2));
        let mark = (!mark.is_empty()).then(|| number(mark));
        let id = |cut| match cut {
            Cut::Piece(id) => number(&self.pieces[id as usize].text),
            // It may be a piece of the other side's.
            Cut::Unknown(letters) => number(&letters),
        };
        mark.into_iter().chain(self.cut(text).into_iter().map(id)).collect()
    }

    /// Normalises and cuts a text.
    fn cut(&self, text: &str) -> Vec<Cut> {
        let text = self.normalizer.normalize(text);
        let parts = match self.kind {
            ModelType::Bpe => self.joined(&text),
            _ => self.likeliest(&text),
        };
        let mut cuts = Vec::with_capacity(parts.len());
        for (part, id) in parts {
            if id != self.unknown {
                cuts.push(Cut::Piece(id));
            } else if let Some(bytes) = &self.bytes {
                cuts.extend(part.bytes().map(|byte| Cut::Piece(bytes[usize::from(byte)])));
            } else if let Some(Cut::Unknown(letters)) = cuts.last_mut() {
                letters.push_str(part);
            } else {
                cuts.push(Cut::Unknown(part.to_owned()));
            }
        }
        cuts
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut bytes: Vec<u8> = Vec::new();
        // Whether nothing but a space that is kept stands before.
        let mut at_head = true;
        let mut space_seen = false;
        for &id in ids {
            let Some(piece) = self.numbered().get(id as usize) else { continue };
            if let (Kind::Byte, Some(byte)) = (piece.kind, byte_of(&piece.text)) {
                bytes.push(byte);
                continue;
            }
            push_bytes(&mut text, &mut bytes);
            if piece.kind == Kind::Control || piece.kind == Kind::Unknown {
                continue;
            }
            if space_seen || !text.is_empty() {
                at_head = false;
            }
            let spec = self.normalizer.spec();
            let mut piece = piece.text.as_str();
            space_seen = false;
            if at_head
                && (spec.dummy_prefix || spec.remove_extra_spaces)
                && let Some(rest) = piece.strip_prefix(MARK)
            {
                piece = rest;
                // All leading spaces go where extra ones do.
                space_seen = !spec.remove_extra_spaces;
            }
            text.push_str(&piece.replace(MARK, " "));
        }
        push_bytes(&mut text, &mut bytes);
        match &self.denormalizer {
            Some(denormalizer) => denormalizer.normalize(&text),
            None => text,
        }
    }
}

/// Appends bytes as characters; each that is part of none becomes U+FFFD.
fn push_bytes(text: &mut String, bytes: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    bytes.clear();
}
