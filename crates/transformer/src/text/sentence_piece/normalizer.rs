//! What is done to text before it is cut.

use super::MARK;
use super::model_file::NormalizerSpec;

/// Replaces characters by the model's rules and makes white space even.
#[derive(Debug)]
pub(super) struct Normalizer {
    spec: NormalizerSpec,
    /// The user's symbols, the longest first: they are left as they are.
    symbols: Vec<String>,
    /// A double-array trie (Aoe 1989; the layout of darts-clone) over what is replaced; its values are
    /// places in `replacements`.
    trie: Vec<u32>,
    /// What stands instead, each with a zero behind it.
    replacements: String,
}

impl Normalizer {
    pub(super) fn new(spec: NormalizerSpec, symbols: Vec<String>) -> Result<Self, String> {
        let (mut trie, mut replacements) = (Vec::new(), String::new());
        if !spec.charsmap.is_empty() {
            let broken = || "its rules of normalisation are broken".to_owned();
            let (size, rest) = spec.charsmap.split_first_chunk().ok_or_else(broken)?;
            let size = u32::from_le_bytes(*size) as usize;
            let (blob, rest) = rest.split_at_checked(size).ok_or_else(broken)?;
            if size == 0 || !size.is_multiple_of(4) {
                return Err(broken());
            }
            trie = blob.as_chunks().0.iter().map(|&unit| u32::from_le_bytes(unit)).collect();
            replacements = String::from_utf8(rest.to_vec()).map_err(|_| broken())?;
        }
        Ok(Self { spec, symbols, trie, replacements })
    }

    pub(super) fn spec(&self) -> &NormalizerSpec {
        &self.spec
    }

    pub(super) fn normalize(&self, text: &str) -> String {
        let space = if self.spec.escape_spaces { MARK } else { " " };
        let remove = self.spec.remove_extra_spaces;
        let mut rest = text;
        while remove && !rest.is_empty() {
            let (part, length) = self.prefix(rest);
            if part != " " {
                break;
            }
            rest = &rest[length..];
        }
        let mut normalized = String::with_capacity(text.len() * 2);
        if rest.is_empty() {
            return normalized;
        }
        if self.spec.dummy_prefix {
            normalized.push_str(space);
        }
        let mut after_space = remove;
        while !rest.is_empty() {
            let (mut part, length) = self.prefix(rest);
            rest = &rest[length..];
            if after_space {
                part = part.trim_start_matches(' ');
            }
            if part.is_empty() {
                continue;
            }
            for letter in part.chars() {
                if letter == ' ' { normalized.push_str(space) } else { normalized.push(letter) }
            }
            after_space = remove && part.ends_with(' ');
        }
        if remove {
            normalized.truncate(normalized.trim_end_matches(space).len());
        }
        normalized
    }

    /// What the head of a text becomes, and how many bytes of it.
    fn prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let Some(symbol) = self.symbol(text) {
            return (symbol, symbol.len());
        }
        let own = text.chars().next().map_or(0, char::len_utf8);
        let replaced = self.longest_rule(text).and_then(|(length, place)| {
            let from = self.replacements.get(place..)?;
            text.is_char_boundary(length).then(|| (from.split('\0').next().unwrap_or(""), length))
        });
        replaced.unwrap_or((&text[..own], own))
    }

    /// The longest of the user's symbols that a text begins with.
    pub(super) fn symbol<'a>(&self, text: &'a str) -> Option<&'a str> {
        let symbol = self.symbols.iter().find(|symbol| text.starts_with(symbol.as_str()))?;
        Some(&text[..symbol.len()])
    }

    /// The longest head of a text that is replaced: its length in bytes, and the place of what stands
    /// instead.
    fn longest_rule(&self, text: &str) -> Option<(usize, usize)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut node = offset(*self.trie.first()?);
        let mut found = None;
        for (at, byte) in text.bytes().enumerate() {
            node ^= usize::from(byte);
            let Some(&unit) = self.trie.get(node) else { break };
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if unit & (1 << 8) != 0 {
                let Some(&leaf) = self.trie.get(node) else { break };
                found = Some((at + 1, (leaf & !(1 << 31)) as usize));
            }
        }
        found
    }
}
