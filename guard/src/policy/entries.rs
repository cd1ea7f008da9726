//! The entries of a list, held small: a million IPv4 prefixes take 12 MB.
//!
//! A list is a sequence of parts. The entries of a part come from one source, which the part names once, so that an
//! entry is its prefix and the number of its place there. Lists that name the same set share its parts.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};

use super::Origin;

/// Prefixes in the order they were written in, each with its origin and comment; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    parts: Vec<Mention>,
}

/// A prefix and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry<'a> {
    /// Without host bits, never an IPv4-mapped IPv6 prefix.
    pub(crate) prefix: IpNet,
    pub(crate) origin: Origin,
    /// What the operator wrote beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<&'a str>,
}

/// A part, with the comment for those of its entries that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mention {
    part: Arc<Part>,
    comment: Option<Arc<str>>,
}

/// Entries of one source.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// A place in the source; what the others differ in is their number.
    source: Origin,
    entries: Vec<Compact>,
    v6: Vec<Ipv6Addr>,
    comments: Comments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compact {
    prefix: CompactPrefix,
    number: u32,
}

/// A prefix in the size of an IPv4 one: of IPv6, which is seldom in a long list, the address stands in the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CompactPrefix {
    V4(Ipv4Net),
    V6 { index: u32, len: u8 },
}

const _: () = assert!(size_of::<Compact>() == 12);

/// The comments of some entries: one text, in which each ends where the next begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Comments {
    text: String,
    /// The index of an entry and the end of its comment, in order.
    ends: Vec<(u32, u32)>,
}

impl Entries {
    /// Returns the number of entries, repeated ones included.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|mention| mention.part.entries.len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the prefixes alone.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = IpNet> + Clone + '_ {
        self.parts.iter().flat_map(|Mention { part, .. }| part.entries.iter().map(|entry| part.prefix(entry)))
    }

    /// Tells whether another list has the same prefixes in the same order, from wherever.
    pub(crate) fn has_prefixes_of(&self, other: &Self) -> bool {
        let are_shared = |(one, other): (&Mention, &Mention)| Arc::ptr_eq(&one.part, &other.part);
        self.len() == other.len()
            && (self.parts.iter().zip(&other.parts).all(are_shared) && self.parts.len() == other.parts.len()
                || self.prefixes().eq(other.prefixes()))
    }

    /// Returns the entries, each assembled as it is asked for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.parts.iter().flat_map(|mention| (0..mention.part.entries.len()).map(|index| mention.entry(index)))
    }

    /// Returns the first entry that covers an address. It looks at each.
    pub(crate) fn covering(&self, address: IpAddr) -> Option<Entry<'_>> {
        self.parts.iter().find_map(|mention| {
            let index = mention.part.entries.iter().position(|entry| mention.part.covers(entry, address))?;
            Some(mention.entry(index))
        })
    }

    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, prefix: IpNet, origin: &Origin, comment: Option<&str>) {
        self.last_part(origin).push(prefix, origin.number(), comment);
    }

    /// Adds another list's entries at the end, sharing them, with a comment for those that have none.
    pub(crate) fn append(&mut self, other: &Self, comment: Option<&str>) {
        let comment: Option<Arc<str>> = comment.map(Arc::from);
        let own = |mention: &Mention| mention.comment.clone().or_else(|| comment.clone());
        self.parts.extend(other.parts.iter().map(|m| Mention { part: m.part.clone(), comment: own(m) }));
    }

    /// Returns the last part if it can take an entry of this origin, else a new one.
    fn last_part(&mut self, origin: &Origin) -> &mut Part {
        let takes = |Mention { part, comment }: &mut Mention| {
            comment.is_none() && part.source.shares_source(origin) && Arc::get_mut(part).is_some()
        };
        if !self.parts.last_mut().is_some_and(takes) {
            self.parts.push(Mention { part: Arc::new(Part::new(origin.clone())), comment: None });
        }
        let last = self.parts.last_mut().and_then(|mention| Arc::get_mut(&mut mention.part));
        last.expect("there is a part, and nobody shares it")
    }
}

impl Mention {
    fn entry(&self, index: usize) -> Entry<'_> {
        let Self { part, comment } = self;
        let entry = &part.entries[index];
        Entry {
            prefix: part.prefix(entry),
            origin: part.source.at(entry.number),
            comment: part.comments.get(index as u32).or(comment.as_deref()),
        }
    }
}

impl Part {
    fn new(source: Origin) -> Self {
        Self { source, entries: Vec::new(), v6: Vec::new(), comments: Comments::default() }
    }

    fn push(&mut self, prefix: IpNet, number: u32, comment: Option<&str>) {
        if let Some(comment) = comment {
            self.comments.push(self.entries.len() as u32, comment);
        }
        let prefix = match prefix {
            IpNet::V4(prefix) => CompactPrefix::V4(prefix),
            IpNet::V6(prefix) => {
                self.v6.push(prefix.addr());
                CompactPrefix::V6 { index: self.v6.len() as u32 - 1, len: prefix.prefix_len() }
            }
        };
        self.entries.push(Compact { prefix, number });
    }

    fn prefix(&self, entry: &Compact) -> IpNet {
        match entry.prefix {
            CompactPrefix::V4(prefix) => prefix.into(),
            CompactPrefix::V6 { index, len } => IpNet::new_assert(IpAddr::V6(self.v6[index as usize]), len),
        }
    }

    fn covers(&self, entry: &Compact, address: IpAddr) -> bool {
        match (entry.prefix, address) {
            (CompactPrefix::V4(prefix), IpAddr::V4(address)) => prefix.contains(&address),
            (CompactPrefix::V6 { .. }, IpAddr::V6(_)) => self.prefix(entry).contains(&address),
            (CompactPrefix::V4(_), IpAddr::V6(_)) | (CompactPrefix::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }
}

impl Comments {
    fn push(&mut self, entry: u32, comment: &str) {
        self.text.push_str(comment);
        self.ends.push((entry, self.text.len() as u32));
    }

    fn get(&self, entry: u32) -> Option<&str> {
        let at = self.ends.binary_search_by_key(&entry, |(entry, _)| *entry).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        Some(&self.text[start as usize..self.ends[at].1 as usize])
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        // Parts that differ may hold the same entries, divided otherwise.
        self.parts == other.parts || self.iter().eq(other.iter())
    }
}

impl Eq for Entries {}

impl<'a> FromIterator<Entry<'a>> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry<'a>>>(entries: I) -> Self {
        let mut list = Self::default();
        entries.into_iter().for_each(|Entry { prefix, origin, comment }| list.push(prefix, &origin, comment));
        list
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn line(line: u32) -> Origin {
        Origin::Line { path: Path::new("guard.toml").into(), line }
    }

    fn entry(prefix: &str, origin: Origin, comment: Option<&'static str>) -> Entry<'static> {
        Entry { prefix: prefix.parse().unwrap(), origin, comment }
    }

    #[test]
    fn what_was_pushed_comes_out_in_order() {
        let element = |index| Origin::Element { path: Path::new("list.json").into(), index };
        let variable = |item| Origin::Variable { name: "ALLOWED_IPS".into(), item };
        let pushed = [
            entry("2001:db8::/48", line(7), Some("first")),
            entry("10.0.0.0/8", line(7), None),
            entry("::/0", line(8), Some("")),
            entry("0.0.0.0/0", line(3), Some("ünïcode")),
            entry("255.255.255.255/32", element(0), None),
            entry("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", element(u32::MAX), Some("last")),
            entry("10.0.0.0/8", variable(Some(2)), None),
            entry("10.0.0.0/8", variable(None), None),
            entry("10.0.0.0/8", line(9), None),
        ];
        let entries: Entries = pushed.iter().cloned().collect();
        assert_eq!(entries.iter().collect::<Vec<_>>(), pushed);
        assert!(entries.prefixes().eq(pushed.iter().map(|entry| entry.prefix)));
        assert_eq!((entries.len(), entries.is_empty()), (9, false));
        // One for each run of a source.
        assert_eq!(entries.parts.len(), 4);
        assert!(Entries::default().is_empty());
    }

    #[test]
    fn the_first_that_covers_an_address_is_found() {
        let pushed = [
            entry("10.0.0.0/31", line(1), Some("two")),
            entry("2001:db8::/127", line(2), None),
            entry("10.0.0.0/8", line(3), None),
            entry("0.0.0.0/0", Origin::File { path: Path::new("list.json").into() }, None),
        ];
        let entries: Entries = pushed.iter().cloned().collect();
        for (address, expected) in [
            ("10.0.0.1", Some(0)),
            ("10.0.0.2", Some(2)),
            ("11.0.0.0", Some(3)),
            ("2001:db8::1", Some(1)),
            ("2001:db8::2", None),
            ("::a00:1", None),
        ] {
            let expected = expected.map(|at: usize| pushed[at].clone());
            assert_eq!(entries.covering(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!(Entries::default().covering("10.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn a_list_that_is_appended_is_shared() {
        let set: Entries =
            [entry("10.0.0.1/32", line(1), None), entry("10.0.0.2/32", line(2), Some("own"))].into_iter().collect();
        let mut list = Entries::default();
        list.append(&set, None);
        list.append(&set, Some("its own"));
        assert!(list.parts.iter().all(|mention| Arc::ptr_eq(&mention.part, &set.parts[0].part)));
        let comments: Vec<_> = list.iter().map(|entry| entry.comment).collect();
        assert_eq!(comments, [None, Some("own"), Some("its own"), Some("own")]);
        // What is added to one of those who share reaches no other, nor has it another's comment.
        let mut other = list.clone();
        drop(set);
        other.push("10.0.0.3/32".parse().unwrap(), &line(3), None);
        assert_eq!((list.len(), other.len()), (4, 5));
        drop(list);
        other.parts.remove(0);
        other.parts.remove(1);
        other.push("10.0.0.4/32".parse().unwrap(), &line(4), None);
        let comments: Vec<_> = other.iter().map(|entry| entry.comment).collect();
        assert_eq!(comments, [Some("its own"), Some("own"), None]);
    }

    #[test]
    fn equal_is_what_holds_the_same_entries() {
        let pushed = [entry("10.0.0.1/32", line(1), None), entry("2001:db8::/48", line(2), Some("x"))];
        let whole: Entries = pushed.iter().cloned().collect();
        let mut divided = Entries::default();
        for entry in &pushed {
            divided.append(&std::iter::once(entry.clone()).collect(), None);
        }
        assert_eq!((whole.parts.len(), divided.parts.len()), (1, 2));
        assert_eq!(whole, divided);
        assert_eq!(whole, whole.clone());
        for (name, other) in [
            ("prefix", entry("2001:db8::/49", line(2), Some("x"))),
            ("origin", entry("2001:db8::/48", line(3), Some("x"))),
            ("comment", entry("2001:db8::/48", line(2), None)),
        ] {
            assert_ne!(whole, [pushed[0].clone(), other].into_iter().collect(), "{name}");
        }
        assert_ne!(whole, pushed.into_iter().take(1).collect());
    }
}
