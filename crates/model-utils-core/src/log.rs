//! Events as lines of a file.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::event::{Event, Observer};

/// Writes each event with metrics as a line of JSON; a resumed run goes on at the end. A metric named
/// as one of an event's own keys (`epoch`, `kind`, `step`) stands under `metric_` and its name.
///
/// ```text
/// {"epoch":0,"kind":"step","step":1,"train_loss":2.31}
/// ```
#[derive(Debug)]
pub struct JsonLines {
    sink: Sink,
}

impl JsonLines {
    /// Opens or creates a file to append to.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn append(path: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { sink: Sink::append(path.into())? })
    }

    /// Tells what went wrong since the start: an observer cannot stop a run.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        self.sink.finish()
    }
}

impl Observer for JsonLines {
    fn observe(&mut self, event: &Event<'_>) {
        let (kind, step, epoch, metrics) = match event {
            Event::Step { step, epoch, metrics, .. } => ("step", step, epoch, metrics),
            Event::Epoch { step, epoch, metrics } => ("epoch", step, epoch, metrics),
            _ => return,
        };
        let mut line = Map::new();
        line.insert("kind".into(), json!(kind));
        line.insert("step".into(), json!(step));
        line.insert("epoch".into(), json!(epoch));
        for (name, value) in *metrics {
            let is_own = matches!(*name, "epoch" | "kind" | "step");
            let key = if is_own { format!("metric_{name}") } else { (*name).to_owned() };
            line.insert(key, json!(value));
        }
        self.sink.line(&Value::Object(line).to_string());
    }
}

/// Writes each metric as a line `step,epoch,metric,value`: the long form, which any table
/// program reads and which needs no columns to be known beforehand.
#[derive(Debug)]
pub struct CsvLog {
    sink: Sink,
}

impl CsvLog {
    /// Opens or creates a file to append to; a new one gets the header.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn append(path: impl Into<PathBuf>) -> Result<Self> {
        let mut sink = Sink::append(path.into())?;
        if sink.is_new {
            sink.line("step,epoch,metric,value");
        }
        Ok(Self { sink })
    }

    /// Tells what went wrong since the start.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        self.sink.finish()
    }
}

impl Observer for CsvLog {
    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Step { step, epoch, metrics, .. } | Event::Epoch { step, epoch, metrics } => {
                for (name, value) in *metrics {
                    let name = csv_field(name);
                    self.sink.line(&format!("{step},{epoch},{name},{value}"));
                }
            }
            _ => {}
        }
    }
}

/// A field of a CSV file, in quotes where it has to be (RFC 4180).
fn csv_field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

/// A file of lines that remembers its first error.
#[derive(Debug)]
struct Sink {
    path: PathBuf,
    file: BufWriter<File>,
    is_new: bool,
    error: Option<std::io::Error>,
}

impl Sink {
    fn append(path: PathBuf) -> Result<Self> {
        let folder: &Path = crate::atomic::parent(&path);
        std::fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let is_new = file.metadata().map_err(Error::io("read", &path))?.len() == 0;
        Ok(Self { path, file: BufWriter::new(file), is_new, error: None })
    }

    fn line(&mut self, line: &str) {
        if self.error.is_none() {
            // Flushed at once: what was logged is there after a kill, and can be watched.
            self.error = writeln!(self.file, "{line}").and_then(|()| self.file.flush()).err();
        }
    }

    fn finish(self) -> Result<()> {
        match self.error {
            Some(error) => Err(Error::io("write", &self.path)(error)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_any_name_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let [json, csv] = ["log.jsonl", "log.csv"].map(|name| folder.path().join(name));
        let metrics = [("step", 0.5), ("kind", 1.5), ("a, \"b\"", 2.5), ("loss", 3.5)];
        let event = Event::Step { step: 7, of: None, epoch: 1, items: 1, metrics: &metrics };
        let (mut lines, mut table) =
            (JsonLines::append(&json).unwrap(), CsvLog::append(&csv).unwrap());
        lines.observe(&event);
        table.observe(&event);
        lines.finish().unwrap();
        table.finish().unwrap();
        let line: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!((&line["step"], &line["kind"]), (&json!(7), &json!("step")));
        assert_eq!((&line["metric_step"], &line["metric_kind"]), (&json!(0.5), &json!(1.5)));
        assert_eq!((&line["a, \"b\""], &line["loss"]), (&json!(2.5), &json!(3.5)));
        let text = std::fs::read_to_string(&csv).unwrap();
        assert!(text.contains("\n7,1,\"a, \"\"b\"\"\",2.5\n7,1,loss,3.5\n"), "{text}");
    }
}
