//! The file of a model: a message of Protocol Buffers.
//!
//! The numbers of the fields are those of `sentencepiece_model.proto`
//! (<https://github.com/google/sentencepiece>), the encoding is that of
//! <https://protobuf.dev/programming-guides/encoding/>.

use super::super::special::SpecialNames;

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelType {
    Unigram,
    Bpe,
    Word,
    Char,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    /// A special token: no text becomes it.
    Control,
    UserDefined,
    Unused,
    Byte,
}

#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// What is done to text.
#[derive(Debug, Clone)]
pub(super) struct NormalizerSpec {
    /// What is replaced by what, compiled; empty for nothing.
    pub(super) charsmap: Vec<u8>,
    /// A space is put before the text.
    pub(super) dummy_prefix: bool,
    pub(super) remove_extra_spaces: bool,
    /// Spaces become marks.
    pub(super) escape_spaces: bool,
}

#[derive(Debug)]
pub(super) struct ModelFile {
    pub(super) pieces: Vec<Piece>,
    pub(super) kind: ModelType,
    pub(super) byte_fallback: bool,
    /// Spaces go with the word before.
    pub(super) space_behind: bool,
    pub(super) names: SpecialNames,
    pub(super) normalizer: NormalizerSpec,
    pub(super) denormalizer: Option<NormalizerSpec>,
}

impl ModelFile {
    /// Reads it, or says what is wrong.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let [pad, bos, eos, unk] = ["<pad>", "<s>", "</s>", "<unk>"].map(str::to_owned);
        let mut file = Self {
            pieces: Vec::new(),
            kind: ModelType::Unigram,
            byte_fallback: false,
            space_behind: false,
            names: SpecialNames { pad, bos, eos, unk },
            normalizer: NormalizerSpec::default(),
            denormalizer: None,
        };
        for field in Fields(content) {
            match field? {
                (1, value) => file.pieces.push(Piece::parse(value.bytes()?)?),
                (2, value) => file.read_trainer(value.bytes()?)?,
                (3, value) => file.normalizer = NormalizerSpec::parse(value.bytes()?)?,
                (5, value) => file.denormalizer = Some(NormalizerSpec::parse(value.bytes()?)?),
                _ => {}
            }
        }
        if file.pieces.is_empty() { Err("it has no pieces".to_owned()) } else { Ok(file) }
    }

    fn read_trainer(&mut self, content: &[u8]) -> Result<(), String> {
        for field in Fields(content) {
            match field? {
                (3, value) => {
                    self.kind = match value.number()? {
                        1 => ModelType::Unigram,
                        2 => ModelType::Bpe,
                        3 => ModelType::Word,
                        4 => ModelType::Char,
                        other => return Err(format!("the kind of model {other} is unknown")),
                    }
                }
                (24, value) => self.space_behind = value.number()? != 0,
                (35, value) => self.byte_fallback = value.number()? != 0,
                (46, value) => self.names.bos = value.text()?,
                (47, value) => self.names.eos = value.text()?,
                (48, value) => self.names.pad = value.text()?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Piece {
    fn parse(content: &[u8]) -> Result<Self, String> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: Kind::Normal };
        for field in Fields(content) {
            match field? {
                (1, value) => piece.text = value.text()?,
                (2, value) => piece.score = value.float()?,
                (3, value) => {
                    piece.kind = match value.number()? {
                        1 => Kind::Normal,
                        2 => Kind::Unknown,
                        3 => Kind::Control,
                        4 => Kind::UserDefined,
                        5 => Kind::Unused,
                        6 => Kind::Byte,
                        other => return Err(format!("the kind of piece {other} is unknown")),
                    }
                }
                _ => {}
            }
        }
        Ok(piece)
    }
}

impl Default for NormalizerSpec {
    fn default() -> Self {
        Self {
            charsmap: Vec::new(),
            dummy_prefix: true,
            remove_extra_spaces: true,
            escape_spaces: true,
        }
    }
}

impl NormalizerSpec {
    fn parse(content: &[u8]) -> Result<Self, String> {
        let mut spec = Self::default();
        for field in Fields(content) {
            match field? {
                (2, value) => spec.charsmap = value.bytes()?.to_vec(),
                (3, value) => spec.dummy_prefix = value.number()? != 0,
                (4, value) => spec.remove_extra_spaces = value.number()? != 0,
                (5, value) => spec.escape_spaces = value.number()? != 0,
                _ => {}
            }
        }
        Ok(spec)
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four bytes.
    Word([u8; 4]),
    /// Eight bytes, of which no field is read.
    Double,
}

impl<'a> Value<'a> {
    fn number(self) -> Result<u64, String> {
        if let Self::Number(number) = self { Ok(number) } else { Err(other("a number", self)) }
    }

    fn bytes(self) -> Result<&'a [u8], String> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(other("bytes", self)) }
    }

    fn text(self) -> Result<String, String> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned).map_err(|error| format!("text is not UTF-8: {error}"))
    }

    fn float(self) -> Result<f32, String> {
        if let Self::Word(word) = self {
            Ok(f32::from_le_bytes(word))
        } else {
            Err(other("four bytes", self))
        }
    }
}

fn other(expected: &str, found: Value<'_>) -> String {
    format!("a field is {found:?}, expected {expected}")
}

/// The fields of a message, in their order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = u64::from(self.take(1)?[0]);
            number |= (byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take_field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.take_number()?;
        let value = match key & 7 {
            0 => Value::Number(self.take_number()?),
            1 => self.take(8).map(|_| Value::Double)?,
            2 => {
                let length = usize::try_from(self.take_number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Word(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let left = self.0.len();
        let field = self.take_field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(
            field.ok_or_else(|| {
                format!("a field is broken, {left} bytes before the end of its part")
            }),
        )
    }
}
