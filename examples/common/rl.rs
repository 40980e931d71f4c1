//! Training agents over seeds, and drawing worlds.

use std::path::Path;

use ::rl::deep::{Agent, Learned, PeriodicEvaluation};
use ::rl::environments::{
    AcrobotDynamics, CartPoleDynamics, ControlEnvironment, ControlVectorEnvironment, Dynamics,
    Maze, MountainCarContinuousDynamics, MountainCarDynamics, PendulumDynamics,
};
use ::rl::random::mix;
use ::rl::vector::VectorEnvironment;
use ::rl::{Environment as _, Evaluation, Policy, evaluate};
use burn::tensor::Device;
use model_utils::image::Image;
use model_utils::picture::{Animation, Curves, viridis};
use model_utils::train::Budget;

use super::{Metrics, Session};

/// Greedy episodes by which an agent is judged.
pub const EPISODES: usize = 100;

/// States of an agent among which the best may be kept.
const PARTS: u64 = 20;
/// Greedy episodes by which each of them is judged.
const JUDGES: usize = 20;
/// Environment steps between two checkpoints, at most.
pub const CHECKPOINT_EVERY: u64 = 20_000;

/// What is trained how often.
pub struct Task<'a> {
    pub session: &'a Session,
    /// For files, within the session's folder.
    pub out: &'a Path,
    pub device: &'a Device,
    pub title: String,
    pub environments: usize,
    pub steps: u64,
    pub seeds: u64,
    pub seed: u64,
    /// Keep the best of twenty states by twenty greedy episodes each, and judge that one.
    pub keep_best: bool,
}

/// Learns to the end of a budget, from the latest checkpoint on.
pub fn learn<A: Agent>(
    session: &Session,
    name: &str,
    agent: &mut A,
    environments: &mut dyn VectorEnvironment,
    budget: Budget,
) -> anyhow::Result<Learned> {
    session.stage(format!("training {name}"));
    let learned = agent.learn(environments, budget, &mut session.progress())?;
    session.check()?;
    Ok(learned)
}

impl Task<'_> {
    /// Trains an agent for each seed and judges each by 100 greedy episodes. Draws `curve.svg` and
    /// `episode.gif`, saves `agent.safetensors` of the first seed.
    pub fn run<D, A>(&self, config: impl Fn(u64) -> A::Config) -> anyhow::Result<Metrics>
    where
        D: Dynamics + 'static,
        A: Agent + Policy<D::Observation, D::Action>,
        ControlEnvironment<D>: Drawn,
    {
        let (mut means, mut rewards, mut curves) = (Vec::new(), Vec::new(), Vec::new());
        let (mut wall_s, mut steps) = (0.0, 0);
        let mut metrics = Metrics::default();
        for number in 0..self.seeds {
            let seed = self.seed + number;
            let mut environments =
                ControlVectorEnvironment::new(D::default(), self.environments, mix(seed, 0))?;
            let spaces = environments.spaces().clone();
            let name = format!("agent-{seed}");
            let checkpoints = self.session.checkpoints(&name)?;
            let every = (self.steps / 10).clamp(1, CHECKPOINT_EVERY);
            let mut agent = A::from_config(&config(seed), &spaces, self.device)?;
            if self.keep_best {
                // What chooses is not what judges: other episodes.
                let judges = ControlVectorEnvironment::new(D::default(), JUDGES, mix(seed, 3))?;
                let every = (self.steps / PARTS).max(1);
                agent = agent.evaluated_by(PeriodicEvaluation::new(
                    judges,
                    every,
                    JUDGES,
                    mix(seed, 3),
                )?);
            }
            let mut agent = agent.resume_in(checkpoints, every, &mut environments)?;
            let of_seed = learn(
                self.session,
                &name,
                &mut agent,
                &mut environments,
                Budget::steps(self.steps),
            )?;
            let curve = agent.run().history().curve("episode_reward_mean").cloned();
            let points = curve.into_iter().flat_map(|curve| curve.points);
            curves.push(points.map(|(step, reward)| (step as f64, reward)).collect());
            wall_s += of_seed.wall_s;
            steps += of_seed.steps;
            self.session.stage(format!("judging {name}"));
            let judge = |agent: &A, state: &str| -> anyhow::Result<Evaluation> {
                let mut world = ControlEnvironment::<D>::new();
                let judged = self.session.around(agent);
                let found = evaluate(&judged, &mut world, EPISODES, mix(seed, 1))?;
                self.session.check()?;
                let least = found.rewards.iter().copied().fold(f64::INFINITY, f64::min);
                println!(
                    "seed {seed}, {state}: {found} over {EPISODES} greedy episodes, least {least:.1}"
                );
                Ok(found)
            };
            let mut found = judge(&agent, "last state")?;
            if let Some(best) = agent.become_best()? {
                metrics.set(&format!("eval_reward_mean_last_seed_{seed}"), found.mean());
                found = judge(&agent, &format!("best state, of step {}", best.steps))?;
            }
            metrics.set(&format!("eval_reward_mean_seed_{seed}"), found.mean());
            means.push(found.mean());
            rewards.extend(found.rewards);
            self.session.keep(&metrics);
            if number == 0 {
                agent.save(self.out.join("agent.safetensors"))?;
                episode::<D, A>(&agent, mix(seed, 2))?.save(self.out.join("episode.gif"))?;
            }
        }
        self.session.check()?;
        // A training in which no episode ended has no curve.
        if curves.iter().any(|curve: &Vec<(f64, f64)>| !curve.is_empty()) {
            curves.retain(|curve| !curve.is_empty());
            band(&self.title, &curves).save(self.out.join("curve.svg"))?;
        }
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let squares: f64 = rewards.iter().map(|r| (r - mean).powi(2)).sum();
        metrics.set("eval_reward_mean", mean);
        metrics.set("eval_reward_std", (squares / count).sqrt());
        metrics.set("train_wall_s", wall_s / means.len() as f64);
        metrics.set("steps_per_s", steps as f64 / wall_s);
        metrics.set("steps", steps / means.len() as u64);
        metrics.set("seeds", means.len());
        Ok(metrics)
    }
}

/// The mean of the curves, and from the least to the most of them.
pub fn band(title: &str, curves: &[Vec<(f64, f64)>]) -> Curves {
    let last = curves.iter().filter_map(|c| c.last()).map(|p| p.0).fold(0.0, f64::max);
    let (mut line, mut area) = (Vec::new(), Vec::new());
    for part in 1..=200 {
        let x = last * f64::from(part) / 200.0;
        let at =
            |curve: &Vec<(f64, f64)>| curve.iter().take_while(|p| p.0 <= x).last().map(|p| p.1);
        let values: Vec<f64> = curves.iter().filter_map(at).collect();
        if values.len() == curves.len() {
            line.push((x, values.iter().sum::<f64>() / values.len() as f64));
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            area.push((x, low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
        }
    }
    let picture = Curves::new(title)
        .x_label("environment steps")
        .y_label("reward an episode, mean of the last 100 while exploring");
    let picture =
        if curves.len() > 1 { picture.band("least to most of the seeds", &area) } else { picture };
    picture.line("mean", &line)
}

/// An episode of the trained agent, every second step.
fn episode<D, A>(agent: &A, seed: u64) -> anyhow::Result<Animation>
where
    D: Dynamics,
    A: Policy<D::Observation, D::Action>,
    ControlEnvironment<D>: Drawn,
{
    let mut world = ControlEnvironment::<D>::new();
    let mut animation = Animation::new(40);
    let mut observation = world.reset(seed)?;
    for number in 0..300 {
        if number % 2 == 0 {
            animation.push(&world.draw())?;
        }
        let step = world.step(&agent.act(&observation, None)?)?;
        if step.ended() {
            break;
        }
        observation = step.observation;
    }
    animation.push_for(&world.draw(), 800)?;
    Ok(animation)
}

const INK: [u8; 3] = [40, 40, 40];
const BLUE: [u8; 3] = [0, 114, 178];
const RED: [u8; 3] = [213, 94, 0];
const PALE: [u8; 3] = [190, 190, 190];

/// Pixels to draw on; coordinates beyond the edges are left out.
pub struct Sheet {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; width * height * 3] }
    }

    fn dot(&mut self, x: f64, y: f64, color: [u8; 3]) {
        let (x, y) = (x.round(), y.round());
        if x >= 0.0 && y >= 0.0 && (x as usize) < self.width && (y as usize) < self.height {
            let at = (y as usize * self.width + x as usize) * 3;
            self.pixels[at..at + 3].copy_from_slice(&color);
        }
    }

    pub fn rectangle(&mut self, from: (f64, f64), to: (f64, f64), color: [u8; 3]) {
        for y in from.1 as i64..to.1 as i64 {
            for x in from.0 as i64..to.0 as i64 {
                self.dot(x as f64, y as f64, color);
            }
        }
    }

    pub fn disc(&mut self, (x, y): (f64, f64), radius: f64, color: [u8; 3]) {
        let reach = radius.ceil() as i64;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                if ((dx * dx + dy * dy) as f64) <= radius * radius {
                    self.dot(x + dx as f64, y + dy as f64, color);
                }
            }
        }
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, color: [u8; 3]) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let steps = (length * 2.0).ceil().max(1.0) as usize;
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            let at = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            self.disc(at, width / 2.0, color);
        }
    }

    pub fn into_image(self) -> Image {
        Image::new(self.width, self.height, 3, self.pixels)
            .unwrap_or_else(|error| unreachable!("three bytes a pixel: {error}"))
    }
}

/// A world that can be drawn as it is now.
pub trait Drawn {
    fn draw(&self) -> Image;
}

impl Drawn for ControlEnvironment<CartPoleDynamics> {
    fn draw(&self) -> Image {
        let [x, _, angle, _] = self.now();
        let mut sheet = Sheet::new(240, 120);
        let place = (120.0 + x * 45.0, 85.0);
        sheet.line((6.0, 95.0), (234.0, 95.0), 1.0, PALE);
        sheet.rectangle((place.0 - 14.0, 80.0), (place.0 + 14.0, 94.0), INK);
        let end = (place.0 + 62.0 * angle.sin(), 80.0 - 62.0 * angle.cos());
        sheet.line((place.0, 80.0), end, 5.0, RED);
        sheet.into_image()
    }
}

fn valley([position, _]: [f64; 2], goal: f64) -> Image {
    let mut sheet = Sheet::new(240, 120);
    let at = |x: f64| (20.0 + (x + 1.2) * 111.0, 104.0 - ((3.0 * x).sin() * 0.45 + 0.55) * 80.0);
    for step in 0..180 {
        let x = -1.2 + f64::from(step) * 0.01;
        sheet.line(at(x), at(x + 0.01), 1.5, INK);
    }
    let flag = at(goal);
    sheet.line(flag, (flag.0, flag.1 - 22.0), 1.5, INK);
    sheet.rectangle((flag.0, flag.1 - 22.0), (flag.0 + 12.0, flag.1 - 14.0), RED);
    let car = at(position);
    sheet.disc((car.0, car.1 - 7.0), 7.0, BLUE);
    sheet.into_image()
}

impl Drawn for ControlEnvironment<MountainCarDynamics> {
    fn draw(&self) -> Image {
        valley(self.now(), self.dynamics().goal)
    }
}

impl Drawn for ControlEnvironment<MountainCarContinuousDynamics> {
    fn draw(&self) -> Image {
        valley(self.now(), self.dynamics().goal)
    }
}

impl Drawn for ControlEnvironment<AcrobotDynamics> {
    fn draw(&self) -> Image {
        let [angle1, angle2, _, _] = self.now();
        let mut sheet = Sheet::new(160, 160);
        let middle = (80.0, 80.0);
        sheet.line((6.0, 45.0), (154.0, 45.0), 1.0, PALE);
        let elbow = (middle.0 + 35.0 * angle1.sin(), middle.1 + 35.0 * angle1.cos());
        let both = angle1 + angle2;
        let end = (elbow.0 + 35.0 * both.sin(), elbow.1 + 35.0 * both.cos());
        sheet.line(middle, elbow, 5.0, BLUE);
        sheet.line(elbow, end, 5.0, RED);
        sheet.disc(middle, 4.0, INK);
        sheet.disc(elbow, 4.0, INK);
        sheet.into_image()
    }
}

impl Drawn for ControlEnvironment<PendulumDynamics> {
    fn draw(&self) -> Image {
        let [angle, _] = self.now();
        let mut sheet = Sheet::new(160, 160);
        let middle = (80.0, 80.0);
        let end = (middle.0 + 60.0 * angle.sin(), middle.1 - 60.0 * angle.cos());
        sheet.line(middle, end, 8.0, RED);
        sheet.disc(middle, 4.0, INK);
        sheet.into_image()
    }
}

/// The plan of a maze: rooms coloured by value (grey where it is not above 0), an arrow in each towards
/// the next by a policy, and its path from the start. Rooms that lie on no grid stand in a circle.
pub fn plan(maze: &Maze, values: &[f64], policy: &[usize]) -> Image {
    let rooms = maze.rooms();
    let edge = 6.0;
    let columns = maze.columns().unwrap_or(1);
    let longest = columns.max(rooms.div_ceil(columns));
    let around = std::f64::consts::TAU / rooms as f64;
    let side = match maze.columns() {
        Some(_) => (360 / longest).clamp(8, 80) as f64,
        None => (120.0 * around).clamp(8.0, 60.0),
    };
    let length = |count: usize| match maze.columns() {
        Some(_) => (count as f64 * side + 2.0 * edge) as usize + 1,
        None => 360,
    };
    let mut sheet = Sheet::new(length(columns), length(rooms.div_ceil(columns)));
    let corner = |room: usize| {
        if maze.columns().is_some() {
            return (edge + (room % columns) as f64 * side, edge + (room / columns) as f64 * side);
        }
        let (sin, cos) = (room as f64 * around).sin_cos();
        (180.0 + 140.0 * sin - side / 2.0, 180.0 - 140.0 * cos - side / 2.0)
    };
    let centre = |room: usize| {
        let (x, y) = corner(room);
        (x + side / 2.0, y + side / 2.0)
    };
    if maze.columns().is_none() {
        for room in 0..rooms {
            maze.doors(room).for_each(|to| sheet.line(centre(room), centre(to), 1.0, PALE));
        }
    }
    let value = |room: usize| values.get(room).copied().unwrap_or(0.0);
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    for room in 0..rooms {
        let (x, y) = corner(room);
        // Each step away from the goal is a share of the one before: a power keeps them apart.
        let color = match value(room) / most {
            share if share > 0.0 => viridis(0.1 + 0.9 * share.powf(0.4)),
            _ => [228, 228, 228],
        };
        sheet.rectangle((x, y), (x + side + 1.0, y + side + 1.0), color);
    }
    let (start, goal) = maze.start_and_goal();
    sheet.rectangle(corner(goal), (corner(goal).0 + side, corner(goal).1 + side), [253, 231, 37]);
    for room in (0..rooms).filter(|_| maze.columns().is_some()) {
        let (x, y) = corner(room);
        let door = |other: usize| {
            other < rooms && (maze.has_door(room, other) || maze.has_door(other, room))
        };
        let (right, below) = (room % columns + 1 < columns, room + columns < rooms);
        if !(right && door(room + 1)) {
            sheet.line((x + side, y), (x + side, y + side), 3.0, INK);
        }
        if !(below && door(room + columns)) {
            sheet.line((x, y + side), (x + side, y + side), 3.0, INK);
        }
        if room % columns == 0 {
            sheet.line((x, y), (x, y + side), 3.0, INK);
        }
        if room < columns {
            sheet.line((x, y), (x + side, y), 3.0, INK);
        }
    }
    let is_learned = |room: usize| {
        let next = policy.get(room).copied().unwrap_or(rooms);
        value(room) > 0.0 && next < rooms && next != room && maze.has_door(room, next)
    };
    if is_learned(start) {
        for pair in maze.path(policy).windows(2) {
            sheet.line(centre(pair[0]), centre(pair[1]), (side / 10.0).max(2.0), RED);
        }
    }
    sheet.disc(centre(start), side / 5.0, RED);
    sheet.disc(centre(start), side / 8.0, [255, 255, 255]);
    sheet.disc(centre(goal), side / 5.0, RED);
    let arrows = (0..rooms).filter(|room| is_learned(*room) && *room != goal && side >= 16.0);
    for room in arrows {
        let (from, to) = (centre(room), centre(policy[room]));
        let long = (to.0 - from.0).hypot(to.1 - from.1);
        let (x, y) = ((to.0 - from.0) / long, (to.1 - from.1) / long);
        let at = |ahead: f64, aside: f64| {
            let (ahead, aside) = (ahead * side, aside * side);
            (from.0 + x * ahead - y * aside, from.1 + y * ahead + x * aside)
        };
        let width = (side / 30.0).max(1.0);
        for (tail, tip) in [
            (at(0.22, 0.0), at(0.42, 0.0)),
            (at(0.32, 0.09), at(0.42, 0.0)),
            (at(0.32, -0.09), at(0.42, 0.0)),
        ] {
            sheet.line(tail, tip, width + 2.0, [255, 255, 255]);
            sheet.line(tail, tip, width, INK);
        }
    }
    sheet.into_image()
}
