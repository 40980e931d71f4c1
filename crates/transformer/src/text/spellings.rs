//! What in a text spells a token that no text may become.

use std::collections::HashSet;

use tokenizers::tokenizer::pattern::Pattern;

/// The names of special tokens and of bytes. Where a text spells one of them it is cut behind the
/// first character, so that a model which knows the name as a token does not find it.
#[derive(Debug, Clone, Default)]
pub(super) struct Spellings {
    names: Vec<String>,
    /// The first characters, most of the time one: what has none of them is not looked at further.
    first: HashSet<char>,
}

impl Spellings {
    /// Names of one character are left out: they cannot be cut.
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> =
            names.into_iter().filter(|name| name.chars().nth(1).is_some()).collect();
        let first = names.iter().filter_map(|name| name.chars().next()).collect();
        Self { names, first }
    }
}

impl Pattern for &Spellings {
    /// The cuts, as parts of the text of which none is a match.
    fn find_matches(&self, inside: &str) -> tokenizers::Result<Vec<((usize, usize), bool)>> {
        let (mut parts, mut begin) = (Vec::new(), 0);
        for (at, letter) in inside.char_indices().filter(|(_, letter)| self.first.contains(letter))
        {
            if self.names.iter().any(|name| inside[at..].starts_with(name.as_str())) {
                let end = at + letter.len_utf8();
                parts.push(((begin, end), false));
                begin = end;
            }
        }
        parts.push(((begin, inside.len()), false));
        Ok(parts)
    }
}
