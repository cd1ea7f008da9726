//! New contents of a file, written beside it until they take its place.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::config::Stamp;

/// The mode of a file that was not there.
const MODE: u32 = 0o640;
/// The mode of a directory that was not there.
const DIRECTORY_MODE: u32 = 0o750;

/// New contents of a file, on disk. Dropped before they are put in its place, they go.
#[derive(Debug)]
pub(crate) struct StagedFile {
    path: PathBuf,
    /// Where links lead from there.
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    /// What the new contents were made from; none if there was no file.
    before: Option<Stamp>,
    put: bool,
}

impl StagedFile {
    /// Writes what is to take the place of the file at `path`, with that one's owner and mode. `before` is what the contents
    /// were made from.
    pub(crate) fn write(path: &Path, contents: &str, before: Option<&Metadata>) -> io::Result<Self> {
        Self::try_write(path, contents, before)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// Returns where the new contents are.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Looks whether the file still is what the contents were made from, and these what was written.
    ///
    /// # Errors
    /// Another program has changed it.
    pub(super) fn check(&self) -> io::Result<()> {
        let written = Stamp::of(&self.file.metadata()?);
        let is_ours = Stamp::at(&self.temporary).is_some_and(|there| there.is_same_file(&written));
        // Links may lead elsewhere now.
        let is_as_before = [&self.path, &self.target].into_iter().all(|path| Stamp::at(path) == self.before);
        if is_ours && is_as_before {
            return Ok(());
        }
        Err(io::Error::other(format!("{} was changed by another program meanwhile: try again", self.path.display())))
    }

    /// Puts the new contents in the file's place.
    pub(crate) fn put(&mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)?;
        self.put = true;
        Ok(())
    }

    /// Makes sure that they stay there.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(parent(&self.target))?.sync_all()
    }

    fn try_write(path: &Path, contents: &str, before: Option<&Metadata>) -> io::Result<Self> {
        let target = match before {
            Some(_) => path.canonicalize()?,
            None => path.to_owned(),
        };
        let directory = parent(&target);
        if before.is_none() {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
            File::open(parent(directory))?.sync_all()?;
        }
        let name = target.file_name().ok_or(ErrorKind::InvalidInput)?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".guard-new");
        let temporary = directory.join(temporary);
        match fs::remove_file(&temporary) {
            // What a run left that was killed.
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let mut staged =
            Self { path: path.to_owned(), target, temporary, file, before: before.map(Stamp::of), put: false };
        staged.fill(contents, before)?;
        Ok(staged)
    }

    fn fill(&mut self, contents: &str, before: Option<&Metadata>) -> io::Result<()> {
        self.file.write_all(contents.as_bytes())?;
        let made = self.file.metadata()?;
        if let Some(before) = before
            && (before.uid(), before.gid()) != (made.uid(), made.gid())
        {
            fchown(&self.file, Some(before.uid()), Some(before.gid()))?;
        }
        let mode = before.map_or(MODE, |before| before.mode() & 0o7777);
        self.file.set_permissions(Permissions::from_mode(mode))?;
        self.file.sync_all()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.put {
            // Nothing refers to it, and the next to be staged removes it if it stays.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
