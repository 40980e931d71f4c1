//! Images one after the other.

use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};

use super::file;
use crate::config;
use crate::error::{Error, Result};
use crate::image::Image;

/// An animated GIF.
///
/// Each frame has a palette of its own: exact up to 256 colours, fitted to the frame (`NeuQuant`)
/// beyond. The same frames give the same bytes.
///
/// ```
/// use model_utils_core::image::Image;
/// use model_utils_core::picture::Animation;
///
/// let mut episode = Animation::new(100);
/// for shade in [0, 80, 160] {
///     episode.push(&Image::filled(64, 48, &[shade]))?;
/// }
/// let folder = tempfile::tempdir()?;
/// episode.save(folder.path().join("episode.gif"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Animation {
    frames: Vec<(Image, u32)>,
    delay_ms: u32,
    times: u16,
    scale: usize,
}

impl Animation {
    /// No frames yet. Each is shown for `delay_ms` milliseconds, in which GIF keeps tens; viewers
    /// slow down what is below 20. It repeats for ever.
    pub fn new(delay_ms: u32) -> Self {
        Self { frames: Vec::new(), delay_ms, times: 0, scale: 1 }
    }

    /// Plays it this many times instead of for ever, which is 0.
    #[must_use]
    pub fn times(mut self, times: u16) -> Self {
        self.times = times;
        self
    }

    /// Draws each pixel this many pixels wide and high; 1 by default.
    #[must_use]
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = scale;
        self
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`Error::Shape`] when it has not the size of the frames before.
    pub fn push(&mut self, image: &Image) -> Result<()> {
        self.push_for(image, self.delay_ms)
    }

    /// Adds a frame with a delay of its own in milliseconds: for example the last, held longer.
    ///
    /// # Errors
    /// [`Error::Shape`] when it has not the size of the frames before.
    pub fn push_for(&mut self, image: &Image, delay_ms: u32) -> Result<()> {
        if let Some((first, _)) = self.frames.first() {
            let (expected, found) =
                ((first.height(), first.width()), (image.height(), image.width()));
            if expected != found {
                return Err(Error::Shape {
                    what: format!("frame {}", self.frames.len()),
                    expected: format!("[{}, {}, channels]", expected.0, expected.1),
                    found: format!("[{}, {}, channels]", found.0, found.1),
                });
            }
        }
        self.frames.push((image.to_rgb(), delay_ms));
        Ok(())
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The animation as a GIF file.
    ///
    /// # Errors
    /// [`Error::Picture`] when there is no frame, or its sides, enlarged, are not between 1 and
    /// 65 535 pixels, as GIF wants; [`Error::Config`] for a scale of 0.
    pub fn to_gif(&self) -> Result<Vec<u8>> {
        config::at_least("scale", self.scale, 1)?;
        let Some((first, _)) = self.frames.first() else {
            return Err(Error::picture("animation", "there is no frame"));
        };
        let (width, height) =
            (first.width().saturating_mul(self.scale), first.height().saturating_mul(self.scale));
        let side = 1..=usize::from(u16::MAX);
        if !side.contains(&width) || !side.contains(&height) {
            let reason = format!("{width} × {height} pixels are not between 1 and {}", u16::MAX);
            return Err(Error::picture("animation", reason));
        }
        let fail = |error| Error::picture("animation", error);
        let mut gif = Vec::new();
        // Speed 10 is the usual compromise of NeuQuant.
        let mut encoder = GifEncoder::new_with_speed(&mut gif, 10);
        let repeat = if self.times == 0 { Repeat::Infinite } else { Repeat::Finite(self.times) };
        encoder.set_repeat(repeat).map_err(fail)?;
        for (image, delay_ms) in &self.frames {
            let frame = RgbaImage::from_fn(width as u32, height as u32, |x, y| {
                let pixel = image.pixel(x as usize / self.scale, y as usize / self.scale);
                image::Rgba([pixel[0], pixel[1], pixel[2], 255])
            });
            // GIF counts hundredths of a second in 16 bits.
            let delay = Delay::from_numer_denom_ms((*delay_ms).min(655_350), 1);
            encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay)).map_err(fail)?;
        }
        drop(encoder);
        Ok(gif)
    }

    /// Writes the animation to a file whose name ends in `.gif`; its folder is made if it is
    /// missing.
    ///
    /// # Errors
    /// As [`Animation::to_gif`]; [`Error::Picture`] for another extension; [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(path, "gif", &self.to_gif()?)
    }
}
