//! AlphaGo Zero's net, small, on positions of Connect Four.

use mcts::deep::PolicyValueConfig;
use mcts::games::ConnectFour;
use model_utils::compare::{Output, Size, Step, Workload};

use super::shared::{tensor, with_weights};

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("policy_value", move |device, size| {
        let config = PolicyValueConfig::for_game(&ConnectFour::new());
        let [planes, height, width] = config.shape;
        let net = with_weights(config.init(device)?, seed)?;
        let positions = tensor::<4>(seed + 1, [size.value as usize, planes, height, width], device);
        Ok(Step::new(move || Ok(Output::from(net.forward(positions.clone()).logits))))
    })
    .title("Policy and value of 5 residual blocks with 64 channels, Connect Four")
    .size_unit("batch size")
    .items_unit("positions")
    .tolerance(1e-2)
    .size(Size::new("small", 1.0, 1.0))
    .size(Size::new("medium", 64.0, 64.0))
    .size(Size::new("large", 512.0, 512.0))
}
