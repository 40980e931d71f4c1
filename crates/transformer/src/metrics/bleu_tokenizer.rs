//! How BLEU cuts text into words.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use model_utils::config::ConfigError;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// How text is cut into words before they are counted; each is sacreBLEU's of the same name.
///
/// sacreBLEU's `ja-mecab` needs a dictionary that no crate brings along. For Japanese take
/// [`Char`](Self::Char), or cut the text with `MeCab` beforehand and take [`None`](Self::None): the
/// score is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BleuTokenizer {
    /// That of `mteval-v13a.pl`, WMT's: punctuation stands alone, but for points and commas inside
    /// of numbers. A sentence without spaces is one word.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// That of `mteval-v14.pl`: punctuation and symbols of every script stand alone.
    #[serde(rename = "intl")]
    International,
    /// Every character is a word: for scripts without spaces.
    #[serde(rename = "char")]
    Char,
    /// For Chinese: every Chinese character is a word, the rest is cut as by [`V13a`](Self::V13a).
    #[serde(rename = "zh")]
    Zh,
    /// White space alone, for text that is cut already.
    #[serde(rename = "none")]
    None,
}

impl BleuTokenizer {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::V13a, Self::International, Self::Char, Self::Zh, Self::None];

    /// Its name in signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::International => "intl",
            Self::Char => "char",
            Self::Zh => "zh",
            Self::None => "none",
        }
    }

    /// The words of a sentence.
    pub fn words(self, text: &str) -> Vec<String> {
        let text = text.trim_end_matches(is_space);
        let text = match self {
            Self::V13a => rewrite(&format!(" {} ", unmarked(text)), &WESTERN[..]),
            Self::International => rewrite(text, &INTERNATIONAL[..]),
            Self::Char => text.chars().flat_map(|c| [c, ' ']).collect(),
            Self::Zh => rewrite(&standing_alone(text.trim_matches(is_space), is_zh), &WESTERN[..]),
            Self::None => text.to_owned(),
        };
        split(&text).map(str::to_owned).collect()
    }
}

impl fmt::Display for BleuTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BleuTokenizer {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|tokenizer| tokenizer.name() == name).ok_or_else(|| {
            let expected = "13a, intl, char, zh or none";
            ConfigError::new("tokenizer", format!("{name:?}"), expected)
        })
    }
}

/// Patterns, and what takes their place, one after the other.
pub(super) type Rules = [(Regex, &'static str)];

fn rules<const N: usize>(rules: [(&'static str, &'static str); N]) -> [(Regex, &'static str); N] {
    rules.map(|(pattern, by)| (Regex::new(pattern).expect("a pattern of this file"), by))
}

/// ASCII punctuation but for `' - , .`; points and commas that no digit stands before; those that no
/// digit follows; dashes after digits.
pub(super) static WESTERN: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    rules([
        (r"([\x7b-\x7e\x5b-\x60\x20-\x26\x28-\x2b\x3a-\x40/])", " ${1} "),
        (r"([^0-9])([.,])", "${1} ${2} "),
        (r"([.,])([^0-9])", " ${1} ${2}"),
        (r"([0-9])(-)", "${1} ${2} "),
    ])
});

/// Punctuation that no number stands before; that no number follows; symbols.
static INTERNATIONAL: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
    rules([
        (r"(\P{N})(\p{P})", "${1} ${2} "),
        (r"(\p{P})(\P{N})", " ${1} ${2}"),
        (r"(\p{S})", " ${1} "),
    ])
});

pub(super) fn rewrite(text: &str, rules: &Rules) -> String {
    let apply =
        |text: String, (pattern, by): &(Regex, &str)| pattern.replace_all(&text, *by).into_owned();
    rules.iter().fold(text.to_owned(), apply)
}

/// Without what is no text, and with signs for their codes.
fn unmarked(text: &str) -> String {
    unescaped(&text.replace("<skipped>", "").replace("-\n", "").replace('\n', " "))
}

pub(super) fn unescaped(text: &str) -> String {
    let signs = [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")];
    signs.into_iter().fold(text.to_owned(), |text, (code, sign)| text.replace(code, sign))
}

/// With a space on both sides of such characters.
pub(super) fn standing_alone(text: &str, is: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if is(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Words between white space.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// What Python's `str.split` cuts at.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What sacreBLEU's `zh` takes for Chinese. Two of its ranges are written with four digits of five:
/// they hold signs of punctuation and mathematics (U+2001 to U+2A6D) instead of rare ideographs.
fn is_zh(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}' | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}' | '\u{fa70}'..='\u{fad9}' | '\u{2001}'..='\u{2a6d}'
        | '\u{ff00}'..='\u{ffef}' | '\u{2e80}'..='\u{2eff}' | '\u{3000}'..='\u{303f}'
        | '\u{31c0}'..='\u{31ef}' | '\u{2f00}'..='\u{2fdf}' | '\u{2ff0}'..='\u{2fff}'
        | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}' | '\u{3200}'..='\u{33ff}')
}
