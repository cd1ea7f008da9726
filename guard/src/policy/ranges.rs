//! Which addresses a list covers, however its prefixes overlap.

use std::net::IpAddr;

use ipnet::IpNet;

/// The addresses that some prefixes cover, each family on its own, as ranges with both ends in them, in order, that
/// neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    pub(crate) v4: Vec<(u32, u32)>,
    pub(crate) v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// Merges prefixes.
    pub(crate) fn of(prefixes: impl Iterator<Item = IpNet>) -> Self {
        Self::and_repeats(prefixes).0
    }

    /// Merges prefixes, and counts those that repeat another.
    pub(crate) fn and_repeats(prefixes: impl Iterator<Item = IpNet>) -> (Self, usize) {
        let mut ranges = Self::default();
        for prefix in prefixes {
            match prefix {
                IpNet::V4(prefix) => ranges.v4.push((prefix.network().to_bits(), prefix.broadcast().to_bits())),
                IpNet::V6(prefix) => ranges.v6.push((prefix.network().to_bits(), prefix.broadcast().to_bits())),
            }
        }
        ranges.v4.sort_unstable();
        ranges.v6.sort_unstable();
        let repeats = remove_repeats(&mut ranges.v4) + remove_repeats(&mut ranges.v6);
        ranges.merge();
        (ranges, repeats)
    }

    /// Returns what either covers.
    pub(crate) fn join(&self, other: &Self) -> Self {
        let mut joined =
            Self { v4: [self.v4.as_slice(), &other.v4].concat(), v6: [self.v6.as_slice(), &other.v6].concat() };
        // This sort finds the two runs that are in order already, so that joining is linear.
        joined.v4.sort();
        joined.v6.sort();
        joined.merge();
        joined
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Tells whether an address is covered.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => contains(&self.v4, address.to_bits()),
            IpAddr::V6(address) => contains(&self.v6, address.to_bits()),
        }
    }

    fn merge(&mut self) {
        merge(&mut self.v4, |last| last.saturating_add(1));
        merge(&mut self.v6, |last| last.saturating_add(1));
    }
}

fn contains<T: Copy + Ord>(ranges: &[(T, T)], number: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= number);
    behind.checked_sub(1).is_some_and(|at| number <= ranges[at].1)
}

fn remove_repeats<T: PartialEq>(sorted: &mut Vec<T>) -> usize {
    let before = sorted.len();
    sorted.dedup();
    before - sorted.len()
}

/// Makes one of those that overlap or touch.
fn merge<T: Copy + Ord>(sorted: &mut Vec<(T, T)>, next: impl Fn(T) -> T) {
    sorted.dedup_by(|(first, last), (_, end)| {
        let joins = *first <= next(*end);
        if joins {
            *end = (*last).max(*end);
        }
        joins
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(text: &str) -> impl Iterator<Item = IpNet> {
        text.split_whitespace().map(|prefix| prefix.parse().unwrap())
    }

    fn ranges(text: &str) -> Ranges {
        Ranges::of(prefixes(text))
    }

    #[test]
    fn overlaps_and_neighbours_merge() {
        let all_v4 = (0, u32::MAX);
        let all_v6 = (0, u128::MAX);
        for (text, v4, v6) in [
            ("", &[][..], &[][..]),
            ("10.0.0.0/25 10.0.0.128/25 10.0.0.7/32", &[(0x0a00_0000, 0x0a00_00ff)], &[]),
            ("10.0.0.2/32 10.0.0.0/32", &[(0x0a00_0000, 0x0a00_0000), (0x0a00_0002, 0x0a00_0002)], &[]),
            ("10.0.0.0/8 10.1.0.0/16 10.0.0.0/9", &[(0x0a00_0000, 0x0aff_ffff)], &[]),
            ("0.0.0.0/0 255.255.255.255/32", &[all_v4], &[]),
            ("255.255.255.255/32 0.0.0.0/32", &[(0, 0), (u32::MAX, u32::MAX)], &[]),
            ("::/1 8000::/1 ::/0 0.0.0.0/1 128.0.0.0/1", &[all_v4], &[all_v6]),
            (
                "2001:db8::/128 2001:db8::2/127",
                &[],
                &[(0x2001_0db8 << 96, 0x2001_0db8 << 96), ((0x2001_0db8 << 96) + 2, (0x2001_0db8 << 96) + 3)],
            ),
        ] {
            assert_eq!(ranges(text), Ranges { v4: v4.to_vec(), v6: v6.to_vec() }, "{text}");
            assert_eq!(ranges(text).is_empty(), text.is_empty(), "{text}");
        }
    }

    #[test]
    fn an_address_is_covered_from_the_first_to_the_last() {
        let ranges = ranges("10.0.0.4/30 10.0.0.9/32 255.255.255.255/32 2001:db8::/127 ::ffff:0:0/96");
        for (address, covered) in [
            ("10.0.0.3", false),
            ("10.0.0.4", true),
            ("10.0.0.7", true),
            ("10.0.0.8", false),
            ("10.0.0.9", true),
            ("10.0.0.10", false),
            ("0.0.0.0", false),
            ("255.255.255.255", true),
            ("2001:db8::", true),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
            ("::", false),
        ] {
            assert_eq!(ranges.contains(address.parse().unwrap()), covered, "{address}");
        }
        assert!(!Ranges::default().contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn repeats_are_counted() {
        for (text, repeats) in [
            ("", 0),
            ("10.0.0.0/8 10.0.0.0/9 ::/8 ::/9", 0),
            ("10.0.0.0/8 ::/8 10.0.0.0/9 10.0.0.0/8 ::/8 10.0.0.0/8", 3),
        ] {
            assert_eq!(Ranges::and_repeats(prefixes(text)).1, repeats, "{text}");
        }
    }

    #[test]
    fn joined_is_as_if_read_together() {
        let lists = [
            "",
            "10.0.0.0/8 2001:db8::/48",
            "11.0.0.0/8 9.255.255.255/32 ::/0",
            "10.1.0.0/16 10.255.255.254/31 2001:db8::/32",
            "0.0.0.0/0",
            "255.255.255.255/32 ffff::/16",
        ];
        for one in lists {
            for other in lists {
                let together = ranges(&format!("{one} {other}"));
                assert_eq!(ranges(one).join(&ranges(other)), together, "{one:?} and {other:?}");
            }
        }
    }
}
