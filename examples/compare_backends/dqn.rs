//! An update of DQN: the replay's batch up, a step of Adam, and what the network then says.

use burn::tensor::TensorData;
use model_utils::compare::{Output, Size, Step, Workload};
use rl::deep::{Agent as _, DqnConfig};
use rl::environments::CartPole;
use rl::vector::VectorEnvironment as _;

use super::shared::uniform;

/// Transitions in the replay.
const STORED: u64 = 2048;

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("dqn_update", move |device, size| {
        let mut poles = CartPole::make_vec(8, seed)?;
        let config = DqnConfig::new()
            .with_hidden(vec![256, 256])
            .with_batch_size(size.value as usize)
            .with_learning_starts(STORED)
            .with_seed(seed);
        let mut agent = config.init(poles.spaces(), device)?;
        let budget = model_utils::train::Budget::steps(STORED);
        agent.learn(&mut poles, budget, &mut model_utils::train::Silent)?;
        // Each run is the first update after the same start.
        let start = agent.snapshot()?;
        let rows: Vec<f32> = uniform(seed, 64 * 4).collect();
        Ok(Step::new(move || {
            agent.restore(start.clone())?;
            let loss = agent.update()? as f32;
            let said = agent.values(&rows);
            Ok(Output::new(move || {
                let count = said.len();
                Ok(vec![TensorData::new(vec![loss], [1]), TensorData::new(said, [count])])
            }))
        }))
    })
    .title("DQN 4-256-256-2, an update from replay to weights")
    .size_unit("batch size")
    .items_unit("transitions")
    .tolerance(1e-2)
    .size(Size::new("small", 64.0, 64.0))
    .size(Size::new("medium", 1024.0, 1024.0))
}
