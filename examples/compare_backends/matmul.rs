//! The product of two square matrices.

use burn::tensor::FloatDType;
use model_utils::Error;
use model_utils::compare::{Output, Step, Workload};
use model_utils::device::DeviceSpec;

use super::setup::{Fault, Setup, five, rounded};

const SIZES: [u32; 5] = [64, 128, 512, 1024, 2048];

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("matmul", move |device, size| {
        let n = size.value as usize;
        let here = setup.on(device);
        let a = here.tensor::<2>(0, [n, n], device);
        let mut b = here.tensor::<2>(1, [n, n], device);
        if here.has(Fault::TransposedWeight) {
            b = b.transpose();
        }
        if here.has(Fault::Half) {
            b = rounded(b);
        }
        Ok(Step::new(move || Ok(Output::from(a.clone().matmul(b.clone())))))
    })
    .title("Product of two n × n matrices")
    .size_unit("number of rows")
    .items_unit("multiply-adds");
    five(work, SIZES, |rows| rows.powi(3))
}

/// The same with numbers of 16 bits, held against the product in 32.
pub(super) fn half(setup: Setup) -> Workload {
    let work = Workload::new("matmul_half", move |device, size| {
        let n = size.value as usize;
        let mut a = setup.tensor::<2>(0, [n, n], device);
        let mut b = setup.tensor::<2>(1, [n, n], device);
        if DeviceSpec::Flex.open()? != *device {
            if !device.supports_dtype(FloatDType::F16) {
                let what = "half precision".to_owned();
                let reason = "the device does not compute in it".to_owned();
                return Err(Error::Unsupported { what, reason }.into());
            }
            (a, b) = (a.cast(FloatDType::F16), b.cast(FloatDType::F16));
        }
        Ok(Step::new(move || Ok(Output::from(a.clone().matmul(b.clone())))))
    })
    .title("Product of two n × n matrices of 16 bits (flex: of 32)")
    .size_unit("number of rows")
    .items_unit("multiply-adds");
    five(work, SIZES, |rows| rows.powi(3)).tolerance(1e-2)
}
