//! What square boards of two colours share: planes and text.

use std::fmt;

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
