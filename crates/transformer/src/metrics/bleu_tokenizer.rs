//! How BLEU cuts text into words.

use serde::{Deserialize, Serialize};

/// How text is cut into words before they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BleuTokenizer {
    /// That of `mteval-v13a.pl`, WMT's: punctuation stands alone, but for points and commas inside
    /// of numbers.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// White space alone, for text that is cut already.
    #[serde(rename = "none")]
    None,
}

impl BleuTokenizer {
    /// Its name in signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::None => "none",
        }
    }

    /// The words of a sentence.
    pub fn words(self, text: &str) -> Vec<String> {
        let text = match self {
            Self::V13a => v13a(text.trim_end_matches(is_space)),
            Self::None => text.to_owned(),
        };
        text.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

/// What Python's `str.split` cuts at.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn v13a(text: &str) -> String {
    let mut text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if text.contains('&') {
        for (code, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
            text = text.replace(code, character);
        }
    }
    let mut text: Vec<char> = format!(" {text} ").chars().collect();
    // ASCII punctuation but for ' - , .
    let stands_alone =
        |c: char| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/');
    text = text
        .into_iter()
        .flat_map(|c| if stands_alone(c) { vec![' ', c, ' '] } else { vec![c] })
        .collect();
    let is_point = |c: char| c == '.' || c == ',';
    // A point or comma that no digit stands before, one that no digit follows, a dash after a digit.
    text =
        rewrite(&text, |a, b| (!a.is_ascii_digit() && is_point(b)).then(|| vec![a, ' ', b, ' ']));
    text =
        rewrite(&text, |a, b| (is_point(a) && !b.is_ascii_digit()).then(|| vec![' ', a, ' ', b]));
    text = rewrite(&text, |a, b| (a.is_ascii_digit() && b == '-').then(|| vec![a, ' ', b, ' ']));
    text.into_iter().collect()
}

/// Replaces pairs of neighbours from left to right, none twice.
fn rewrite(text: &[char], rule: impl Fn(char, char) -> Option<Vec<char>>) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut at = 0;
    while let Some(&a) = text.get(at) {
        if let Some(replaced) = text.get(at + 1).and_then(|&b| rule(a, b)) {
            out.extend(replaced);
            at += 2;
        } else {
            out.push(a);
            at += 1;
        }
    }
    out
}
