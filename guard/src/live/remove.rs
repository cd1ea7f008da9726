//! Removing entries: all that are asked for, or none.

use std::collections::{BTreeSet, HashMap, HashSet};

use ipnet::IpNet;

use crate::edit::Changes;
use crate::policy::{Effect, Origin, Timed};
use crate::refusal::Refusal;

use super::covers::Covers;
use super::ground::{Cover, Ground, Plan};
use super::remarks::Remarks;
use super::{List, LiveEntry, Removal};

/// Works out what goes.
///
/// # Errors
/// Something is no entry of the list, or stands where no edit can change it.
pub(super) fn plan(removal: &Removal, ground: &Ground<'_>) -> Result<Plan, Refusal> {
    let removing = Removing { removal, ground };
    let going = match &removal.name {
        Some(name) => removing.named(name)?,
        None => removing.of_prefixes()?,
    };
    Ok(removing.plan(going))
}

struct Removing<'a> {
    removal: &'a Removal,
    ground: &'a Ground<'a>,
}

/// What goes.
#[derive(Default)]
struct Going {
    prefixes: HashSet<IpNet>,
    /// By the entries' places among those added by command.
    live: Vec<usize>,
    /// What stays of those of which only some services go.
    narrowed: Vec<LiveEntry>,
    elements: Vec<usize>,
    /// Prefixes whose ban by the machine goes.
    lifted: BTreeSet<IpNet>,
    /// Elements and entries that are not only what is said of one.
    count: usize,
    /// Whether something for good is among them.
    for_good: bool,
    faults: Remarks,
}

impl Removing<'_> {
    fn plan(&self, going: Going) -> Plan {
        let mut gone = vec![false; self.ground.live.entries.len()];
        going.live.iter().for_each(|at| gone[*at] = true);
        let warnings = self.still_there(&going, &gone);
        let mut notes = Remarks::default();
        for prefix in &going.lifted {
            notes.add(|| format!("the ban of {prefix} by the machine is lifted, and what led to it is forgotten"));
        }
        Plan {
            live: self.ground.live_after(&gone, going.narrowed),
            removed: going.elements,
            added: Vec::new(),
            lifted: going.lifted.into_iter().collect(),
            changes: Changes { removed: going.count, notes: notes.finish(), ..Changes::default() },
            warnings,
            needs_generation: going.for_good,
        }
    }

    fn named(&self, name: &str) -> Result<Going, Refusal> {
        let mut going = Going::default();
        self.take_live(|entry| entry.name.as_deref() == Some(name), &mut going);
        let live = going.live.iter().map(|at| &self.ground.live.entries[*at]);
        let plain: HashSet<IpNet> = live.filter(|entry| entry.is_plain()).map(|entry| entry.prefix).collect();
        for element in self.ground.elements.find(|prefix| plain.contains(prefix)) {
            if element.is_plain() {
                going.elements.push(element.index);
                (going.count, going.for_good) = (going.count + 1, true);
            }
        }
        if going.count > 0 {
            return Ok(going);
        }
        Err(Refusal::Changes(vec![format!("no entry of {}{} is named `{name}`", self.list(), self.services())]))
    }

    fn of_prefixes(&self) -> Result<Going, Refusal> {
        let asked: HashSet<IpNet> = self.removal.prefixes.iter().copied().collect();
        let mut going = Going::default();
        self.take_live(|entry| asked.contains(&entry.prefix), &mut going);
        self.take_elements(&asked, &mut going);
        self.take_bans(&mut going);
        let missing: Vec<IpNet> =
            self.removal.prefixes.iter().copied().filter(|prefix| !going.prefixes.contains(prefix)).collect();
        self.say_missing(&missing, &mut going.faults);
        if going.faults.is_empty() { Ok(going) } else { Err(Refusal::Changes(going.faults.finish())) }
    }

    /// Takes what was added by command, as far as it is for the services that are asked for.
    fn take_live(&self, is_asked: impl Fn(&LiveEntry) -> bool, going: &mut Going) {
        let entries = self.ground.live.entries.iter().enumerate();
        for (at, entry) in entries.filter(|(_, entry)| entry.list == self.removal.list && is_asked(entry)) {
            let Some(rest) = self.rest(&entry.services) else { continue };
            going.live.push(at);
            if !rest.is_empty() {
                going.narrowed.push(LiveEntry { services: rest, ..entry.clone() });
            }
            // One that stands in the list file is counted there.
            if !entry.is_plain() {
                going.prefixes.insert(entry.prefix);
                going.count += 1;
                going.for_good |= entry.ends.is_none();
            }
        }
    }

    fn take_elements(&self, asked: &HashSet<IpNet>, going: &mut Going) {
        for element in self.ground.elements.find(|prefix| asked.contains(prefix)) {
            let Some(rest) = self.rest(&element.services) else { continue };
            going.prefixes.insert(element.prefix);
            if !rest.is_empty() {
                let (prefix, place) = (element.prefix, self.ground.list_file.display());
                let (index, rest) = (element.index, rest.join(", "));
                going
                    .faults
                    .add(|| format!("{prefix} stands in {place}[{index}] together with service {rest}: edit it there"));
                continue;
            }
            going.elements.push(element.index);
            going.count += 1;
            going.for_good |= !element.expires;
        }
    }

    fn take_bans(&self, going: &mut Going) {
        let Self { removal, ground } = self;
        let is_banned = |prefix: &&IpNet| ground.bans.of(prefix, ground.clock.boot).is_some();
        if removal.list == List::Block {
            going.lifted.extend(removal.prefixes.iter().filter(is_banned));
            going.prefixes.extend(&going.lifted);
            going.count += going.lifted.len();
        }
    }

    /// Returns the services that an entry is still for; none if it is not for those that are asked for.
    fn rest(&self, services: &[String]) -> Option<Vec<String>> {
        let asked = &self.removal.services;
        if asked.is_empty() {
            return Some(Vec::new());
        }
        let rest: Vec<String> = services.iter().filter(|name| !asked.contains(name)).cloned().collect();
        (rest.len() < services.len()).then_some(rest)
    }

    /// Says of prefixes that no edit can remove where they stand, or that they are no entries.
    fn say_missing(&self, missing: &[IpNet], faults: &mut Remarks) {
        if missing.is_empty() {
            return;
        }
        let wanted: HashSet<&IpNet> = missing.iter().collect();
        let mut elsewhere: HashMap<IpNet, Origin> = HashMap::new();
        let mut covers = Covers::of(missing.iter().copied());
        for (service, set) in self.sets() {
            let is_asked = service.is_some() || self.removal.services.is_empty();
            for entry in set.iter() {
                if is_asked && wanted.contains(&entry.prefix) {
                    elsewhere.entry(entry.prefix).or_insert_with(|| entry.origin.clone());
                }
                covers.offer(entry.prefix, || Cover::at(entry.prefix, &entry.origin));
            }
        }
        if self.removal.list == List::Block {
            self.ground.offer_bans(missing, &BTreeSet::new(), &mut covers);
        }
        let covers: HashMap<IpNet, Cover> = covers.into_found().collect();
        let (list, services, done) = (self.list(), self.services(), self.removal.list.done());
        for prefix in missing {
            faults.add(|| match (elsewhere.get(prefix), covers.get(prefix)) {
                (Some(origin), _) => format!("{prefix} stands in {origin}{}", remedy(origin)),
                (None, Some(cover)) => format!("{prefix} is no entry of {list}{services}: it is {done} by {cover}"),
                (None, None) => format!("{prefix} is no entry of {list}{services}"),
            });
        }
    }

    /// Says which prefixes another entry still does the same to.
    fn still_there(&self, going: &Going, gone: &[bool]) -> Vec<String> {
        let Self { removal, ground } = self;
        let elements: HashSet<usize> = going.elements.iter().copied().collect();
        // What was added by command is asked for below, as it is afterwards.
        let stays = |origin: &Origin| {
            let goes = ground.is_in_list_file(origin) && elements.contains(&(origin.number() as usize));
            !goes && !ground.is_in_entries(origin)
        };
        let mut covers = Covers::of(
            going.live.iter().map(|at| ground.live.entries[*at].prefix).chain(going.prefixes.iter().copied()),
        );
        for (_, set) in self.sets() {
            for entry in set.iter().filter(|entry| stays(&entry.origin)) {
                covers.offer(entry.prefix, || Cover::at(entry.prefix, &entry.origin));
            }
        }
        let is_same = |timed: &&Timed| match &timed.effect {
            Effect::Grant { services } => removal.list == List::Allow && self.concerns(services),
            Effect::Ban => removal.list == List::Block,
        };
        let holds = |timed: &&Timed| timed.ends > ground.clock.boot && stays(&timed.origin);
        for timed in ground.timed.iter().filter(is_same).filter(holds) {
            covers.offer(timed.prefix, || Cover::until(timed.prefix, ground, timed.ends, &timed.origin));
        }
        let kept = ground.live.entries.iter().zip(gone).filter(|(_, gone)| !**gone).map(|(entry, _)| entry);
        let kept = kept.chain(&going.narrowed).filter(|entry| entry.list == removal.list && !entry.is_plain());
        for entry in kept.filter(|entry| self.concerns(&entry.services)) {
            const BY: &str = "added by command";
            covers.offer(entry.prefix, || match entry.ends {
                Some(ends) => Cover::until(entry.prefix, ground, ends, BY),
                None => Cover::at(entry.prefix, BY),
            });
        }
        if removal.list == List::Block {
            ground.offer_bans(&going.prefixes, &going.lifted, &mut covers);
        }
        let (done, mut warnings) = (removal.list.done(), Remarks::default());
        for (prefix, cover) in covers.into_found() {
            warnings.add(|| format!("{prefix} is still {done}, by {cover}"));
        }
        warnings.finish()
    }

    /// Tells whether an entry for some services is of interest to who asked.
    fn concerns(&self, services: &[String]) -> bool {
        let asked = &self.removal.services;
        asked.is_empty() || services.is_empty() || services.iter().any(|name| asked.contains(name))
    }

    fn sets(&self) -> impl Iterator<Item = (Option<&str>, &crate::policy::Entries)> {
        let asked = &self.removal.services;
        self.ground.sets(self.removal.list, |name| asked.is_empty() || asked.iter().any(|asked| asked == name))
    }

    fn list(&self) -> &'static str {
        match self.removal.list {
            List::Allow => "the allowlist",
            List::Block => "the block list",
        }
    }

    fn services(&self) -> String {
        match self.removal.services.as_slice() {
            [] => String::new(),
            services => format!(" for service {}", services.join(", ")),
        }
    }
}

/// Returns how to remove what stands at a place.
fn remedy(origin: &Origin) -> &'static str {
    match origin {
        Origin::Variable { .. } => ", which is read at the start only: change it there, and start guard again",
        Origin::Set { .. } => ": edit it there, which is taken up at once",
        _ => ": edit it there, then `guard reload`",
    }
}
