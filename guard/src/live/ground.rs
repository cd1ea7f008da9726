//! What an edit is worked out from, and what it comes to.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use ipnet::IpNet;

use crate::bans::Bans;
use crate::clock::Clock;
use crate::edit::Changes;
use crate::policy::{Effect, Entries, Origin, Policy, Timed};

use super::covers::Covers;
use super::elements::Elements;
use super::{List, Live, LiveEntry};

/// What is in force, and what the files have.
pub(super) struct Ground<'a> {
    pub(super) policy: &'a Policy,
    pub(super) timed: &'a [Timed],
    /// Without what has ended.
    pub(super) live: &'a Live,
    pub(super) bans: &'a Bans,
    /// None if the edit does not need them.
    pub(super) elements: &'a Elements<'a>,
    pub(super) list_file: &'a Path,
    pub(super) entries: &'a Path,
    pub(super) clock: &'a Clock,
}

/// What an edit comes to.
pub(super) struct Plan {
    /// What is added by command after it, if that changes.
    pub(super) live: Option<Live>,
    /// Elements of the list file that go, in order.
    pub(super) removed: Vec<usize>,
    /// Elements of the list file that come.
    pub(super) added: Vec<String>,
    /// Prefixes whose ban by the machine is lifted.
    pub(super) lifted: Vec<IpNet>,
    pub(super) changes: Changes,
    pub(super) warnings: Vec<String>,
    pub(super) needs_generation: bool,
}

/// An entry that covers a prefix.
pub(super) struct Cover {
    prefix: IpNet,
    place: String,
}

impl<'a> Ground<'a> {
    /// Returns the sets of a list: that of all services, and those of some of them, each with its service's name.
    pub(super) fn sets(
        &self,
        list: List,
        is_asked: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Option<&'a str>, &'a Entries)> {
        let (all, services) = match list {
            List::Allow => (&self.policy.allow, self.policy.services.as_slice()),
            List::Block => (&self.policy.deny, [].as_slice()),
        };
        let services = services.iter().map(|service| (service.name.as_str(), &service.allow));
        let asked = services.filter(move |(name, _)| is_asked(name)).map(|(name, set)| (Some(name), set));
        [(None, all)].into_iter().chain(asked)
    }

    /// Finds what is blocked of some prefixes.
    pub(super) fn blocked(&self, prefixes: &[IpNet]) -> Covers<Cover> {
        let mut covers = Covers::of(prefixes.iter().copied());
        for entry in self.policy.deny.iter() {
            covers.offer(entry.prefix, || Cover::at(entry.prefix, &entry.origin));
        }
        let holds = |timed: &&Timed| timed.effect == Effect::Ban && timed.ends > self.clock.boot;
        for timed in self.timed.iter().filter(holds) {
            covers.offer(timed.prefix, || Cover::until(timed.prefix, self, timed.ends, &timed.origin));
        }
        self.offer_bans(prefixes, &BTreeSet::new(), &mut covers);
        covers
    }

    /// Offers the bans by the machine that cover some prefixes, without those that are lifted.
    pub(super) fn offer_bans<'p>(
        &self,
        prefixes: impl IntoIterator<Item = &'p IpNet>,
        lifted: &BTreeSet<IpNet>,
        covers: &mut Covers<Cover>,
    ) {
        let around = prefixes.into_iter().flat_map(|prefix| self.bans.covering(prefix, self.clock.boot));
        for ban in around.filter(|ban| !lifted.contains(&ban.prefix)) {
            covers.offer(ban.prefix, || Cover::until(ban.prefix, self, ban.ends, "banned by the machine"));
        }
    }

    pub(super) fn is_in_list_file(&self, origin: &Origin) -> bool {
        origin.file() == Some(self.list_file)
    }

    pub(super) fn is_in_entries(&self, origin: &Origin) -> bool {
        origin.file() == Some(self.entries)
    }

    /// Returns what is added by command after an edit.
    pub(super) fn live_after(&self, gone: &[bool], fresh: Vec<LiveEntry>) -> Option<Live> {
        if fresh.is_empty() && !gone.contains(&true) {
            return None;
        }
        let kept = self.live.entries.iter().zip(gone).filter(|(_, gone)| !**gone).map(|(entry, _)| entry.clone());
        Some(Live { entries: kept.chain(fresh).collect(), lockdown: self.live.lockdown.clone() })
    }
}

impl Cover {
    pub(super) fn at(prefix: IpNet, place: impl fmt::Display) -> Self {
        Self { prefix, place: place.to_string() }
    }

    pub(super) fn until(
        prefix: IpNet,
        ground: &Ground<'_>,
        ends: std::time::Duration,
        place: impl fmt::Display,
    ) -> Self {
        Self { prefix, place: format!("until {:.0}, {place}", ground.clock.wall_at(ends)) }
    }
}

/// Written as `10.0.0.0/8 (guard.toml:3)`.
impl fmt::Display for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.prefix, self.place)
    }
}
