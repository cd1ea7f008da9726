//! The files that hold data: the list file, sets, what was added by command. They are read again whenever one of them is
//! another than it was.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::read::{ReadError, Text, if_present};

/// The data files of a configuration, with what each was when it was read.
#[derive(Clone, Debug)]
pub(crate) struct DataFiles {
    pub(super) list_file: DataFile,
    pub(super) entries: DataFile,
    pub(super) sets: Vec<DataFile>,
}

/// What data files are at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look(Vec<Option<Stamp>>);

/// What tells a file from another, and from itself before it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and ns.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    path: Arc<Path>,
    /// None if there was none.
    read: Option<Stamp>,
    /// Of a file that was read under another name, to be put here: when it last changed. Renaming changes that, so it is
    /// what it is when the file is first found here.
    put: Option<OnceLock<(i64, i64)>>,
}

impl DataFiles {
    /// Tells whether a file is another, or has been written to, or is there or gone newly. Links are followed.
    pub(crate) fn have_changed(&self) -> bool {
        self.all().any(DataFile::has_changed)
    }

    /// Returns what the files are now, so that what could not be taken up is tried again only once it is another.
    pub(crate) fn look(&self) -> Look {
        Look(self.all().map(|file| Stamp::at(&file.path)).collect())
    }

    /// Returns where the list file is, or would be.
    pub(crate) fn list_file(&self) -> &Path {
        &self.list_file.path
    }

    /// Returns where what was added by command is, or would be.
    pub(crate) fn entries(&self) -> &Path {
        &self.entries.path
    }

    /// Tells whether there was a list file when it was read.
    pub(crate) fn had_list_file(&self) -> bool {
        self.list_file.read.is_some()
    }

    /// Tells whether there was a file of what was added by command when it was read.
    pub(crate) fn had_entries(&self) -> bool {
        self.entries.read.is_some()
    }

    /// Tells whether what was added by command is as it was read, if this is what there is of it now.
    pub(crate) fn entries_are(&self, now: Option<&Metadata>) -> bool {
        !self.entries.differs(now.map(Stamp::of))
    }

    /// Takes a file that is to be put in its place for what was added by command.
    pub(crate) fn put_entries(&mut self, metadata: &Metadata) {
        let Self { entries: DataFile { read, put, .. }, .. } = self;
        (*read, *put) = (Some(Stamp::of(metadata)), Some(OnceLock::new()));
    }

    fn all(&self) -> impl Iterator<Item = &DataFile> {
        [&self.list_file, &self.entries].into_iter().chain(&self.sets)
    }
}

impl DataFile {
    /// Takes a file as it was when it was opened.
    pub(super) fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.into(), read: Some(Stamp::of(metadata)), put: None }
    }

    /// Stands for a file of which it is not known where it is.
    pub(super) fn none() -> Self {
        Self { path: Path::new("").into(), read: None, put: None }
    }

    /// Opens the file at a path, or what is staged to be put there; there may be none.
    pub(super) fn open(path: &Arc<Path>, staged: Option<&Path>) -> (Self, Result<Option<Text>, ReadError>) {
        let opened = staged.unwrap_or(path);
        let text = if_present(opened, Text::open(opened));
        let read = text.as_ref().ok().and_then(|text| Some(Stamp::of(text.as_ref()?.metadata())));
        (Self { path: path.clone(), read, put: staged.map(|_| OnceLock::new()) }, text)
    }

    pub(super) fn has_changed(&self) -> bool {
        self.differs(Stamp::at(&self.path))
    }

    fn differs(&self, now: Option<Stamp>) -> bool {
        match (now, self.read, &self.put) {
            (Some(now), Some(read), Some(put)) => {
                let is_put = now == Stamp { changed: now.changed, ..read };
                !is_put || *put.get_or_init(|| now.changed) != now.changed
            }
            (now, read, _) => now != read,
        }
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Looks at the file to which a path leads; none if there is none.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    /// Tells whether both are one file, whatever was written to it.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
