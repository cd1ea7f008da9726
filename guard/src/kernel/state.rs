//! State that outlives a daemon: tables of an earlier run are adopted, or carried over into those of another version.
//!
//! What was noted and counted while this run took the other's place is taken over afterwards: see [`State`].

mod list;
mod pins;
mod table;

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use aya::{Ebpf, programs::Xdp, util::online_cpus};
use aya_obj::Object;
use guard_common::{
    names,
    policy::{Mode, REASONS_MAX},
    records::{AddRequest, PORT_WORDS, counter_index},
};
use jiff::Timestamp;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use tracing::{info, warn};

use super::{KernelError, ask::ask, bpffs::PinDirectory};
use crate::clock::Clock;
use list::{Carry, STATE_MAPS, StateMap};
use pins::{StatePins, pin_name};
use table::{Table, unlike};

/// What of an earlier run's tables is to be adopted.
pub(super) struct Plan {
    pins: StatePins,
    maps: Vec<PlannedMap>,
}

struct PlannedMap {
    map: &'static StateMap,
    /// The table, if it has the version and shape that the object has.
    adopted: Option<Table>,
    /// Others of which something may be to take over, the last first.
    former: Vec<Table>,
}

/// What is being taken over from tables of other versions.
///
/// Before anything is attached they were copied. [`Self::catch_up`] takes over what the former programs noted since, once those for
/// packets that leave are replaced; [`Self::finish`] the rest, once all are.
pub(crate) struct State {
    pins: StatePins,
    successions: Vec<Succession>,
    /// The program that adds to sums, if there are any to be added.
    adder: Option<Xdp>,
    began: Instant,
}

/// A table of this run, and those whose contents it takes over, the last first.
struct Succession {
    map: &'static StateMap,
    table: Table,
    former: Vec<Table>,
}

impl Plan {
    /// Looks at what earlier runs left.
    pub(super) fn make(pins: &PinDirectory, object: &[u8]) -> Result<Self, KernelError> {
        let object = Object::parse(object).map_err(|error| KernelError::Load(error.into()))?;
        let pins = StatePins::open(pins)?;
        let maps = STATE_MAPS.iter().map(|map| PlannedMap::find(map, &pins, &object)).collect::<Result<_, _>>()?;
        Ok(Self { pins, maps })
    }

    /// Returns where the tables are pinned that are adopted.
    pub(super) fn adopted(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.maps.iter().filter_map(|planned| Some((planned.map.name, planned.adopted.as_ref()?.path.as_path())))
    }

    /// Pins the loaded tables that are new, and copies what is to be copied.
    pub(super) fn fulfil(self, ebpf: &Ebpf) -> Result<State, KernelError> {
        let began = Instant::now();
        let mut successions = Vec::new();
        for PlannedMap { map, adopted, former } in self.maps {
            let is_new = adopted.is_none();
            let table = match adopted {
                Some(table) => table,
                None => pin_new(map, &self.pins, ebpf)?,
            };
            let mut succession = Succession { map, table, former };
            if is_new {
                succession.begin();
            }
            successions.push(succession);
        }
        Ok(State { pins: self.pins, successions, adder: None, began })
    }
}

impl PlannedMap {
    fn find(map: &'static StateMap, pins: &StatePins, object: &Object) -> Result<Self, KernelError> {
        let expected = object.maps.get(map.name).ok_or(KernelError::Missing(map.name))?;
        let mut former = Vec::new();
        for (version, path) in pins.versions(map.name)? {
            former.push((version, Table::open(path).map_err(KernelError::map(map.name))?));
        }
        former.sort_by_key(|(_, table)| std::cmp::Reverse(table.number()));
        let adopted = match former.first() {
            Some((version, table)) if *version == map.version && table.has_shape(expected) => Some(former.remove(0).1),
            _ => None,
        };
        Ok(Self { map, adopted, former: former.into_iter().map(|(_, table)| table).collect() })
    }
}

impl State {
    /// Returns since when, in time since boot, a table has been filled by versions that have it like this one.
    pub(super) fn since(&self, name: &str) -> Duration {
        let made = |succession: &Succession| fs::metadata(&succession.table.path).and_then(|pin| pin.modified());
        let table = self.successions.iter().find(|succession| succession.map.name == name);
        let made = table.and_then(|table| made(table).ok()).unwrap_or_else(SystemTime::now);
        // By the wall clock as it was then: where it was set since, no table is older than the boot at least.
        Clock::now().boot_at(Timestamp::try_from(made).expect("a file is not made in the year 10000"))
    }

    /// Notes whose the new tables are, once the programs are loaded; `adder` opens the program that adds.
    pub(super) fn belong_to(
        &mut self,
        programs: [u32; 2],
        adder: impl FnOnce() -> Result<Xdp, KernelError>,
    ) -> Result<(), KernelError> {
        self.pins.name_next(programs)?;
        if self.carried().any(|succession| matches!(succession.map.carry, Carry::Moved(_))) {
            self.adder = Some(adder()?);
        }
        Ok(())
    }

    /// Takes over what former programs noted meanwhile.
    pub(crate) fn catch_up(&self) {
        self.successions.iter().for_each(Succession::catch_up);
    }

    /// Forgets what was counted for a service whose number is given to another.
    pub(crate) fn forget_service(&self, number: u8) -> Result<(), KernelError> {
        let first = counter_index(number, 0, 0);
        let indices = first..first + (Mode::ALL.len() * REASONS_MAX) as u32;
        let counters = self.successions.iter().filter(|succession| succession.map.name == names::COUNTERS);
        let mut former = counters.flat_map(|succession| &succession.former);
        former.try_for_each(|table| table.clear(indices.clone())).map_err(KernelError::map(names::COUNTERS))
    }

    /// Takes over the rest, now that no former program is attached, and lets go of former tables.
    pub(crate) fn finish(self) -> Result<(), KernelError> {
        self.catch_up();
        if let Some(adder) = &self.adder {
            self.move_sums(adder);
        }
        let names: Vec<_> = STATE_MAPS.iter().map(|map| pin_name(map.name, map.version)).collect();
        self.pins.settle(&names)?;
        let carried: Vec<_> = self.carried().map(|succession| succession.map.name).collect();
        if !carried.is_empty() {
            let time = self.began.elapsed();
            info!("taken over from another version of guard, within {time:?}: {}", carried.join(", "));
        }
        Ok(())
    }

    /// Moves sums, on a thread that may choose its CPU.
    fn move_sums(&self, adder: &Xdp) {
        let work = || {
            if let Err(error) = wait_for_runs() {
                warn!("some packets of the last moment may not be counted: {error}");
            }
            self.carried().for_each(|succession| succession.move_sums(adder));
        };
        thread::scope(|scope| drop(scope.spawn(work)));
    }

    fn carried(&self) -> impl Iterator<Item = &Succession> {
        self.successions.iter().filter(|succession| !succession.former.is_empty())
    }
}

impl Succession {
    /// Fills a new table from the last former one while only former programs run. What earlier ones have besides, because a run was
    /// killed while it took it over, comes with what is noted meanwhile.
    fn begin(&mut self) {
        let Some(last) = self.former.first() else { return };
        let begun = match self.map.carry {
            Carry::Copied | Carry::Noted => self.table.copy(last),
            Carry::Joined => self.table.join::<PORT_WORDS>(last),
            Carry::Moved(_) => self.table.check_kin(last),
            Carry::Not => Err(unlike("what is in it means something else by now")),
        };
        if let Err(error) = begun {
            complain(self.map, &error);
            self.former.clear();
        }
    }

    fn catch_up(&self) {
        for former in &self.former {
            let caught_up = match self.map.carry {
                Carry::Noted => self.table.add_missing(former),
                Carry::Joined => self.table.join::<PORT_WORDS>(former),
                Carry::Copied | Carry::Moved(_) | Carry::Not => Ok(()),
            };
            caught_up.unwrap_or_else(|error| complain(self.map, &error));
        }
    }

    fn move_sums(&self, adder: &Xdp) {
        let Carry::Moved(counted) = self.map.carry else { return };
        for former in &self.former {
            let add = |index, numbers| {
                let request = AddRequest { table: counted as u32, index, numbers };
                ask(adder, &request).map_err(io::Error::other)
            };
            let moved = self.table.check_kin(former).and_then(|()| former.take_sums(add));
            moved.unwrap_or_else(|error| complain(self.map, &error));
        }
    }
}

fn complain(map: &StateMap, error: &io::Error) {
    warn!("table {} of another version of guard is not taken over, so {}: {error}", map.name, map.loss);
}

fn pin_new(map: &StateMap, pins: &StatePins, ebpf: &Ebpf) -> Result<Table, KernelError> {
    let path = pins.next.join(pin_name(map.name, map.version));
    let loaded = ebpf.map(map.name).ok_or(KernelError::Missing(map.name))?;
    loaded.pin(&path).map_err(KernelError::map(map.name))?;
    Table::open(path).map_err(KernelError::map(map.name))
}

/// Waits until no run of a program is left that began before: none is interrupted, so where this thread runs there is none.
fn wait_for_runs() -> io::Result<()> {
    for cpu in online_cpus().map_err(|(_, error)| error)? {
        let mut set = CpuSet::new();
        set.set(cpu as usize)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
