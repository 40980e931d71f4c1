use std::time::Instant;

use model_utils::graph::{AnyTensor, GraphModule};
use model_utils::stats::median;

use crate::error::Result;

/// Runs before the clock counts.
const WARM_UP: usize = 3;

/// The time of a run in ms.
pub(super) fn run_ms(module: &GraphModule, inputs: &[AnyTensor]) -> Result<f64> {
    let given = inputs.to_vec();
    let started = Instant::now();
    let outputs = module.run(given, &mut |_, _| {})?;
    if let Some(output) = outputs.first() {
        let device = output.device();
        device.sync().map_err(|error| model_utils::Error::data("device", error.to_string()))?;
    }
    Ok(1e3 * started.elapsed().as_secs_f64())
}

/// The median time of several runs in ms, after some to warm up. `listen` is called before each with
/// its number, and may end it.
pub(super) fn median_ms(
    module: &GraphModule,
    inputs: &[AnyTensor],
    repeats: usize,
    listen: impl Fn(usize) -> Result<()>,
) -> Result<f64> {
    let run = |run| listen(run).and_then(|()| run_ms(module, inputs));
    let times_ms: Vec<f64> = (0..WARM_UP + repeats).map(run).collect::<Result<_>>()?;
    Ok(median(&times_ms[WARM_UP..])?)
}
