//! Small files that are whole or not there. Crates with Burn use `model_utils::atomic`; this is
//! for the part that builds without it.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { action, path, source }
}

/// Writes a value beside its place, flushes it, and renames it there.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(io("create folder", folder))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".writing");
    let beside = path.with_file_name(name);
    let file = File::create(&beside).map_err(io("create", &beside))?;
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, value).map_err(|error| Error::Resume(error.to_string()))?;
    writer.flush().map_err(io("write", path))?;
    writer.get_ref().sync_all().map_err(io("flush", path))?;
    fs::rename(&beside, path).map_err(io("rename", path))
}

/// Reads a value.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(io("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Resume(format!("{}: {error}", path.display())))
}
