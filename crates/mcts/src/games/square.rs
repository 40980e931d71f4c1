//! The eight symmetries of a square board.

/// How many symmetries a square has.
pub const SYMMETRIES: usize = 8;

/// Where a point (`row · side + column`) of a square board goes: bit 0 mirrors the columns, bit 1
/// the rows, bit 2 swaps rows and columns afterwards. 0 changes nothing.
pub const fn transform(symmetry: usize, side: usize, point: usize) -> usize {
    let (mut row, mut column) = (point / side, point % side);
    if symmetry & 1 != 0 {
        column = side - 1 - column;
    }
    if symmetry & 2 != 0 {
        row = side - 1 - row;
    }
    if symmetry & 4 != 0 {
        (row, column) = (column, row);
    }
    row * side + column
}
