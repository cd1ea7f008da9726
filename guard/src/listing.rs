//! A list as it is in force: entries of the policy, those that hold for a time, and what was said when they were added. A
//! list may be long, so it is told in pages.

mod last_use;
mod page;

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    bans::MachineBan,
    clock::Clock,
    live::{List, Live, LiveEntry, Who},
    policy::{Effect, Entry, Origin, Policy, Timed},
};
use last_use::LastUse;
pub(crate) use page::{InLockdown, Listed, Page, Use, Why, to_second};

/// The most entries of a page.
const PAGE_MAX: usize = 1000;

/// What a list is told from: shared with the daemon, so that telling it takes none of the daemon's time.
pub(crate) struct Listing {
    pub(crate) list: List,
    /// As configured; also in a lockdown.
    pub(crate) policy: Arc<Policy>,
    pub(crate) timed: Arc<Vec<Timed>>,
    pub(crate) live: Arc<Live>,
    /// Bans by the machine, and those of them for which there is no room.
    pub(crate) bans: Vec<Arc<MachineBan>>,
    pub(crate) unenforced: Arc<BTreeSet<IpNet>>,
    /// The file of what was added by command; entries that the policy has from there are told from `live`.
    pub(crate) entries_file: PathBuf,
    /// Sources of packets that were let in, and how long ago the last of a sample came; each at most once.
    pub(crate) used: Vec<(IpAddr, Duration)>,
    /// Since when that has been noted for certain.
    pub(crate) used_since: Timestamp,
    pub(crate) clock: Clock,
    /// The generation in force.
    pub(crate) generation: u64,
}

impl Listing {
    /// Returns the pages, each assembled as it is asked for; at least one, and the last says so.
    pub(crate) fn pages(&self) -> impl Iterator<Item = Page> {
        let last_use = (self.list == List::Allow).then(|| LastUse::new(&self.used));
        let mut entries = self.entries(last_use).peekable();
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let page: Vec<Listed> = entries.by_ref().take(PAGE_MAX).collect();
            ended = entries.peek().is_none();
            Some(self.page(page, ended))
        })
    }

    fn page(&self, entries: Vec<Listed>, last: bool) -> Page {
        Page {
            list: self.list,
            generation: self.generation,
            lockdown: self.live.lockdown.as_ref().map(|lockdown| InLockdown::new(lockdown, &self.clock)),
            last_use: (self.list == List::Allow).then(|| Use { sampled: true, since: to_second(self.used_since) }),
            entries,
            last,
        }
    }

    /// Returns the entries: the policy's, then those for a time, and then those by machine.
    fn entries(&self, last_use: Option<LastUse>) -> impl Iterator<Item = Listed> {
        let notes = self.notes();
        let of_policy = self.of_policy().map(move |(entry, service)| {
            // What stands in the list file as a string may have a note.
            let is_noted = service.is_none() && matches!(entry.origin, Origin::Element { .. });
            let note = if is_noted { notes.get(&entry.prefix).copied() } else { None };
            self.written(&entry, service, note)
        });
        let timed = self.timed.iter().filter(|timed| self.is_listed(timed));
        let timed = timed.map(|timed| self.for_a_time(timed));
        let by_machine = self.bans.iter().map(|ban| self.by_machine(ban));
        let entries = of_policy.chain(self.added(false)).chain(timed).chain(self.added(true)).chain(by_machine);
        entries.map(move |mut entry| {
            let used = last_use.as_ref().and_then(|last_use| last_use.of(&entry.ip));
            entry.last_used = used.map(|ago| to_second(self.ago(ago)));
            entry
        })
    }

    /// Returns the entries that were written, each with the service it is for.
    fn of_policy(&self) -> impl Iterator<Item = (Entry<'_>, Option<&str>)> {
        let (all, services) = match self.list {
            List::Allow => (&self.policy.allow, self.policy.services.as_slice()),
            List::Block => (&self.policy.deny, [].as_slice()),
        };
        let of_services =
            services.iter().flat_map(|service| service.allow.iter().map(|entry| (entry, Some(service.name.as_str()))));
        all.iter().map(|entry| (entry, None)).chain(of_services).filter(|(entry, _)| !self.is_added(&entry.origin))
    }

    /// Returns what was added by command, apart from what stands in the list file; either for a time or for good.
    fn added(&self, for_a_time: bool) -> impl Iterator<Item = Listed> {
        let entries = self.live.entries.iter().filter(move |entry| {
            let holds = entry.ends.is_none_or(|ends| ends > self.clock.boot);
            entry.list == self.list && !entry.is_plain() && entry.ends.is_some() == for_a_time && holds
        });
        entries.map(|entry| Listed {
            services: entry.services.clone(),
            expires: entry.ends.map(|ends| self.at(ends)),
            ..self.noted(entry.prefix, by_command(entry.by.as_ref()), entry)
        })
    }

    fn written(&self, entry: &Entry<'_>, service: Option<&str>, note: Option<&LiveEntry>) -> Listed {
        let origin = entry.origin.to_string();
        let mut listed = match note {
            Some(note) => self.noted(entry.prefix, format!("{origin}, {}", by_command(note.by.as_ref())), note),
            None => Listed::new(entry.prefix, origin),
        };
        listed.services = service.map(str::to_owned).into_iter().collect();
        listed.comment = listed.comment.or_else(|| entry.comment.map(str::to_owned));
        listed
    }

    fn noted(&self, prefix: IpNet, source: String, note: &LiveEntry) -> Listed {
        Listed {
            added: Some(to_second(note.added)),
            by: note.by.clone(),
            comment: note.comment.clone(),
            name: note.name.clone(),
            ..Listed::new(prefix, source)
        }
    }

    fn for_a_time(&self, timed: &Timed) -> Listed {
        let services = match &timed.effect {
            Effect::Grant { services } => services.clone(),
            Effect::Ban => Vec::new(),
        };
        Listed {
            services,
            expires: Some(self.at(timed.ends)),
            comment: timed.comment.clone(),
            ..Listed::new(timed.prefix, timed.origin.to_string())
        }
    }

    fn by_machine(&self, ban: &MachineBan) -> Listed {
        let MachineBan { prefix, since, ends, past, evidence } = ban.clone();
        let is_enforced = !self.unenforced.contains(&prefix);
        Listed {
            added: Some(to_second(since)),
            expires: Some(self.at(ends)),
            ban: Some(Why { past, is_enforced, evidence }),
            ..Listed::new(prefix, "machine".to_owned())
        }
    }

    /// Tells whether what holds for a time is an entry of this list that was not added by command, and has not ended.
    fn is_listed(&self, timed: &Timed) -> bool {
        let list = match timed.effect {
            Effect::Grant { .. } => List::Allow,
            Effect::Ban => List::Block,
        };
        list == self.list && timed.ends > self.clock.boot && !self.is_added(&timed.origin)
    }

    fn is_added(&self, origin: &Origin) -> bool {
        origin.file() == Some(&self.entries_file)
    }

    /// What was said of prefixes that stand in the list file.
    fn notes(&self) -> HashMap<IpNet, &LiveEntry> {
        let plain = self.live.entries.iter().filter(|entry| entry.list == self.list && entry.is_plain());
        plain.map(|entry| (entry.prefix, entry)).collect()
    }

    fn at(&self, boot: Duration) -> Timestamp {
        to_second(self.clock.wall_at(boot))
    }

    fn ago(&self, ago: Duration) -> Timestamp {
        self.clock.wall.saturating_sub(ago).unwrap_or(self.clock.wall)
    }
}

fn by_command(who: Option<&Who>) -> String {
    who.map_or_else(|| "command".to_owned(), |who| format!("command of {who}"))
}

#[cfg(test)]
mod tests;
