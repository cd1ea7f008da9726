//! How many addresses a list covers, however its prefixes overlap.

use std::net::IpAddr;

use ipnet::IpNet;

/// The addresses of one family that some prefixes cover, as ranges in order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover(Vec<(u128, u128)>);

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

    /// The number of addresses in a /4.
    fn widest(self) -> u128 {
        match self {
            Self::V4 => 1 << (32 - 4),
            Self::V6 => 1 << (128 - 4),
        }
    }
}

/// The global unicast addresses of IPv6, 2000::/3. So few of them are in use that one /4 holds all of those.
const GLOBAL_V6: (u128, u128) = (0x2000 << 112, (0x4000 << 112) - 1);

/// The number of addresses in a /16, the widest that is taken of them unasked.
const WIDEST_GLOBAL_V6: u128 = 1 << (128 - 16);

impl Cover {
    /// Merges the prefixes of one family.
    pub(super) fn of<'a>(family: Family, prefixes: impl IntoIterator<Item = &'a IpNet>) -> Self {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let of_family = prefixes.into_iter().filter(|prefix| family.has(prefix));
        Self::merged(of_family.map(|prefix| (bits(prefix.network()), bits(prefix.broadcast()))).collect())
    }

    /// Merges two covers of one family.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self::merged([self.0.as_slice(), other.0.as_slice()].concat())
    }

    /// Says whether more addresses are covered than a /4 of the family has, or than a /16 of IPv6's global ones.
    pub(super) fn is_wide(&self, family: Family) -> bool {
        self.count() > family.widest() || (family == Family::V6 && self.within(GLOBAL_V6).count() > WIDEST_GLOBAL_V6)
    }

    fn count(&self) -> u128 {
        // All of IPv6 is one address more than the type counts.
        let count = |(first, last): &(u128, u128)| (last - first).saturating_add(1);
        self.0.iter().map(count).fold(0, u128::saturating_add)
    }

    fn within(&self, (from, to): (u128, u128)) -> Self {
        let clipped = self.0.iter().map(|(first, last)| (*first.max(&from), *last.min(&to)));
        Self(clipped.filter(|(first, last)| first <= last).collect())
    }

    fn merged(mut ranges: Vec<(u128, u128)>) -> Self {
        // The sort finds runs that are in order already, so that joining two covers is linear.
        ranges.sort();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(family: Family, prefixes: &str) -> Cover {
        let prefixes: Vec<IpNet> = prefixes.split_whitespace().map(|prefix| prefix.parse().unwrap()).collect();
        Cover::of(family, &prefixes)
    }

    #[test]
    fn overlaps_and_neighbours_merge() {
        assert_eq!(cover(Family::V4, "10.0.0.0/25 10.0.0.128/25 10.0.0.7/32").0, [(0x0a00_0000, 0x0a00_00ff)]);
        assert_eq!(
            cover(Family::V4, "10.0.0.2/32 10.0.0.0/32").0,
            [(0x0a00_0000, 0x0a00_0000), (0x0a00_0002, 0x0a00_0002)]
        );
        assert_eq!(cover(Family::V6, "::/1 8000::/1 ::/0 10.0.0.0/8").0, [(0, u128::MAX)]);
        assert_eq!(cover(Family::V4, "2001:db8::/32"), Cover::default());
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
            assert_eq!(cover(family, prefixes).is_wide(family), wide, "{prefixes}");
        }
    }

    #[test]
    fn covers_join() {
        let (one, other) = (cover(Family::V4, "16.0.0.0/4"), cover(Family::V4, "17.0.0.0/8"));
        assert!(!one.join(&other).is_wide(Family::V4));
        assert!(one.join(&cover(Family::V4, "32.0.0.0/32")).is_wide(Family::V4));
    }
}
