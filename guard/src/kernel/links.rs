//! The program attached to interfaces by pinned links, and the links that an earlier run left.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        ProgramError, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        loaded_programs,
        xdp::{XdpLink, XdpLinkId},
    },
    sys::SyscallError,
};
use guard_common::names;
use nix::errno::Errno;
use thiserror::Error;
use tracing::warn;

use super::{
    KernelError,
    bpffs::{LINKS, PinDirectory},
    detach::detach,
    egress::EgressError,
};
use crate::{
    instance::all_pins,
    network::{AttachedMode, Interface},
    policy,
};

/// Why an interface is not guarded.
#[derive(Debug, Error)]
pub(crate) enum AttachError {
    #[error(
        "interface `{interface}` is guarded by guard instance `{instance}`: stop that one with `guard --instance {instance} down`"
    )]
    OtherGuard { interface: String, instance: String },
    #[error(
        "interface `{interface}` already has an XDP program ({holder}): remove it with `ip link set dev {interface} xdp off` or the tool that attached it"
    )]
    Occupied { interface: String, holder: String },
    #[error("interface `{interface}` is gone")]
    Gone { interface: String },
    #[error(
        "packets that leave interface `{interface}` can't be noted, so answers to this host's own connections would be dropped"
    )]
    Egress { interface: String, source: EgressError },
    #[error("interface `{interface}` takes no program in {mode} mode")]
    Refused { interface: String, mode: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// An attachment that was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attachment {
    /// A new link.
    New,
    /// The link of an earlier run, its program replaced with no packet unguarded.
    Replaced,
}

/// The program to attach, and where its links are pinned: `links/<interface index>`.
pub(crate) struct Links {
    ebpf: Ebpf,
    pins: PinDirectory,
}

impl Links {
    pub(super) fn new(ebpf: Ebpf, pins: PinDirectory) -> Self {
        Self { ebpf, pins }
    }

    /// Returns the kernel's number of the program that this run loaded.
    pub(crate) fn program_id(&mut self) -> Result<u32, KernelError> {
        let info = self.program()?.info();
        info.map(|info| info.id()).map_err(|source| KernelError::Verifier { program: names::PROGRAM_GUARD, source })
    }

    /// Tells whether the link of an earlier run holds an interface, so that attaching will replace its program.
    pub(crate) fn holds(&self, interface: &Interface) -> bool {
        matches!(holding_link(interface, &self.pin(interface)), Ok(Some(_)))
    }

    /// Fails if attaching would, because somebody else has the interface.
    pub(crate) fn check_free(&self, interface: &Interface) -> Result<(), AttachError> {
        match interface.xdp {
            Some(xdp) if !self.holds(interface) => Err(occupied(interface, xdp.program)),
            _ => Ok(()),
        }
    }

    /// Guards an interface: through the link of an earlier run if there is one, else through a new one.
    pub(crate) fn attach(&mut self, interface: &Interface, mode: policy::XdpMode) -> Result<Attachment, AttachError> {
        let pin = self.pin(interface);
        if pin.exists() {
            match holding_link(interface, &pin)? {
                Some(link) => return self.replace(interface, link),
                // Its interface is gone, and another one has its index; or somebody forced the link off.
                None => remove(&pin)?,
            }
        }
        if let Some(xdp) = interface.xdp {
            return Err(occupied(interface, xdp.program));
        }
        let link = match mode {
            policy::XdpMode::Native => self.try_attach(interface, AttachedMode::Native)?,
            policy::XdpMode::Generic => self.try_attach(interface, AttachedMode::Generic)?,
            policy::XdpMode::Auto => match self.try_attach(interface, AttachedMode::Native) {
                Err(AttachError::Refused { source, .. }) => {
                    warn!("`{}` takes no program in its driver ({source}): generic mode, slower", interface.name);
                    self.try_attach(interface, AttachedMode::Generic)?
                }
                other => other?,
            },
        };
        link.pin(&pin).map_err(|error| KernelError::Pin {
            action: "pinning",
            path: pin,
            error: io::Error::other(error),
        })?;
        Ok(Attachment::New)
    }

    /// Takes the program off every interface whose index is not wanted; returns those indices.
    pub(crate) fn detach_others(&mut self, wanted: impl Fn(u32) -> bool) -> Result<Vec<u32>, KernelError> {
        let directory = self.pins.links();
        let failed = |error| KernelError::Pin { action: "reading", path: directory.clone(), error };
        let mut detached = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let index = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(index) = index
                && !wanted(index)
            {
                remove(&entry.path())?;
                detached.push(index);
            }
        }
        Ok(detached)
    }

    /// Leaves links and tables in force when this process ends.
    pub(crate) fn keep(&mut self) {
        self.pins.keep();
    }

    /// Takes the program off interfaces to which this run attached it, because what they were attached for failed.
    pub(crate) fn abandon(&self, attached: &[u32]) -> Result<(), KernelError> {
        let directory = self.pins.links();
        attached.iter().try_for_each(|index| remove(&directory.join(index.to_string())))
    }

    fn program(&mut self) -> Result<&mut Xdp, KernelError> {
        super::program(&mut self.ebpf, names::PROGRAM_GUARD)
    }

    fn pin(&self, interface: &Interface) -> PathBuf {
        self.pins.links().join(interface.index.to_string())
    }

    fn replace(&mut self, interface: &Interface, link: FdLink) -> Result<Attachment, AttachError> {
        let link = XdpLink::try_from(link).map_err(|error| not_replaced(interface, error))?;
        let program = self.program()?;
        let id = program.attach_to_link(link).map_err(|error| not_replaced(interface, error))?;
        // The pin keeps the link; this process's own handle is not needed.
        drop(program.take_link(id).map_err(|error| not_replaced(interface, error))?);
        Ok(Attachment::Replaced)
    }

    fn try_attach(&mut self, interface: &Interface, mode: AttachedMode) -> Result<FdLink, AttachError> {
        let xdp_mode = match mode {
            AttachedMode::Native => XdpMode::Driver,
            AttachedMode::Generic => XdpMode::Skb,
        };
        let program = self.program()?;
        program.attach_to_if_index(interface.index, xdp_mode).and_then(|id| take_link(program, id)).map_err(|error| {
            match errno(&error) {
                Some(Errno::EBUSY) => occupied(interface, 0),
                Some(Errno::ENODEV) => AttachError::Gone { interface: interface.name.clone() },
                _ => {
                    AttachError::Refused { interface: interface.name.clone(), mode: mode.name(), source: error.into() }
                }
            }
        })
    }
}

/// Takes a link out of the program. One that aya made over netlink, because the kernel refused a real one, can't be
/// pinned; it falls off again here.
fn take_link(program: &mut Xdp, id: XdpLinkId) -> Result<FdLink, ProgramError> {
    let link = program.take_link(id)?;
    FdLink::try_from(link).map_err(|error| {
        let io_error = io::Error::other(error);
        SyscallError { call: "bpf_link_create", io_error }.into()
    })
}

/// Opens a pinned link, if that is what holds the interface.
fn holding_link(interface: &Interface, pin: &Path) -> Result<Option<FdLink>, AttachError> {
    let link = FdLink::from(PinnedLink::from_pin(pin).map_err(|error| not_replaced(interface, error))?);
    let program = link.info().map_err(|error| not_replaced(interface, error))?.program_id();
    Ok((interface.xdp.map(|xdp| xdp.program) == Some(program)).then_some(link))
}

fn not_replaced(interface: &Interface, source: impl std::error::Error + Send + Sync + 'static) -> AttachError {
    AttachError::Refused { interface: interface.name.clone(), mode: "its present", source: source.into() }
}

fn errno(error: &ProgramError) -> Option<Errno> {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. }) => io_error.raw_os_error().map(Errno::from_raw),
        _ => None,
    }
}

/// Says who holds an interface: another guard, or else a program by its number and name.
fn occupied(interface: &Interface, program: u32) -> AttachError {
    let name = interface.name.clone();
    if let Some(instance) = guard_on(interface.index, program) {
        return AttachError::OtherGuard { interface: name, instance };
    }
    let holder = match (program, program_name(program)) {
        (0, _) => "attached a moment ago".to_owned(),
        (id, Some(program)) => format!("id {id}, `{program}`"),
        (id, None) => format!("id {id}"),
    };
    AttachError::Occupied { interface: name, holder }
}

/// Finds the guard instance whose pinned link runs a program on an interface.
fn guard_on(index: u32, program: u32) -> Option<String> {
    fs::read_dir(all_pins()).ok()?.flatten().find_map(|instance| {
        let link = FdLink::from(PinnedLink::from_pin(instance.path().join(LINKS).join(index.to_string())).ok()?);
        let runs = link.info().ok()?.program_id();
        if program == 0 || runs == program { instance.file_name().into_string().ok() } else { None }
    })
}

fn program_name(id: u32) -> Option<String> {
    loaded_programs().flatten().find(|info| info.id() == id)?.name_as_str().map(str::to_owned)
}

fn remove(pin: &PathBuf) -> Result<(), KernelError> {
    detach(pin).map_err(|error| KernelError::Pin { action: "detaching", path: pin.clone(), error })?;
    fs::remove_file(pin).map_err(|error| KernelError::Pin { action: "removing", path: pin.clone(), error })
}
