//! Where limits have their buckets: pinned tables, so that a reload or a restart lifts no limit that goes on.
//!
//! At any moment, also after a kill, a place without an owner has no partition, and no two limits share a place. So a
//! place gets its owner before its partition, and loses it after.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, MapType},
};
use guard_common::{
    bucket::BucketLine,
    connections::{Proof, ProofKey},
    limits::{LIMIT_LINES, LIMIT_PLACES},
    names,
    records::LimitPlace,
    siphash,
};
use thiserror::Error;
use tracing::warn;
use zerocopy::transmute;

use super::{KernelError, bpf, getrandom, take_map};

/// Why a limit has no place.
#[derive(Debug, Error)]
pub(crate) enum PlaceError {
    #[error("no place is left for another limit: {LIMIT_PLACES} are taken by limits in force and former ones")]
    Full,
    #[error("the kernel has no room for a limit's buckets of {} bytes", LIMIT_LINES * size_of::<BucketLine>())]
    Create(#[source] MapError),
    #[error("map {map}, place {place}")]
    Table { map: &'static str, place: u16, source: MapError },
    #[error("map {}", names::PROOFS)]
    Proofs(#[source] io::Error),
}

type Entry = [u8; size_of::<LimitPlace>()];

/// The places of limits.
pub(super) struct Places {
    table: Array<MapData, Entry>,
    /// The array of maps, seen as what the kernel makes of it for userspace: a descriptor goes in, the map's number comes
    /// out, and elements can be removed. To open a map by its number would take CAP_SYS_ADMIN.
    partitions: HashMap<MapData, u32, u32>,
    totals: Array<MapData, [u8; size_of::<BucketLine>()]>,
    proofs: OwnedFd,
    /// What the table says.
    owners: BTreeMap<u16, LimitPlace>,
    /// Those taken since the last assignment began.
    fresh: Vec<u16>,
}

impl Places {
    /// Takes the tables, and makes the key of the buckets' hash unless an earlier run left one.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        make_key(ebpf)?;
        let table = take_map(ebpf, names::LIMITS)?;
        let owners = owners(&table).map_err(KernelError::map(names::LIMITS))?;
        let totals = take_map(ebpf, names::TOTALS)?;
        let proofs = take_proofs(ebpf)?;
        Ok(Self { table, partitions: take_partitions(ebpf)?, totals, proofs, owners, fresh: Vec::new() })
    }

    /// Gives each limit the place that it has, or else a new one, with buckets that nobody has charged. What fails changes
    /// nothing.
    pub(super) fn assign(&mut self, limits: &[LimitPlace]) -> Result<Vec<(LimitPlace, u16)>, PlaceError> {
        self.fresh.clear();
        if limits.iter().any(|limit| !self.owners.values().any(|owner| owner == limit)) {
            self.forget_proofs().map_err(PlaceError::Proofs)?;
        }
        let assigned: Result<_, _> = limits.iter().map(|limit| Ok((*limit, self.place_of(limit)?))).collect();
        if assigned.is_err() {
            self.withdraw();
        }
        assigned
    }

    /// Gives up the places that the last assignment took.
    pub(super) fn withdraw(&mut self) {
        for place in std::mem::take(&mut self.fresh) {
            self.give_up_or_warn(place);
        }
    }

    /// Tells whether nobody but these has a place.
    pub(super) fn are_all(&self, places: &[u16]) -> bool {
        self.owners.keys().all(|place| places.contains(place))
    }

    /// Gives up every place but these; no packet may be charged by a limit that had another any more. What the kernel
    /// refuses is tried again the next time.
    pub(super) fn keep_only(&mut self, places: &[u16]) {
        let others: Vec<u16> = self.owners.keys().copied().filter(|place| !places.contains(place)).collect();
        others.into_iter().for_each(|place| self.give_up_or_warn(place));
    }

    fn place_of(&mut self, limit: &LimitPlace) -> Result<u16, PlaceError> {
        let place = match self.owners.iter().find(|(_, owner)| *owner == limit) {
            Some((place, _)) => *place,
            None => self.take_place(limit)?,
        };
        // One that has an owner may lack its partition: an earlier run was killed while it took the place, or gave it up.
        if limit.per_service == 0 && !self.has_partition(place)? {
            let partition = partition()?;
            let refused = failed(names::BUCKETS, place);
            self.partitions.insert(u32::from(place), partition.fd().as_fd().as_raw_fd() as u32, 0).map_err(refused)?;
        }
        Ok(place)
    }

    fn take_place(&mut self, limit: &LimitPlace) -> Result<u16, PlaceError> {
        let mut places = 0..LIMIT_PLACES as u16;
        let place = places.find(|place| !self.owners.contains_key(place)).ok_or(PlaceError::Full)?;
        // Nobody's, so nobody charges it.
        let nothing = [0; size_of::<BucketLine>()];
        self.totals.set(u32::from(place), nothing, 0).map_err(failed(names::TOTALS, place))?;
        self.set_owner(place, limit)?;
        self.owners.insert(place, *limit);
        self.fresh.push(place);
        Ok(place)
    }

    /// Forgets the handshakes that prove violations of limits without a place any more: by the next one's rate they would be others.
    fn forget_proofs(&self) -> io::Result<()> {
        let mut former = Vec::new();
        bpf::for_each(self.proofs.as_fd(), |key: &ProofKey, _: &Proof| {
            if u16::try_from(key.place).is_ok_and(|place| !self.owners.contains_key(&place)) {
                former.push(*key);
            }
        })?;
        bpf::remove(self.proofs.as_fd(), &former)
    }

    fn give_up_or_warn(&mut self, place: u16) {
        if let Err(error) = self.give_up(place) {
            warn!("a former limit's buckets are not free yet: {:#}", anyhow::Error::from(error));
        }
    }

    fn give_up(&mut self, place: u16) -> Result<(), PlaceError> {
        if self.has_partition(place)? {
            self.partitions.remove(&u32::from(place)).map_err(failed(names::BUCKETS, place))?;
        }
        self.set_owner(place, &LimitPlace::default())?;
        self.owners.remove(&place);
        Ok(())
    }

    fn has_partition(&self, place: u16) -> Result<bool, PlaceError> {
        match self.partitions.get(&u32::from(place), 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(failed(names::BUCKETS, place)(error)),
        }
    }

    fn set_owner(&mut self, place: u16, owner: &LimitPlace) -> Result<(), PlaceError> {
        let entry: Entry = transmute!(*owner);
        self.table.set(u32::from(place), entry, 0).map_err(failed(names::LIMITS, place))
    }
}

fn failed(map: &'static str, place: u16) -> impl FnOnce(MapError) -> PlaceError {
    move |source| PlaceError::Table { map, place, source }
}

/// Makes buckets that nobody has charged.
fn partition() -> Result<MapData, PlaceError> {
    let sizes = [size_of::<u32>(), size_of::<BucketLine>(), LIMIT_LINES].map(|size| size as u32);
    let [key_size, value_size, lines] = sizes;
    let shape = aya_obj::Map::new_from_params(MapType::Array as u32, key_size, value_size, lines, 0);
    MapData::create(shape, "PARTITION", None).map_err(PlaceError::Create)
}

/// Reads whose places an earlier run left.
fn owners(table: &Array<MapData, Entry>) -> Result<BTreeMap<u16, LimitPlace>, MapError> {
    let mut owners = BTreeMap::new();
    for place in 0..LIMIT_PLACES as u16 {
        let owner: LimitPlace = transmute!(table.get(&u32::from(place), 0)?);
        if owner != LimitPlace::default() {
            owners.insert(place, owner);
        }
    }
    Ok(owners)
}

fn take_partitions(ebpf: &mut Ebpf) -> Result<HashMap<MapData, u32, u32>, KernelError> {
    let failed = KernelError::map(names::BUCKETS);
    match ebpf.take_map(names::BUCKETS).ok_or(KernelError::Missing(names::BUCKETS))? {
        Map::ArrayOfMaps(map) => Map::HashMap(map).try_into().map_err(failed),
        _ => Err(failed(MapError::InvalidMapType { map_type: 0 })),
    }
}

fn take_proofs(ebpf: &mut Ebpf) -> Result<OwnedFd, KernelError> {
    match ebpf.take_map(names::PROOFS) {
        Some(Map::LruHashMap(map)) => map.fd().as_fd().try_clone_to_owned().map_err(KernelError::map(names::PROOFS)),
        _ => Err(KernelError::Missing(names::PROOFS)),
    }
}

/// Makes the key of the buckets' hash, unless an earlier run did.
fn make_key(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let mut table: Array<_, siphash::Key> = take_map(ebpf, names::BUCKET_KEY)?;
    if table.get(&0, 0).map_err(KernelError::map(names::BUCKET_KEY))? != siphash::Key::default() {
        return Ok(());
    }
    let mut bytes = [0; size_of::<siphash::Key>()];
    getrandom(&mut bytes)?;
    let key: siphash::Key = transmute!(bytes);
    table.set(0, key, 0).map_err(KernelError::map(names::BUCKET_KEY))
}

#[cfg(test)]
mod tests;
