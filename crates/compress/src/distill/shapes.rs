use crate::error::Result;

/// Refuses two tensors of different shapes.
pub(super) fn same_shape<const D: usize>(
    what: &str,
    expected: [usize; D],
    found: [usize; D],
) -> Result<()> {
    if expected == found && expected.iter().all(|length| *length > 0) {
        return Ok(());
    }
    Err(wrong(what, format!("{expected:?}, no axis empty"), &found))
}

/// Refuses tensors of different batches.
pub(super) fn same_batch<const D: usize, const E: usize>(
    what: &str,
    expected: [usize; D],
    found: [usize; E],
) -> Result<()> {
    if expected[0] == found[0] && expected[0] > 0 {
        return Ok(());
    }
    let batch = expected[0].max(1);
    Err(wrong(what, format!("[{batch}, …], as the student's"), &found))
}

/// An error of shapes.
pub(super) fn wrong(what: &str, expected: String, found: &[usize]) -> crate::Error {
    model_utils::Error::Shape { what: what.to_owned(), expected, found: format!("{found:?}") }
        .into()
}
