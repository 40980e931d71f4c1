//! An iteration of PPO: a rollout of 8 environments, then ten passes over it.

use burn::tensor::TensorData;
use model_utils::compare::{Output, Part, Step, Workload, host_values};
use model_utils::train::{Budget, Silent};
use rl::deep::{Agent as _, PpoConfig};
use rl::environments::CartPole;
use rl::vector::VectorEnvironment as _;

use super::setup::{Setup, five};

const ENVIRONMENTS: usize = 8;

pub(super) fn workload(Setup { seed, .. }: Setup) -> Workload {
    let work = Workload::new("ppo_update", move |device, size| {
        let batch = size.value as usize;
        let poles = CartPole::make_vec(ENVIRONMENTS, seed)?;
        let config = PpoConfig::new()
            .with_steps(batch / ENVIRONMENTS)
            .with_batch_size(batch)
            .with_epochs(10)
            .with_seed(seed);
        let spaces = poles.spaces().clone();
        let device = device.clone();
        let rows: Vec<f32> = host_values(seed, 64 * 4).collect();
        Ok(Step::new(move || {
            let mut agent = config.init(&spaces, &device)?;
            let mut poles = CartPole::make_vec(ENVIRONMENTS, seed)?;
            agent.learn(&mut poles, Budget::steps(batch as u64), &mut Silent)?;
            let said = agent.networks().values(&rows);
            Ok(Output::new(move || {
                let count = said.len();
                Ok(vec![Part::value("the values", TensorData::new(said, [count]))])
            }))
        }))
    })
    .title("PPO 4-64-64-2, a rollout and ten passes over it")
    .size_unit("batch size")
    .items_unit("transitions")
    .training();
    five(work, [32, 64, 256, 1024, 4096], |batch| batch)
}
