//! Reads configuration files as text, and says why one cannot be read.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Why a file's text cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("no such file")]
    Missing,
    #[error("a directory, not a file")]
    Directory,
    #[error("line {0} is not UTF-8")]
    Encoding(usize),
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

/// Returns a file's text, without a byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String, ReadError> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ReadError::Missing,
        ErrorKind::IsADirectory => ReadError::Directory,
        _ => ReadError::Io(error),
    })?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadError::Encoding(1 + good.iter().filter(|byte| **byte == b'\n').count())
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
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
    use super::*;

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
