//! The symmetries of rectangular boards, for games that implement [`Symmetry`](crate::Symmetry).

/// How many symmetries a square has.
pub const SQUARE: usize = 8;

/// How many symmetries any rectangle has: the first of a square's.
pub const RECTANGLE: usize = 4;

/// Where a point (`row · width + column`) goes: bit 0 mirrors the columns, bit 1 the rows, bit 2
/// swaps rows and columns afterwards (square boards only). 0 changes nothing.
pub const fn transform(symmetry: usize, width: usize, height: usize, point: usize) -> usize {
    let (mut row, mut column) = (point / width, point % width);
    if symmetry & 1 != 0 {
        column = width - 1 - column;
    }
    if symmetry & 2 != 0 {
        row = height - 1 - row;
    }
    if symmetry & 4 != 0 {
        (row, column) = (column, row);
    }
    row * width + column
}
