//! The other side of the protocol: a controller that asks an engine in another process.

use std::io::{BufRead as _, BufReader, Write as _};
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
    /// [`Error::Io`] for a program that cannot be started.
    pub fn start<S: AsRef<str>>(program: &str, arguments: &[S]) -> Result<Self> {
        let path = PathBuf::from(program);
        let failed =
            |action: &'static str, source| Error::Io { action, path: path.clone(), source };
        let mut child = Command::new(program)
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| failed("start", source))?;
        let closed = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let input = child.stdin.take().ok_or_else(|| failed("write to", closed()))?;
        let output = child.stdout.take().ok_or_else(|| failed("read from", closed()))?;
        Ok(Self { program: path, child, input, output: BufReader::new(output) })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the engine answers `? reason`, [`Error::Io`] where it has ended.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        let program = &self.program;
        let failed = |action: &'static str| {
            move |source| Error::Io { action, path: program.clone(), source }
        };
        writeln!(self.input, "{command}")
            .and_then(|()| self.input.flush())
            .map_err(failed("write to"))?;
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).map_err(failed("read from"))?;
            if read == 0 {
                let end = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(failed("read from")(end));
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
