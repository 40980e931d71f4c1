//! Text of many sentences: split to be translated, and joined.

use unicode_segmentation::UnicodeSegmentation as _;

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

/// A text of sentences, each of which is translated by itself.
///
/// Sentences end where Unicode Standard Annex 29 says, and at the ends of lines; an abbreviation before
/// a capital letter (`Mr. Smith`) looks like the end of one.
///
/// ```
/// use transformer::text::Paragraph;
///
/// let text = Paragraph::new("彼は来た。私も行く！\n");
/// assert_eq!(text.sentences(), ["彼は来た。", "私も行く！"]);
/// assert_eq!(text.join(&["He came.", "I am going, too!"]), "He came. I am going, too!\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph<'a> {
    parts: Vec<Part<'a>>,
}

impl<'a> Paragraph<'a> {
    /// Cuts a text into sentences and what stands between them.
    pub fn new(text: &'a str) -> Self {
        Self { parts: parts(text) }
    }

    /// The sentences, without white space around them.
    pub fn sentences(&self) -> Vec<&'a str> {
        let sentence = |part: &Part<'a>| match *part {
            Part::Sentence(sentence) => Some(sentence),
            Part::Between(_) => None,
        };
        self.parts.iter().filter_map(sentence).collect()
    }

    /// The text with a translation for each sentence. The ends of lines, empty lines and the white space
    /// at both ends of each line stay as they are; sentences between which no space stood, as in
    /// Japanese, get one where the translation's language has it. A sentence without a translation is
    /// left out.
    pub fn join<T: AsRef<str>>(&self, translations: &[T]) -> String {
        let mut translations = translations.iter();
        let mut joined = String::new();
        let mut is_after_sentence = false;
        for part in &self.parts {
            match part {
                Part::Between(space) => joined.push_str(space),
                Part::Sentence(_) => {
                    if is_after_sentence && !joined.ends_with(WIDE_ENDS) {
                        joined.push(' ');
                    }
                    joined.push_str(translations.next().map_or("", AsRef::as_ref));
                }
            }
            is_after_sentence = matches!(part, Part::Sentence(_));
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let paragraph = Paragraph::new(text);
        let all: String = paragraph
            .parts
            .iter()
            .map(|part| match part {
                Part::Sentence(text) | Part::Between(text) => *text,
            })
            .collect();
        assert_eq!(all, text, "nothing is lost");
        paragraph.sentences()
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
