//! What square boards of two colours share: the eight symmetries, planes, and text.

use std::fmt;

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

/// Writes a plane for the stones of each of two bitboards, `side · side` numbers each.
pub(super) fn encode(side: usize, stones: [u64; 2], planes: &mut [f32]) {
    for (plane, stones) in planes.chunks_exact_mut(side * side).zip(stones) {
        for (point, value) in plane.iter_mut().enumerate() {
            *value = (stones >> point & 1) as f32;
        }
    }
}

/// The board with its coordinates: `X` for the first bitboard, `O` for the second, row 1 on top.
pub(super) fn write(f: &mut fmt::Formatter<'_>, side: usize, stones: [u64; 2]) -> fmt::Result {
    let columns: String = ('a'..).take(side).flat_map(|column| [' ', column]).collect();
    writeln!(f, " {columns}")?;
    for row in 0..side {
        write!(f, "{}", row + 1)?;
        for point in side * row..side * (row + 1) {
            let stone = match stones.map(|stones| stones >> point & 1) {
                [1, _] => 'X',
                [_, 1] => 'O',
                _ => '.',
            };
            write!(f, " {stone}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}
