//! A page of a list, as JSON has it.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    bans::{BansBefore, Evidence},
    clock::Clock,
    live::{List, Lockdown, Who},
};

/// Some of a list's entries. All that stands beside them is the same in each page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) list: List,
    pub(crate) generation: u64,
    /// In which nobody is let in by this list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lockdown: Option<InLockdown>,
    /// Absent of a list that lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_use: Option<Use>,
    pub(crate) entries: Vec<Listed>,
    /// Whether no page follows.
    pub(crate) last: bool,
}

/// How it is known when entries were last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Use {
    /// Whether only a sample of the packets is looked at.
    pub(crate) sampled: bool,
    /// Since when.
    pub(crate) since: Timestamp,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) ip: IpNet,
    /// Which services it is for; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<String>,
    /// Where it was written, and whose command it was.
    pub(crate) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<Who>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Of a ban by the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ban: Option<Why>,
    /// When the last packet of the sample came from there; absent: none was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_used: Option<Timestamp>,
}

/// Why the machine keeps a prefix out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Why {
    /// Bans before it that are remembered.
    pub(crate) past: u32,
    /// Whether there is room for it in the kernel's table.
    #[serde(rename = "enforced")]
    pub(crate) is_enforced: bool,
    /// Absent if it was found in the kernel, and nothing tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<Evidence>,
}

/// A lockdown that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InLockdown {
    pub(crate) since: Timestamp,
    /// Absent: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<Who>,
    /// Who is let in all the same.
    pub(crate) except: Vec<IpNet>,
}

impl Listed {
    pub(super) fn new(ip: IpNet, source: String) -> Self {
        Self {
            ip,
            services: Vec::new(),
            source,
            added: None,
            by: None,
            expires: None,
            comment: None,
            name: None,
            ban: None,
            last_used: None,
        }
    }
}

/// In one line.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.evidence {
            Some(evidence) => write!(f, "{evidence}")?,
            None => f.write_str("nothing tells why")?,
        }
        write!(f, "{}", BansBefore(self.past))?;
        if self.is_enforced { Ok(()) } else { f.write_str("; NOT ENFORCED, there is no room") }
    }
}

impl InLockdown {
    pub(crate) fn new(lockdown: &Lockdown, clock: &Clock) -> Self {
        Self {
            since: to_second(lockdown.since),
            until: lockdown.ends.map(|ends| to_second(clock.wall_at(ends))),
            by: lockdown.by.clone(),
            except: lockdown.except.clone(),
        }
    }
}

impl fmt::Display for InLockdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LOCKDOWN since {}", self.since)?;
        if let Some(by) = &self.by {
            write!(f, ", by {by}")?;
        }
        match &self.until {
            Some(until) => write!(f, ", until {until}")?,
            None => f.write_str(", until it is lifted")?,
        }
        f.write_str(": closed but for failsafe ports, answers to own flows")?;
        self.except.iter().try_for_each(|prefix| write!(f, ", {prefix}"))
    }
}

/// Leaves out what is finer than anybody wants to read.
pub(crate) fn to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
