//! The scene of these tests: a guarded host with two services, and a silent peer that may be anybody.

use std::{net::IpAddr, time::Duration};

use guard_tests::{Cell, Counters, Family, Guard, Site, process::Finished};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A cell for what no cell makes a difference to.
pub(crate) const ANY_CELL: Cell = Cell { family: Family::V4, xdp_mode: "native" };

/// The sources: one that is let in by the policy file, two that edits are about, and a stranger to all of them.
pub(crate) const TALKER: u8 = 1;
pub(crate) const EDITED: u8 = 2;
pub(crate) const OTHER: u8 = 3;
pub(crate) const STRANGER: u8 = 9;

pub(crate) const WEB: u16 = 3000;
pub(crate) const DNS: u16 = 4000;

/// Where the files are that edits change, as [`guard_tests::Host::read`] takes them.
pub(crate) const LIST_FILE: &str = "state/data/allowed_ips.json";
pub(crate) const ENTRIES: &str = "state/data/entries.json";
pub(crate) const AUDIT: &str = "state/audit.jsonl";

pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) guard: Guard,
}

impl Scene {
    pub(crate) fn new(cell: Cell) -> Self {
        Self::on(Site::with_silent_peer(cell))
    }

    /// Starts a guard at a site whose state may be there already.
    pub(crate) fn on(site: Site) -> Self {
        let guard = site.guard(&policy());
        Self { site, guard }
    }

    /// Starts the next guard after one that has ended.
    pub(crate) fn restart(&mut self) {
        self.guard = self.site.guard(&policy());
    }

    /// Runs a command of words set apart by spaces; a number in braces is the source of that number.
    pub(crate) fn ask(&self, command: &str) -> Finished {
        let mut command = command.to_owned();
        for number in [TALKER, EDITED, OTHER, STRANGER] {
            command = command.replace(&format!("{{{number}}}"), &self.source(number).to_string());
        }
        self.guard.ask(&command.split(' ').collect::<Vec<_>>())
    }

    /// Runs a command, which must do; returns what guard says.
    #[track_caller]
    pub(crate) fn done(&self, command: &str) -> String {
        self.ask(command).done(command)
    }

    /// Runs a command, which must be refused and change nothing; returns why.
    #[track_caller]
    pub(crate) fn refused(&self, command: &str, code: i32) -> String {
        let generation = self.generation();
        let answer = self.ask(command);
        assert_eq!(answer.code(), Some(code), "{command}: {answer:?}");
        assert_eq!(self.generation(), generation, "{command}: {answer:?}");
        answer.stderr.join("\n")
    }

    pub(crate) fn generation(&self) -> u64 {
        self.guard.status()["generation"].as_u64().expect("a generation is a number")
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters::read(&self.guard)
    }

    /// The entries of `allow` or `block`.
    #[track_caller]
    pub(crate) fn list(&self, list: &str) -> Vec<Value> {
        let answer = self.done(&format!("{list} list --json"));
        let listing: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        listing["entries"].as_array().unwrap_or_else(|| panic!("no entries in {listing:#}")).clone()
    }

    /// The entry of a source in a list; panics if there is not just one.
    #[track_caller]
    pub(crate) fn entry(&self, list: &str, source: u8) -> Value {
        let entries = self.list(list);
        let of_source = |entry: &&Value| ip(entry) == self.prefix(source);
        let found: Vec<&Value> = entries.iter().filter(of_source).collect();
        assert_eq!(found.len(), 1, "entries of {} in {entries:#?}", self.prefix(source));
        found[0].clone()
    }

    /// The lines of the audit log.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.site.host().read(AUDIT).lines().map(parse).collect()
    }

    pub(crate) fn source(&self, number: u8) -> IpAddr {
        source(self.site.cell, number)
    }

    pub(crate) fn prefix(&self, number: u8) -> String {
        format!("{}/{}", self.source(number), self.site.cell.pick(32, 128))
    }
}

/// What the guard of these tests enforces without any edit.
pub(crate) fn policy() -> String {
    let talker = [Family::V4, Family::V6].map(|family| source(Cell { family, ..ANY_CELL }, TALKER).to_string());
    format!(
        "default = 'drop'\nallow.ips = {talker:?}\n[[service]]\nname = 'web'\nports = ['udp/{WEB}']\n[[service]]\nname = \
         'dns'\nports = ['udp/{DNS}']\n"
    )
}

pub(crate) fn source(cell: Cell, number: u8) -> IpAddr {
    let text = cell.pick(format!("198.51.100.{number}"), format!("2001:db8:51::{number:x}"));
    text.parse().expect("an address")
}

/// The prefix of a listed entry.
pub(crate) fn ip(entry: &Value) -> &str {
    entry["ip"].as_str().unwrap_or_else(|| panic!("no prefix in {entry}"))
}

/// A time in an answer or a log.
pub(crate) fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("`{value}` is no time"));
    text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// A list of so many IPv4 prefixes as a JSON array; none is a source of these tests.
pub(crate) fn json_list(count: u32, more: &[String]) -> String {
    let quoted = many(count).chain(more.iter().cloned()).map(|prefix| format!("\"{prefix}\""));
    format!("[{}]", quoted.collect::<Vec<_>>().join(",\n"))
}

/// So many IPv4 addresses, none of which is a source of these tests.
pub(crate) fn many(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("10.{}.{}.{}", 64 + (number >> 16), number >> 8 & 255, number & 255))
}
