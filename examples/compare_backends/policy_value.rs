//! AlphaGo Zero's net, small, on positions of Connect Four.

use mcts::deep::PolicyValueConfig;
use mcts::games::ConnectFour;
use model_utils::compare::{Output, Step, Workload};

use super::setup::{Setup, five};

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("policy_value", move |device, size| {
        let here = setup.on(device);
        let config = PolicyValueConfig::for_game(&ConnectFour::new());
        let [planes, height, width] = config.shape;
        let net = here.weights(config.init(device)?)?;
        let shape = [size.value as usize, planes, height, width];
        let positions = here.tensor::<4>(1, shape, device);
        Ok(Step::new(move || Ok(Output::from(net.forward(positions.clone()).logits))))
    })
    .title("Policy and value of 5 residual blocks with 64 channels, Connect Four")
    .size_unit("batch size")
    .items_unit("positions");
    five(work, [1, 8, 64, 256, 512], |batch| batch)
}
