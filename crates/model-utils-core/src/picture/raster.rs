//! An RGB image to compose others on, with text.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13_BOLD, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use embedded_graphics::prelude::{DrawTarget, Drawable as _};
use embedded_graphics::text::{Baseline, Text};

use crate::error::{Error, Result};
use crate::image::Image;

/// The most pixels of a picture: 768 MiB as RGB.
const MOST_PIXELS: usize = 1 << 28;

/// The fonts: narrow tiles, captions, titles. They hold the letters of western Europe (ISO 8859-1);
/// others are drawn as `?`.
pub(super) const SMALL: &MonoFont<'_> = &FONT_6X10;
pub(super) const CAPTION: &MonoFont<'_> = &FONT_7X13_BOLD;
pub(super) const HEADING: &MonoFont<'_> = &FONT_9X15_BOLD;

/// An RGB image being composed.
pub(super) struct Raster {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Raster {
    /// A white image, `what` being its name in the error for one too large.
    pub(super) fn new(what: &'static str, width: usize, height: usize) -> Result<Self> {
        if let Some(1..=MOST_PIXELS) = width.checked_mul(height) {
            return Ok(Self { width, height, pixels: vec![255; width * height * 3] });
        }
        let reason = format!("{width} × {height} pixels are not between 1 and {MOST_PIXELS}");
        Err(Error::picture(what, reason))
    }

    /// Draws an RGB image, each of its pixels `scale` × `scale` large, with its corner at `(x, y)`.
    pub(super) fn paste(&mut self, image: &Image, (x, y): (usize, usize), scale: usize) {
        let columns = (image.width() * scale).min(self.width.saturating_sub(x));
        let mut line = Vec::with_capacity(columns * 3);
        for row in 0..image.height() {
            line.clear();
            for column in 0..columns {
                line.extend_from_slice(&image.pixel(column / scale, row)[..3]);
            }
            for copy in 0..scale {
                let at = y + row * scale + copy;
                if at < self.height {
                    let from = (at * self.width + x) * 3;
                    self.pixels[from..from + line.len()].copy_from_slice(&line);
                }
            }
        }
    }

    /// Writes text with the upper left of its first letter at `(x, y)`.
    pub(super) fn text(
        &mut self,
        text: &str,
        (x, y): (usize, usize),
        font: &MonoFont<'_>,
        [r, g, b]: [u8; 3],
    ) {
        let style = MonoTextStyle::new(font, Rgb888::new(r, g, b));
        let place = Point::new(x as i32, y as i32);
        match Text::with_baseline(text, place, style, Baseline::Top).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    pub(super) fn into_image(self) -> Result<Image> {
        Image::new(self.width, self.height, 3, self.pixels)
    }
}

impl OriginDimensions for Raster {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Raster {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Self::Color>>,
    {
        for Pixel(Point { x, y }, color) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { continue };
            if x < self.width && y < self.height {
                let at = (y * self.width + x) * 3;
                self.pixels[at..at + 3].copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

/// The text on one line of at most `most` pixels: where it is longer, its beginning and `...`.
pub(super) fn fit(text: &str, font: &MonoFont<'_>, most: usize) -> String {
    let letters: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let room = most / font.character_size.width as usize;
    if letters.len() <= room {
        return letters.into_iter().collect();
    }
    let dots = room.min(3);
    let mut kept: String = letters[..room - dots].iter().collect();
    kept.truncate(kept.trim_end().len());
    kept + &".".repeat(dots)
}

/// How wide a text is, in pixels.
pub(super) fn text_width(text: &str, font: &MonoFont<'_>) -> usize {
    text.chars().count() * font.character_size.width as usize
}
