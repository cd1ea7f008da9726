//! Where the packets come from: addresses inside a list, outside it, or both, in random order.

use std::{fmt, net::IpAddr};

use guard_tests::Family;
use ipnet::IpNet;

use super::{list::unicast, random::Random};

/// How many sources take turns.
pub(super) const SOURCES: usize = 1 << 16;

/// Which sources take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    Listed,
    Unlisted,
    Half,
}

impl Mix {
    pub(super) const ALL: [Self; 3] = [Self::Listed, Self::Unlisted, Self::Half];

    /// How many of the sources are listed.
    pub(super) fn listed(self) -> usize {
        match self {
            Self::Listed => SOURCES,
            Self::Unlisted => 0,
            Self::Half => SOURCES / 2,
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Listed => "listed",
            Self::Unlisted => "unlisted",
            Self::Half => "half",
        })
    }
}

/// Picks the sources of a mix: random addresses of random prefixes of the list, and random addresses that it does not hold.
pub(super) fn sources(family: Family, list: &[IpNet], mix: Mix) -> Vec<IpAddr> {
    let mut random = Random::new(mix.listed() as u64);
    let ranges = ranges(list);
    let listed = mix.listed();
    let mut sources: Vec<_> = (0..listed).map(|_| inside(&list[random.below(list.len())], &mut random)).collect();
    while sources.len() < SOURCES {
        let stranger = unicast(family, &mut random);
        if !holds(&ranges, stranger) {
            sources.push(stranger);
        }
    }
    random.shuffle(&mut sources);
    sources
}

fn inside(prefix: &IpNet, random: &mut Random) -> IpAddr {
    match prefix {
        IpNet::V4(prefix) => {
            let host = random.next() as u32 & prefix.hostmask().to_bits();
            IpAddr::V4((prefix.network().to_bits() | host).into())
        }
        IpNet::V6(prefix) => {
            let host = random.bits() & prefix.hostmask().to_bits();
            IpAddr::V6((prefix.network().to_bits() | host).into())
        }
    }
}

/// The addresses that a list covers, as first and last of ranges in order that do not overlap.
fn ranges(list: &[IpNet]) -> Vec<(IpAddr, IpAddr)> {
    let mut sorted: Vec<_> = list.iter().map(|prefix| (prefix.network(), prefix.broadcast())).collect();
    // Of two prefixes that overlap one holds the other, and it comes first: it starts earlier or ends later.
    sorted.sort_by(|left, right| left.0.cmp(&right.0).then(right.1.cmp(&left.1)));
    let mut ranges: Vec<(IpAddr, IpAddr)> = Vec::new();
    for range in sorted {
        if ranges.last().is_none_or(|last| last.1 < range.0) {
            ranges.push(range);
        }
    }
    ranges
}

fn holds(ranges: &[(IpAddr, IpAddr)], address: IpAddr) -> bool {
    let behind = ranges.partition_point(|range| range.0 <= address);
    behind > 0 && address <= ranges[behind - 1].1
}

#[cfg(test)]
mod tests {
    use guard_tests::Family;

    use super::{Mix, SOURCES, sources};
    use crate::bench::list::{Entries, list};

    #[test]
    fn as_many_sources_are_listed_as_the_mix_says() {
        for family in Family::ALL {
            let list = list(family, Entries::Prefixes, 100);
            for mix in Mix::ALL {
                let sources = sources(family, &list, mix);
                let listed = sources.iter().filter(|source| list.iter().any(|prefix| prefix.contains(*source))).count();
                assert_eq!((sources.len(), listed), (SOURCES, mix.listed()), "{family}, {mix}");
            }
        }
    }
}
