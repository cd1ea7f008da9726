//! Bans that nobody made by hand. They lie in the table of bans; where there is one by hand of the same prefix, theirs follows it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use guard_common::{
    address::Address,
    timed::{EVERY_SERVICE, Kind, PrefixKey, Until, length_bit},
};
use ipnet::IpNet;

use super::{
    Tables, TimedError, TimedTables, key,
    table::{self, Entries},
};
use crate::clock::{Clock, slept};

/// Bans for which the table has no room.
pub(super) type Unenforced = Arc<BTreeSet<IpNet>>;

/// What the table of bans is to hold.
#[derive(Default)]
pub(super) struct WantedBans {
    /// As the table has them.
    pub(super) by_hand: Entries,
    /// When each ends, in time since boot; also where one by hand is before it, or there is no room.
    pub(super) by_machine: BTreeMap<PrefixKey, Duration>,
}

impl TimedTables {
    /// Keeps prefixes out until a time since boot, but for the trusted and for failsafe ports. It reads no more of the table than
    /// it writes. A ban that ends later stays as it is.
    ///
    /// # Errors
    /// Why one of them, or several, can't be enforced; they are wanted [all the same](Self::unenforced).
    pub(crate) fn ban(&self, bans: &[(IpNet, Duration)], clock: &Clock) -> Result<(), TimedError> {
        let tables = &*self.0;
        let mut wanted = tables.lock();
        let offset = slept();
        let now = clock.boot.saturating_sub(offset);
        let mut unenforced = tables.unenforced();
        let mut failed = None;
        for (prefix, ends) in bans.iter().filter(|(_, ends)| *ends > clock.boot) {
            let key = key(prefix, EVERY_SERVICE);
            let latest = wanted.by_machine.entry(key).or_insert(*ends);
            *latest = (*latest).max(*ends);
            match tables.write_ban(&key, wanted.until(&key, now, offset)) {
                Ok(()) if unenforced.is_empty() => {}
                Ok(()) => {
                    Arc::make_mut(&mut unenforced).remove(prefix);
                }
                Err(error) => {
                    Arc::make_mut(&mut unenforced).insert(*prefix);
                    failed = failed.or(Some(error));
                }
            }
        }
        tables.put_unenforced(unenforced);
        tables.count(&wanted);
        let all = wanted.by_hand.len() + wanted.by_machine.len();
        failed.map_or(Ok(()), |error| Err(tables.bans.not_written(error, all)))
    }

    /// Ends bans by machine; returns how many there were. Those by hand of the same prefixes stay.
    pub(crate) fn unban(&self, prefixes: &[IpNet], clock: &Clock) -> Result<usize, TimedError> {
        let tables = &*self.0;
        let mut wanted = tables.lock();
        let now = clock.boot.saturating_sub(slept());
        let keys = prefixes.iter().map(|prefix| key(prefix, EVERY_SERVICE));
        let gone: Vec<PrefixKey> = keys.filter(|key| wanted.by_machine.remove(key).is_some()).collect();
        let mut unenforced = tables.unenforced();
        if !unenforced.is_empty() {
            let unenforced = Arc::make_mut(&mut unenforced);
            prefixes.iter().for_each(|prefix| _ = unenforced.remove(prefix));
        }
        tables.put_unenforced(unenforced);
        tables.count(&wanted);
        let (by_hand, alone): (Vec<PrefixKey>, Vec<PrefixKey>) =
            gone.iter().partition(|key| wanted.by_hand_at(key, now).is_some());
        tables.bans.remove(&alone)?;
        let by_hand: Vec<_> = by_hand.into_iter().map(|key| (key, wanted.by_hand[&key])).collect();
        tables.bans.write(&by_hand).map_err(|error| tables.bans.failed(error))?;
        for (version, length) in alone.iter().map(|key| (key.version, key.length)).collect::<BTreeSet<_>>() {
            if !wanted.has_length(version, length) {
                let (word, bit) = length_bit(Kind::Ban, version, length);
                tables.lengths.clear(word, bit);
            }
        }
        Ok(gone.len())
    }

    /// Returns the bans by machine, each with its end in time since boot.
    pub(crate) fn machine_bans(&self) -> Vec<(IpNet, Duration)> {
        let wanted = self.0.lock();
        wanted.by_machine.iter().filter_map(|(key, ends)| Some((prefix(key)?, *ends))).collect()
    }

    /// Returns the bans by machine for which there is no room.
    pub(crate) fn unenforced(&self) -> Arc<BTreeSet<IpNet>> {
        self.0.unenforced()
    }
}

impl WantedBans {
    /// Takes what a table holds whose clock is so much behind the time since boot.
    pub(super) fn found(entries: Entries, offset: Duration) -> Self {
        let mut found = Self::default();
        for (key, until) in entries {
            let ends = Duration::from_nanos(until.ends_ns) + Duration::from_secs(until.machine_s.into());
            if until.by_machine != 0 || until.machine_s > 0 {
                found.by_machine.insert(key, ends.saturating_add(offset));
            }
            if until.by_machine == 0 {
                found.by_hand.insert(key, Until { machine_s: 0, ..until });
            }
        }
        found
    }

    /// Returns what the table is to hold where these are the bans by hand, and the bans for which there is no room then: of those by
    /// machine the ones that end first.
    pub(super) fn with(&self, by_hand: &Entries, size: usize, offset: Duration) -> (Entries, Unenforced) {
        let mut entries = by_hand.clone();
        let mut alone = Vec::new();
        for (key, ends) in &self.by_machine {
            match entries.get_mut(key) {
                Some(until) => *until = followed(*until, ends.saturating_sub(offset)),
                None => alone.push((*key, *ends)),
            }
        }
        let room = size.saturating_sub(by_hand.len());
        if alone.len() > room {
            alone.sort_unstable_by_key(|(key, ends)| (Reverse(*ends), *key));
        }
        let unenforced = alone.iter().skip(room).filter_map(|(key, _)| prefix(key)).collect();
        let enforced = alone.into_iter().take(room);
        entries.extend(enforced.map(|(key, ends)| (key, table::by_machine(ends.saturating_sub(offset)))));
        (entries, Arc::new(unenforced))
    }

    /// Returns what the table is to hold for a prefix that the machine bans, at a time by the table's clock, which is so much behind
    /// the time since boot.
    fn until(&self, key: &PrefixKey, now: Duration, offset: Duration) -> Until {
        let ends = self.by_machine.get(key).map_or(Duration::ZERO, |ends| ends.saturating_sub(offset));
        self.by_hand_at(key, now).map_or_else(|| table::by_machine(ends), |until| followed(until, ends))
    }

    /// Returns the ban by hand that is in the table, at a time by the table's clock.
    fn by_hand_at(&self, key: &PrefixKey, now: Duration) -> Option<Until> {
        self.by_hand.get(key).copied().filter(|until| Duration::from_nanos(until.ends_ns) > now)
    }

    fn has_length(&self, version: u8, length: u8) -> bool {
        let is_such = |key: &PrefixKey| (key.version, key.length) == (version, length);
        self.by_machine.keys().any(is_such) || self.by_hand.keys().any(is_such)
    }
}

impl Tables {
    fn write_ban(&self, key: &PrefixKey, until: Until) -> io::Result<()> {
        let (word, bit) = length_bit(Kind::Ban, key.version, key.length);
        self.lengths.set(word, bit);
        self.bans.write(&[(*key, until)])
    }

    fn unenforced(&self) -> Unenforced {
        Arc::clone(&self.unenforced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put_unenforced(&self, unenforced: Unenforced) {
        *self.unenforced.lock().unwrap_or_else(PoisonError::into_inner) = unenforced;
    }
}

/// Returns a ban by hand behind which the machine bans until a time by the table's clock.
fn followed(by_hand: Until, ends: Duration) -> Until {
    let longer = ends.saturating_sub(Duration::from_nanos(by_hand.ends_ns));
    let machine_s = longer.as_secs() + u64::from(longer.subsec_nanos() > 0);
    Until { machine_s: u32::try_from(machine_s).unwrap_or(u32::MAX), ..by_hand }
}

fn prefix(key: &PrefixKey) -> Option<IpNet> {
    IpNet::new(Address::from_octets(key.address).to_ip(key.version), key.length).ok()
}
