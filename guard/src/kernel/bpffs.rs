//! The bpf file system and an instance's directory on it.

use std::{
    fs::{self, DirBuilder, File, Metadata, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use tracing::{info, warn};

use super::{KernelError, detach::detach, egress, sockets};
use crate::instance::{BPFFS, Instance, all_pins};

/// The directory inside an instance's that holds its links.
pub(crate) const LINKS: &str = "links";

/// The directory inside an instance's for what is attached to packets that leave.
pub(super) const EGRESS: &str = "egress";

/// The pin inside an instance's directory of the link by which sockets are followed.
pub(super) const SOCKETS: &str = "sockets";

/// An instance's pins, held by this process alone. Dropped before they are kept, they are removed again.
pub(crate) struct PinDirectory {
    path: PathBuf,
    kept: bool,
    /// Keeps the lock.
    _lock: File,
}

impl PinDirectory {
    /// Mounts the bpf file system where it is absent, makes the directory and takes it.
    pub(super) fn open(instance: &Instance) -> Result<Self, KernelError> {
        mount_bpffs()?;
        make_directory(&all_pins())?;
        let path = instance.pins();
        make_directory(&path)?;
        let lock = lock(instance, &path)?;
        make_directory(&path.join(LINKS))?;
        Ok(Self { path, kept: false, _lock: lock })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory of the links, which are named by their interface's index.
    pub(super) fn links(&self) -> PathBuf {
        self.path(LINKS)
    }

    /// Makes a directory inside and returns its path.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, KernelError> {
        let path = self.path(name);
        make_directory(&path)?;
        Ok(path)
    }

    /// Leaves the pins when this process ends.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Removes the directory of a start that failed, unless links of an earlier run still hold their interfaces.
    fn abandon(&self) -> Result<(), KernelError> {
        let links = self.links();
        match fs::read_dir(&links).map(Iterator::count) {
            Ok(0) => {
                egress::detach_all(&self.path(EGRESS))?;
                sockets::detach_pinned(&self.path(SOCKETS))?;
                remove_all(&self.path)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(KernelError::Pin { action: "reading", path: links, error }),
        }
    }
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.abandon()
        {
            warn!("{error}");
        }
    }
}

/// Takes an instance's pins away, which detaches its links: the end of enforcement. Fails while a daemon holds them.
///
/// Returns false if there were none.
pub(crate) fn remove_pins(instance: &Instance) -> Result<bool, KernelError> {
    let path = instance.pins();
    if !path.try_exists().map_err(|error| KernelError::Pin { action: "looking at", path: path.clone(), error })? {
        return Ok(false);
    }
    let _lock = lock(instance, &path)?;
    // As long as anything is dropped, answers are known.
    detach_all(&path.join(LINKS))?;
    egress::detach_all(&path.join(EGRESS))?;
    sockets::detach_pinned(&path.join(SOCKETS))?;
    remove_all(&path)?;
    Ok(true)
}

/// Takes the program off every interface; of a start that was cut short there may be no directory of links.
fn detach_all(links: &Path) -> Result<(), KernelError> {
    let failed = |action, path: &Path, error| KernelError::Pin { action, path: path.to_owned(), error };
    let pins = match fs::read_dir(links) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        pins => pins.map_err(|error| failed("reading", links, error))?,
    };
    for pin in pins {
        let pin = pin.map_err(|error| failed("reading", links, error))?.path();
        detach(&pin).map_err(|error| failed("detaching", &pin, error))?;
    }
    Ok(())
}

/// Removes an instance's directory, and the one of all instances with the last of them.
fn remove_all(path: &Path) -> Result<(), KernelError> {
    let failed = |path: &Path, error| KernelError::Pin { action: "removing", path: path.to_owned(), error };
    fs::remove_dir_all(path).map_err(|error| failed(path, error))?;
    match fs::remove_dir(all_pins()) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Err(failed(&all_pins(), error))
        }
        _ => Ok(()),
    }
}

/// The directory itself is what is locked, so whoever uses these pins agrees, whatever its other directories are.
fn lock(instance: &Instance, path: &Path) -> Result<File, KernelError> {
    let path = path.to_owned();
    match try_lock(&path) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(KernelError::AlreadyRunning { instance: instance.name.clone(), path }),
        Err(TryLockError::Error(error)) => Err(KernelError::Pin { action: "locking", path, error }),
    }
}

fn try_lock(path: &Path) -> Result<File, TryLockError> {
    let directory = File::open(path).map_err(TryLockError::Error)?;
    directory.try_lock()?;
    // A directory that was removed meanwhile is locked by nobody else, and is not the one at this path.
    let same = |there: Metadata| Ok(there.ino() == directory.metadata()?.ino());
    match fs::metadata(path).and_then(same) {
        Ok(true) => Ok(directory),
        Ok(false) => Err(TryLockError::WouldBlock),
        Err(error) => Err(TryLockError::Error(error)),
    }
}

/// Removes a pin that may be there.
pub(super) fn remove_pin(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::Pin { action: "removing", path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}

fn mount_bpffs() -> Result<(), KernelError> {
    let path = Path::new(BPFFS);
    let no_bpffs = |error: io::Error| KernelError::NoBpffs { path: path.to_owned(), error };
    if is_bpffs(path).map_err(no_bpffs)? {
        return Ok(());
    }
    // Two guards that start at once must not mount one file system over the other's pins.
    let directory = File::open(path).map_err(no_bpffs)?;
    directory.lock().map_err(no_bpffs)?;
    if is_bpffs(path).map_err(no_bpffs)? {
        return Ok(());
    }
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .map_err(|error| no_bpffs(error.into()))?;
    info!("mounted a bpf file system on {BPFFS}");
    Ok(())
}

fn is_bpffs(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.filesystem_type() == BPF_FS_MAGIC)
}

fn make_directory(path: &Path) -> Result<(), KernelError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(KernelError::Pin { action: "making", path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}
