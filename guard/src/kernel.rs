//! The kernel's side: the program loaded, its tables filled, its links attached and pinned.
//!
//! This module and those below it are the only ones that name aya. They know no configuration syntax and no export form.

mod addresses;
mod ask;
mod bpf;
mod bpffs;
mod connections;
mod counters;
mod detach;
mod egress;
mod flows;
mod flush;
mod generations;
mod limits;
mod links;
mod log;
mod privileges;
mod ring;
mod services;
mod sockets;
mod state;
mod timed;
mod used;
mod words;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    pin::PinError,
    programs::{Program, ProgramError, SchedClassifier, SockOps, Xdp},
};
use aya_obj::programs::XdpAttachType;
use guard_common::{connections::Violation, names, records::BlockEvent};
use nix::{
    sys::utsname::uname,
    time::{ClockId, clock_getres},
};
use thiserror::Error;

pub(crate) use addresses::OwnAddresses;
pub(crate) use bpffs::{LINKS, remove_pins};
use bpffs::{PinDirectory, remove_pin};
pub(crate) use connections::{Connections, own_namespace};
pub(crate) use counters::{Counters, Totals};
pub(crate) use egress::{Egress, Hook};
pub(crate) use flows::Flows;
pub(crate) use flush::{FLUSH_AGE, FLUSH_ALL, Flusher};
pub(crate) use generations::{Generations, Prepared};
pub(crate) use links::{AttachError, Attachment, Links};
use ring::Ring;
pub(crate) use services::ServiceNames;
pub(crate) use sockets::{Sockets, SocketsError};
pub(crate) use state::State;
pub(crate) use timed::{TimedPrefix, TimedTable, TimedTables};
pub(crate) use used::Used;

use crate::instance::Instance;

/// The kernel program, as the build script compiled it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard-ebpf"));

/// The oldest kernel on which loading is tried: 5.10 has no 64-bit compare-exchange before 5.12, and its verifier does
/// not let dead code hide that.
const OLDEST_KERNEL: (u32, u32) = (5, 15);

/// Says whether the kernel is a real-time one; absent where it is not.
const REALTIME: &str = "/sys/kernel/realtime";

/// What keeps guard from getting its program into the kernel.
#[derive(Debug, Error)]
pub(crate) enum KernelError {
    #[error(
        "missing {missing}: run guard as root, or give its service `AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON`"
    )]
    Capabilities { missing: String },
    #[error("kernel {found} is too old: guard needs 6.1, and tries its luck from {}.{} on", OLDEST_KERNEL.0, OLDEST_KERNEL.1)]
    KernelTooOld { found: String },
    #[error(
        "a real-time kernel (PREEMPT_RT): packets of one CPU may interrupt each other there, which guard is not made for"
    )]
    Realtime,
    #[error("no bpf file system on {path}, and mounting one failed ({error}): run `mount -t bpf bpf {path}` as root")]
    NoBpffs { path: PathBuf, error: io::Error },
    #[error(
        "guard instance `{instance}` is already running (its pins in {path} are locked): stop it, or choose another name with --instance"
    )]
    AlreadyRunning { instance: String, path: PathBuf },
    #[error("{action} {path}: {error}")]
    Pin { action: &'static str, path: PathBuf, error: io::Error },
    #[error("loading the kernel program")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the kernel's verifier refused program `{program}`")]
    Verifier { program: &'static str, source: ProgramError },
    #[error("map {name}")]
    Map { name: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the embedded object has no `{0}`")]
    Missing(&'static str),
}

impl KernelError {
    pub(crate) fn map<E: std::error::Error + Send + Sync + 'static>(name: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Map { name, source: Box::new(source) }
    }
}

/// Blocked packets.
pub(crate) type Events = Ring<BlockEvent>;

/// Refused connections of sources that are known to have had as many as they may.
pub(crate) type Violations = Ring<Violation>;

/// What is asked for at load and can't be changed afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadOptions {
    /// Whether the kernel program logs every decision; if not, that code is not even loaded.
    pub(crate) kernel_log: bool,
}

/// The loaded program with its tables, not yet attached anywhere.
pub(crate) struct Kernel {
    pub(crate) generations: Generations,
    pub(crate) addresses: OwnAddresses,
    pub(crate) counters: Counters,
    pub(crate) services: ServiceNames,
    pub(crate) flusher: Flusher,
    pub(crate) egress: Egress,
    pub(crate) flows: Flows,
    pub(crate) timed: TimedTables,
    pub(crate) used: Used,
    pub(crate) links: Links,
    pub(crate) events: Events,
    pub(crate) violations: Violations,
    pub(crate) connections: Connections,
    pub(crate) sockets: Sockets,
    pub(crate) state: State,
}

impl Kernel {
    /// Loads the program and makes or adopts its tables. Nothing is attached, so nothing changes for any packet.
    pub(crate) fn load(instance: &Instance, options: LoadOptions) -> Result<Self, KernelError> {
        privileges::check()?;
        check_kernel()?;
        let pins = PinDirectory::open(instance)?;
        let (mut ebpf, state) = load_programs(&pins, options)?;
        Ok(Self {
            generations: Generations::take(&mut ebpf)?,
            addresses: OwnAddresses::take(&mut ebpf)?,
            counters: Counters::take(&mut ebpf)?,
            services: ServiceNames::take(&mut ebpf)?,
            events: Ring::take(&mut ebpf, names::EVENTS)?,
            violations: Ring::take(&mut ebpf, names::VIOLATIONS)?,
            connections: Connections::take(&mut ebpf, &pins)?,
            sockets: Sockets::open(&mut ebpf, &pins)?,
            flows: Flows::take(&mut ebpf)?,
            timed: TimedTables::take(&mut ebpf)?,
            used: Used::take(&mut ebpf, state.since(names::USED))?,
            flusher: Flusher::start(&mut ebpf, &pins)?,
            egress: Egress::open(&mut ebpf, &pins)?,
            links: Links::new(ebpf, pins),
            state,
        })
    }
}

/// Loads all programs. Maps are taken out only afterwards: a program can't be loaded without its maps.
fn load_programs(pins: &PinDirectory, options: LoadOptions) -> Result<(Ebpf, State), KernelError> {
    let (mut ebpf, mut state) = load_object(pins, options)?;
    let refused = |program| move |source| KernelError::Verifier { program, source };
    for name in [names::PROGRAM_GUARD, names::PROGRAM_FLUSH, names::PROGRAM_ADD, names::PROGRAM_COUNT] {
        program::<Xdp>(&mut ebpf, name)?.load().map_err(refused(name))?;
    }
    let egress: &mut SchedClassifier = program(&mut ebpf, names::PROGRAM_EGRESS)?;
    egress.load().map_err(refused(names::PROGRAM_EGRESS))?;
    let sockets: &mut SockOps = program(&mut ebpf, names::PROGRAM_SOCKETS)?;
    sockets.load().map_err(refused(names::PROGRAM_SOCKETS))?;
    let egress: &mut SchedClassifier = program(&mut ebpf, names::PROGRAM_EGRESS)?;
    let egress = egress.info().map_err(refused(names::PROGRAM_EGRESS))?.id();
    let guard = program::<Xdp>(&mut ebpf, names::PROGRAM_GUARD)?.info().map_err(refused(names::PROGRAM_GUARD))?.id();
    state.belong_to([guard, egress], || reopen_xdp(names::PROGRAM_ADD, &mut ebpf, pins))?;
    if options.kernel_log {
        log::forward(&mut ebpf)?;
    }
    Ok((ebpf, state))
}

fn load_object(pins: &PinDirectory, options: LoadOptions) -> Result<(Ebpf, State), KernelError> {
    let mut seed = [0; 8];
    getrandom(&mut seed)?;
    let seed = u64::from_ne_bytes(seed);
    let log_level = if options.kernel_log { aya_log::Level::Debug as u8 } else { 0 };
    let plan = state::Plan::make(pins, OBJECT)?;
    let mut loader = EbpfLoader::new();
    let tick_ms = tick_ms();
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global(names::GATE_SEED, &seed, true)
        .override_global(names::TICK_MS, &tick_ms, true)
        .override_global(aya_log::LEVEL, &log_level, false);
    for (name, path) in plan.adopted() {
        loader.map_pin_path(name, path);
    }
    let ebpf = loader.load(OBJECT).map_err(|error| KernelError::Load(error.into()))?;
    let state = plan.fulfil(&ebpf)?;
    Ok((ebpf, state))
}

/// Finds a program in the object.
fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
    program.try_into().map_err(|source| KernelError::Verifier { program: name, source })
}

/// Opens a loaded XDP program a second time.
fn reopen_xdp(name: &'static str, ebpf: &mut Ebpf, pins: &PinDirectory) -> Result<Xdp, KernelError> {
    let loaded: &mut Xdp = program(ebpf, name)?;
    reopen(name, pins, |path| loaded.pin(path), |path| Xdp::from_pin(path, XdpAttachType::Interface))
}

/// Opens a loaded program a second time, by a pin that is there for a moment: aya hands out no program by value.
fn reopen<P>(
    name: &'static str,
    pins: &PinDirectory,
    pin: impl FnOnce(&Path) -> Result<(), PinError>,
    open: impl FnOnce(&Path) -> Result<P, ProgramError>,
) -> Result<P, KernelError> {
    let path = pins.path(name);
    // One that a crash left behind.
    remove_pin(&path)?;
    pin(&path).map_err(|error| KernelError::Pin {
        action: "pinning",
        path: path.clone(),
        error: io::Error::other(error),
    })?;
    let reopened = open(&path).map_err(|source| KernelError::Verifier { program: name, source });
    remove_pin(&path)?;
    reopened
}

fn take_map<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or(KernelError::Missing(name))?;
    T::try_from(map).map_err(KernelError::map(name))
}

/// Returns the milliseconds of one of the kernel's ticks, times 2^16.
fn tick_ms() -> u64 {
    (tick_ns() << 16) / 1_000_000
}

/// Returns the length of one of the kernel's ticks: the coarse clock steps with them.
fn tick_ns() -> u64 {
    clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).expect("every Linux has a coarse clock").tv_nsec() as u64
}

fn check_kernel() -> Result<(), KernelError> {
    if fs::read_to_string(REALTIME).is_ok_and(|flag| flag.trim() == "1") {
        return Err(KernelError::Realtime);
    }
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < OLDEST_KERNEL => {
            Err(KernelError::KernelTooOld { found: release })
        }
        _ => Ok(()),
    }
}

fn getrandom(bytes: &mut [u8]) -> Result<(), KernelError> {
    use io::Read as _;
    std::fs::File::open("/dev/urandom")
        .and_then(|mut urandom| urandom.read_exact(bytes))
        .map_err(|error| KernelError::Pin { action: "reading", path: "/dev/urandom".into(), error })
}

#[cfg(test)]
pub(crate) mod tests;
