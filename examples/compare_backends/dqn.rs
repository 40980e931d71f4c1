//! An update of DQN: the replay's batch up, a step of Adam, and what the network then says.

use burn::tensor::TensorData;
use model_utils::compare::{Output, Part, Step, Workload, host_values};
use rl::deep::{Agent as _, DqnConfig};
use rl::environments::CartPole;
use rl::vector::VectorEnvironment as _;

use super::setup::{Setup, five};

/// Transitions in the replay.
const STORED: u64 = 2048;

pub(super) fn workload(Setup { seed, .. }: Setup) -> Workload {
    let work = Workload::new("dqn_update", move |device, size| {
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
        let rows: Vec<f32> = host_values(seed, 64 * 4).collect();
        Ok(Step::new(move || {
            agent.restore(start.clone())?;
            let loss = agent.update()?[0].1 as f32;
            let said = agent.values(&rows);
            Ok(Output::new(move || {
                let count = said.len();
                let loss = Part::value("the loss", TensorData::new(vec![loss], [1]));
                Ok(vec![loss, Part::value("the values", TensorData::new(said, [count]))])
            }))
        }))
    })
    .title("DQN 4-256-256-2, an update from replay to weights")
    .size_unit("batch size")
    .items_unit("transitions")
    .training();
    five(work, [32, 64, 256, 1024, 2048], |batch| batch)
}
