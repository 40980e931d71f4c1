//! A shop: a structured observation, and an amount to order of each of five goods.

use rl::environment::{from_state, to_state};
use rl::random::Random;
use rl::{Environment, Error, Result, Space, Spaces, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) const GOODS: usize = 5;
/// The most of a good that can be ordered a day.
pub(super) const MOST: usize = 8;
const WEEK: usize = 7;
/// Days of an episode: a quarter.
pub(super) const DAYS: usize = 91;
/// The most of a good on the shelf.
const SHELF: f64 = 24.0;
/// Mean demand of a weekday.
const DEMAND: [f64; GOODS] = [1.0, 1.5, 2.0, 2.5, 3.0];
/// Of which so much on each day of the week.
const WEEKDAY: [f64; WEEK] = [0.6, 0.6, 0.8, 1.0, 1.4, 2.0, 0.6];
/// What the sale of one earns.
const MARGIN: f64 = 3.0;
/// What one on the shelf costs a night.
const HOLDING: f64 = 0.25;
/// What a customer who leaves without one costs.
const LOST: f64 = 2.0;
/// What the van costs each day that it comes.
const VAN: f64 = 6.0;

/// What the shopkeeper sees in the evening.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Of each good on the shelf.
    pub(super) stock: [f64; GOODS],
    /// The day that comes.
    pub(super) weekday: usize,
}
rl::element!(Seen { stock, weekday });

/// Orders of the evening come before the shop opens; demand is Poisson, and what is not there is not
/// sold later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shop {
    seen: Seen,
    day: usize,
    random: Random,
    running: bool,
}

impl Shop {
    pub(super) fn new() -> Self {
        let seen = Seen { stock: [0.0; GOODS], weekday: 0 };
        Self { seen, day: 0, random: Random::new(0), running: false }
    }
}

impl Environment for Shop {
    type Observation = Seen;
    type Action = [usize; GOODS];

    fn spaces(&self) -> Spaces {
        let stock = Space::Continuous { low: vec![0.0; GOODS], high: vec![SHELF; GOODS] };
        let seen = vec![("stock".to_owned(), stock), ("weekday".to_owned(), Space::Discrete(WEEK))];
        Spaces {
            observation: Space::Dict(seen),
            action: Space::MultiDiscrete(vec![MOST + 1; GOODS]),
        }
    }

    fn reset(&mut self, seed: u64) -> Result<Seen> {
        *self = Self { random: Random::new(seed), running: true, ..Self::new() };
        self.seen.stock = std::array::from_fn(|_| self.random.below(6) as f64);
        self.seen.weekday = self.random.below(WEEK);
        Ok(self.seen.clone())
    }

    fn step(&mut self, orders: &[usize; GOODS]) -> Result<Step<Seen>> {
        if !self.running {
            return Err(Error::Ended);
        }
        if let Some(order) = orders.iter().find(|order| **order > MOST) {
            let expected = format!("at most {MOST} of a good");
            return Err(Error::Action { action: order.to_string(), expected });
        }
        let van = orders.iter().any(|order| *order > 0);
        let (mut profit, mut wanted, mut sold) = (if van { -VAN } else { 0.0 }, 0.0, 0.0);
        for (good, stock) in self.seen.stock.iter_mut().enumerate() {
            *stock = (*stock + orders[good] as f64).min(SHELF);
            let demand = f64::from(self.random.poisson(DEMAND[good] * WEEKDAY[self.seen.weekday]));
            let sale = demand.min(*stock);
            *stock -= sale;
            profit += MARGIN * sale - LOST * (demand - sale) - HOLDING * *stock;
            (wanted, sold) = (wanted + demand, sold + sale);
        }
        self.day += 1;
        self.seen.weekday = (self.seen.weekday + 1) % WEEK;
        // The shop stays open: a quarter is only what is looked at.
        let truncated = self.day >= DAYS;
        self.running = !truncated;
        let served = if wanted > 0.0 { sold / wanted } else { 1.0 };
        Ok(Step::new(self.seen.clone(), profit).truncated(truncated).info("served", served))
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = from_state(state)?;
        Ok(())
    }
}

/// Orders up to a level of each good, as shops do.
#[derive(Debug, Clone, Copy)]
pub(super) struct BaseStock {
    pub(super) levels: [usize; GOODS],
}

impl BaseStock {
    pub(super) fn order(&self, seen: &Seen) -> [usize; GOODS] {
        std::array::from_fn(|good| {
            let missing = self.levels[good].saturating_sub(seen.stock[good] as usize);
            missing.min(MOST)
        })
    }
}
