//! The lists that contenders hold: as long as asked, in the mix of lengths that real lists have, and the same in every run.

use std::{collections::HashSet, net::IpAddr};

use guard_tests::Family;
use ipnet::IpNet;

use super::random::Random;

/// What the entries of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries {
    /// Prefixes of many lengths.
    Prefixes,
    /// Single addresses, which is all that some contenders can hold.
    Addresses,
}

/// Lengths and how many in a thousand entries have one of them; the first kind takes what rounding leaves.
///
/// Block and allow lists of IPv4 are mostly single addresses and /24s. A million entries cover less than a /4, which guard
/// would take for a mistake.
const LENGTHS_V4: [(&[u8], usize); 5] =
    [(&[32], 601), (&[24], 280), (&[25, 26, 27, 28, 29, 30, 31], 80), (&[20, 21, 22, 23], 38), (&[16, 17, 18, 19], 1)];
/// Of IPv6, sites, customers' subnets, single hosts and few whole providers; a million entries cover less than a /16 of 2000::/3.
const LENGTHS_V6: [(&[u8], usize); 5] =
    [(&[48], 350), (&[64], 300), (&[56], 170), (&[128], 150), (&[32, 36, 40, 44], 30)];

/// The blocks that the regional registries give IPv6 addresses out of.
const REGISTRIES: [u16; 6] = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00];

/// Makes a list without duplicates, in random order.
pub(super) fn list(family: Family, entries: Entries, length: usize) -> Vec<IpNet> {
    let mut random = Random::new(length as u64);
    let lengths = match (entries, family) {
        (Entries::Prefixes, Family::V4) => &LENGTHS_V4[..],
        (Entries::Prefixes, Family::V6) => &LENGTHS_V6[..],
        (Entries::Addresses, Family::V4) => &[(&[32][..], 1000)],
        (Entries::Addresses, Family::V6) => &[(&[128][..], 1000)],
    };
    let mut prefixes = Vec::with_capacity(length);
    let mut seen = HashSet::with_capacity(length);
    let mut add = |count: usize, lengths: &[u8]| {
        let end = prefixes.len() + count;
        while prefixes.len() < end {
            let prefix_length = lengths[random.below(lengths.len())];
            let prefix = prefix(unicast(family, &mut random), prefix_length);
            if seen.insert(prefix) {
                prefixes.push(prefix);
            }
        }
    };
    let (first, others) = lengths.split_first().expect("each mix has lengths");
    let mut left = length;
    for (lengths, per_thousand) in others {
        let count = (length * per_thousand + 500) / 1000;
        left -= count;
        add(count, lengths);
    }
    add(left, first.0);
    random.shuffle(&mut prefixes);
    prefixes
}

/// An address that a packet on the internet may come from, and that no interface of the benchmark has.
pub(super) fn unicast(family: Family, random: &mut Random) -> IpAddr {
    match family {
        Family::V4 => loop {
            let address = (random.next() as u32).to_be_bytes();
            let special = matches!(address, [0 | 10 | 127 | 224.., ..] | [198, 18 | 19, ..]);
            if !special {
                return address.into();
            }
        },
        Family::V6 => {
            let registry = REGISTRIES[random.below(REGISTRIES.len())];
            // A /12, or of 2001::/16 all but what is for special use.
            let (fixed, free) =
                if registry == 0x2001 { (0x2001 << 112, 112) } else { (u128::from(registry) << 112, 116) };
            loop {
                let bits = fixed | random.bits() >> (128 - free);
                if bits >> 105 != 0x2001 << 7 && bits >> 96 != 0x2001_0db8 {
                    return bits.to_be_bytes().into();
                }
            }
        }
    }
}

/// The prefix of a length that an address lies in.
fn prefix(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).expect("the lengths above are those of the family").trunc()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use guard_tests::Family;

    use super::{Entries, list};

    #[test]
    fn lists_are_as_long_as_asked_without_duplicates_and_the_same_again() {
        for family in Family::ALL {
            for (entries, length) in [(Entries::Prefixes, 10), (Entries::Prefixes, 1000), (Entries::Addresses, 1000)] {
                let prefixes = list(family, entries, length);
                assert_eq!(prefixes.iter().collect::<HashSet<_>>().len(), length, "{family}, {entries:?}");
                assert_eq!(prefixes, list(family, entries, length), "{family}, {entries:?}");
                let single = prefixes.iter().filter(|prefix| prefix.prefix_len() == prefix.max_prefix_len()).count();
                assert_eq!(single == length, entries == Entries::Addresses, "{family}, {entries:?}");
            }
        }
    }

    /// Otherwise guard would refuse them as mistakes.
    #[test]
    fn a_million_prefixes_are_not_too_wide() {
        for (family, limit) in [(Family::V4, 1_u128 << 28), (Family::V6, 1 << 112)] {
            let prefixes = list(family, Entries::Prefixes, 1_000_000);
            let size = |host_bits: u8| 1_u128 << host_bits;
            let covered: u128 = prefixes.iter().map(|prefix| size(prefix.max_prefix_len() - prefix.prefix_len())).sum();
            assert!(covered < limit, "{family}: {covered}");
        }
    }
}
