//! The tables that outlive a run, and what becomes of each where an earlier run had another version of it.

use guard_common::{
    names,
    records::{Counted, RESERVED},
};

/// A table that a restart must not empty.
pub(super) struct StateMap {
    pub(super) name: &'static str,
    /// Raised with every change of what is in it: of its keys, its values or what they mean.
    pub(super) version: u32,
    pub(super) carry: Carry,
    /// What it means if nothing of another version can be carried over.
    pub(super) loss: &'static str,
}

/// How a table of another version is carried over: each value as far as both have it, zeros behind. A change of the meaning of
/// what stays makes it [`Carry::Not`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carry {
    /// Copied before anything is attached. For what only the daemon writes; of what the program writes too, that of the moments
    /// until it is replaced is lost. What lies in an array of maps is shared, which takes CAP_SYS_ADMIN.
    Copied,
    /// A hash: copied, and then what the former program noted meanwhile is added.
    Noted,
    /// Words of bits that are only ever set: copied, and then joined.
    Joined,
    /// Sums of each CPU: moved once nothing is added to the former ones any more.
    Moved(Counted),
    /// Not at all.
    Not,
}

/// Every table that outlives a run.
///
/// `LIMITS` says whose the partitions in `BUCKETS` are: whoever makes the one [`Carry::Not`] does so with the other.
pub(super) static STATE_MAPS: [StateMap; 26] = [
    row(names::COUNTERS, OTHER, Carry::Moved(Counted::Counters), "what was counted is forgotten"),
    row(names::SERVICES, OTHER, Carry::Copied, "what was counted is not told by service"),
    row(names::LINK_TYPES, OTHER, Carry::Moved(Counted::LinkTypes), "what was counted by link type is forgotten"),
    row(names::GATES, 1, Carry::Not, "blocked packets that were held back are in no line of the log"),
    row(names::BUDGET, 1, Carry::Not, "the log may have more lines this second"),
    row(names::UNREPORTED, OTHER, Carry::Moved(Counted::Unreported), "the log's totals begin at 0"),
    row(names::EVENTS, 1, Carry::Not, "blocked packets that were not read yet are in no line of the log"),
    row(names::BUCKETS, OTHER, Carry::Copied, NOTHING_OWED),
    row(names::TOTALS, OTHER, Carry::Copied, NOTHING_OWED),
    row(names::LIMITS, OTHER, Carry::Copied, NOTHING_OWED),
    row(names::BUCKET_KEY, OTHER, Carry::Copied, NOTHING_OWED),
    row(names::PENDING, OTHER, Carry::Noted, "UDP flows of services count as new ones"),
    row(names::FLOWS, OTHER, Carry::Noted, FLOWS_FORGOTTEN),
    row(names::FLOW_PORTS, OTHER, Carry::Joined, FLOWS_FORGOTTEN),
    row(names::BANS, 1, Carry::Copied, "bans by machine are forgotten"),
    row(names::GRANTS, 1, Carry::Copied, "grants are read anew"),
    row(names::TIMED_LENGTHS, 1, Carry::Copied, "bans by machine are forgotten"),
    row(names::USED, 1, Carry::Noted, "when entries were last used is not known"),
    row(names::HANDSHAKES, 1, Carry::Noted, COUNTED_ANEW),
    row(names::REFUSED, 1, Carry::Noted, "a SYN that is sent again may be a second violation"),
    row(names::HALF_OPEN, 1, Carry::Copied, "handshakes under way are not counted"),
    row(names::SOCKETS, 1, Carry::Copied, COUNTED_ANEW),
    row(names::CONNECTIONS, 1, Carry::Copied, COUNTED_ANEW),
    row(names::OPEN, 1, Carry::Copied, COUNTED_ANEW),
    row(names::PROOFS, 1, Carry::Noted, "violations have to be proven anew"),
    row(names::VIOLATIONS, 1, Carry::Not, "violations that were not read yet ban nobody"),
];

/// The present version of what the build with another layout has another of.
pub(super) const OTHER: u32 = 1 + RESERVED as u32;

const NOTHING_OWED: &str = "rate limits begin with nothing owed";
const COUNTED_ANEW: &str = "open connections are counted anew, those in other network namespaces not at all";
const FLOWS_FORGOTTEN: &str = "answers to what was opened before may be dropped";

const fn row(name: &'static str, version: u32, carry: Carry, loss: &'static str) -> StateMap {
    StateMap { name, version, carry, loss }
}
