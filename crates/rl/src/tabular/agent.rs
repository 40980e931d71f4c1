use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::Path;
use std::time::Duration;

use model_utils_core::event::Observer;
use model_utils_core::random::{Random, mix};
use model_utils_core::run::{Ended, Run};
use model_utils_core::{Budget, Spent, atomic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Method, TabularConfig, Traces};
use super::table::{self, QTable, best_of_equals, known, possible};
use crate::environment::{Environment, Policy, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};
use crate::vector::Episode;

/// Steps between two questions whether to go on.
const SOME_STEPS: u64 = 256;
/// States times actions of the largest table.
const MOST_PAIRS: usize = 1 << 32;
/// Of saved agents.
const FORMAT_VERSION: u32 = 2;
/// A trace below this is forgotten.
const FAINTEST: f64 = 1e-4;

/// An agent with a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tabular {
    config: TabularConfig,
    table: QTable,
    /// The second table of double Q-learning.
    second: Option<QTable>,
    random: Random,
    steps: u64,
    episodes: u64,
    /// Episodes that it has begun, those included that somebody else cut short.
    begun: u64,
    /// The episode that it is in.
    episode: Option<Running>,
    /// The last steps, for Monte Carlo and n-step returns.
    recent: VecDeque<(usize, usize, f64)>,
    /// Pairs with a trace.
    traces: Vec<(usize, f64)>,
    masks: Masks,
    model: Model,
    /// How the environment stood when learning paused within an episode; saved beside the agent.
    #[serde(skip)]
    left: Option<Value>,
    /// Spent on learning; not saved, for it differs from run to run.
    #[serde(skip)]
    time: Duration,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Running {
    state: usize,
    /// Chosen beforehand by the on-policy methods.
    action: Option<usize>,
    reward: f64,
    length: u64,
}

/// What Dyna-Q remembers of each pair: the reward, the state after, whether it terminated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Model {
    known: Vec<usize>,
    last: Vec<Option<(f64, usize, bool)>>,
}

/// Which actions were possible in each state when it was last there; empty until there is a mask.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Masks(Vec<Option<Vec<bool>>>);

impl Masks {
    #[inline]
    fn of(&self, state: usize) -> Option<&[bool]> {
        self.0.get(state)?.as_deref()
    }

    #[inline]
    fn note(&mut self, state: usize, states: usize, mask: Option<&[bool]>) {
        if self.0.is_empty() && mask.is_some() {
            self.0 = vec![None; states];
        }
        match (self.0.get_mut(state), mask) {
            (Some(Some(known)), Some(mask)) => known.copy_from_slice(mask),
            (Some(known), mask) => *known = mask.map(<[bool]>::to_vec),
            (None, _) => {}
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format_version: u32,
    agent: Tabular,
    environment: Value,
}

impl Tabular {
    /// An agent for an environment whose observations and actions are indices.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], and [`Error::Spaces`] for other environments.
    pub fn new<E: Environment>(config: TabularConfig, environment: &E) -> Result<Self> {
        config.check()?;
        let (states, actions) = counts(&environment.spaces())?;
        let table = QTable::new(states, actions, config.initial_value);
        let second = (config.method == Method::DoubleQ).then(|| table.clone());
        let mut model = Model::default();
        if matches!(config.method, Method::DynaQ { .. }) {
            model.last = vec![None; states * actions];
        }
        Ok(Self {
            random: Random::new(config.seed),
            config,
            table,
            second,
            steps: 0,
            episodes: 0,
            begun: 0,
            episode: None,
            recent: VecDeque::new(),
            traces: Vec::new(),
            masks: Masks::default(),
            model,
            left: None,
            time: Duration::ZERO,
        })
    }

    /// The table; of double Q-learning, the mean of both.
    pub fn table(&self) -> QTable {
        let mut table = self.table.clone();
        if let Some(second) = &self.second {
            let pairs = table.values_mut().iter_mut().zip(second.values());
            pairs.for_each(|(a, b)| *a = f64::midpoint(*a, *b));
        }
        table
    }

    /// The best action in each state, of those that were possible when it was last there; where it
    /// has never been it knows of no mask.
    pub fn policy(&self) -> Vec<usize> {
        let table = self.table();
        (0..table.shape()[0]).map(|state| table.best(state, self.masks.of(state))).collect()
    }

    /// The value of each state: of the best action that was possible when it was last there.
    pub fn values(&self) -> Vec<f64> {
        let table = self.table();
        (0..table.shape()[0]).map(|state| table.most(state, self.masks.of(state))).collect()
    }

    /// Steps that it has learned from, the parts before a resume included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Episodes that have ended, the parts before a resume included.
    pub fn episodes(&self) -> u64 {
        self.episodes
    }

    /// Learns until the budget is spent or `progress` asks to stop: steps and episodes count in all,
    /// the parts before a resume included, time since it was made or loaded.
    ///
    /// Between two calls it stays in its episode. It goes on there where the environment's
    /// [`state`](Environment::state) is still the one that it left; where somebody else has moved the
    /// environment, where another one is given, or where it cannot tell because the environment has
    /// no state to show, the episode is dropped, with what was not yet learned of it, and a fresh one
    /// begins.
    ///
    /// Metrics, told of every episode that ends: `episode_reward`, `episode_length`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a budget without steps, episodes and time, [`Error::Spaces`] for an
    /// environment of another size and an observation that it should not have, [`Error::World`] for a
    /// mask of another length or one that allows nothing, [`Error::NotFinite`] for a reward or a value,
    /// and what the environment refuses.
    pub fn learn<E>(
        &mut self,
        environment: &mut E,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Ended>
    where
        E: Environment<Observation = usize, Action = usize>,
    {
        let (states, actions) = counts(&environment.spaces())?;
        let [own_states, own_actions] = self.table.shape();
        if (states, actions) != (own_states, own_actions) {
            let found = format!("{states} states, {actions} actions");
            let expected = format!("{own_states} states, {own_actions} actions");
            return Err(Error::spaces("observation", found, expected));
        }
        let counted = &["steps", "episodes", "time"];
        let mut run = Run::new("tabular", &())?.counting(counted).without_history();
        let (steps, episodes, time) = (self.steps, self.episodes, self.time);
        run.set_spent(Spent { steps, episodes, time, ..Spent::default() });
        run.start(budget, None, progress)?;
        let left = self.left.take();
        if left.is_none() || left != environment.state().ok() {
            self.episode = None;
        }
        let mut ended = Vec::new();
        while run.next(progress) {
            // A step takes less time than asking whether to go on: that is done now and then.
            let most = run.steps_left().unwrap_or(SOME_STEPS).min(SOME_STEPS);
            let episodes =
                budget.episodes.map_or(u64::MAX, |all| all.saturating_sub(run.episodes()));
            let (mut steps, mut told) = (0, 0);
            while steps < most && (ended.len() as u64) < episodes {
                let running = match self.episode {
                    Some(running) => running,
                    None => self.start(environment)?,
                };
                steps += 1;
                if let Some(episode) = self.step(environment, running)? {
                    ended.push((steps, episode));
                }
            }
            run.pause();
            for (at, Episode { reward, length, .. }) in ended.drain(..) {
                run.steps_done(at - told, 0, (at - told) as usize);
                told = at;
                run.episodes_done(1);
                let metrics = [("episode_reward", reward), ("episode_length", length as f64)];
                run.report(&metrics, progress);
            }
            run.steps_done(steps - told, 0, (steps - told) as usize);
        }
        if self.episode.is_some() {
            self.left = environment.state().ok();
        }
        let ended = run.finish(progress);
        self.time = Duration::from_secs_f64(ended.wall_s);
        Ok(ended)
    }

    fn start<E>(&mut self, environment: &mut E) -> Result<Running>
    where
        E: Environment<Observation = usize, Action = usize>,
    {
        let [states, actions] = self.table.shape();
        let state = known(environment.reset(mix(self.config.seed, self.begun))?, states)?;
        self.begun += 1;
        self.masks.note(state, states, possible(environment.mask(), actions)?);
        self.recent.clear();
        self.traces.clear();
        let running = Running { state, action: None, reward: 0.0, length: 0 };
        self.episode = Some(running);
        Ok(running)
    }

    /// Chooses with ε-greedy.
    #[inline]
    fn choose(&mut self, state: usize, mask: Option<&[bool]>, epsilon: f64) -> usize {
        if epsilon > 0.0 && self.random.bernoulli(epsilon) {
            let actions = self.table.actions();
            return match mask {
                None => self.random.below(actions),
                Some(mask) => {
                    let pick = self.random.below(mask.iter().filter(|m| **m).count());
                    (0..actions).filter(|a| mask[*a]).nth(pick).unwrap_or(0)
                }
            };
        }
        let row = row(&self.table, self.second.as_ref(), state);
        best_of_equals(&row, mask, &mut self.random)
    }

    #[inline]
    fn step<E>(&mut self, environment: &mut E, mut running: Running) -> Result<Option<Episode>>
    where
        E: Environment<Observation = usize, Action = usize>,
    {
        let epsilon = self.config.epsilon.at(self.steps);
        let state = running.state;
        let action = if let Some(action) = running.action {
            action
        } else {
            let mask = possible(environment.mask(), self.table.actions())?;
            self.choose(state, mask, epsilon)
        };
        let step = environment.step(&action)?;
        self.steps += 1;
        let finite = |what, value: f64, step| {
            let error = Error::NotFinite { what, value, environment: 0, step };
            if value.is_finite() { Ok(()) } else { Err(error) }
        };
        finite("reward", step.reward, self.steps)?;
        running.reward += step.reward;
        running.length += 1;
        let [states, actions] = self.table.shape();
        let next = known(step.observation, states)?;
        // After the end there is nothing to choose.
        let mask = if step.terminated { None } else { possible(environment.mask(), actions)? };
        if !step.terminated {
            self.masks.note(next, states, mask);
        }
        let seen = Seen { state, action, reward: step.reward, next, terminated: step.terminated };
        running.action = self.update(seen, step.ended(), mask, epsilon);
        for table in self.second.iter().chain([&self.table]) {
            finite("value of an action", table.get(state, action), self.steps)?;
        }
        running.state = next;
        if !step.ended() {
            self.episode = Some(running);
            return Ok(None);
        }
        self.episode = None;
        self.episodes += 1;
        let Running { reward, length, .. } = running;
        Ok(Some(Episode { environment: 0, reward, length, info: step.info }))
    }

    /// Learns from a step; the next action where it had to be chosen for that.
    #[inline]
    fn update(
        &mut self,
        seen: Seen,
        ended: bool,
        mask: Option<&[bool]>,
        epsilon: f64,
    ) -> Option<usize> {
        let Seen { state, action, reward, next, terminated } = seen;
        let rate = self.config.learning_rate.at(self.steps - 1);
        let discount = self.config.discount;
        match self.config.method {
            Method::QLearning | Method::DynaQ { .. } => {
                let later = if terminated { 0.0 } else { discount * self.table.most(next, mask) };
                self.table.move_towards(state, action, reward + later, rate);
                if let Method::DynaQ { planning } = self.config.method {
                    self.plan(seen, planning, rate);
                }
                None
            }
            Method::ExpectedSarsa => {
                let later = if terminated { 0.0 } else { self.expected(next, mask, epsilon) };
                self.table.move_towards(state, action, reward + discount * later, rate);
                None
            }
            Method::DoubleQ => {
                self.update_one_of_two(seen, mask, rate);
                None
            }
            Method::Sarsa => {
                let ahead = (!terminated).then(|| self.choose(next, mask, epsilon));
                let later = ahead.map_or(0.0, |ahead| self.table.get(next, ahead));
                self.table.move_towards(state, action, reward + discount * later, rate);
                ahead
            }
            Method::SarsaLambda { lambda, traces } => {
                let ahead = (!terminated).then(|| self.choose(next, mask, epsilon));
                let later = ahead.map_or(0.0, |ahead| self.table.get(next, ahead));
                let error = reward + discount * later - self.table.get(state, action);
                self.along_traces(state, action, traces, rate * error, discount * lambda);
                ahead
            }
            Method::NStepSarsa(steps) => {
                self.recent.push_back((state, action, reward));
                let ahead = (!terminated).then(|| self.choose(next, mask, epsilon));
                let later = ahead.map_or(0.0, |ahead| self.table.get(next, ahead));
                while self.recent.len() >= steps || (ended && !self.recent.is_empty()) {
                    let rewards = self.recent.iter().rev();
                    let goal = rewards.fold(later, |sum, (_, _, r)| r + discount * sum);
                    if let Some((state, action, _)) = self.recent.pop_front() {
                        self.table.move_towards(state, action, goal, rate);
                    }
                }
                ahead
            }
            Method::MonteCarlo => {
                self.recent.push_back((state, action, reward));
                if ended {
                    let later = if terminated { 0.0 } else { self.expected(next, mask, epsilon) };
                    self.whole_return(later, rate);
                }
                None
            }
        }
    }

    /// The value of a state under ε-greedy.
    fn expected(&self, state: usize, mask: Option<&[bool]>, epsilon: f64) -> f64 {
        let row = self.table.row(state);
        let possible = |action: &usize| mask.is_none_or(|mask| mask[*action]);
        let count = (0..row.len()).filter(possible).count() as f64;
        let sum: f64 = (0..row.len()).filter(possible).map(|action| row[action]).sum();
        (1.0 - epsilon) * self.table.most(state, mask) + epsilon * sum / count
    }

    fn update_one_of_two(&mut self, seen: Seen, mask: Option<&[bool]>, rate: f64) {
        let Some(second) = &mut self.second else { return };
        let (one, other) = if self.random.bernoulli(0.5) {
            (&mut self.table, &*second)
        } else {
            (second, &self.table)
        };
        let later = if seen.terminated {
            0.0
        } else {
            self.config.discount * other.get(seen.next, one.best(seen.next, mask))
        };
        one.move_towards(seen.state, seen.action, seen.reward + later, rate);
    }

    fn plan(&mut self, seen: Seen, planning: usize, rate: f64) {
        let actions = self.table.actions();
        let pair = seen.state * actions + seen.action;
        if self.model.last[pair].is_none() {
            self.model.known.push(pair);
        }
        self.model.last[pair] = Some((seen.reward, seen.next, seen.terminated));
        for _ in 0..planning {
            let pair = self.model.known[self.random.below(self.model.known.len())];
            let Some((reward, next, terminated)) = self.model.last[pair] else { continue };
            let mask = self.masks.of(next);
            let later = self.config.discount * self.table.most(next, mask);
            let goal = reward + if terminated { 0.0 } else { later };
            let value = &mut self.table.values_mut()[pair];
            *value += rate * (goal - *value);
        }
    }

    fn along_traces(&mut self, state: usize, action: usize, kind: Traces, by: f64, fade: f64) {
        let pair = state * self.table.actions() + action;
        match (self.traces.iter_mut().find(|(at, _)| *at == pair), kind) {
            (Some((_, trace)), Traces::Accumulating) => *trace += 1.0,
            (Some((_, trace)), Traces::Replacing) => *trace = 1.0,
            (None, _) => self.traces.push((pair, 1.0)),
        }
        let values = self.table.values_mut();
        for (pair, trace) in &mut self.traces {
            values[*pair] += by * *trace;
            *trace *= fade;
        }
        self.traces.retain(|(_, trace)| *trace > FAINTEST);
    }

    /// First-visit returns, from the end to the beginning.
    fn whole_return(&mut self, later: f64, rate: f64) {
        let discount = self.config.discount;
        let mut first = HashMap::new();
        for (at, (state, action, _)) in self.recent.iter().enumerate() {
            first.entry((*state, *action)).or_insert(at);
        }
        let mut sum = later;
        for (at, (state, action, reward)) in self.recent.iter().enumerate().rev() {
            sum = reward + discount * sum;
            if first[&(*state, *action)] == at {
                self.table.move_towards(*state, *action, sum, rate);
            }
        }
        self.recent.clear();
    }

    /// Saves the agent and the environment that it is in, whole or not at all. Where the environment
    /// is no longer where the agent left it, the episode is not saved.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] where it cannot be written, [`Error::Resume`] for an environment that
    /// cannot save itself and for values that are not finite.
    pub fn save<E: Environment>(&self, path: impl AsRef<Path>, environment: &E) -> Result<()> {
        let environment = environment.state()?;
        let mut agent = self.clone();
        if self.left.as_ref() != Some(&environment) {
            agent.episode = None;
        }
        let [states, actions] = agent.table.shape();
        agent.check(states, actions)?;
        let saved = Saved { format_version: FORMAT_VERSION, agent, environment };
        let bytes = serde_json::to_vec(&saved).map_err(|error| Error::Resume(error.to_string()))?;
        Ok(atomic::write(path, &bytes)?)
    }

    /// Goes on from a file: agent and environment are as they were, bit for bit.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] where it cannot be read, [`Error::Resume`] for a file of another kind, a
    /// damaged one, or an environment of another shape, which is then as before.
    pub fn load<E: Environment>(path: impl AsRef<Path>, environment: &mut E) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(model_utils_core::Error::io("read", path))?;
        let saved: Saved = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Resume(format!("{}: {error}", path.display())))?;
        if saved.format_version != FORMAT_VERSION {
            let version = saved.format_version;
            let reason = format!("format version {version}, this build reads {FORMAT_VERSION}");
            return Err(Error::Resume(reason));
        }
        let (states, actions) = counts(&environment.spaces())?;
        let mut agent = saved.agent;
        agent.check(states, actions)?;
        let before = environment.state();
        let restored = environment.restore(&saved.environment).and_then(|()| environment.state());
        match restored {
            Ok(state) => agent.left = Some(state),
            Err(error) => {
                // What was restored in part is put back.
                if let Ok(before) = before {
                    environment.restore(&before)?;
                }
                return Err(error);
            }
        }
        Ok(agent)
    }

    /// Refuses what no agent for so many states and actions holds.
    fn check(&self, states: usize, actions: usize) -> Result<()> {
        let bad = |reason: String| Err(Error::Resume(reason));
        if self.table.shape() != [states, actions] {
            let [found, with] = self.table.shape();
            return bad(format!(
                "a table of {found} states and {with} actions, expected {states} and {actions}"
            ));
        }
        if let Err(error) = self.config.check() {
            return bad(error.to_string());
        }
        let pairs = states * actions;
        let is_table = |table: &QTable| {
            let values = table.values();
            table.shape() == [states, actions]
                && values.len() == pairs
                && values.iter().all(|value| value.is_finite())
        };
        let is_pair = |state: usize, action: usize| state < states && action < actions;
        let is_episode = |now: &Running| {
            is_pair(now.state, now.action.unwrap_or(0))
                && now.reward.is_finite()
                && now.length <= self.steps
        };
        let Model { known, last } = &self.model;
        let is_dyna = matches!(self.config.method, Method::DynaQ { .. });
        let mut remembered = vec![false; last.len()];
        let is_model = last.len() == if is_dyna { pairs } else { 0 }
            && known.len() == last.iter().flatten().count()
            && last.iter().flatten().all(|(reward, next, _)| reward.is_finite() && *next < states)
            && known.iter().all(|pair| {
                // Each that is remembered, once.
                matches!(last.get(*pair), Some(Some(_)))
                    && !std::mem::replace(&mut remembered[*pair], true)
            });
        let is_mask = |mask: &Vec<bool>| mask.len() == actions && mask.contains(&true);
        let is_masks = |masks: &Vec<_>| masks.is_empty() || masks.len() == states;
        let is_double = self.config.method == Method::DoubleQ;
        for (holds, what) in [
            (self.steps.max(self.begun) < u64::MAX / 2, "the number of steps or episodes"),
            (self.episodes <= self.begun, "the number of episodes"),
            (is_table(&self.table), "a value of the table"),
            (self.second.is_some() == is_double, "the second table"),
            (self.second.iter().all(is_table), "the second table"),
            (self.episode.iter().all(is_episode), "the episode that the agent is in"),
            (self.recent.iter().all(|(s, a, r)| is_pair(*s, *a) && r.is_finite()), "a step"),
            (self.traces.iter().all(|(at, x)| *at < pairs && x.is_finite()), "a trace"),
            (is_model, "the remembered steps"),
            (is_masks(&self.masks.0), "the masks"),
            (self.masks.0.iter().flatten().all(is_mask), "a mask"),
        ] {
            if !holds {
                return bad(format!("{what} cannot be of an agent as this"));
            }
        }
        Ok(())
    }

    /// All of the agent as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for values that JSON cannot hold.
    pub fn state(&self) -> Result<Value> {
        to_state(self)
    }
}

/// A step as it was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    state: usize,
    action: usize,
    reward: f64,
    next: usize,
    terminated: bool,
}

/// The values of a state's actions; of two tables, the mean of both.
#[inline]
fn row<'a>(table: &'a QTable, second: Option<&QTable>, state: usize) -> Cow<'a, [f64]> {
    let row = table.row(state);
    let Some(second) = second else { return Cow::Borrowed(row) };
    row.iter().zip(second.row(state)).map(|(a, b)| f64::midpoint(*a, *b)).collect()
}

fn counts(spaces: &Spaces) -> Result<(usize, usize)> {
    let (states, actions) = match (&spaces.observation, &spaces.action) {
        (Space::Discrete(states), Space::Discrete(actions)) => (*states, *actions),
        (Space::Discrete(_), other) => return Err(Error::spaces("action", other, "an index")),
        (other, _) => return Err(Error::spaces("observation", other, "an index")),
    };
    if let Some(1..=MOST_PAIRS) = states.checked_mul(actions) {
        return Ok((states, actions));
    }
    let found = format!("{states} states, {actions} actions");
    Err(Error::spaces("observation", found, format!("1 to {MOST_PAIRS} pairs of them")))
}

impl Policy<usize, usize> for Tabular {
    fn act(&self, observation: &usize, mask: Option<&[bool]>) -> Result<usize> {
        let [states, actions] = self.table.shape();
        let row = row(&self.table, self.second.as_ref(), known(*observation, states)?);
        Ok(table::best(&row, possible(mask, actions)?))
    }
}
