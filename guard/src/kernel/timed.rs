//! Bans and grants in the kernel's tables, which outlive daemons: made to be just what is wanted, and swept.
//!
//! The kernel program compares the time by itself, so nothing that has ended counts, whether or not anybody sweeps.

mod change;
mod machine;
mod table;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aya::Ebpf;
use guard_common::{
    address::Address,
    names,
    timed::{ANY_SERVICE, BANS_MAX, EVERY_SERVICE, GRANTS_MAX, Kind, LENGTH_WORDS, PrefixKey, length_bit},
};
use ipnet::IpNet;
use thiserror::Error;

use super::{KernelError, words::Words};
use crate::clock::{Clock, slept};
use change::Plan;
use machine::{Unenforced, WantedBans};
use table::{Entries, Table};

/// How far an end may be from the one that is wanted without being written again: times are read one after another.
const SLACK: Duration = Duration::from_millis(10);

/// Bans, by hand and by machine, and grants. A clone is another handle on the same tables.
#[derive(Clone)]
pub(crate) struct TimedTables(Arc<Tables>);

/// A prefix for which something holds until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedPrefix {
    pub(crate) table: TimedTable,
    pub(crate) prefix: IpNet,
    /// In time since boot.
    pub(crate) ends: Duration,
}

/// What holds for a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedTable {
    /// It is kept out.
    Ban,
    /// It may reach the service of a number, or with 0 every service.
    Grant { service: u8 },
}

/// How many elements of both tables were changed; what a grant of a service lets in without ports is one of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimedChange {
    /// Those that are new, or got another end.
    pub(crate) written: usize,
    /// Those that were not wanted any more.
    pub(crate) removed: usize,
    /// Those that had ended.
    pub(crate) swept: usize,
}

/// Why bans and grants are not what was wanted. They are what they were before.
#[derive(Debug, Error)]
pub(crate) enum TimedError {
    #[error("map {table} has room for {size} entries, and {wanted} are wanted")]
    Full { table: &'static str, size: usize, wanted: usize },
    #[error("an entry of map {table}, {prefix}, reads back as something else")]
    ReadBack { table: &'static str, prefix: String },
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

struct Tables {
    bans: Table,
    grants: Table,
    lengths: Words<LENGTH_WORDS>,
    /// Held by whoever changes them.
    wanted: Mutex<WantedBans>,
    /// Bans by hand, bans by machine, and grants.
    counts: [AtomicUsize; 3],
    unenforced: Mutex<Unenforced>,
}

impl TimedTables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let tables = Tables {
            bans: Table::take(ebpf, names::BANS, BANS_MAX)?,
            grants: Table::take(ebpf, names::GRANTS, GRANTS_MAX)?,
            lengths: Words::take(ebpf, names::TIMED_LENGTHS)?,
            wanted: Mutex::default(),
            counts: Default::default(),
            unenforced: Mutex::default(),
        };
        let [bans, grants] = [tables.bans.read()?, tables.grants.read()?];
        // Whatever became of an earlier run's words, what is held is found.
        (0..).zip(lengths(&bans, &grants)).for_each(|(word, bits)| tables.lengths.set(word, bits));
        let held = WantedBans::found(bans, slept());
        tables.count(&held);
        tables.count_grants(&grants);
        *tables.lock() = held;
        Ok(Self(Arc::new(tables)))
    }

    /// Makes both tables hold just what is wanted and has not ended, and bans by machine, and reads it back. Writes only what
    /// differs, so it may be called whenever something may have ended, or the clocks have jumped.
    ///
    /// # Errors
    /// The tables hold what they held before.
    pub(crate) fn set(&self, wanted: &[TimedPrefix], clock: &Clock) -> Result<TimedChange, TimedError> {
        let tables = &*self.0;
        let mut held = tables.lock();
        let offset = slept();
        let now = clock.boot;
        let holding = wanted.iter().filter(|wanted| wanted.ends > now);
        let (bans, grants): (Vec<_>, Vec<_>) = holding.partition(|wanted| wanted.table == TimedTable::Ban);
        let by_hand = entries(bans, offset);
        held.by_machine.retain(|_, ends| *ends > now);
        let (bans, unenforced) = held.with(&by_hand, tables.bans.size, offset);
        let plans = [
            Plan::new(&tables.bans, bans, now.saturating_sub(offset))?,
            Plan::new(&tables.grants, entries(grants, Duration::ZERO), now)?,
        ];
        let [bans, grants] = &plans;
        let apply = || Ok((bans.apply(&tables.lengths)?, grants.apply(&tables.lengths)?));
        let applied: Result<_, TimedError> = apply();
        let (bans, grants) = applied.inspect_err(|_| plans.iter().for_each(Plan::undo))?;
        tables.lengths.store_changed(&lengths(&bans, &grants));
        held.by_hand = by_hand;
        tables.put_unenforced(unenforced);
        tables.count(&held);
        tables.count_grants(&grants);
        Ok(plans.iter().fold(TimedChange::default(), |sum, plan| sum.and(plan.change())))
    }

    /// Returns how many bans by hand, bans by machine and grants there were when the tables were last changed.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let [by_hand, by_machine, grants] = &self.0.counts;
        (by_hand.load(Ordering::Relaxed), by_machine.load(Ordering::Relaxed), grants.load(Ordering::Relaxed))
    }
}

impl Tables {
    fn lock(&self) -> MutexGuard<'_, WantedBans> {
        // Whoever panicked with it left what was wanted before, or some of what is wanted now.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, held: &WantedBans) {
        let [by_hand, by_machine, _] = &self.counts;
        by_hand.store(held.by_hand.len(), Ordering::Relaxed);
        by_machine.store(held.by_machine.len(), Ordering::Relaxed);
    }

    fn count_grants(&self, grants: &Entries) {
        let made = grants.keys().filter(|key| key.service != ANY_SERVICE);
        self.counts[2].store(made.count(), Ordering::Relaxed);
    }
}

impl TimedChange {
    fn and(self, other: Self) -> Self {
        Self {
            written: self.written + other.written,
            removed: self.removed + other.removed,
            swept: self.swept + other.swept,
        }
    }
}

/// Returns what a table is to hold; its clock is so much behind the time since boot. Of ends of the same prefix the last
/// counts.
fn entries<'a>(wanted: impl IntoIterator<Item = &'a TimedPrefix>, offset: Duration) -> Entries {
    let mut entries = Entries::new();
    for TimedPrefix { table, prefix, ends } in wanted {
        let services = match table {
            TimedTable::Ban | TimedTable::Grant { service: EVERY_SERVICE } => [EVERY_SERVICE].as_slice(),
            TimedTable::Grant { service } => &[*service, ANY_SERVICE],
        };
        for service in services {
            let key = key(prefix, *service);
            let until = table::by_hand(ends.saturating_sub(offset));
            let entry = entries.entry(key).or_insert(until);
            entry.ends_ns = entry.ends_ns.max(until.ends_ns);
        }
    }
    entries
}

fn key(prefix: &IpNet, service: u8) -> PrefixKey {
    let version = if prefix.addr().is_ipv4() { 4 } else { 6 };
    PrefixKey::of(Address::from(prefix.addr()), version, prefix.prefix_len(), service)
}

/// Returns which lengths of prefixes the tables have.
fn lengths(bans: &Entries, grants: &Entries) -> [u64; LENGTH_WORDS] {
    let mut words = [0; LENGTH_WORDS];
    for (entries, is_ban) in [(bans, true), (grants, false)] {
        for key in entries.keys() {
            let (word, bit) = length_bit(kind(is_ban, key), key.version, key.length);
            words[word] |= bit;
        }
    }
    words
}

fn kind(is_ban: bool, key: &PrefixKey) -> Kind {
    match (is_ban, key.service) {
        (true, _) => Kind::Ban,
        (false, EVERY_SERVICE) => Kind::Grant,
        (false, _) => Kind::ServiceGrant,
    }
}

#[cfg(test)]
mod tests;
