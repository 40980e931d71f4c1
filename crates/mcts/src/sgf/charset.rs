//! In which character set the bytes of a file are.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, SHIFT_JIS, UTF_8, WINDOWS_1252};

use super::tree::{Property, Sgf, Value};
use crate::error::{Error, Result};

/// Reads the bytes of a file: in the character set that they begin with or that `CA` names; where
/// they are not of it, or it says nothing, in UTF-8, else in the one that is most likely.
pub(super) fn read(bytes: &[u8]) -> Result<Sgf> {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let named = marked.or_else(|| named(bytes));
    let likely = likely(bytes);
    // A few bytes tell little: what reads as a record is as likely as what comes first.
    let others = [likely, UTF_8, SHIFT_JIS, GB18030, BIG5, EUC_JP, EUC_KR, WINDOWS_1252];
    let mut first_error = None;
    for encoding in named.into_iter().chain(others) {
        let Some(text) = decoded(bytes, encoding) else { continue };
        match text.parse::<Sgf>() {
            Ok(mut sgf) => {
                sgf.is_utf_8();
                return Ok(sgf);
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| {
        let reason = "the bytes are text of no character set".to_owned();
        Error::Record { line: 1, column: 1, reason }
    }))
}

/// What text these bytes most likely are.
fn likely(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Allow);
    // Names of a few characters, whose second bytes look like SGF's own, pass for single bytes.
    let east_asian = [SHIFT_JIS, GB18030, BIG5].map(|encoding| (common(bytes, encoding), encoding));
    let best = east_asian.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((share, encoding)) if guess.is_single_byte() && share > 0.8 => encoding,
        _ => guess,
    }
}

/// The share of the first level, what is written every day, in the characters of more than one
/// byte: kana and 2,965 kanji of JIS X 0208, 3,755 characters of GB 2312, 5,401 of Big5.
fn common(bytes: &[u8], encoding: &'static Encoding) -> f64 {
    let (mut all, mut found) = (0, 0);
    let mut rest = bytes;
    while let [first, others @ ..] = rest {
        rest = others;
        let [second, others @ ..] = others else { break };
        if first.is_ascii() {
            continue;
        }
        all += 1;
        let katakana = encoding == SHIFT_JIS && (0xA1..=0xDF).contains(first);
        if !katakana {
            rest = others;
        }
        found += u32::from(match encoding {
            _ if katakana => false,
            encoding if encoding == SHIFT_JIS => matches!(first, 0x82 | 0x83 | 0x88..=0x98),
            encoding if encoding == BIG5 => (0xA4..=0xC6).contains(first),
            _ => (0xB0..=0xD7).contains(first) && (0xA1..=0xFE).contains(second),
        });
    }
    if all > 1 { f64::from(found) / f64::from(all) } else { 0.0 }
}

/// The text; none where a byte is not of the character set.
fn decoded(bytes: &[u8], encoding: &'static Encoding) -> Option<String> {
    let (text, had_errors) = encoding.decode_with_bom_removal(bytes);
    // Windows 1252 gives control characters for the bytes that it does not have.
    let is_text = |c: char| !c.is_control() || c.is_ascii();
    (!had_errors && text.chars().all(is_text)).then(|| text.into_owned())
}

/// What the first `CA` names.
fn named(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut places = bytes.windows(3).enumerate().filter(|(_, window)| *window == b"CA[");
    let (at, _) = places.find(|(at, _)| *at == 0 || !bytes[at - 1].is_ascii_uppercase())?;
    let name = bytes[at + 3..].split(|byte| *byte == b']').next()?;
    let name = std::str::from_utf8(name).ok()?.trim().to_ascii_lowercase();
    // Names that WHATWG's list of labels leaves out.
    match name.as_str() {
        "cp932" | "shift-jis-2004" => Some(SHIFT_JIS),
        "cp936" | "gb" => Some(GB18030),
        "cp949" => Some(EUC_KR),
        "cp950" | "big-5" => Some(BIG5),
        "eucjp" => Some(EUC_JP),
        _ => Encoding::for_label(name.as_bytes()),
    }
}

impl Sgf {
    /// From now on it is written in UTF-8.
    fn is_utf_8(&mut self) {
        for node in &mut self.nodes {
            let charset = |property: &&mut Property| property.name == "CA";
            if let Some(charset) = node.properties.iter_mut().find(charset) {
                charset.values = vec![Value::new("UTF-8")];
            }
        }
    }
}
