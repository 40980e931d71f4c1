//! Causal attention of eight heads.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, TensorData};
use model_utils::compare::{Output, Step, Workload};
use model_utils::ops;

use super::setup::{Fault, Setup, five, rounded};

const HEADS: usize = 8;
const WIDTH: usize = 32;

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("attention", move |device, size| {
        let n = size.value as usize;
        let here = setup.on(device);
        let shape = [1, HEADS, n, WIDTH];
        let [query, key, mut value] = [0, 1, 2].map(|at| here.tensor::<4>(at, shape, device));
        if here.has(Fault::Half) {
            value = rounded(value);
        }
        // True is hidden: what comes later.
        let later = usize::from(here.has(Fault::Mask));
        let hidden = (0..n * n).map(|at| at % n > at / n + later).collect::<Vec<_>>();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(hidden, [n, n]), device);
        let mask: Tensor<4, Bool> = mask.unsqueeze::<4>().expand([1, HEADS, n, n]);
        Ok(Step::new(move || {
            let [q, k, v] = [&query, &key, &value].map(Tensor::clone);
            let (mask, options) = (Some(mask.clone()), AttentionModuleOptions::default());
            let out = ops::scaled_dot_product_attention(q, k, v, mask, None, options);
            Ok(Output::from(out))
        }))
    })
    .title("Causal attention, 8 heads of 32")
    .size_unit("number of tokens")
    .items_unit("tokens");
    five(work, [32, 64, 256, 512, 1024], |tokens| tokens)
}
