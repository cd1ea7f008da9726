//! Prefixes merged into disjoint ranges, and written as the boundaries that the reader counts.

use std::net::IpAddr;

use guard_common::{
    address::Address,
    generation::FamilySets,
    prefix::{BOUNDARIES_PER_LINE, Line, SetRef},
};
use ipnet::IpNet;

/// Appends sets to a generation's lines.
pub(super) struct SetWriter<'a> {
    lines: &'a mut Vec<Line>,
}

impl<'a> SetWriter<'a> {
    pub(super) fn new(lines: &'a mut Vec<Line>) -> Self {
        Self { lines }
    }

    /// Writes a set, each family on its own: `::/0` says nothing about IPv4.
    pub(super) fn write(&mut self, prefixes: impl Iterator<Item = IpNet>) -> FamilySets {
        let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = prefixes.partition(|prefix| prefix.addr().is_ipv4());
        FamilySets { v4: self.write_family(v4), v6: self.write_family(v6) }
    }

    fn write_family(&mut self, prefixes: Vec<IpNet>) -> SetRef {
        let boundaries = boundaries(prefixes);
        let first_line = self.lines.len() as u32;
        for chunk in boundaries.chunks(BOUNDARIES_PER_LINE as usize) {
            let mut line = [0; 8];
            for (words, boundary) in line.chunks_exact_mut(2).zip(chunk) {
                words.copy_from_slice(&[boundary.high, boundary.low]);
            }
            self.lines.push(line);
        }
        SetRef { first_line, boundaries: boundaries.len() as u32 }
    }
}

/// Returns the sorted addresses at which membership changes. A range that ends with the address space has no end.
fn boundaries(prefixes: Vec<IpNet>) -> Vec<Address> {
    let mut ranges: Vec<(u128, u128)> =
        prefixes.iter().map(|prefix| (number(prefix.network()), number(prefix.broadcast()))).collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if start <= last.saturating_add(1) => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged.into_iter().flat_map(|(start, end)| [Some(start), end.checked_add(1)]).flatten().map(address).collect()
}

fn number(ip: IpAddr) -> u128 {
    let Address { high, low } = Address::from(ip);
    u128::from(high) << 64 | u128::from(low)
}

fn address(number: u128) -> Address {
    Address { high: (number >> 64) as u64, low: number as u64 }
}
