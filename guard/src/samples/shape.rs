//! Shapes that a list may have.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{family::Family, random::Random};

/// What a random list looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As lists that operators load: hosts, networks of usual sizes, in the space that is routed.
    Usual,
    /// Any address, any length, mostly long ones.
    Scattered,
    /// The longest lengths, close together: /25 to /32 and /65 to /128.
    Packed,
    /// Every second address of a row.
    EverySecond,
    /// Prefixes of one address, and of addresses that part from it at some bit.
    Nested,
    /// One right behind another, or with the room of one between.
    Adjacent,
    /// Around the ends of the address space and its middle, where IPv6's halves meet.
    Ends,
    /// The same few prefixes over and over.
    Repeated,
}

impl Shape {
    pub(crate) const ALL: [Self; 8] = [
        Self::Usual,
        Self::Scattered,
        Self::Packed,
        Self::EverySecond,
        Self::Nested,
        Self::Adjacent,
        Self::Ends,
        Self::Repeated,
    ];

    /// Returns a list of so many prefixes of a family.
    pub(crate) fn list(self, family: Family, size: usize, random: &mut Random) -> Vec<IpNet> {
        let base = number(random);
        match self {
            Self::Usual => (0..size).map(|_| usual(family, size, random)).collect(),
            Self::Scattered => (0..size).map(|_| scattered(family, random)).collect(),
            Self::Packed => (0..size).map(|_| packed(family, base, size, random)).collect(),
            Self::EverySecond => (0..size).map(|nth| every_second(family, base, nth)).collect(),
            Self::Nested => (0..size).map(|_| nested(family, base, random)).collect(),
            Self::Adjacent => adjacent(family, base, size, random),
            Self::Ends => (0..size).map(|_| at_an_end(family, random)).collect(),
            Self::Repeated => {
                let few: Vec<IpNet> = (0..size.div_ceil(10)).map(|_| scattered(family, random)).collect();
                (0..size).map(|_| random.pick(&few)).collect()
            }
        }
    }
}

/// Returns random addresses of both families, without end.
pub(crate) fn random_addresses(seed: u64) -> impl Iterator<Item = IpAddr> {
    let mut random = Random::new(seed);
    Family::BOTH.into_iter().cycle().map(move |family| family.ip(number(&mut random)))
}

fn number(random: &mut Random) -> u128 {
    u128::from(random.number()) << 64 | u128::from(random.number())
}

fn usual(family: Family, size: usize, random: &mut Random) -> IpNet {
    // Wide prefixes are rare, as in lists that are not merged yet: many of them would swallow the rest.
    let is_wide = random.one_in(2_000);
    match family {
        Family::V4 => {
            let length = if is_wide { 16 } else { random.pick(&[32, 32, 32, 32, 24]) };
            // 1.0.0.0 to 223.255.255.255, where sources come from.
            let address = (0x0100_0000 + random.number() % 0xdf00_0000) as u32;
            family.net(address.into(), length)
        }
        Family::V6 => {
            let length = if is_wide { 32 } else { random.pick(&[128, 64, 64, 64, 56, 48]) };
            // In 2000::/3, from providers with a /32 each.
            let provider = Random::new(random.below(size / 16 + 1) as u64).number() & 0x1fff_ffff;
            family.net((0x2000_0000 | u128::from(provider)) << 96 | number(random) >> 32, length)
        }
    }
}

fn scattered(family: Family, random: &mut Random) -> IpNet {
    let bits = family.bits();
    let shortest = random.pick(&[bits / 4, bits / 4, bits / 2, bits / 2, bits / 2, bits - 8, bits - 8, bits - 8]);
    // Now and then one that swallows many.
    let shortest = if random.one_in(200) { 0 } else { shortest };
    family.net(number(random), shortest + random.below((bits - shortest + 1).into()) as u8)
}

fn packed(family: Family, base: u128, size: usize, random: &mut Random) -> IpNet {
    match family {
        Family::V4 => family.net(base.wrapping_add(random.below(size * 8 + 1) as u128), 25 + random.below(8) as u8),
        Family::V6 => {
            let network = (base >> 64).wrapping_add(random.below(size / 64 + 2) as u128) << 64;
            let host = if random.one_in(2) { random.number() } else { random.below(size * 2 + 1) as u64 };
            family.net(network | u128::from(host), 65 + random.below(64) as u8)
        }
    }
}

fn every_second(family: Family, base: u128, nth: usize) -> IpNet {
    // From the beginning of an IPv4 bucket or an IPv6 /64 on.
    let start = match family {
        Family::V4 => base << 15,
        Family::V6 => base << 64,
    };
    family.net(start.wrapping_add(2 * nth as u128), family.bits())
}

fn nested(family: Family, base: u128, random: &mut Random) -> IpNet {
    let length = 1 + random.below(family.bits().into()) as u8;
    let flipped = if random.one_in(2) { 1 << random.below(family.bits().into()) } else { 0 };
    family.net(base ^ flipped, length)
}

fn adjacent(family: Family, base: u128, size: usize, random: &mut Random) -> Vec<IpNet> {
    let bits = family.bits();
    let mut address = base & family.last();
    let next = |_| {
        let host_bits = random.below((bits / 3).into()) as u8;
        let prefix = family.net(address, bits - host_bits);
        let prefixes = 1 + random.below(2) as u128;
        address = ((address >> host_bits).wrapping_add(prefixes) << host_bits) & family.last();
        prefix
    };
    (0..size).map(next).collect()
}

fn at_an_end(family: Family, random: &mut Random) -> IpNet {
    let bits = family.bits();
    let middle = 1_u128 << (bits - 1);
    // A few addresses, or up to four /64s away.
    let offset = number(random) >> (128 - random.pick(&[3, 8, bits / 2, bits / 2 + 2]));
    let address = match random.below(4) {
        0 => offset,
        1 => family.last() - offset,
        2 => middle - 1 - offset,
        _ => middle + offset,
    };
    family.net(address, random.pick(&[bits, bits, bits - 1, bits - 3, bits - 10, bits / 2, bits / 2 + 1, bits / 2 + 9]))
}
