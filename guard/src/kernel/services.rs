//! The pinned table of services' names by number, which outlives daemons as the counters do.

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use guard_common::{names, policy::SERVICES_MAX, records::SERVICE_NAME_MAX};

use super::{KernelError, take_map};
use crate::policy::Numbers;

type Entry = [u8; SERVICE_NAME_MAX];

/// The table; the kernel program does not know it.
pub(crate) struct ServiceNames(Array<MapData, Entry>);

impl ServiceNames {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        take_map(ebpf, names::SERVICES).map(Self)
    }

    /// Reads what an earlier run left.
    pub(crate) fn read(&self) -> Result<Numbers, KernelError> {
        let mut numbers = Numbers { in_force: in_force(self.get(0)?), ..Numbers::default() };
        for number in 1..=SERVICES_MAX as u8 {
            let entry = self.get(number)?;
            let name: Vec<u8> = entry.into_iter().take_while(|byte| *byte != 0).collect();
            if !name.is_empty() {
                numbers.names.insert(number, String::from_utf8_lossy(&name).into_owned());
            }
        }
        Ok(numbers)
    }

    /// Writes the name of a number.
    pub(crate) fn set_name(&mut self, number: u8, name: &str) -> Result<(), KernelError> {
        let mut entry = Entry::default();
        for (byte, of_name) in entry.iter_mut().zip(name.bytes()) {
            *byte = of_name;
        }
        self.set(number, entry)
    }

    /// Writes which numbers packets may be counted under.
    pub(crate) fn set_in_force(&mut self, bits: u64) -> Result<(), KernelError> {
        let mut entry = Entry::default();
        entry[..8].copy_from_slice(&bits.to_ne_bytes());
        self.set(0, entry)
    }

    fn get(&self, number: u8) -> Result<Entry, KernelError> {
        self.0.get(&u32::from(number), 0).map_err(KernelError::map(names::SERVICES))
    }

    fn set(&mut self, number: u8, entry: Entry) -> Result<(), KernelError> {
        self.0.set(u32::from(number), entry, 0).map_err(KernelError::map(names::SERVICES))
    }
}

fn in_force([b0, b1, b2, b3, b4, b5, b6, b7, ..]: Entry) -> u64 {
    u64::from_ne_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}
