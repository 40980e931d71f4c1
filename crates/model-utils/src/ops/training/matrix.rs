//! Matrix products through the `gemm` crate, with their bounds checked.

use gemm::Parallelism;

/// A matrix in row-major numbers, or the transpose of one.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    is_transposed: bool,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns, "a {rows}×{columns} matrix");
        Self { numbers, rows, columns, is_transposed: false }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn transposed(self) -> Self {
        let (rows, columns) = (self.columns, self.rows);
        Self { rows, columns, is_transposed: !self.is_transposed, ..self }
    }

    /// From one column to the next, and from one row to the next.
    fn strides(&self) -> (isize, isize) {
        if self.is_transposed { (self.rows as isize, 1) } else { (1, self.columns as isize) }
    }
}

/// `to = a · b`, or `to += a · b`, in row-major numbers, on this thread alone.
pub(super) fn product(a: Matrix, b: Matrix, to: &mut [f32], add: bool) {
    assert_eq!(a.columns, b.rows, "the inner sizes of a product");
    assert_eq!(to.len(), a.rows * b.columns, "the size of a product");
    let ((a_column, a_row), (b_column, b_row)) = (a.strides(), b.strides());
    // SAFETY: `Matrix::new` and the assertions above hold every element inside its slice, and the
    // borrows keep `to` apart from the others.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            to.as_mut_ptr(),
            1,
            b.columns as isize,
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
            Parallelism::None,
        );
    }
}
