//! The tables that hold policy: generations in their slots, and the word that says which one is live.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::{
    Ebpf,
    maps::{ArrayOfMaps, MapData, MapError, MapType},
};
use guard_common::{
    generation::{Live, SLOTS},
    names,
    prefix::{Line, Lines},
};
use memmap2::{MmapMut, MmapOptions};
use thiserror::Error;
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{KernelError, take_map, word::Word};
use crate::{
    generation::{self, ReadBackError},
    policy::Policy,
};

/// Flags of linux/bpf.h: array elements that userspace may map, and arrays of any length inside an array of maps.
const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_F_INNER_MAP: u32 = 1 << 12;

/// Why a policy did not become a generation. What was in force before still is.
#[derive(Debug, Error)]
pub(crate) enum InstallError {
    #[error("the kernel has no room for a generation of {lines} lines")]
    Create { lines: usize, source: MapError },
    #[error("mapping a generation of {lines} lines")]
    Mmap { lines: usize, source: std::io::Error },
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    #[error("the kernel refused the generation in slot {slot}")]
    Slot { slot: u32, source: MapError },
}

/// The slots, and the word that names the live one.
pub(crate) struct Generations {
    slots: ArrayOfMaps<MapData, MapData>,
    live: Word,
    number: u64,
}

impl Generations {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { slots: take_map(ebpf, names::POLICY)?, live: Word::take(ebpf, names::LIVE)?, number: 0 })
    }

    /// Compiles the policy into a slot that is not live, reads it back, and switches with one store.
    ///
    /// Returns the new generation's number.
    pub(crate) fn install(&mut self, policy: &Policy) -> Result<u64, InstallError> {
        let number = self.number + 1;
        let lines = generation::compile(policy, number);
        let table = Table::create(&lines)?;
        generation::read_back(policy, &lines, &table)?;
        let slot = (number % SLOTS as u64) as u32;
        self.slots.set(slot, &table.map, 0).map_err(|source| InstallError::Slot { slot, source })?;
        self.live.store(Live::new(slot).0);
        self.number = number;
        Ok(number)
    }
}

/// A generation's map, and its lines as the kernel sees them.
struct Table {
    map: MapData,
    bytes: MmapMut,
}

impl Table {
    fn create(lines: &[Line]) -> Result<Self, InstallError> {
        let count = lines.len();
        let shape = aya_obj::Map::new_from_params(
            MapType::Array as u32,
            size_of::<u32>() as u32,
            size_of::<Line>() as u32,
            count as u32,
            BPF_F_MMAPABLE | BPF_F_INNER_MAP,
        );
        let map = MapData::create(shape, "GENERATION", None)
            .map_err(|source| InstallError::Create { lines: count, source })?;
        // SAFETY: the map belongs to this process alone until it is put into a slot, and nobody writes it afterwards;
        // a map's memory never shrinks.
        let bytes = unsafe { MmapOptions::new().len(size_of_val(lines)).map_mut(map.fd().as_fd().as_raw_fd()) };
        let mut bytes = bytes.map_err(|source| InstallError::Mmap { lines: count, source })?;
        bytes.copy_from_slice(lines.as_bytes());
        Ok(Self { map, bytes })
    }
}

impl Lines for Table {
    fn line(&self, index: u32) -> Option<&Line> {
        <[Line]>::ref_from_bytes(&self.bytes).ok()?.get(index as usize)
    }
}
