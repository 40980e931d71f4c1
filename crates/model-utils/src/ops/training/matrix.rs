//! Matrix products through the `gemm` crate, with their bounds checked.

use gemm::Parallelism;

/// A matrix in row-major numbers, or the transpose of one.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    /// From one row of the numbers to the next.
    stride: usize,
    is_transposed: bool,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns, "a {rows}×{columns} matrix");
        Self { numbers, rows, columns, stride: columns, is_transposed: false }
    }

    /// Part of a wider matrix: rows are `stride` numbers apart.
    pub(super) fn part(numbers: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            columns <= stride && holds(numbers, rows, columns, stride),
            "a {rows}×{columns} part"
        );
        Self { numbers, rows, columns, stride, is_transposed: false }
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
        let stride = self.stride as isize;
        if self.is_transposed { (stride, 1) } else { (1, stride) }
    }
}

/// Whether a matrix whose rows are `stride` apart lies inside the numbers.
fn holds(numbers: &[f32], rows: usize, columns: usize, stride: usize) -> bool {
    rows == 0 || (rows - 1) * stride + columns <= numbers.len()
}

/// `to = a · b`, or `to += a · b`, in row-major numbers, on this thread alone.
pub(super) fn product(a: Matrix, b: Matrix, to: &mut [f32], add: bool) {
    assert_eq!(to.len(), a.rows * b.columns, "the size of a product");
    multiply(a, b, to, b.columns, add, Parallelism::None);
}

/// [`product`] on all threads.
pub(super) fn shared_product(a: Matrix, b: Matrix, to: &mut [f32], add: bool) {
    assert_eq!(to.len(), a.rows * b.columns, "the size of a product");
    multiply(a, b, to, b.columns, add, Parallelism::Rayon(0));
}

/// [`product`] into part of a wider matrix, whose rows are `stride` numbers apart.
pub(super) fn product_into_part(a: Matrix, b: Matrix, to: &mut [f32], stride: usize, add: bool) {
    let fits = b.columns <= stride && holds(to, a.rows, b.columns, stride);
    assert!(fits, "the size of a product");
    multiply(a, b, to, stride, add, Parallelism::None);
}

fn multiply(a: Matrix, b: Matrix, to: &mut [f32], stride: usize, add: bool, threads: Parallelism) {
    assert_eq!(a.columns, b.rows, "the inner sizes of a product");
    assert!(holds(to, a.rows, b.columns, stride), "the size of a product");
    let ((a_column, a_row), (b_column, b_row)) = (a.strides(), b.strides());
    // SAFETY: `Matrix`'s constructors and the assertions above hold every element inside its slice,
    // and the borrows keep `to` apart from the others.
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
