//! A page of pictures and tables.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::canvas::escape;
use super::file;
use crate::error::{Error, Result};

const STYLE: &str = include_str!("page.css");

/// An HTML page in one file: sections with text, figures, tables, pictures and commands, in the order
/// in which they are added.
///
/// It needs no network and no script, and follows the reader's choice of light or dark. Pictures are
/// links relative to the page, or carried in it after [`Page::embed_from`].
///
/// ```
/// use model_utils_core::picture::{Page, Section};
///
/// let html = Page::new("Tour")
///     .section(
///         Section::new("Digits")
///             .text("A small network reads digits.")
///             .picture("digits/confusion.svg", "Most confusions are of 4 with 9")
///             .figure("of the test digits are read right", "97.3 %")
///             .command("cargo run --release --example vision_train"),
///     )
///     .to_html()?;
/// assert!(html.contains("97.3 %"));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    text: String,
    sections: Vec<Section>,
    footer: String,
    language: String,
    folder: Option<PathBuf>,
}

/// A part of a [`Page`]: a heading, and what stands below it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Section {
    heading: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Block {
    Text(String),
    Command(String),
    /// What each is, and its value.
    Figures(Vec<(String, String)>),
    Table(Table),
    /// Path and caption.
    Pictures(Vec<(String, String)>),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Section {
    /// A section with nothing below its heading.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), blocks: Vec::new() }
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// Adds a command, as it is typed.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.blocks.push(Block::Command(command.into()));
        self
    }

    /// Adds a figure that is shown large: what it is, and its value with its unit. Figures that follow
    /// each other stand side by side.
    #[must_use]
    pub fn figure(mut self, what: impl Into<String>, value: impl Into<String>) -> Self {
        let figure = (what.into(), value.into());
        if let Some(Block::Figures(figures)) = self.blocks.last_mut() {
            figures.push(figure);
        } else {
            self.blocks.push(Block::Figures(vec![figure]));
        }
        self
    }

    /// All figures: what each is, and its value.
    pub fn figures(&self) -> impl Iterator<Item = &(String, String)> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Figures(figures) => figures.as_slice(),
            _ => &[],
        })
    }

    /// Begins a table by the names of its columns.
    #[must_use]
    pub fn header<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.blocks.push(Block::Table(Table { header: owned(names), rows: Vec::new() }));
        self
    }

    /// Adds a row to the table. Cells that read as numbers are set to the right.
    #[must_use]
    pub fn row<S: AsRef<str>>(mut self, cells: &[S]) -> Self {
        if !matches!(self.blocks.last(), Some(Block::Table(_))) {
            self.blocks.push(Block::Table(Table::default()));
        }
        if let Some(Block::Table(table)) = self.blocks.last_mut() {
            table.rows.push(owned(cells));
        }
        self
    }

    /// Adds a picture: its path relative to the page, and what it shows, which stands below it and
    /// is read to those who cannot see it. Pictures that follow each other stand side by side.
    #[must_use]
    pub fn picture(mut self, path: impl Into<String>, caption: impl Into<String>) -> Self {
        let picture = (path.into(), caption.into());
        if let Some(Block::Pictures(pictures)) = self.blocks.last_mut() {
            pictures.push(picture);
        } else {
            self.blocks.push(Block::Pictures(vec![picture]));
        }
        self
    }
}

impl Page {
    /// A page with nothing below its title, in English.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: String::new(),
            sections: Vec::new(),
            footer: String::new(),
            language: "en".to_owned(),
            folder: None,
        }
    }

    /// A paragraph below the title.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// A small paragraph at the end.
    #[must_use]
    pub fn footer(mut self, text: impl Into<String>) -> Self {
        self.footer = text.into();
        self
    }

    /// The language of its text by its code (BCP 47: `en`, `ja`).
    #[must_use]
    pub fn language(mut self, code: impl Into<String>) -> Self {
        self.language = code.into();
        self
    }

    /// Adds a section.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// Carries the pictures in the page instead of linking to them; they are read from this folder,
    /// to which their paths are relative.
    #[must_use]
    pub fn embed_from(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// [`Error::Picture`] when a row has not as many cells as the header or the first row, the path
    /// of a picture is empty or not relative, or a picture to carry is not SVG, PNG, GIF or JPEG;
    /// [`Error::Io`] when it cannot be read.
    pub fn to_html(&self) -> Result<String> {
        let (title, language) = (escape(&self.title), escape(&self.language));
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header>\n<h1>{title}</h1>\n"
        );
        element(&mut html, "p", &self.text);
        html.push_str("</header>\n");
        if self.sections.len() > 2 {
            html.push_str("<nav>\n");
            for (index, section) in self.sections.iter().enumerate() {
                let heading = escape(&section.heading);
                let _ = writeln!(html, "<a href=\"#s{}\">{heading}</a>", index + 1);
            }
            html.push_str("</nav>\n");
        }
        for (index, section) in self.sections.iter().enumerate() {
            let heading = escape(&section.heading);
            let _ = writeln!(html, "<section id=\"s{}\">\n<h2>{heading}</h2>", index + 1);
            for block in &section.blocks {
                match block {
                    Block::Text(text) => element(&mut html, "p", text),
                    Block::Command(text) => element(&mut html, "pre", text),
                    Block::Figures(figures) => large(&mut html, figures),
                    Block::Table(table) => write_table(&mut html, &section.heading, table)?,
                    Block::Pictures(pictures) => self.pictures(&mut html, pictures)?,
                }
            }
            html.push_str("</section>\n");
        }
        element(&mut html, "footer", &self.footer);
        html.push_str("</main>\n</body>\n</html>\n");
        Ok(html)
    }

    /// Writes the page to a file whose name ends in `.html`; its folder is made if it is missing.
    ///
    /// # Errors
    /// As [`Page::to_html`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(path, "html", self.to_html()?.as_bytes())
    }

    fn pictures(&self, html: &mut String, pictures: &[(String, String)]) -> Result<()> {
        html.push_str("<div class=\"pictures\">\n");
        for (path, caption) in pictures {
            // A scheme (`https:`), a drive (`C:`) or a root makes a path that is not relative.
            let first = path.split(['/', '\\']).next().unwrap_or_default();
            if first.is_empty() || first.contains(':') {
                let reason = format!("the path of picture {path:?} must be relative");
                return Err(Error::picture("page", reason));
            }
            let source = match &self.folder {
                Some(folder) => data_url(&folder.join(path))?,
                None => encode_path(path),
            };
            let caption = escape(caption);
            let _ = writeln!(
                html,
                "<figure>\n<img src=\"{source}\" alt=\"{caption}\" loading=\"lazy\">\n\
                 <figcaption>{caption}</figcaption>\n</figure>"
            );
        }
        html.push_str("</div>\n");
        Ok(())
    }
}

fn owned<S: AsRef<str>>(texts: &[S]) -> Vec<String> {
    texts.iter().map(|text| text.as_ref().to_owned()).collect()
}

/// A text as an element of its own, unless there is none.
fn element(html: &mut String, tag: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(html, "<{tag}>{}</{tag}>", escape(text));
    }
}

fn large(html: &mut String, figures: &[(String, String)]) {
    html.push_str("<dl>\n");
    for (what, value) in figures {
        let (what, value) = (escape(what), escape(value));
        let _ = writeln!(html, "<div><dd>{value}</dd><dt>{what}</dt></div>");
    }
    html.push_str("</dl>\n");
}

fn write_table(html: &mut String, heading: &str, table: &Table) -> Result<()> {
    let first = table.rows.first().map_or(0, Vec::len);
    let columns = if table.header.is_empty() { first } else { table.header.len() };
    if let Some(at) = table.rows.iter().position(|row| row.len() != columns) {
        let reason = format!(
            "section {heading:?}, row {at}: {} cells, expected {columns}",
            table.rows[at].len()
        );
        return Err(Error::picture("page", reason));
    }
    if columns == 0 {
        return Ok(());
    }
    // A column is one of numbers when all its cells are numbers or empty.
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            let mut cells = table.rows.iter().map(|row| row[column].trim()).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.is_empty() || is_number(cell))
        })
        .collect();
    let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
    html.push_str("<div class=\"table\">\n<table>\n");
    if !table.header.is_empty() {
        html.push_str("<thead><tr>");
        for (column, name) in table.header.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(column), escape(name));
        }
        html.push_str("</tr></thead>\n");
    }
    html.push_str("<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(column), escape(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    Ok(())
}

/// Whether a cell begins as a number does: `12`, `-0.5`, `97.3 %`, `12 ms`, `–`.
fn is_number(cell: &str) -> bool {
    let rest = cell.trim_start_matches(['+', '-', '−', '±', '.', '~', '<', '>']);
    rest.starts_with(|c: char| c.is_ascii_digit()) || matches!(cell, "–" | "-")
}

/// A relative path as the value of `src`.
fn encode_path(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        match byte {
            b'\\' => url.push('/'),
            b'/' | b'.' | b'-' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                url.push(char::from(byte));
            }
            other => {
                let _ = write!(url, "%{other:02X}");
            }
        }
    }
    url
}

/// The file as a `data:` URL.
fn data_url(path: &Path) -> Result<String> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let kind = match extension.as_str() {
        "svg" => "svg+xml",
        "png" => "png",
        "gif" => "gif",
        "jpg" | "jpeg" => "jpeg",
        other => {
            let reason = format!("{} is of unknown kind {other:?}", path.display());
            return Err(Error::picture("page", reason));
        }
    };
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    Ok(format!("data:image/{kind};base64,{}", base64(&bytes)))
}

/// Base64 of RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit)) & 63;
            let written = char::from(DIGITS[value as usize]);
            text.push(if digit <= chunk.len() { written } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base64(t.as_bytes()));
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn paths_become_links() {
        assert_eq!(encode_path("a b/c\"<#?.svg"), "a%20b/c%22%3C%23%3F.svg");
        assert_eq!(encode_path("a\\é.png"), "a/%C3%A9.png");
    }
}
