//! The audit log: one JSON line for each change of what is enforced, made or refused. Lines are only ever added.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::{
    live::{Edit, List, Who},
    policy::ListChange,
};

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditRecord {
    pub(crate) time: Timestamp,
    pub(crate) by: Actor,
    pub(crate) action: Action,
    #[serde(flatten)]
    pub(crate) request: Request,
    /// Configured lists that are others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lists: Vec<ListChange>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// The generation in force before; 0 if there was none.
    pub(crate) generation_before: u64,
    pub(crate) generation_after: u64,
}

/// Who or what made a change come about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Actor {
    /// Somebody who asked for it.
    Who(Who),
    Cause(Cause),
}

/// What makes a change come about without anybody asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cause {
    Signal,
    /// A file is another than it was.
    Files,
    /// An end has come.
    Clock,
}

/// What was done, or was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Reload,
    AllowAdd,
    AllowRemove,
    BlockAdd,
    BlockRemove,
    Lockdown,
    Lift,
    Expire,
    Files,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Request {
    /// Of a lockdown, those that it excepts; of what ended, those for which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prefixes: Vec<IpNet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Whether it was to be made whatever speaks against it.
    pub(crate) forced: bool,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(crate) enum Outcome {
    Enforced,
    Refused { faults: Vec<String> },
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::AllowAdd => "allow add",
            Self::AllowRemove => "allow remove",
            Self::BlockAdd => "block add",
            Self::BlockRemove => "block remove",
            Self::Lockdown => "lockdown",
            Self::Lift => "lift",
            Self::Expire => "expire",
            Self::Files => "files",
        }
    }

    pub(crate) fn of(edit: &Edit) -> Self {
        match edit {
            Edit::Add(addition) => match addition.list {
                List::Allow => Self::AllowAdd,
                List::Block => Self::BlockAdd,
            },
            Edit::Remove(removal) => match removal.list {
                List::Allow => Self::AllowRemove,
                List::Block => Self::BlockRemove,
            },
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Request {
    pub(crate) fn of(edit: &Edit, forced: bool) -> Self {
        match edit {
            Edit::Add(addition) => Self {
                prefixes: addition.prefixes.clone(),
                services: addition.services.clone(),
                ttl_s: addition.ttl.map(|ttl| ttl.as_secs()),
                comment: addition.comment.clone(),
                name: addition.name.clone(),
                forced,
            },
            Edit::Remove(removal) => Self {
                prefixes: removal.prefixes.clone(),
                services: removal.services.clone(),
                name: removal.name.clone(),
                forced,
                ..Self::default()
            },
        }
    }
}

/// The log's file. Whoever renames it makes it end: the next line begins another.
#[derive(Debug)]
pub(crate) struct AuditLog {
    path: PathBuf,
    /// Absent before the first line, and after a write that failed, which may have left half a line.
    file: Mutex<Option<File>>,
}

impl AuditLog {
    /// The log at a path, which is opened, and made if there is none, when it is needed.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, file: Mutex::new(None) }
    }

    /// Makes sure that the log is open: before a change, which must not be made if it can't be written down.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        self.current(&mut self.lock()).map(|_| ()).map_err(|error| self.named(&error))
    }

    /// Adds a line, and returns once it is on the disk. It blocks.
    pub(crate) fn append(&self, record: &AuditRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = self.lock();
        let written = self.current(&mut file).and_then(|mut log| {
            log.write_all(&line)?;
            log.sync_data()
        });
        written.map_err(|error| {
            *file = None;
            self.named(&error)
        })
    }

    /// Puts the log's name before what went wrong with it.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        // Whoever panicked with it changed nothing but where it points.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the file that is at the path, which is opened again if it is another.
    fn current<'a>(&self, file: &'a mut Option<File>) -> io::Result<&'a File> {
        let is_current = |file: &File| {
            let (open, there) = (file.metadata(), fs::metadata(&self.path));
            matches!((open, there), (Ok(open), Ok(there)) if (open.dev(), open.ino()) == (there.dev(), there.ino()))
        };
        match file.take().filter(is_current) {
            Some(current) => Ok(file.insert(current)),
            None => Ok(file.insert(open(&self.path)?)),
        }
    }
}

/// Opens the file for lines at its end. Half a line, as a power loss or a full disk leaves it, is ended.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    if let Some(last) = end.checked_sub(1) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, last)?;
        if byte != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    if let Some(directory) = path.parent() {
        // So that a power loss does not take a new file's name.
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
