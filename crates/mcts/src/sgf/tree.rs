//! The tree of an SGF file, and its text.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};

/// A value of a property as the file writes it, with its escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub(super) String);

impl Value {
    /// The value that stands for a text.
    pub fn new(text: &str) -> Self {
        let mut raw = String::with_capacity(text.len());
        for character in text.chars() {
            if matches!(character, ']' | '\\' | ':') {
                raw.push('\\');
            }
            raw.push(character);
        }
        Self(raw)
    }

    /// The value as the file writes it.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// The text: escapes resolved, escaped line ends left out.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        let mut characters = self.0.chars().peekable();
        while let Some(character) = characters.next() {
            if character != '\\' {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some('\r') => {
                    characters.next_if_eq(&'\n');
                }
                Some('\n') => {
                    characters.next_if_eq(&'\r');
                }
                Some(escaped) => text.push(escaped),
                None => {}
            }
        }
        text
    }

    /// The two halves of a composed value (`aa:bb`).
    pub fn halves(&self) -> Option<(Self, Self)> {
        let mut escaped = false;
        for (at, character) in self.0.char_indices() {
            if character == ':' && !escaped {
                let (left, right) = (&self.0[..at], &self.0[at + 1..]);
                return Some((Self(left.to_owned()), Self(right.to_owned())));
            }
            escaped = character == '\\' && !escaped;
        }
        None
    }
}

/// A property of a node: a name and its values.
#[derive(Clone, Debug)]
pub struct Property {
    /// The name in capital letters.
    pub name: String,
    /// One value or more.
    pub values: Vec<Value>,
    /// The line where it stands, from 1; 0 where it was not read from a text.
    pub line: usize,
    /// The column where it stands, from 1; 0 where it was not read from a text.
    pub column: usize,
}

impl PartialEq for Property {
    /// Same name and values, wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.values == other.values
    }
}

impl Property {
    /// A property of one text.
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), values: vec![Value::new(text)], line: 0, column: 0 }
    }

    /// The text of the first value.
    pub fn text(&self) -> String {
        self.values.first().map(Value::text).unwrap_or_default()
    }

    /// An error that names where the property stands.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Record { line: self.line, column: self.column, reason: reason.into() }
    }
}

/// A node of the tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its properties in the order of the file.
    pub properties: Vec<Property>,
    /// The node before it; `None` at the start of a game.
    pub parent: Option<usize>,
    /// The nodes after it: the main line first, then the variations.
    pub children: Vec<usize>,
}

impl Node {
    /// The property of a name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// An SGF file: a collection of game trees. Read by [`str::parse`], written by [`ToString`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sgf {
    /// All nodes; parents stand before their children.
    pub(super) nodes: Vec<Node>,
    /// The first node of each game.
    games: Vec<usize>,
}

impl Sgf {
    /// No games.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file, as [`Sgf::from_bytes`].
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] for a file that cannot be read, [`Error::Record`] for one that is no SGF.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(model_utils_core::Error::io("read", path))?;
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes of a file: in the character set that `CA` names; where they are not of it,
    /// or it says nothing, in UTF-8 or the one that is most likely (Shift-JIS, EUC-JP, GB 18030,
    /// Big5, EUC-KR, those of Windows). What is read says `CA[UTF-8]`, as it is written.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for what is no SGF.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        super::charset::read(bytes)
    }

    /// The first node of each game.
    pub fn games(&self) -> &[usize] {
        &self.games
    }

    /// All nodes; parents stand before their children.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node.
    pub fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// Adds a node after another, or the first node of a new game. Returns its index; `None`
    /// where there is no such parent.
    pub fn add(&mut self, parent: Option<usize>, properties: Vec<Property>) -> Option<usize> {
        let index = self.nodes.len();
        match parent {
            Some(parent) => self.nodes.get_mut(parent)?.children.push(index),
            None => self.games.push(index),
        }
        self.nodes.push(Node { properties, parent, children: Vec::new() });
        Some(index)
    }

    /// Adds a property to a node; nothing where there is no such node.
    pub(super) fn add_property(&mut self, node: usize, property: Property) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.properties.push(property);
        }
    }

    /// The nodes of a game's main line, from its first node on.
    pub fn main_line(&self, game: usize) -> impl Iterator<Item = &Node> {
        let first = self.games.get(game).and_then(|&index| self.nodes.get(index));
        std::iter::successors(first, |node| self.nodes.get(*node.children.first()?))
    }
}

/// What is left to write.
enum Part {
    Node(usize),
    Open,
    Close,
}

impl fmt::Display for Sgf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &game in &self.games {
            let mut parts = vec![Part::Close, Part::Node(game), Part::Open];
            while let Some(part) = parts.pop() {
                match part {
                    Part::Open => f.write_str("(")?,
                    Part::Close => f.write_str(")")?,
                    Part::Node(index) => {
                        let node = &self.nodes[index];
                        f.write_str(";")?;
                        for property in &node.properties {
                            f.write_str(&property.name)?;
                            for value in &property.values {
                                write!(f, "[{}]", value.0)?;
                            }
                        }
                        if let [only] = node.children[..] {
                            parts.push(Part::Node(only));
                        } else {
                            for &child in node.children.iter().rev() {
                                parts.extend([Part::Close, Part::Node(child), Part::Open]);
                            }
                        }
                    }
                }
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}
