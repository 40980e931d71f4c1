use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::control::same_constants;
use super::dynamics::Dynamics;
use crate::environment::{Element as _, action, from_state, refused, to_state};
use crate::error::{Error, Result};
use crate::space::Spaces;
use crate::vector::{Actions, Episode, Transitions, VectorEnvironment, episode_seed};

/// Many built-in environments as columns: each number of the state lies in memory side by side
/// for all environments, and the equations run down the columns.
///
/// ```
/// use rl::environments::CartPole;
/// use rl::vector::{Actions, VectorEnvironment as _};
///
/// let mut poles = CartPole::make_vec(8, 42)?;
/// let step = poles.step(Actions::Indices(&[1; 8]))?;
/// assert_eq!(step.rewards, [1.0; 8]);
/// # Ok::<(), rl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ControlVectorEnvironment<D: Dynamics> {
    dynamics: D,
    spaces: Spaces,
    limit: u64,
    state: State,
    actions: Vec<D::Action>,
    observations: Vec<f32>,
    rewards: Vec<f64>,
    transitions: Transitions,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    seed: u64,
    steps: u64,
    columns: Vec<Vec<f64>>,
    elapsed: Vec<u64>,
    episodes: Vec<u64>,
    returns: Vec<f64>,
}

impl<D: Dynamics> ControlVectorEnvironment<D> {
    /// So many environments, started from a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none.
    pub fn new(dynamics: D, count: usize, seed: u64) -> Result<Self> {
        config::require((1..=1 << 20).contains(&count), "count", count, "1 to 1048576")?;
        let spaces = dynamics.spaces();
        let features = spaces.observation.features();
        let mut environments = Self {
            spaces,
            limit: D::LIMIT,
            state: State {
                seed,
                steps: 0,
                columns: vec![vec![0.0; count]; D::State::default().as_ref().len()],
                elapsed: vec![0; count],
                episodes: vec![0; count],
                returns: vec![0.0; count],
            },
            actions: Vec::with_capacity(count),
            observations: vec![0.0; count * features],
            rewards: vec![0.0; count],
            transitions: Transitions::new(count, features),
            dynamics,
        };
        environments.reset(seed)?;
        Ok(environments)
    }

    /// The state of one environment.
    pub fn state_of(&self, environment: usize) -> D::State {
        let mut state = D::State::default();
        for (x, column) in state.as_mut().iter_mut().zip(&self.state.columns) {
            *x = column[environment];
        }
        state
    }

    fn start(&mut self, environment: usize) {
        let all = &mut self.state;
        let seed = episode_seed(all.seed, environment, all.episodes[environment]);
        let start = self.dynamics.start(&mut Random::new(seed));
        for (x, column) in start.as_ref().iter().zip(&mut all.columns) {
            column[environment] = *x;
        }
        all.elapsed[environment] = 0;
        all.returns[environment] = 0.0;
    }

    fn take_actions(&mut self, actions: Actions<'_>) -> Result<()> {
        let space = &self.spaces.action;
        let count = self.state.elapsed.len();
        self.actions.clear();
        match actions {
            Actions::Indices(indices) if indices.len() == count => {
                if let Some(index) = indices.iter().find(|index| !space.holds_index(**index)) {
                    return Err(refused(index, space));
                }
                for index in indices {
                    // Its form was looked at.
                    let read = D::Action::read(space, &[*index as f64]);
                    self.actions.push(read.ok_or_else(|| refused(index, space))?);
                }
            }
            Actions::Numbers(numbers) if numbers.len() == count * space.numbers() => {
                for row in numbers.chunks(space.numbers()) {
                    let action = action(row, space)?;
                    self.dynamics.check(&action)?;
                    self.actions.push(action);
                }
            }
            other => {
                let expected = format!("{count} actions, each {space}");
                return Err(Error::Action { action: format!("{other:?}"), expected });
            }
        }
        Ok(())
    }
}

impl<D: Dynamics> VectorEnvironment for ControlVectorEnvironment<D> {
    fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    fn count(&self) -> usize {
        self.state.elapsed.len()
    }

    fn observations(&self) -> &[f32] {
        &self.observations
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.state.seed = seed;
        self.state.steps = 0;
        self.state.episodes.fill(0);
        (0..self.count()).for_each(|environment| self.start(environment));
        self.dynamics.observe_columns(&self.state.columns, &mut self.observations);
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions> {
        self.take_actions(actions)?;
        let (all, transitions) = (&mut self.state, &mut self.transitions);
        self.dynamics.advance_columns(
            &mut all.columns,
            &self.actions,
            &mut self.rewards,
            &mut transitions.terminated,
        );
        all.steps += 1;
        let mut ended = false;
        for (elapsed, (sum, reward)) in
            all.elapsed.iter_mut().zip(all.returns.iter_mut().zip(&self.rewards))
        {
            *elapsed += 1;
            *sum += reward;
        }
        for (i, reward) in transitions.rewards.iter_mut().enumerate() {
            *reward = self.rewards[i] as f32;
            transitions.truncated[i] = all.elapsed[i] >= self.limit && !transitions.terminated[i];
            ended |= transitions.terminated[i] | transitions.truncated[i];
        }
        if !finite(&self.rewards) || !all.columns.iter().all(|column| finite(column)) {
            return Err(self.not_finite());
        }
        transitions.episodes.clear();
        if ended {
            let features = self.spaces.observation.features();
            for environment in 0..self.count() {
                if !self.transitions.ended(environment) {
                    continue;
                }
                self.transitions.episodes.push(Episode {
                    environment,
                    reward: self.state.returns[environment],
                    length: self.state.elapsed[environment],
                    info: Vec::new(),
                });
                let last = self.dynamics.observe(&self.state_of(environment));
                let row = &mut self.transitions.final_observations[environment * features..];
                row.iter_mut().zip(last.as_ref()).for_each(|(out, x)| *out = *x as f32);
                self.state.episodes[environment] += 1;
                self.start(environment);
            }
        }
        self.dynamics.observe_columns(&self.state.columns, &mut self.observations);
        Ok(&self.transitions)
    }

    fn state(&self) -> Result<Value> {
        to_state(&(&self.dynamics, &self.state))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let (dynamics, saved): (D, State) = from_state(state)?;
        same_constants(&dynamics, &self.dynamics)?;
        let (found, count) = (saved.elapsed.len(), self.count());
        if found != count {
            return Err(Error::Resume(format!(
                "the state is of {found} environments, expected {count}"
            )));
        }
        let whole = |column: &Vec<f64>| column.len() == count && finite(column);
        let sound = saved.columns.len() == self.state.columns.len()
            && saved.columns.iter().all(whole)
            && saved.episodes.len() == count
            && whole(&saved.returns);
        if !sound {
            return Err(Error::Resume(format!("a column that is not {count} finite numbers")));
        }
        self.state = saved;
        self.dynamics.observe_columns(&self.state.columns, &mut self.observations);
        Ok(())
    }
}

impl<D: Dynamics> ControlVectorEnvironment<D> {
    #[cold]
    fn not_finite(&self) -> Error {
        let step = self.state.steps;
        for environment in 0..self.count() {
            let reward = self.rewards[environment];
            if !reward.is_finite() {
                return Error::NotFinite { what: "reward", value: reward, environment, step };
            }
            for column in &self.state.columns {
                let value = column[environment];
                if !value.is_finite() {
                    return Error::NotFinite { what: "observation", value, environment, step };
                }
            }
        }
        Error::NotFinite { what: "observation", value: f64::NAN, environment: 0, step }
    }
}

/// Whether all are finite: 0 times anything else is NaN. Eight sums side by side become vectors.
fn finite(values: &[f64]) -> bool {
    let mut sums = [0.0; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x * 0.0);
    }
    sums.iter().sum::<f64>() == 0.0 && rest.iter().all(|x| x.is_finite())
}
