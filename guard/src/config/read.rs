//! Reads configuration files as text, whole or piece by piece, and says why one cannot be read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, ErrorKind, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The longest file: more than ten million prefixes.
const BYTES_MAX: u64 = 256 << 20;

/// The longest line of a file that is read by lines.
const LINE_BYTES_MAX: usize = 64 << 10;

/// How much of a file is held at a time.
const PIECE_BYTES: usize = 64 << 10;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Why a file's text cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("no such file")]
    Missing,
    #[error("a directory, not a file")]
    Directory,
    #[error("not a regular file")]
    Special,
    #[error("longer than {} MiB", BYTES_MAX >> 20)]
    TooLong,
    #[error("line {0} is longer than {kib} KiB", kib = LINE_BYTES_MAX >> 10)]
    LongLine(u32),
    #[error("line {0} is not UTF-8")]
    Encoding(u32),
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

/// The text of a regular file, without a byte order mark. What it lends is whole characters; where it fails, the error
/// is a [`ReadError`], in an `io::Error` if that is what the trait wants.
#[derive(Debug)]
pub(super) struct Text {
    file: File,
    metadata: Metadata,
    marked: bool,
    read: u64,
    /// Lines that end before `buffer[good]`.
    lines: u32,
    blank: bool,
    buffer: Box<[u8]>,
    /// `buffer[start..good]` is text to lend; `buffer[good..end]` begins with the beginning of a character, or with no text.
    start: usize,
    good: usize,
    end: usize,
}

/// The lines of a file, one at a time.
#[derive(Debug)]
pub(super) struct Lines {
    text: Text,
    line: Vec<u8>,
    number: u32,
}

/// Returns a file's text, without a byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String, ReadError> {
    let mut text = String::new();
    Text::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Returns a file's text as it is, byte order mark included, and what the file was when it was opened.
pub(super) fn read_as_it_is(path: &Path) -> Result<(String, Metadata), ReadError> {
    let mut text = Text::open(path)?;
    let mut whole = if text.marked { BYTE_ORDER_MARK.to_owned() } else { String::new() };
    text.read_to_string(&mut whole)?;
    Ok((whole, text.metadata))
}

/// Makes none of what was read at a path where nothing has that name.
pub(super) fn if_present<T>(path: &Path, read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match read {
        // A link that leads nowhere was put there by someone: it is not absent.
        Err(ReadError::Missing) if path.symlink_metadata().is_err() => Ok(None),
        other => other.map(Some),
    }
}

impl Text {
    /// Opens a regular file. Nothing else: a pipe that nobody writes to would be waited for without end.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ReadError::Directory);
        }
        if !metadata.is_file() {
            return Err(ReadError::Special);
        }
        if metadata.len() > BYTES_MAX {
            return Err(ReadError::TooLong);
        }
        let mut mark = [0; BYTE_ORDER_MARK.len()];
        let marked = file.read_at(&mut mark, 0)? == mark.len() && mark == *BYTE_ORDER_MARK.as_bytes();
        if marked {
            file.seek(SeekFrom::Start(mark.len() as u64))?;
        }
        let buffer = vec![0; PIECE_BYTES].into_boxed_slice();
        Ok(Self { file, metadata, marked, read: 0, lines: 0, blank: true, buffer, start: 0, good: 0, end: 0 })
    }

    /// Returns what the file was when it was opened, before anything of it was read.
    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Says whether what was read so far is white space.
    pub(super) fn is_blank(&self) -> bool {
        self.blank
    }

    /// Reads the next piece, once the last has been lent; at the end it is empty.
    fn refill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.good..self.end, 0);
        (self.start, self.good, self.end) = (0, 0, self.end - self.good);
        while self.good == 0 {
            let read = self.file.read(&mut self.buffer[self.end..])?;
            self.end += read;
            self.read += read as u64;
            if self.read > BYTES_MAX {
                return Err(io::Error::other(ReadError::TooLong));
            }
            self.good = match str::from_utf8(&self.buffer[..self.end]) {
                Ok(_) => self.end,
                // What comes before a fault is lent first: it may have faults of its own.
                Err(error) if error.valid_up_to() > 0 => error.valid_up_to(),
                Err(error) if error.error_len().is_none() && read > 0 => 0,
                Err(_) => return Err(io::Error::other(ReadError::Encoding(self.lines + 1))),
            };
            if read == 0 {
                break;
            }
        }
        let piece = &self.buffer[..self.good];
        self.lines += newlines(piece);
        self.blank = self.blank && piece.trim_ascii().is_empty();
        Ok(())
    }
}

fn newlines(text: &[u8]) -> u32 {
    text.iter().filter(|byte| **byte == b'\n').count() as u32
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.good {
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.good])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

impl Read for Text {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        Ok(Self { text: Text::open(path)?, line: Vec::new(), number: 0 })
    }

    /// Returns what the file was when it was opened.
    pub(super) fn metadata(&self) -> &Metadata {
        self.text.metadata()
    }

    /// Returns the next line and its number, from 1; none at the end.
    pub(super) fn read(&mut self) -> Result<Option<(u32, &str)>, ReadError> {
        self.line.clear();
        let mut text = self.text.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        if text.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        if line.len() > LINE_BYTES_MAX {
            return Err(ReadError::LongLine(self.number));
        }
        let line = str::from_utf8(line).map_err(|_| ReadError::Encoding(self.number))?;
        Ok(Some((self.number, line)))
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            _ => error.downcast().unwrap_or_else(Self::Io),
        }
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
        assert_eq!(read_as_it_is(&path).unwrap().0, "\u{feff}one\ntwo");
        assert_eq!(if_present(&path, read_text(&path)).unwrap().as_deref(), Some("one\ntwo"));
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

    fn lines(text: impl AsRef<[u8]>) -> Result<Vec<(u32, String)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let mut read = Vec::new();
        while let Some((number, line)) = lines.read().map_err(|error| error.to_string())? {
            read.push((number, line.to_owned()));
        }
        Ok(read)
    }

    #[test]
    fn lends_line_after_line() {
        for (text, expected) in [
            ("", &[][..]),
            ("\u{feff}", &[]),
            ("\u{feff}one", &["one"]),
            ("one\n\nthree\r\n", &["one", "", "three\r"]),
            ("\none\n\u{feff}two", &["", "one", "\u{feff}two"]),
        ] {
            let expected: Vec<_> = (1..).zip(expected.iter().map(|line| (*line).to_owned())).collect();
            assert_eq!(lines(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        for text in [longest.clone(), format!("\n{longest}\n"), format!("{longest}\r\n").replacen('x', "", 1)] {
            assert!(lines(&text).is_ok(), "{} bytes", text.len());
        }
        for text in [format!("\n{longest}x"), format!("\n{longest}x\n"), format!("\n{longest}\r\n")] {
            assert_eq!(lines(&text), Err("line 2 is longer than 64 KiB".to_owned()), "{} bytes", text.len());
        }
    }

    #[test]
    fn characters_stay_whole_where_pieces_meet() {
        for character in ["é", "‰", "😀"] {
            for before in PIECE_BYTES - 5..PIECE_BYTES + 5 {
                let text = format!("{}{character}{}", "\n".repeat(before), "x".repeat(PIECE_BYTES - 9));
                let last = lines(&text).unwrap().pop();
                let expected = (before as u32 + 1, text.trim_start().to_owned());
                assert!(last == Some(expected), "{character} after {before}");
                let cut = &text.as_bytes()[..before + character.len() - 1];
                assert_eq!(lines(cut), Err(format!("line {} is not UTF-8", before + 1)), "{character} after {before}");
            }
        }
    }

    #[test]
    fn what_comes_before_a_fault_is_lent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for bad in [&b"\xff"[..], b"x\xc3", b"\xc3\nfour"] {
            fs::write(file.path(), [b"one\ntwo\n", bad].concat()).unwrap();
            let mut lines = Lines::open(file.path()).unwrap();
            for expected in [(1, "one"), (2, "two")] {
                assert_eq!(lines.read().unwrap(), Some(expected), "{bad:?}");
            }
            assert!(matches!(lines.read(), Err(ReadError::Encoding(3))), "{bad:?}");
        }
    }

    #[test]
    fn a_file_has_a_longest_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        fs::write(&path, "one").unwrap();
        let read = |before| {
            let mut text = Text::open(&path)?;
            text.read = before;
            Ok(text.read_to_string(&mut String::new())?)
        };
        assert!(matches!(read(BYTES_MAX - 3), Ok(3)));
        // One that grows while it is read.
        assert!(matches!(read(BYTES_MAX - 2), Err(ReadError::TooLong)));
        File::options().write(true).open(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert_eq!(read_text(&path).unwrap_err().to_string(), "longer than 256 MiB");
    }

    #[test]
    fn absent_is_not_a_link_that_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        let read = |path: &Path| if_present(path, read_text(path));
        assert!(matches!(read(&link), Err(ReadError::Missing)));
        assert!(matches!(read(&dir.path().join("absent")), Ok(None)));
        assert!(matches!(read(&dir.path().join("no/directory")), Ok(None)));
    }
}
