use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model_utils_core::error::panic_text;
use model_utils_core::event::Stop;
use serde_json::{Value, json};

use super::protocol::{
    Channel, ERROR, GLANCE, HELLO, Hello, OBSERVATIONS, Outcome, RESET, STEP, Seen, Shape,
    TRANSITIONS, Version, Welcome, hello, peer_error, read_actions, read_seed, to_json,
};
use crate::environment::{Element, Environment, action, check_reward, misfit};
use crate::error::{Error, Result};
use crate::space::Spaces;
use crate::vector::episode_seed;

/// The most connections at once.
const MOST_CONNECTIONS: usize = 64;
/// How long a frame may take from its first byte to its last.
const LIMIT: Duration = Duration::from_secs(5);

/// Serves environments to whoever connects, until the switch is turned on: to
/// `usagi_gymnasium.UsagiEnv` and `UsagiVectorEnv` in Python, to
/// [`RemoteEnvironment`](super::RemoteEnvironment) and
/// [`RemoteVectorEnvironment`](super::RemoteVectorEnvironment) in Rust.
///
/// Each connection has a thread and as many environments as it asks for, up to
/// [`MOST_ENVIRONMENTS`](super::MOST_ENVIRONMENTS), all made by `make`. `ended` is told of each that
/// has ended and of what went wrong in it; the others go on. Nobody is asked who they are: listen on
/// 127.0.0.1.
///
/// ```no_run
/// use std::net::TcpListener;
///
/// use rl::environments::CartPole;
/// use rl::gymnasium::serve;
/// use rl::prelude::Stop;
///
/// let listener = TcpListener::bind("127.0.0.1:5005")?;
/// let told = |peer, ended| println!("{peer}: {ended:?}");
/// serve(&listener, "cart_pole", || Ok(CartPole::new()), &Stop::new(), told)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Peer`] where nobody can connect.
pub fn serve<E: Environment>(
    listener: &TcpListener,
    name: &str,
    make: impl Fn() -> Result<E> + Sync,
    stop: &Stop,
    ended: impl Fn(SocketAddr, Result<()>) + Sync,
) -> Result<()>
where
    E::Observation: Element,
    E::Action: Element,
{
    let failed = |error: std::io::Error| peer_error("the listener", error.to_string());
    listener.set_nonblocking(true).map_err(failed)?;
    let open = AtomicUsize::new(0);
    let (make, ended, open) = (&make, &ended, &open);
    std::thread::scope(|scope| {
        while !stop.is_stopped() {
            match listener.accept() {
                Ok((stream, peer)) => {
                    // Closed at once: who connects sees the end.
                    if open.load(Ordering::SeqCst) >= MOST_CONNECTIONS {
                        let reason = format!("more than {MOST_CONNECTIONS} connections");
                        ended(peer, Err(peer_error(&peer.to_string(), reason)));
                        continue;
                    }
                    open.fetch_add(1, Ordering::SeqCst);
                    scope.spawn(move || {
                        let served = || connection(stream, peer, name, make, stop);
                        let served =
                            catch_unwind(AssertUnwindSafe(served)).unwrap_or_else(|panic| {
                                let reason = format!("the world panicked: {}", panic_text(&*panic));
                                Err(peer_error(&peer.to_string(), reason))
                            });
                        open.fetch_sub(1, Ordering::SeqCst);
                        ended(peer, served);
                    });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(GLANCE),
                // Of one who is gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // What is open cannot be waited for.
                    stop.stop();
                    return Err(failed(error));
                }
            }
        }
        Ok(())
    })
}

/// Answers one client until it goes.
fn connection<E: Environment>(
    stream: TcpStream,
    peer: SocketAddr,
    name: &str,
    make: impl Fn() -> Result<E>,
    stop: &Stop,
) -> Result<()>
where
    E::Observation: Element,
    E::Action: Element,
{
    let mut channel = Channel::new(stream, peer.to_string(), LIMIT)?;
    let Some((kind, body)) = channel.receive(None)? else { return Ok(()) };
    let mut worlds = match asked(kind, &body, name).and_then(|asked| Worlds::new(&asked, make)) {
        Ok(worlds) => worlds,
        Err(reason) => {
            channel.send(ERROR, &to_json(&json!({ "message": reason })))?;
            return Err(channel.error(reason));
        }
    };
    let welcome = Welcome {
        version: Version::own(),
        environment: name.to_owned(),
        count: worlds.shape.count,
        spaces: worlds.spaces.clone(),
    };
    channel.send(HELLO, &to_json(&welcome))?;
    while let Some((kind, body)) = channel.receive(Some(stop))? {
        let mut out = Vec::new();
        let answer = match kind {
            RESET => read_seed(&body).map_err(|reason| channel.error(reason)).and_then(|seed| {
                worlds.reset(seed)?.write(&mut out);
                Ok(OBSERVATIONS)
            }),
            STEP => read_actions(&body, worlds.shape.count, &worlds.spaces.action)
                .map_err(|reason| channel.error(reason))
                .and_then(|actions| {
                    worlds.step(&actions)?.write(&mut out);
                    Ok(TRANSITIONS)
                }),
            other => Err(channel.error(format!("it sent a frame of the kind {other}"))),
        };
        match answer {
            Ok(kind) => channel.send(kind, &out)?,
            Err(error) => {
                channel.send(ERROR, &to_json(&json!({ "message": error.to_string() })))?;
                // Who does not speak as expected is not understood further on either.
                if let Error::Peer { .. } = error {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// What a client asks for, where it is here.
fn asked(kind: u8, body: &[u8], name: &str) -> Result<Hello, String> {
    if kind != HELLO {
        return Err(format!("it began with a frame of the kind {kind}, expected a hello"));
    }
    let asked: Hello = hello(body)?;
    if !asked.environment.is_empty() && asked.environment != name {
        return Err(format!("{:?} is not served here, {name:?} is", asked.environment));
    }
    match &asked.arguments {
        Value::Null => Ok(asked),
        Value::Object(none) if none.is_empty() => Ok(asked),
        other => Err(format!("{name:?} takes no arguments, found {other}")),
    }
}

/// The environments of a connection.
struct Worlds<E: Environment> {
    cells: Vec<E>,
    /// The episode that each is in.
    episodes: Vec<u64>,
    spaces: Spaces,
    shape: Shape,
    seed: u64,
    steps: u64,
    running: bool,
}

impl<E: Environment> Worlds<E>
where
    E::Observation: Element,
    E::Action: Element,
{
    fn new(asked: &Hello, make: impl Fn() -> Result<E>) -> Result<Self, String> {
        let text = |error: Error| error.to_string();
        let first = make().map_err(text)?;
        let spaces = first.spaces();
        let shape = Shape::new(&spaces, asked.count, asked.autoreset)?;
        let mut cells = vec![first];
        while cells.len() < asked.count {
            let cell = make().map_err(text)?;
            spaces.expect(&cell.spaces()).map_err(text)?;
            cells.push(cell);
        }
        let episodes = vec![0; asked.count];
        Ok(Self { cells, episodes, spaces, shape, seed: 0, steps: 0, running: false })
    }

    /// Starts all anew: each from its own seed, or a single one that is not reset by itself from
    /// the given one.
    fn reset(&mut self, seed: u64) -> Result<Seen> {
        (self.seed, self.steps, self.running) = (seed, 0, false);
        self.episodes.fill(0);
        let mut seen = Seen::default();
        for i in 0..self.cells.len() {
            let seed = if self.shape.autoreset { episode_seed(seed, i, 0) } else { seed };
            let observation = self.cells[i].reset(seed)?;
            self.look(i, &observation, true, &mut seen)?;
        }
        self.running = true;
        Ok(seen)
    }

    fn step(&mut self, actions: &[f64]) -> Result<Outcome> {
        if !self.running {
            return Err(Error::Ended);
        }
        let space = &self.spaces.action;
        let actions = actions.chunks(space.numbers()).map(|row| action(row, space));
        let actions = actions.collect::<Result<Vec<E::Action>>>()?;
        // An error in one of them leaves all at different steps.
        self.running = false;
        self.steps += 1;
        let (mut outcome, mut ended) = (Outcome::default(), false);
        for (i, action) in actions.iter().enumerate() {
            let step = self.cells[i].step(action)?;
            check_reward(step.reward, i, self.steps)?;
            let truncated = step.truncated && !step.terminated;
            outcome.rewards.push(step.reward);
            outcome.terminated.push(step.terminated);
            outcome.truncated.push(truncated);
            if step.ended() && self.shape.autoreset {
                let mut last = Seen::default();
                self.look(i, &step.observation, truncated, &mut last)?;
                outcome.finals.push((i, last));
                self.episodes[i] += 1;
                let seed = episode_seed(self.seed, i, self.episodes[i]);
                let first = self.cells[i].reset(seed)?;
                self.look(i, &first, true, &mut outcome.seen)?;
            } else {
                ended |= step.ended();
                self.look(i, &step.observation, !step.terminated, &mut outcome.seen)?;
            }
            outcome.infos.push(step.info);
        }
        self.running = !ended;
        Ok(outcome)
    }

    /// Adds what is observed in one of them; after the end of a task no mask matters.
    fn look(
        &self,
        i: usize,
        observation: &E::Observation,
        goes_on: bool,
        seen: &mut Seen,
    ) -> Result<()> {
        let space = &self.spaces.observation;
        let numbers = observation.numbers();
        space.form(&numbers).map_err(|fault| misfit(fault, space, i, self.steps))?;
        let mask = self.cells[i].mask().filter(|_| goes_on && self.shape.choices > 0);
        mask.map_or(Ok(()), |mask| self.spaces.check_mask(mask))?;
        seen.push(&numbers, mask, self.shape);
        Ok(())
    }
}
