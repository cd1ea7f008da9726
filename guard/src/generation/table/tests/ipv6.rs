//! IPv6: the border between the halves, trees of every height, /64s that are members in part.

use guard_common::prefix::{FANOUT, KEYS_PER_LEAF, LEVELS_MAX};
use ipnet::IpNet;

use super::{check, check_some};
use crate::samples::{Family, prefixes};

fn net(high: u64, low: u64, length: u8) -> IpNet {
    Family::V6.net(u128::from(high) << 64 | u128::from(low), length)
}

/// /64s with room between, so that each is an interval, and the room behind it too.
fn apart(count: usize, half: u64) -> Vec<IpNet> {
    (0..count as u64).map(|nth| net(half | (nth * 3 + 1), 0, 64)).collect()
}

#[test]
fn named_lists() {
    let cases: [(&str, &[&str]); 27] = [
        ("nothing", &[]),
        ("everything", &["::/0"]),
        ("everything and more", &["2001:db8::/32", "::/0"]),
        ("both halves", &["::/1", "8000::/1"]),
        ("the lower half", &["::/1"]),
        ("the upper half", &["8000::/1"]),
        ("the last /64 of the lower half", &["7fff:ffff:ffff:ffff::/64"]),
        ("the first /64 of the upper half", &["8000::/64"]),
        ("both beside the border", &["7fff:ffff:ffff:ffff::/64", "8000::/64"]),
        ("across the border, wide", &["7fff::/16", "8000::/16"]),
        ("across the border, wide below", &["7fff::/16", "8000::/64"]),
        ("across the border by two addresses", &["7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "8000::/128"]),
        ("mixed below the border", &["7fff:ffff:ffff:ffff::/65"]),
        ("mixed below the border, its end", &["7fff:ffff:ffff:ffff:8000::/65"]),
        ("mixed above the border", &["8000::/65"]),
        ("mixed above the border, its end", &["8000:0:0:0:8000::/65"]),
        ("mixed on both sides", &["7fff:ffff:ffff:ffff::1/128", "8000::1/128"]),
        ("whole below, mixed above", &["4000::/2", "8000::/65"]),
        ("mixed below, whole above", &["7fff:ffff:ffff:ffff:8000::/65", "8000::/2"]),
        ("the last /64", &["ffff:ffff:ffff:ffff::/64"]),
        ("the last /64 in part", &["ffff:ffff:ffff:ffff:ffff::/80"]),
        ("the last address", &["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]),
        ("the last address of the lower half", &["7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]),
        ("the first address", &["::/128"]),
        ("both ends", &["::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]),
        (
            "a range that ends and one that begins in a /64",
            &["2001:db8::/64", "2001:db8:0:1::/65", "2001:db8:0:1:c000::/66", "2001:db8:0:2::/64"],
        ),
        (
            "twice, nested and of both families",
            &["2001:db8::/32", "2001:db8::/32", "2001:db8::1/128", "10.0.0.0/8", "::ffff:0:0/97"],
        ),
    ];
    for (name, list) in cases {
        check(name, &prefixes(list));
    }
}

#[test]
fn trees_of_every_height() {
    let leaves = [1, 2, 7, 8, 9, 10, 63, 64, 81, 82, 567, 568, 729, 730, 6_561, 6_562];
    for half in [0, 1 << 63] {
        for leaves in leaves {
            // Each /64 makes two intervals.
            let list = apart(leaves * KEYS_PER_LEAF / 2, half);
            let built = check_some(&format!("{leaves} leaves"), &list, 6_000);
            let levels = (0..).find(|levels| FANOUT.pow(*levels) >= leaves).expect("nine is above one");
            let description = built.v6[if half == 0 { 0 } else { 2 }];
            assert_eq!(description[0] as u32, levels, "{leaves} leaves");
            assert!(levels as usize <= LEVELS_MAX);
        }
    }
}

#[test]
fn both_halves_have_trees() {
    for (lower, upper) in [(1, 40_000), (40_000, 1), (300, 300)] {
        let list = [apart(lower, 0), apart(upper, 1 << 63)].concat();
        check_some(&format!("{lower} below, {upper} above"), &list, 12_000);
    }
}

#[test]
fn mixed_64s_anywhere_in_leaves() {
    for period in 1..=9 {
        // Every so manieth /64 is a member in part, the others as wholes or not at all.
        let prefix = |nth: u64| match nth % period {
            0 => net(nth, nth, 128),
            1 => net(nth, 0, 64),
            2 => net(nth, 1 << 63, 65),
            _ => net(nth << 1, 0, 127),
        };
        let list: Vec<IpNet> = (0..120).map(prefix).collect();
        check(&format!("every {period}th"), &list);
        let above: Vec<IpNet> = (0..120).map(|nth| prefix((1 << 63) + nth)).collect();
        check(&format!("every {period}th, above"), &[list, above].concat());
    }
}

#[test]
fn groups_of_any_length() {
    for count in 1..=40 {
        let list: Vec<IpNet> = (0..count).map(|nth| net(0x2001_0db8_0000_0000, nth * 5 + 1, 128)).collect();
        check(&format!("{count} addresses of a /64"), &list);
        let to_the_end = [list, vec![net(0x2001_0db8_0000_0000, u64::MAX, 128)]].concat();
        check(&format!("{count} addresses of a /64, and the last"), &to_the_end);
    }
}

#[test]
fn every_second_address_of_a_64() {
    for (name, first) in [("from the first on", 0), ("from the second on", 1)] {
        let list: Vec<IpNet> = (0..1 << 15).map(|nth| net(0x2001_0db8_0000_0000, first + 2 * nth, 128)).collect();
        let built = check_some(name, &list, 30_000);
        // Tops and leaves, the line of the group's word, and eight boundaries a line.
        assert_eq!(built.v6.len(), 4 + 2 + 1 + (1 << 16) / 8, "{name}");
    }
}
