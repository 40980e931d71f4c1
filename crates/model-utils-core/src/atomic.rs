//! Files and folders that are whole or not there: written beside their place, flushed, then
//! renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes `path` through `fill` so that a crash, a kill or a full disk at any moment leaves
/// either the old file or the new one, never a part of it.
///
/// The data goes to a temporary file in the same folder, which is created if it is missing, is
/// flushed to the disk and then renamed over `path`. Where `path` is a link it stays one, and the file
/// it points to is written. A file that is there keeps its mode.
///
/// # Errors
///
/// [`Error::Io`] names the step that failed; the file that was there before is untouched. It is
/// refused where something else than a file stands there, before `fill` runs.
pub fn write_with(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = &follow(path.as_ref())?;
    let folder = parent(path);
    let old = fs::symlink_metadata(path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(refused(path, "what stands there is not a file"));
    }
    fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The process's umask takes its share, as for any file.
        let mode = old.as_ref().map_or(0o666, |old| old.permissions().mode() & 0o7777);
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    let file = builder.tempfile_in(folder).map_err(Error::io("create a file in", folder))?;
    #[cfg(unix)]
    if let Some(old) = old {
        // Without the umask.
        let set = file.as_file().set_permissions(old.permissions());
        set.map_err(Error::io("set permissions of", path))?;
    }
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
/// stands aside until [`restore_folder`] is called. Where `path` is a link it stays one, and the folder
/// it points to is written.
///
/// # Errors
///
/// [`Error::Io`] names the step that failed, and what `fill` brings; the folder that was there before
/// is untouched. It is refused where something else than a folder stands there, before `fill` runs.
pub fn write_folder<E: From<Error>>(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let path = &follow(path.as_ref())?;
    if fs::symlink_metadata(path).is_ok_and(|old| !old.is_dir()) {
        return Err(refused(path, "what stands there is not a folder").into());
    }
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
    let aside = swap(making.path(), path)?;
    let _ = making.keep();
    sync_folder(folder)?;
    if let Some(aside) = aside {
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    Ok(())
}

/// Puts a new folder in the place of an old one; where the old one, if there was one, stands now.
fn swap(new: &Path, path: &Path) -> Result<Option<PathBuf>> {
    let aside = path.exists().then(|| aside_of(path));
    if let Some(aside) = &aside {
        fs::rename(path, aside).map_err(Error::io("rename", path))?;
    }
    fs::rename(new, path).map_err(|failed| {
        if let Some(aside) = &aside {
            // Where this fails too, `restore_folder` has another try.
            let _ = fs::rename(aside, path);
        }
        Error::io("replace", path)(failed)
    })?;
    Ok(aside)
}

/// Where a path leads to, by its folder and its own name: the place that a link points to, whether
/// something is there or not.
fn follow(path: &Path) -> Result<PathBuf> {
    const LINKS: usize = 40;
    let mut place = path.to_path_buf();
    for _ in 0..LINKS {
        let Some(name) = place.file_name() else {
            return Err(refused(path, "it ends in no name"));
        };
        place = place.with_file_name(name);
        match fs::read_link(&place) {
            Ok(target) => place = parent(&place).join(target),
            Err(_) => return Ok(place),
        }
    }
    Err(refused(path, "too many links"))
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::io("replace", path)(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// Puts the folder back that a killed [`write_folder`] had set aside, or clears it away where the new
/// one is there.
///
/// # Errors
///
/// [`Error::Io`].
pub fn restore_folder(path: impl AsRef<Path>) -> Result<()> {
    // What cannot be written was never set aside.
    let Ok(path) = &follow(path.as_ref()) else { return Ok(()) };
    let aside = aside_of(path);
    if !aside.is_dir() {
        return Ok(());
    }
    if path.is_dir() {
        return fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside));
    }
    fs::rename(&aside, path).map_err(Error::io("rename", &aside))
}

fn aside_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".replaced-");
    name.push(path.file_name().unwrap_or_default());
    parent(path).join(name)
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

    #[test]
    fn a_file_in_a_folders_place_is_refused_and_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        write(&path, b"mine").unwrap();
        let never = |_: &Path| -> Result<()> { panic!("filled") };
        let error = write_folder::<Error>(&path, never).unwrap_err();
        assert!(error.to_string().contains("x: what stands there is not a folder"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
        write_folder::<Error>(&path, |folder| write(folder.join("a"), b"new")).unwrap();
        let error = write(&path, b"bytes").unwrap_err();
        assert!(error.to_string().contains("x: what stands there is not a file"), "{error}");
        assert_eq!(fs::read(path.join("a")).unwrap(), b"new");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn a_path_without_a_name_is_refused_and_a_dot_behind_one_is_none() {
        let root = tempfile::tempdir().unwrap();
        for path in [PathBuf::new(), root.path().join("..")] {
            assert!(write_folder::<Error>(&path, |_| panic!("filled")).is_err());
            assert!(write(&path, b"").is_err());
            restore_folder(&path).unwrap();
        }
        let path = root.path().join("a/.");
        for text in ["old", "new"] {
            write_folder::<Error>(&path, |to| write(to.join("file"), text.as_bytes())).unwrap();
        }
        assert_eq!(fs::read(root.path().join("a/file")).unwrap(), b"new");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn where_the_new_folder_cannot_be_put_the_old_one_is_put_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        write_folder::<Error>(&path, |folder| write(folder.join("a"), b"old")).unwrap();
        let error = swap(&root.path().join("missing"), &path).unwrap_err();
        assert!(matches!(error, Error::Io { action: "replace", .. }), "{error}");
        assert_eq!(fs::read(path.join("a")).unwrap(), b"old");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_what_they_point_to_is_written() {
        use std::os::unix::fs::symlink;

        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("deep")).unwrap();
        for (link, target) in [("file", "deep/file"), ("folder", "deep/folder"), ("me", "me")] {
            symlink(target, at(link)).unwrap();
        }
        // They dangle at first.
        for text in [b"old", b"new"] {
            write(at("file"), text).unwrap();
            write_folder::<Error>(at("folder"), |to| write(to.join("a"), text)).unwrap();
            assert_eq!(fs::read(at("deep/file")).unwrap(), text);
            assert_eq!(fs::read(at("deep/folder/a")).unwrap(), text);
        }
        assert!(at("file").is_symlink() && at("folder").is_symlink());
        assert!(write(at("me"), b"").unwrap_err().to_string().contains("too many links"));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 4);
        assert_eq!(fs::read_dir(at("deep")).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;

        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("secret");
        write(&path, b"old").unwrap();
        for mode in [0o600, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            write(&path, b"new").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
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
