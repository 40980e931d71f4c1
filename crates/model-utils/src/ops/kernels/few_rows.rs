//! Products with few rows, as decoding step by step makes them: weights are read as they lie, once,
//! and blocks of the result are summed up in registers.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matrix::Weight;
use super::parallel::{LANES, fetch};

/// With more rows than this, packing all weights first costs little.
const MOST_ROWS: usize = 192;
/// With fewer rows than this, vectors across the rows of a table's product would be empty.
const LEAST_ROWS_OF_TABLE: usize = 4;
/// Vectors a block.
const VECTORS: usize = 3;
/// Rows a block, where there are registers for them.
const ROWS: usize = 8;
/// How many inputs ahead weights are fetched.
const AHEAD: usize = 16;
/// Multiplications that are worth waking a thread for.
const WORTH_SHARING: usize = 1 << 19;

/// Whether [`forward`] is the way to go.
pub(in crate::ops) fn applies(rows: usize, weight: Weight) -> bool {
    let least = if weight.is_table { LEAST_ROWS_OF_TABLE } else { 1 };
    (least..=MOST_ROWS).contains(&rows) && weight.inputs > 0 && weight.outputs >= LANES
}

/// `x · weight + bias` of each row, on at most so many threads. Each sum is taken in the order of
/// the inputs, whatever the number of rows and threads.
pub(in crate::ops) fn forward(
    x: &[f32],
    weight: Weight,
    bias: Option<&[f32]>,
    threads: usize,
) -> Vec<f32> {
    let rows = x.len() / weight.inputs;
    let len = rows * weight.outputs;
    let mut output = Vec::with_capacity(len);
    let worth = x.len() * weight.outputs / WORTH_SHARING;
    let parts = worth.clamp(1, threads);
    let arch = Arch::new();
    let run = |part| arch.dispatch(part);
    let room = &mut output.spare_capacity_mut()[..len];
    let part = |(columns, output)| Part { x, weight, bias, columns, output };
    let divided = divided(room, weight.outputs, parts);
    if parts == 1 {
        divided.into_iter().map(part).for_each(run);
    } else {
        divided.into_par_iter().map(part).for_each(run);
    }
    // SAFETY: the parts hold all of the `len` numbers, and running one writes all of its own.
    unsafe { output.set_len(len) };
    output
}

type Uninit<'a> = Vec<&'a mut [MaybeUninit<f32>]>;

/// The columns in about equal parts, each not narrower than a vector, and the rows of each.
fn divided(
    output: &mut [MaybeUninit<f32>],
    columns: usize,
    parts: usize,
) -> Vec<(Range<usize>, Uninit<'_>)> {
    let parts = parts.min(columns / LANES);
    let start = |part: usize| columns / LANES * part / parts * LANES;
    let end = |part: usize| if part + 1 == parts { columns } else { start(part + 1) };
    let mut divided: Vec<(Range<usize>, Uninit)> =
        (0..parts).map(|part| (start(part)..end(part), Vec::new())).collect();
    for mut row in output.chunks_mut(columns) {
        for (range, rows) in &mut divided {
            rows.push(row.split_off_mut(..range.len()).expect("the columns of a row"));
        }
    }
    divided
}

/// Some columns of the output.
struct Part<'a> {
    x: &'a [f32],
    weight: Weight<'a>,
    bias: Option<&'a [f32]>,
    columns: Range<usize>,
    output: Uninit<'a>,
}

impl WithSimd for Part<'_> {
    type Output = ();

    /// Of a plain weight, rows of the input meet vectors of its columns; of a table, rows of the
    /// table meet vectors across the rows of the input.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let Weight { numbers, inputs, outputs, is_table } = self.weight;
        let across;
        let (b, stride, count) = if is_table {
            let padded = self.output.len().next_multiple_of(lanes);
            across = transposed(self.x, inputs, padded);
            (across.as_slice(), padded, padded)
        } else {
            (&numbers[self.columns.start..], outputs, self.columns.len())
        };
        let mut copy = Vec::new();
        let mut at = 0;
        while at < count {
            // The last block goes back over what is already there.
            let vectors = (count - at).div_ceil(lanes).min(count / lanes).min(VECTORS);
            at = at.min(count - vectors * lanes);
            let from = Vectors { b: &b[at..], stride, at };
            match vectors {
                1 => self.blocks::<S, 1>(simd, &from, &mut copy),
                2 => self.blocks::<S, 2>(simd, &from, &mut copy),
                _ => self.blocks::<S, VECTORS>(simd, &from, &mut copy),
            }
            at += vectors * lanes;
        }
    }
}

/// `[rows, inputs]` → `[inputs, padded]`, with zeros behind the rows.
fn transposed(x: &[f32], inputs: usize, padded: usize) -> Vec<f32> {
    let mut across = vec![0.0; inputs * padded];
    for (row, x) in x.chunks_exact(inputs).enumerate() {
        for (to, &x) in across.chunks_exact_mut(padded).zip(x) {
            to[row] = x;
        }
    }
    across
}

/// Some vectors of each input, `stride` numbers apart.
#[derive(Clone, Copy)]
struct Vectors<'a> {
    b: &'a [f32],
    stride: usize,
    /// The first of them.
    at: usize,
}

impl Part<'_> {
    /// Computes `V` vectors of all rows. The first rows leave a copy of vectors that lie scattered,
    /// from which the others read.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, from: &Vectors, copy: &mut Vec<f32>) {
        let rows = if self.weight.is_table { self.columns.len() } else { self.output.len() };
        let width = V * S::F32_LANES;
        let mut row = 0;
        let mut again = *from;
        if rows > ROWS && from.stride > width {
            copy.resize(self.weight.inputs * width, 0.0);
            row = self.block::<S, V, true>(simd, from, 0..rows, copy);
            again = Vectors { b: copy, stride: width, at: from.at };
        }
        while row < rows {
            row += self.block::<S, V, false>(simd, &again, row..rows, &mut []);
        }
    }

    /// The same of the first of these rows; returns how many.
    #[inline(always)]
    fn block<S: Simd, const V: usize, const COPY: bool>(
        &mut self,
        simd: S,
        from: &Vectors,
        rows: Range<usize>,
        copy: &mut [f32],
    ) -> usize {
        if rows.len() >= ROWS && S::REGISTER_COUNT >= 32 {
            self.tile::<S, V, ROWS, COPY>(simd, from, rows.start, copy)
        } else if rows.len() >= 4 {
            self.tile::<S, V, 4, COPY>(simd, from, rows.start, copy)
        } else if rows.len() >= 2 {
            self.tile::<S, V, 2, COPY>(simd, from, rows.start, copy)
        } else {
            self.tile::<S, V, 1, COPY>(simd, from, rows.start, copy)
        }
    }

    /// The same of `R` rows, from this one on. Plain indices let the compiler keep the sums in
    /// registers.
    #[allow(clippy::needless_range_loop, clippy::manual_memcpy)]
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize, const COPY: bool>(
        &mut self,
        simd: S,
        from: &Vectors,
        row: usize,
        copy: &mut [f32],
    ) -> usize {
        let Weight { numbers, inputs, is_table, .. } = self.weight;
        let width = V * S::F32_LANES;
        let a = if is_table { &numbers[self.columns.start * inputs..] } else { self.x };
        let mut rows: [&[f32]; R] = [&[]; R];
        for (r, of_row) in rows.iter_mut().enumerate() {
            *of_row = &a[(row + r) * inputs..][..inputs];
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if let Some(bias) = self.bias {
            let bias = &bias[self.columns.clone()];
            if is_table {
                let bias = &bias[row..][..R];
                for r in 0..R {
                    for v in 0..V {
                        sums[r][v] = simd.splat_f32s(bias[r]);
                    }
                }
            } else {
                let (bias, _) = S::as_simd_f32s(&bias[from.at..][..width]);
                for r in 0..R {
                    for v in 0..V {
                        sums[r][v] = bias[v];
                    }
                }
            }
        }
        for (input, b) in from.b.chunks(from.stride).take(inputs).enumerate() {
            let (b, _) = S::as_simd_f32s(&b[..width]);
            if COPY {
                // Those of the inputs lie too far apart for the processor to see what comes next.
                fetch(from.b, (input + AHEAD) * from.stride, width);
                let (to, _) = S::as_mut_simd_f32s(&mut copy[input * width..][..width]);
                for v in 0..V {
                    to[v] = b[v];
                }
            }
            for r in 0..R {
                let x = simd.splat_f32s(rows[r][input]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
                }
            }
        }
        let mut found = [[0.0; VECTORS * LANES]; R];
        for r in 0..R {
            let (to, _) = S::as_mut_simd_f32s(&mut found[r]);
            for v in 0..V {
                to[v] = sums[r][v];
            }
        }
        if is_table {
            for (column, output) in self.output.iter_mut().skip(from.at).take(width).enumerate() {
                let output = &mut output[row..][..R];
                for r in 0..R {
                    output[r].write(found[r][column]);
                }
            }
        } else {
            for (found, output) in found.iter().zip(&mut self.output[row..]) {
                output[from.at..][..width].write_copy_of_slice(&found[..width]);
            }
        }
        R
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between −1 and 1.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7_919 + seed * 104_729) % 2_003) as f32 / 1_001.0 - 1.0;
        (0..count).map(number).collect()
    }

    fn check([rows, inputs, outputs]: [usize; 3], is_table: bool, with_bias: bool) {
        let x = numbers(rows * inputs, 1);
        let numbers_of_weight = numbers(inputs * outputs, 2);
        let weight = Weight { numbers: &numbers_of_weight, inputs, outputs, is_table };
        assert!(applies(rows, weight));
        let bias = with_bias.then(|| numbers(outputs, 3));
        let found = forward(&x, weight, bias.as_deref(), 2);
        assert_eq!(found.len(), rows * outputs);
        for row in 0..rows {
            for output in 0..outputs {
                let mut sum = bias.as_ref().map_or(0.0, |bias| f64::from(bias[output]));
                let mut size = sum.abs();
                for input in 0..inputs {
                    let at =
                        if is_table { output * inputs + input } else { input * outputs + output };
                    let term =
                        f64::from(x[row * inputs + input]) * f64::from(numbers_of_weight[at]);
                    sum += term;
                    size += term.abs();
                }
                let found = f64::from(found[row * outputs + output]);
                let what = format!("{rows}×{inputs}×{outputs} at {row}, {output}");
                assert!((found - sum).abs() <= 1e-6 * size, "{what}: {found} for {sum}");
            }
        }
    }

    #[test]
    fn products_of_any_size() {
        for rows in [1, 2, 3, 4, 7, 8, 9, 16, 17, 31, 32, 33, 47, 48, 49, 100] {
            for [inputs, outputs] in [[1, 16], [3, 17], [64, 64], [33, 100], [70, 259]] {
                check([rows, inputs, outputs], false, true);
                check([rows, inputs, outputs], false, false);
                if rows >= LEAST_ROWS_OF_TABLE {
                    check([rows, inputs, outputs], true, true);
                    check([rows, inputs, outputs], true, false);
                }
            }
        }
    }

    #[test]
    fn products_that_threads_share() {
        check([32, 256, 1_024], false, true);
        check([32, 128, 2_003], true, true);
    }

    /// A sentence is translated alike alone and among others.
    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let (inputs, outputs) = (96, 800);
        for is_table in [false, true] {
            let numbers_of_weight = numbers(inputs * outputs, 2);
            let weight = Weight { numbers: &numbers_of_weight, inputs, outputs, is_table };
            let x = numbers(64 * inputs, 1);
            let all = forward(&x, weight, None, 2);
            let few = forward(&x[..4 * inputs], weight, None, 2);
            assert_eq!(all[..4 * outputs], few[..]);
        }
    }
}
