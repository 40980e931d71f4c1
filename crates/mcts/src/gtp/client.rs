//! The other side of the protocol: a controller that asks an engine in another process.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::error::{Error, Result};

/// An engine in another process. It is ended when this is dropped.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

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
        Ok(Self { program: program.into(), child, input, output: BufReader::new(output) })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the engine answers `? reason`, [`Error::Utils`] where it has ended.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        let failed = |action| model_utils_core::Error::io(action, &self.program);
        writeln!(self.input, "{command}")
            .and_then(|()| self.input.flush())
            .map_err(failed("write to"))?;
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).map_err(failed("read from"))?;
            if read == 0 {
                let end = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(failed("read from")(end).into());
            }
            match (line.trim().is_empty(), answer.is_empty()) {
                (true, true) => {}
                (true, false) => break,
                (false, _) => answer.push_str(&line),
            }
        }
        let text = answer.get(1..).unwrap_or_default().trim().to_owned();
        if answer.starts_with('=') {
            return Ok(text);
        }
        Err(Error::Parse { what: "answer of the engine", text: command.to_owned(), reason: text })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "quit");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
