//! Reading SGF: one pass over the characters, no recursion, every error with its place.

use std::iter::Peekable;
use std::str::{Chars, FromStr};

use super::tree::{Property, Sgf, Value};
use crate::error::{Error, Result};

/// The characters of a text and where we are in it.
struct Cursor<'a> {
    characters: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { characters: text.chars().peekable(), line: 1, column: 1 }
    }

    fn peek(&mut self) -> Option<char> {
        self.characters.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.characters.next()?;
        if character == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(character)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// Whether a game begins here: `(`, then `;` or a property.
    fn begins_game(&mut self) -> bool {
        if self.peek() != Some('(') {
            return false;
        }
        let mut rest = self.characters.clone();
        rest.next();
        let mut rest = rest.skip_while(|character| character.is_whitespace()).peekable();
        if rest.peek() == Some(&';') {
            return true;
        }
        let mut letters = 0;
        while rest.next_if(char::is_ascii_alphanumeric).is_some() {
            letters += 1;
        }
        letters > 0 && rest.find(|character| !character.is_whitespace()) == Some('[')
    }

    fn error(&mut self, expected: &str) -> Error {
        let found = match self.peek() {
            Some(character) => format!("`{}`", character.escape_default()),
            None => "the end of the text".to_owned(),
        };
        let reason = format!("found {found}, expected {expected}");
        Error::Record { line: self.line, column: self.column, reason }
    }

    /// A property name; small letters, as FF\[3\] and before have them, are left out.
    fn name(&mut self) -> Result<String> {
        let mut name = String::new();
        while let Some(character) = self.peek() {
            if !character.is_ascii_alphanumeric() {
                break;
            }
            if character.is_ascii_uppercase() || (character.is_ascii_digit() && !name.is_empty()) {
                name.push(character);
            }
            self.next();
        }
        if name.is_empty() {
            return Err(self.error("a property name in capital letters"));
        }
        Ok(name)
    }

    /// A value after its opening bracket, up to and with the closing one.
    fn value(&mut self) -> Result<Value> {
        let mut raw = String::new();
        loop {
            match self.next() {
                Some(']') => return Ok(Value(raw)),
                Some('\\') => {
                    raw.push('\\');
                    let Some(escaped) = self.next() else { break };
                    raw.push(escaped);
                }
                Some(character) => raw.push(character),
                None => break,
            }
        }
        Err(self.error("`]` at the end of a value"))
    }
}

impl FromStr for Sgf {
    type Err = Error;

    /// Reads a collection. What stands before, between and after the games is skipped, as mail
    /// headers were; `;` may be missing at the start of a game tree.
    fn from_str(text: &str) -> Result<Self> {
        let mut cursor = Cursor::new(text);
        let mut sgf = Self::new();
        while cursor.peek().is_some() {
            if cursor.begins_game() {
                game(&mut cursor, &mut sgf)?;
            } else {
                cursor.next();
            }
        }
        if sgf.games().is_empty() {
            return Err(cursor.error("`(` at the start of a game"));
        }
        Ok(sgf)
    }
}

/// Reads one game with its variations.
fn game(cursor: &mut Cursor<'_>, sgf: &mut Sgf) -> Result<()> {
    // The node to go back to at the end of each open variation.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut at: Option<usize> = None;
    let mut fresh = false;
    loop {
        cursor.skip_space();
        match cursor.peek() {
            Some('(') if !open.is_empty() && at.is_none() => {
                return Err(cursor.error("`;` at the start of a node"));
            }
            Some('(') => {
                cursor.next();
                open.push(at);
                fresh = true;
            }
            Some(')') if !fresh => {
                cursor.next();
                at = open.pop().flatten();
                if open.is_empty() {
                    return Ok(());
                }
            }
            Some(';') => {
                cursor.next();
                at = sgf.add(at, Vec::new());
                fresh = false;
            }
            Some(character) if character.is_ascii_alphabetic() => {
                if fresh {
                    at = sgf.add(at, Vec::new());
                    fresh = false;
                }
                let property = property(cursor)?;
                if let Some(node) = at {
                    sgf.add_property(node, property);
                }
            }
            _ if fresh => return Err(cursor.error("`;` at the start of a node")),
            _ => return Err(cursor.error("`;`, `(`, `)` or a property")),
        }
    }
}

fn property(cursor: &mut Cursor<'_>) -> Result<Property> {
    let (line, column) = (cursor.line, cursor.column);
    let name = cursor.name()?;
    let mut values = Vec::new();
    cursor.skip_space();
    while cursor.peek() == Some('[') {
        cursor.next();
        values.push(cursor.value()?);
        cursor.skip_space();
    }
    if values.is_empty() {
        return Err(cursor.error("`[` before a value"));
    }
    Ok(Property { name, values, line, column })
}
