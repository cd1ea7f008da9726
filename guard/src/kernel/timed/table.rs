//! One of the two tables: a hash from prefixes to their ends.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use aya::{Ebpf, maps::Map};
use guard_common::timed::{PrefixKey, Until};

use super::TimedError;
use crate::kernel::{KernelError, bpf};

pub(super) type Entries = BTreeMap<PrefixKey, Until>;

pub(super) struct Table {
    pub(super) name: &'static str,
    /// Elements that it has room for.
    pub(super) size: usize,
    map: OwnedFd,
}

/// Returns the end of what somebody made, in the table's time.
pub(super) fn by_hand(ends: Duration) -> Until {
    Until { ends_ns: u64::try_from(ends.as_nanos()).unwrap_or(u64::MAX), ..Until::default() }
}

/// Returns the end of a ban that nobody made, in the table's time.
pub(super) fn by_machine(ends: Duration) -> Until {
    Until { by_machine: 1, ..by_hand(ends) }
}

impl Table {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str, size: usize) -> Result<Self, KernelError> {
        match ebpf.take_map(name) {
            Some(Map::HashMap(map)) => {
                let map = map.fd().as_fd().try_clone_to_owned().map_err(KernelError::map(name))?;
                Ok(Self { name, size, map })
            }
            _ => Err(KernelError::Missing(name)),
        }
    }

    pub(super) fn read(&self) -> Result<Entries, KernelError> {
        let mut entries = Vec::new();
        bpf::for_each(self.map.as_fd(), |key: &PrefixKey, until: &Until| entries.push((*key, *until)))
            .map_err(|error| self.failed(error))?;
        Ok(entries.into_iter().collect())
    }

    pub(super) fn write(&self, entries: &[(PrefixKey, Until)]) -> io::Result<()> {
        let (keys, values): (Vec<_>, Vec<_>) = entries.iter().copied().unzip();
        bpf::write(self.map.as_fd(), &keys, &values)
    }

    pub(super) fn remove(&self, keys: &[PrefixKey]) -> Result<(), KernelError> {
        bpf::remove(self.map.as_fd(), keys).map_err(|error| self.failed(error))
    }

    /// Says what kept an element from being written, of so many that were wanted.
    pub(super) fn not_written(&self, error: io::Error, wanted: usize) -> TimedError {
        match error.raw_os_error() {
            Some(libc::E2BIG) => self.full(wanted),
            _ => self.failed(error).into(),
        }
    }

    pub(super) fn full(&self, wanted: usize) -> TimedError {
        TimedError::Full { table: self.name, size: self.size, wanted }
    }

    pub(super) fn failed(&self, error: io::Error) -> KernelError {
        KernelError::map(self.name)(error)
    }
}
