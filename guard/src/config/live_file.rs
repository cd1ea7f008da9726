//! `entries.json`: what was added by command, and the string of a list file can't say. Its entries are handed out to the lists
//! that they belong to; those that ended are left out.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::clock::Moment;
use crate::live::record::{Clocks, EntryRecord, LockdownRecord, VERSION, Whole};
use crate::live::{List as LiveList, Live, LiveEntry, Lockdown};
use crate::policy::{Origin, Timed};

use super::compose::by_name;
use super::data_files::DataFile;
use super::document::ServiceKeys;
use super::faults::{Quoted, Report};
use super::item::{self, List, Pattern, Piece};
use super::json::{place_of, without_place};
use super::read::{ReadError, Text};

/// Where the file is, below the state directory.
pub(super) const PLACE: &str = "data/entries.json";

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct LiveFile {
    entries: Vec<(Origin, LiveEntry)>,
    lockdown: Option<Lockdown>,
    /// Something was refused.
    pub(super) faulty: bool,
}

impl LiveFile {
    /// Reads the file, which may be missing, or what is staged to take its place.
    pub(super) fn read(path: &Arc<Path>, staged: Option<&Path>, now: &Moment, report: &mut Report) -> (Self, DataFile) {
        let (file, text) = DataFile::open(path, staged);
        (Self::read_text(text, path, now, report), file)
    }

    /// Leaves out what was said of entries that the list file does not have any more.
    pub(super) fn forget_stale(&mut self, list_file: &List) {
        let plain = self.entries.iter().filter(|(_, entry)| entry.is_plain());
        let mut stale: HashSet<IpNet> = plain.map(|(_, entry)| entry.prefix).collect();
        if stale.is_empty() {
            return;
        }
        for piece in &list_file.pieces {
            if let Piece::Prefixes(entries) = piece {
                entries.prefixes().for_each(|prefix| _ = stale.remove(&prefix));
            }
        }
        self.entries.retain(|(_, entry)| !entry.is_plain() || !stale.contains(&entry.prefix));
    }

    /// Gives each entry to where it belongs, and returns those that end. One for a service that is not defined lets nobody
    /// in, which is a warning unless services may be `unknown`.
    pub(super) fn hand_out(
        &self,
        services: &mut [ServiceKeys],
        deny: &mut List,
        unknown: bool,
        report: &mut Report,
    ) -> Vec<Timed> {
        let by_name = by_name(services);
        let mut timed = Vec::new();
        for (origin, entry) in &self.entries {
            let (defined, undefined): (Vec<&String>, Vec<&String>) =
                entry.services.iter().partition(|name| by_name.contains_key(*name));
            for name in undefined.into_iter().filter(|_| !unknown) {
                let (prefix, name) = (entry.prefix, Quoted(name));
                report.warn(origin, format_args!("service {name} is not defined: `{prefix}` is not let in to it"));
            }
            let comment = entry.comment.as_deref();
            timed.extend(entry.timed(origin, |name| by_name.contains_key(name)));
            match (entry.list, entry.ends) {
                (LiveList::Block, None) => deny.push(Some(Pattern::Prefix(entry.prefix)), comment, origin),
                (LiveList::Allow, None) => {
                    for name in defined {
                        let list = &mut services[by_name[name]].allow;
                        list.push(Some(Pattern::Prefix(entry.prefix)), comment, origin);
                    }
                }
                (_, Some(_)) => {}
            }
        }
        timed
    }

    pub(super) fn into_live(self) -> Live {
        Live { entries: self.entries.into_iter().map(|(_, entry)| entry).collect(), lockdown: self.lockdown }
    }

    fn read_text(text: Result<Option<Text>, ReadError>, path: &Arc<Path>, now: &Moment, report: &mut Report) -> Self {
        let mut whole = String::new();
        let read = text.and_then(|text| match text {
            Some(mut text) => Ok(Some(text.read_to_string(&mut whole)?)),
            None => Ok(None),
        });
        match read {
            Ok(Some(_)) => Self::parse(&whole, path, now, report),
            Ok(None) => Self::default(),
            Err(error) => Self::refused(&Origin::File { path: path.clone() }, error, report),
        }
    }

    fn parse(text: &str, path: &Arc<Path>, now: &Moment, report: &mut Report) -> Self {
        let Whole { version, clock, lockdown, entries } = match serde_json::from_str::<Whole<&RawValue>>(text) {
            Ok(whole) => whole,
            Err(error) => {
                let what = if error.is_data() { "" } else { "not JSON: " };
                return Self::refused(&place_of(&error, path), format!("{what}{}", without_place(&error)), report);
            }
        };
        let file = Origin::File { path: path.clone() };
        if version != VERSION {
            return Self::refused(&file, format_args!("version {version}, where {VERSION} is known"), report);
        }
        let mut reading = Reading { clocks: clock.as_ref(), now, faulty: false, report };
        let lockdown = lockdown.and_then(|lockdown| reading.lockdown(lockdown, &file));
        let mut origin = Origin::Element { path: path.clone(), index: 0 };
        let mut read = Vec::new();
        for (index, element) in (0..).zip(entries) {
            origin.move_to(index);
            read.extend(reading.entry(element, &origin).map(|entry| (origin.clone(), entry)));
        }
        Self { entries: read, lockdown, faulty: reading.faulty }
    }

    fn refused(place: &Origin, message: impl std::fmt::Display, report: &mut Report) -> Self {
        report.fault(place, message);
        Self { faulty: true, ..Self::default() }
    }
}

struct Reading<'a> {
    clocks: Option<&'a Clocks>,
    now: &'a Moment,
    faulty: bool,
    report: &'a mut Report,
}

impl Reading<'_> {
    /// Reads an entry; none if it ended, or was refused.
    fn entry(&mut self, element: &RawValue, origin: &Origin) -> Option<LiveEntry> {
        // Its values in order would be taken for an object.
        if element.get().starts_with('[') {
            return self.refuse(origin, "an array is no entry");
        }
        let record: EntryRecord = match serde_json::from_str(element.get()) {
            Ok(record) => record,
            Err(error) => return self.refuse(origin, without_place(&error)),
        };
        let prefix = item::parse_prefix(&record.ip, origin, self.report);
        self.faulty |= prefix.is_none();
        match &record.services {
            Some(services) if services.is_empty() => {
                return self.refuse(origin, "key `services` names no service: leave it out to mean every service");
            }
            Some(_) if record.list == LiveList::Block => {
                return self.refuse(origin, "key `services` in an entry of `block`, which holds for every port");
            }
            _ => {}
        }
        let ends = self.ends(record.expires)?;
        Some(record.into_entry(prefix?, ends))
    }

    fn lockdown(&mut self, record: LockdownRecord, file: &Origin) -> Option<Lockdown> {
        let LockdownRecord { except, expires, since, by } = record;
        let prefixes: Vec<IpNet> =
            except.iter().filter_map(|text| item::parse_prefix(text, file, self.report)).collect();
        self.faulty |= prefixes.len() < except.len();
        let ends = self.ends(expires)?;
        Some(Lockdown { except: prefixes, ends, since, by, kept: true })
    }

    /// Returns when something ends, if it does; none if it has ended.
    fn ends(&self, expires: Option<Timestamp>) -> Option<Option<Duration>> {
        let ends = expires.map(|expires| Clocks::boot_at(self.clocks, expires, self.now));
        ends.is_none_or(|ends| ends > self.now.clock.boot).then_some(ends)
    }

    fn refuse<T>(&mut self, origin: &Origin, message: impl std::fmt::Display) -> Option<T> {
        self.faulty = true;
        self.report.fault(origin, message);
        None
    }
}
