//! The signal of one intersection.

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{Environment, Policy, Step, from_state, refused, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// Demand and signal times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficConfig {
    /// The load: the sum over both phases of arrivals per capacity, below 1.
    pub flow_ratio: f64,
    /// The share of it that comes from north and south.
    pub north_south: f64,
    /// Vehicles a second that leave an approach with green.
    pub saturation: f64,
    /// Seconds of a switch in which nobody may go: yellow, clearing, starting up.
    pub lost_s: u32,
    /// The least green in seconds; earlier wishes to switch are not heard.
    pub min_green_s: u32,
    /// The most green in seconds, after which it switches by itself.
    pub max_green_s: Option<u32>,
    /// Seconds between decisions.
    pub decide_every_s: u32,
    /// Seconds after which an episode is truncated.
    pub episode_s: u32,
}

impl Default for TrafficConfig {
    fn default() -> Self {
        Self {
            flow_ratio: 0.48,
            north_south: 2.0 / 3.0,
            saturation: 0.5,
            lost_s: 4,
            min_green_s: 0,
            max_green_s: None,
            decide_every_s: 1,
            episode_s: 3600,
        }
    }
}

impl TrafficConfig {
    /// The flow ratio of each phase.
    fn ratios(&self) -> [f64; 2] {
        [self.flow_ratio * self.north_south, self.flow_ratio * (1.0 - self.north_south)]
    }
}

/// An intersection of four approaches and two phases: vehicles arrive as a Poisson process, wait
/// in queues, and leave at the saturation rate while their phase has green.
///
/// | | |
/// | --- | --- |
/// | observation | vehicles waiting north, south, east, west; the phase (0: north–south); seconds of green so far; seconds still lost |
/// | action | the phase that shall have green |
/// | reward | minus the seconds waited by all vehicles since the last decision |
/// | ends | never; truncated after `episode_s` |
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Traffic {
    config: TrafficConfig,
    queues: [u32; 4],
    /// Share of a vehicle's headway that has passed, for each approach.
    credit: [f64; 4],
    phase: usize,
    green_s: u32,
    lost_s: u32,
    elapsed_s: u32,
    arrived: u64,
    waited_s: u64,
    random: Random,
    running: bool,
}

impl Traffic {
    /// An intersection.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a load or share outside 0 to 1, no saturation, times of 0 between
    /// decisions or for an episode, or a most green below the least.
    pub fn new(config: TrafficConfig) -> Result<Self> {
        let share = |x: f64| x > 0.0 && x < 1.0;
        let between = "between 0 and 1";
        config::require(share(config.flow_ratio), "flow_ratio", config.flow_ratio, between)?;
        config::require(share(config.north_south), "north_south", config.north_south, between)?;
        config::share_above_zero("saturation", config.saturation)?;
        config::at_least("decide_every_s", config.decide_every_s, 1)?;
        config::at_least("episode_s", config.episode_s, 1)?;
        let most = config.max_green_s;
        let above = most.is_none_or(|most| most >= config.min_green_s.max(1));
        config::require(above, "max_green_s", most, "at least 1 and at least min_green_s")?;
        Ok(Self {
            config,
            queues: [0; 4],
            credit: [0.0; 4],
            phase: 0,
            green_s: 0,
            lost_s: 0,
            elapsed_s: 0,
            arrived: 0,
            waited_s: 0,
            random: Random::new(0),
            running: false,
        })
    }

    /// The mean wait of a vehicle since the reset, in seconds.
    pub fn delay_s(&self) -> f64 {
        self.waited_s as f64 / self.arrived.max(1) as f64
    }

    /// Vehicles that wait now: north, south, east, west.
    pub fn queues(&self) -> [u32; 4] {
        self.queues
    }

    fn observe(&self) -> [f64; 7] {
        let [n, s, e, w] = self.queues.map(f64::from);
        [n, s, e, w, self.phase as f64, f64::from(self.green_s), f64::from(self.lost_s)]
    }

    fn switch(&mut self) {
        self.phase = 1 - self.phase;
        (self.green_s, self.lost_s) = (0, self.config.lost_s);
        self.credit = [0.0; 4];
    }

    /// One second; returns the vehicles that wait in it.
    fn tick(&mut self) -> u64 {
        let ratios = self.config.ratios();
        for (approach, queue) in self.queues.iter_mut().enumerate() {
            let arrivals = self.random.poisson(ratios[approach / 2] * self.config.saturation);
            *queue = queue.saturating_add(arrivals);
            self.arrived += u64::from(arrivals);
        }
        if self.lost_s > 0 {
            self.lost_s -= 1;
        } else {
            self.green_s = self.green_s.saturating_add(1);
            for approach in [2 * self.phase, 2 * self.phase + 1] {
                // An empty approach lets its headway pass, at most one.
                self.credit[approach] = (self.credit[approach] + self.config.saturation).min(1.0);
                if self.queues[approach] > 0 && self.credit[approach] >= 1.0 {
                    self.queues[approach] -= 1;
                    self.credit[approach] -= 1.0;
                }
            }
        }
        self.elapsed_s = self.elapsed_s.saturating_add(1);
        let waiting = self.queues.iter().map(|queue| u64::from(*queue)).sum();
        self.waited_s += waiting;
        waiting
    }
}

impl Environment for Traffic {
    type Observation = [f64; 7];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        let inf = f64::INFINITY;
        let high = vec![inf, inf, inf, inf, 1.0, inf, f64::from(self.config.lost_s)];
        Spaces {
            observation: Space::Continuous { low: vec![0.0; 7], high },
            action: Space::Discrete(2),
        }
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 7]> {
        *self = Self::new(self.config.clone())?;
        (self.random, self.running) = (Random::new(seed), true);
        Ok(self.observe())
    }

    fn step(&mut self, action: &usize) -> Result<Step<[f64; 7]>> {
        if !self.running {
            return Err(Error::Ended);
        }
        if *action > 1 {
            return Err(refused(action, &Space::Discrete(2)));
        }
        let free = self.lost_s == 0 && self.green_s >= self.config.min_green_s;
        let over = self.config.max_green_s.is_some_and(|most| self.green_s >= most);
        if over || (free && *action != self.phase) {
            self.switch();
        }
        let mut waited = 0;
        for _ in 0..self.config.decide_every_s {
            waited += self.tick();
        }
        let truncated = self.elapsed_s >= self.config.episode_s;
        self.running = !truncated;
        let reward = -(waited as f64);
        Ok(Step::new(self.observe(), reward).truncated(truncated))
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = from_state(state)?;
        Ok(())
    }
}

/// The phase, its green so far, and the vehicles waiting in each phase.
fn read(observation: &[f64; 7]) -> (usize, f64, [f64; 2]) {
    let [n, s, e, w, phase, green, _] = observation;
    (usize::from(*phase > 0.5), *green, [n + s, e + w])
}

/// Green for fixed times, whoever waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedTime {
    /// The green of each phase in seconds.
    pub green_s: [f64; 2],
}

impl FixedTime {
    /// Webster's times (*Traffic Signal Settings*, 1958), the best fixed ones for a load:
    ///
    /// ```math
    /// C_0 = \frac{1.5 L + 5}{1 - Y}, \qquad g_i = \frac{y_i}{Y} (C_0 - L)
    /// ```
    pub fn webster(config: &TrafficConfig) -> Self {
        let lost = 2.0 * f64::from(config.lost_s);
        let cycle = (1.5 * lost + 5.0) / (1.0 - config.flow_ratio);
        let green = config.ratios().map(|y| y / config.flow_ratio * (cycle - lost));
        Self { green_s: green.map(|g| g.round().max(1.0)) }
    }
}

impl Policy<[f64; 7], usize> for FixedTime {
    fn act(&self, observation: &[f64; 7], _mask: Option<&[bool]>) -> Result<usize> {
        let (phase, green, _) = read(observation);
        Ok(if green >= self.green_s[phase] { 1 - phase } else { phase })
    }
}

/// Green for the phase in which more vehicles wait (Varaiya 2013), after a least green.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxPressure {
    /// The least green in seconds.
    pub min_green_s: f64,
}

impl Policy<[f64; 7], usize> for MaxPressure {
    fn act(&self, observation: &[f64; 7], _mask: Option<&[bool]>) -> Result<usize> {
        let (phase, green, waiting) = read(observation);
        let other = 1 - phase;
        let wants = green >= self.min_green_s && waiting[other] > waiting[phase];
        Ok(if wants { other } else { phase })
    }
}

/// Green until nobody waits in the phase any more, then for the other one if somebody waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exhaustive;

impl Policy<[f64; 7], usize> for Exhaustive {
    fn act(&self, observation: &[f64; 7], _mask: Option<&[bool]>) -> Result<usize> {
        let (phase, _, waiting) = read(observation);
        let other = 1 - phase;
        Ok(if waiting[phase] == 0.0 && waiting[other] > 0.0 { other } else { phase })
    }
}
