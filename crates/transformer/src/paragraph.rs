//! Text of many sentences: split, translated, joined.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::decoding::DecodingStrategy;
use crate::error::Result;
use crate::translator::Translator;

/// Ends of sentences behind which no space stands.
const WIDE_ENDS: [char; 8] = ['。', '！', '？', '｡', '」', '』', '）', '…'];

/// What a text is made of, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'a> {
    Sentence(&'a str),
    /// White space as it stands between sentences, at the ends of lines and as whole lines.
    Between(&'a str),
}

/// What begins a quotation, which the Annex counts to the sentence before where no space stands.
const OPENING: [char; 9] = ['「', '『', '（', '【', '〈', '《', '〔', '［', '“'];

/// The sentences of a line, with the white space around them.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let ends = line.split_sentence_bound_indices().skip(1).map(|(at, _)| at).chain([line.len()]);
    let mut begin = 0;
    ends.map(move |at| {
        let end = if at == line.len() { at } else { line[..at].trim_end_matches(OPENING).len() };
        let end = end.max(begin);
        &line[std::mem::replace(&mut begin, end)..end]
    })
}

/// Cuts a text at the ends of its lines and sentences (Unicode Standard Annex 29).
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for line in text.split_inclusive(['\n', '\r']) {
        for piece in sentences(line) {
            let sentence = piece.trim();
            let start = piece.find(sentence).unwrap_or(0);
            let (before, after) = (&piece[..start], &piece[start + sentence.len()..]);
            if !before.is_empty() {
                parts.push(Part::Between(before));
            }
            if !sentence.is_empty() {
                parts.push(Part::Sentence(sentence));
            }
            if !after.is_empty() {
                parts.push(Part::Between(after));
            }
        }
    }
    parts
}

impl Translator {
    /// Translates a text sentence by sentence. The ends of lines, empty lines and the white space at
    /// both ends of each line stay as they are; sentences between which no space stood, as in
    /// Japanese, get one where the translation's language has it.
    ///
    /// Sentences end where Unicode Standard Annex 29 says; an abbreviation before a capital letter
    /// (`Mr. Smith`) looks like the end of one.
    ///
    /// # Errors
    ///
    /// As [`translate`](Self::translate); sentences are counted through the whole text.
    pub fn translate_text(&self, text: &str, strategy: &impl DecodingStrategy) -> Result<String> {
        let parts = parts(text);
        let sentences: Vec<&str> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Sentence(sentence) => Some(*sentence),
                Part::Between(_) => None,
            })
            .collect();
        let mut found = self.translate(&sentences, strategy)?.into_iter();
        let mut joined = String::new();
        let mut is_after_sentence = false;
        for part in parts {
            match part {
                Part::Between(space) => joined.push_str(space),
                Part::Sentence(_) => {
                    if is_after_sentence && !joined.ends_with(WIDE_ENDS) {
                        joined.push(' ');
                    }
                    joined.extend(found.next().map(|found| found.text));
                }
            }
            is_after_sentence = matches!(part, Part::Sentence(_));
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let all: String = parts(text)
            .iter()
            .map(|part| match part {
                Part::Sentence(text) | Part::Between(text) => *text,
            })
            .collect();
        assert_eq!(all, text, "nothing is lost");
        parts(text)
            .into_iter()
            .filter_map(|part| match part {
                Part::Sentence(sentence) => Some(sentence),
                Part::Between(_) => None,
            })
            .collect()
    }

    #[test]
    fn sentences_end_where_they_end() {
        assert_eq!(
            cut("  One. Two?\r\n\r\nIt costs 3.50, e.g. here!  \nLast"),
            ["One.", "Two?", "It costs 3.50, e.g. here!", "Last"]
        );
        assert_eq!(cut("彼は来た。私も行く！「はい」"), ["彼は来た。", "私も行く！", "「はい」"]);
        assert_eq!(cut("no\u{2028}end"), ["no", "end"]);
        assert!(cut(" \n\t\n").is_empty());
        assert!(cut("").is_empty());
    }
}
