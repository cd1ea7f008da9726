//! When sources were last let in, as far as the sample of packets tells that the kernel program takes.

use std::{
    net::IpAddr,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use aya::{Ebpf, maps::Map};
use guard_common::{address::Address, names};
use jiff::Timestamp;

use super::{KernelError, bpf};
use crate::clock::Clock;

/// The kernel's table of sources.
pub(crate) struct Used {
    table: OwnedFd,
    /// In time since boot.
    since: Duration,
}

impl Used {
    /// Takes the table, which is filled `since` then.
    pub(super) fn take(ebpf: &mut Ebpf, since: Duration) -> Result<Self, KernelError> {
        match ebpf.take_map(names::USED) {
            Some(Map::LruHashMap(table)) => {
                let table = table.fd().as_fd().try_clone_to_owned().map_err(KernelError::map(names::USED))?;
                Ok(Self { table, since })
            }
            _ => Err(KernelError::Missing(names::USED)),
        }
    }

    /// Since when sources are noted, by the wall clock as it goes now.
    pub(crate) fn since(&self) -> Timestamp {
        Clock::now().wall_at(self.since)
    }

    /// Returns the sources that were let in, and how long ago each last was: one in a while, so it may be less long.
    pub(crate) fn read(&self) -> Result<Vec<(IpAddr, Duration)>, KernelError> {
        let now = Clock::now().boot;
        let mut used = Vec::new();
        bpf::for_each(self.table.as_fd(), |source: &[u8; 16], seen_ns: &u64| {
            let address = Address::from_octets(*source);
            // No packet passes whose IPv6 source embeds an IPv4 address.
            let ip = address.to_ip(6).to_canonical();
            used.push((ip, now.saturating_sub(Duration::from_nanos(*seen_ns))));
        })
        .map_err(KernelError::map(names::USED))?;
        Ok(used)
    }
}

#[cfg(test)]
mod tests;
