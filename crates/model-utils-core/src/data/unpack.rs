//! Reading files that may be packed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::error::{Error, Result};

/// What is read at once.
const BUFFER_BYTES: usize = 1 << 16;
/// The largest window of Zstandard: as much as `zstd -d` allows unless told.
const MAX_WINDOW_BYTES: u64 = 1 << 27;

/// Opens a file and unpacks it if its first bytes are those of gzip or Zstandard.
pub(crate) fn open_unpacked(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let start = file.fill_buf().map_err(Error::io("read", path))?;
    Ok(match start {
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
        }
        // A frame, or one that is to be skipped, with which several frames may begin.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, Zstandard::new(file)))
        }
        _ => Box::new(file),
    })
}

/// Zstandard frames, one behind the other (RFC 8878).
struct Zstandard<R> {
    packed: R,
    frame: FrameDecoder,
    /// Whether there may be more in the frame.
    is_open: bool,
}

impl<R: BufRead> Zstandard<R> {
    fn new(packed: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW_BYTES);
        Self { packed, frame, is_open: false }
    }

    /// Begins the next frame; false behind the last.
    fn open_next(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.packed).take(u64::from(length));
                    if io::copy(&mut skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstandard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_open {
                self.is_open = !buffer.is_empty() && self.open_next()?;
                if !self.is_open {
                    return Ok(0);
                }
            }
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.frame.decode_blocks(&mut self.packed, one).map_err(io::Error::other)?;
            }
            let read = self.frame.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let [told, found] =
                [self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()];
            if told.is_some() && told != found {
                return Err(io::Error::other("the checksum of a Zstandard frame is another"));
            }
            self.is_open = false;
        }
    }
}
