//! Reads configuration files as text, and says why one cannot be read.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The longest file: more than ten million prefixes.
const BYTES_MAX: u64 = 256 << 20;

/// Why a file's text cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("no such file")]
    Missing,
    #[error("a directory, not a file")]
    Directory,
    #[error("not a regular file")]
    Special,
    #[error("longer than {} MiB", BYTES_MAX >> 20)]
    TooLong,
    #[error("line {0} is not UTF-8")]
    Encoding(usize),
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

/// Returns a file's text, without a byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String, ReadError> {
    let bytes = read_bytes(path)?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadError::Encoding(1 + good.iter().filter(|byte| **byte == b'\n').count())
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Reads a regular file. Nothing else: a pipe that nobody writes to would be waited for without end.
fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => ReadError::Missing,
        _ => ReadError::Io(error),
    };
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(ReadError::Directory);
    }
    if !metadata.is_file() {
        return Err(ReadError::Special);
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX { Err(ReadError::TooLong) } else { Ok(bytes) }
}

/// Returns a file's text, or none where nothing has that name.
pub(super) fn read_if_present(path: &Path) -> Result<Option<String>, ReadError> {
    match read_text(path) {
        // A link that leads nowhere was put there by someone: it is not absent.
        Err(ReadError::Missing) if path.symlink_metadata().is_err() => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read_text(&path).unwrap_err().to_string(), "not a regular file");
    }

    #[test]
    fn reads_text_without_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        fs::write(&path, "\u{feff}one\ntwo").unwrap();
        assert_eq!(read_text(&path).unwrap(), "one\ntwo");
        assert_eq!(read_if_present(&path).unwrap().as_deref(), Some("one\ntwo"));
    }

    #[test]
    fn says_why_it_cannot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        assert_eq!(read_text(&path).unwrap_err().to_string(), "no such file");
        assert_eq!(read_text(dir.path()).unwrap_err().to_string(), "a directory, not a file");
        fs::write(&path, b"one\ntwo \xff\n").unwrap();
        assert_eq!(read_text(&path).unwrap_err().to_string(), "line 2 is not UTF-8");
        let error = read_text(&path.join("below")).unwrap_err().to_string();
        assert!(error.starts_with("cannot be read: "), "{error}");
    }

    #[test]
    fn absent_is_not_a_link_that_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(matches!(read_if_present(&link), Err(ReadError::Missing)));
        assert!(matches!(read_if_present(&dir.path().join("absent")), Ok(None)));
        assert!(matches!(read_if_present(&dir.path().join("no/directory")), Ok(None)));
    }
}
