//! Mazes from a matrix of rewards.

use model_utils_core::config;
use model_utils_core::random::Random;

use super::finite::{Finite, Mdp, Outcome};
use crate::error::{Error, Result};

/// Rooms with doors: the reward matrix says what going from a room (row) to another (column)
/// brings; a negative entry is a wall. The task ends in the goal.
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
    start: usize,
    goal: usize,
    /// Rooms in a row of the plan, where they lie on a grid.
    columns: Option<usize>,
}

impl Maze {
    /// The maze of a reward matrix.
    ///
    /// # Errors
    ///
    /// [`Error::RewardMatrix`] for a matrix that is not square, holds a number that is not
    /// finite, or has a dead end: a room without a way to the goal. [`Error::Config`] for a start
    /// or goal outside it.
    pub fn from_rewards(rewards: Vec<Vec<f64>>, start: usize, goal: usize) -> Result<Self> {
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
                if rewards[from][room] >= 0.0 && !reached[from] {
                    reached[from] = true;
                    open.push(from);
                }
            }
        }
        match reached.iter().position(|reached| !reached) {
            Some(room) => bad(format!("room {room} is a dead end: no way leads to room {goal}")),
            None => Ok(Self { rewards, start, goal, columns: None }),
        }
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
        let beside = |room: usize| {
            let (row, column) = (room / side, room % side);
            let mut near = Vec::with_capacity(4);
            near.extend((column > 0).then(|| room - 1));
            near.extend((row + 1 < side).then(|| room + side));
            near.extend((column + 1 < side).then(|| room + 1));
            near.extend((row > 0).then(|| room - side));
            near
        };
        let mut visited = vec![false; rooms];
        let (mut doors, mut way) = (Vec::new(), vec![0]);
        visited[0] = true;
        while let Some(&room) = way.last() {
            let open: Vec<usize> = beside(room).into_iter().filter(|r| !visited[*r]).collect();
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
            let near = beside(room);
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
        Self { rewards, start: 0, goal, columns: Some(side) }
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
        self.rewards[from][to] >= 0.0
    }

    /// The table in the matrix's own form: the action is the room to go to, and walls are
    /// impossible actions.
    pub fn mdp(&self) -> Mdp {
        let mut starts = vec![0.0; self.rooms()];
        starts[self.start] = 1.0;
        let happens = |room: usize, to: usize| {
            if room == self.goal {
                return vec![Outcome::certain(room, 0.0, true)];
            }
            let reward = self.rewards[room][to];
            let door = (reward >= 0.0).then(|| Outcome::certain(to, reward, to == self.goal));
            door.into_iter().collect()
        };
        Mdp::new(self.rooms(), starts, happens)
            .unwrap_or_else(|error| unreachable!("a checked matrix gives a sound table: {error}"))
    }

    /// The table of a maze on a grid with four actions, left, down, right and up: a wall lets
    /// nothing happen.
    ///
    /// # Errors
    ///
    /// [`Error::RewardMatrix`] for a maze that does not lie on a grid.
    pub fn grid_mdp(&self) -> Result<Mdp> {
        let Some(columns) = self.columns else {
            return Err(Error::RewardMatrix("its rooms do not lie on a grid".to_owned()));
        };
        let rooms = self.rooms();
        let mut starts = vec![0.0; rooms];
        starts[self.start] = 1.0;
        Mdp::new(4, starts, |room, action| {
            if room == self.goal {
                return vec![Outcome::certain(room, 0.0, true)];
            }
            let next = match action {
                0 => (room % columns > 0).then(|| room - 1),
                1 => Some(room + columns),
                2 => (room % columns + 1 < columns).then(|| room + 1),
                _ => room.checked_sub(columns),
            };
            let next = next.filter(|next| *next < rooms && self.has_door(room, *next));
            vec![match next {
                Some(next) => Outcome::certain(next, self.rewards[room][next], next == self.goal),
                None => Outcome::certain(room, 0.0, false),
            }]
        })
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
