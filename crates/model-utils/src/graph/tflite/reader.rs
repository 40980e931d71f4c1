//! Bounds-checked access to a [flatbuffer](https://flatbuffers.dev/internals/).
//!
//! Every position is checked against the file before it is read, and every count against the
//! bytes that follow it. In a flatbuffer many offsets may lead to the same place, so a small file
//! can describe a large structure: what is copied out of a file is therefore also counted, and
//! refused above [`MEMORY_PER_BYTE`] times the file's length. Time is bounded with it.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

/// What is read from a file may take this many bytes of memory for each byte of the file.
pub const MEMORY_PER_BYTE: usize = 8;

/// What is read from a file of any length may take this many bytes of memory.
const MIN_MEMORY_BYTES: usize = 1 << 16;

/// The result of reading.
pub type Result<T, E = ReadError> = std::result::Result<T, E>;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadError {
    /// The position in the file, in bytes from its start.
    pub at_byte: usize,
    /// What was found and what was expected.
    pub reason: String,
}

impl ReadError {
    /// An error at a position in bytes.
    pub fn new(at_byte: usize, reason: impl Into<String>) -> Self {
        Self { at_byte, reason: reason.into() }
    }

    /// The same error with the part of the file that it lies in said first: `part: reason`.
    #[must_use]
    pub fn within(self, part: impl fmt::Display) -> Self {
        Self { at_byte: self.at_byte, reason: format!("{part}: {}", self.reason) }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.reason, self.at_byte)
    }
}

impl std::error::Error for ReadError {}

/// A number that a flatbuffer stores, little-endian.
pub trait Scalar: Copy {
    /// Its length in bytes.
    const BYTES: usize;

    /// The number at the start of `bytes`; none if they are too few.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! scalar {
    ($($number:ty),*) => {$(
        impl Scalar for $number {
            const BYTES: usize = size_of::<$number>();

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|chunk| <$number>::from_le_bytes(*chunk))
            }
        }
    )*};
}

scalar!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

/// A field of a table: its slot in the vtable (its number in the schema, where a union counts
/// twice) and its name for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field(pub u16, pub &'static str);

/// A file that is a flatbuffer.
#[derive(Debug)]
pub struct FlatBuffer<'a> {
    bytes: &'a [u8],
    /// How much memory may still be taken, in bytes.
    memory_bytes: Cell<usize>,
}

impl<'a> FlatBuffer<'a> {
    /// Takes the content of a file whose identifier, bytes 4 to 8, is `identifier`.
    ///
    /// # Errors
    ///
    /// If the file is too short or has another identifier.
    pub fn new(bytes: &'a [u8], identifier: [u8; 4]) -> Result<Self> {
        let Some(found) = bytes.get(4..8) else {
            let reason = format!("{} bytes long, expected a header of 8 bytes", bytes.len());
            return Err(ReadError::new(0, reason));
        };
        if found != identifier {
            let (found, expected) = (found.escape_ascii(), identifier.escape_ascii());
            let reason = format!("file identifier `{found}`, expected `{expected}`");
            return Err(ReadError::new(4, reason));
        }
        let memory = bytes.len().saturating_mul(MEMORY_PER_BYTE).max(MIN_MEMORY_BYTES);
        Ok(Self { bytes, memory_bytes: Cell::new(memory) })
    }

    /// The table that the file starts with.
    ///
    /// # Errors
    ///
    /// If the table lies outside the file.
    pub fn root(&self) -> Result<Table<'_>> {
        Table::new(self, self.follow(0, "root table")?, "root table")
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number at a position.
    fn scalar<T: Scalar>(&self, at: usize, what: &str) -> Result<T> {
        self.bytes.get(at..).and_then(T::read).ok_or_else(|| {
            let (n, length) = (T::BYTES, self.bytes.len());
            ReadError::new(at, format!("{what}: {n} bytes expected, the file ends at {length}"))
        })
    }

    /// The position that the offset at a position leads to.
    fn follow(&self, at: usize, what: &str) -> Result<usize> {
        let offset: u32 = self.scalar(at, what)?;
        usize::try_from(offset)
            .ok()
            .filter(|&offset| offset > 0)
            .and_then(|offset| at.checked_add(offset))
            .filter(|&target| target < self.bytes.len())
            .ok_or_else(|| {
                let length = self.bytes.len();
                ReadError::new(at, format!("{what}: offset {offset}, the file ends at {length}"))
            })
    }

    /// The number of items of a vector at a position and the bytes of its items, each
    /// `item_bytes` long.
    fn vector(&self, at: usize, item_bytes: usize, what: &str) -> Result<(usize, Range<usize>)> {
        let count: u32 = self.scalar(at, what)?;
        let start = at.saturating_add(u32::BYTES);
        usize::try_from(count)
            .ok()
            .and_then(|n| Some((n, start..start.checked_add(n.checked_mul(item_bytes)?)?)))
            .filter(|(_, range)| range.end <= self.bytes.len())
            .ok_or_else(|| {
                let left = self.bytes.len().saturating_sub(start);
                let reason = format!("{what}: {count} items of {item_bytes} bytes, {left} left");
                ReadError::new(at, reason)
            })
    }

    /// Numbers of a vector at a position.
    fn scalars<T: Scalar>(&self, at: usize, what: &str) -> Result<Vec<T>> {
        let (count, range) = self.vector(at, T::BYTES, what)?;
        let mut items = self.allocate(at, count, what)?;
        let bytes = self.bytes.get(range).unwrap_or_default();
        items.extend(bytes.chunks_exact(T::BYTES).filter_map(T::read));
        Ok(items)
    }

    /// The string at a position.
    fn string(&self, at: usize, what: &str) -> Result<String> {
        let bytes = self.scalars::<u8>(at, what)?;
        String::from_utf8(bytes).map_err(|_| ReadError::new(at, format!("{what}: not UTF-8")))
    }

    /// What the offsets of a vector at a position lead to, each read by `read` from the item's
    /// index and position.
    fn offsets<T>(
        &self,
        at: usize,
        what: &str,
        mut read: impl FnMut(usize, usize) -> Result<T>,
    ) -> Result<Vec<T>> {
        let (count, range) = self.vector(at, u32::BYTES, what)?;
        let mut items = self.allocate(at, count, what)?;
        for (index, at) in range.step_by(u32::BYTES).enumerate() {
            items.push(read(index, self.follow(at, what)?)?);
        }
        Ok(items)
    }

    /// An empty vector for `count` items, whose memory is counted.
    fn allocate<T>(&self, at: usize, count: usize, what: &str) -> Result<Vec<T>> {
        let left = count
            .checked_mul(size_of::<T>().max(1))
            .and_then(|bytes| self.memory_bytes.get().checked_sub(bytes));
        let Some(left) = left else {
            let reason = format!(
                "{what}: {count} items bring the file to more than {MEMORY_PER_BYTE} times its \
                 length in memory"
            );
            return Err(ReadError::new(at, reason));
        };
        self.memory_bytes.set(left);
        Ok(Vec::with_capacity(count))
    }
}

/// A table: fields by slot, any of which may be absent.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    file: &'a FlatBuffer<'a>,
    /// Its position in bytes.
    at: usize,
    /// Its own length in bytes, without what its offsets lead to.
    inline_bytes: usize,
    /// A 16-bit offset from `at` for each slot; 0 for an absent field.
    slots: &'a [u8],
}

impl<'a> Table<'a> {
    /// The table at a position.
    fn new(file: &'a FlatBuffer<'a>, at: usize, what: &str) -> Result<Self> {
        let back: i32 = file.scalar(at, what)?;
        let vtable = i64::try_from(at)
            .ok()
            .and_then(|at| usize::try_from(at.checked_sub(i64::from(back))?).ok())
            .ok_or_else(|| {
                ReadError::new(
                    at,
                    format!("{what}: vtable {back} bytes before it, not in the file"),
                )
            })?;
        let vtable_bytes = usize::from(file.scalar::<u16>(vtable, what)?);
        let inline_bytes = usize::from(file.scalar::<u16>(vtable.saturating_add(2), what)?);
        let header = 2 * u16::BYTES;
        let slots = vtable
            .checked_add(vtable_bytes)
            .filter(|_| vtable_bytes % u16::BYTES == 0)
            .and_then(|end| file.bytes.get(vtable.checked_add(header)?..end))
            .ok_or_else(|| {
                ReadError::new(vtable, format!("{what}: vtable of {vtable_bytes} bytes"))
            })?;
        let inside = at.checked_add(inline_bytes).is_some_and(|end| end <= file.bytes.len());
        if inline_bytes < i32::BYTES || !inside {
            return Err(ReadError::new(at, format!("{what}: table of {inline_bytes} bytes")));
        }
        Ok(Self { file, at, inline_bytes, slots })
    }

    /// Its position in the file in bytes, for error messages.
    pub fn at_byte(&self) -> usize {
        self.at
    }

    /// An error at this table.
    pub fn error(&self, reason: impl Into<String>) -> ReadError {
        ReadError::new(self.at, reason)
    }

    /// The position of a field of `bytes` bytes; none if it is absent.
    fn position(&self, field: Field, bytes: usize) -> Result<Option<usize>> {
        let Field(slot, name) = field;
        let entry = self.slots.get(usize::from(slot) * u16::BYTES..);
        let offset = entry.and_then(u16::read).map_or(0, usize::from);
        if offset == 0 {
            return Ok(None);
        }
        if offset < i32::BYTES || offset.saturating_add(bytes) > self.inline_bytes {
            let table = self.inline_bytes;
            let reason = format!("{name}: {bytes} bytes at {offset} in a table of {table} bytes");
            return Err(self.error(reason));
        }
        Ok(self.at.checked_add(offset))
    }

    /// The position that the offset in a field leads to; none if the field is absent.
    fn target(&self, field: Field) -> Result<Option<usize>> {
        let at = self.position(field, u32::BYTES)?;
        at.map(|at| self.file.follow(at, field.1)).transpose()
    }

    /// Whether a field is present.
    ///
    /// # Errors
    ///
    /// If it lies outside the table.
    pub fn has(&self, field: Field) -> Result<bool> {
        Ok(self.position(field, 1)?.is_some())
    }

    /// A number; `default` if it is absent.
    ///
    /// # Errors
    ///
    /// If it lies outside the table.
    pub fn scalar<T: Scalar>(&self, field: Field, default: T) -> Result<T> {
        let at = self.position(field, T::BYTES)?;
        at.map_or(Ok(default), |at| self.file.scalar(at, field.1))
    }

    /// A truth value, false if it is absent.
    ///
    /// # Errors
    ///
    /// If it lies outside the table.
    pub fn flag(&self, field: Field) -> Result<bool> {
        Ok(self.scalar(field, 0u8)? != 0)
    }

    /// A string; none if it is absent.
    ///
    /// # Errors
    ///
    /// If it lies outside the file or is not UTF-8.
    pub fn string(&self, field: Field) -> Result<Option<String>> {
        self.target(field)?.map(|at| self.file.string(at, field.1)).transpose()
    }

    /// A vector of numbers, empty if it is absent.
    ///
    /// # Errors
    ///
    /// If it lies outside the file.
    pub fn scalars<T: Scalar>(&self, field: Field) -> Result<Vec<T>> {
        self.target(field)?.map_or(Ok(Vec::new()), |at| self.file.scalars(at, field.1))
    }

    /// Where the items of a vector of bytes lie in the file; they are not copied. Empty if the
    /// field is absent.
    ///
    /// # Errors
    ///
    /// If they lie outside the file.
    pub fn byte_range(&self, field: Field) -> Result<Range<usize>> {
        match self.target(field)? {
            Some(at) => Ok(self.file.vector(at, 1, field.1)?.1),
            None => Ok(0..0),
        }
    }

    /// A vector of strings, empty if it is absent.
    ///
    /// # Errors
    ///
    /// If one lies outside the file or is not UTF-8.
    pub fn strings(&self, field: Field) -> Result<Vec<String>> {
        let Some(at) = self.target(field)? else { return Ok(Vec::new()) };
        self.file.offsets(at, field.1, |_, at| self.file.string(at, field.1))
    }

    /// A table; none if it is absent.
    ///
    /// # Errors
    ///
    /// If it lies outside the file.
    pub fn table(&self, field: Field) -> Result<Option<Table<'a>>> {
        self.target(field)?.map(|at| Self::new(self.file, at, field.1)).transpose()
    }

    /// What `read` makes of each table of a vector and its index; empty if it is absent.
    ///
    /// # Errors
    ///
    /// If a table lies outside the file, and the errors of `read`.
    pub fn tables<T>(
        &self,
        field: Field,
        mut read: impl FnMut(usize, Table<'a>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Some(at) = self.target(field)? else { return Ok(Vec::new()) };
        self.file.offsets(at, field.1, |index, at| {
            let table = Self::new(self.file, at, field.1)?;
            read(index, table)
        })
    }

    /// A union: the number of the variant and its table; none if it is absent. `field` is the
    /// slot of the number, the table's is the next.
    ///
    /// # Errors
    ///
    /// If either lies outside the file, or there is a number but no table.
    pub fn union(&self, field: Field) -> Result<Option<(u8, Table<'a>)>> {
        let Field(slot, name) = field;
        let variant = self.scalar(field, 0u8)?;
        if variant == 0 {
            return Ok(None);
        }
        match self.table(Field(slot.saturating_add(1), name))? {
            Some(table) => Ok(Some((variant, table))),
            None => Err(self.error(format!("{name}: of variant {variant}, but without content"))),
        }
    }

    /// A vector of indices below `count`.
    pub(super) fn indices(&self, field: Field, count: usize) -> Result<Vec<usize>> {
        self.scalars::<i32>(field)?.into_iter().map(|i| self.index(field, i, count)).collect()
    }

    /// An index of a field, checked to lie below `count`.
    pub(super) fn index(
        &self,
        Field(_, name): Field,
        index: impl TryInto<usize> + fmt::Display + Copy,
        count: usize,
    ) -> Result<usize> {
        let inside = index.try_into().ok().filter(|&index| index < count);
        inside.ok_or_else(|| self.error(format!("{name}: index {index}, expected below {count}")))
    }
}
