//! Lines, bands and points over two axes.

use std::path::Path;

use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::Axis;
use super::canvas::{Canvas, Place, Type, shorten, width};
use super::file;
use super::frame::{Below, Frame, Key, Mark, Plot, TICK};
use super::palette::{SERIES, SOFT_INK, WHITE, rgb, series};
use crate::config;
use crate::error::{Error, Result};

/// Curves: learning curves, trade-offs, measurements over a quantity.
///
/// A point that cannot be drawn (NaN, infinite, beyond 10³⁰⁰, or not positive on a logarithmic
/// axis) is left out and breaks its line there. The default size is 720 × 420 pixels.
///
/// ```
/// use model_utils_core::picture::Curves;
///
/// let svg = Curves::new("Time of a matrix product")
///     .x_label("rows")
///     .y_label("time, ms")
///     .log_x()
///     .log_y()
///     .line("processor", &[(64.0, 0.02), (512.0, 4.1), (4096.0, 1900.0)])
///     .line("GPU", &[(64.0, 0.09), (512.0, 0.2), (4096.0, 12.0)])
///     .marker(128.0, "GPU faster from here")
///     .to_svg()?;
/// assert!(svg.contains("processor"));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Curves {
    title: String,
    x_label: String,
    y_label: String,
    layers: Vec<Layer>,
    markers: Vec<(f64, String)>,
    colors: usize,
    log_x: bool,
    log_y: bool,
    y_range: Option<(f64, f64)>,
    size: (usize, usize),
}

/// One named thing to draw.
#[derive(Debug, Clone)]
struct Layer {
    name: String,
    /// Index of the colour.
    color: usize,
    /// `x`, and the lower and upper `y`, which are equal but for a band.
    points: Vec<(f64, f64, f64)>,
    mark: Mark,
}

impl Curves {
    /// No curves yet; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_label: String::new(),
            y_label: String::new(),
            layers: Vec::new(),
            markers: Vec::new(),
            colors: 0,
            log_x: false,
            log_y: false,
            y_range: None,
            size: (720, 420),
        }
    }

    /// The title of the horizontal axis, with its unit.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// The title of the vertical axis, with its unit.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// The next line or points take the `index`th colour, from 0, and those behind them the colours
    /// that follow: so that one thing keeps its colour in pictures that show others as well.
    #[must_use]
    pub fn color(mut self, index: usize) -> Self {
        self.colors = index;
        self
    }

    /// Adds a line through `(x, y)`, in the order given, in the next colour. After as many as there
    /// are colours they begin again, dashed. An empty name is not in the legend.
    #[must_use]
    pub fn line(mut self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        let mark = if self.colors < SERIES.len() { Mark::Line } else { Mark::Dashes };
        self.layer(name.into(), mark, points.iter().map(|&(x, y)| (x, y, y)).collect());
        self
    }

    /// Adds a line as [`Curves::line`] does, with a dot at each of its points: for a few measurements,
    /// between which the line is a guess.
    #[must_use]
    pub fn measurements(mut self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        self = self.line(name, points);
        let points = points.iter().map(|&(x, y)| (x, y, y)).collect();
        let color = self.colors - 1;
        self.layers.push(Layer { name: String::new(), color, points, mark: Mark::Dot });
        self
    }

    /// Adds separate points `(x, y)` in the next colour.
    #[must_use]
    pub fn dots(mut self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        self.layer(name.into(), Mark::Dot, points.iter().map(|&(x, y)| (x, y, y)).collect());
        self
    }

    /// Adds a band between `low` and `high` at each `x`, given as `(x, low, high)`: in the colour of
    /// the line before it, and behind all lines.
    #[must_use]
    pub fn band(mut self, name: impl Into<String>, points: &[(f64, f64, f64)]) -> Self {
        self.layer(name.into(), Mark::Band, points.to_vec());
        self
    }

    /// Adds a dashed vertical line at `x` with a label at its top.
    #[must_use]
    pub fn marker(mut self, x: f64, label: impl Into<String>) -> Self {
        self.markers.push((x, label.into()));
        self
    }

    /// Makes the horizontal axis logarithmic.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.log_x = true;
        self
    }

    /// Makes the vertical axis logarithmic.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.log_y = true;
        self
    }

    /// Fixes the vertical axis instead of fitting it to the data; what lies outside is drawn at its
    /// edge.
    #[must_use]
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y_range = Some((low, high));
        self
    }

    /// The size of the picture, in pixels; it grows where its labels need more.
    #[must_use]
    pub fn size(mut self, width: usize, height: usize) -> Self {
        self.size = (width, height);
        self
    }

    /// The picture as SVG.
    ///
    /// # Errors
    /// [`Error::Picture`] when there is nothing to draw, a series or marker has no drawable point,
    /// or the size is beyond 100 000 pixels; [`Error::Config`] for a range that is none.
    pub fn to_svg(&self) -> Result<String> {
        let (x, y) = self.axes()?;
        let keys: Vec<Key> = self
            .layers
            .iter()
            .map(|layer| Key {
                name: layer.name.clone(),
                color: series(layer.color),
                mark: layer.mark,
            })
            .collect();
        let frame = Frame {
            title: &self.title,
            x_label: &self.x_label,
            y_label: &self.y_label,
            keys: &keys,
            y,
            size: (self.size.0 as f64, self.size.1 as f64),
        };
        let below = Below::Axis(x);
        let (size, _) = frame.layout(below);
        Canvas::draw("curves", &self.title, size, |canvas| {
            let plot = frame.draw(canvas, below)?;
            let (bands, lines): (Vec<_>, Vec<_>) =
                self.layers.iter().partition(|layer| layer.mark == Mark::Band);
            for layer in bands.into_iter().chain(lines) {
                draw_layer(canvas, &plot, &x, &y, layer)?;
            }
            self.draw_markers(canvas, &plot, &x)
        })
    }

    /// Writes the picture to a file whose name ends in `.svg`; its folder is made if it is missing.
    ///
    /// # Errors
    /// As [`Curves::to_svg`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(path, "svg", self.to_svg()?.as_bytes())
    }

    fn layer(&mut self, name: String, mark: Mark, points: Vec<(f64, f64, f64)>) {
        let color = match self.layers.last() {
            Some(last) if mark == Mark::Band => last.color,
            _ => {
                self.colors += 1;
                self.colors - 1
            }
        };
        self.layers.push(Layer { name, color, points, mark });
    }

    /// The axes over all that is drawn.
    fn axes(&self) -> Result<(Axis, Axis)> {
        let nothing = || Error::picture("curves", "there is no line, band or point");
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let before = xs.len();
            for &(x, low, high) in &layer.points {
                if shows((x, low, high), self.log_x, self.log_y) {
                    xs.push(x);
                    ys.extend([low, high]);
                }
            }
            if xs.len() == before {
                let reason = match layer.points.len() {
                    0 => format!("series {:?} is empty", layer.name),
                    n => format!(
                        "series {:?} has no point to draw: all {n} are NaN, infinite, or not \
                         positive on a logarithmic axis",
                        layer.name
                    ),
                };
                return Err(Error::picture("curves", reason));
            }
        }
        for (x, label) in &self.markers {
            if !shows((*x, 1.0, 1.0), self.log_x, self.log_y) {
                let reason = format!("marker {label:?} is at {x}, which is not on the axis");
                return Err(Error::picture("curves", reason));
            }
            xs.push(*x);
        }
        let x = Axis::over(xs, self.log_x, 0.01).ok_or_else(nothing)?;
        let mut y = Axis::over(ys, self.log_y, 0.05).ok_or_else(nothing)?;
        if let Some((low, high)) = self.y_range {
            let axis = Axis { low, high, log: self.log_y };
            let fits = axis.shows(low) && axis.shows(high) && low < high;
            let expected = "two finite values in order, positive on a logarithmic axis";
            config::require(fits, "y_range", low..high, expected)?;
            y = axis;
        }
        Ok((x, y))
    }

    fn draw_markers(&self, canvas: &Canvas<'_>, plot: &Plot, x: &Axis) -> Result<()> {
        for (value, _) in &self.markers {
            let at = plot.x(x, *value);
            for dash in dashes(&[(at, plot.top), (at, plot.bottom)], 5.0, 4.0) {
                canvas.line(&dash, rgb(SOFT_INK), 1.25)?;
            }
        }
        // Where each label begins and ends, and its row.
        let mut taken: Vec<(f64, f64, usize)> = Vec::new();
        for (value, label) in &self.markers {
            let at = plot.x(x, *value);
            let text = shorten(label, TICK, plot.width() - 12.0);
            let length = width(&text, TICK);
            // To the right of its line, unless there is less room than on the left.
            let (left, side) = if at + 6.0 + length <= plot.right {
                (at + 6.0, HPos::Left)
            } else if at - 6.0 - length >= plot.left {
                (at - 6.0 - length, HPos::Right)
            } else {
                (plot.right - length, HPos::Right)
            };
            let right = left + length;
            let free = |row: &usize| {
                !taken
                    .iter()
                    .any(|&(l, r, other)| other == *row && l < right + 6.0 && left < r + 6.0)
            };
            let rows = ((plot.bottom - plot.top) / 18.0).max(1.0) as usize;
            let row = (0..rows).find(free).unwrap_or(0);
            taken.push((left, right, row));
            let y = plot.top + 9.0 + row as f64 * 18.0;
            let (from, to) = ((left - 2.0, y - 8.0), (right + 2.0, y + 8.0));
            canvas.rectangle(from, to, rgb(WHITE).mix(0.85).filled())?;
            let anchor = if matches!(side, HPos::Left) { left } else { right };
            canvas.text(&text, (anchor, y), Type::new(TICK, SOFT_INK).at(side, VPos::Center))?;
        }
        Ok(())
    }
}

fn shows((x, low, high): (f64, f64, f64), log_x: bool, log_y: bool) -> bool {
    let axis = |log| Axis { low: 0.0, high: 0.0, log };
    axis(log_x).shows(x) && axis(log_y).shows(low) && axis(log_y).shows(high)
}

fn draw_layer(canvas: &Canvas<'_>, plot: &Plot, x: &Axis, y: &Axis, layer: &Layer) -> Result<()> {
    let color = rgb(series(layer.color));
    for run in layer.points.split(|&point| !shows(point, x.log, y.log)) {
        let place = |at: f64, value: f64| (plot.x(x, at), plot.y(value));
        let low: Vec<Place> = run.iter().map(|&(at, low, _)| place(at, low)).collect();
        let high: Vec<Place> = run.iter().map(|&(at, _, high)| place(at, high)).collect();
        match (layer.mark, low.as_slice()) {
            (_, []) => {}
            (Mark::Band, &[(at, low)]) => {
                let (from, to) = ((at - 3.0, high[0].1), (at + 3.0, low));
                canvas.rectangle(from, to, color.mix(0.2).filled())?;
            }
            (Mark::Band, _) => {
                let outline: Vec<Place> =
                    thin(&high).into_iter().chain(thin(&low).into_iter().rev()).collect();
                canvas.polygon(&outline, color.mix(0.2).filled())?;
            }
            (Mark::Dot, places) => {
                for &place in places {
                    canvas.dot(place, 3.5, color)?;
                }
            }
            (_, &[place]) => canvas.dot(place, 3.5, color)?,
            (Mark::Dashes, places) => {
                for dash in dashes(&thin(places), 7.0, 4.0) {
                    canvas.line(&dash, color, 2.0)?;
                }
            }
            (_, places) => canvas.line(&thin(places), color, 2.0)?,
        }
    }
    Ok(())
}

/// The path without what no one can see: of the points that follow each other within half a pixel
/// of width, the first, lowest, highest and last.
fn thin(places: &[Place]) -> Vec<Place> {
    let column = |place: &Place| (place.0 * 2.0).floor();
    let mut kept = Vec::new();
    for run in places.chunk_by(|a, b| (column(a) - column(b)).abs() < 0.5) {
        if run.len() <= 4 {
            kept.extend_from_slice(run);
            continue;
        }
        let by_height = |a: &usize, b: &usize| run[*a].1.total_cmp(&run[*b].1);
        let lowest = (0..run.len()).min_by(by_height).unwrap_or(0);
        let highest = (0..run.len()).max_by(by_height).unwrap_or(0);
        let mut indices = [0, lowest, highest, run.len() - 1].to_vec();
        indices.sort_unstable();
        indices.dedup();
        kept.extend(indices.into_iter().map(|index| run[index]));
    }
    kept
}

/// A path cut into dashes of `on` pixels with gaps of `off` between.
fn dashes(path: &[Place], on: f64, off: f64) -> Vec<Vec<Place>> {
    let mut cut: Vec<Vec<Place>> = vec![path.first().copied().into_iter().collect()];
    let (mut drawing, mut left) = (true, on);
    for pair in path.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let share = (left / length).min(1.0);
            let next = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if let Some(dash) = cut.last_mut().filter(|_| drawing) {
                dash.push(next);
            }
            if length <= left {
                left -= length;
                break;
            }
            from = next;
            drawing = !drawing;
            left = if drawing { on } else { off };
            if drawing {
                cut.push(vec![from]);
            }
        }
    }
    cut.retain(|dash| dash.len() > 1);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_thinned_and_keeps_its_peaks() {
        let mut path: Vec<Place> = (0..10_000).map(|i| (f64::from(i) / 100.0, 50.0)).collect();
        path[1234].1 = 0.0;
        path[4321].1 = 99.0;
        let kept = thin(&path);
        assert!(kept.len() < 900, "{}", kept.len());
        assert!(kept.contains(&path[1234]) && kept.contains(&path[4321]));
        assert_eq!((kept[0], kept[kept.len() - 1]), (path[0], path[9999]));
        assert_eq!(thin(&path[..3]), path[..3]);
    }

    #[test]
    fn dashes_turn_corners_and_leave_gaps() {
        let cut = dashes(&[(0.0, 0.0), (5.0, 0.0), (5.0, 20.0)], 8.0, 4.0);
        assert_eq!(cut[0], [(0.0, 0.0), (5.0, 0.0), (5.0, 3.0)]);
        assert_eq!(cut[1], [(5.0, 7.0), (5.0, 15.0)]);
        assert!(dashes(&[], 1.0, 1.0).is_empty());
        assert!(!dashes(&[(0.0, 0.0), (0.0, 0.0)], 1.0, 1.0).is_empty());
    }
}
