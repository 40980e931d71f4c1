//! The other side of the protocol: a controller that asks an engine in another process.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// An engine in another process. It is ended when this is dropped.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    child: Child,
    input: ChildStdin,
    /// What a thread reads of its output; none where it is closed.
    lines: Receiver<io::Result<String>>,
    limit: Duration,
}

/// How long an answer may take.
const LIMIT: Duration = Duration::from_mins(10);

impl Client {
    /// Starts an engine, for example `gnugo --mode gtp`.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] for a program that cannot be started.
    pub fn start<S: AsRef<str>>(program: &str, arguments: &[S]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(model_utils_core::Error::io("start", program))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            let closed = io::Error::from(io::ErrorKind::BrokenPipe);
            return Err(model_utils_core::Error::io("speak to", program)(closed).into());
        };
        let (send, lines) = sync_channel(1 << 10);
        std::thread::spawn(move || {
            // It ends with the engine, or with the client.
            for line in BufReader::new(output).lines() {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { program: program.into(), child, input, lines, limit: LIMIT })
    }

    /// How long an answer may take: 10 minutes unless set.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the engine answers `? reason` or does not speak the protocol,
    /// [`Error::Utils`] where it has ended or takes too long.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        let failed = |action| model_utils_core::Error::io(action, &self.program);
        writeln!(self.input, "{command}")
            .and_then(|()| self.input.flush())
            .map_err(failed("write to"))?;
        let refused = |reason: String| {
            Err(Error::Parse { what: "answer of the engine", text: command.to_owned(), reason })
        };
        let mut answer = String::new();
        let until = Instant::now() + self.limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| {
                Err(match error {
                    RecvTimeoutError::Timeout => {
                        let late = format!("no answer within {:?}", self.limit);
                        io::Error::new(io::ErrorKind::TimedOut, late)
                    }
                    RecvTimeoutError::Disconnected => io::ErrorKind::UnexpectedEof.into(),
                })
            });
            let line = line.map_err(failed("read from"))?;
            match (line.trim().is_empty(), answer.is_empty()) {
                (true, true) => continue,
                (true, false) => break,
                (false, true) if !line.starts_with(['=', '?']) => {
                    return refused(format!("it says `{line}`, expected `=` or `?`"));
                }
                (false, _) => {}
            }
            answer.push_str(&line);
            answer.push('\n');
        }
        let text = answer.get(1..).unwrap_or_default().trim().to_owned();
        if answer.starts_with('=') {
            return Ok(text);
        }
        refused(text)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "quit");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
