//! An SVG to draw on, in pixels of a screen, and text whose width is estimated.
//!
//! plotters places everything on whole units. An SVG is drawn in units of a quarter pixel, so that
//! curves stay smooth, and its `width` and `height` say how large it is meant.

use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::palette::{WHITE, rgb};
use crate::error::{Error, Result};

/// Units per pixel.
const UNITS: f64 = 4.0;

/// The longest side of a picture, in pixels.
const LONGEST: f64 = 100_000.0;

/// A place, in pixels from the upper left.
pub(super) type Place = (f64, f64);

/// How a text is set: its size in pixels, its colour, and which of its points lies at its place.
#[derive(Clone, Copy)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) color: [u8; 3],
    pub(super) bold: bool,
    pub(super) horizontal: HPos,
    pub(super) vertical: VPos,
    /// Read from the bottom to the top.
    pub(super) upward: bool,
}

impl Type {
    /// Text that begins at its place, level with it.
    pub(super) fn new(size: f64, color: [u8; 3]) -> Self {
        let (horizontal, vertical) = (HPos::Left, VPos::Center);
        Self { size, color, bold: false, horizontal, vertical, upward: false }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn at(self, horizontal: HPos, vertical: VPos) -> Self {
        Self { horizontal, vertical, ..self }
    }

    pub(super) fn upward(self) -> Self {
        Self { upward: true, ..self }
    }
}

/// An SVG being drawn.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    what: &'static str,
}

impl Canvas<'_> {
    /// Draws a white picture of `size` pixels through `paint`, and returns it as SVG.
    ///
    /// `what` names the kind of picture in errors; `title` describes it to those who cannot see it.
    pub(super) fn draw(
        what: &'static str,
        title: &str,
        (width, height): (f64, f64),
        paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
    ) -> Result<String> {
        check_size(what, (width, height))?;
        let size = ((width * UNITS).round() as u32, (height * UNITS).round() as u32);
        let mut svg = String::new();
        let canvas =
            Canvas { area: SVGBackend::with_string(&mut svg, size).into_drawing_area(), what };
        canvas.check(canvas.area.fill(&rgb(WHITE)))?;
        paint(&canvas)?;
        canvas.check(canvas.area.present())?;
        drop(canvas);
        let drawn = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
        let label = escape(title);
        let meant = format!(
            "<svg role=\"img\" aria-label=\"{label}\" width=\"{width:.0}\" height=\"{height:.0}\""
        );
        Ok(svg.replacen(&drawn, &meant, 1))
    }

    fn check<T, E: std::fmt::Display>(&self, result: Result<T, E>) -> Result<T> {
        result.map_err(|error| Error::picture(self.what, error))
    }

    pub(super) fn text(&self, text: &str, place: Place, style: Type) -> Result<()> {
        // plotters counts the size of a font in another way than CSS.
        let font = ("sans-serif", style.size * UNITS * 1.24).into_font();
        let font = if style.bold { font.style(FontStyle::Bold) } else { font };
        let font = if style.upward { font.transform(FontTransform::Rotate270) } else { font };
        let color = rgb(style.color);
        let style =
            TextStyle::from(font).color(&color).pos(Pos::new(style.horizontal, style.vertical));
        self.check(self.area.draw(&Text::new(printable(text), units(place), style)))
    }

    pub(super) fn line(&self, points: &[Place], color: RGBColor, width: f64) -> Result<()> {
        let points: Vec<_> = points.iter().map(|&point| units(point)).collect();
        let style = color.stroke_width((width * UNITS).round().max(1.0) as u32);
        self.check(self.area.draw(&PathElement::new(points, style)))
    }

    pub(super) fn rectangle(
        &self,
        from: Place,
        to: Place,
        style: impl Into<ShapeStyle>,
    ) -> Result<()> {
        self.check(self.area.draw(&Rectangle::new([units(from), units(to)], style)))
    }

    pub(super) fn polygon(&self, points: &[Place], style: impl Into<ShapeStyle>) -> Result<()> {
        let points: Vec<_> = points.iter().map(|&point| units(point)).collect();
        self.check(self.area.draw(&Polygon::new(points, style)))
    }

    pub(super) fn dot(&self, place: Place, radius: f64, color: RGBColor) -> Result<()> {
        let radius = (radius * UNITS).round() as i32;
        self.check(self.area.draw(&Circle::new(units(place), radius, color.filled())))
    }
}

/// Refuses a picture that is too small or too large to draw.
pub(super) fn check_size(what: &'static str, (width, height): (f64, f64)) -> Result<()> {
    if width <= LONGEST && height <= LONGEST && width >= 1.0 && height >= 1.0 {
        return Ok(());
    }
    let reason = format!("{width:.0} × {height:.0} pixels are not between 1 and {LONGEST}");
    Err(Error::picture(what, reason))
}

/// Pixels as units.
fn units((x, y): Place) -> (i32, i32) {
    ((x * UNITS).round() as i32, (y * UNITS).round() as i32)
}

/// About how wide a text is in a common sans-serif font, in pixels: rather too wide than too narrow.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let share = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' => 0.33,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.41,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' => 0.72,
        '\u{1100}'.. => 1.0,
        _ => 0.63,
    };
    text.chars().map(share).sum::<f64>() * size
}

/// The text, or its beginning and `…`, so that it is at most `most` pixels wide.
pub(super) fn shorten(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_string();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept, size) + width("…", size) > most {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

/// The text in lines of at most `most` pixels, or `None` where a word or the number of lines is too
/// long.
pub(super) fn wrap(text: &str, size: f64, most: f64, at_most: usize) -> Option<Vec<String>> {
    let lines = lines(text, size, most);
    let fits = lines.len() <= at_most && lines.iter().all(|line| width(line, size) <= most);
    fits.then_some(lines)
}

/// The text in lines of at most `most` pixels, broken at spaces and between Chinese and Japanese
/// characters; a word that is longer has a line of its own.
pub(super) fn lines(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (at, piece) in text.split_whitespace().flat_map(pieces) {
        let space = if at == 0 { " " } else { "" };
        match lines.last_mut() {
            Some(line) if width(line, size) + width(space, size) + width(piece, size) <= most => {
                line.push_str(space);
                line.push_str(piece);
            }
            _ => lines.push(piece.to_owned()),
        }
    }
    lines
}

/// What of a word stays together, each with its place in it.
fn pieces(word: &str) -> Vec<(usize, &str)> {
    let is_wide = |c: char| c >= '\u{3000}';
    // A line does not begin with these.
    let closes = |c: char| "、。，．・：；！？ー）」』】〉》".contains(c);
    let mut starts = vec![0];
    let mut before = None;
    for (at, c) in word.char_indices() {
        let parts = before.is_some_and(|last| is_wide(last) || is_wide(c));
        if parts && !closes(c) {
            starts.push(at);
        }
        before = Some(c);
    }
    let ends = starts.iter().skip(1).copied().chain([word.len()]);
    starts.iter().zip(ends).map(|(&start, end)| (start, &word[start..end])).collect()
}

/// On one line, and without the characters that XML forbids.
fn printable(text: &str) -> String {
    let plain =
        |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// A text for XML and HTML, as content or as the value of an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shortened_and_wrapped_to_its_room() {
        assert_eq!(shorten("short", 10.0, 100.0), "short");
        let cut = shorten("a very long label indeed", 10.0, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 60.0, "{cut}");
        assert_eq!(shorten("x", 10.0, 0.0), "…");
        assert_eq!(wrap("one two three", 10.0, 45.0, 3).unwrap(), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 10.0, 45.0, 3), None);
        assert_eq!(wrap("a b c", 10.0, 8.0, 2), None);
        assert_eq!(
            lines("an incomprehensible word", 10.0, 45.0),
            ["an", "incomprehensible", "word"]
        );
        assert_eq!(lines("学習の回数、GPU で", 10.0, 45.0), ["学習の回", "数、GPU", "で"]);
    }

    #[test]
    fn escapes_what_markup_would_read() {
        assert_eq!(escape("a<b & \"c\"\n\u{1}'"), "a&lt;b &amp; &quot;c&quot;  &#39;");
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        for size in [(0.0, 10.0), (1e9, 10.0), (f64::NAN, 10.0)] {
            assert!(Canvas::draw("test", "", size, |_| Ok(())).is_err());
        }
    }
}
