//! Lines of the protocol: commands in, replies out.

use std::fmt;

/// A command line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The number that the controller wrote before it.
    pub id: Option<u64>,
    /// Its name; empty where a number stands alone.
    pub name: String,
    /// What follows, split at spaces.
    pub arguments: Vec<String>,
}

impl Command {
    /// Takes a line apart: control characters and comments are left out, tabs are spaces. `None`
    /// for a line without a command.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default();
        let kept = line.chars().map(|c| if c == '\t' { ' ' } else { c });
        let line: String = kept.filter(|c| !c.is_control()).collect();
        let mut words = line.split_whitespace().map(str::to_owned).peekable();
        let id = words.peek().and_then(|word| {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            if digits { word.parse().ok() } else { None }
        });
        if id.is_some() {
            words.next();
        }
        let name = words.next().or_else(|| id.map(|_| String::new()))?;
        Some(Self { id, name, arguments: words.collect() })
    }

    /// An argument by its place; an error text where it is missing.
    pub(super) fn argument(&self, index: usize, what: &str) -> Result<&str, String> {
        let missing = || format!("syntax error: {} expects {what}", self.name);
        self.arguments.get(index).map(String::as_str).ok_or_else(missing)
    }

    /// A number by its place.
    pub(super) fn number<T: std::str::FromStr>(
        &self,
        index: usize,
        what: &str,
    ) -> Result<T, String> {
        let text = self.argument(index, what)?;
        text.parse().map_err(|_| format!("syntax error: `{text}` is no number, expected {what}"))
    }
}

/// The answer to a command. It prints itself as the protocol wants it, with the empty line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The number of the command.
    pub id: Option<u64>,
    /// The text, or the reason why there is none.
    pub result: Result<String, String>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.result {
            Ok(text) => ('=', text),
            Err(reason) => ('?', reason),
        };
        write!(f, "{mark}")?;
        if let Some(id) = self.id {
            write!(f, "{id}")?;
        }
        // A board begins on a line of its own.
        let mut separator = if text.starts_with('\n') { "\n" } else { " " };
        // An empty line would end the reply.
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            write!(f, "{separator}{line}")?;
            separator = "\n";
        }
        write!(f, "\n\n")
    }
}
