//! Membership, found without sorting, merging or cutting anything.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::family::{Family, number};

/// Looks at every prefix.
pub(crate) fn is_in_any(list: &[IpNet], ip: IpAddr) -> bool {
    list.iter().any(|prefix| prefix.contains(&ip))
}

/// Looks once for each length that a prefix has: for lists too long to look at every prefix.
#[derive(Default)]
pub(crate) struct ByLength {
    lengths: BTreeSet<u8>,
    prefixes: HashSet<IpNet>,
}

impl ByLength {
    pub(crate) fn of(list: &[IpNet]) -> Self {
        Self {
            lengths: list.iter().map(IpNet::prefix_len).collect(),
            prefixes: list.iter().map(IpNet::trunc).collect(),
        }
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        let prefix = |length: &u8| IpNet::new(ip, *length).ok().map(|prefix| prefix.trunc());
        self.lengths.iter().filter_map(prefix).any(|prefix| self.prefixes.contains(&prefix))
    }
}

/// Returns about `most` of a list's telling addresses.
pub(crate) fn some_telling_addresses(list: &[IpNet], most: usize) -> impl Iterator<Item = IpAddr> {
    // One more than a multiple of the six of a prefix, so that every kind of them is met.
    let step = (6 * list.len() / most).div_ceil(6) * 6 + 1;
    telling_addresses(list).step_by(step)
}

/// Returns both ends of every prefix with their neighbours, and both ends of both address spaces and of IPv6's halves.
pub(crate) fn telling_addresses(list: &[IpNet]) -> impl Iterator<Item = IpAddr> {
    let around = |family: Family, middle: u128| {
        [middle.checked_sub(1), Some(middle), middle.checked_add(1)]
            .into_iter()
            .flatten()
            .filter(move |number| *number <= family.last())
            .map(move |number| family.ip(number))
    };
    let ends = |prefix: &IpNet| [prefix.network(), prefix.broadcast()];
    let of_prefixes = list.iter().flat_map(ends).flat_map(move |ip| around(Family::of(ip), number(ip)));
    let of_spaces = Family::BOTH.into_iter().flat_map(move |family| {
        [0, family.last() / 2, family.last()].into_iter().flat_map(move |it| around(family, it))
    });
    of_prefixes.chain(of_spaces)
}
