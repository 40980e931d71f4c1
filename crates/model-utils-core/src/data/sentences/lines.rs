//! The lines of a text file.

use std::io::{BufRead, Read as _};
use std::path::Path;

use super::report::DropReason;
use crate::data::unpack::open_unpacked;
use crate::error::{Error, Result};

/// The longest line that is taken, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// The most text that is read of one file, unpacked, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 33;

/// A line without its end, or why there is none.
pub(super) type Line = Result<String, DropReason>;

/// The lines of a text file, counted.
pub(super) struct Lines<'a> {
    reader: Box<dyn BufRead + Send>,
    path: &'a Path,
    /// Lines so far.
    line: u64,
    bytes: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        Ok(Self { reader: open_unpacked(path)?, path, line: 0, bytes: 0 })
    }

    /// The number of the last line that was read, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.line
    }

    /// An error behind the last line.
    fn fail(&self, reason: impl std::fmt::Display) -> Error {
        Error::format(self.path, "text", format!("line {}: {reason}", self.line + 1))
    }

    /// The next line; none behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut read = (&mut self.reader).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut bytes);
        let is_long = bytes.len() as u64 > MAX_LINE_BYTES;
        if is_long && !bytes.ends_with(b"\n") {
            let rest = (&mut self.reader).take(MAX_FILE_BYTES).skip_until(b'\n');
            read = read.and_then(|read| Ok(read + rest?));
        }
        match read {
            Ok(0) => return Ok(None),
            Ok(read) => self.bytes += read as u64,
            Err(error) => return Err(self.fail(error)),
        }
        if self.bytes > MAX_FILE_BYTES {
            return Err(self.fail(format!("there are more than {MAX_FILE_BYTES} bytes")));
        }
        self.line += 1;
        if is_long {
            return Ok(Some(Err(DropReason::LongLine)));
        }
        // Text of two bytes a letter is full of zeros.
        let Some(mut text) = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
        else {
            return Ok(Some(Err(DropReason::NotUtf8)));
        };
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        if self.line == 1 && text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Ok(Some(Ok(text)))
    }

    /// Reads to the end and tells how many lines there are.
    pub(super) fn count(&mut self) -> Result<u64> {
        while self.next()?.is_some() {}
        Ok(self.line)
    }
}
