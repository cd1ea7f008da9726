//! The program for packets that leave, on interfaces: by links that are pinned (tcx), or where the kernel has none (before
//! 6.6) by filters of traffic control (clsact).
//!
//! A filter has no pin, so its program has one: whose program a filter runs, that is whose filter it is. All filters of guard have
//! one priority, at which the kernel gives each a handle, so several guards' stand side by side. A clsact stays, because
//! nothing says who else uses it.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, Link as _, LinkOrder, PinnedLink},
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact},
    },
    sys::SyscallError,
};
use guard_common::names;
use nix::errno::Errno;
use thiserror::Error;

use super::{
    KernelError,
    bpf::{link_info, open_pin, program_id},
    bpffs::{EGRESS, PinDirectory, remove_pin},
    detach::detach,
};
use crate::network::{
    self, NetworkError,
    filters::{self, Filter},
};

/// The priority of guard's filters: others', which the kernel numbers downwards from 49,152, come first.
const PRIORITY: u16 = 0xcfff;

/// What the pin of a filter's program is called behind the interface's index, and that of one that is taking its place.
const FILTER: &str = "_filter";
const NEXT_FILTER: &str = "_filter_next";

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Tcx,
    Clsact,
}

impl Hook {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// Why packets that leave an interface are not noted.
#[derive(Debug, Error)]
pub(crate) enum EgressError {
    #[error("interface {0} is gone")]
    Gone(u32),
    #[error("the kernel refuses the program by {}", hook.name())]
    Refused { hook: Hook, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The program to attach, and where its links, or it, are pinned: `egress/<interface index>` and what [`FILTER`] says.
pub(crate) struct Egress {
    program: SchedClassifier,
    id: u32,
    pins: PathBuf,
}

impl Egress {
    pub(super) fn open(ebpf: &mut Ebpf, pins: &PinDirectory) -> Result<Self, KernelError> {
        let failed = |source| KernelError::Verifier { program: names::PROGRAM_EGRESS, source };
        let loaded: &mut SchedClassifier = super::program(ebpf, names::PROGRAM_EGRESS)?;
        let program = super::reopen(
            names::PROGRAM_EGRESS,
            pins,
            |path| loaded.pin(path),
            |path| SchedClassifier::from_pin(path),
        )?;
        let id = program.info().map_err(failed)?.id();
        Ok(Self { program, id, pins: pins.directory(EGRESS)? })
    }

    /// Tells whether an earlier run's program seems to be on an interface, so that attaching will replace it.
    pub(crate) fn is_held(&self, interface: u32) -> bool {
        ["", FILTER, NEXT_FILTER].into_iter().any(|suffix| self.pin(interface, suffix).exists())
    }

    /// Attaches to an interface, where this run's program is not on it yet: in place of an earlier run's if there is one, else
    /// beside whatever is there. Returns to what, and whether no run of guard was there before.
    pub(crate) fn attach(&mut self, interface: u32) -> Result<(Hook, bool), EgressError> {
        if self.replace_link(interface)? {
            return Ok((Hook::Tcx, false));
        }
        if self.replace_filter(interface)? {
            return Ok((Hook::Clsact, false));
        }
        match self.attach_by(Hook::Tcx, interface) {
            Err(EgressError::Refused { source, .. }) if is_unknown(&*source) => {
                self.attach_by(Hook::Clsact, interface).map(|()| (Hook::Clsact, true))
            }
            attached => attached.map(|()| (Hook::Tcx, true)),
        }
    }

    /// Takes the program off every interface whose index is not wanted; returns those indices.
    pub(crate) fn detach_others(&self, wanted: impl Fn(u32) -> bool) -> Result<Vec<u32>, KernelError> {
        let mut detached = Vec::new();
        for pin in pins(&self.pins)? {
            if !wanted(pin.interface) {
                release(&pin)?;
                detached.push(pin.interface);
            }
        }
        Ok(detached)
    }

    /// Attaches to an interface where no earlier run's program is.
    fn attach_by(&mut self, hook: Hook, interface: u32) -> Result<(), EgressError> {
        let name = name(interface)?;
        match hook {
            Hook::Tcx => self.attach_link(interface, &name),
            Hook::Clsact => self.attach_filter(interface, &name),
        }
    }

    fn attach_link(&mut self, interface: u32, name: &str) -> Result<(), EgressError> {
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        let attached = self.program.attach_with_options(name, TcAttachType::Egress, order);
        let link = attached.and_then(|id| self.program.take_link(id)).map_err(refused(Hook::Tcx))?;
        let link = FdLink::try_from(link).map_err(refused(Hook::Tcx))?;
        let path = self.pin(interface, "");
        // This process's own handle is not needed, because the pin keeps the link.
        let pinned = link.pin(&path).map(drop);
        pinned.map_err(|error| pin_failed("pinning", &path, io::Error::other(error)).into())
    }

    fn attach_filter(&mut self, interface: u32, name: &str) -> Result<(), EgressError> {
        match qdisc_add_clsact(name) {
            Err(TcError::NetlinkError(error)) if error.raw_os_error() != Some(Errno::EEXIST as i32) => {
                return Err(refused(Hook::Clsact)(error));
            }
            // It is there already; if that is something else in the same place, attaching says so.
            Ok(()) | Err(TcError::NetlinkError(_)) => {}
            Err(error) => return Err(refused(Hook::Clsact)(error)),
        }
        // First the pin: a filter of which nobody knows would stay for ever.
        self.pin_program(&self.pin(interface, FILTER))?;
        let options = NlOptions { priority: PRIORITY, ..NlOptions::default() };
        let attached = self.program.attach_with_options(name, TcAttachType::Egress, TcAttachOptions::Netlink(options));
        match attached.and_then(|id| self.program.take_link(id)) {
            Ok(link) => {
                keep(link);
                Ok(())
            }
            Err(error) => {
                remove_pin(&self.pin(interface, FILTER))?;
                Err(refused(Hook::Clsact)(error))
            }
        }
    }

    /// Has the pinned link run this program; false if there is none that is on the interface.
    fn replace_link(&mut self, interface: u32) -> Result<bool, EgressError> {
        let path = self.pin(interface, "");
        if !path.exists() {
            return Ok(false);
        }
        let link = open_pin(&path).and_then(|link| link_info(link.as_fd()));
        let link = link.map_err(|error| pin_failed("opening", &path, error))?;
        if link.interface != interface {
            // Its interface is gone, and another one has its index; or somebody forced the link off.
            remove_pin(&path)?;
            return Ok(false);
        }
        if link.program != self.id {
            let link = FdLink::from(PinnedLink::from_pin(&path).map_err(refused(Hook::Tcx))?);
            let link = SchedClassifierLink::try_from(link).map_err(refused(Hook::Tcx))?;
            let id = self.program.attach_to_link(link).map_err(refused(Hook::Tcx))?;
            drop(self.program.take_link(id).map_err(refused(Hook::Tcx))?);
        }
        Ok(true)
    }

    /// Has the filter of a pinned program run this one; false if there is none on the interface.
    fn replace_filter(&mut self, interface: u32) -> Result<bool, EgressError> {
        let [current, next] = [FILTER, NEXT_FILTER].map(|suffix| self.pin(interface, suffix));
        let running = |pin: &Path| match pin.exists() {
            true => own_filter(interface, pinned_program(pin)?),
            false => Ok(None),
        };
        // One that was taking another's place when its run was killed may have done so.
        let filter = match running(&next)? {
            Some(filter) => {
                rename(&next, &current)?;
                Some(filter)
            }
            None => running(&current)?,
        };
        remove_pin(&next)?;
        let Some(filter) = filter else {
            remove_pin(&current)?;
            return Ok(false);
        };
        if filter.program != self.id {
            self.pin_program(&next)?;
            let link = filter_link(interface, filter)?;
            let id = self.program.attach_to_link(link).map_err(refused(Hook::Clsact))?;
            keep(self.program.take_link(id).map_err(refused(Hook::Clsact))?);
            rename(&next, &current)?;
        }
        Ok(true)
    }

    fn pin_program(&mut self, path: &Path) -> Result<(), KernelError> {
        self.program.pin(path).map_err(|error| pin_failed("pinning", path, io::Error::other(error)))
    }

    fn pin(&self, interface: u32, suffix: &str) -> PathBuf {
        self.pins.join(format!("{interface}{suffix}"))
    }
}

/// A pin in the directory, of a link or of a filter's program.
struct Pin {
    interface: u32,
    hook: Hook,
    path: PathBuf,
}

/// Returns the numbers of the programs that packets which leave pass; of a start that was cut short there may be no directory.
pub(super) fn attached_programs(directory: &Path) -> Result<Vec<u32>, KernelError> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let program = |pin: &Pin| match pin.hook {
        Hook::Tcx => open_pin(&pin.path)
            .and_then(|link| link_info(link.as_fd()))
            .map(|link| link.program)
            .map_err(|error| pin_failed("opening", &pin.path, error)),
        Hook::Clsact => pinned_program(&pin.path),
    };
    pins(directory)?.iter().map(program).collect()
}

/// Takes the program off every interface; of a start that was cut short there may be no directory.
pub(super) fn detach_all(directory: &Path) -> Result<(), KernelError> {
    if !directory.exists() {
        return Ok(());
    }
    pins(directory)?.iter().try_for_each(release)
}

fn pins(directory: &Path) -> Result<Vec<Pin>, KernelError> {
    let failed = |error| pin_failed("reading", directory, error);
    let mut pins = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (index, hook) = match name.split_once('_') {
            Some((index, _)) => (index, Hook::Clsact),
            None => (name, Hook::Tcx),
        };
        if let Ok(interface) = index.parse() {
            pins.push(Pin { interface, hook, path });
        }
    }
    Ok(pins)
}

/// Takes the program off an interface that may be gone, and its pin away.
fn release(pin: &Pin) -> Result<(), KernelError> {
    let detached = match pin.hook {
        Hook::Tcx => detach(&pin.path),
        Hook::Clsact => detach_filter(pin).map_err(io::Error::other),
    };
    detached.map_err(|error| pin_failed("detaching", &pin.path, error))?;
    remove_pin(&pin.path)
}

fn detach_filter(pin: &Pin) -> Result<(), EgressError> {
    match own_filter(pin.interface, pinned_program(&pin.path)?)? {
        Some(filter) => filter_link(pin.interface, filter)?.detach().map_err(refused(Hook::Clsact)),
        None => Ok(()),
    }
}

/// Finds the filter on an interface, which may be gone, that runs a program.
fn own_filter(interface: u32, program: u32) -> Result<Option<Filter>, EgressError> {
    if name(interface).is_err() {
        return Ok(None);
    }
    Ok(filters::leaving(interface)?.into_iter().find(|filter| filter.program == program))
}

fn pinned_program(pin: &Path) -> Result<u32, KernelError> {
    open_pin(pin).and_then(|program| program_id(program.as_fd())).map_err(|error| pin_failed("opening", pin, error))
}

/// Returns what stands for a filter. Dropped, it takes the filter off.
fn filter_link(interface: u32, filter: Filter) -> Result<SchedClassifierLink, EgressError> {
    let (name, handle) = (name(interface)?, TcHandle::from(filter.handle));
    SchedClassifierLink::attached(&name, TcAttachType::Egress, filter.priority, handle, None)
        .map_err(refused(Hook::Clsact))
}

/// Leaves a filter where it is when this process ends.
fn keep(filter: SchedClassifierLink) {
    std::mem::forget(filter);
}

fn name(interface: u32) -> Result<String, EgressError> {
    network::name_of(interface).map_err(|_| EgressError::Gone(interface))
}

fn refused<E: Into<Box<dyn std::error::Error + Send + Sync>>>(hook: Hook) -> impl FnOnce(E) -> EgressError {
    move |error| EgressError::Refused { hook, source: error.into() }
}

fn rename(from: &Path, to: &Path) -> Result<(), KernelError> {
    fs::rename(from, to).map_err(|error| pin_failed("renaming", from, error))
}

fn pin_failed(action: &'static str, path: &Path, error: io::Error) -> KernelError {
    KernelError::Pin { action, path: path.to_owned(), error }
}

/// Tells whether the kernel refused a link because it has none of this kind.
fn is_unknown(error: &(dyn std::error::Error + 'static)) -> bool {
    let Some(ProgramError::SyscallError(SyscallError { io_error, .. })) = error.downcast_ref() else { return false };
    io_error.raw_os_error() == Some(Errno::EINVAL as i32)
}

#[cfg(test)]
mod tests;
