//! The program that follows the sockets of a cgroup, by a link that is pinned.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use aya::{Ebpf, programs::SockOps};
use guard_common::names;
use thiserror::Error;

use super::{
    KernelError,
    bpf::{self, cgroup_link_info, follow_sockets, open_pin, update_link},
    bpffs::{PinDirectory, SOCKETS, remove_pin},
    detach::detach,
};

/// Why connections are not counted.
#[derive(Debug, Error)]
pub(crate) enum SocketsError {
    #[error("connections of cgroup `{cgroup}` can't be counted")]
    Cgroup { cgroup: PathBuf, source: io::Error },
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The program to attach, and where its link is pinned.
pub(crate) struct Sockets {
    program: OwnedFd,
    pin: PathBuf,
}

impl Sockets {
    pub(super) fn open(ebpf: &mut Ebpf, pins: &PinDirectory) -> Result<Self, KernelError> {
        let failed = |source| KernelError::Verifier { program: names::PROGRAM_SOCKETS, source };
        let loaded: &mut SockOps = super::program(ebpf, names::PROGRAM_SOCKETS)?;
        let program = loaded.fd().map_err(failed)?.as_fd().try_clone_to_owned();
        let program = program.map_err(|error| KernelError::Load(error.into()))?;
        Ok(Self { program, pin: pins.path(SOCKETS) })
    }

    /// Follows the sockets of a cgroup, and of those below it, and of no other. `begin` is called before, where nobody followed
    /// them.
    ///
    /// # Errors
    /// What was followed before still is.
    pub(crate) fn attach(
        &self,
        cgroup: &Path,
        begin: impl FnOnce() -> Result<(), KernelError>,
    ) -> Result<(), SocketsError> {
        let refused = |source| SocketsError::Cgroup { cgroup: cgroup.to_owned(), source };
        let directory = File::open(cgroup).map_err(refused)?;
        if let Some(link) = self.link_on(&directory).map_err(refused)? {
            return update_link(link.as_fd(), self.program.as_fd()).map_err(refused);
        }
        begin()?;
        let link = follow_sockets(self.program.as_fd(), directory.as_fd()).map_err(refused)?;
        // For a moment both cgroups are followed: no connection is counted twice.
        self.detach()?;
        Ok(bpf::pin(link.as_fd(), &self.pin).map_err(|error| self.failed("pinning", error))?)
    }

    /// Tells whether the sockets of a cgroup are followed: one that was removed and made anew is another.
    pub(crate) fn follows(&self, cgroup: &Path) -> io::Result<bool> {
        self.link_on(&File::open(cgroup)?).map(|link| link.is_some())
    }

    /// Returns the link, if it is on a cgroup.
    fn link_on(&self, cgroup: &File) -> io::Result<Option<OwnedFd>> {
        if !self.pin.exists() {
            return Ok(None);
        }
        let link = open_pin(&self.pin)?;
        let is_on_it = cgroup_link_info(link.as_fd())?.cgroup == cgroup.metadata()?.ino();
        Ok(is_on_it.then_some(link))
    }

    /// Follows nothing any more.
    pub(crate) fn detach(&self) -> Result<(), KernelError> {
        detach_pinned(&self.pin)
    }

    fn failed(&self, action: &'static str, error: io::Error) -> KernelError {
        KernelError::Pin { action, path: self.pin.clone(), error }
    }
}

/// Takes the program off the cgroup on which a pinned link has it; there may be none.
pub(super) fn detach_pinned(pin: &Path) -> Result<(), KernelError> {
    if !fs::exists(pin).map_err(|error| KernelError::Pin { action: "looking at", path: pin.to_owned(), error })? {
        return Ok(());
    }
    detach(pin).map_err(|error| KernelError::Pin { action: "detaching", path: pin.to_owned(), error })?;
    remove_pin(pin)
}

#[cfg(test)]
mod tests;
