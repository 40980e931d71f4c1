//! A tank: a continuous action and a time limit.

use rl::environment::{from_state, to_state};
use rl::random::Random;
use rl::{Environment, Error, Result, Space, Spaces, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most that the pump gives, in litres a second.
pub(super) const PUMP: f64 = 0.8;
/// At which the tank runs over, in metres.
const HEIGHT: f64 = 2.0;
/// Square metres.
const AREA: f64 = 0.05;
const STEP_S: f64 = 5.0;

/// Keep the level at what is wanted, while somebody turns the tap below it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tank {
    /// In metres.
    level: f64,
    /// In metres.
    wanted: f64,
    /// How far the tap is open, from 0 to 1.
    tap: f64,
    random: Random,
    running: bool,
}

impl Tank {
    pub(super) fn new() -> Self {
        Self { level: 1.0, wanted: 1.0, tap: 0.5, random: Random::new(0), running: false }
    }

    fn seen(&self) -> [f64; 3] {
        [self.level, self.wanted, self.tap]
    }
}

impl Environment for Tank {
    type Observation = [f64; 3];
    type Action = [f64; 1];

    fn spaces(&self) -> Spaces {
        let (low, high) = (vec![0.0; 3], vec![HEIGHT, HEIGHT, 1.0]);
        Spaces {
            observation: Space::Continuous { low, high },
            action: Space::Continuous { low: vec![0.0], high: vec![PUMP] },
        }
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 3]> {
        self.random = Random::new(seed);
        self.level = self.random.uniform_in(0.5..1.5);
        self.wanted = self.random.uniform_in(0.5..1.5);
        self.tap = self.random.uniform();
        self.running = true;
        Ok(self.seen())
    }

    fn step(&mut self, [pump]: &[f64; 1]) -> Result<Step<[f64; 3]>> {
        if !self.running {
            return Err(Error::Ended);
        }
        if !(0.0..=PUMP).contains(pump) {
            let expected = format!("litres a second in 0..={PUMP}");
            return Err(Error::Action { action: pump.to_string(), expected });
        }
        // Torricelli: what flows out grows with the root of the level.
        let out = 0.5 * self.tap * self.level.sqrt();
        let level = self.level + (pump - out) * STEP_S / 1000.0 / AREA;
        self.tap = (self.tap + 0.1 * self.random.normal()).clamp(0.0, 1.0);
        // It has run over: nothing is to be expected after that.
        let spilled = level >= HEIGHT;
        self.running = !spilled;
        self.level = level.clamp(0.0, HEIGHT);
        let error = self.level - self.wanted;
        let reward = if spilled { -100.0 } else { -error.abs() };
        Ok(Step::new(self.seen(), reward).terminated(spilled))
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = from_state(state)?;
        Ok(())
    }
}
