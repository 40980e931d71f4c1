//! A page of pictures and tables.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::canvas::escape;
use super::file;
use crate::error::{Error, Result};

const STYLE: &str = include_str!("page.css");

/// An HTML page in one file: sections with text, tables and pictures.
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
///             .header(&["device", "accuracy"])
///             .row(&["flex", "97.3 %"])
///             .picture("digits/confusion.svg", "Most confusions are of 4 with 9"),
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
    folder: Option<PathBuf>,
}

/// A part of a [`Page`]: a heading, and below it paragraphs, a table and pictures.
#[derive(Debug, Clone)]
pub struct Section {
    heading: String,
    paragraphs: Vec<String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    pictures: Vec<(String, String)>,
}

impl Section {
    /// A section with nothing below its heading.
    pub fn new(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            paragraphs: Vec::new(),
            header: Vec::new(),
            rows: Vec::new(),
            pictures: Vec::new(),
        }
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.paragraphs.push(text.into());
        self
    }

    /// The names of the table's columns.
    #[must_use]
    pub fn header<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.header = names.iter().map(|name| name.as_ref().to_string()).collect();
        self
    }

    /// Adds a row to the table. Cells that read as numbers are set to the right.
    #[must_use]
    pub fn row<S: AsRef<str>>(mut self, cells: &[S]) -> Self {
        self.rows.push(cells.iter().map(|cell| cell.as_ref().to_string()).collect());
        self
    }

    /// Adds a picture: its path relative to the page, and what it shows, which stands below it and
    /// is read to those who cannot see it.
    #[must_use]
    pub fn picture(mut self, path: impl Into<String>, caption: impl Into<String>) -> Self {
        self.pictures.push((path.into(), caption.into()));
        self
    }
}

impl Page {
    /// A page with nothing below its title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), text: String::new(), sections: Vec::new(), folder: None }
    }

    /// A paragraph below the title.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
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
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header>\n<h1>{title}</h1>\n"
        );
        paragraph(&mut html, &self.text);
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
            for text in &section.paragraphs {
                paragraph(&mut html, text);
            }
            table(&mut html, section)?;
            self.pictures(&mut html, section)?;
            html.push_str("</section>\n");
        }
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

    fn pictures(&self, html: &mut String, section: &Section) -> Result<()> {
        if section.pictures.is_empty() {
            return Ok(());
        }
        html.push_str("<div class=\"pictures\">\n");
        for (path, caption) in &section.pictures {
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

fn paragraph(html: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(html, "<p>{}</p>", escape(text));
    }
}

fn table(html: &mut String, section: &Section) -> Result<()> {
    let first = section.rows.first().map_or(0, Vec::len);
    let columns = if section.header.is_empty() { first } else { section.header.len() };
    if let Some(at) = section.rows.iter().position(|row| row.len() != columns) {
        let reason = format!(
            "section {:?}, row {at}: {} cells, expected {columns}",
            section.heading,
            section.rows[at].len()
        );
        return Err(Error::picture("page", reason));
    }
    if columns == 0 {
        return Ok(());
    }
    // A column is one of numbers when all its cells are numbers or empty.
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            let mut cells = section.rows.iter().map(|row| row[column].trim()).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.is_empty() || is_number(cell))
        })
        .collect();
    let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
    html.push_str("<div class=\"table\">\n<table>\n");
    if !section.header.is_empty() {
        html.push_str("<thead><tr>");
        for (column, name) in section.header.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(column), escape(name));
        }
        html.push_str("</tr></thead>\n");
    }
    html.push_str("<tbody>\n");
    for row in &section.rows {
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
