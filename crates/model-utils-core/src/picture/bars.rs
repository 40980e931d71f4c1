//! Bars, in groups.

use std::path::Path;

use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, short};
use super::canvas::{Canvas, Type, shorten, width, wrap};
use super::file;
use super::frame::{Below, Frame, Key, Mark, Plot, TICK};
use super::palette::{INK, RULE, SOFT_INK, rgb, series};
use crate::error::{Error, Result};

/// The longest category label that stands upright, in pixels.
const LONGEST_UPRIGHT: f64 = 200.0;

/// A bar chart: a group of bars for each category, one for each series.
///
/// A value that cannot be drawn (NaN, infinite, or not positive on a logarithmic axis) leaves its
/// place empty. The default size is 720 × 420 pixels.
///
/// ```
/// use model_utils_core::picture::Bars;
///
/// let svg = Bars::new("Images per second")
///     .categories(&["MobileNetV2", "DenseNet-121"])
///     .bars("flex", &[310.0, 42.0])
///     .bars_with_range("wgpu", &[(2900.0, 2850.0, 2990.0), (610.0, 590.0, 640.0)])
///     .to_svg()?;
/// assert!(svg.contains("DenseNet-121"));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bars {
    title: String,
    x_label: String,
    y_label: String,
    categories: Vec<String>,
    series: Vec<Series>,
    decimals: Option<usize>,
    values: bool,
    log_y: bool,
    size: (usize, usize),
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    bars: Vec<Bar>,
}

/// A bar and the ends of its error bar.
#[derive(Debug, Clone, Copy)]
struct Bar {
    value: f64,
    range: Option<(f64, f64)>,
}

impl Bars {
    /// No bars yet; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_label: String::new(),
            y_label: String::new(),
            categories: Vec::new(),
            series: Vec::new(),
            decimals: None,
            values: true,
            log_y: false,
            size: (720, 420),
        }
    }

    /// The names of the groups, from left to right. They are wrapped where they are wider than
    /// their group, and stand upright where that does not help.
    #[must_use]
    pub fn categories<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.categories = names.iter().map(|name| name.as_ref().to_string()).collect();
        self
    }

    /// Adds a series: one value for each category, in the next colour. An empty name is not in the
    /// legend.
    #[must_use]
    pub fn bars(mut self, name: impl Into<String>, values: &[f64]) -> Self {
        let bars = values.iter().map(|&value| Bar { value, range: None }).collect();
        self.series.push(Series { name: name.into(), bars });
        self
    }

    /// Adds a series with error bars: `(value, low, high)` for each category. A range that cannot
    /// be drawn is left out.
    #[must_use]
    pub fn bars_with_range(mut self, name: impl Into<String>, values: &[(f64, f64, f64)]) -> Self {
        let bar = |&(value, low, high): &(f64, f64, f64)| Bar { value, range: Some((low, high)) };
        self.series.push(Series { name: name.into(), bars: values.iter().map(bar).collect() });
        self
    }

    /// The title of the horizontal axis.
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

    /// Writes the values above the bars with this many decimals (12 at most) instead of about three
    /// digits.
    #[must_use]
    pub fn decimals(mut self, decimals: usize) -> Self {
        self.decimals = Some(decimals.min(12));
        self
    }

    /// Whether the values are written above the bars (the default), where there is room.
    #[must_use]
    pub fn values(mut self, shown: bool) -> Self {
        self.values = shown;
        self
    }

    /// Makes the vertical axis logarithmic: for values many times apart, such as times. The lengths
    /// of the bars then mean little, their ends all.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.log_y = true;
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
    /// [`Error::Picture`] when there are no categories or series, a series has not one value for
    /// each category or none that can be drawn, or the size is beyond 100 000 pixels.
    pub fn to_svg(&self) -> Result<String> {
        self.check()?;
        let y = self.axis()?;
        let key = |(index, one): (usize, &Series)| Key {
            name: one.name.clone(),
            color: series(index),
            mark: Mark::Box,
        };
        let keys: Vec<Key> = self.series.iter().enumerate().map(key).collect();
        let frame = Frame {
            title: &self.title,
            x_label: &self.x_label,
            y_label: &self.y_label,
            keys: &keys,
            y,
            size: (self.size.0 as f64, self.size.1 as f64),
        };
        let (left, right) = frame.sides();
        let names = Names::new(&self.categories, (right - left) / self.categories.len() as f64);
        let below = Below::Room(names.height());
        let (size, _) = frame.layout(below);
        Canvas::draw("bars", &self.title, size, |canvas| {
            let plot = frame.draw(canvas, below)?;
            self.draw_bars(canvas, &plot, &y)?;
            names.draw(canvas, &plot)
        })
    }

    /// Writes the picture to a file whose name ends in `.svg`; its folder is made if it is missing.
    ///
    /// # Errors
    /// As [`Bars::to_svg`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(path, "svg", self.to_svg()?.as_bytes())
    }

    fn check(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::picture("bars", reason));
        if self.categories.is_empty() || self.series.is_empty() {
            return fail("there is no category or no series".into());
        }
        let wanted = self.categories.len();
        let axis = Axis { low: 0.0, high: 0.0, log: self.log_y };
        for one in &self.series {
            if one.bars.len() != wanted {
                let found = one.bars.len();
                return fail(format!(
                    "series {:?} has {found} values, expected {wanted}",
                    one.name
                ));
            }
            if !one.bars.iter().any(|bar| axis.shows(bar.value)) {
                return fail(format!(
                    "series {:?} has no value to draw: all are NaN, infinite, or not positive on a \
                     logarithmic axis",
                    one.name
                ));
            }
        }
        Ok(())
    }

    /// The vertical axis: from zero, or from below the least on a logarithmic one, with room for
    /// the values at the ends of the bars.
    fn axis(&self) -> Result<Axis> {
        let ends = self.series.iter().flat_map(|one| &one.bars).flat_map(|bar| {
            let (low, high) = bar.range.unwrap_or((bar.value, bar.value));
            [bar.value, low, high]
        });
        let zero = (!self.log_y).then_some(0.0);
        let axis = Axis::over(ends.chain(zero), self.log_y, 0.0)
            .ok_or_else(|| Error::picture("bars", "there is no value to draw"))?;
        let room = if self.values { 0.12 } else { 0.05 };
        let (low, high) = (axis.low, axis.high);
        if self.log_y {
            let bottom = 10f64.powf((low.log10() - 0.15).floor());
            return Ok(Axis { low: bottom, high: high * (high / bottom).powf(room), log: true });
        }
        if low > -1e-290 && high < 1e-290 || low < 0.0 && high > 0.0 && low.abs() < 1e-290 {
            return Ok(Axis { low: 0.0, high: 1.0, log: false });
        }
        let span = high - low;
        let low = if low < 0.0 { low - span * room } else { low };
        let high = if high > 0.0 { high + span * room } else { high };
        Ok(Axis { low, high, log: false })
    }

    fn draw_bars(&self, canvas: &Canvas<'_>, plot: &Plot, y: &Axis) -> Result<()> {
        let slot = plot.width() / self.categories.len() as f64;
        let each = (slot * 0.8 / self.series.len() as f64).min(64.0);
        let gap = (each * 0.06).min(2.0);
        let base = plot.y(if self.log_y { y.low } else { 0.0 });
        let size = self.value_size(each);
        for (index, one) in self.series.iter().enumerate() {
            let color = rgb(series(index));
            for (category, bar) in one.bars.iter().enumerate().filter(|(_, b)| y.shows(b.value)) {
                let middle = plot.left + (category as f64 + 0.5) * slot;
                let center = middle + (index as f64 + 0.5 - self.series.len() as f64 / 2.0) * each;
                let (left, right) = (center - each / 2.0 + gap, center + each / 2.0 - gap);
                let end = plot.y(bar.value);
                let (top, bottom) = (end.min(base), end.max(base));
                canvas.rectangle((left, top), (right, bottom), color.mix(0.9).filled())?;
                let (mut top, mut bottom) = (top, bottom);
                if let Some((low, high)) = bar.range.filter(|&(l, h)| y.shows(l) && y.shows(h)) {
                    let (from, to) = (plot.y(low.max(high)), plot.y(low.min(high)));
                    let cap = (each * 0.18).min(6.0);
                    canvas.line(&[(center, from), (center, to)], rgb(INK), 1.5)?;
                    for end in [from, to] {
                        canvas.line(&[(center - cap, end), (center + cap, end)], rgb(INK), 1.5)?;
                    }
                    (top, bottom) = (top.min(from), bottom.max(to));
                }
                if let Some(size) = size {
                    let style = Type::new(size, SOFT_INK);
                    let text = self.text(bar.value);
                    let down = bar.value < 0.0;
                    let at = if down { bottom + 5.0 + size / 2.0 } else { top - 4.0 - size / 2.0 };
                    canvas.text(&text, (center, at), style.at(HPos::Center, VPos::Center))?;
                }
            }
        }
        canvas.line(&[(plot.left, base), (plot.right, base)], rgb(RULE), 1.0)
    }

    /// The size at which every value fits above its bar, `None` where that is too small to read.
    fn value_size(&self, room: f64) -> Option<f64> {
        let bars = self.series.iter().flat_map(|one| &one.bars);
        let widest = bars.map(|bar| width(&self.text(bar.value), 1.0)).fold(0.0, f64::max);
        // Neighbours at the same height must not touch, and the estimate of the width is wide.
        let size = (room * 0.98 / widest).min(12.0);
        (self.values && size >= 8.5).then_some(size)
    }

    fn text(&self, value: f64) -> String {
        match self.decimals {
            Some(decimals) if value.abs() < 1e15 => format!("{value:.decimals$}"),
            _ => short(value),
        }
    }
}

/// The labels of the categories, level in lines or upright.
enum Names {
    Level(Vec<Vec<String>>),
    Upright(Vec<String>),
}

impl Names {
    fn new(names: &[String], slot: f64) -> Self {
        let wrapped = names.iter().map(|name| wrap(name, TICK, slot - 6.0, 3)).collect();
        match wrapped {
            Some(lines) => Self::Level(lines),
            None => Self::Upright(
                names.iter().map(|name| shorten(name, TICK, LONGEST_UPRIGHT)).collect(),
            ),
        }
    }

    fn height(&self) -> f64 {
        10.0 + match self {
            Self::Level(names) => names.iter().map(Vec::len).max().unwrap_or(0) as f64 * 15.0,
            Self::Upright(names) => names.iter().map(|n| width(n, TICK)).fold(0.0, f64::max),
        }
    }

    fn draw(&self, canvas: &Canvas<'_>, plot: &Plot) -> Result<()> {
        let style = Type::new(TICK, INK);
        match self {
            Self::Level(names) => {
                let slot = plot.width() / names.len() as f64;
                for (index, lines) in names.iter().enumerate() {
                    let x = plot.left + (index as f64 + 0.5) * slot;
                    for (row, line) in lines.iter().enumerate() {
                        let y = plot.bottom + 7.0 + row as f64 * 15.0;
                        canvas.text(line, (x, y), style.at(HPos::Center, VPos::Top))?;
                    }
                }
            }
            Self::Upright(names) => {
                let slot = plot.width() / names.len() as f64;
                // Where there is less room than a line needs, every second or third and so on.
                let every = (14.0 / slot).ceil().max(1.0) as usize;
                for (index, name) in names.iter().enumerate().step_by(every) {
                    let x = plot.left + (index as f64 + 0.5) * slot;
                    let style = style.at(HPos::Right, VPos::Center).upward();
                    canvas.text(name, (x, plot.bottom + 7.0), style)?;
                }
            }
        }
        Ok(())
    }
}
