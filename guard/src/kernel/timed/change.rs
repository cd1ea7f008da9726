//! What must be done to a table so that it holds what is wanted: planned, carried out, read back, undone.

use std::time::Duration;

use guard_common::{
    address::Address,
    names,
    policy::Ban,
    timed::{LENGTH_WORDS, PrefixKey, Until, length_bit},
};
use tracing::warn;

use super::{
    SLACK, TimedChange, TimedError, kind,
    table::{Entries, Table},
};
use crate::kernel::{KernelError, words::Words};

/// The way from what a table holds to what it is to hold.
pub(super) struct Plan<'a> {
    table: &'a Table,
    before: Entries,
    wanted: Entries,
    /// Ended, and not wanted any more.
    ended: Vec<PrefixKey>,
    /// Not wanted any more.
    unwanted: Vec<PrefixKey>,
    /// New, or with another end.
    written: Vec<(PrefixKey, Until)>,
    /// How many of those are new.
    new: usize,
}

impl<'a> Plan<'a> {
    /// Compares what a table holds with what is wanted, at a time by the table's clock.
    pub(super) fn new(table: &'a Table, wanted: Entries, now: Duration) -> Result<Self, TimedError> {
        let before = table.read()?;
        let (mut ended, mut unwanted) = (Vec::new(), Vec::new());
        for (key, until) in before.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            if until.holds_at(now.as_nanos() as u64) == Ban::None {
                ended.push(*key);
            } else {
                unwanted.push(*key);
            }
        }
        let differs = |key: &PrefixKey, until: &Until| before.get(key).is_none_or(|held| !is_same(held, until));
        let written: Vec<_> = wanted.iter().filter(|(key, until)| differs(key, until)).map(|(k, v)| (*k, *v)).collect();
        let new = written.iter().filter(|(key, _)| !before.contains_key(key)).count();
        let plan = Self { table, before, wanted, ended, unwanted, written, new };
        if plan.after() > table.size { Err(table.full(plan.after())) } else { Ok(plan) }
    }

    /// Carries it out and returns what the table holds then. New entries go in before those go out that nobody wants any more, as
    /// far as there is room, so that what takes the place of something leaves no gap.
    pub(super) fn apply(&self, lengths: &Words<LENGTH_WORDS>) -> Result<Entries, TimedError> {
        if self.change() == TimedChange::default() {
            return self.check(self.before.clone());
        }
        self.table.remove(&self.ended)?;
        let in_the_way = (self.left() + self.new).saturating_sub(self.table.size);
        let (first, last) = self.unwanted.split_at(in_the_way);
        self.table.remove(first)?;
        for (key, _) in &self.written {
            let (word, bit) = length_bit(kind(self.table.name == names::BANS, key), key.version, key.length);
            lengths.set(word, bit);
        }
        self.table.write(&self.written).map_err(|error| self.table.not_written(error, self.after()))?;
        self.table.remove(last)?;
        self.check(self.table.read()?)
    }

    /// Makes the table hold again what it held.
    pub(super) fn undo(&self) {
        if let Err(error) = self.restore() {
            warn!("map {} is left half changed: {:#}", self.table.name, anyhow::Error::from(error));
        }
    }

    pub(super) fn change(&self) -> TimedChange {
        TimedChange { written: self.written.len(), removed: self.unwanted.len(), swept: self.ended.len() }
    }

    /// How many entries there are once those are gone that have ended.
    fn left(&self) -> usize {
        self.before.len() - self.ended.len()
    }

    /// Makes sure that the table holds what is wanted, and nothing else.
    fn check(&self, after: Entries) -> Result<Entries, TimedError> {
        let is_held = |key: &PrefixKey, until: &Until| after.get(key).is_some_and(|held| is_same(held, until));
        let missing = self.wanted.iter().find(|(key, until)| !is_held(key, until)).map(|(key, _)| key);
        let left = after.keys().find(|key| !self.wanted.contains_key(key));
        match missing.or(left) {
            Some(key) => Err(TimedError::ReadBack { table: self.table.name, prefix: written_out(key) }),
            None => Ok(after),
        }
    }

    fn restore(&self) -> Result<(), KernelError> {
        let now = self.table.read()?;
        let new: Vec<_> = now.keys().filter(|key| !self.before.contains_key(key)).copied().collect();
        self.table.remove(&new)?;
        let changed = self.before.iter().filter(|(key, until)| now.get(key) != Some(until));
        let changed: Vec<_> = changed.map(|(key, until)| (*key, *until)).collect();
        self.table.write(&changed).map_err(|error| self.table.failed(error))
    }

    /// How many entries there are to be.
    fn after(&self) -> usize {
        self.left() - self.unwanted.len() + self.new
    }
}

/// Tells whether an entry is made by whom the wanted one is, and ends when that does.
fn is_same(held: &Until, wanted: &Until) -> bool {
    held.by_machine == wanted.by_machine
        && Duration::from_nanos(held.ends_ns.abs_diff(wanted.ends_ns)) < SLACK
        && held.machine_s.abs_diff(wanted.machine_s) <= u32::from(held.machine_s > 0 && wanted.machine_s > 0)
}

fn written_out(key: &PrefixKey) -> String {
    format!("{}/{}", Address::from_octets(key.address).to_ip(key.version), key.length)
}
