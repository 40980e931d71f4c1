//! Files of SentencePiece (Kudo and Richardson 2018, <https://arxiv.org/abs/1808.06226>): pieces, scores
//! and the normaliser. The format is that of `sentencepiece_model.proto`.

use crate::error::{Error, Result};

/// How a model cuts text, by its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelKind {
    Unigram,
    Bpe,
    Word,
    Char,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// A piece of text and the logarithm of its probability.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) score: f32,
    pub(crate) kind: PieceKind,
}

/// What is done to text before it is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NormalizerSpec {
    /// A table of replacements as SentencePiece compiles it; empty for none.
    pub(crate) precompiled_charsmap: Vec<u8>,
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SentencePieceModel {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) kind: ModelKind,
    pub(crate) byte_fallback: bool,
    pub(crate) normalizer: NormalizerSpec,
}

/// Reads the bytes of a `.model` or `.spm` file. `place` is told in errors.
///
/// # Errors
///
/// [`Error::Tokenizer`] for bytes that are no such file.
pub(crate) fn read(bytes: &[u8], place: &str) -> Result<SentencePieceModel> {
    let bad = |reason: &str| Error::tokenizer(place, format!("no SentencePiece model: {reason}"));
    let mut model = SentencePieceModel {
        pieces: Vec::new(),
        kind: ModelKind::Unigram,
        byte_fallback: false,
        normalizer: NormalizerSpec {
            precompiled_charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        },
    };
    for field in Fields(bytes) {
        let (number, value) = field.map_err(bad)?;
        match (number, value) {
            (1, Value::Bytes(piece)) => model.pieces.push(self::piece(piece).map_err(bad)?),
            (2, Value::Bytes(trainer)) => trainer_spec(trainer, &mut model).map_err(bad)?,
            (3, Value::Bytes(spec)) => {
                normalizer_spec(spec, &mut model.normalizer).map_err(bad)?;
            }
            _ => {}
        }
    }
    if model.pieces.is_empty() {
        return Err(bad("it has no pieces"));
    }
    Ok(model)
}

type Parsed<T> = std::result::Result<T, &'static str>;

fn piece(bytes: &[u8]) -> Parsed<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| "a piece is not UTF-8")?;
                text.clone_into(&mut piece.text);
            }
            (2, Value::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Number(kind)) => {
                piece.kind = match kind {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => PieceKind::Byte,
                    _ => return Err("a piece is of no known kind"),
                };
            }
            _ => {}
        }
    }
    if piece.text.is_empty() || !piece.score.is_finite() {
        return Err("a piece is empty or its score is not finite");
    }
    Ok(piece)
}

fn trainer_spec(bytes: &[u8], model: &mut SentencePieceModel) -> Parsed<()> {
    for field in Fields(bytes) {
        match field? {
            (3, Value::Number(kind)) => {
                model.kind = match kind {
                    1 => ModelKind::Unigram,
                    2 => ModelKind::Bpe,
                    3 => ModelKind::Word,
                    4 => ModelKind::Char,
                    _ => return Err("the model is of no known kind"),
                };
            }
            (35, Value::Number(flag)) => model.byte_fallback = flag != 0,
            _ => {}
        }
    }
    Ok(())
}

fn normalizer_spec(bytes: &[u8], spec: &mut NormalizerSpec) -> Parsed<()> {
    for field in Fields(bytes) {
        match field? {
            (2, Value::Bytes(map)) => spec.precompiled_charsmap = map.to_vec(),
            (3, Value::Number(flag)) => spec.add_dummy_prefix = flag != 0,
            (4, Value::Number(flag)) => spec.remove_extra_whitespaces = flag != 0,
            (5, Value::Number(flag)) => spec.escape_whitespaces = flag != 0,
            _ => {}
        }
    }
    Ok(())
}

/// A value of a message in the wire format of protocol buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    Fixed64,
}

/// The fields of a message, each with its number.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: u64) -> Parsed<&'a [u8]> {
        let taken = usize::try_from(count).ok().and_then(|count| self.0.split_at_checked(count));
        let (taken, rest) = taken.ok_or("it ends in the middle of a field")?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Parsed<u64> {
        let mut number = 0_u64;
        for at in 0..10 {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is too long")
    }

    fn field(&mut self) -> Parsed<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let count = self.varint()?;
                Value::Bytes(self.take(count)?)
            }
            5 => {
                let bytes = self.take(4)?.try_into().map_err(|_| "it ends")?;
                Value::Fixed32(u32::from_le_bytes(bytes))
            }
            _ => return Err("a field is of no known kind"),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Parsed<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces `<unk>` and `▁a` with scores 0 and −1.5, a BPE model, no dummy prefix.
    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0x0a, 9, 0x0a, 5];
        bytes.extend(b"<unk>");
        bytes.extend([0x18, 2, 0x0a, 11, 0x0a, 4]);
        bytes.extend("▁a".bytes());
        bytes.push(0x15);
        bytes.extend((-1.5_f32).to_le_bytes());
        bytes.extend([0x12, 2, 0x18, 2, 0x1a, 2, 0x18, 0]);
        bytes
    }

    #[test]
    fn pieces_and_settings_are_read() {
        let model = read(&bytes(), "here").unwrap();
        let found: Vec<_> =
            model.pieces.iter().map(|p| (p.text.as_str(), p.score, p.kind)).collect();
        assert_eq!(found, [("<unk>", 0.0, PieceKind::Unknown), ("▁a", -1.5, PieceKind::Normal)]);
        assert_eq!(model.kind, ModelKind::Bpe);
        assert!(!model.normalizer.add_dummy_prefix && model.normalizer.escape_whitespaces);
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let whole = bytes();
        // A prefix may be a shorter whole: it never panics, and is refused inside a field.
        for end in 0..whole.len() {
            let _ = read(&whole[..end], "here");
        }
        assert!(read(&whole[..whole.len() - 1], "here").is_err());
        for bytes in [&b""[..], &[0xff; 40], b"{\"version\": 1}"] {
            assert!(read(bytes, "here").is_err());
        }
    }
}
