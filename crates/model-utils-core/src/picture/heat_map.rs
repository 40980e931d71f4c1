//! A matrix as coloured cells.

use std::path::Path;

use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, labels, short};
use super::canvas::{Canvas, Type, shorten, width};
use super::file;
use super::frame::{EDGE, LABEL, TICK, draw_title, title_height, title_lines};
use super::palette::{INK, NOTHING, SOFT_INK, ink_on, rgb, viridis};
use crate::config::ConfigError;
use crate::error::{Error, Result};

const LONGEST_LABEL: f64 = 160.0;
const BAR_WIDTH: f64 = 14.0;
/// A line of text, in pixels.
const LINE: f64 = 14.0;
/// Of so many rows or columns each has its label; of more every second, third and so on.
const MOST_LABELS: usize = 100;

/// A heat map: rows × columns of values as colours, with the values in the cells where they fit.
///
/// Colours follow viridis from dark (least) to bright (most); a bar beside the cells says what they
/// mean. A cell that is NaN or infinite is grey.
///
/// ```
/// use model_utils_core::picture::HeatMap;
///
/// let svg = HeatMap::confusion(&[vec![50, 2], vec![5, 43]], &["cat", "dog"])?.to_svg()?;
/// assert!(svg.contains("prediction"));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HeatMap {
    title: String,
    x_label: String,
    y_label: String,
    bar_label: String,
    rows: Vec<Vec<f64>>,
    /// What decides the colours, where that is not the value.
    shades: Option<Vec<Vec<f64>>>,
    row_labels: Vec<String>,
    column_labels: Vec<String>,
    decimals: Option<usize>,
    log: bool,
    range: Option<(f64, f64)>,
}

/// Where things lie, in pixels.
struct Layout {
    size: (f64, f64),
    left: f64,
    top: f64,
    cell: (f64, f64),
    /// Whether column labels stand upright.
    upright: bool,
    column_room: f64,
    title: Vec<String>,
    bar: Axis,
    bar_ticks: (Vec<f64>, Vec<String>),
    row_labels: Vec<String>,
    column_labels: Vec<String>,
}

impl HeatMap {
    /// A heat map of `rows`, which are equally long.
    ///
    /// # Errors
    /// [`Error::Picture`] when there are no cells, or the rows differ in length.
    pub fn new<R: AsRef<[f64]>>(title: impl Into<String>, rows: &[R]) -> Result<Self> {
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.as_ref().to_vec()).collect();
        let columns = rows.first().map_or(0, Vec::len);
        if columns == 0 {
            return Err(Error::picture("heat map", "there are no cells"));
        }
        if let Some(at) = rows.iter().position(|row| row.len() != columns) {
            let found = rows[at].len();
            let reason = format!("row {at} has {found} values, expected {columns} as in row 0");
            return Err(Error::picture("heat map", reason));
        }
        Ok(Self {
            title: title.into(),
            x_label: String::new(),
            y_label: String::new(),
            bar_label: String::new(),
            rows,
            shades: None,
            row_labels: Vec::new(),
            column_labels: Vec::new(),
            decimals: None,
            log: false,
            range: None,
        })
    }

    /// A confusion matrix: `counts[truth][prediction]`, written as counts and coloured by the share
    /// of the row, so that rare classes are seen as well as common ones.
    ///
    /// # Errors
    /// [`Error::Picture`] when `counts` is not square with one row for each class name, or has none.
    pub fn confusion<R: AsRef<[u64]>, S: AsRef<str>>(
        counts: &[R],
        class_names: &[S],
    ) -> Result<Self> {
        let n = class_names.len();
        let wrong = counts.iter().map(|row| row.as_ref().len()).find(|&length| length != n);
        if counts.len() != n || wrong.is_some() {
            let columns = wrong.unwrap_or(n);
            let reason = format!(
                "expected {n} × {n} counts, found {} rows, {columns} columns",
                counts.len()
            );
            return Err(Error::picture("confusion matrix", reason));
        }
        let rows: Vec<Vec<f64>> = counts
            .iter()
            .map(|row| row.as_ref().iter().map(|&count| count as f64).collect())
            .collect();
        let share = |row: &Vec<f64>| {
            let sum: f64 = row.iter().sum();
            row.iter().map(|count| if sum > 0.0 { count / sum } else { 0.0 }).collect()
        };
        let shades = rows.iter().map(share).collect();
        Ok(Self { shades: Some(shades), ..Self::new("Confusion matrix", &rows)? }
            .row_labels(class_names)
            .column_labels(class_names)
            .x_label("prediction")
            .y_label("truth")
            .color_label("share of the row")
            .range(0.0, 1.0)
            .decimals(0))
    }

    /// Another title; an empty one takes no room.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The title of the columns.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// The title of the rows.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// What the colours mean, with its unit; written along the colour bar.
    #[must_use]
    pub fn color_label(mut self, label: impl Into<String>) -> Self {
        self.bar_label = label.into();
        self
    }

    /// The names of the rows, from the top; as many as there are rows.
    #[must_use]
    pub fn row_labels<S: AsRef<str>>(mut self, labels: &[S]) -> Self {
        self.row_labels = labels.iter().map(|label| label.as_ref().to_string()).collect();
        self
    }

    /// The names of the columns, from the left; as many as there are columns.
    #[must_use]
    pub fn column_labels<S: AsRef<str>>(mut self, labels: &[S]) -> Self {
        self.column_labels = labels.iter().map(|label| label.as_ref().to_string()).collect();
        self
    }

    /// Writes the values with this many decimals (12 at most; 0 for counts) instead of about three
    /// digits.
    #[must_use]
    pub fn decimals(mut self, decimals: usize) -> Self {
        self.decimals = Some(decimals.min(12));
        self
    }

    /// Colours by the logarithm: for counts many times apart. What is not positive takes the
    /// darkest colour.
    #[must_use]
    pub fn log_color(mut self) -> Self {
        self.log = true;
        self
    }

    /// Fixes the values of the darkest and the brightest colour instead of fitting them to the
    /// data; what lies outside takes the nearest. Not used by [`HeatMap::log_color`].
    #[must_use]
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// The picture as SVG.
    ///
    /// # Errors
    /// [`Error::Picture`] when no cell can be drawn, the labels are not as many as the rows or
    /// columns, or the picture would be larger than 100 000 pixels; [`Error::Config`] for a range
    /// that is none.
    pub fn to_svg(&self) -> Result<String> {
        let layout = self.layout()?;
        Canvas::draw("heat map", &self.title, layout.size, |canvas| {
            draw_title(canvas, &layout.title, EDGE, EDGE)?;
            self.draw_cells(canvas, &layout)?;
            self.draw_labels(canvas, &layout)?;
            self.draw_bar(canvas, &layout)
        })
    }

    /// Writes the picture to a file whose name ends in `.svg`; its folder is made if it is missing.
    ///
    /// # Errors
    /// As [`HeatMap::to_svg`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(path, "svg", self.to_svg()?.as_bytes())
    }

    fn shades(&self) -> &[Vec<f64>] {
        // A logarithm is asked for counts, not for their shares.
        self.shades.as_ref().filter(|_| !self.log).unwrap_or(&self.rows)
    }

    fn columns(&self) -> usize {
        self.rows[0].len()
    }

    fn layout(&self) -> Result<Layout> {
        let (rows, columns) = (self.rows.len(), self.columns());
        for (what, labels, expected) in
            [("row", &self.row_labels, rows), ("column", &self.column_labels, columns)]
        {
            if !labels.is_empty() && labels.len() != expected {
                let found = labels.len();
                let reason = format!("{found} {what} labels for {expected} {what}s");
                return Err(Error::picture("heat map", reason));
            }
        }
        let bar = self.bar()?;
        let cut = |label: &String| shorten(label, TICK, LONGEST_LABEL);
        let row_labels: Vec<String> = self.row_labels.iter().map(cut).collect();
        let column_labels: Vec<String> = self.column_labels.iter().map(cut).collect();
        let widest =
            |labels: &[String]| labels.iter().map(|label| width(label, TICK)).fold(0.0, f64::max);
        let values = self.rows.iter().flatten().map(|&value| width(&self.text(value), TICK));
        // As wide as the values need, within reason; smaller where there are many.
        let many = rows.max(columns) as f64;
        let least = (640.0 / many).clamp(8.0, 46.0);
        let cell_width = if many <= 24.0 {
            (values.fold(0.0, f64::max) + 10.0).clamp(least, 84.0)
        } else {
            least
        };
        // Where there are labels, a line of text fits a row, and a column whose label stands upright.
        let room = |labels: &[String]| match labels.len() {
            1..=MOST_LABELS => LINE,
            _ => 0.0,
        };
        let upright = widest(&column_labels) + 6.0 > cell_width.round();
        let cell_width = if upright { cell_width.max(room(&column_labels)) } else { cell_width };
        let cell = (cell_width.round(), least.max(room(&row_labels)).round());
        let column_room = match column_labels.len() {
            0 => 6.0,
            _ if upright => widest(&column_labels) + 12.0,
            _ => TICK + 14.0,
        };
        let axis_title = LABEL * 1.3 + 6.0;
        let left = EDGE
            + if self.y_label.is_empty() { 0.0 } else { axis_title }
            + if row_labels.is_empty() { 0.0 } else { widest(&row_labels) + 8.0 };
        let left = left.round();
        let cells = (cell.0 * columns as f64, cell.1 * rows as f64);
        let ticks = bar.ticks((cells.1 / 45.0).clamp(2.0, 6.0) as usize);
        let texts = labels(&ticks, bar.log);
        let bar_room = 18.0 + BAR_WIDTH + 8.0 + widest(&texts);
        let bar_title = if self.bar_label.is_empty() { 0.0 } else { axis_title };
        let whole = left + cells.0 + bar_room + bar_title + EDGE;
        // A narrow map is widened for its title, up to a point.
        let title_width = width(&self.title, 18.5).min(420.0) + 2.0 * EDGE;
        let whole = whole.max(title_width);
        let title = title_lines(&self.title, whole - 2.0 * EDGE);
        let top = (EDGE + title_height(&title)).round();
        let below = column_room + if self.x_label.is_empty() { 0.0 } else { axis_title };
        let size = (whole, top + cells.1.max(40.0) + below + EDGE);
        Ok(Layout {
            size,
            left,
            top,
            cell,
            upright,
            column_room,
            title,
            bar,
            bar_ticks: (ticks, texts),
            row_labels,
            column_labels,
        })
    }

    /// The scale of the colours.
    fn bar(&self) -> Result<Axis> {
        let axis = Axis::over(self.shades().iter().flatten().copied(), self.log, 0.0);
        let fitted = axis.ok_or_else(|| {
            let reason =
                if self.log { "no value is positive and finite" } else { "no value is finite" };
            Error::picture("heat map", reason)
        })?;
        match self.range.filter(|_| !self.log) {
            Some((low, high)) if fitted.shows(low) && fitted.shows(high) && low < high => {
                Ok(Axis { low, high, log: false })
            }
            Some((low, high)) => {
                let range = format!("{low}..{high}");
                Err(ConfigError::new("range", range, "two finite values in order").into())
            }
            None => Ok(fitted),
        }
    }

    fn draw_cells(&self, canvas: &Canvas<'_>, layout: &Layout) -> Result<()> {
        let (cell_width, cell_height) = layout.cell;
        // One size for all values; none where one does not fit.
        let most = self.rows.iter().flatten().map(|&value| width(&self.text(value), 1.0));
        let size = ((cell_width - 4.0) / most.fold(0.1, f64::max)).min(cell_height * 0.6).min(13.0);
        for (row, (values, shades)) in self.rows.iter().zip(self.shades()).enumerate() {
            for (column, (&value, &shade)) in values.iter().zip(shades).enumerate() {
                let x = layout.left + column as f64 * cell_width;
                let y = layout.top + row as f64 * cell_height;
                let color =
                    if shade.is_finite() { viridis(layout.bar.share(shade)) } else { NOTHING };
                // A thin line between cells that are read one by one; between others no seam.
                let more = if size >= 8.0 { -1.0 } else { 0.5 };
                let end = |at: usize, of: usize| if at + 1 < of { more } else { 0.0 };
                let to = (
                    x + cell_width + end(column, values.len()),
                    y + cell_height + end(row, self.rows.len()),
                );
                canvas.rectangle((x, y), to, rgb(color).filled())?;
                if size >= 8.0 {
                    let style = Type::new(size, ink_on(color)).at(HPos::Center, VPos::Center);
                    let middle = (x + cell_width / 2.0, y + cell_height / 2.0);
                    canvas.text(&self.text(value), middle, style)?;
                }
            }
        }
        Ok(())
    }

    fn draw_labels(&self, canvas: &Canvas<'_>, layout: &Layout) -> Result<()> {
        let (cell_width, cell_height) = layout.cell;
        let bottom = layout.top + cell_height * self.rows.len() as f64;
        let right = layout.left + cell_width * self.columns() as f64;
        let style = Type::new(TICK, INK);
        // Where a cell is smaller than a line of text, every second label and so on.
        let every = |room: f64| (LINE / room).ceil().max(1.0) as usize;
        for (row, label) in layout.row_labels.iter().enumerate().step_by(every(cell_height)) {
            let y = layout.top + (row as f64 + 0.5) * cell_height;
            canvas.text(label, (layout.left - 7.0, y), style.at(HPos::Right, VPos::Center))?;
        }
        let columns = if layout.upright { every(cell_width) } else { 1 };
        for (column, label) in layout.column_labels.iter().enumerate().step_by(columns) {
            let x = layout.left + (column as f64 + 0.5) * cell_width;
            let style = if layout.upright {
                style.at(HPos::Right, VPos::Center).upward()
            } else {
                style.at(HPos::Center, VPos::Top)
            };
            canvas.text(label, (x, bottom + 7.0), style)?;
        }
        let style = Type::new(LABEL, SOFT_INK).at(HPos::Center, VPos::Center);
        if !self.x_label.is_empty() {
            // Centred below the cells, as far as the picture is wide enough.
            let half = width(&self.x_label, LABEL) / 2.0;
            let middle = f64::midpoint(layout.left, right).max(half + 4.0);
            let y = bottom + layout.column_room + LABEL / 2.0 + 3.0;
            let text = shorten(&self.x_label, LABEL, layout.size.0 - 8.0);
            canvas.text(&text, (middle.min(layout.size.0 - 4.0), y), style)?;
        }
        self.draw_upward(canvas, &self.y_label, EDGE + LABEL / 2.0, layout)
    }

    /// A title along the rows.
    fn draw_upward(&self, canvas: &Canvas<'_>, text: &str, x: f64, layout: &Layout) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let text = shorten(text, LABEL, layout.size.1 - 8.0);
        let half = width(&text, LABEL) / 2.0 + 4.0;
        let middle = layout.top + layout.cell.1 * self.rows.len() as f64 / 2.0;
        let y = middle.clamp(half, (layout.size.1 - half).max(half));
        let style = Type::new(LABEL, SOFT_INK).at(HPos::Center, VPos::Center);
        canvas.text(&text, (x, y), style.upward())
    }

    fn draw_bar(&self, canvas: &Canvas<'_>, layout: &Layout) -> Result<()> {
        const STEPS: usize = 64;
        let left = layout.left + layout.cell.0 * self.columns() as f64 + 18.0;
        let right = left + BAR_WIDTH;
        let height = (layout.cell.1 * self.rows.len() as f64).max(40.0);
        let bottom = layout.top + height;
        for step in 0..STEPS {
            // Each reaches to the top, so that no seam shows between neighbours.
            let y = bottom - height * step as f64 / STEPS as f64;
            let color = viridis((step as f64 + 0.5) / STEPS as f64);
            canvas.rectangle((left, layout.top), (right, y), rgb(color).filled())?;
        }
        let (ticks, texts) = &layout.bar_ticks;
        let style = Type::new(TICK, SOFT_INK).at(HPos::Left, VPos::Center);
        for (&value, text) in ticks.iter().zip(texts) {
            let y = bottom - layout.bar.share(value) * height;
            canvas.line(&[(right, y), (right + 4.0, y)], rgb(SOFT_INK), 1.0)?;
            canvas.text(text, (right + 8.0, y), style)?;
        }
        let widest = texts.iter().map(|text| width(text, TICK)).fold(0.0, f64::max);
        self.draw_upward(canvas, &self.bar_label, right + 8.0 + widest + 6.0 + LABEL / 2.0, layout)
    }

    fn text(&self, value: f64) -> String {
        match self.decimals {
            _ if !value.is_finite() => "–".into(),
            Some(decimals) if value.abs() < 1e15 => format!("{value:.decimals$}"),
            _ => short(value),
        }
    }
}
