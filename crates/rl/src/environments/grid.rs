//! Worlds on a grid of fields.

use model_utils_core::config;

use super::finite::{Finite, Mdp, Outcome};
use crate::error::{Error, Result};

/// Left, down, right, up, as (row, column).
const MOVES: [(isize, isize); 4] = [(0, -1), (1, 0), (0, 1), (-1, 0)];

/// The field that a move leads to; the same where it would leave the grid.
fn moved(field: usize, (down, right): (isize, isize), rows: usize, columns: usize) -> usize {
    let row = (field / columns).saturating_add_signed(down).min(rows - 1);
    let column = (field % columns).saturating_add_signed(right).min(columns - 1);
    row * columns + column
}

/// Probability 1 for one of the states.
fn certain(state: usize, states: usize) -> Vec<f64> {
    let mut starts = vec![0.0; states];
    starts[state] = 1.0;
    starts
}

/// The fields of a map and its number of columns; the letters are checked.
fn fields(map: &[&str], world: &'static str, letters: &str) -> Result<(Vec<char>, usize)> {
    let columns = map.first().map_or(0, |row| row.chars().count());
    let bad = |reason: String| Err(Error::world(world, reason));
    if columns == 0 {
        return bad("the map is empty".to_owned());
    }
    for (number, row) in map.iter().enumerate() {
        let found = row.chars().count();
        if found != columns {
            return bad(format!("row {number} has {found} fields, expected {columns}"));
        }
        if let Some(letter) = row.chars().find(|c| !letters.contains(*c)) {
            return bad(format!("row {number} has `{letter}`, expected one of `{letters}`"));
        }
    }
    let fields: Vec<char> = map.iter().flat_map(|row| row.chars()).collect();
    let starts = fields.iter().filter(|c| **c == 'S').count();
    if starts != 1 || !fields.contains(&'G') {
        return bad(format!("{starts} starts `S`, expected 1, and at least 1 goal `G`"));
    }
    Ok((fields, columns))
}

fn start(fields: &[char]) -> usize {
    fields.iter().position(|c| *c == 'S').unwrap_or(0)
}

/// Across the ice to the goal without falling into a hole, after Gymnasium's `FrozenLake-v1`.
///
/// Actions: left, down, right, up; on slippery ice each goes there or to either side of it, a
/// third each. Reward 1 at the goal. The map: `S` start, `F` ice, `H` hole, `G` goal. Gymnasium
/// truncates after 100 steps on 4×4 and 200 on 8×8:
/// [`TimeLimit`](crate::wrappers::TimeLimit).
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenLake {
    fields: Vec<char>,
    columns: usize,
    slippery: bool,
}

impl FrozenLake {
    /// A slippery lake of a map.
    ///
    /// # Errors
    ///
    /// [`Error::World`] for rows of different lengths, other letters, no goal, or not one start.
    pub fn new(map: &[&str]) -> Result<Self> {
        let (fields, columns) = fields(map, "lake", "SFHG")?;
        Ok(Self { fields, columns, slippery: true })
    }

    /// Gymnasium's small map.
    pub fn four_by_four() -> Self {
        Self::from_fields("SFFFFHFHFFFHHFFG", 4)
    }

    /// Gymnasium's large map.
    pub fn eight_by_eight() -> Self {
        Self::from_fields("SFFFFFFFFFFFFFFFFFFHFFFFFFFFFHFFFFFHFFFFFHHFFFHFFHFFHFHFFFFHFFFG", 8)
    }

    fn from_fields(fields: &str, columns: usize) -> Self {
        Self { fields: fields.chars().collect(), columns, slippery: true }
    }

    /// Whether moves may go astray.
    #[must_use]
    pub fn slippery(mut self, slippery: bool) -> Self {
        self.slippery = slippery;
        self
    }

    /// The fields, row by row, and the number of columns.
    pub fn map(&self) -> (&[char], usize) {
        (&self.fields, self.columns)
    }

    /// The table of what may happen.
    pub fn mdp(&self) -> Mdp {
        let (columns, rows) = (self.columns, self.fields.len() / self.columns);
        let starts = certain(start(&self.fields), self.fields.len());
        sound(Mdp::new(4, starts, |field, action| {
            if "HG".contains(self.fields[field]) {
                return vec![Outcome::certain(field, 0.0, true)];
            }
            let slips: &[usize] = if self.slippery { &[3, 0, 1] } else { &[0] };
            let outcome = |slip: &usize| {
                let next = moved(field, MOVES[(action + slip) % 4], rows, columns);
                let letter = self.fields[next];
                Outcome {
                    probability: 1.0 / slips.len() as f64,
                    next,
                    reward: f64::from(u8::from(letter == 'G')),
                    terminated: "HG".contains(letter),
                }
            };
            slips.iter().map(outcome).collect()
        }))
    }

    /// The world to act in.
    pub fn environment(&self) -> Finite {
        self.mdp().environment()
    }
}

/// A table that the maps of this file cannot make wrong; otherwise a world that ends at once.
fn sound(mdp: Result<Mdp>) -> Mdp {
    mdp.unwrap_or_else(|error| unreachable!("a checked map gives a sound table: {error}"))
}

/// Along a cliff, after Gymnasium's `CliffWalking-v1`: a fall costs 100 and leads back to the
/// start without an end.
///
/// Actions: up, right, down, left. −1 a step; 4 × 12 fields, from the lower left to the lower
/// right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CliffWalking;

impl CliffWalking {
    /// Its columns.
    pub const COLUMNS: usize = 12;
    const START: usize = 36;
    const GOAL: usize = 47;

    /// The table of what happens.
    pub fn mdp(self) -> Mdp {
        sound(Mdp::new(4, certain(Self::START, 48), |field, action| {
            let turn = [(-1, 0), (0, 1), (1, 0), (0, -1)][action];
            let next = moved(field, turn, 4, Self::COLUMNS);
            vec![if (Self::START + 1..Self::GOAL).contains(&next) {
                Outcome::certain(Self::START, -100.0, false)
            } else {
                Outcome::certain(next, -1.0, next == Self::GOAL)
            }]
        }))
    }

    /// The world to act in.
    pub fn environment(self) -> Finite {
        self.mdp().environment()
    }
}

/// Any grid with walls, pits and goals.
///
/// The map: `S` start, `.` free, `#` wall, `G` goal (+1, ends), `X` pit (−1, ends). Actions:
/// left, down, right, up. Every step costs `step_cost`; with the probability `slip` a move goes
/// to either side instead.
///
/// ```
/// use rl::environments::GridWorld;
/// use rl::planning::value_iteration;
///
/// let world = GridWorld::new(&["...G", ".#.X", "S..."])?.slip(0.2)?.step_cost(0.04)?;
/// let solution = value_iteration(&world.mdp(), 1.0, 1e-9)?;
/// assert!((solution.values[world.start()] - 0.705).abs() < 1e-3);
/// # Ok::<(), rl::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GridWorld {
    fields: Vec<char>,
    columns: usize,
    step_cost: f64,
    slip: f64,
}

impl GridWorld {
    /// The world of a map, without costs and slips.
    ///
    /// # Errors
    ///
    /// [`Error::World`] for rows of different lengths, other letters, no goal, or not one start.
    pub fn new(map: &[&str]) -> Result<Self> {
        let (fields, columns) = fields(map, "grid world", "S.#GX")?;
        Ok(Self { fields, columns, step_cost: 0.0, slip: 0.0 })
    }

    /// What a step costs.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where it is not finite.
    pub fn step_cost(mut self, cost: f64) -> Result<Self> {
        config::finite("step_cost", cost)?;
        self.step_cost = cost;
        Ok(self)
    }

    /// The probability that a move goes to one of its sides, half each.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] outside 0..=1.
    pub fn slip(mut self, probability: f64) -> Result<Self> {
        config::share("slip", probability)?;
        self.slip = probability;
        Ok(self)
    }

    /// The field that episodes start in.
    pub fn start(&self) -> usize {
        start(&self.fields)
    }

    /// The fields, row by row, and the number of columns.
    pub fn map(&self) -> (&[char], usize) {
        (&self.fields, self.columns)
    }

    /// The table of what may happen.
    pub fn mdp(&self) -> Mdp {
        let (columns, rows) = (self.columns, self.fields.len() / self.columns);
        let starts = certain(self.start(), self.fields.len());
        sound(Mdp::new(4, starts, |field, action| {
            if "GX#".contains(self.fields[field]) {
                return vec![Outcome::certain(field, 0.0, true)];
            }
            let outcome = |(turn, probability): (usize, f64)| {
                let next = moved(field, MOVES[(action + turn) % 4], rows, columns);
                let next = if self.fields[next] == '#' { field } else { next };
                let (gain, terminated) = match self.fields[next] {
                    'G' => (1.0, true),
                    'X' => (-1.0, true),
                    _ => (0.0, false),
                };
                Outcome { probability, next, reward: gain - self.step_cost, terminated }
            };
            [(0, 1.0 - self.slip), (1, self.slip / 2.0), (3, self.slip / 2.0)]
                .into_iter()
                .filter(|(_, probability)| *probability > 0.0)
                .map(outcome)
                .collect()
        }))
    }

    /// The world to act in.
    pub fn environment(&self) -> Finite {
        self.mdp().environment()
    }
}
