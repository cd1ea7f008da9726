//! The host's own addresses, from which no packet can come in.

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use guard_common::{
    address::Address,
    names,
    records::{ADDRESS_WORDS, address_bit},
};

use super::{KernelError, take_map, words::Words};

/// The kernel's table of own addresses, and what is in it.
pub(crate) struct OwnAddresses {
    table: HashMap<MapData, [u8; 16], u8>,
    /// The bits of all keys: the kernel program asks the table only where its address's bit is set.
    bits: Words<ADDRESS_WORDS>,
    held: BTreeSet<Address>,
}

impl OwnAddresses {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let table = take_map(ebpf, names::ADDRESSES)?;
        Ok(Self { table, bits: Words::take(ebpf, names::ADDRESS_BITS)?, held: BTreeSet::new() })
    }

    /// Makes the table hold exactly `wanted`.
    pub(crate) fn set(&mut self, wanted: BTreeSet<Address>) -> Result<(), KernelError> {
        if wanted == self.held {
            return Ok(());
        }
        let failed = KernelError::map(names::ADDRESSES);
        let changed = self.change(&wanted);
        // At any moment each key's bit is set: before the key goes in, and until it is gone.
        self.announce(&self.held);
        changed.map_err(failed)
    }

    fn change(&mut self, wanted: &BTreeSet<Address>) -> Result<(), aya::maps::MapError> {
        self.announce(self.held.union(wanted));
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

    fn announce<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) {
        let mut words = [0; ADDRESS_WORDS];
        for address in addresses {
            let (word, bit) = address_bit(*address);
            words[word as usize] |= bit;
        }
        for (place, word) in words.into_iter().enumerate() {
            self.bits.store(place, word);
        }
    }
}
