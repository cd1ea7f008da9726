//! The tables that hold policy: generations in their slots, and the word that says which one is live.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::{
    Ebpf,
    maps::{ArrayOfMaps, MapData, MapError, MapType},
};
use guard_common::{
    generation::{Generation, Head, Live, SLOTS},
    names,
    prefix::Line,
    records::LimitPlace,
};
use memmap2::{MmapMut, MmapOptions};
use thiserror::Error;
use tracing::warn;
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
    KernelError,
    limits::{PlaceError, Places},
    take_map, tick_ns,
    words::Words,
};
use crate::{
    generation::{self, Compiled, Directory, Previous, ReadBackError, TooFast},
    policy::Policy,
};

/// Flags of linux/bpf.h: array elements that userspace may map, and arrays of any length inside an array of maps.
const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_F_INNER_MAP: u32 = 1 << 12;

/// Why a policy did not become a generation. What was in force before still is.
#[derive(Debug, Error)]
pub(crate) enum InstallError {
    #[error("the kernel has no room for a table of {bytes} bytes")]
    Create { bytes: usize, source: MapError },
    #[error("mapping a table of {bytes} bytes")]
    Mmap { bytes: usize, source: std::io::Error },
    #[error(transparent)]
    TooFast(#[from] TooFast),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    #[error("the kernel refused the generation in slot {slot}")]
    Slot { slot: u32, source: MapError },
}

/// A map of maps, one a slot.
type Slots = ArrayOfMaps<MapData, MapData>;

/// The slots, and the word that names the live one.
pub(crate) struct Generations {
    heads: Slots,
    far: Slots,
    live: Words<1>,
    pub(super) places: Places,
    /// What slots hold that held a generation once.
    nothing: Tables,
    number: u64,
    installed: Option<Installed>,
    /// Slots whose generation is not in force any more, but still there.
    retired: Vec<u32>,
}

/// A generation in its slot, read back, to which the program is not switched yet.
pub(crate) struct Prepared {
    number: u64,
    generation: Installed,
}

/// The generation in force.
struct Installed {
    slot: u32,
    tables: Tables,
    directory: Directory,
    /// Of its limits.
    places: Vec<u16>,
}

impl Generations {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            heads: take_map(ebpf, names::HEADS)?,
            far: take_map(ebpf, names::POLICY)?,
            live: Words::take(ebpf, names::LIVE)?,
            places: Places::take(ebpf)?,
            nothing: Tables::create(&[], &[]).map_err(KernelError::map(names::HEADS))?,
            number: 0,
            installed: None,
            retired: Vec::new(),
        })
    }

    /// Prepares a generation and switches to it; returns its number.
    pub(crate) fn install(&mut self, policy: &Policy, in_force: Option<&Policy>) -> Result<u64, InstallError> {
        let prepared = self.prepare(policy, in_force)?;
        Ok(self.commit(prepared))
    }

    /// Compiles the policy into a slot that is not live, with buckets for its limits, and reads it back. `in_force` is the
    /// policy that was installed last, whose sets are copied where they are still wanted.
    ///
    /// What is prepared is either committed or discarded before another is.
    pub(crate) fn prepare(&mut self, policy: &Policy, in_force: Option<&Policy>) -> Result<Prepared, InstallError> {
        let limits = self.places.assign(&generation::limits(policy))?;
        let prepared = self.prepare_with(policy, &limits, in_force);
        if prepared.is_err() {
            self.places.withdraw();
        }
        prepared
    }

    fn prepare_with(
        &mut self,
        policy: &Policy,
        limits: &[(LimitPlace, u16)],
        in_force: Option<&Policy>,
    ) -> Result<Prepared, InstallError> {
        let number = self.number + 1;
        let previous = self.installed.as_ref().zip(in_force).map(|(installed, policy)| Previous {
            sets: generation::sets(policy),
            directory: &installed.directory,
            lines: installed.tables.generation(),
        });
        let rows = generation::limit_rows(limits, tick_ns())?;
        let compiled = generation::compile(policy, number, rows, previous.as_ref());
        let check = |compiled: &_, kernel: &Tables| generation::read_back(policy, compiled, &kernel.generation());
        let places = limits.iter().map(|(_, place)| *place).collect();
        Ok(Prepared { number, generation: self.fill(compiled, places, check)? })
    }

    /// Switches to a generation with one store, and returns its number.
    pub(crate) fn commit(&mut self, Prepared { number, generation }: Prepared) -> u64 {
        self.live.store(0, Live::new(generation.slot).0);
        self.number = number;
        self.retired.retain(|retired| *retired != generation.slot);
        self.retired.extend(self.installed.replace(generation).map(|before| before.slot));
        number
    }

    /// Waits until no packet is judged by a former generation, and frees the memory of those, and the buckets of limits that
    /// the one in force does not have, also of an earlier run's. Where the kernel refuses, the next call tries again.
    pub(crate) fn free_retired(&mut self) {
        if let Err(error) = self.empty_retired() {
            warn!("a former generation's memory is not free before the next change: {:#}", anyhow::Error::from(error));
        }
    }

    /// Frees the memory of a generation that nobody was switched to.
    pub(crate) fn discard(&mut self, Prepared { generation, .. }: Prepared) {
        self.withdraw_limits();
        if let Err(error) = self.nothing.put_into(generation.slot, &mut self.heads, &mut self.far) {
            warn!("a discarded generation's memory is not free yet: {:#}", anyhow::Error::from(error));
        }
    }

    /// Gives up the buckets that the generation prepared last was the first to have; to be called only where none of its
    /// packets comes any more.
    pub(crate) fn withdraw_limits(&mut self) {
        self.places.withdraw();
    }

    /// Puts a generation into the next slot if it passes the `check`.
    fn fill(
        &mut self,
        compiled: Compiled,
        places: Vec<u16>,
        check: impl FnOnce(&Compiled, &Tables) -> Result<(), ReadBackError>,
    ) -> Result<Installed, InstallError> {
        let slot = self.installed.as_ref().map_or(0, |installed| (installed.slot + 1) % SLOTS as u32);
        let tables = Tables::create(compiled.head.as_bytes(), &compiled.far)?;
        check(&compiled, &tables)?;
        tables.put_into(slot, &mut self.heads, &mut self.far)?;
        Ok(Installed { slot, tables, directory: compiled.directory, places })
    }

    fn empty_retired(&mut self) -> Result<(), InstallError> {
        let Some(live) = &self.installed else { return Ok(()) };
        if self.retired.is_empty() && self.places.are_all(&live.places) {
            return Ok(());
        }
        // A change of a slot returns only when no run of the program that began before it is left. So behind this one, which
        // changes nothing, nobody asks a retired slot any more.
        live.tables.put_into(live.slot, &mut self.heads, &mut self.far)?;
        while let Some(slot) = self.retired.last() {
            self.nothing.put_into(*slot, &mut self.heads, &mut self.far)?;
            self.retired.pop();
        }
        self.places.keep_only(&live.places);
        Ok(())
    }
}

/// The maps of a generation.
struct Tables {
    head: Mapped,
    far: Mapped,
}

impl Tables {
    /// Makes the maps, of zeros behind these bytes and lines.
    fn create(head: &[u8], far: &[Line]) -> Result<Self, InstallError> {
        let (lines, flags) = (far.len().max(1), BPF_F_MMAPABLE | BPF_F_INNER_MAP);
        Ok(Self {
            head: Mapped::create("HEAD", 1, size_of::<Head>(), BPF_F_MMAPABLE, head)?,
            far: Mapped::create("LINES", lines, size_of::<Line>(), flags, far.as_bytes())?,
        })
    }

    fn put_into(&self, slot: u32, heads: &mut Slots, far: &mut Slots) -> Result<(), InstallError> {
        let refused = |source| InstallError::Slot { slot, source };
        heads.set(slot, &self.head.map, 0).map_err(refused)?;
        far.set(slot, &self.far.map, 0).map_err(refused)
    }

    /// Returns the generation as the kernel sees it.
    fn generation(&self) -> Generation<'_, &[Line]> {
        let (head, _) = Head::ref_from_prefix(&self.head.bytes).expect("the map was made as long as a head is");
        Generation { head, far: <[Line]>::ref_from_bytes(&self.far.bytes).expect("the map is made of lines") }
    }
}

/// An array in the kernel, and its bytes.
struct Mapped {
    map: MapData,
    bytes: MmapMut,
}

impl Mapped {
    /// Makes an array of `count` elements of `size` bytes that begins with these bytes; the rest is zero.
    fn create(name: &str, count: usize, size: usize, flags: u32, bytes: &[u8]) -> Result<Self, InstallError> {
        let length = count * size;
        let key_size = size_of::<u32>() as u32;
        let shape = aya_obj::Map::new_from_params(MapType::Array as u32, key_size, size as u32, count as u32, flags);
        let map =
            MapData::create(shape, name, None).map_err(|source| InstallError::Create { bytes: length, source })?;
        // SAFETY: the map belongs to this process alone until it is put into a slot, and nobody writes it afterwards;
        // a map's memory never shrinks.
        let mapped = unsafe { MmapOptions::new().len(length).map_mut(map.fd().as_fd().as_raw_fd()) };
        let mut mapped = mapped.map_err(|source| InstallError::Mmap { bytes: length, source })?;
        mapped[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { map, bytes: mapped })
    }
}

#[cfg(test)]
mod tests;
