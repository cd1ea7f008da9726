//! Sets beside a model that looks at every range.

use std::{net::IpAddr, ops::RangeInclusive};

use guard_common::{
    address::Address,
    prefix::{BOUNDARIES_MAX, BOUNDARIES_PER_LINE, Line, SetRef, contains},
};
use proptest::prelude::*;

use crate::lines::{JUNK, Table};

/// Addresses as numbers, both ends in the range.
type Range = RangeInclusive<u128>;

const V4_FIRST: u128 = 0xffff_0000_0000;
const V4_LAST: u128 = 0xffff_ffff_ffff;

/// Returns the addresses at which membership changes; the ranges are in order, with room between them.
fn boundaries(ranges: &[Range]) -> Vec<Address> {
    let ends = ranges.iter().flat_map(|range| [Some(*range.start()), range.end().checked_add(1)]);
    ends.flatten().map(address).collect()
}

/// Writes a set between other lines.
fn table(ranges: &[Range]) -> (Table, SetRef) {
    let mut table = Table(vec![JUNK; 3]);
    let set = table.push_set(&boundaries(ranges));
    (table, set)
}

fn model_contains(ranges: &[Range], address: u128) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// Returns the ends of each range, their neighbours, and both ends of the address space.
fn telling_addresses(ranges: &[Range]) -> Vec<u128> {
    let ends = ranges.iter().flat_map(|range| [*range.start(), *range.end()]);
    ends.chain([0, V4_FIRST, V4_LAST, u128::MAX])
        .flat_map(|end| [end.wrapping_sub(1), end, end.wrapping_add(1)])
        .collect()
}

fn address(number: u128) -> Address {
    Address { high: (number >> 64) as u64, low: number as u64 }
}

fn number(text: &str) -> u128 {
    let Address { high, low } = text.parse::<IpAddr>().expect("a test names good addresses").into();
    u128::from(high) << 64 | u128::from(low)
}

/// Merges ranges that overlap or touch.
fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[test]
fn named_sets() {
    let range = |first, last| number(first)..=number(last);
    let sets: [(&str, Vec<Range>); 12] = [
        ("empty", vec![]),
        ("everything", vec![0..=u128::MAX]),
        ("all of IPv4", vec![V4_FIRST..=V4_LAST]),
        ("the first address", vec![0..=0]),
        ("the last address", vec![u128::MAX..=u128::MAX]),
        ("both ends", vec![0..=0, u128::MAX..=u128::MAX]),
        ("all but the ends", vec![1..=u128::MAX - 1]),
        ("a /32", vec![range("192.0.2.1", "192.0.2.1")]),
        ("the last IPv4 address", vec![V4_LAST..=V4_LAST]),
        ("two with one address between", vec![range("10.0.0.0", "10.0.0.4"), range("10.0.0.6", "10.0.0.9")]),
        ("across the halves of an address", vec![range("2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::")]),
        ("a /48", vec![range("2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff")]),
    ];
    for (name, ranges) in sets {
        let (table, set) = table(&ranges);
        for it in telling_addresses(&ranges) {
            assert_eq!(contains(&table, set, address(it)), model_contains(&ranges, it), "{name}: {it:#034x}");
        }
    }
}

#[test]
fn any_number_of_boundaries() {
    for count in 0..=200 {
        let ranges: Vec<Range> = (0..count).map(|nth| V4_FIRST + nth * 10..=V4_FIRST + nth * 10 + 4).collect();
        let (table, set) = table(&ranges);
        for it in telling_addresses(&ranges) {
            assert_eq!(contains(&table, set, address(it)), model_contains(&ranges, it), "{count} ranges: {it:#034x}");
        }
    }
}

#[test]
fn the_largest_set_is_searched_to_the_end() {
    let lines = (0..u64::from(BOUNDARIES_MAX / BOUNDARIES_PER_LINE)).map(|line| {
        let boundary = |nth: u64| (line * u64::from(BOUNDARIES_PER_LINE) + nth) * 2;
        [0, boundary(0), 0, boundary(1), 0, boundary(2), 0, boundary(3)]
    });
    let table = Table(lines.collect::<Vec<Line>>());
    let set = SetRef { first_line: 0, boundaries: BOUNDARIES_MAX };
    let last = u64::from(BOUNDARIES_MAX) - 1;
    for nth in (0..=last).step_by(997).chain([1, 2, 3, last / 2, last / 2 + 1, last - 2, last - 1, last]) {
        let is_member = nth % 2 == 0;
        for offset in [0, 1] {
            let low = nth * 2 + offset;
            assert_eq!(contains(&table, set, Address { high: 0, low }), is_member, "boundary {nth}, {offset} behind");
        }
    }
}

#[test]
fn a_set_whose_lines_are_missing_contains_nothing() {
    let everything = SetRef { first_line: 7, boundaries: 1 };
    for first_line in [7, 8, u32::MAX] {
        for boundaries in [0, 1, 2, 3, 100, BOUNDARIES_MAX, u32::MAX] {
            let set = SetRef { first_line, boundaries };
            for it in telling_addresses(&[]) {
                assert!(!contains(&Table(vec![[0; 8]; 7]), set, address(it)), "{set:?}: {it:#034x}");
            }
        }
    }
    assert!(contains(&Table(vec![[0; 8]; 8]), everything, address(0)));
}

#[test]
fn a_set_without_boundaries_reads_no_line() {
    assert!(!contains(&Table(vec![]), SetRef::default(), address(0)));
    assert_eq!(SetRef::from_word(0), SetRef::default());
}

proptest! {
    #[test]
    fn random_sets(ranges in ranges(), others in prop::collection::vec(any::<u128>(), 20)) {
        let (table, set) = table(&ranges);
        for it in telling_addresses(&ranges).into_iter().chain(others) {
            prop_assert_eq!(contains(&table, set, address(it)), model_contains(&ranges, it), "{:#034x}", it);
        }
    }

    #[test]
    fn words_stand_for_sets(first_line: u32, boundaries: u32) {
        let set = SetRef { first_line, boundaries };
        prop_assert_eq!(SetRef::from_word(set.to_word()), set);
    }

    #[test]
    fn any_table_can_be_read(words in prop::collection::vec(any::<[u64; 8]>(), 0..8), set: u64, high: u64, low: u64) {
        contains(&Table(words), SetRef::from_word(set), Address { high, low });
    }
}

/// Up to 200 ranges: prefixes of any length in IPv4, in IPv6 and near both ends of the address space.
fn ranges() -> impl Strategy<Value = Vec<Range>> {
    let prefix = (any::<u128>(), 0..=128_u32).prop_map(|(address, length)| {
        let host_bits = u128::MAX.checked_shr(length).unwrap_or(0);
        address & !host_bits..=address | host_bits
    });
    let v4_prefix = (any::<u32>(), 0..=32_u32).prop_map(|(address, length)| {
        let host_bits = u32::MAX.checked_shr(length).unwrap_or(0);
        V4_FIRST | u128::from(address & !host_bits)..=V4_FIRST | u128::from(address | host_bits)
    });
    let at_an_end = (0..50_u128, 0..50_u128, any::<bool>()).prop_map(|(first, length, last)| {
        if last { u128::MAX - first - length..=u128::MAX - first } else { first..=first + length }
    });
    let range = prop_oneof![2 => v4_prefix, 2 => prefix, 1 => at_an_end];
    prop::collection::vec(range, 1..=200).prop_map(merged)
}
