//! The rule of how many addresses a list may cover.

use ipnet::IpNet;

use crate::policy::Ranges;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Says whether a prefix is of this family.
    pub(super) fn has(self, prefix: &IpNet) -> bool {
        matches!((self, prefix), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }

    /// The name for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The most that a list may cover unasked, for messages.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Self::V4 => "a /4",
            Self::V6 => "a /4 or, of 2000::/3, a /16",
        }
    }

    /// Says whether lists cover more addresses of the family than a /4 has, or than a /16 of IPv6's global ones. What
    /// two of them cover is counted twice.
    pub(super) fn is_wide(self, lists: &[&Ranges]) -> bool {
        match self {
            Self::V4 => {
                let addresses = |(first, last): &(u32, u32)| u64::from(last - first) + 1;
                lists.iter().flat_map(|ranges| &ranges.v4).map(addresses).sum::<u64>() > WIDEST_V4
            }
            Self::V6 => {
                let ranges = || lists.iter().flat_map(|ranges| ranges.v6.iter().copied());
                count(ranges()) > WIDEST_V6 || count(ranges().filter_map(global)) > WIDEST_GLOBAL_V6
            }
        }
    }
}

/// The number of addresses in a /4, the widest that is taken unasked.
const WIDEST_V4: u64 = 1 << (32 - 4);
const WIDEST_V6: u128 = 1 << (128 - 4);

/// The global unicast addresses of IPv6, 2000::/3. So few of them are in use that one /4 holds all of those.
const GLOBAL_V6: (u128, u128) = (0x2000 << 112, (0x4000 << 112) - 1);

/// The number of addresses in a /16, the widest that is taken of them unasked.
const WIDEST_GLOBAL_V6: u128 = 1 << (128 - 16);

fn count(ranges: impl Iterator<Item = (u128, u128)>) -> u128 {
    // All of IPv6 is one address more than the type counts.
    ranges.map(|(first, last)| (last - first).saturating_add(1)).fold(0, u128::saturating_add)
}

fn global((first, last): (u128, u128)) -> Option<(u128, u128)> {
    let (from, to) = GLOBAL_V6;
    Some((first.max(from), last.min(to))).filter(|(first, last)| first <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(prefixes: &str) -> Ranges {
        Ranges::of(prefixes.split_whitespace().map(|prefix| prefix.parse().unwrap()))
    }

    #[test]
    fn more_than_the_limit_is_wide() {
        for (family, prefixes, wide) in [
            (Family::V4, "", false),
            (Family::V4, "16.0.0.0/4", false),
            (Family::V4, "16.0.0.0/4 17.0.0.0/8 16.0.0.0/4", false),
            (Family::V4, "16.0.0.0/5 32.0.0.0/5", false),
            (Family::V4, "16.0.0.0/4 32.0.0.0/32", true),
            (Family::V4, "0.0.0.0/0", true),
            (Family::V4, "0.0.0.0/1 128.0.0.0/1", true),
            (Family::V6, "f000::/4", false),
            (Family::V6, "f000::/4 ::1/128", true),
            (Family::V6, "2000::/4", true),
            (Family::V6, "2a00::/12", true),
            (Family::V6, "2a01::/16 fc00::/7 fe80::/10", false),
            (Family::V6, "2a01::/16 2001:db8::/128", true),
            (Family::V6, "::/0", true),
            (Family::V6, "::/1 8000::/1", true),
            (Family::V6, "0.0.0.0/0", false),
        ] {
            assert_eq!(family.is_wide(&[&ranges(prefixes)]), wide, "{prefixes}");
        }
    }

    #[test]
    fn two_lists_are_wide_together() {
        let (one, other) = (ranges("16.0.0.0/4"), ranges("17.0.0.0/8"));
        assert!(!Family::V4.is_wide(&[&one.join(&other)]));
        assert!(Family::V4.is_wide(&[&one, &other]));
        assert!(Family::V4.is_wide(&[&one.join(&ranges("32.0.0.0/32"))]));
    }
}
