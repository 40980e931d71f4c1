//! Matrix products through the `gemm` crate, with their bounds checked.

use std::ops::Range;

use gemm::Parallelism;

/// A matrix of numbers in rows, part of a wider one, or the transpose of either.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Matrix<'a> {
    numbers: &'a [f32],
    pub(in crate::ops) rows: usize,
    pub(in crate::ops) columns: usize,
    /// From one row to the next, and from one column to the next.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    pub(in crate::ops) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns, "a {rows}×{columns} matrix");
        Self { numbers, rows, columns, strides: [columns, 1] }
    }

    /// Part of a wider matrix: rows are `stride` numbers apart.
    pub(in crate::ops) fn part(
        numbers: &'a [f32],
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Self {
        let fits = columns <= stride && reach([rows, columns], [stride, 1]) <= numbers.len();
        assert!(fits, "a {rows}×{columns} part");
        Self { numbers, rows, columns, strides: [stride, 1] }
    }

    /// Some of the columns.
    pub(in crate::ops) fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start < range.end && range.end <= self.columns, "columns {range:?}");
        let numbers = &self.numbers[range.start * self.strides[1]..];
        Self { numbers, columns: range.len(), ..self }
    }

    pub(in crate::ops) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }

    fn is_inside(&self) -> bool {
        reach([self.rows, self.columns], self.strides) <= self.numbers.len()
    }
}

/// The weight of a layer: `[inputs, outputs]`, or as a table `[outputs, inputs]`.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Weight<'a> {
    pub(in crate::ops) numbers: &'a [f32],
    pub(in crate::ops) inputs: usize,
    pub(in crate::ops) outputs: usize,
    pub(in crate::ops) is_table: bool,
}

impl<'a> Weight<'a> {
    /// As `[inputs, outputs]`.
    pub(in crate::ops) fn matrix(&self) -> Matrix<'a> {
        if self.is_table {
            Matrix::new(self.numbers, self.outputs, self.inputs).transposed()
        } else {
            Matrix::new(self.numbers, self.inputs, self.outputs)
        }
    }
}

/// Numbers up to the last that is reached.
fn reach([rows, columns]: [usize; 2], strides: [usize; 2]) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1) * strides[0] + (columns - 1) * strides[1] + 1
}

/// `to = a · b`, or `to += a · b`, in row-major numbers, on this thread alone.
pub(in crate::ops) fn product(a: Matrix, b: Matrix, to: &mut [f32], add: bool) {
    assert_eq!(to.len(), a.rows * b.columns, "the size of a product");
    multiply(a, b, to, b.columns, add, Parallelism::None);
}

/// [`product`] on all threads.
pub(in crate::ops) fn shared_product(a: Matrix, b: Matrix, to: &mut [f32], add: bool) {
    assert_eq!(to.len(), a.rows * b.columns, "the size of a product");
    multiply(a, b, to, b.columns, add, Parallelism::Rayon(0));
}

/// [`product`] into part of a wider matrix, whose rows are `stride` numbers apart.
pub(in crate::ops) fn product_into_part(
    a: Matrix,
    b: Matrix,
    to: &mut [f32],
    stride: usize,
    add: bool,
) {
    multiply(a, b, to, stride, add, Parallelism::None);
}

fn multiply(a: Matrix, b: Matrix, to: &mut [f32], stride: usize, add: bool, threads: Parallelism) {
    assert_eq!(a.columns, b.rows, "the inner sizes of a product");
    let fits = b.columns <= stride && reach([a.rows, b.columns], [stride, 1]) <= to.len();
    assert!(fits, "the size of a product");
    assert!(a.is_inside() && b.is_inside(), "inside the numbers");
    let [[a_row, a_column], [b_row, b_column]] = [a, b].map(|m| m.strides.map(|s| s as isize));
    // SAFETY: the assertions hold every element inside its slice, and the borrows keep `to` apart
    // from the others.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            to.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.numbers.as_ptr(),
            a_column,
            a_row,
            b.numbers.as_ptr(),
            b_column,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}
