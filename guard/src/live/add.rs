//! Adding entries.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ipnet::IpNet;

use crate::edit::Changes;
use crate::policy::{Entry, Origin};
use crate::refusal::Refusal;

use super::covers::Covers;
use super::ground::{Cover, Ground, Plan};
use super::remarks::Remarks;
use super::{Addition, List, LiveEntry, Who};

/// Works out what entries change.
///
/// # Errors
/// A service is not defined.
pub(super) fn plan(addition: &Addition, ground: &Ground<'_>, who: Option<&Who>) -> Result<Plan, Refusal> {
    let mut services = addition.services.clone();
    services.sort_unstable();
    services.dedup();
    refuse_undefined(&services, ground)?;
    let ends = addition.ttl.map(|ttl| ground.clock.boot.saturating_add(ttl));
    let new = addition.prefixes.iter().copied().collect();
    Ok(Adding { addition, services, ends, new, ground }.plan(who))
}

struct Adding<'a> {
    addition: &'a Addition,
    /// In order, none twice.
    services: Vec<String>,
    ends: Option<Duration>,
    new: HashSet<IpNet>,
    ground: &'a Ground<'a>,
}

/// What there is already.
#[derive(Default)]
struct Present {
    /// Entries added by command that differ in nothing but what is said of them, and when they end.
    same: HashMap<IpNet, usize>,
    /// Those for a time, which one for good takes the place of.
    outlasted: HashMap<IpNet, usize>,
    /// Those of the same name that are not among the new ones.
    former: Vec<usize>,
    /// Prefixes that the list file has for all services and for good.
    in_list_file: HashSet<IpNet>,
    /// Elements of the list file that are former ones.
    former_elements: Vec<usize>,
    /// Where the configuration has them otherwise, just as they would be.
    elsewhere: HashMap<IpNet, Origin>,
}

impl Adding<'_> {
    fn plan(&self, who: Option<&Who>) -> Plan {
        let Self { addition, ground, ends, .. } = self;
        let plain = self.is_plain();
        let present = self.present();
        let mut gone = vec![false; ground.live.entries.len()];
        present.former.iter().for_each(|at| gone[*at] = true);
        let mut changes = Changes::default();
        let (mut notes, mut fresh, mut added, mut came) = (Remarks::default(), Vec::new(), Vec::new(), Vec::new());
        let mut needs_generation = present.former.iter().any(|at| ground.live.entries[*at].ends.is_none());
        for prefix in &addition.prefixes {
            if let Some(origin) = present.elsewhere.get(prefix) {
                changes.unchanged += 1;
                notes.add(|| format!("{prefix} stands in {origin} already"));
                continue;
            }
            let is_there =
                if plain { present.in_list_file.contains(prefix) } else { present.same.contains_key(prefix) };
            // What is said of an entry that is not in the list file any more means nothing.
            let same = present.same.get(prefix).filter(|_| is_there).map(|at| &ground.live.entries[*at]);
            let comment = addition.comment.as_ref().or_else(|| same?.comment.as_ref());
            let name = addition.name.as_ref().or_else(|| same?.name.as_ref());
            let is_said = same.map(|same| (same.comment.as_ref(), same.name.as_ref())).unwrap_or_default();
            if is_there && ends.is_none() && is_said == (comment, name) {
                changes.unchanged += 1;
                continue;
            }
            let outlasted = present.outlasted.get(prefix);
            if is_there || outlasted.is_some() {
                changes.replaced += 1;
            } else {
                changes.added += 1;
                came.push(*prefix);
            }
            [present.same.get(prefix), outlasted].into_iter().flatten().for_each(|at| gone[*at] = true);
            if plain && !is_there {
                added.push(element(prefix));
            }
            needs_generation |= ends.is_none() && !is_there;
            fresh.push(LiveEntry {
                list: addition.list,
                prefix: *prefix,
                services: self.services.clone(),
                ends: *ends,
                comment: comment.cloned(),
                name: name.cloned(),
                added: ground.clock.wall,
                by: who.cloned(),
            });
        }
        // One of the same name that is another prefix now is one that changed.
        let moved = changes.added.min(present.former.len());
        changes.added -= moved;
        changes.replaced += moved;
        changes.removed = present.former.len() - moved;
        let mut warnings = Remarks::default();
        self.say_covers(&came, &present, &mut notes, &mut warnings);
        if addition.list == List::Allow {
            for (prefix, cover) in ground.blocked(&addition.prefixes).into_found() {
                warnings.add(|| format!("{prefix} stays blocked, by {cover}"));
            }
        }
        changes.notes = notes.finish();
        let live = ground.live_after(&gone, fresh);
        Plan {
            live,
            removed: present.former_elements,
            added,
            lifted: Vec::new(),
            changes,
            warnings: warnings.finish(),
            needs_generation,
        }
    }

    fn is_plain(&self) -> bool {
        self.addition.list == List::Allow && self.services.is_empty() && self.ends.is_none()
    }

    /// Tells whether something stands in the file that the new entries are to stand in.
    fn is_in_own_file(&self, origin: &Origin) -> bool {
        match self.is_plain() {
            true => self.ground.is_in_list_file(origin),
            false => self.ground.is_in_entries(origin),
        }
    }

    fn present(&self) -> Present {
        let Self { addition, services, ends, new, ground } = self;
        let mut present = Present::default();
        for (at, entry) in ground.live.entries.iter().enumerate().filter(|(_, entry)| entry.list == addition.list) {
            let is_among = new.contains(&entry.prefix) && entry.services == *services;
            if is_among && entry.ends.is_some() == ends.is_some() {
                present.same.insert(entry.prefix, at);
            } else if addition.name.is_some() && entry.name == addition.name {
                present.former.push(at);
            } else if is_among && ends.is_none() {
                present.outlasted.insert(entry.prefix, at);
            }
        }
        let former = present.former.iter().map(|at| &ground.live.entries[*at]);
        let former: HashSet<IpNet> = former.filter(|entry| entry.is_plain()).map(|entry| entry.prefix).collect();
        let plain = self.is_plain();
        let found = ground.elements.find(|prefix| plain && new.contains(prefix) || former.contains(prefix));
        for element in found.into_iter().filter(|element| element.is_plain()) {
            if former.contains(&element.prefix) {
                present.former_elements.push(element.index);
            } else {
                present.in_list_file.insert(element.prefix);
            }
        }
        if ends.is_none() {
            present.elsewhere = self.elsewhere();
        }
        present
    }

    /// Finds the prefixes that stand in the configuration for all that is asked for, where no edit can change them.
    fn elsewhere(&self) -> HashMap<IpNet, Origin> {
        let Self { addition, services, new, ground, .. } = self;
        let sets = ground.sets(addition.list, |name| services.iter().any(|asked| asked == name));
        let sets = sets.filter(|(service, _)| service.is_some() != services.is_empty());
        let mut found: HashMap<IpNet, (usize, Origin)> = HashMap::new();
        for (nth, (_, set)) in (1..).zip(sets) {
            for entry in set.iter().filter(|entry| new.contains(&entry.prefix) && !self.is_in_own_file(&entry.origin)) {
                // A prefix may stand in one set twice.
                let (count, _) = found.entry(entry.prefix).or_insert((0, entry.origin));
                if *count == nth - 1 {
                    *count = nth;
                }
            }
        }
        let in_all = |(prefix, (count, origin))| (count == services.len().max(1)).then_some((prefix, origin));
        found.into_iter().filter_map(in_all).collect()
    }

    /// Says which entries change nothing, because another one for good covers them.
    fn say_covers(&self, came: &[IpNet], present: &Present, notes: &mut Remarks, warnings: &mut Remarks) {
        let Self { addition, services, ends, ground, .. } = self;
        let looked_for = if ends.is_some() { addition.prefixes.as_slice() } else { came };
        let mut covers = Covers::of(looked_for.iter().copied());
        let former: HashSet<IpNet> = present.former.iter().map(|at| ground.live.entries[*at].prefix).collect();
        let came: HashSet<&IpNet> = came.iter().collect();
        let goes = |Entry { prefix, origin, .. }: &Entry<'_>| {
            let is_former = former.contains(prefix) && (ground.is_in_list_file(origin) || ground.is_in_entries(origin));
            // The policy may still have what is in its file no more.
            let was_itself = ends.is_none() && came.contains(prefix) && self.is_in_own_file(origin);
            is_former || was_itself
        };
        // One for several services may be covered for some of them only.
        for (_, set) in ground.sets(addition.list, |name| matches!(services.as_slice(), [only] if only == name)) {
            for entry in set.iter().filter(|entry| !goes(entry)) {
                covers.offer(entry.prefix, || Cover::at(entry.prefix, &entry.origin));
            }
        }
        let done = addition.list.done();
        for (prefix, cover) in covers.into_found() {
            match ends {
                Some(_) => warnings.add(|| format!("{prefix} is {done} for good, by {cover}: its end changes nothing")),
                None => notes.add(|| format!("{prefix} is in {cover} already")),
            }
        }
    }
}

fn refuse_undefined(services: &[String], ground: &Ground<'_>) -> Result<(), Refusal> {
    let defined: Vec<&str> = ground.policy.services.iter().map(|service| service.name.as_str()).collect();
    let undefined: Vec<String> = services
        .iter()
        .filter(|name| !defined.contains(&name.as_str()))
        .map(|name| match defined.as_slice() {
            [] => format!("service `{name}` is not defined, and no other is"),
            defined => format!("service `{name}` is not defined; there are {}", defined.join(", ")),
        })
        .collect();
    if undefined.is_empty() { Ok(()) } else { Err(Refusal::Changes(undefined)) }
}

/// Returns a prefix as an element of the list file: a single address as programs write it that know no prefixes.
fn element(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() { prefix.addr().to_string() } else { prefix.to_string() }
}
