//! What lies under prefixes that somebody means to keep out: worked out before it is done, and shown.

mod asked;
mod report;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use nix::unistd::Pid;

use crate::{
    clock::Clock,
    listing::to_second,
    lockout::{self, Cut},
    policy::{Effect, Entries, Origin, Policy, Reach, Timed},
    sessions::sessions,
};
use asked::Asked;
pub(crate) use report::Under;
use report::{Lying, Overlap, Seen, UnderPrefix};

/// The most prefixes that are looked at together.
pub(crate) const PREFIXES_MAX: usize = 1000;

/// How many of what lies under a prefix are named.
const NAMED_MAX: usize = 20;

/// What is asked, and everything that it is answered from: shared with the daemon, so that the answer takes none of its time.
pub(crate) struct Inquiry {
    /// None twice, at most [`PREFIXES_MAX`].
    pub(crate) prefixes: Vec<IpNet>,
    /// As configured; also in a lockdown.
    pub(crate) configured: Arc<Policy>,
    /// What packets are judged by.
    pub(crate) policy: Arc<Policy>,
    pub(crate) timed: Arc<Vec<Timed>>,
    /// Prefixes that the machine bans, and the time since boot at which each ban ends.
    pub(crate) machine_bans: Vec<(IpNet, Duration)>,
    /// Where a block by command is written.
    pub(crate) entries_file: Origin,
    /// Sources of packets that were let in, and how long ago the last of a sample came; each at most once.
    pub(crate) used: Vec<(IpAddr, Duration)>,
    /// Since when that has been noted for certain.
    pub(crate) used_since: Timestamp,
    /// Sources, and how many connections to which service each has open.
    pub(crate) open: Vec<(IpNet, String, u64)>,
    /// The interfaces that are guarded.
    pub(crate) guarded: BTreeSet<u32>,
    pub(crate) clock: Clock,
    pub(crate) generation: u64,
}

/// Tells whether a prefix holds more than one host: than an IPv4 address, or the /64 that one IPv6 host has to itself.
pub(crate) fn is_wide(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(prefix) => prefix.prefix_len() < 32,
        IpNet::V6(prefix) => prefix.prefix_len() < 64,
    }
}

impl Inquiry {
    /// Works out what lies under the prefixes, and which login sessions a block of them would cut, of which the one that `asking`
    /// runs in comes first. It looks at every entry.
    pub(crate) fn answer(&self, asking: Pid) -> Under {
        let failsafe_ports = self.policy.failsafe_ports.iter().map(ToString::to_string).collect();
        Under {
            generation: self.generation,
            used_since: to_second(self.used_since),
            failsafe_ports,
            sessions: self.cut_sessions(asking).iter().map(Cut::objection).collect(),
            prefixes: self.look(),
        }
    }

    /// Says how much lies under the prefixes, in a line for each of the first under which anything does.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.look().iter().filter_map(UnderPrefix::warning).collect();
        if let Some(more) = warnings.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            warnings.truncate(NAMED_MAX);
            warnings.push(format!("something lies under {more} more of the prefixes"));
        }
        warnings
    }

    fn look(&self) -> Vec<UnderPrefix> {
        let asked = Asked::of(&self.prefixes);
        let mut under: Vec<UnderPrefix> = self.prefixes.iter().copied().map(UnderPrefix::new).collect();
        let Policy { allow, deny, trusted, services, .. } = &*self.configured;
        note(&asked, allow, None, &mut under, |under| &mut under.allowed);
        for service in services {
            note(&asked, &service.allow, Some(&service.name), &mut under, |under| &mut under.allowed);
        }
        note(&asked, trusted, None, &mut under, |under| &mut under.trusted);
        note(&asked, deny, None, &mut under, |under| &mut under.blocked);
        for timed in self.timed.iter().filter(|timed| timed.ends > self.clock.boot) {
            self.note_timed(&asked, timed, &mut under);
        }
        for (prefix, ends) in &self.machine_bans {
            let ban =
                || Lying { expires: Some(self.at(*ends)), ..Lying::new(*prefix, "banned by the machine".to_owned()) };
            asked.touching(prefix, |at, relation| under[at].blocked.add(relation, ban));
        }
        self.note_used(&asked, &mut under);
        self.note_open(&asked, &mut under);
        under
    }

    fn note_timed(&self, asked: &Asked, timed: &Timed, under: &mut [UnderPrefix]) {
        let services: &[String] = match &timed.effect {
            Effect::Grant { services } => services,
            Effect::Ban => &[],
        };
        let lying = || Lying {
            services: services.to_vec(),
            expires: Some(self.at(timed.ends)),
            ..Lying::new(timed.prefix, timed.origin.to_string())
        };
        asked.touching(&timed.prefix, |at, relation| {
            let overlap = match timed.effect {
                Effect::Grant { .. } => &mut under[at].granted,
                Effect::Ban => &mut under[at].blocked,
            };
            overlap.add(relation, lying);
        });
    }

    fn note_used(&self, asked: &Asked, under: &mut [UnderPrefix]) {
        let mut used = self.used.clone();
        used.sort_unstable_by_key(|(_, ago)| *ago);
        for (ip, ago) in used {
            asked.touching(&ip.into(), |at, _| {
                let last = || to_second(self.clock.wall.saturating_sub(ago).unwrap_or(self.clock.wall));
                under[at].let_in.add(|| Seen { ip, last: last() });
            });
        }
    }

    /// A source of IPv6 is known by its /64: what is asked of a longer prefix is told of that.
    fn note_open(&self, asked: &Asked, under: &mut [UnderPrefix]) {
        for (source, service, connections) in &self.open {
            asked.touching(source, |at, _| *under[at].open.entry(service.clone()).or_default() += connections);
        }
    }

    fn cut_sessions(&self, asking: Pid) -> Vec<Cut> {
        let mut blocked = Policy::clone(&self.policy);
        self.prefixes.iter().for_each(|prefix| blocked.deny.push(*prefix, &self.entries_file, None));
        let reach = |policy| Reach { policy, timed: &self.timed, now: self.clock.boot };
        let (before, after) = (reach(&self.policy), reach(&blocked));
        lockout::cut_sessions(&sessions(Some(asking)), Some(&before), &after, |session| {
            lockout::is_guarded(session.local.ip(), session.peer, &self.guarded)
        })
    }

    fn at(&self, boot: Duration) -> Timestamp {
        to_second(self.clock.wall_at(boot))
    }
}

/// Notes the entries of a list that touch what is asked for.
fn note(
    asked: &Asked,
    entries: &Entries,
    service: Option<&str>,
    under: &mut [UnderPrefix],
    kind: impl Fn(&mut UnderPrefix) -> &mut Overlap,
) {
    for entry in entries.iter() {
        asked.touching(&entry.prefix, |at, relation| {
            kind(&mut under[at]).add(relation, || Lying {
                services: service.map(str::to_owned).into_iter().collect(),
                ..Lying::new(entry.prefix, entry.origin.to_string())
            });
        });
    }
}

#[cfg(test)]
mod tests;
