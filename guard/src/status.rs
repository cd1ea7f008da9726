//! What `guard status` says: assembled by the daemon, sent as JSON, shown as text.

use std::fmt;

use guard_common::policy::{Mode, Verdict};
use serde::{Deserialize, Serialize};

use crate::{
    listing::InLockdown,
    policy::{Readers, Word as _},
    reload::LastReload,
};

/// The version of the form.
pub(crate) const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: u32,
    pub(crate) instance: String,
    pub(crate) pid: u32,
    /// Whether every interface that is there and wanted is enforced.
    pub(crate) enforced: bool,
    pub(crate) mode: String,
    pub(crate) default: String,
    pub(crate) generation: u64,
    /// Absent if there was none since the daemon started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_reload: Option<LastReload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lockdown: Option<InLockdown>,
    pub(crate) interfaces: Vec<Guarded>,
    /// Wanted interfaces that are not there, or not guarded, and why.
    pub(crate) unguarded: Vec<Unguarded>,
    /// Where packets that leave are noted, so that answers to them may come in.
    pub(crate) exits: Vec<Exit>,
    /// Flows of this host to which answers may come in.
    pub(crate) flows: usize,
    pub(crate) services: Vec<Service>,
    /// What echo requests are held to, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) echo_rate: Option<String>,
    /// Prefixes as the policy lists them.
    pub(crate) entries: Entries,
    /// Prefixes that are kept out for a time, by hand and by machine.
    #[serde(default)]
    pub(crate) bans: usize,
    #[serde(default)]
    pub(crate) machine_bans: MachineBans,
    /// Prefixes that are let in for a time.
    #[serde(default)]
    pub(crate) grants: usize,
    /// Who may ask for this besides those who may change the policy: `group`, which is nobody, or `everyone`.
    #[serde(default)]
    pub(crate) readers: String,
    pub(crate) counters: Vec<Counter>,
    /// Frames that carried no IP packet, by what they carried.
    pub(crate) link_types: Vec<LinkTypeCounter>,
    pub(crate) events: Events,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Guarded {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// `native` or `generic`.
    pub(crate) xdp_mode: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unguarded {
    pub(crate) name: String,
    pub(crate) reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// `tcx` or `clsact`.
    pub(crate) hook: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) ports: Vec<String>,
    pub(crate) mode: String,
    /// Those of its own, in words.
    pub(crate) limits: Vec<String>,
    /// Absent where no TCP connections of it are counted, and guard closed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<Connections>,
}

/// TCP connections to a service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connections {
    /// Absent where they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open: Option<u64>,
    /// Those of the open ones that are in other network namespaces, where guard can't close them.
    pub(crate) elsewhere: u64,
    pub(crate) closed: Closed,
}

/// Connections that guard closed since the daemon started, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closed {
    /// They were idle.
    pub(crate) idle: u64,
    /// They were beyond a cap.
    pub(crate) cap: u64,
    /// The machine banned their source.
    pub(crate) banned: u64,
    /// Nothing lets their source in any more.
    pub(crate) removed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) allow: usize,
    pub(crate) deny: usize,
}

/// Bans by the machine, and what led to them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct MachineBans {
    pub(crate) in_force: usize,
    /// Those of them for which the table has no room.
    pub(crate) unenforced: usize,
    /// Proven violations since the daemon started.
    pub(crate) violations: u64,
    /// Those of them that nobody had the time to judge.
    pub(crate) violations_lost: u64,
}

/// One row of what passed and was dropped.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counter {
    /// Absent for ports that no service names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// `pass`, `drop`, or `monitor` for a drop that passed.
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LinkTypeCounter {
    pub(crate) name: String,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// Blocked packets by what became of their report, totals.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Events {
    /// Those that lines stand for, since the daemon started.
    pub(crate) exported: u64,
    pub(crate) merged: u64,
    pub(crate) lost: u64,
}

/// Names what happened to a packet.
pub(crate) fn verdict_name(verdict: Verdict, mode: Mode) -> &'static str {
    match (verdict, mode) {
        (Verdict::Pass, _) => "pass",
        (Verdict::Drop, Mode::Enforce) => "drop",
        (Verdict::Drop, Mode::Monitor) => "monitor",
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, elsewhere, closed: Closed { idle, cap, banned, removed } } = self;
        if let Some(open) = open {
            write!(f, "{open} open, {elsewhere} of them in other network namespaces; ")?;
        }
        write!(f, "closed: {idle} idle, {cap} too many, {banned} of banned sources, {removed} of removed ones")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> =
            self.interfaces.iter().map(|interface| format!("{} ({})", interface.name, interface.xdp_mode)).collect();
        let guarding = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        writeln!(f, "guarding {guarding}: mode {}, other ports {}", self.mode, self.default)?;
        writeln!(f, "instance {}, pid {}, generation {}", self.instance, self.pid, self.generation)?;
        if let Some(lockdown) = &self.lockdown {
            writeln!(f, "{lockdown}")?;
        }
        if let Some(LastReload { time, cause, outcome, faults }) = &self.last_reload {
            match faults.is_empty() {
                true => writeln!(f, "last reload, by {cause}: {outcome}, {time}")?,
                false => {
                    writeln!(
                        f,
                        "LAST RELOAD REFUSED, by {cause}, {time}: generation {} stays in force",
                        self.generation
                    )?;
                    faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))?;
                }
            }
        }
        if !self.exits.is_empty() {
            let exits: Vec<String> = self.exits.iter().map(|exit| format!("{} ({})", exit.name, exit.hook)).collect();
            writeln!(f, "noting what leaves by {}: {} flows open", exits.join(", "), self.flows)?;
        }
        for Unguarded { name, reason } in &self.unguarded {
            writeln!(f, "NOT guarding {name}: {reason}")?;
        }
        for service in &self.services {
            writeln!(f, "service {} on {}: {}", service.name, service.ports.join(", "), service.mode)?;
            service.limits.iter().try_for_each(|limit| writeln!(f, "  at most {limit}"))?;
            if let Some(connections) = &service.connections {
                writeln!(f, "  connections: {connections}")?;
            }
        }
        if let Some(rate) = &self.echo_rate {
            writeln!(f, "echo requests: at most {rate}")?;
        }
        writeln!(
            f,
            "entries: {} allowed, {} denied; for a time: {} grants, {} bans",
            self.entries.allow, self.entries.deny, self.grants, self.bans
        )?;
        let MachineBans { in_force, violations, violations_lost, .. } = self.machine_bans;
        if in_force > 0 || violations > 0 {
            writeln!(
                f,
                "bans by the machine: {in_force}; {violations} violations, {violations_lost} of them not judged"
            )?;
        }
        if self.readers == Readers::Everyone.word() {
            writeln!(f, "every user of this host may read this")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "\n{:<20} {:<8} {:<14} {:>14} {:>16}", "service", "verdict", "reason", "packets", "bytes")?;
        for row in &self.counters {
            let service = row.service.as_deref().unwrap_or("-");
            writeln!(f, "{service:<20} {:<8} {:<14} {:>14} {:>16}", row.verdict, row.reason, row.packets, row.bytes)?;
        }
        for row in &self.link_types {
            writeln!(f, "{:<20} {:<8} {:<14} {:>14} {:>16}", "-", "pass", row.name, row.packets, row.bytes)?;
        }
        write!(
            f,
            "\nblock log: {} packets in lines, {} merged, {} lost",
            self.events.exported, self.events.merged, self.events.lost
        )
    }
}
