use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use model_utils::config;

use super::crew::{panic_reason, within_pool};
use crate::error::{Error, Result};

/// A model in two parts on two devices (model parallelism), through which a batch goes in micro-batches
/// (`GPipe`, Huang et al. 2018, <https://arxiv.org/abs/1811.06965>): while the second part works on one,
/// the first works on the next. The gradients of all are added up before a step, so that the result is
/// that of the whole model on the whole batch, to rounding; batch normalisation excepted, which takes
/// the statistics of a micro-batch, and dropout.
///
/// Of the time, `1 / (micro-batches + 1)` passes with one of the two idle; and the first part computes
/// nothing twice: its activations of all micro-batches are kept until their gradients come back.
#[derive(Debug, Clone)]
pub struct Pipeline {
    devices: [Device; 2],
    threads: usize,
}

/// What a pass through a pipeline gives.
#[derive(Debug)]
#[non_exhaustive]
pub struct Passed {
    /// The mean loss.
    pub loss: f64,
    /// Gradients of the first part.
    pub first: GradientsParams,
    /// Gradients of the second part.
    pub second: GradientsParams,
}

impl Pipeline {
    /// The devices of the first and the second part, which may be the same; on a processor each part
    /// takes half of the cores.
    pub fn new(devices: [Device; 2]) -> Self {
        let all = thread::available_parallelism().map_or(1, usize::from);
        let devices = devices.map(|device| device.inner().autodiff());
        Self { devices, threads: (all / 2).max(1) }
    }

    /// Sets the processor threads of each part.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        config::at_least("threads", threads, 1)?;
        Ok(Self { threads, ..self })
    }

    /// The loss of a batch in micro-batches and its gradients.
    ///
    /// `first` makes of a micro-batch what goes over, `[batch, …]`; `second` makes of that and the
    /// micro-batch the loss, averaged over its items. Both get their device, with autodiff. The parts
    /// must be on their devices, in training.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no micro-batch; [`Error::Worker`] where a part gives an error, panics, or
    /// gives a loss that is not finite: worker 0 is the first part, 1 the second.
    pub fn pass<const D: usize, A, Z, B, E>(
        &self,
        (first, second): (&A, &Z),
        micro_batches: Vec<(B, usize)>,
        forward: impl Fn(&A, &B, &Device) -> Result<Tensor<D>, E> + Send,
        loss: impl Fn(&Z, Tensor<D>, &B, &Device) -> Result<Tensor<1>, E> + Send,
    ) -> Result<Passed>
    where
        A: Module,
        Z: Module,
        B: Send + Sync,
        E: Display,
    {
        config::at_least("micro_batches", micro_batches.len(), 1)?;
        let items: usize = micro_batches.iter().map(|(_, items)| items).sum();
        config::at_least("items", items, 1)?;
        let count = micro_batches.len();
        let (over, from_first) = sync_channel(count);
        let (back, from_second) = sync_channel(count);
        let micro_batches = &micro_batches;
        let (first, second) = (first.clone(), second.clone());
        let (ahead, behind) = thread::scope(|scope| {
            let ([device, other], threads) = (&self.devices, self.threads);
            let ahead = scope.spawn(move || {
                run(0, threads, move || {
                    ahead(&first, micro_batches, forward, device, over, &from_second)
                })
            });
            let behind = scope.spawn(move || {
                run(1, threads, move || {
                    behind(&second, micro_batches, items, loss, other, &from_first, &back)
                })
            });
            (ahead.join(), behind.join())
        });
        // The one that failed says why; the other that its neighbour is gone.
        let (ahead, behind) =
            (ahead.unwrap_or_else(|_| gone(0)), behind.unwrap_or_else(|_| gone(1)));
        match (ahead, behind) {
            (Ok(Some(first)), Ok(Some((second, loss)))) => Ok(Passed { loss, first, second }),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(None), _) => Err(Error::Worker { worker: 1, reason: "it ended early".to_owned() }),
            (_, Ok(None)) => Err(Error::Worker { worker: 0, reason: "it ended early".to_owned() }),
        }
    }
}

/// A part's work on threads of its own; a panic is an error of its worker.
fn run<R: Send>(
    worker: usize,
    threads: usize,
    work: impl FnOnce() -> Result<R, String> + Send,
) -> Result<R> {
    let failed = |reason: String| Error::Worker { worker, reason };
    match within_pool(threads, || catch_unwind(AssertUnwindSafe(work)))? {
        Ok(result) => result.map_err(failed),
        Err(panic) => Err(failed(panic_reason(panic.as_ref()).unwrap_or_default())),
    }
}

/// The first part: all forward, then all backward. `None` where the second is gone.
fn ahead<const D: usize, A: Module, B, E: Display>(
    first: &A,
    micro_batches: &[(B, usize)],
    forward: impl Fn(&A, &B, &Device) -> Result<Tensor<D>, E>,
    device: &Device,
    over: SyncSender<Tensor<D>>,
    from_second: &Receiver<Tensor<D>>,
) -> Result<Option<GradientsParams>, String> {
    let mut waiting = Vec::with_capacity(micro_batches.len());
    for (batch, _) in micro_batches {
        let activation = forward(first, batch, device).map_err(|error| error.to_string())?;
        if over.send(activation.clone().without_autodiff()).is_err() {
            return Ok(None);
        }
        waiting.push(activation);
    }
    drop(over);
    let mut gathered = GradientsAccumulator::new();
    for activation in waiting {
        let Ok(gradient) = from_second.recv() else { return Ok(None) };
        if !activation.is_tracked() {
            return Err("what it gives does not depend on it".to_owned());
        }
        // The sum of the products has just this gradient.
        let gradient = gradient.to_device(&device.clone().inner());
        let product = (activation * gradient).sum();
        let grads = GradientsParams::from_grads(product.backward(), first);
        gathered.accumulate(first, grads);
    }
    Ok(Some(gathered.grads()))
}

/// The second part: forward and backward of each micro-batch as it comes. `None` where the first is
/// gone.
fn behind<const D: usize, Z: Module, B, E: Display>(
    second: &Z,
    micro_batches: &[(B, usize)],
    items: usize,
    loss: impl Fn(&Z, Tensor<D>, &B, &Device) -> Result<Tensor<1>, E>,
    device: &Device,
    from_first: &Receiver<Tensor<D>>,
    back: &SyncSender<Tensor<D>>,
) -> Result<Option<(GradientsParams, f64)>, String> {
    let mut gathered = GradientsAccumulator::new();
    let mut mean = 0.0;
    for (batch, of_batch) in micro_batches {
        let Ok(activation) = from_first.recv() else { return Ok(None) };
        let activation = activation.to_device(&device.clone().inner()).autodiff().require_grad();
        let loss = loss(second, activation.clone(), batch, device);
        let loss = loss.map_err(|error| error.to_string())? * (*of_batch as f64 / items as f64);
        let value = loss.clone().without_autodiff().into_data().iter::<f64>().next();
        match value {
            Some(value) if value.is_finite() => mean += value,
            other => return Err(format!("its loss is {other:?}, expected a finite one")),
        }
        let mut grads = loss.backward();
        let Some(gradient) = activation.grad_remove(&mut grads) else {
            return Err("its loss does not depend on what the first part gives".to_owned());
        };
        if back.send(gradient).is_err() {
            return Ok(None);
        }
        gathered.accumulate(second, GradientsParams::from_grads(grads, second));
    }
    Ok(Some((gathered.grads(), mean)))
}

/// Of a thread that gave nothing back.
fn gone<T>(worker: usize) -> Result<T> {
    Err(Error::Worker { worker, reason: "it is gone".to_owned() })
}
