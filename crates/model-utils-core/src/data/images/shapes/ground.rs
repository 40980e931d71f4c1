//! The grounds on which shapes are drawn.

use std::f32::consts::TAU;

use rand::{Rng, RngExt as _};

use crate::data::seeded::uniform;

/// Cells of the noise along a side; a power of 2.
const CELLS: usize = 8;

/// A picture of one of six kinds, as a function from a pixel to a value from 0 to 1.
pub(super) enum Ground {
    /// Clouds.
    Noise { values: Box<[f32; CELLS * CELLS]>, step: f32, shift: [f32; 2] },
    /// Parallel stripes.
    Stripes { wave: Wave },
    /// A chessboard.
    Checks { across: Wave, along: Wave },
    /// A slope from one side to the other.
    Slope { direction: [f32; 2], size: f32 },
    /// Light around a point.
    Glow { center: [f32; 2], reach: f32 },
    /// Dots on a turned grid.
    Dots { turn: [f32; 2], period: f32, radius: f32 },
}

/// A wave with edges one pixel wide.
pub(super) struct Wave {
    /// Radians a pixel.
    rate: [f32; 2],
    phase: f32,
    period: f32,
}

impl Wave {
    /// From -0.5 to 0.5.
    fn at(&self, x: f32, y: f32) -> f32 {
        let sine = (self.rate[0] * x + self.rate[1] * y + self.phase).sin();
        (sine * self.period / TAU).clamp(-0.5, 0.5)
    }
}

impl Ground {
    /// A ground for a picture of `size` pixels a side.
    pub(super) fn draw(size: usize, rng: &mut impl Rng) -> Self {
        let size = size as f32;
        let angle = uniform(rng, 0.0, TAU);
        let turn = [angle.cos(), angle.sin()];
        let period = uniform(rng, (size / 8.0).max(4.0), size / 2.5);
        let mut wave = |direction: [f32; 2]| Wave {
            rate: direction.map(|d| d * TAU / period),
            phase: uniform(rng, 0.0, TAU),
            period,
        };
        let (across, along) = (wave(turn), wave([-turn[1], turn[0]]));
        match rng.random_range(0..6) {
            0 => Self::Noise {
                values: Box::new(std::array::from_fn(|_| rng.random())),
                step: uniform(rng, 2.5, 5.0) / size,
                shift: [uniform(rng, 0.0, 8.0), uniform(rng, 0.0, 8.0)],
            },
            1 => Self::Stripes { wave: across },
            2 => Self::Checks { across, along },
            3 => Self::Slope { direction: turn, size },
            4 => {
                let center = [uniform(rng, 0.0, size), uniform(rng, 0.0, size)];
                Self::Glow { center, reach: uniform(rng, 0.6, 1.0) * size }
            }
            _ => Self::Dots { turn, period, radius: uniform(rng, 0.25, 0.38) * period },
        }
    }

    /// The value at a pixel, 0 to 1.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        match self {
            Self::Noise { values, step, shift } => {
                let (x, y) = (x * step + shift[0], y * step + shift[1]);
                let clouds = 0.65 * smooth(values, x, y) + 0.35 * smooth(values, 2.0 * x, 2.0 * y);
                (1.6 * clouds - 0.3).clamp(0.0, 1.0)
            }
            Self::Stripes { wave } => 0.5 + wave.at(x, y),
            Self::Checks { across, along } => 0.5 + 2.0 * across.at(x, y) * along.at(x, y),
            Self::Slope { direction, size } => {
                let [x, y] = [x / size - 0.5, y / size - 0.5];
                (0.5 + (direction[0] * x + direction[1] * y) * 0.9).clamp(0.0, 1.0)
            }
            Self::Glow { center, reach } => {
                (1.0 - (x - center[0]).hypot(y - center[1]) / reach).max(0.0)
            }
            Self::Dots { turn, period, radius } => {
                let (u, v) = (turn[0] * x + turn[1] * y, turn[0] * y - turn[1] * x);
                let fold = |t: f32| (t / period - (t / period).floor() - 0.5) * period;
                (radius - fold(u).hypot(fold(v)) + 0.5).clamp(0.0, 1.0)
            }
        }
    }
}

/// Value noise: the values of a grid that repeats, with smooth steps between them.
fn smooth(values: &[f32; CELLS * CELLS], x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (part_x, part_y) = (ease(x - column), ease(y - row));
    // Never negative: shifts and pixels are not.
    let (column, row) = (column as usize % CELLS, row as usize % CELLS);
    let (next_column, next_row) = ((column + 1) % CELLS, (row + 1) % CELLS);
    let value = |column: usize, row: usize| values[row * CELLS + column];
    let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
    mix(
        mix(value(column, row), value(next_column, row), part_x),
        mix(value(column, next_row), value(next_column, next_row), part_x),
        part_y,
    )
}
