use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use derive_setters::Setters;
use model_utils_core::config;
use serde_json::{Value, json};

use super::protocol::{
    Channel, ERROR, GLANCE, HELLO, Hello, OBSERVATIONS, Outcome, RESET, STEP, Seen, Shape,
    TRANSITIONS, Version, Welcome, hello, peer_error, refusal, to_json, write_numbers,
};
use crate::environment::{Environment, Step, action, check_reward, misfit, refused};
use crate::error::{Error, Result};
use crate::space::Spaces;
use crate::vector::{Actions, Episode, Transitions, VectorEnvironment, chosen};

/// The most bytes that are kept of what a program says.
const SAID: usize = 2000;

/// Which environments of a server.
#[derive(Debug, Clone, PartialEq, Setters)]
#[setters(prefix = "with_")]
pub struct RemoteConfig {
    /// What the server knows them by: an id of `gymnasium.make`, the name given to
    /// [`serve`](super::serve), or nothing for whatever is served.
    pub environment: String,
    /// Further arguments of `gymnasium.make`, an object.
    pub arguments: Value,
    /// How many side by side.
    pub count: usize,
    /// What all their episodes follow from.
    pub seed: u64,
    /// How long an answer may take, a step of all of them or their start.
    pub timeout: Duration,
}

impl RemoteConfig {
    /// One environment, seed 0, a minute for an answer.
    pub fn new(environment: impl Into<String>) -> Self {
        Self {
            environment: environment.into(),
            arguments: json!({}),
            count: 1,
            seed: 0,
            timeout: Duration::from_mins(1),
        }
    }
}

/// A program that was started, and the end of what it said.
#[derive(Debug)]
struct Program {
    text: String,
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Program {
    fn start(mut command: Command) -> Result<Self> {
        let text = format!("`{}`", words(&command));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child =
            started.map_err(|error| peer_error(&text, format!("cannot be started: {error}")))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        if let Some(mut from) = child.stderr.take() {
            let said = said.clone();
            std::thread::spawn(move || {
                let mut part = [0; 1024];
                while let Ok(count @ 1..) = from.read(&mut part) {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    said.extend_from_slice(&part[..count]);
                    let more = said.len().saturating_sub(SAID);
                    said.drain(..more);
                }
            });
        }
        Ok(Self { text, child, said })
    }

    /// How it ended, where it did within a moment, and what it said last.
    fn last_words(&mut self) -> Option<String> {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begun.elapsed() < 10 * GLANCE => std::thread::sleep(GLANCE),
                _ => return None,
            }
        };
        std::thread::sleep(GLANCE);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Some(format!("{} ended with {status}: {said}", self.text))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as it is typed.
fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// A connection to environments.
#[derive(Debug)]
struct Link {
    channel: Channel,
    program: Option<Program>,
    spaces: Spaces,
    shape: Shape,
    waited: Duration,
    broken: bool,
}

impl Link {
    fn connect(
        address: impl ToSocketAddrs,
        config: &RemoteConfig,
        autoreset: bool,
    ) -> Result<Self> {
        let what = format!("the server of {:?}", config.environment);
        let failed = |error: std::io::Error| peer_error(&what, format!("no connection: {error}"));
        let mut last = std::io::Error::new(ErrorKind::NotFound, "the address is of no machine");
        for address in address.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, config.timeout.max(GLANCE)) {
                Ok(stream) => {
                    let peer = format!("{} at {address}", config.environment);
                    return Self::open(stream, peer, None, config, autoreset);
                }
                Err(error) => {
                    last = std::io::Error::new(error.kind(), format!("{address}: {error}"));
                }
            }
        }
        Err(failed(last))
    }

    fn spawn(mut command: Command, config: &RemoteConfig, autoreset: bool) -> Result<Self> {
        let failed = |error: std::io::Error| peer_error("127.0.0.1", error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        command.arg("--connect").arg(listener.local_addr().map_err(failed)?.to_string());
        let mut program = Program::start(command)?;
        let begun = Instant::now();
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
            if let Ok(Some(_)) = program.child.try_wait() {
                let said = program.last_words().unwrap_or_default();
                return Err(peer_error(&config.environment, said));
            }
            if begun.elapsed() > config.timeout {
                let reason = format!("it did not connect within {:?}", config.timeout);
                return Err(peer_error(&program.text, reason));
            }
            std::thread::sleep(GLANCE / 5);
        };
        let peer = format!("{} in {}", config.environment, program.text);
        Self::open(stream, peer, Some(program), config, autoreset)
    }

    /// Says hello.
    fn open(
        stream: TcpStream,
        peer: String,
        program: Option<Program>,
        config: &RemoteConfig,
        autoreset: bool,
    ) -> Result<Self> {
        let channel = Channel::new(stream, peer, config.timeout)?;
        let count = if autoreset { config.count } else { 1 };
        let mut link = Self {
            channel,
            program,
            spaces: Spaces {
                observation: crate::Space::Discrete(1),
                action: crate::Space::Discrete(1),
            },
            shape: Shape { count, numbers: 1, choices: 1, autoreset },
            waited: Duration::ZERO,
            broken: false,
        };
        let asked = Hello {
            version: Version::own(),
            environment: config.environment.clone(),
            arguments: config.arguments.clone(),
            count,
            autoreset,
        };
        let (spaces, shape) = link.ask(HELLO, &to_json(&asked), HELLO, |bytes, _| {
            let found: Welcome = hello(bytes)?;
            let name = &asked.environment;
            if !name.is_empty() && found.environment != *name {
                return Err(format!("it serves {:?}, expected {name:?}", found.environment));
            }
            if found.count != count {
                return Err(format!("it has {} environments, expected {count}", found.count));
            }
            let shape = Shape::new(&found.spaces, count, autoreset)?;
            Ok((found.spaces, shape))
        })?;
        (link.spaces, link.shape, link.waited) = (spaces, shape, Duration::ZERO);
        Ok(link)
    }

    /// Sends a frame and reads the answer. What is no answer ends the connection; what the server
    /// refuses does not.
    fn ask<T>(
        &mut self,
        kind: u8,
        body: &[u8],
        expected: u8,
        read: impl FnOnce(&[u8], Shape) -> Result<T, String>,
    ) -> Result<T> {
        if self.broken {
            return Err(self.channel.error("the connection has ended with an error before"));
        }
        self.broken = true;
        let begun = Instant::now();
        let sent = self.channel.send(kind, body);
        let answer = sent.and_then(|()| self.channel.receive(None));
        self.waited += begun.elapsed();
        let failed = match answer {
            Ok(Some((ERROR, bytes))) => {
                // After a hello it goes.
                self.broken = kind == HELLO;
                return Err(self.channel.error(refusal(&bytes)));
            }
            Ok(Some((found, bytes))) if found == expected => match read(&bytes, self.shape) {
                Ok(read) => {
                    self.broken = false;
                    return Ok(read);
                }
                Err(reason) => return Err(self.channel.error(reason)),
            },
            Ok(Some((found, _))) => {
                return Err(self.channel.error(format!(
                    "it answered with a frame of the kind {found}, expected {expected}"
                )));
            }
            Ok(None) => self.channel.error("it closed the connection in place of an answer"),
            Err(error) => error,
        };
        match self.program.as_mut().and_then(Program::last_words) {
            Some(said) => Err(self.channel.error(said)),
            None => Err(failed),
        }
    }

    fn reset(&mut self, seed: u64) -> Result<Seen> {
        self.ask(RESET, &seed.to_le_bytes(), OBSERVATIONS, Seen::read)
    }

    fn step(&mut self, actions: &[f64]) -> Result<Outcome> {
        let mut body = Vec::with_capacity(8 * actions.len());
        write_numbers(actions, &mut body);
        self.ask(STEP, &body, TRANSITIONS, Outcome::read)
    }

    /// Writes observations as features, and looks at the masks beside them.
    fn encode(&self, seen: &Seen, first: usize, step: u64, out: &mut [f32]) -> Result<()> {
        let space = &self.spaces.observation;
        let rows = seen.observations.chunks(space.numbers());
        for (i, (row, out)) in rows.zip(out.chunks_mut(space.features())).enumerate() {
            let written = space.encode(row, out);
            written.map_err(|fault| misfit(fault, space, first + i, step))?;
        }
        let mut masks = seen.masks.iter().flat_map(|all| all.chunks(self.shape.choices));
        masks.try_for_each(|mask| self.spaces.check_mask(mask))
    }
}

fn cannot_save<T>() -> Result<T> {
    Err(Error::Resume("environments behind a socket cannot save their state".to_owned()))
}

/// Environments of another program, as many as one likes: of Gymnasium's, in Python.
///
/// They start anew within the same step, as all [`vector`](crate::vector)s do. What the other side
/// does wrong is an [`Error::Peer`], after which the connection is of no use; what it answers to an
/// action or a seed that it refuses is one too, and the next [`reset`](Self::reset) goes on.
#[derive(Debug)]
pub struct RemoteVectorEnvironment {
    link: Link,
    observations: Vec<f32>,
    masks: Option<Vec<bool>>,
    transitions: Transitions,
    /// Rewards and steps of the episodes so far.
    running: Vec<(f64, u64)>,
    steps: u64,
}

impl RemoteVectorEnvironment {
    /// Environments of a server that is there.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none, [`Error::Peer`] with what the other side does wrong, and as
    /// [`reset`](VectorEnvironment::reset).
    pub fn connect(address: impl ToSocketAddrs, config: &RemoteConfig) -> Result<Self> {
        config::at_least("count", config.count, 1)?;
        Self::open(Link::connect(address, config, true)?, config)
    }

    /// Environments of a program that is started for them, given `--connect 127.0.0.1:PORT`, and
    /// ended with them.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and [`Error::Peer`] with the command where it cannot be
    /// started or ends, and what it said.
    pub fn spawn(command: Command, config: &RemoteConfig) -> Result<Self> {
        config::at_least("count", config.count, 1)?;
        Self::open(Link::spawn(command, config, true)?, config)
    }

    fn open(link: Link, config: &RemoteConfig) -> Result<Self> {
        let (count, features) = (link.shape.count, link.spaces.observation.features());
        let mut all = Self {
            link,
            observations: vec![0.0; count * features],
            masks: None,
            transitions: Transitions::new(count, features),
            running: Vec::new(),
            steps: 0,
        };
        all.reset(config.seed)?;
        Ok(all)
    }

    /// How long it waited for answers.
    pub fn waited(&self) -> Duration {
        self.link.waited
    }

    fn observe(&mut self, seen: Seen) -> Result<()> {
        self.link.encode(&seen, 0, self.steps, &mut self.observations)?;
        if self.masks.is_some() && seen.masks.is_none() {
            self.masks = Some(vec![true; self.link.shape.count * self.link.shape.choices]);
        } else {
            self.masks = seen.masks;
        }
        Ok(())
    }
}

impl VectorEnvironment for RemoteVectorEnvironment {
    fn spaces(&self) -> &Spaces {
        &self.link.spaces
    }

    fn count(&self) -> usize {
        self.link.shape.count
    }

    fn observations(&self) -> &[f32] {
        &self.observations
    }

    fn masks(&self) -> Option<&[bool]> {
        self.masks.as_deref()
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.steps = 0;
        self.running = vec![(0.0, 0); self.count()];
        let seen = self.link.reset(seed)?;
        self.observe(seen)
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions> {
        let (count, space) = (self.count(), &self.link.spaces.action);
        actions.expect(count, space)?;
        let mut numbers = Vec::new();
        for i in 0..count {
            numbers.extend(chosen::<Vec<f64>>(actions, i, space, self.steps + 1)?);
        }
        let outcome = self.link.step(&numbers)?;
        self.steps += 1;
        let Shape { choices, .. } = self.link.shape;
        let features = self.link.spaces.observation.features();
        let transitions = &mut self.transitions;
        transitions.episodes.clear();
        for (i, reward) in outcome.rewards.iter().enumerate() {
            check_reward(*reward, i, self.steps)?;
            transitions.rewards[i] = *reward as f32;
            self.running[i].0 += reward;
            self.running[i].1 += 1;
        }
        transitions.terminated.clone_from(&outcome.terminated);
        transitions.truncated.clone_from(&outcome.truncated);
        let mut infos = outcome.infos;
        for (i, last) in outcome.finals {
            let row = &mut transitions.final_observations[i * features..][..features];
            self.link.encode(&last, i, self.steps, row)?;
            transitions.write_final_mask(i, choices, last.masks.as_deref());
            let (reward, length) = std::mem::take(&mut self.running[i]);
            let info = std::mem::take(&mut infos[i]);
            transitions.episodes.push(Episode { environment: i, reward, length, info });
        }
        self.observe(outcome.seen)?;
        Ok(&self.transitions)
    }

    fn state(&self) -> Result<Value> {
        cannot_save()
    }

    fn restore(&mut self, _state: &Value) -> Result<()> {
        cannot_save()
    }
}

/// One environment of another program, its elements in their flat form.
///
/// A reset passes its seed on: `env.reset(seed=…)` in Python.
#[derive(Debug)]
pub struct RemoteEnvironment {
    link: Link,
    mask: Option<Vec<bool>>,
    running: bool,
    steps: u64,
}

impl RemoteEnvironment {
    /// An environment of a server that is there; `count` and `seed` do not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what the other side does wrong.
    pub fn connect(address: impl ToSocketAddrs, config: &RemoteConfig) -> Result<Self> {
        Ok(Self::open(Link::connect(address, config, false)?))
    }

    /// An environment of a program that is started for it, given `--connect 127.0.0.1:PORT`, and
    /// ended with it.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and [`Error::Peer`] with the command where it cannot be
    /// started or ends, and what it said.
    pub fn spawn(command: Command, config: &RemoteConfig) -> Result<Self> {
        Ok(Self::open(Link::spawn(command, config, false)?))
    }

    fn open(link: Link) -> Self {
        Self { link, mask: None, running: false, steps: 0 }
    }

    /// How long it waited for answers.
    pub fn waited(&self) -> Duration {
        self.link.waited
    }

    /// The observation, where it is one.
    fn observe(&mut self, seen: Seen) -> Result<Vec<f64>> {
        let space = &self.link.spaces.observation;
        let form = space.form(&seen.observations);
        form.map_err(|fault| misfit(fault, space, 0, self.steps))?;
        if let Some(mask) = &seen.masks {
            self.link.spaces.check_mask(mask)?;
        }
        self.mask = seen.masks;
        Ok(seen.observations)
    }
}

impl Environment for RemoteEnvironment {
    type Observation = Vec<f64>;
    type Action = Vec<f64>;

    fn spaces(&self) -> Spaces {
        self.link.spaces.clone()
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        (self.running, self.steps) = (false, 0);
        let seen = self.link.reset(seed)?;
        let observation = self.observe(seen)?;
        self.running = true;
        Ok(observation)
    }

    fn step(&mut self, numbers: &Vec<f64>) -> Result<Step<Vec<f64>>> {
        if !self.running {
            return Err(Error::Ended);
        }
        let space = &self.link.spaces.action;
        let numbers: Vec<f64> = action(numbers, space)?;
        if self.mask.as_ref().is_some_and(|mask| !space.allows(&numbers, mask)) {
            return Err(refused(&numbers, space));
        }
        let mut outcome = self.link.step(&numbers)?;
        self.steps += 1;
        check_reward(outcome.rewards[0], 0, self.steps)?;
        let (terminated, truncated) = (outcome.terminated[0], outcome.truncated[0]);
        self.running = !(terminated || truncated);
        // After the end of a task no mask matters.
        outcome.seen.masks = outcome.seen.masks.filter(|_| !terminated);
        let observation = self.observe(outcome.seen)?;
        let info = outcome.infos.swap_remove(0);
        Ok(Step { observation, reward: outcome.rewards[0], terminated, truncated, info })
    }

    fn mask(&self) -> Option<&[bool]> {
        self.mask.as_deref()
    }
}
