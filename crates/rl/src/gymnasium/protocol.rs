//! Frames, and what is in them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use model_utils_core::event::Stop;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::Info;
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

pub(super) const PROTOCOL: &str = "usagi-gymnasium";
/// Both sides must speak the same.
pub const VERSION: u32 = 1;
/// The most bytes of a frame.
pub const MOST_BYTES: usize = 1 << 24;
/// The most environments of a connection.
pub const MOST_ENVIRONMENTS: usize = 4096;
/// How long a read waits before it looks at the clock and at the switch.
pub(super) const GLANCE: Duration = Duration::from_millis(50);

pub(super) const HELLO: u8 = b'H';
pub(super) const RESET: u8 = b'R';
pub(super) const STEP: u8 = b'S';
pub(super) const OBSERVATIONS: u8 = b'O';
pub(super) const TRANSITIONS: u8 = b'T';
pub(super) const ERROR: u8 = b'E';

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    #[serde(flatten)]
    pub(super) version: Version,
    /// Empty for whatever is there.
    pub(super) environment: String,
    /// For its making.
    pub(super) arguments: Value,
    pub(super) count: usize,
    pub(super) autoreset: bool,
}

/// What a server answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Welcome {
    #[serde(flatten)]
    pub(super) version: Version,
    pub(super) environment: String,
    pub(super) count: usize,
    pub(super) spaces: Spaces,
}

/// What every hello has, whatever its version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Version {
    protocol: String,
    version: u32,
}

impl Version {
    pub(super) fn own() -> Self {
        Self { protocol: PROTOCOL.to_owned(), version: VERSION }
    }
}

/// Reads a hello, of which the version is looked at first.
pub(super) fn hello<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let bad = |error: serde_json::Error| format!("its hello is none: {error}");
    let Version { protocol, version } = serde_json::from_slice(bytes).map_err(bad)?;
    if protocol != PROTOCOL || version != VERSION {
        return Err(format!(
            "it speaks {protocol:?} version {version}, expected {PROTOCOL:?} version {VERSION}"
        ));
    }
    serde_json::from_slice(bytes).map_err(bad)
}

pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Structures of strings, numbers and lists.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Why a peer cannot go on.
pub(super) fn refusal(bytes: &[u8]) -> String {
    let text = serde_json::from_slice::<Value>(bytes).ok();
    let message = text.as_ref().and_then(|text| text["message"].as_str());
    message.map_or_else(|| "it sent an error without a message".to_owned(), str::to_owned)
}

/// A connection over which frames go: the length of what follows in four bytes, a letter for its
/// kind, its body.
#[derive(Debug)]
pub(super) struct Channel {
    stream: TcpStream,
    pub(super) peer: String,
    /// How long a frame may take.
    limit: Duration,
}

impl Channel {
    pub(super) fn new(stream: TcpStream, peer: String, limit: Duration) -> Result<Self> {
        let set = || {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(GLANCE.min(limit)))?;
            stream.set_write_timeout(Some(limit))
        };
        set().map_err(|error| peer_error(&peer, error.to_string()))?;
        Ok(Self { stream, peer, limit })
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        peer_error(&self.peer, reason)
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let length = body.len() + 1;
        if length > MOST_BYTES {
            return Err(self.error(format!(
                "a frame of {length} bytes was to be sent, the most are {MOST_BYTES}"
            )));
        }
        let mut frame = Vec::with_capacity(4 + length);
        frame.extend((length as u32).to_le_bytes());
        frame.push(kind);
        frame.extend(body);
        self.stream.write_all(&frame).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                self.error(format!("it took nothing for {:?}", self.limit))
            }
            _ => self.error(format!("cannot send to it: {error}")),
        })
    }

    /// The next frame; none where the peer has closed the connection between frames, and where the
    /// switch is turned on. With a switch the wait for a frame to begin has no end.
    pub(super) fn receive(&mut self, idle: Option<&Stop>) -> Result<Option<(u8, Vec<u8>)>> {
        let mut length = [0; 4];
        if !self.fill(&mut length, "the length of a frame", idle)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if !(1..=MOST_BYTES).contains(&length) {
            return Err(self.error(format!(
                "it announced a frame of {length} bytes, expected 1 to {MOST_BYTES}"
            )));
        }
        let mut frame = vec![0; length];
        if !self.fill(&mut frame, "a frame", None)? {
            return Err(self.error(format!("it closed the connection before a frame of {length}")));
        }
        let kind = frame.remove(0);
        Ok(Some((kind, frame)))
    }

    /// Fills a row of bytes; false where the peer has closed the connection before the first.
    fn fill(&mut self, out: &mut [u8], what: &str, idle: Option<&Stop>) -> Result<bool> {
        let mut since = Instant::now();
        let mut at = 0;
        while at < out.len() {
            match self.stream.read(&mut out[at..]) {
                Ok(0) if at == 0 => return Ok(false),
                Ok(0) => {
                    let length = out.len();
                    return Err(self.error(format!(
                        "it closed the connection after {at} of {length} bytes of {what}"
                    )));
                }
                Ok(count) => at += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(self.error(format!("cannot read {what} of it: {error}"))),
                },
            }
            if let (0, Some(stop)) = (at, idle) {
                if stop.is_stopped() {
                    return Ok(false);
                }
                since = Instant::now();
            }
            if at < out.len() && since.elapsed() >= self.limit {
                let (length, limit) = (out.len(), self.limit);
                return Err(
                    self.error(format!("{at} of {length} bytes of {what} came within {limit:?}"))
                );
            }
        }
        Ok(true)
    }
}

pub(super) fn peer_error(peer: &str, reason: impl Into<String>) -> Error {
    Error::Peer { peer: peer.to_owned(), reason: reason.into() }
}

/// How long the parts of a body are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) count: usize,
    pub(super) numbers: usize,
    pub(super) choices: usize,
    pub(super) autoreset: bool,
}

impl Shape {
    /// Of environments; an error where they are none, too many, or more than a frame holds.
    pub(super) fn new(spaces: &Spaces, count: usize, autoreset: bool) -> Result<Self, String> {
        spaces.check().map_err(|error| error.to_string())?;
        if !(1..=MOST_ENVIRONMENTS).contains(&count) {
            return Err(format!("{count} environments, expected 1 to {MOST_ENVIRONMENTS}"));
        }
        let (numbers, choices) = (spaces.observation.numbers(), spaces.action.choices());
        // Two observations each, and room for names and numbers beside them.
        let of_one = 16 * numbers + 2 * choices + 16 + 256;
        let most = (MOST_BYTES / of_one).min(MOST_BYTES / 8 / spaces.action.numbers());
        if count > most {
            return Err(format!(
                "{count} environments, of which a frame of {MOST_BYTES} bytes holds {most}"
            ));
        }
        Ok(Self { count, numbers, choices, autoreset })
    }
}

/// What is observed in all, in flat numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    pub(super) observations: Vec<f64>,
    pub(super) masks: Option<Vec<bool>>,
}

impl Seen {
    /// Adds an environment's.
    pub(super) fn push(&mut self, observation: &[f64], mask: Option<&[bool]>, shape: Shape) {
        let before = self.observations.len() / shape.numbers;
        self.observations.extend_from_slice(observation);
        if mask.is_some() || self.masks.is_some() {
            let all = self.masks.get_or_insert_default();
            all.resize(before * shape.choices, true);
            match mask {
                Some(mask) => all.extend_from_slice(mask),
                None => all.resize(all.len() + shape.choices, true),
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_numbers(&self.observations, out);
        out.push(u8::from(self.masks.is_some()));
        out.extend(self.masks.iter().flatten().map(|x| u8::from(*x)));
    }

    /// A body of one.
    pub(super) fn read(bytes: &[u8], shape: Shape) -> Result<Self, String> {
        let mut body = Body { bytes, at: 0, what: "observations" };
        let seen = body.seen(shape.count, shape)?;
        body.end(seen)
    }
}

/// What a step brought in all, in flat numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    pub(super) rewards: Vec<f64>,
    pub(super) terminated: Vec<bool>,
    pub(super) truncated: Vec<bool>,
    /// After it, and after a reset where an episode has ended.
    pub(super) seen: Seen,
    /// The last of the episodes that have ended, where that was followed by a reset.
    pub(super) finals: Vec<(usize, Seen)>,
    pub(super) infos: Vec<Info>,
}

impl Outcome {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_numbers(&self.rewards, out);
        let flags = self.terminated.iter().zip(&self.truncated);
        out.extend(
            flags.map(|(terminated, truncated)| u8::from(*terminated) | u8::from(*truncated) << 1),
        );
        self.seen.write(out);
        self.finals.iter().for_each(|(_, seen)| seen.write(out));
        for info in &self.infos {
            // What a length of two bytes cannot say is left out.
            let kept = info.iter().filter(|(name, _)| u16::try_from(name.len()).is_ok());
            let kept: Vec<_> = kept.take(usize::from(u16::MAX)).collect();
            out.extend((kept.len() as u16).to_le_bytes());
            for (name, value) in kept {
                out.extend((name.len() as u16).to_le_bytes());
                out.extend(name.as_bytes());
                out.extend(value.to_le_bytes());
            }
        }
    }

    pub(super) fn read(bytes: &[u8], shape: Shape) -> Result<Self, String> {
        let mut body = Body { bytes, at: 0, what: "transitions" };
        let rewards = body.numbers(shape.count)?;
        let flags = body.take(shape.count)?;
        if let Some(flag) = flags.iter().find(|flag| **flag > 3) {
            return Err(format!("{flag} says how an episode has ended, expected 0 to 3"));
        }
        let mut outcome = Self {
            rewards,
            terminated: flags.iter().map(|flag| flag & 1 == 1).collect(),
            truncated: flags.iter().map(|flag| *flag == 2).collect(),
            seen: body.seen(shape.count, shape)?,
            ..Self::default()
        };
        if shape.autoreset {
            for i in (0..shape.count).filter(|i| flags[*i] > 0) {
                outcome.finals.push((i, body.seen(1, shape)?));
            }
        }
        for _ in 0..shape.count {
            let mut info = Info::new();
            for _ in 0..body.length()? {
                let length = body.length()?;
                let name = String::from_utf8_lossy(body.take(length)?).into_owned();
                info.push((name.into(), body.numbers(1)?[0]));
            }
            outcome.infos.push(info);
        }
        body.end(outcome)
    }
}

pub(super) fn write_numbers(numbers: &[f64], out: &mut Vec<u8>) {
    out.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
}

/// The actions of all, in flat numbers.
pub(super) fn read_actions(bytes: &[u8], count: usize, space: &Space) -> Result<Vec<f64>, String> {
    let mut body = Body { bytes, at: 0, what: "actions" };
    let numbers = body.numbers(count * space.numbers())?;
    body.end(numbers)
}

/// The seed of a reset.
pub(super) fn read_seed(bytes: &[u8]) -> Result<u64, String> {
    let bytes = bytes.try_into();
    bytes.map(u64::from_le_bytes).map_err(|_| "the seed of a reset is not of 8 bytes".to_owned())
}

/// Bytes that are read one part after the other.
struct Body<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (from, to) = (self.at, self.at.saturating_add(length));
        self.at = to;
        self.bytes.get(from..to).ok_or_else(|| {
            format!("{} of {} bytes, expected at least {to}", self.what, self.bytes.len())
        })
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<f64>, String> {
        let (rows, _) = self.take(8 * count)?.as_chunks();
        Ok(rows.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    fn length(&mut self) -> Result<usize, String> {
        let bytes = self.take(2)?;
        Ok(usize::from(bytes[0]) | usize::from(bytes[1]) << 8)
    }

    fn bits(&mut self, count: usize) -> Result<Vec<bool>, String> {
        let bytes = self.take(count)?;
        match bytes.iter().find(|byte| **byte > 1) {
            Some(byte) => Err(format!("{byte} in a mask of {}, expected 0 or 1", self.what)),
            None => Ok(bytes.iter().map(|byte| *byte == 1).collect()),
        }
    }

    fn seen(&mut self, count: usize, shape: Shape) -> Result<Seen, String> {
        let observations = self.numbers(count * shape.numbers)?;
        let masked = self.bits(1)?[0];
        if masked && shape.choices == 0 {
            return Err("a mask, where actions have no choices".to_owned());
        }
        let masks = if masked { Some(self.bits(count * shape.choices)?) } else { None };
        Ok(Seen { observations, masks })
    }

    /// What was read, where nothing is left.
    fn end<T>(self, read: T) -> Result<T, String> {
        if self.at == self.bytes.len() {
            return Ok(read);
        }
        Err(format!("{} of {} bytes, expected {}", self.what, self.bytes.len(), self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let shape = Shape { count: 2, numbers: 3, choices: 2, autoreset: true };
        let mut seen = Seen::default();
        seen.push(&[0.1, -0.0, f64::MIN_POSITIVE], None, shape);
        seen.push(&[1e300, 1.0 / 3.0, f64::MAX], Some(&[true, false]), shape);
        let last = Seen { observations: vec![1.0, 2.0, 3.0], masks: None };
        let outcome = Outcome {
            rewards: vec![0.1 + 0.2, -1.0],
            terminated: vec![false, false],
            truncated: vec![false, true],
            seen,
            finals: vec![(1, last)],
            infos: vec![vec![("é".into(), 0.7)], Info::new()],
        };
        let mut bytes = Vec::new();
        outcome.write(&mut bytes);
        let read = Outcome::read(&bytes, shape).unwrap();
        assert_eq!(read, outcome);
        assert_eq!(read.seen.masks.unwrap(), [true, true, true, false]);
        assert!(read.seen.observations[1].is_sign_negative());
        for length in 0..bytes.len() {
            let error = Outcome::read(&bytes[..length], shape).unwrap_err();
            assert!(error.contains(&format!("transitions of {length} bytes")), "{error}");
        }
        bytes.push(0);
        assert!(Outcome::read(&bytes, shape).unwrap_err().contains("bytes, expected"));
    }
}
