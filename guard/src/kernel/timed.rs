//! Bans and grants in the kernel's tables, which outlive daemons: made to be just what is wanted, and swept.
//!
//! The kernel program compares the time by itself, so nothing that has ended counts, whether or not anybody sweeps.

mod change;
mod table;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
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
use nix::time::{ClockId, clock_gettime};
use thiserror::Error;

use super::{KernelError, words::Words};
use crate::clock::Clock;
use change::Plan;
use table::{Entries, Table};

/// How far an end may be from the one that is wanted without being written again: times are read one after another.
const SLACK: Duration = Duration::from_millis(10);

/// Bans by hand and grants. A clone is another handle on the same tables.
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
    change: Mutex<()>,
    /// Bans and grants that there are.
    counts: [AtomicUsize; 2],
}

impl TimedTables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let tables = Tables {
            bans: Table::take(ebpf, names::BANS, BANS_MAX)?,
            grants: Table::take(ebpf, names::GRANTS, GRANTS_MAX)?,
            lengths: Words::take(ebpf, names::TIMED_LENGTHS)?,
            change: Mutex::new(()),
            counts: Default::default(),
        };
        let held = [tables.bans.read()?, tables.grants.read()?];
        // Whatever became of an earlier run's words, what is held is found.
        (0..).zip(lengths(&held)).for_each(|(word, bits)| tables.lengths.set(word, bits));
        tables.count(&held);
        Ok(Self(Arc::new(tables)))
    }

    /// Makes both tables hold just what is wanted and has not ended, beside bans by machine, and reads it back. Writes only what
    /// differs, so it may be called whenever something may have ended, or the clocks have jumped.
    ///
    /// # Errors
    /// The tables hold what they held before.
    pub(crate) fn set(&self, wanted: &[TimedPrefix], clock: &Clock) -> Result<TimedChange, TimedError> {
        let tables = &*self.0;
        let _one_at_a_time = tables.change.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = slept();
        let now = clock.boot;
        let holding = wanted.iter().filter(|wanted| wanted.ends > now);
        let (bans, grants): (Vec<_>, Vec<_>) = holding.partition(|wanted| wanted.table == TimedTable::Ban);
        let plans = [
            Plan::new(&tables.bans, entries(bans, offset), now.saturating_sub(offset))?,
            Plan::new(&tables.grants, entries(grants, Duration::ZERO), now)?,
        ];
        let applied = plans.iter().map(|plan| plan.apply(&tables.lengths)).collect::<Result<Vec<_>, _>>();
        let after = applied.inspect_err(|_| plans.iter().for_each(Plan::undo))?;
        tables.lengths.store_changed(&lengths(&after));
        tables.count(&after);
        Ok(plans.iter().fold(TimedChange::default(), |sum, plan| sum.and(plan.change())))
    }

    /// Returns how many bans and how many grants there were when the tables were last read.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let [bans, grants] = &self.0.counts;
        (bans.load(Ordering::Relaxed), grants.load(Ordering::Relaxed))
    }
}

impl Tables {
    fn count(&self, tables: &[Entries]) {
        for (count, entries) in self.counts.iter().zip(tables) {
            let made = entries.keys().filter(|key| key.service != ANY_SERVICE);
            count.store(made.count(), Ordering::Relaxed);
        }
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
        let version = if prefix.addr().is_ipv4() { 4 } else { 6 };
        for service in services {
            let key = PrefixKey::of(Address::from(prefix.addr()), version, prefix.prefix_len(), *service);
            let until = table::by_hand(ends.saturating_sub(offset));
            let entry = entries.entry(key).or_insert(until);
            entry.ends_ns = entry.ends_ns.max(until.ends_ns);
        }
    }
    entries
}

/// Returns which lengths of prefixes the tables of bans and of grants have.
fn lengths(tables: &[Entries]) -> [u64; LENGTH_WORDS] {
    let mut words = [0; LENGTH_WORDS];
    for (entries, is_ban) in tables.iter().zip([true, false]) {
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

/// Returns how far the clock of bans is behind the time since boot: for how long the machine slept.
fn slept() -> Duration {
    let awake = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("every Linux has these clocks").into()
}

#[cfg(test)]
mod tests;
