//! The file that lines are appended to.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};

/// An open file at a path. Clones are the same file, and take turns at it line by line.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// The numbers of its device and inode, to be had while somebody else waits for a pipe's reader.
    identity: (u64, u64),
    file: Arc<Mutex<File>>,
}

impl PartialEq for LogFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }
}

impl LogFile {
    /// Opens the file at a path, which is made if it is not there. Where `former` is that very file, it is the one.
    pub(super) fn open(path: &Path, former: Option<&Self>) -> io::Result<Self> {
        match former.filter(|former| former.is_still_at(path)) {
            Some(former) => Ok(former.clone()),
            None => {
                let file = open(path)?;
                let identity = identity(&file.metadata()?);
                Ok(Self { path: path.to_owned(), identity, file: Arc::new(Mutex::new(file)) })
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, or nothing.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let length = file.metadata()?.len();
        file.write_all(line).inspect_err(|_| {
            // Half a line would make the next one unreadable. If it can't be taken back, nothing can be done.
            let _ = file.set_len(length);
        })
    }

    fn is_still_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|there| identity(&there) == self.identity)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Opens what lines can be appended to, without waiting for anybody.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENXIO) => io::Error::other("a pipe that nobody reads, a socket, or a device that is not there"),
        _ => error,
    })?;
    let kind = file.metadata()?.file_type();
    if !(kind.is_file() || kind.is_char_device() || kind.is_fifo()) {
        return Err(io::Error::other("not a regular file, a character device or a pipe"));
    }
    // Lines have a thread of their own, which may wait for a reader.
    let flags = OFlag::from_bits_retain(fcntl(file.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(file.as_fd(), FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn a_pipe_needs_a_reader_and_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let refused = LogFile::open(&path, None).unwrap_err().to_string();
        assert!(refused.starts_with("a pipe that nobody reads"), "{refused}");

        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let file = LogFile::open(&path, None).unwrap();
        file.append(b"line\n").unwrap();
        let flags = fcntl(file.file.lock().unwrap().as_fd(), FcntlArg::F_GETFL).unwrap();
        assert!(!OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK), "a full pipe is waited for");
        let mut line = [0; 5];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line\n");
    }

    #[test]
    fn only_what_lines_can_be_appended_to_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(LogFile::open(dir.path(), None).is_err());
        assert!(LogFile::open(&socket, None).is_err());
        assert!(LogFile::open(Path::new("/dev/null"), None).is_ok());
        assert!(LogFile::open(&dir.path().join("new"), None).is_ok());
    }

    #[test]
    fn a_file_is_opened_again_only_where_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        let first = LogFile::open(&path, None).unwrap();
        assert_eq!(LogFile::open(&path, Some(&first)).unwrap(), first);
        fs::rename(&path, dir.path().join("eve.json.1")).unwrap();
        let second = LogFile::open(&path, Some(&first)).unwrap();
        assert_ne!(second, first);
        first.append(b"old\n").unwrap();
        second.append(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(dir.path().join("eve.json.1")).unwrap(), "old\n");
    }
}
