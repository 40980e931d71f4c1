//! What curves and bars share: title, legend, grid, ticks and axis titles around a plot.

use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, labels};
use super::canvas::{Canvas, Place, Type, lines, shorten, width};
use super::palette::{FAINT, INK, RULE, SOFT_INK, rgb};
use crate::error::Result;

/// Sizes of text, in pixels.
pub(super) const TITLE: f64 = 17.0;
pub(super) const LABEL: f64 = 13.0;
pub(super) const TICK: f64 = 12.0;

/// Free room at the edges of a picture.
pub(super) const EDGE: f64 = 16.0;

const LINE_HEIGHT: f64 = 1.3;
const LEGEND_ROW: f64 = 22.0;
const SWATCH: f64 = 22.0;
const LEAST_PLOT: f64 = 80.0;

/// How a series is marked in the legend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mark {
    Line,
    Dashes,
    Dot,
    Band,
    Box,
}

/// An entry of the legend.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) color: [u8; 3],
    pub(super) mark: Mark,
}

/// What is below the plot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Below {
    /// An axis with ticks.
    Axis(Axis),
    /// Room of this height for labels that the caller draws.
    Room(f64),
}

/// The parts around a plot.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) keys: &'a [Key],
    pub(super) y: Axis,
    pub(super) size: (f64, f64),
}

/// Where things lie, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
    y: Axis,
}

impl Plot {
    pub(super) fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.share(value) * (self.right - self.left)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.share(value) * (self.bottom - self.top)
    }

    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }
}

impl Frame<'_> {
    /// The plot's left and right edge, which do not depend on what is below it.
    pub(super) fn sides(&self) -> (f64, f64) {
        let widest = self.y_ticks().1.iter().map(|text| width(text, TICK)).fold(0.0, f64::max);
        let left = EDGE + label_height(&self.y_lines()) + widest + 8.0;
        let key = |key: &Key| SWATCH + 6.0 + width(&key.name, LABEL);
        let legend = self.keys.iter().map(key).fold(0.0, f64::max);
        let right = (self.size.0 - EDGE - 8.0).max(EDGE + legend - 8.0);
        (left, right.max(left + LEAST_PLOT.max(longest(&self.x_lines(right - left)))))
    }

    /// The lines of the horizontal axis' title.
    fn x_lines(&self, room: f64) -> Vec<String> {
        lines(self.x_label, LABEL, room)
    }

    /// The lines of the vertical axis' title: none is longer than the flattest plot, but for a word.
    fn y_lines(&self) -> Vec<String> {
        lines(self.y_label, LABEL, self.least_height())
    }

    fn least_height(&self) -> f64 {
        (self.size.1 * 0.55).max(LEAST_PLOT)
    }

    /// The size of the whole picture and the place of the plot in it.
    pub(super) fn layout(&self, below: Below) -> ((f64, f64), Plot) {
        let (left, right) = self.sides();
        let picture_width = right + EDGE + 8.0;
        let (_, header) = self.header(picture_width);
        let top = EDGE + header;
        let footer = match below {
            Below::Axis(_) => TICK * LINE_HEIGHT + 8.0,
            Below::Room(height) => height,
        } + label_height(&self.x_lines(right - left));
        // Long labels or a long legend make the picture higher, not the plot flat.
        let least = self.least_height().max(longest(&self.y_lines()));
        let bottom = (self.size.1 - EDGE - footer).max(top + least);
        let plot = Plot { left, top, right, bottom, y: self.y };
        ((picture_width, bottom + footer + EDGE), plot)
    }

    /// Draws everything but the data.
    pub(super) fn draw(&self, canvas: &Canvas<'_>, below: Below) -> Result<Plot> {
        let ((whole, height), plot) = self.layout(below);
        let (title, _) = self.header(whole);
        draw_title(canvas, &title, EDGE, EDGE)?;
        self.draw_legend(canvas, whole, EDGE + title_height(&title))?;

        let (ticks, texts) = self.y_ticks();
        let tick = Type::new(TICK, SOFT_INK);
        for (&value, text) in ticks.iter().zip(&texts) {
            let y = plot.y(value);
            canvas.line(&[(plot.left, y), (plot.right, y)], rgb(FAINT), 1.0)?;
            canvas.text(text, (plot.left - 7.0, y), tick.at(HPos::Right, VPos::Center))?;
        }
        if let Below::Axis(x) = below {
            let (ticks, texts) = x_ticks(&x, plot.width());
            for (&value, text) in ticks.iter().zip(&texts) {
                let at = plot.x(&x, value);
                canvas.line(&[(at, plot.top), (at, plot.bottom)], rgb(FAINT), 1.0)?;
                canvas.line(&[(at, plot.bottom), (at, plot.bottom + 4.0)], rgb(RULE), 1.0)?;
                let middle = tick.at(HPos::Center, VPos::Top);
                canvas.text(text, (at, plot.bottom + 7.0), middle)?;
            }
        }
        canvas.line(&[(plot.left, plot.bottom), (plot.right, plot.bottom)], rgb(RULE), 1.0)?;

        let label = Type::new(LABEL, INK).at(HPos::Center, VPos::Center);
        let row = |at: usize| (at as f64 + 0.5) * LABEL * LINE_HEIGHT;
        let x_lines = self.x_lines(plot.width());
        let above = height - EDGE - x_lines.len() as f64 * LABEL * LINE_HEIGHT;
        for (at, text) in x_lines.iter().enumerate() {
            let place = (f64::midpoint(plot.left, plot.right), above + row(at));
            canvas.text(text, place, label)?;
        }
        for (at, text) in self.y_lines().iter().enumerate() {
            let place = (EDGE + row(at), f64::midpoint(plot.top, plot.bottom));
            canvas.text(text, place, label.upward())?;
        }
        Ok(plot)
    }

    /// The lines of the title, and the height of title and legend.
    fn header(&self, whole: f64) -> (Vec<String>, f64) {
        let title = title_lines(self.title, whole - 2.0 * EDGE);
        let rows = legend_rows(self.keys, whole - 2.0 * EDGE).len() as f64;
        let legend = if rows > 0.0 { rows * LEGEND_ROW + 10.0 } else { 0.0 };
        let height = title_height(&title) + legend;
        (title, height)
    }

    fn y_ticks(&self) -> (Vec<f64>, Vec<String>) {
        let ticks = self.y.ticks((self.size.1 / 65.0).clamp(3.0, 8.0) as usize);
        let texts = labels(&ticks, self.y.log);
        (ticks, texts)
    }

    fn draw_legend(&self, canvas: &Canvas<'_>, whole: f64, top: f64) -> Result<()> {
        let rows = legend_rows(self.keys, whole - 2.0 * EDGE);
        for (row, entries) in rows.iter().enumerate() {
            let y = top + (row as f64 + 0.5) * LEGEND_ROW;
            for (offset, key) in entries {
                let left = EDGE + offset;
                draw_mark(canvas, key, (left, y))?;
                canvas.text(&key.name, (left + SWATCH + 6.0, y), Type::new(LABEL, INK))?;
            }
        }
        Ok(())
    }
}

/// The room that the lines of an axis' title take across them.
fn label_height(lines: &[String]) -> f64 {
    if lines.is_empty() { 0.0 } else { lines.len() as f64 * LABEL * LINE_HEIGHT + 6.0 }
}

/// The length of the longest line of an axis' title.
fn longest(lines: &[String]) -> f64 {
    lines.iter().map(|line| width(line, LABEL)).fold(0.0, f64::max)
}

/// A title in lines that fit `most` pixels; only a word that is longer is cut.
pub(super) fn title_lines(title: &str, most: f64) -> Vec<String> {
    // Bold letters are wider.
    let size = TITLE * 1.08;
    lines(title, size, most).iter().map(|line| shorten(line, size, most)).collect()
}

/// The height of a title, with the room below it.
pub(super) fn title_height(lines: &[String]) -> f64 {
    if lines.is_empty() { 0.0 } else { lines.len() as f64 * TITLE * LINE_HEIGHT + 8.0 }
}

pub(super) fn draw_title(canvas: &Canvas<'_>, lines: &[String], left: f64, top: f64) -> Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let y = top + (index as f64 + 0.5) * TITLE * LINE_HEIGHT;
        canvas.text(line, (left, y), Type::new(TITLE, INK).bold())?;
    }
    Ok(())
}

/// The entries of the legend in rows, each with its distance from the left.
fn legend_rows(keys: &[Key], most: f64) -> Vec<Vec<(f64, &Key)>> {
    let mut rows: Vec<Vec<(f64, &Key)>> = Vec::new();
    let mut next = 0.0;
    for key in keys.iter().filter(|key| !key.name.is_empty()) {
        let length = SWATCH + 6.0 + width(&key.name, LABEL);
        match rows.last_mut() {
            Some(row) if next + length <= most => row.push((next, key)),
            _ => {
                next = 0.0;
                rows.push(vec![(0.0, key)]);
            }
        }
        next += length + 18.0;
    }
    rows
}

fn draw_mark(canvas: &Canvas<'_>, key: &Key, (left, y): Place) -> Result<()> {
    let color = rgb(key.color);
    let right = left + SWATCH;
    match key.mark {
        Mark::Line => canvas.line(&[(left, y), (right, y)], color, 2.5),
        Mark::Dashes => {
            canvas.line(&[(left, y), (left + 9.0, y)], color, 2.5)?;
            canvas.line(&[(right - 9.0, y), (right, y)], color, 2.5)
        }
        Mark::Dot => canvas.dot((left + SWATCH / 2.0, y), 4.0, color),
        Mark::Band => canvas.rectangle((left, y - 6.0), (right, y + 6.0), color.mix(0.25).filled()),
        Mark::Box => {
            canvas.rectangle((left + 6.0, y - 6.0), (left + 18.0, y + 6.0), color.filled())
        }
    }
}

/// The ticks of a horizontal axis, as many as have room for their labels.
fn x_ticks(axis: &Axis, room: f64) -> (Vec<f64>, Vec<String>) {
    let mut wanted = (room / 75.0).clamp(2.0, 10.0) as usize;
    loop {
        let ticks = axis.ticks(wanted);
        let texts = labels(&ticks, axis.log);
        let fits = ticks.windows(2).zip(texts.windows(2)).all(|(at, text)| {
            let half = |text: &String| width(text, TICK) / 2.0;
            let distance = (axis.share(at[1]) - axis.share(at[0])) * room;
            half(&text[0]) + half(&text[1]) + 8.0 <= distance
        });
        if fits || wanted <= 1 {
            return (ticks, texts);
        }
        wanted -= 1;
    }
}
