//! What was changed by command while guard ran: the edits that can be asked for, and what stays of them in
//! `<state-dir>/data/entries.json`.
//!
//! This module knows no socket and no kernel table. What the files come to together is the configuration's to say.

mod add;
mod covers;
mod elements;
mod ground;
pub(crate) mod record;
mod remarks;
mod remove;
mod staged_file;
mod staging;

use std::{fmt, path::Path, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::{Effect, Origin, Timed};

pub(crate) use staged_file::StagedFile;
pub(crate) use staging::{InForce, StagedEdit, metadata, stage, stage_live};

/// The list that an edit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum List {
    /// Who may reach services.
    Allow,
    /// Who is kept out.
    Block,
}

impl List {
    /// Returns what is done to who stands in it, for messages.
    fn done(self) -> &'static str {
        match self {
            Self::Allow => "let in",
            Self::Block => "blocked",
        }
    }
}

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) uid: u32,
    /// Absent if the number has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) pid: i32,
    /// The command line of the process, as it had it.
    pub(crate) command: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Add(Addition),
    Remove(Removal),
}

/// Entries to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addition {
    pub(crate) list: List,
    /// At least one, without host bits, none twice.
    pub(crate) prefixes: Vec<IpNet>,
    /// For which services only; of [`List::Block`] always empty.
    pub(crate) services: Vec<String>,
    /// For how long; without it, for good. For a time, an entry of `allow` is a grant and one of `block` a ban.
    pub(crate) ttl: Option<Duration>,
    pub(crate) comment: Option<String>,
    /// Takes the place of all entries of the list that have this name.
    pub(crate) name: Option<String>,
}

/// Entries to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) list: List,
    /// Those of these prefixes, whether for a time or for good.
    pub(crate) prefixes: Vec<IpNet>,
    /// Only those for these services; empty: of all, and for whatever services.
    pub(crate) services: Vec<String>,
    /// Those of this name; in place of prefixes.
    pub(crate) name: Option<String>,
}

/// Everything that was changed by command and still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    /// In the order in which they were added.
    pub(crate) entries: Vec<LiveEntry>,
    pub(crate) lockdown: Option<Lockdown>,
}

/// An entry that was added by command.
///
/// One that is [plain](LiveEntry::is_plain) stands in the list file, and this is only what a string there can't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveEntry {
    pub(crate) list: List,
    pub(crate) prefix: IpNet,
    pub(crate) services: Vec<String>,
    /// When it ends, in time since boot.
    pub(crate) ends: Option<Duration>,
    pub(crate) comment: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) added: Timestamp,
    /// Absent if the file does not say.
    pub(crate) by: Option<Who>,
}

/// Only failsafe ports, some prefixes and own flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lockdown {
    pub(crate) except: Vec<IpNet>,
    /// When it ends, in time since boot.
    pub(crate) ends: Option<Duration>,
    pub(crate) since: Timestamp,
    pub(crate) by: Option<Who>,
    /// Whether the file has it; if not, it could not be written, and goes on without.
    pub(crate) kept: bool,
}

impl Live {
    /// Leaves out what has ended at a time since boot.
    pub(crate) fn without_ended(mut self, now: Duration) -> Self {
        let holds = |ends: Option<Duration>| ends.is_none_or(|ends| ends > now);
        self.entries.retain(|entry| holds(entry.ends));
        self.lockdown = self.lockdown.filter(|lockdown| holds(lockdown.ends));
        self
    }

    /// Returns what of it holds for a time. `file` is where it is written.
    pub(crate) fn timed(&self, file: &Path, is_defined: impl Fn(&str) -> bool) -> Vec<Timed> {
        let first = Origin::Element { path: file.into(), index: 0 };
        (0..).zip(&self.entries).filter_map(|(index, entry)| entry.timed(&first.at(index), &is_defined)).collect()
    }
}

impl LiveEntry {
    /// Tells whether it lets its prefix in to every service for good, as a string in the list file does.
    pub(crate) fn is_plain(&self) -> bool {
        self.list == List::Allow && self.services.is_empty() && self.ends.is_none()
    }

    /// Returns it as what holds for a time, if it does and is for every service or for one that is defined.
    pub(crate) fn timed(&self, origin: &Origin, is_defined: impl Fn(&str) -> bool) -> Option<Timed> {
        let services: Vec<String> = self.services.iter().filter(|name| is_defined(name)).cloned().collect();
        if services.is_empty() && !self.services.is_empty() {
            // Without this one for services that are gone would be one for all.
            return None;
        }
        let effect = match self.list {
            List::Allow => Effect::Grant { services },
            List::Block => Effect::Ban,
        };
        let (prefix, origin, comment) = (self.prefix, origin.clone(), self.comment.clone());
        Some(Timed { effect, prefix, ends: self.ends?, origin, comment })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => f.write_str(user),
            None => write!(f, "uid {}", self.uid),
        }
    }
}
