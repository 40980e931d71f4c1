//! Images side by side.

use std::io::Cursor;
use std::path::Path;

use embedded_graphics::mono_font::MonoFont;
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

use super::file;
use super::palette::{GREEN, INK, RED};
use super::raster::{CAPTION, HEADING, Raster, SMALL, fit, text_width};
use crate::config::ConfigError;
use crate::error::{Error, Result};
use crate::image::Image;

/// The least side of a tile by default, and the most it is enlarged to for that, in pixels.
const LEAST_SIDE: usize = 64;
const MOST_SIDE: usize = 512;

/// Free room around the picture and between tiles.
const EDGE: usize = 10;
const GAP: usize = 6;

/// Images in rows and columns, each with a caption or none, written as PNG.
///
/// Grey and RGB images may be mixed, and so may sizes: each image is centred in a tile of the
/// largest. Small images are enlarged by a whole factor without smoothing.
///
/// ```
/// use model_utils_core::image::Image;
/// use model_utils_core::picture::Grid;
///
/// let (seven, one) = (Image::filled(28, 28, &[200]), Image::filled(28, 28, &[90]));
/// let folder = tempfile::tempdir()?;
/// Grid::new()
///     .title("Digits")
///     .verdict(&seven, "7", true)
///     .verdict(&one, "1 as 7", false)
///     .save(folder.path().join("digits.png"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Grid {
    title: String,
    tiles: Vec<Tile>,
    columns: Option<usize>,
    scale: Option<usize>,
}

#[derive(Debug, Clone)]
struct Tile {
    image: Image,
    caption: Option<(String, [u8; 3])>,
}

/// Images side by side, without captions; more can be set before it is saved.
///
/// # Errors
/// [`Error::Picture`] when there is no image.
pub fn grid(images: &[Image]) -> Result<Grid> {
    if images.is_empty() {
        return Err(Error::picture("grid", "there is no image"));
    }
    Ok(images.iter().fold(Grid::new(), Grid::image))
}

/// Sizes in pixels.
struct Layout {
    scale: usize,
    columns: usize,
    /// The images' part of a tile.
    tile: (usize, usize),
    caption: usize,
    font: &'static MonoFont<'static>,
    top: usize,
}

impl Grid {
    /// No images yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A title above the images.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds an image without a caption.
    #[must_use]
    pub fn image(mut self, image: &Image) -> Self {
        self.tiles.push(Tile { image: image.to_rgb(), caption: None });
        self
    }

    /// Adds an image with a caption in a colour; a caption wider than its tile is cut.
    #[must_use]
    pub fn captioned(mut self, image: &Image, caption: impl Into<String>, color: [u8; 3]) -> Self {
        let caption = Some((caption.into(), color));
        self.tiles.push(Tile { image: image.to_rgb(), caption });
        self
    }

    /// Adds an image with a caption that is green where a model was right and red where it was not.
    #[must_use]
    pub fn verdict(self, image: &Image, caption: impl Into<String>, right: bool) -> Self {
        self.captioned(image, caption, if right { GREEN } else { RED })
    }

    /// How many images a row has, at least 1; by default about as many as there are rows.
    #[must_use]
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns);
        self
    }

    /// How many pixels wide and high each pixel of an image is drawn, at least 1; by default as few
    /// as make the shorter side of the tiles 64 pixels.
    #[must_use]
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = Some(scale);
        self
    }

    /// The picture as an RGB image.
    ///
    /// # Errors
    /// [`Error::Picture`] when there is no image, or one has no pixels, or the picture would have
    /// more than 2²⁸; [`Error::Config`] for 0 columns or a scale of 0.
    pub fn to_image(&self) -> Result<Image> {
        let layout = self.layout()?;
        let rows = self.tiles.len().div_ceil(layout.columns);
        let (step_x, step_y) = layout.steps();
        let width = (step_x.saturating_mul(layout.columns)).saturating_add(2 * EDGE - GAP);
        let height = step_y.saturating_mul(rows).saturating_add(layout.top + EDGE - GAP);
        let mut raster = Raster::new("grid", width, height)?;
        if !self.title.is_empty() {
            let title = fit(&self.title, HEADING, width - 2 * EDGE);
            raster.text(&title, (EDGE, EDGE), HEADING, INK);
        }
        for (index, tile) in self.tiles.iter().enumerate() {
            let x = EDGE + index % layout.columns * step_x;
            let y = layout.top + index / layout.columns * step_y;
            let (tile_width, tile_height) = layout.tile;
            let left = (tile_width - tile.image.width() * layout.scale) / 2;
            let above = (tile_height - tile.image.height() * layout.scale) / 2;
            raster.paste(&tile.image, (x + left, y + above), layout.scale);
            if let Some((caption, color)) = &tile.caption {
                let text = fit(caption, layout.font, tile_width);
                let left = (tile_width - text_width(&text, layout.font)) / 2;
                raster.text(&text, (x + left, y + tile_height + 3), layout.font, *color);
            }
        }
        raster.into_image()
    }

    /// Writes the picture to a file whose name ends in `.png`; its folder is made if it is missing.
    ///
    /// # Errors
    /// As [`Grid::to_image`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let picture = self.to_image()?;
        let mut png = Cursor::new(Vec::new());
        let (width, height) = (picture.width() as u32, picture.height() as u32);
        PngEncoder::new(&mut png)
            .write_image(picture.pixels(), width, height, ExtendedColorType::Rgb8)
            .map_err(|error| Error::picture("grid", error))?;
        file::save(path, "png", png.get_ref())
    }

    fn layout(&self) -> Result<Layout> {
        let at_least_1 = |field, value| match value {
            Some(0) => Err(ConfigError::new(field, 0, "at least 1")),
            other => Ok(other),
        };
        let columns = at_least_1("columns", self.columns)?;
        let scale = at_least_1("scale", self.scale)?;
        let width = self.tiles.iter().map(|tile| tile.image.width()).max().unwrap_or(0);
        let height = self.tiles.iter().map(|tile| tile.image.height()).max().unwrap_or(0);
        let empty = |tile: &Tile| tile.image.width() == 0 || tile.image.height() == 0;
        if width == 0 || self.tiles.iter().any(empty) {
            let reason = match self.tiles.iter().position(empty) {
                Some(at) => format!("image {at} has no pixels"),
                None => "there is no image".into(),
            };
            return Err(Error::picture("grid", reason));
        }
        let scale = scale.unwrap_or_else(|| {
            let wanted = LEAST_SIDE.div_ceil(width.min(height));
            wanted.min((MOST_SIDE / width.max(height)).max(1))
        });
        let tile = (width.saturating_mul(scale), height.saturating_mul(scale));
        let font = if tile.0 >= 84 { CAPTION } else { SMALL };
        let captions = self.tiles.iter().any(|tile| tile.caption.is_some());
        let caption = if captions { font.character_size.height as usize + 6 } else { 0 };
        let title = HEADING.character_size.height as usize + 8;
        // About square, in pixels.
        let square = (self.tiles.len() as f64 * tile.1 as f64 / tile.0 as f64).sqrt().round();
        Ok(Layout {
            scale,
            columns: columns.unwrap_or(square as usize).clamp(1, self.tiles.len()),
            tile,
            caption,
            font,
            top: EDGE + if self.title.is_empty() { 0 } else { title },
        })
    }
}

impl Layout {
    /// From one tile to the next.
    fn steps(&self) -> (usize, usize) {
        (self.tile.0.saturating_add(GAP), self.tile.1.saturating_add(self.caption + GAP))
    }
}
