//! Any bytes as prefixes: what is built of them holds what a model says that looks at every prefix. And any bytes as the
//! lines of a table: the reader answers.

#![no_main]

#[path = "../../guard/src/generation"]
mod generation {
    mod table;

    use guard_common::prefix::Line;
    use ipnet::IpNet;

    use super::policy::ranges::Ranges;

    /// Returns the tables of a list, IPv4's and IPv6's.
    pub(super) fn build(list: &[IpNet]) -> [Vec<Line>; 2] {
        let ranges = Ranges::of(list.iter().copied());
        [table::build_v4(&ranges.v4), table::build_v6(&ranges.v6)]
    }
}
#[path = "../../guard/src/policy"]
mod policy {
    #[allow(dead_code, reason = "only configurations are checked for repeats and joined")]
    pub(crate) mod ranges;
}
#[path = "../../guard/src/samples"]
mod samples {
    pub(crate) mod family;
    #[allow(dead_code, reason = "only long lists are asked by length")]
    pub(crate) mod model;
}

use std::net::IpAddr;

use guard_common::{
    address::Address,
    prefix::{Line, Lines, contains},
};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use samples::{
    family::Family,
    model::{is_in_any, some_telling_addresses},
};

/// Telling addresses of a long list that are asked, about, so that a run stays short.
const ASKED: usize = 600;
/// Prefixes of a list.
const PREFIXES_MAX: usize = 512;
/// Bytes that stand for a prefix: how it relates to the one before, its length, and an address or what is added to one.
const PREFIX_BYTES: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first & 1 == 0 {
        check_list(&prefixes(rest), rest);
    } else {
        read_any(rest);
    }
});

fn check_list(list: &[IpNet], bytes: &[u8]) {
    let [v4, v6] = generation::build(list);
    let fuzzed = bytes.chunks_exact(16).flat_map(|bytes| {
        let number = u128::from_be_bytes(bytes.try_into().expect("the chunk is an address long"));
        Family::BOTH.map(|family| family.ip(number))
    });
    for ip in some_telling_addresses(list, ASKED).chain(fuzzed.take(32)) {
        let table = if ip.is_ipv4() { &v4 } else { &v6 };
        assert_eq!(is_member(table, ip), is_in_any(list, ip), "{ip} of {list:?}");
    }
}

/// Takes bytes for prefixes, many of them near or in the one before.
fn prefixes(bytes: &[u8]) -> Vec<IpNet> {
    let mut numbers = [0_u128; 2];
    let prefix = |bytes: &[u8]| {
        let family = Family::BOTH[usize::from(bytes[0] & 1)];
        let bits = family.bits();
        let number = &mut numbers[usize::from(bytes[0] & 1)];
        let value = u128::from(u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]));
        let length = bytes[1] % (bits + 1);
        *number = match bytes[0] >> 1 & 7 {
            0 | 1 => value << (bits - 32),
            2 => !(value << (bits - 32)),
            // The next prefix of this length, or one a few on.
            3 | 4 => number.wrapping_add((1 + (value & 3)).checked_shl(u32::from(bits - length)).unwrap_or(0)),
            5 => number.wrapping_add(value),
            6 => number.wrapping_add(value << (bits / 2)),
            _ => *number ^ 1 << (value % u128::from(bits)),
        };
        family.net(*number & family.last(), length)
    };
    bytes.chunks_exact(PREFIX_BYTES).take(PREFIXES_MAX).map(prefix).collect()
}

fn is_member(table: &[Line], ip: IpAddr) -> bool {
    contains(&table, 0, Family::of(ip).version(), Address::from(ip))
}

fn read_any(bytes: &[u8]) {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("the chunk is a word long"));
    let words: Vec<u64> = bytes.chunks_exact(8).map(word).collect();
    let [high, low, first_line, words @ ..] = &words[..] else { return };
    let (lines, _) = words.as_chunks::<8>();
    let address = Address { high: *high, low: *low };
    for version in [4, 6] {
        for first_line in [0, *first_line as u32] {
            contains(&lines, first_line, version, address);
            if !lines.is_empty() {
                contains(&Endless(lines), first_line, version, address);
            }
        }
    }
}

/// The same lines over and over: no index misses.
struct Endless<'a>(&'a [Line]);

impl Lines for Endless<'_> {
    fn line(&self, index: u32) -> Option<&Line> {
        self.0.get(index as usize % self.0.len())
    }
}
