//! Which of many entries covers each of some prefixes, found in one pass over the entries.

use ipnet::IpNet;

/// Some prefixes, and the first entry that was offered for each.
#[derive(Debug)]
pub(super) struct Covers<T> {
    /// Without repeats. What a prefix covers lies together, from where it would stand itself.
    sorted: Vec<IpNet>,
    found: Vec<Option<T>>,
    /// From each place the way to the next prefix for which nothing is found yet.
    next: Vec<usize>,
}

impl<T> Covers<T> {
    pub(super) fn of(prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        let mut sorted: Vec<IpNet> = prefixes.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let found = sorted.iter().map(|_| None).collect();
        let next = (0..=sorted.len()).collect();
        Self { sorted, found, next }
    }

    /// Offers an entry for the prefixes in it; for each the first counts.
    pub(super) fn offer(&mut self, entry: IpNet, what: impl Fn() -> T) {
        let mut at = self.open_from(self.sorted.partition_point(|prefix| *prefix < entry));
        while self.sorted.get(at).is_some_and(|prefix| entry.contains(prefix)) {
            self.found[at] = Some(what());
            self.next[at] = at + 1;
            at = self.open_from(at + 1);
        }
    }

    /// Returns each prefix for which something was found, in order.
    pub(super) fn into_found(self) -> impl Iterator<Item = (IpNet, T)> {
        self.sorted.into_iter().zip(self.found).filter_map(|(prefix, found)| Some((prefix, found?)))
    }

    /// Returns the first place from this one on for which nothing is found, and shortens the way there.
    fn open_from(&mut self, start: usize) -> usize {
        let mut open = start;
        while self.next[open] != open {
            open = self.next[open];
        }
        let mut at = start;
        while at != open {
            at = std::mem::replace(&mut self.next[at], open);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix() -> impl Strategy<Value = IpNet> {
        let v4 = (0u32..64, 26u8..=32)
            .prop_map(|(bits, len)| IpNet::new_assert(std::net::Ipv4Addr::from_bits(bits).into(), len));
        let v6 = (0u128..64, 122u8..=128)
            .prop_map(|(bits, len)| IpNet::new_assert(std::net::Ipv6Addr::from_bits(bits).into(), len));
        prop_oneof![v4, v6].prop_map(|prefix| prefix.trunc())
    }

    proptest! {
        #[test]
        fn the_first_that_covers_is_found(
            prefixes in proptest::collection::vec(prefix(), 0..20),
            entries in proptest::collection::vec(prefix(), 0..20),
        ) {
            let mut covers = Covers::of(prefixes.iter().copied());
            entries.iter().enumerate().for_each(|(at, entry)| covers.offer(*entry, || at));
            let found: Vec<_> = covers.into_found().collect();
            let mut expected: Vec<_> = prefixes
                .iter()
                .filter_map(|prefix| Some((*prefix, entries.iter().position(|entry| entry.contains(prefix))?)))
                .collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(found, expected);
        }
    }
}
