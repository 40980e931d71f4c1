//! Mazes from a matrix of rewards.

use model_utils_core::config;
use model_utils_core::random::Random;

use super::finite::{Finite, Mdp, Outcome};
use crate::error::{Error, Result};

/// Which entries of a reward matrix are walls: there are two customs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    /// Those below 0: a door brings 0 or more, as in a matrix of −1, 0 and 100.
    BelowZero,
    /// Those below 1: a door brings 1 or more, as in a matrix of 0, 1 and 100.
    BelowOne,
}

impl Walls {
    /// What a matrix means: with negative entries those are its walls, without any its zeros are.
    ///
    /// # Errors
    ///
    /// [`Error::RewardMatrix`] where both customs make sense: there are negative entries, zeros
    /// beside them, and from every room an entry of at least 1.
    pub fn of(rewards: &[Vec<f64>]) -> Result<Self> {
        let mut entries = rewards.iter().flatten();
        if !entries.any(|x| *x < 0.0) {
            return Ok(Self::BelowOne);
        }
        let differs = rewards.iter().flatten().any(|x| (0.0..1.0).contains(x));
        if differs && rewards.iter().all(|row| row.iter().any(|x| *x >= 1.0)) {
            let reason = "its walls may be the entries below 0 or those below 1: say which";
            return Err(Error::RewardMatrix(reason.to_owned()));
        }
        Ok(Self::BelowZero)
    }

    fn is_door(self, entry: f64) -> bool {
        entry >= if self == Self::BelowZero { 0.0 } else { 1.0 }
    }
}

/// Rooms with doors: the reward matrix says what going from a room (row) to another (column)
/// brings, and [`Walls`] which of its entries are walls. The task ends in the goal.
///
/// ```
/// use rl::environments::Maze;
/// use rl::planning::value_iteration;
///
/// let maze = Maze::three_by_three();
/// let solution = value_iteration(&maze.mdp(), 0.8, 1e-9)?;
/// assert_eq!(maze.path(&solution.policy), [0, 3, 4, 5, 8]);
/// # Ok::<(), rl::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Maze {
    rewards: Vec<Vec<f64>>,
    walls: Walls,
    start: usize,
    goal: usize,
    /// Rooms in a row of the plan, where they lie on a grid.
    columns: Option<usize>,
}

impl Maze {
    /// The maze of a reward matrix. Where all its doors lead to the next room of a grid, numbered
    /// row by row, it lies on that grid.
    ///
    /// ```
    /// use rl::environments::{Maze, Walls};
    ///
    /// // Three rooms in a row; 0 is a wall, and staying in the last one is worth 100.
    /// let rewards = [[0, 1, 0], [1, 0, 1], [0, 1, 100]].map(|row| row.map(f64::from).to_vec());
    /// let maze = Maze::from_rewards(rewards.to_vec(), Walls::BelowOne, 0, 2)?;
    /// assert!(maze.has_door(0, 1) && !maze.has_door(0, 2));
    /// # Ok::<(), rl::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::RewardMatrix`] for a matrix that is not square, holds a number that is not
    /// finite, or has a dead end: a room without a way to the goal. [`Error::Config`] for a start
    /// or goal outside it.
    pub fn from_rewards(
        rewards: Vec<Vec<f64>>,
        walls: Walls,
        start: usize,
        goal: usize,
    ) -> Result<Self> {
        let rooms = rewards.len();
        let bad = |reason: String| Err(Error::RewardMatrix(reason));
        if rooms == 0 {
            return bad("it is empty".to_owned());
        }
        for (room, row) in rewards.iter().enumerate() {
            if row.len() != rooms {
                let found = row.len();
                return bad(format!("row {room} has {found} entries, expected {rooms} (square)"));
            }
            if let Some(at) = row.iter().position(|x| !x.is_finite()) {
                return bad(format!("entry ({room}, {at}) is {}, expected finite", row[at]));
            }
        }
        config::require(start < rooms, "start", start, format!("a room below {rooms}"))?;
        config::require(goal < rooms, "goal", goal, format!("a room below {rooms}"))?;
        let mut reached = vec![false; rooms];
        reached[goal] = true;
        let mut open = vec![goal];
        while let Some(room) = open.pop() {
            for from in 0..rooms {
                if walls.is_door(rewards[from][room]) && !reached[from] {
                    reached[from] = true;
                    open.push(from);
                }
            }
        }
        if let Some(room) = reached.iter().position(|reached| !reached) {
            return bad(format!("room {room} is a dead end: no way leads to room {goal}"));
        }
        let mut maze = Self { rewards, walls, start, goal, columns: None };
        // The grid that is nearest to a square.
        let widths = (1..=rooms).filter(|columns| rooms.is_multiple_of(*columns));
        let mut widths: Vec<usize> = widths.collect();
        widths.sort_by_key(|columns| (columns.abs_diff(rooms / columns), rooms / columns));
        maze.columns = widths.into_iter().find(|columns| maze.lies_on(*columns));
        Ok(maze)
    }

    /// Whether each door leads to the next room on a grid.
    fn lies_on(&self, columns: usize) -> bool {
        (0..self.rooms()).all(|room| {
            self.doors(room).all(|to| {
                to == room || (0..4).any(|action| beside(room, action, columns) == Some(to))
            })
        })
    }

    /// Nine rooms with the goal, worth 100, in the lower right: the smallest worked example.
    pub fn three_by_three() -> Self {
        // Doors: 0-1, 0-3, 1-2, 3-4, 3-6, 4-5, 4-7, 5-8.
        let doors = [(0, 1), (0, 3), (1, 2), (3, 4), (3, 6), (4, 5), (4, 7), (5, 8)];
        Self::from_doors(3, &doors)
    }

    /// A maze of `side` × `side` rooms from a seed: a tree of doors by a random walk back and
    /// forth, and a few more so that there is more than one way.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a side below 2 or above 64.
    pub fn random(side: usize, seed: u64) -> Result<Self> {
        config::require((2..=64).contains(&side), "side", side, "from 2 to 64")?;
        let mut random = Random::new(seed);
        let rooms = side * side;
        let near = |room: usize| -> Vec<usize> {
            let sides = (0..4).filter_map(|action| beside(room, action, side));
            sides.filter(|next| *next < rooms).collect()
        };
        let mut visited = vec![false; rooms];
        let (mut doors, mut way) = (Vec::new(), vec![0]);
        visited[0] = true;
        while let Some(&room) = way.last() {
            let open: Vec<usize> = near(room).into_iter().filter(|r| !visited[*r]).collect();
            if open.is_empty() {
                way.pop();
                continue;
            }
            let next = open[random.below(open.len())];
            visited[next] = true;
            doors.push((room, next));
            way.push(next);
        }
        for _ in 0..rooms / 8 {
            let room = random.below(rooms);
            let near = near(room);
            doors.push((room, near[random.below(near.len())]));
        }
        Ok(Self::from_doors(side, &doors))
    }

    fn from_doors(side: usize, doors: &[(usize, usize)]) -> Self {
        let rooms = side * side;
        let goal = rooms - 1;
        let mut rewards = vec![vec![-1.0; rooms]; rooms];
        for &(a, b) in doors {
            rewards[a][b] = if b == goal { 100.0 } else { 0.0 };
            rewards[b][a] = if a == goal { 100.0 } else { 0.0 };
        }
        Self { rewards, walls: Walls::BelowZero, start: 0, goal, columns: Some(side) }
    }

    /// The reward matrix.
    pub fn rewards(&self) -> &[Vec<f64>] {
        &self.rewards
    }

    /// How many rooms there are.
    pub fn rooms(&self) -> usize {
        self.rewards.len()
    }

    /// Where episodes start and end.
    pub fn start_and_goal(&self) -> (usize, usize) {
        (self.start, self.goal)
    }

    /// Rooms in a row of the plan, where they lie on a grid.
    pub fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// Whether a door leads from one room to another.
    pub fn has_door(&self, from: usize, to: usize) -> bool {
        self.walls.is_door(self.rewards[from][to])
    }

    /// The rooms to which doors lead from one.
    pub fn doors(&self, room: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.rooms()).filter(move |to| self.has_door(room, *to))
    }

    /// The table in the matrix's own form: the action is the room to go to, walls are impossible
    /// actions, and in the goal the task ends.
    pub fn mdp(&self) -> Mdp {
        self.by_rooms(true)
    }

    /// The same without an end: in the goal it goes on through the goal's own doors, one to itself
    /// included. Where it has none, the task ends there after all.
    pub fn endless_mdp(&self) -> Mdp {
        self.by_rooms(self.doors(self.goal).next().is_none())
    }

    fn by_rooms(&self, ends: bool) -> Mdp {
        let happens = |room: usize, to: usize| {
            if ends && room == self.goal {
                return vec![Outcome::certain(room, 0.0, true)];
            }
            let reward = self.rewards[room][to];
            let door = self.has_door(room, to);
            let door = door.then(|| Outcome::certain(to, reward, ends && to == self.goal));
            door.into_iter().collect()
        };
        Mdp::new(self.rooms(), self.starts(), happens)
            .unwrap_or_else(|error| unreachable!("a checked matrix gives a sound table: {error}"))
    }

    fn starts(&self) -> Vec<f64> {
        let mut starts = vec![0.0; self.rooms()];
        starts[self.start] = 1.0;
        starts
    }

    /// The table of a maze on a grid with four actions, left, down, right and up: a wall lets
    /// nothing happen. [`by_doors`](Self::by_doors) reads a policy of it.
    ///
    /// # Errors
    ///
    /// [`Error::RewardMatrix`] for a maze that does not lie on a grid.
    pub fn grid_mdp(&self) -> Result<Mdp> {
        if self.columns.is_none() {
            return Err(Error::RewardMatrix("its rooms do not lie on a grid".to_owned()));
        }
        Mdp::new(4, self.starts(), |room, action| {
            if room == self.goal {
                return vec![Outcome::certain(room, 0.0, true)];
            }
            vec![match self.beyond(room, action) {
                Some(next) => Outcome::certain(next, self.rewards[room][next], next == self.goal),
                None => Outcome::certain(room, 0.0, false),
            }]
        })
    }

    /// The room behind the door on a side: left, below, right, above.
    fn beyond(&self, room: usize, action: usize) -> Option<usize> {
        beside(room, action, self.columns?)
            .filter(|next| *next < self.rooms() && self.has_door(room, *next))
    }

    /// A policy of [`grid_mdp`](Self::grid_mdp) as one of [`mdp`](Self::mdp): the room that each
    /// action leads to, the same room at a wall.
    pub fn by_doors(&self, policy: &[usize]) -> Vec<usize> {
        let rooms = policy.iter().enumerate().take(self.rooms());
        rooms.map(|(room, action)| self.beyond(room, *action).unwrap_or(room)).collect()
    }

    /// The world to act in, whose action is the room to go to.
    pub fn environment(&self) -> Finite {
        self.mdp().environment()
    }

    /// The rooms that a policy of [`mdp`](Self::mdp) goes through; it ends at the goal, at a
    /// wall, or before it goes round in a circle.
    pub fn path(&self, policy: &[usize]) -> Vec<usize> {
        let mut path = vec![self.start];
        let mut room = self.start;
        while room != self.goal {
            match policy.get(room) {
                Some(&next)
                    if next < self.rooms()
                        && self.has_door(room, next)
                        && !path.contains(&next) =>
                {
                    path.push(next);
                    room = next;
                }
                _ => break,
            }
        }
        path
    }
}

/// The field to the left of one, below it, to its right, or above it; below may be outside.
fn beside(field: usize, action: usize, columns: usize) -> Option<usize> {
    match action {
        0 => (!field.is_multiple_of(columns)).then(|| field - 1),
        1 => Some(field + columns),
        2 => (field % columns + 1 < columns).then(|| field + 1),
        _ => field.checked_sub(columns),
    }
}
