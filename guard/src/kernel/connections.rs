//! Connections that are counted, as the kernel program and the daemon count them together.
//!
//! A write from here would undo what the program counts meanwhile, so it is the program that changes counts.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::Arc,
};

use aya::{Ebpf, maps::Map, programs::Xdp};
use guard_common::{
    address::Address,
    connections::{ConnectionKey, CountRequest, CountWork, OPEN_WORDS, Socket},
    flow::{Flow, FlowKey},
    names,
    packet::protocol,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::{KernelError, ask::ask, bpf, bpffs::PinDirectory, words::Words};

/// The tables of open connections. A clone is another handle on the same ones.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Tables>);

struct Tables {
    sockets: OwnedFd,
    of_sources: OwnedFd,
    open: Words<OPEN_WORDS>,
    flows: OwnedFd,
    counter: Xdp,
}

impl Connections {
    pub(super) fn take(ebpf: &mut Ebpf, pins: &PinDirectory) -> Result<Self, KernelError> {
        Ok(Self(Arc::new(Tables {
            counter: super::reopen_xdp(names::PROGRAM_COUNT, ebpf, pins)?,
            sockets: take_hash(ebpf, names::SOCKETS)?,
            of_sources: take_hash(ebpf, names::CONNECTIONS)?,
            open: Words::take(ebpf, names::OPEN)?,
            flows: share_flows(ebpf)?,
        })))
    }

    /// Returns every connection that is counted, by its socket's cookie.
    pub(crate) fn sockets(&self) -> Result<BTreeMap<u64, Socket>, KernelError> {
        let mut sockets = Vec::new();
        bpf::for_each(self.0.sockets.as_fd(), |cookie: &u64, socket: &Socket| sockets.push((*cookie, *socket)))
            .map_err(KernelError::map(names::SOCKETS))?;
        Ok(sockets.into_iter().collect())
    }

    /// Counts the connection of a socket, unless it is counted.
    pub(crate) fn add(&self, cookie: u64, socket: &Socket) -> Result<(), KernelError> {
        self.count(CountRequest { cookie, socket: *socket, work: CountWork::Add as u32, difference: 0 })
    }

    /// Ceases to count the connection of a socket, unless it is counted no more.
    pub(crate) fn remove(&self, cookie: u64) -> Result<(), KernelError> {
        self.count(CountRequest { cookie, work: CountWork::Remove as u32, ..CountRequest::default() })
    }

    /// Returns how many are counted of each service, by its number; at 0, of all.
    pub(crate) fn open(&self) -> [u64; OPEN_WORDS] {
        self.0.open.load_all()
    }

    /// Adds to how many are counted of a service, or with 0 of all: a miscount is made good.
    pub(crate) fn correct_open(&self, service: u8, difference: i64) {
        self.0.open.add(service.into(), difference as u64);
    }

    /// Returns how many are counted of each source at each service.
    pub(crate) fn of_sources(&self) -> Result<BTreeMap<ConnectionKey, u64>, KernelError> {
        let mut counts = Vec::new();
        bpf::for_each(self.0.of_sources.as_fd(), |key: &ConnectionKey, count: &u64| counts.push((*key, *count)))
            .map_err(KernelError::map(names::CONNECTIONS))?;
        Ok(counts.into_iter().collect())
    }

    /// Adds to how many are counted of a source at a service: a miscount is made good.
    pub(crate) fn correct(&self, key: &ConnectionKey, difference: i32) -> Result<(), KernelError> {
        let ConnectionKey { source, service, version, .. } = *key;
        let socket = Socket { source, service, version, ..Socket::default() };
        self.count(CountRequest { cookie: 0, socket, work: CountWork::Correct as u32, difference })
    }

    /// Tells whether this host is known to have asked for a connection.
    pub(crate) fn is_asked_here(&self, local: SocketAddr, remote: SocketAddr) -> Result<bool, KernelError> {
        let key = FlowKey {
            local: Address::from(local.ip()).octets(),
            remote: Address::from(remote.ip()).octets(),
            local_port: local.port(),
            remote_port: remote.port(),
            protocol: protocol::TCP,
            ..FlowKey::default()
        };
        let mut flow = Flow::new_zeroed();
        let is_known = bpf::look_up(self.0.flows.as_fd(), &key, flow.as_mut_bytes());
        Ok(is_known.map_err(KernelError::map(names::FLOWS))? && flow.asked_here != 0)
    }

    /// Forgets every connection: what was counted before nobody followed any more.
    pub(crate) fn forget(&self) -> Result<(), KernelError> {
        self.sockets()?.keys().try_for_each(|cookie| self.remove(*cookie))
    }

    fn count(&self, request: CountRequest) -> Result<(), KernelError> {
        ask(&self.0.counter, &request).map_err(|source| KernelError::Verifier { program: names::PROGRAM_COUNT, source })
    }
}

fn take_hash(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, KernelError> {
    match ebpf.take_map(name) {
        Some(Map::HashMap(map)) => map.fd().as_fd().try_clone_to_owned().map_err(KernelError::map(name)),
        _ => Err(KernelError::Missing(name)),
    }
}

fn share_flows(ebpf: &Ebpf) -> Result<OwnedFd, KernelError> {
    match ebpf.map(names::FLOWS) {
        Some(Map::LruHashMap(map)) => map.fd().as_fd().try_clone_to_owned().map_err(KernelError::map(names::FLOWS)),
        _ => Err(KernelError::Missing(names::FLOWS)),
    }
}

/// Returns the kernel's cookie of this process's network namespace, as [`Socket::namespace`] has it.
pub(crate) fn own_namespace() -> io::Result<u64> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which is as long.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if answer == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// asm-generic/socket.h.
const SO_NETNS_COOKIE: libc::c_int = 71;
