//! Events as lines of a file.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::event::{Event, Observer};

/// Writes each event with metrics as a line of JSON. A metric named as one of an event's own
/// keys (`epoch`, `kind`, `step`) stands under `metric_` and its name.
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

    /// The same for a run that is resumed: lines behind the step at which it starts, which a killed run
    /// wrote after its last checkpoint, are removed as it starts.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn resume(path: impl Into<PathBuf>) -> Result<Self> {
        let log = Self::append(path)?;
        Ok(Self { sink: Sink { resumes: true, ..log.sink } })
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
            Event::Started { step, .. } => {
                return self.sink.started(*step, |line| {
                    serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64()
                });
            }
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

    /// The same for a run that is resumed: lines behind the step at which it starts, which a killed run
    /// wrote after its last checkpoint, are removed as it starts.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn resume(path: impl Into<PathBuf>) -> Result<Self> {
        let log = Self::append(path)?;
        Ok(Self { sink: Sink { resumes: true, ..log.sink } })
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
            Event::Started { step, .. } => {
                self.sink.started(*step, |line| line.split(',').next()?.parse().ok());
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
    /// Whether what stands behind the step at which the run starts is of no use.
    resumes: bool,
    error: Option<Error>,
}

impl Sink {
    fn append(path: PathBuf) -> Result<Self> {
        let folder: &Path = crate::atomic::parent(&path);
        std::fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        let file = Self::open(&path)?;
        let is_new = file.metadata().map_err(Error::io("read", &path))?.len() == 0;
        Ok(Self { path, file: BufWriter::new(file), is_new, resumes: false, error: None })
    }

    fn open(path: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(path).map_err(Error::io("open", path))
    }

    /// A run starts at a step. Of a resumed one, lines behind it and one half written are removed.
    fn started(&mut self, step: u64, step_of: impl Fn(&str) -> Option<u64>) {
        if std::mem::take(&mut self.resumes)
            && let Err(error) = self.remove_behind(step, step_of)
        {
            self.error.get_or_insert(error);
        }
    }

    fn remove_behind(&mut self, step: u64, step_of: impl Fn(&str) -> Option<u64>) -> Result<()> {
        let text = std::fs::read_to_string(&self.path).map_err(Error::io("read", &self.path))?;
        let is_kept =
            |line: &&str| line.ends_with('\n') && step_of(line).is_none_or(|of| of <= step);
        let kept: String = text.split_inclusive('\n').filter(is_kept).collect();
        if kept != text {
            crate::atomic::write(&self.path, kept.as_bytes())?;
            self.file = BufWriter::new(Self::open(&self.path)?);
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if self.error.is_none() {
            // Flushed at once: what was logged is there after a kill, and can be watched.
            let written = writeln!(self.file, "{line}").and_then(|()| self.file.flush());
            self.error = written.map_err(Error::io("write", &self.path)).err();
        }
    }

    fn finish(self) -> Result<()> {
        self.error.map_or(Ok(()), Err)
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

    #[test]
    fn a_resumed_run_has_each_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let [json, csv] = ["log.jsonl", "log.csv"].map(|name| folder.path().join(name));
        let run = |lines: &mut dyn Observer, from: u64, to: u64| {
            lines.observe(&Event::Started { task: "any", step: from, of: Some(to) });
            for step in from + 1..=to {
                let metrics = [("loss", step as f64)];
                lines.observe(&Event::Step {
                    step,
                    of: None,
                    epoch: 0,
                    items: 1,
                    metrics: &metrics,
                });
            }
        };
        run(&mut JsonLines::append(&json).unwrap(), 0, 5);
        run(&mut CsvLog::append(&csv).unwrap(), 0, 5);
        let unbroken = [&json, &csv].map(|path| std::fs::read_to_string(path).unwrap());
        // Killed within a line, behind a checkpoint of step 3, and before the first one.
        for checkpoint in [3, 0] {
            for (path, text) in [(&json, &unbroken[0]), (&csv, &unbroken[1])] {
                std::fs::write(path, &text[..text.len() - 3]).unwrap();
            }
            run(&mut JsonLines::resume(&json).unwrap(), checkpoint, 5);
            run(&mut CsvLog::resume(&csv).unwrap(), checkpoint, 5);
            let resumed = [&json, &csv].map(|path| std::fs::read_to_string(path).unwrap());
            assert_eq!(resumed, unbroken);
        }
    }
}
