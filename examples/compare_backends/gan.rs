//! A training step of a small DCGAN, both players at once.

use burn::module::Module;
use burn::tensor::Tensor;
use gan::dcgan::{DcganDiscriminator, DcganGenerator};
use gan::{DcganConfig, Discriminator as _, Generator as _, Loss, Networks as _};
use model_utils::compare::Workload;

use super::setup::{Setup, five};

const SIDE: usize = 32;

/// Both players as one model.
#[derive(Module, Debug)]
struct Players {
    generator: DcganGenerator,
    discriminator: DcganDiscriminator,
}

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("gan", move |device, size| {
        let here = setup.on(device);
        let device = device.clone().autodiff();
        let config = DcganConfig::for_size(SIDE).with_width(16);
        let (generator, discriminator) = config.init(1, &device)?;
        let players = here.weights(Players { generator, discriminator })?;
        let batch = size.value as usize;
        let real = here.tensor::<4>(1, [batch, 3, SIDE, SIDE], &device);
        let z: Tensor<2> = here.tensor(2, [batch, 100], &device);
        here.training_step(players, move |players| {
            let fake = players.generator.forward(z.clone(), None);
            let judged = players.discriminator.forward(fake.clone().detach(), None);
            let real = players.discriminator.forward(real.clone(), None);
            let passed = players.discriminator.forward(fake, None);
            let loss = Loss::LeastSquares;
            loss.discriminator(real, judged) + loss.generator(None, passed)
        })
    })
    .title("DCGAN (width 16), forward and backward of both players on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .training();
    five(work, [4, 8, 16, 32, 64], |batch| batch)
}
