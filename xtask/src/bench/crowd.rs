//! Peers whose addresses the generator makes itself, because there are more of them than it could keep.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guard_tests::Family;

#[path = "../../bench-ebpf/src/crowd.rs"]
mod scatter;

use self::scatter::scatter;

/// Which half of the addresses kept for such uses the members lie in; the halves are a /9 and a /33.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Lower,
    Upper,
}

/// Random addresses of one half, each of IPv6 in a /64 of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) family: Family,
    pub(super) half: Half,
    /// How many there are: a power of two, at most 2^23.
    pub(super) size: u32,
}

impl Crowd {
    /// The prefixes of a half, as a configuration lists them.
    pub(super) const fn prefixes(half: Half) -> [&'static str; 2] {
        match half {
            Half::Lower => ["10.0.0.0/9", "2001:db8::/33"],
            Half::Upper => ["10.128.0.0/9", "2001:db8:8000::/33"],
        }
    }

    /// What all members' addresses have in common.
    pub(super) fn common(&self) -> IpAddr {
        let is_upper = self.half == Half::Upper;
        match self.family {
            Family::V4 => Ipv4Addr::new(10, if is_upper { 128 } else { 0 }, 0, 0).into(),
            // Not 1: a stage's own address ends so.
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, if is_upper { 0x8000 } else { 0 }, 0, 0, 0, 0, 2).into(),
        }
    }

    /// Which bits of a packet's number tell members apart.
    pub(super) fn number_mask(&self) -> u32 {
        self.size - 1
    }

    /// Which bits of an address do: of IPv4, or of the second quarter of IPv6.
    pub(super) fn host_mask(&self) -> u32 {
        self.family.pick(u32::MAX >> 9, u32::MAX >> 1)
    }

    /// Whose address the generator writes into the packet of a number.
    pub(super) fn member(&self, number: u32) -> IpAddr {
        let bits = scatter(number & self.number_mask(), self.host_mask());
        match self.common() {
            IpAddr::V4(common) => Ipv4Addr::from(u32::from(common) | bits).into(),
            IpAddr::V6(common) => Ipv6Addr::from(u128::from(common) | u128::from(bits) << 64).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use guard_tests::Family;
    use ipnet::IpNet;

    use super::{Crowd, Half};

    #[test]
    fn members_are_as_many_as_asked_and_of_their_half_alone() {
        for family in Family::ALL {
            for half in [Half::Lower, Half::Upper] {
                let prefix: IpNet = Crowd::prefixes(half)[family.pick(0, 1)].parse().unwrap();
                for size in [1, 4096] {
                    let crowd = Crowd { family, half, size };
                    let members: HashSet<_> = (0..size + 10).map(|number| crowd.member(number)).collect();
                    assert_eq!(members.len(), size as usize, "{family}, {half:?}");
                    assert!(members.iter().all(|member| prefix.contains(member)), "{family}, {half:?}");
                }
            }
        }
    }

    /// A limit per source takes all of a /64 for one.
    #[test]
    fn no_two_of_a_million_are_one_source() {
        for (family, bits) in [(Family::V4, 32), (Family::V6, 64)] {
            let crowd = Crowd { family, half: Half::Lower, size: 1 << 20 };
            let source = |number| IpNet::new(crowd.member(number), bits).unwrap().network();
            let mut sources: Vec<_> = (0..crowd.size).map(source).collect();
            sources.sort_unstable();
            sources.dedup();
            assert_eq!(sources.len(), crowd.size as usize, "{family}");
        }
    }
}
