//! Saving a picture under the name that fits it.

use std::path::Path;

use crate::atomic;
use crate::error::{Error, Result};

/// Writes `bytes` to `path`, which must end in `.extension`: whole or not at all, and into a folder
/// that is made if it is missing.
pub(super) fn save(path: impl AsRef<Path>, extension: &str, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    if !path.extension().unwrap_or_default().eq_ignore_ascii_case(extension) {
        let reason = format!("the file name must end in .{extension}");
        return Err(Error::picture(path.display().to_string(), reason));
    }
    atomic::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_folder_and_refuses_another_extension() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path().join("a/b/c.SVG"), "svg", b"one").unwrap();
        let text = save(folder.path().join("c.png"), "svg", b"").unwrap_err().to_string();
        assert!(text.contains("must end in .svg"), "{text}");
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let error = save(folder.path().join("file/c.svg"), "svg", b"").unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
