//! The host's own addresses, from which no packet can come in.

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use guard_common::{address::Address, names, records::address_bit};

use super::{KernelError, take_map, word::Word};

/// The kernel's table of own addresses, and what is in it.
pub(crate) struct OwnAddresses {
    table: HashMap<MapData, [u8; 16], u8>,
    /// The bits of all keys: the kernel program asks the table only where its address's bit is set.
    bits: Word,
    held: BTreeSet<Address>,
}

impl OwnAddresses {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let table = take_map(ebpf, names::ADDRESSES)?;
        Ok(Self { table, bits: Word::take(ebpf, names::ADDRESS_BITS)?, held: BTreeSet::new() })
    }

    /// Makes the table hold exactly `wanted`.
    pub(crate) fn set(&mut self, wanted: BTreeSet<Address>) -> Result<(), KernelError> {
        if wanted == self.held {
            return Ok(());
        }
        let failed = KernelError::map(names::ADDRESSES);
        let changed = self.change(&wanted);
        // Bits are set before the keys they announce are asked for again, and cleared only once those are gone.
        self.bits.store(bits(&self.held));
        changed.map_err(failed)
    }

    fn change(&mut self, wanted: &BTreeSet<Address>) -> Result<(), aya::maps::MapError> {
        self.bits.store(bits(self.held.union(wanted)));
        // First out, then in: the table may be full.
        for address in self.held.clone().difference(wanted) {
            self.table.remove(&address.octets())?;
            self.held.remove(address);
        }
        for address in wanted.difference(&self.held.clone()) {
            self.table.insert(address.octets(), 0, 0)?;
            self.held.insert(*address);
        }
        Ok(())
    }
}

fn bits<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> u64 {
    addresses.into_iter().fold(0, |bits, address| bits | address_bit(*address))
}
