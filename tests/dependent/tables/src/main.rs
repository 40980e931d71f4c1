//! `rl` and `mcts` without networks: a lake is solved by planning and by learning, a game is
//! searched.

use mcts::games::ConnectFour;
use mcts::rule::Uct;
use mcts::{Limits, Rollout, Search};
use rl::environments::FrozenLake;
use rl::planning::value_iteration;
use rl::prelude::{Budget, Silent};
use rl::tabular::{Method, Tabular, TabularConfig};
use rl::wrappers::TimeLimit;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = FrozenLake::four_by_four();
    let best = value_iteration(&lake.mdp(), 0.99, 1e-9)?;
    assert!((best.values[0] - 0.542026).abs() < 1e-5);

    let mut world = TimeLimit::new(lake.environment(), 100)?;
    let mut agent = Tabular::new(TabularConfig::new(Method::QLearning), &world)?;
    agent.learn(&mut world, Budget::episodes(1000), &mut Silent)?;

    let game = ConnectFour::from_columns("112233")?;
    let found = Search::new(Uct::default(), Rollout::new(42)).run(&game, Limits::simulations(500))?;
    assert_eq!(found.best(), 3);
    println!("worth of the start: {:.6}", best.values[0]);
    Ok(())
}
