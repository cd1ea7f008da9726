//! How one policy's lists differ from another's, by their prefixes, wherever those were written.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Entries, Policy};

/// From how many entries on a list must not lose most of them unasked.
const SURPRISING_FROM: usize = 10;

/// What a list gains and loses. A prefix that stands in it twice is one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListChange {
    /// `allow`, `deny`, or `service` with the service's name.
    pub(crate) list: String,
    /// Entries before the change.
    pub(crate) before: usize,
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

impl ListChange {
    /// Compares every list of two policies. The list of a service that only one of them has is empty in the other.
    pub(crate) fn between(old: &Policy, new: &Policy) -> Vec<Self> {
        let none = Entries::default();
        let mut old = lists(old);
        let mut changes = Vec::new();
        for (list, new) in lists(new) {
            let at = old.iter().position(|(name, _)| *name == list);
            changes.push(Self::of(list, at.map_or(&none, |at| old.remove(at).1), new));
        }
        changes.extend(old.into_iter().map(|(list, old)| Self::of(list, old, &none)));
        changes
    }

    /// Tells whether more goes than an operator is likely to mean.
    pub(crate) fn is_surprising(&self) -> bool {
        self.before >= SURPRISING_FROM && self.removed * 2 > self.before
    }

    /// Tells whether the list stays as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.added == 0 && self.removed == 0
    }

    fn of(list: String, old: &Entries, new: &Entries) -> Self {
        let before = Distinct::of(old);
        let (added, removed) = if old.has_prefixes_of(new) {
            (0, 0)
        } else {
            let after = Distinct::of(new);
            let kept = in_both(&before.v4, &after.v4) + in_both(&before.v6, &after.v6);
            (after.len() - kept, before.len() - kept)
        };
        Self { list, before: before.len(), added, removed }
    }
}

impl fmt::Display for ListChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} added, {} removed", self.list, self.added, self.removed)
    }
}

/// Every list of a policy with its name.
fn lists(policy: &Policy) -> Vec<(String, &Entries)> {
    let common = [("allow", &policy.allow), ("deny", &policy.deny), ("trusted", &policy.trusted)];
    let services = policy.services.iter().map(|service| (format!("service {}", service.name), &service.allow));
    common.into_iter().map(|(name, list)| (name.to_owned(), list)).chain(services).collect()
}

/// The prefixes of a list, sorted, each once; as numbers, which sort many times faster.
struct Distinct {
    /// The address, and the length in the low byte.
    v4: Vec<u64>,
    v6: Vec<(u128, u8)>,
}

impl Distinct {
    fn of(entries: &Entries) -> Self {
        let mut distinct = Self { v4: Vec::new(), v6: Vec::new() };
        for prefix in entries.prefixes() {
            match prefix {
                IpNet::V4(net) => distinct.v4.push(u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len())),
                IpNet::V6(net) => distinct.v6.push((net.addr().to_bits(), net.prefix_len())),
            }
        }
        distinct.v4.sort_unstable();
        distinct.v4.dedup();
        distinct.v6.sort_unstable();
        distinct.v6.dedup();
        distinct
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// Counts what stands in two sorted lists without repeats.
fn in_both<T: Ord>(some: &[T], others: &[T]) -> usize {
    let mut rest = others.iter().peekable();
    let mut count = 0;
    for one in some {
        while rest.next_if(|other| *other < one).is_some() {}
        count += usize::from(rest.next_if_eq(&one).is_some());
    }
    count
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::samples;

    /// Prefixes of both families, and each twice.
    fn entries(numbers: impl IntoIterator<Item = u8>) -> Entries {
        let prefixes = numbers.into_iter().flat_map(|number| {
            let v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)]);
            let ip = if number % 3 == 0 { v6 } else { IpAddr::from([192, 0, 2, number]) };
            [IpNet::from(ip); 2]
        });
        samples::entries(&prefixes.collect::<Vec<_>>())
    }

    fn change(old: impl IntoIterator<Item = u8>, new: impl IntoIterator<Item = u8>) -> ListChange {
        ListChange::of("allow".to_owned(), &entries(old), &entries(new))
    }

    #[test]
    fn what_comes_and_goes_is_counted() {
        for (case, change, counts) in [
            ("nothing", change(0..3, 0..3), (3, 0, 0)),
            ("more", change(0..3, 0..5), (3, 2, 0)),
            ("less", change(0..3, 1..2), (3, 0, 2)),
            ("others", change(0..3, 2..6), (3, 3, 2)),
            ("all", change(0..3, []), (3, 0, 3)),
            ("from none", change([], 0..3), (0, 3, 0)),
        ] {
            assert_eq!((change.before, change.added, change.removed), counts, "{case}");
        }
    }

    #[test]
    fn more_than_half_of_ten_is_surprising() {
        for (case, change, surprising) in [
            ("half of ten", change(0..10, 0..5), false),
            ("more than half of ten", change(0..10, 0..4), true),
            ("all of nine", change(0..9, []), false),
            ("all of ten, and ten others", change(0..10, 10..20), true),
            ("half of eleven and more", change(0..11, 0..5), true),
        ] {
            assert_eq!(change.is_surprising(), surprising, "{case}");
        }
    }
}
