//! Boxes and the arrows between them.

use std::path::Path;

use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, Place, Type, shorten, width};
use super::file;
use super::frame::{EDGE, LABEL, TICK, TITLE, draw_title, title_height, title_lines};
use super::layered::{Layout, layout};
use super::palette::{INK, SOFT_INK, rgb, series};
use crate::error::{Error, Result};

/// The most lines of text in a box.
const MOST_LINES: usize = 4;
/// Longer lines are cut, in pixels.
const LONGEST_LINE: f64 = 320.0;
const LEAST_WIDTH: f64 = 72.0;
const LINE_HEIGHT: f64 = 17.0;
/// The free room in a box, at the sides and above and below.
const PADDING: (f64, f64) = (12.0, 7.0);
/// The width of a box's edge, and of the stripe on its left.
const BORDER: f64 = 1.25;
const STRIPE: f64 = 5.0;
/// A title that is wider than its chart widens the picture to this at most.
const TITLE_ROOM: f64 = 420.0;
/// Half the width of an arrow's head, and its length.
const HEAD: (f64, f64) = (3.75, 8.0);

const WHAT: &str = "flow chart";

/// A flow chart from the top to the bottom: boxes with text, and arrows from each to those that take
/// what it gives. For the parts of a model and the way of data through it.
///
/// Blocks have the indices 0, 1, 2, … in the order in which they are added. A chain is a straight
/// column; what skips blocks runs beside them, as one line from which the arrows branch off.
///
/// ```
/// use model_utils_core::picture::FlowChart;
///
/// let svg = FlowChart::new("A residual block")
///     .block(["input", "[N, 64, 56, 56]"], 6, &[])
///     .block(["conv 3×3", "64 channels"], 0, &[0])
///     .block(["ReLU"], 1, &[1])
///     .block(["conv 3×3", "64 channels"], 0, &[2])
///     .block(["add"], 5, &[3, 0])
///     .to_svg()?;
/// assert!(svg.contains("conv 3×3"));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FlowChart {
    title: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
struct Block {
    lines: Vec<String>,
    kind: usize,
    inputs: Vec<usize>,
}

impl FlowChart {
    /// No blocks yet; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Adds a box with one to four lines of text, the first of them bold, in the colour of
    /// [`SERIES`](super::SERIES) with the index `kind`. Arrows come from the blocks with the indices
    /// `inputs`, which were added before; one arrow from each, however often it is named.
    ///
    /// Lines longer than about 40 letters are cut.
    #[must_use]
    pub fn block(
        mut self,
        lines: impl IntoIterator<Item = impl Into<String>>,
        kind: usize,
        inputs: &[usize],
    ) -> Self {
        let lines = lines.into_iter().map(Into::into).collect();
        self.blocks.push(Block { lines, kind, inputs: inputs.to_vec() });
        self
    }

    /// The picture as SVG, as large as its blocks need.
    ///
    /// # Errors
    /// [`Error::Picture`] when there is no block, a block has not one to four lines or takes a block
    /// that is not before it, or the size is beyond 100 000 pixels.
    pub fn to_svg(&self) -> Result<String> {
        self.check()?;
        let blocks: Vec<Block> = self.blocks.iter().map(Block::shown).collect();
        let sizes: Vec<(f64, f64)> = blocks.iter().map(Block::size).collect();
        let inputs: Vec<Vec<usize>> = blocks.iter().map(|block| block.inputs.clone()).collect();
        let layout = layout(WHAT, &sizes, &inputs)?;
        // Bold letters are wider.
        let room = layout.size.0.max((width(&self.title, TITLE * 1.08) + 1.0).min(TITLE_ROOM));
        let title = title_lines(&self.title, room);
        let corner = (EDGE + (room - layout.size.0) / 2.0, EDGE + title_height(&title));
        let size = (room + 2.0 * EDGE, corner.1 + layout.size.1 + EDGE);
        Canvas::draw(WHAT, &self.title, size, |canvas| {
            draw_title(canvas, &title, EDGE, EDGE)?;
            draw_arrows(canvas, &layout, corner)?;
            for (block, &(from, to)) in blocks.iter().zip(&layout.boxes) {
                block.draw(canvas, moved(from, corner), moved(to, corner))?;
            }
            Ok(())
        })
    }

    /// Writes the picture to a file whose name ends in `.svg`; its folder is made if it is missing.
    ///
    /// # Errors
    /// As [`FlowChart::to_svg`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(path, "svg", self.to_svg()?.as_bytes())
    }

    fn check(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::picture(WHAT, reason));
        if self.blocks.is_empty() {
            return fail("there is no block".into());
        }
        for (index, block) in self.blocks.iter().enumerate() {
            let lines = block.lines.len();
            if !(1..=MOST_LINES).contains(&lines) {
                return fail(format!(
                    "block {index} has {lines} lines of text, expected 1 to {MOST_LINES}"
                ));
            }
            if let Some(input) = block.inputs.iter().find(|&&input| input >= index) {
                return fail(format!("block {index} takes block {input}, which is not before it"));
            }
        }
        Ok(())
    }
}

impl Block {
    /// As it is drawn: with lines that fit, and each input once.
    fn shown(&self) -> Self {
        let cut = |(index, line): (usize, &String)| shorten(line, text_size(index), LONGEST_LINE);
        let lines = self.lines.iter().enumerate().map(cut).collect();
        let mut inputs = self.inputs.clone();
        inputs.sort_unstable();
        inputs.dedup();
        Self { lines, kind: self.kind, inputs }
    }

    fn size(&self) -> (f64, f64) {
        let widths = self.lines.iter().enumerate().map(|(index, line)| {
            // Bold letters are wider.
            width(line, text_size(index)) * if index == 0 { 1.08 } else { 1.0 }
        });
        let text = widths.fold(0.0, f64::max);
        let height = self.lines.len() as f64 * LINE_HEIGHT + 2.0 * PADDING.1;
        ((text + STRIPE + 2.0 * PADDING.0).max(LEAST_WIDTH), height)
    }

    fn draw(&self, canvas: &Canvas<'_>, from: Place, to: Place) -> Result<()> {
        let color = series(self.kind);
        // Opaque, so that no line shows through.
        let ground = color.map(|channel| (255.0 - (255.0 - f64::from(channel)) * 0.08) as u8);
        canvas.rectangle(from, to, rgb(color).filled())?;
        let inner = ((from.0 + STRIPE, from.1 + BORDER), (to.0 - BORDER, to.1 - BORDER));
        canvas.rectangle(inner.0, inner.1, rgb(ground).filled())?;
        let middle = f64::midpoint(from.0 + STRIPE, to.0);
        for (index, line) in self.lines.iter().enumerate() {
            let y = from.1 + PADDING.1 + (index as f64 + 0.5) * LINE_HEIGHT;
            let style = match index {
                0 => Type::new(text_size(index), INK).bold(),
                _ => Type::new(text_size(index), SOFT_INK),
            };
            canvas.text(line, (middle, y), style.at(HPos::Center, VPos::Center))?;
        }
        Ok(())
    }
}

/// The size of a box's line of text.
fn text_size(index: usize) -> f64 {
    if index == 0 { LABEL } else { TICK }
}

fn draw_arrows(canvas: &Canvas<'_>, layout: &Layout, corner: Place) -> Result<()> {
    let color = rgb(SOFT_INK);
    for arrow in &layout.arrows {
        let mut points: Vec<Place> = arrow.iter().map(|&point| moved(point, corner)).collect();
        if let Some(tip) = points.last_mut() {
            let (x, y) = *tip;
            // The line ends in its head, not at the point of it.
            tip.1 -= HEAD.1 / 2.0;
            canvas.line(&points, color, 1.25)?;
            let head = [(x, y), (x - HEAD.0, y - HEAD.1), (x + HEAD.0, y - HEAD.1)];
            canvas.polygon(&head, color.filled())?;
        }
    }
    for &fork in &layout.forks {
        canvas.dot(moved(fork, corner), 2.5, color)?;
    }
    Ok(())
}

fn moved((x, y): Place, by: Place) -> Place {
    (x + by.0, y + by.1)
}
