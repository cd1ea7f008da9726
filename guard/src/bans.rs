//! Bans by the machine: what becomes of sources that go beyond limits of connections, proven ones only. They are counted here,
//! banned, banned for longer when they return, and forgotten.
//!
//! This module knows no kernel table, no socket and no control protocol, and reads no clock but the journal's.

mod history;
mod journal;
mod line;
mod past;
mod scribe;

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Moment},
    policy::BanPolicy,
};
use history::History;
pub(crate) use journal::Journal;
pub(crate) use line::Line;
pub(crate) use scribe::Scribe;

/// A proven violation: a connection that was refused to a source whose completed handshakes alone fill the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offence {
    pub(crate) source: IpAddr,
    pub(crate) service: String,
    /// The limit, in words.
    pub(crate) limit: String,
    pub(crate) rule: BanPolicy,
    /// Completed handshakes that the limit holds.
    pub(crate) handshakes: u64,
    /// When it came, in time since boot and in wall time.
    pub(crate) at: Duration,
    pub(crate) time: Timestamp,
    pub(crate) last_handshake: Timestamp,
}

/// Why a prefix is banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Evidence {
    pub(crate) service: String,
    /// The limit, in words.
    pub(crate) limit: String,
    /// Completed handshakes that the limit held.
    pub(crate) handshakes: u64,
    pub(crate) violations: u32,
    pub(crate) last_handshake: Timestamp,
    pub(crate) last_violation: Timestamp,
    /// 1, or how many in a wider prefix are banned; the numbers before are those of all of them.
    pub(crate) offenders: u32,
}

/// A ban that nobody made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MachineBan {
    /// A source, as [`party`] gives it, or one of its [wider prefixes](wider).
    pub(crate) prefix: IpNet,
    pub(crate) since: Timestamp,
    /// In time since boot.
    pub(crate) ends: Duration,
    /// Bans before it that are remembered.
    pub(crate) past: u32,
    /// Absent of one that was found in the kernel and that no journal tells of.
    pub(crate) evidence: Option<Evidence>,
}

/// What came of offences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Banned(Arc<MachineBan>),
    /// It has ended, or ends before its time for want of room.
    Ended(Arc<MachineBan>),
}

/// Bans by the machine, and what is remembered of offenders. A clone is another handle on the same.
#[derive(Clone, Default)]
pub(crate) struct Bans(Arc<Mutex<History>>);

impl Bans {
    /// Judges offences, in the order in which they came. Whoever is trusted is not banned.
    pub(crate) fn judge(
        &self,
        offences: &[Offence],
        is_trusted: impl Fn(IpAddr) -> bool,
        clock: &Clock,
    ) -> Vec<Change> {
        let mut history = self.history();
        let ended = history.advance(clock.boot).into_iter().map(Change::Ended);
        let judged = offences.iter().flat_map(|offence| history.judge(offence, &is_trusted, clock));
        ended.chain(judged).collect()
    }

    /// Takes out what has ended or is forgotten by now, and returns the bans that have ended.
    pub(crate) fn end(&self, now: Duration) -> Vec<Arc<MachineBan>> {
        self.history().advance(now)
    }

    /// Takes bans out that are in force, and forgets what there is of their prefixes, and what led to a wider one.
    pub(crate) fn lift(&self, prefixes: &[IpNet]) -> Vec<Arc<MachineBan>> {
        let mut history = self.history();
        prefixes.iter().filter_map(|prefix| history.lift(prefix)).collect()
    }

    /// Takes up a ban that is in force and that nothing is known of, unless it is known.
    pub(crate) fn adopt(&self, prefix: IpNet, ends: Duration, clock: &Clock) {
        self.history().adopt(MachineBan { prefix, since: clock.wall, ends, past: 0, evidence: None });
    }

    /// Returns the bans in force at a time since boot.
    pub(crate) fn in_force(&self, now: Duration) -> Vec<Arc<MachineBan>> {
        self.history().bans().filter(|ban| ban.ends > now).cloned().collect()
    }

    /// Returns the ban in force of just this prefix.
    pub(crate) fn of(&self, prefix: &IpNet, now: Duration) -> Option<Arc<MachineBan>> {
        self.history().ban(prefix).filter(|ban| ban.ends > now).cloned()
    }

    /// Returns of which prefixes something is known that lie in others.
    pub(crate) fn known_in<'p>(&self, prefixes: impl IntoIterator<Item = &'p IpNet>) -> Vec<IpNet> {
        let history = self.history();
        prefixes.into_iter().flat_map(|prefix| history.known_in(prefix)).collect()
    }

    /// Returns the bans in force that cover a prefix, the narrowest first.
    pub(crate) fn covering(&self, prefix: &IpNet, now: Duration) -> Vec<Arc<MachineBan>> {
        let history = self.history();
        let lengths = lengths(prefix.addr()).iter().filter(|length| **length <= prefix.prefix_len());
        let around = lengths.map(|length| cut(prefix.addr(), *length));
        around.filter_map(|around| history.ban(&around).filter(|ban| ban.ends > now).cloned()).collect()
    }

    /// Returns how many prefixes are remembered for a ban.
    pub(crate) fn remembered(&self) -> usize {
        self.history().remembered()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restore(&self, line: Line, now: &Moment) {
        self.history().restore(line, now);
    }

    /// Returns the lines by which it is remembered what there is of prefixes.
    pub(crate) fn lines_of(&self, prefixes: impl IntoIterator<Item = IpNet>, now: &Moment) -> Vec<Line> {
        let history = self.history();
        prefixes.into_iter().map(|prefix| history.line(prefix, now)).collect()
    }

    /// Returns the lines by which all is remembered.
    fn lines(&self, now: &Moment) -> Vec<Line> {
        self.history().lines(now)
    }
}

impl MachineBan {
    /// Says who is banned until when, and why.
    pub(crate) fn describe(&self, clock: &Clock) -> String {
        let until = clock.wall_at(self.ends);
        let why = self.evidence.as_ref().map(|evidence| format!(": {evidence}")).unwrap_or_default();
        format!("{} until {until:.0}{why}{}", self.prefix, BansBefore(self.past))
    }
}

/// As an operator would say it: `5 violations of 100 connections in 60 s, burst 99, per source (web), 100 handshakes`.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, limit, handshakes, violations, offenders, .. } = self;
        if *offenders > 1 {
            write!(f, "{offenders} offenders, ")?;
        }
        let s = |count| if count == 1 { "" } else { "s" };
        let [of_violations, of_handshakes] = [u64::from(*violations), *handshakes].map(s);
        write!(f, "{violations} violation{of_violations} of {limit} ({service}), {handshakes} handshake{of_handshakes}")
    }
}

/// Bans before, as they are said behind something else.
pub(crate) struct BansBefore(pub(crate) u32);

impl fmt::Display for BansBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(", 1 ban before"),
            past => write!(f, ", {past} bans before"),
        }
    }
}

/// Returns the prefix under which a source is counted and banned: an IPv4 address, or the /64 that one IPv6 host has to itself.
fn party(source: IpAddr) -> IpNet {
    cut(source, lengths(source)[0])
}

/// Returns the wider prefixes of a source that can be banned, the narrowest first.
fn wider(source: &IpNet) -> impl Iterator<Item = IpNet> {
    let address = source.addr();
    lengths(address).iter().skip(1).map(move |length| cut(address, *length))
}

/// Returns the lengths of prefixes that are banned: that of a source, and those of wider ones, each less than the one before.
fn lengths(address: IpAddr) -> &'static [u8] {
    match address {
        IpAddr::V4(_) => &[32, 24],
        IpAddr::V6(_) => &[64, 56, 48],
    }
}

fn cut(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).expect("the length is one of the family's").trunc()
}

#[cfg(test)]
mod tests;
