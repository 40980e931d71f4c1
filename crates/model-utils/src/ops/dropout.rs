//! Numbers set to 0 at random.

use burn::nn::Dropout;
use burn::tensor::{Device, Distribution, Tensor};

use super::host::{self, Array, Host, Kernel, one};
use super::kernels::kept::Kept;

/// Sets numbers to 0 at random in training, and scales the others up (Srivastava et al. 2014).
pub fn dropout<const D: usize>(dropout: &Dropout, x: Tensor<D>) -> Tensor<D> {
    if !host::holds(&x) {
        return dropout.forward(x);
    }
    match kept(dropout, &x.device()) {
        Some(kept) => one(kept, x).unwrap_or_else(|x| dropout.forward(x)),
        None => x,
    }
}

/// What a dropout keeps now, by a seed from the device's generator; `None` where it drops nothing.
pub(super) fn kept(dropout: &Dropout, device: &Device) -> Option<Kept> {
    let drops = dropout.prob > 0.0 && dropout.training.is_enabled() && device.is_autodiff();
    drops.then(|| {
        let halves = Distribution::Uniform(0.0, 65_536.0);
        let device = device.clone().without_autodiff();
        let halves = Tensor::<1>::random([2], halves, &device).into_data();
        let seed = halves.iter::<f32>().fold(0, |seed, half| seed << 16 | (half as u32 & 0xFFFF));
        Kept::new(dropout.prob, seed)
    })
}

impl Kernel<1> for Kept {
    type Saved<B: Host> = ();

    fn forward<B: Host>(&self, [x]: [Array<B>; 1], saves: bool) -> (Array<B>, Option<()>) {
        (x.changed(|at, x| self.apply(x, at)), saves.then_some(()))
    }

    fn backward<B: Host>(&self, (): (), gradient: Array<B>, _: [bool; 1]) -> [Option<Array<B>>; 1] {
        [Some(gradient.changed(|at, gradient| self.apply(gradient, at)))]
    }
}
