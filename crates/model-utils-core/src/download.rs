//! Fetching files whose content is known by its checksum.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::atomic;
use crate::config;
use crate::error::{Error, Result};
use crate::event::{Event, Observer};

/// The most bytes that [`fetch`] takes.
pub const MAX_BYTES: u64 = 16 << 30;
/// The fewest digits of a checksum that are taken for one.
const LEAST_DIGITS: usize = 8;
/// How long to wait for a connection, and then for the first byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches `url` to the file `target` unless it is there already with the right content, and
/// returns the path.
///
/// The file appears only when it is complete and its SHA-256 checksum is `sha256_hex`, or begins
/// with it where there are less than its 64 hex digits: publishers such as PyTorch state the first
/// eight. A file of other content that was there before is then replaced. `progress` is told
/// the bytes received so far, as steps, and how many there are in all, where the server says so. No more than
/// [`MAX_BYTES`] are taken.
///
/// # Errors
///
/// [`Error::Config`] if `sha256_hex` is no checksum; [`Error::Download`] if the server cannot be
/// reached or refuses, if the file ends early, is too large or has another checksum, with both;
/// [`Error::Io`] if the file cannot be read or written.
pub fn fetch(
    url: &str,
    sha256_hex: &str,
    target: impl AsRef<Path>,
    progress: &mut dyn Observer,
) -> Result<PathBuf> {
    fetch_at_most(url, sha256_hex, target, MAX_BYTES, progress)
}

/// [`fetch`] with another limit on the size.
///
/// # Errors
///
/// As [`fetch`].
pub fn fetch_at_most(
    url: &str,
    sha256_hex: &str,
    target: impl AsRef<Path>,
    max_bytes: u64,
    progress: &mut dyn Observer,
) -> Result<PathBuf> {
    let target = target.as_ref();
    let is_hex = sha256_hex.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = is_hex && (LEAST_DIGITS..=64).contains(&sha256_hex.len());
    config::require(fits, "sha256_hex", sha256_hex, "8 to 64 hexadecimal digits")?;
    let expected = sha256_hex.to_ascii_lowercase();
    if target.is_file() && checksum_of(target)?.starts_with(&expected) {
        return Ok(target.to_path_buf());
    }
    let fail = |reason: String| Error::Download { url: url.to_owned(), reason };
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .build();
    let response = ureq::Agent::new_with_config(config).get(url).call();
    let body = response.map_err(|e| fail(e.to_string()))?.into_body();
    let total = body.content_length();
    let too_large = || fail(format!("it is larger than the limit of {max_bytes} bytes"));
    if total.is_some_and(|total| total > max_bytes) {
        return Err(too_large());
    }
    let folder = atomic::parent(target);
    std::fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".fetching-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(Error::io("create a file in", folder))?;
    let mut reader = body.into_reader();
    let mut digest = Sha256::new();
    let mut received = 0;
    let mut bytes = vec![0; 1 << 16];
    progress.observe(&Event::Started { task: "download", step: 0, of: total });
    loop {
        if progress.wants_stop() {
            return Err(Error::stopped("the download", format_args!("{received} bytes")));
        }
        let count = match reader.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(fail(format!("it broke off after {received} bytes: {e}"))),
        };
        received += count as u64;
        if received > max_bytes {
            return Err(too_large());
        }
        digest.update(&bytes[..count]);
        file.write_all(&bytes[..count]).map_err(Error::io("write", target))?;
        let (step, of, items, epoch) = (received, total, count, 0);
        progress.observe(&Event::Step { step, of, epoch, items, metrics: &[] });
    }
    if let Some(total) = total.filter(|&total| total != received) {
        return Err(fail(format!("it ended after {received} of {total} bytes")));
    }
    let found = hex(&digest.finalize());
    if !found.starts_with(&expected) {
        return Err(fail(format!("its SHA-256 checksum is {found}, expected {expected}")));
    }
    file.as_file().sync_all().map_err(Error::io("flush", target))?;
    file.persist(target).map_err(|e| Error::io("replace", target)(e.error))?;
    atomic::sync_folder(folder)?;
    Ok(target.to_path_buf())
}

/// The SHA-256 checksum of a file in hexadecimal digits.
fn checksum_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut digest = Sha256::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(count) => digest.update(&bytes[..count]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("read", path)(e)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use crate::config::ConfigError;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::event::Silent;

    const CONTENT: &[u8] = b"seven rabbits";

    fn checksum() -> String {
        hex(&Sha256::digest(CONTENT))
    }

    /// Answers one request with these bytes; the address to ask.
    fn serve(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            // The client may hang up early.
            let _ = stream.write_all(&answer);
        });
        url
    }

    fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    /// Bytes received, and in all.
    #[derive(Default)]
    struct Seen(Vec<(u64, Option<u64>)>);

    impl Observer for Seen {
        fn observe(&mut self, event: &Event<'_>) {
            if let Event::Started { step, of, .. } | Event::Step { step, of, .. } = event {
                self.0.push((*step, *of));
            }
        }
    }

    #[test]
    fn fetches_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new/file.bin");
        let url = serve(answer("200 OK", CONTENT.len(), CONTENT));
        let mut seen = Seen::default();
        let path = fetch(&url, &checksum(), &target, &mut seen).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), CONTENT);
        assert_eq!(seen.0.first(), Some(&(0, Some(13))));
        assert_eq!(seen.0.last(), Some(&(13, Some(13))));
        // Nobody answers at that address now, and nobody is asked.
        let mut asked = Seen::default();
        fetch("http://127.0.0.1:1/", &checksum().to_uppercase(), &path, &mut asked).unwrap();
        // The first digits are enough to know it by.
        fetch("http://127.0.0.1:1/", &checksum()[..8], &path, &mut asked).unwrap();
        assert!(asked.0.is_empty());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn replaces_a_file_of_other_content() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file.bin");
        std::fs::write(&target, "old").unwrap();
        let url = serve(answer("200 OK", CONTENT.len(), CONTENT));
        fetch(&url, &checksum(), &target, &mut Silent).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    }

    #[test]
    fn a_stopped_download_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file.bin");
        let url = serve(answer("200 OK", CONTENT.len(), CONTENT));
        let mut stop = crate::event::Stop::new();
        stop.stop();
        let error = fetch(&url, &checksum(), &target, &mut stop).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_download_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file.bin");
        let failed = |answer: Vec<u8>, limit: u64| {
            let fetched = fetch_at_most(&serve(answer), &checksum(), &target, limit, &mut Silent);
            let error = fetched.unwrap_err();
            assert!(matches!(error, Error::Download { .. }), "{error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
            error.to_string()
        };
        let text = failed(answer("404 Not Found", 4, b"none"), 99);
        assert!(text.contains("404"), "{text}");
        let text = failed(answer("200 OK", 5, b"other"), 99);
        assert!(text.contains(&checksum()) && text.contains(&hex(&Sha256::digest("other"))));
        let text = failed(answer("200 OK", CONTENT.len(), &CONTENT[..5]), 99);
        assert!(text.contains("after 5"), "{text}");
        let text = failed(answer("200 OK", CONTENT.len(), CONTENT), 12);
        assert!(text.contains("limit of 12 bytes"), "{text}");
        let endless = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", CONTENT].concat();
        let text = failed(endless, 12);
        assert!(text.contains("limit of 12 bytes"), "{text}");
    }

    #[test]
    fn says_what_is_no_checksum_and_no_server() {
        let fetched = fetch("http://127.0.0.1:1/", "abc", "x", &mut Silent);
        assert!(matches!(fetched, Err(Error::Config(ConfigError { field: "sha256_hex", .. }))));
        let fetched = fetch("http://127.0.0.1:1/", &checksum(), "x", &mut Silent);
        assert!(matches!(fetched, Err(Error::Download { .. })), "{fetched:?}");
    }
}
