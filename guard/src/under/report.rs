//! What lies under prefixes, as JSON and people have it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NAMED_MAX, asked::Relation};

/// What lies under prefixes that are to be kept out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Under {
    pub(crate) generation: u64,
    /// Since when it was noted who was let in, in a sample of the packets.
    pub(crate) used_since: Timestamp,
    /// Ports that are open to whoever is not kept out by hand.
    pub(crate) failsafe_ports: Vec<String>,
    /// Login sessions that would be cut, each with why and what saves it.
    pub(crate) sessions: Vec<String>,
    pub(crate) prefixes: Vec<UnderPrefix>,
}

/// What lies under one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderPrefix {
    pub(crate) ip: IpNet,
    /// Entries that let sources in, for good and for a time.
    pub(crate) allowed: Overlap,
    pub(crate) granted: Overlap,
    /// Entries that exempt sources from limits and from bans by the machine, not from those by hand.
    pub(crate) trusted: Overlap,
    /// Blocks and bans.
    pub(crate) blocked: Overlap,
    pub(crate) let_in: LetIn,
    /// Open connections to services, by name.
    pub(crate) open: BTreeMap<String, u64>,
}

/// Entries of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Overlap {
    /// How many lie in the prefix.
    pub(crate) inside: usize,
    /// How many the prefix lies in.
    pub(crate) around: usize,
    pub(crate) first: Vec<Lying>,
}

/// An entry that lies in a prefix, or that it lies in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lying {
    pub(crate) ip: IpNet,
    /// For which services alone it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<String>,
    /// Where it was written.
    pub(crate) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
}

/// Sources from which packets were let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetIn {
    pub(crate) count: usize,
    pub(crate) latest: Vec<Seen>,
}

/// A source, and when its last packet of the sample came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) ip: IpAddr,
    pub(crate) last: Timestamp,
}

impl Lying {
    pub(super) fn new(ip: IpNet, source: String) -> Self {
        Self { ip, services: Vec::new(), source, expires: None }
    }
}

impl Overlap {
    /// Counts an entry, and keeps it if it is one of the first.
    pub(super) fn add(&mut self, relation: Relation, lying: impl FnOnce() -> Lying) {
        match relation {
            Relation::Inside => self.inside += 1,
            Relation::Around => self.around += 1,
        }
        if self.first.len() < NAMED_MAX {
            self.first.push(lying());
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl LetIn {
    /// Counts a source that was let in not after those before it, and keeps it if it is one of the first.
    pub(super) fn add(&mut self, seen: impl FnOnce() -> Seen) {
        self.count += 1;
        if self.latest.len() < NAMED_MAX {
            self.latest.push(seen());
        }
    }
}

impl UnderPrefix {
    pub(super) fn new(ip: IpNet) -> Self {
        let [allowed, granted, trusted, blocked] = Default::default();
        Self { ip, allowed, granted, trusted, blocked, let_in: LetIn::default(), open: BTreeMap::new() }
    }

    /// Says in one line how much lies under it that is let in or trusted, if anything is.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { ip, allowed, granted, trusted, let_in, open, .. } = self;
        let connections = open.values().sum::<u64>().try_into().unwrap_or(usize::MAX);
        let parts = [
            (allowed.inside, "allowed entry", "allowed entries"),
            (granted.inside, "grant", "grants"),
            (trusted.inside, "trusted entry", "trusted entries"),
            (let_in.count, "source let in lately", "sources let in lately"),
            (connections, "open connection", "open connections"),
        ];
        let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
        let parts: Vec<String> =
            parts.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many })).collect();
        (!parts.is_empty()).then(|| format!("under {ip} lie: {}", parts.join(", ")))
    }

    fn is_empty(&self) -> bool {
        let Self { allowed, granted, trusted, blocked, let_in, open, .. } = self;
        [allowed, granted, trusted, blocked].into_iter().all(Overlap::is_empty) && let_in.count == 0 && open.is_empty()
    }
}

impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { used_since, failsafe_ports, sessions, prefixes, .. } = self;
        prefixes.iter().try_for_each(|prefix| writeln!(f, "{prefix}"))?;
        match failsafe_ports.as_slice() {
            [] => writeln!(f, "failsafe ports: none")?,
            ports => writeln!(f, "failsafe ports, closed as well to who is blocked: {}", ports.join(", "))?,
        }
        match sessions.as_slice() {
            [] => writeln!(f, "login sessions that would be cut: none")?,
            sessions => sessions.iter().try_for_each(|session| writeln!(f, "{session}"))?,
        }
        write!(f, "let in lately: seen in a sample of the packets since {used_since}\nnothing is changed")
    }
}

impl fmt::Display for UnderPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, allowed, granted, trusted, blocked, let_in, open } = self;
        writeln!(f, "under {ip}:{}", if self.is_empty() { " nothing" } else { "" })?;
        for (title, overlap) in [
            ("allowed", allowed),
            ("granted for a time", granted),
            ("trusted, and blocked by hand all the same", trusted),
            ("kept out already", blocked),
        ] {
            let Overlap { inside, around, first } = overlap;
            if overlap.is_empty() {
                continue;
            }
            writeln!(f, "  {title}: {inside} inside, {around} around")?;
            first.iter().try_for_each(|lying| writeln!(f, "    {lying}"))?;
            more(f, inside + around, first.len())?;
        }
        if let_in.count > 0 {
            let LetIn { count, latest } = let_in;
            writeln!(f, "  let in lately: {count}")?;
            latest.iter().try_for_each(|Seen { ip, last }| writeln!(f, "    {ip}  {last}"))?;
            more(f, *count, latest.len())?;
        }
        if !open.is_empty() {
            let of_services: Vec<String> = open.iter().map(|(name, count)| format!("{count} of {name}")).collect();
            writeln!(f, "  open connections: {}", of_services.join(", "))?;
        }
        Ok(())
    }
}

fn more(f: &mut fmt::Formatter<'_>, count: usize, named: usize) -> fmt::Result {
    match count.saturating_sub(named) {
        0 => Ok(()),
        more => writeln!(f, "    and {more} more"),
    }
}

impl fmt::Display for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, services, source, expires } = self;
        write!(f, "{ip}  {source}")?;
        if !services.is_empty() {
            write!(f, ", service {}", services.join(", "))?;
        }
        expires.iter().try_for_each(|expires| write!(f, ", until {expires}"))
    }
}
