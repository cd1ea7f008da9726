//! `entries.json`: what was added by command, as the file has it.
//!
//! Ends are wall times there, with the clocks as they were when it was written: read again in the same boot, an end is what it
//! was, whatever the wall clock did. In another boot the wall time counts, unless that is before the file was written.

use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Moment};

use super::{List, Live, LiveEntry, Lockdown, Who};

/// The version of the file's form that is read and written.
pub(crate) const VERSION: u32 = 1;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `version` and `entries`")]
pub(crate) struct Whole<E> {
    pub(crate) version: u32,
    #[serde(default)]
    pub(crate) clock: Option<Clocks>,
    #[serde(default)]
    pub(crate) lockdown: Option<LockdownRecord>,
    pub(crate) entries: Vec<E>,
}

/// The clocks when the file was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clocks {
    boot_id: String,
    boot_ns: u64,
    time: Timestamp,
}

/// An entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `list`, `ip` and `added`")]
pub(crate) struct EntryRecord {
    pub(crate) list: List,
    pub(crate) ip: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) services: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) added: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<Who>,
}

/// A lockdown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockdownRecord {
    pub(crate) except: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    pub(crate) since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<Who>,
}

impl Clocks {
    pub(crate) fn of(moment: &Moment) -> Option<Self> {
        let boot_ns = u64::try_from(moment.clock.boot.as_nanos()).expect("584 years since boot have not passed");
        Some(Self { boot_id: moment.boot_id.clone()?, boot_ns, time: moment.clock.wall })
    }

    /// Returns when a wall time of the file is, in time since this boot; zero if that was before.
    pub(crate) fn boot_at(clocks: Option<&Self>, expires: Timestamp, now: &Moment) -> Duration {
        Self::since_boot(clocks, expires, now).try_into().unwrap_or_default()
    }

    /// Returns when a wall time of the file is, in time since this boot; less than zero if that was before.
    pub(crate) fn since_boot(clocks: Option<&Self>, time: Timestamp, now: &Moment) -> SignedDuration {
        match clocks {
            Some(clocks) if Some(&clocks.boot_id) == now.boot_id.as_ref() => {
                let boot = SignedDuration::try_from(Duration::from_nanos(clocks.boot_ns)).expect("584 years fit");
                boot.saturating_add(time.duration_since(clocks.time))
            }
            // It was written before this boot. A clock that says otherwise is wrong, as one is that stood still without power.
            Some(clocks) => {
                let earliest = clocks.time.saturating_add(now.clock.boot).expect("an unsigned duration saturates");
                Clock { wall: now.clock.wall.max(earliest), ..now.clock }.since_boot(time)
            }
            None => now.clock.since_boot(time),
        }
    }
}

impl EntryRecord {
    /// Returns the entry, but for what is to be read of it as configuration: the prefix and the end.
    pub(crate) fn into_entry(self, prefix: IpNet, ends: Option<Duration>) -> LiveEntry {
        let Self { list, services, comment, name, added, by, .. } = self;
        let mut services = services.unwrap_or_default();
        services.sort_unstable();
        services.dedup();
        LiveEntry { list, prefix, services, ends, comment, name, added, by }
    }

    fn of(entry: &LiveEntry, clock: &Clock) -> Self {
        let LiveEntry { list, prefix, services, ends, comment, name, added, by } = entry.clone();
        Self {
            list,
            ip: prefix.to_string(),
            services: (!services.is_empty()).then_some(services),
            expires: ends.map(|ends| clock.wall_at(ends)),
            comment,
            name,
            added,
            by,
        }
    }
}

impl LockdownRecord {
    fn of(lockdown: &Lockdown, clock: &Clock) -> Self {
        Self {
            except: lockdown.except.iter().map(ToString::to_string).collect(),
            expires: lockdown.ends.map(|ends| clock.wall_at(ends)),
            since: lockdown.since,
            by: lockdown.by.clone(),
        }
    }
}

/// Writes the file, one entry a line.
pub(super) fn write(live: &Live, now: &Moment) -> String {
    let mut text = format!("{{\n\"version\": {VERSION},\n");
    if let Some(clocks) = Clocks::of(now) {
        text.push_str(&format!("\"clock\": {},\n", json(&clocks)));
    }
    if let Some(lockdown) = &live.lockdown {
        text.push_str(&format!("\"lockdown\": {},\n", json(&LockdownRecord::of(lockdown, &now.clock))));
    }
    text.push_str("\"entries\": [");
    for (at, entry) in live.entries.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&json(&EntryRecord::of(entry, &now.clock)));
    }
    text.push_str("\n]\n}\n");
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are strings, and nothing else can fail")
}
