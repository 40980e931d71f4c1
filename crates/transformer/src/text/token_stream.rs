//! Text as it grows.

use super::tokenizer::Tokenizer;
use crate::error::Result;

/// What a decoder writes for bytes that are no character, or not yet.
const REPLACEMENT: char = '\u{fffd}';

/// Text that grows with every id: of a prefix it gives what later ids do not change.
#[derive(Debug, Clone)]
pub struct TokenStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// What has been given.
    told: String,
}

impl<'a> TokenStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), told: String::new() }
    }

    /// Takes one more id and gives the text that it adds; special tokens add none, and a character of
    /// several tokens comes with the last of them.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) where the decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if self.tokenizer.special().is_special(id) {
            return Ok(String::new());
        }
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids)?;
        if text.ends_with(REPLACEMENT) { Ok(String::new()) } else { Ok(self.tell(text)) }
    }

    /// What is left at the end: bytes that never became a character.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) where the decoder fails.
    pub fn finish(mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.ids)?;
        Ok(self.tell(text))
    }

    /// What comes behind the text that has been given. A decoder that takes back what it wrote, as
    /// some do with a space before a full stop, goes on where it parted.
    fn tell(&mut self, text: String) -> String {
        let alike = self.told.chars().zip(text.chars()).take_while(|(a, b)| a == b);
        let alike: usize = alike.map(|(letter, _)| letter.len_utf8()).sum();
        let new = text[alike..].to_owned();
        self.told = text;
        new
    }
}
