//! Files and folders that are whole or not there: written beside their place, flushed, then
//! renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `path` through `fill` so that a crash, a kill or a full disk at any moment leaves
/// either the old file or the new one, never a part of it.
///
/// The data goes to a temporary file in the same folder, which is created if it is missing, is
/// flushed to the disk and then renamed over `path`.
///
/// # Errors
///
/// [`Error::Io`] names the step that failed; the file that was there before is untouched.
pub fn write_with(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The process's umask takes its share, as for any file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder).map_err(Error::io("create a file in", folder))?;
    let mut writer = BufWriter::new(file);
    let file = fill(&mut writer)
        .and_then(|()| writer.into_inner().map_err(io::IntoInnerError::into_error))
        .map_err(Error::io("write", path))?;
    file.as_file().sync_all().map_err(Error::io("flush", path))?;
    file.persist(path).map_err(|failed| Error::io("replace", path)(failed.error))?;
    sync_folder(folder)
}

/// [`write_with`] for bytes already in hand.
///
/// # Errors
///
/// As [`write_with`].
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes a folder of files through `fill`, which is given the folder to write them to: a kill at any
/// moment leaves the old folder or the new one. Killed between its last two renames, the old one
/// stands aside until [`restore_folder`] is called.
///
/// # Errors
///
/// [`Error::Io`] names the step that failed, and what `fill` brings; the folder that was there before
/// is untouched.
pub fn write_folder<E: From<Error>>(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let path = path.as_ref();
    restore_folder(path)?;
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
    let making = tempfile::Builder::new()
        .prefix(".making-")
        .tempdir_in(folder)
        .map_err(Error::io("create a folder in", folder))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = fs::Permissions::from_mode(0o755);
        fs::set_permissions(making.path(), permissions)
            .map_err(Error::io("set permissions of", making.path()))?;
    }
    fill(making.path())?;
    sync_folder(making.path())?;
    let aside = aside_of(path);
    let is_replaced = path.exists();
    if is_replaced {
        fs::rename(path, &aside).map_err(Error::io("rename", path))?;
    }
    fs::rename(making.keep(), path).map_err(Error::io("replace", path))?;
    sync_folder(folder)?;
    if is_replaced {
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    Ok(())
}

/// Puts the folder back that a killed [`write_folder`] had set aside, or clears it away where the new
/// one is there.
///
/// # Errors
///
/// [`Error::Io`].
pub fn restore_folder(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let aside = aside_of(path);
    if !aside.exists() {
        return Ok(());
    }
    if path.exists() {
        return fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside));
    }
    fs::rename(&aside, path).map_err(Error::io("rename", &aside))
}

fn aside_of(path: &Path) -> std::path::PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".replaced-{name}"))
}

/// The folder of a path, `.` for a bare file name.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes renames in a folder durable, where the system can.
///
/// # Errors
///
/// [`Error::Io`].
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io("flush", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"new, in part")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(failed, Err(Error::Io { action: "write", .. })), "{failed:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_the_old_one_or_the_new_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/model");
        let put = |text: &'static str| {
            write_folder::<Error>(&path, |folder| write(folder.join("a"), text.as_bytes()))
        };
        put("old").unwrap();
        let failed = write_folder::<Error>(&path, |folder| {
            write(folder.join("a"), b"new")?;
            Err(Error::data("test", "no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(path.join("a")).unwrap(), b"old");
        assert_eq!(fs::read_dir(parent(&path)).unwrap().count(), 1);
        // Killed between the renames: the old one is put back.
        fs::rename(&path, aside_of(&path)).unwrap();
        restore_folder(&path).unwrap();
        assert_eq!(fs::read(path.join("a")).unwrap(), b"old");
        put("new").unwrap();
        assert_eq!(fs::read(path.join("a")).unwrap(), b"new");
        assert_eq!(fs::read_dir(parent(&path)).unwrap().count(), 1);
    }

    /// `/dev/full` answers every write with "no space left on device".
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_place() {
        let error = Error::io("write", "/dev/full")(
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .and_then(|mut full| full.write_all(b"x"))
                .unwrap_err(),
        );
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
