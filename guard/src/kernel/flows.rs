//! Flows that this host opened, and the ports on which something listens: what the daemon tells the program for packets that
//! leave.

use std::{
    collections::BTreeSet,
    io,
    ops::RangeInclusive,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::{Ebpf, maps::Map};
use guard_common::{
    flow::{Flow, FlowKey},
    names,
    records::{PORT_WORDS, port_bit},
};
use nix::time::{ClockId, clock_gettime};

use super::{KernelError, words::Words};

/// The kernel's table of flows, and that of ports.
pub(crate) struct Flows {
    table: OwnedFd,
    ports: Words<PORT_WORDS>,
    listening: Words<PORT_WORDS>,
}

impl Flows {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let table = match ebpf.take_map(names::FLOWS) {
            Some(Map::LruHashMap(table)) => table.fd().as_fd().try_clone_to_owned().map_err(failed)?,
            _ => return Err(KernelError::Missing(names::FLOWS)),
        };
        Ok(Self {
            table,
            ports: Words::take(ebpf, names::FLOW_PORTS)?,
            listening: Words::take(ebpf, names::LISTENING)?,
        })
    }

    /// Notes flows as if they were opened now, with what admits their later fragments, and leaves those alone that are there;
    /// returns how many are new.
    pub(crate) fn add(&self, keys: impl IntoIterator<Item = FlowKey>) -> Result<usize, KernelError> {
        let now_ns = now_ns();
        let add = |key: &FlowKey| super::bpf::add(self.table.as_fd(), key, &Flow::noted(key, now_ns)).map_err(failed);
        let mut added = 0;
        for key in keys {
            if let Some((word, bit)) = key.port_bit() {
                self.ports.set(word as usize, bit);
            }
            added += usize::from(add(&key)?);
            add(&key.of_fragments())?;
        }
        Ok(added)
    }

    /// Cuts flows off, but for those that a SYN from here opened; returns how many. They stay as what is cut, so that a packet that
    /// leaves does not note them as new. One that is noted meanwhile may be missed.
    pub(crate) fn cut(&self, mut is_unwanted: impl FnMut(&FlowKey) -> bool) -> Result<usize, KernelError> {
        let mut unwanted = Vec::new();
        self.for_each(|key, flow| {
            if *flow != Flow::CUT && flow.asked_here == 0 && is_unwanted(key) {
                unwanted.push(*key);
            }
        })?;
        let mut cut = 0;
        for key in &unwanted {
            cut += usize::from(super::bpf::change(self.table.as_fd(), key, &Flow::CUT).map_err(failed)?);
        }
        Ok(cut)
    }

    /// Counts the flows to which answers may still come.
    pub(crate) fn count(&self) -> Result<usize, KernelError> {
        let now_ns = now_ns();
        let mut count = 0;
        self.for_each(|key, flow| count += usize::from(key.fragments == 0 && flow.is_alive(now_ns)))?;
        Ok(count)
    }

    /// Has just these ports be those on which something listens, and with them all of TCP's that are not `clients`': from those
    /// hardly anybody asks, and what left them without a SYN would mostly be the answer of somebody whose socket does not show
    /// here. Only words that differ are written.
    pub(crate) fn set_listening(&self, tcp: &BTreeSet<u16>, udp: &BTreeSet<u16>, clients: &RangeInclusive<u16>) {
        let mut words = [0; PORT_WORDS];
        let mut set = |is_tcp, port| {
            let (word, bit) = port_bit(is_tcp, port);
            words[word as usize] |= bit;
        };
        (0..=u16::MAX).filter(|port| tcp.contains(port) || !clients.contains(port)).for_each(|port| set(true, port));
        udp.iter().for_each(|port| set(false, *port));
        self.listening.store_changed(&words);
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> std::os::fd::BorrowedFd<'_> {
        self.table.as_fd()
    }

    /// Tells whether flows of a flow's port are looked for.
    #[cfg(test)]
    pub(super) fn has_port(&self, key: &FlowKey) -> bool {
        let (word, bit) = key.port_bit().expect("its protocol has ports");
        self.ports.load(word as usize) & bit != 0
    }

    fn for_each(&self, visit: impl FnMut(&FlowKey, &Flow)) -> Result<(), KernelError> {
        super::bpf::for_each(self.table.as_fd(), visit).map_err(failed)
    }
}

fn failed(error: io::Error) -> KernelError {
    KernelError::map(names::FLOWS)(error)
}

/// The time of the program's clock.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("every Linux has a coarse clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

#[cfg(test)]
mod tests;
