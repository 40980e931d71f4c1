//! The product of two square matrices.

use model_utils::compare::{Output, Size, Step, Workload};

use super::shared::tensor;

pub(super) fn workload(seed: u64) -> Workload {
    let size = |label, rows: u32| Size::new(label, f64::from(rows), f64::from(rows).powi(3));
    Workload::new("matmul", move |device, size| {
        let n = size.value as usize;
        let a = tensor(seed, [n, n], device);
        let b = tensor::<2>(seed + 1, [n, n], device);
        Ok(Step::new(move || Ok(Output::from(a.clone().matmul(b.clone())))))
    })
    .title("Product of two n × n matrices")
    .size_unit("rows")
    .items_unit("multiply-adds")
    // Room for graphics cards that round the factors to TensorFloat-32 (10 bits).
    .tolerance(2e-3)
    .size(size("small", 128))
    .size(size("medium", 512))
    .size(size("large", 2048))
}
