//! IPv4: each kind of entry at its limits.

use guard_common::prefix::{BLOCK_LINES, ROOT_LINES};
use ipnet::IpNet;

use super::check;
use crate::samples::{Family, prefixes};

fn net(address: u32, length: u8) -> IpNet {
    Family::V4.net(address.into(), length)
}

/// So many boundaries from an aligned start on: single addresses apart, and if the number is odd the last quarter of
/// the part, which has no end in it.
fn boundaries(count: u32, start: u32, part_bits: u8) -> Vec<IpNet> {
    let single = (0..count / 2).map(|nth| net(start + 3 * nth, 32));
    let quarter = net(start + (3 << (part_bits - 2)), 32 - part_bits + 2);
    single.chain((count % 2 == 1).then_some(quarter)).collect()
}

#[test]
fn named_lists() {
    let cases: [(&str, &[&str]); 21] = [
        ("nothing", &[]),
        ("everything", &["0.0.0.0/0"]),
        ("everything and more", &["10.0.0.0/8", "0.0.0.0/0", "255.255.255.255/32"]),
        ("both halves", &["0.0.0.0/1", "128.0.0.0/1"]),
        ("the upper half", &["128.0.0.0/1"]),
        ("the first address", &["0.0.0.0/32"]),
        ("the last address", &["255.255.255.255/32"]),
        ("both ends", &["0.0.0.0/32", "255.255.255.255/32"]),
        ("all but the last address of an octet", &["10.0.0.0/9", "10.128.0.0/10", "10.192.0.0/11"]),
        ("an octet's last address", &["10.255.255.255/32"]),
        ("an octet's first address", &["10.0.0.0/32"]),
        ("across octets", &["10.255.255.255/32", "11.0.0.0/32"]),
        ("across buckets", &["10.0.127.255/32", "10.0.128.0/32"]),
        ("octets", &["10.0.0.0/8", "12.0.0.0/7", "192.0.0.0/8"]),
        ("a bucket", &["10.1.0.0/17"]),
        ("adjacent", &["10.0.0.0/9", "10.128.0.0/9"]),
        ("nested", &["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32"]),
        ("nested, inside out", &["10.1.1.1/32", "10.1.1.0/24", "10.1.0.0/16", "10.0.0.0/8"]),
        ("twice", &["192.0.2.0/24", "192.0.2.0/24"]),
        ("overlapping at the end", &["192.0.2.0/24", "192.0.2.128/25", "192.0.3.0/25"]),
        ("a hole of one address", &["192.0.2.0/32", "192.0.2.2/32"]),
    ];
    for (name, list) in cases {
        check(name, &prefixes(list));
    }
}

#[test]
fn an_octet_has_a_line_until_it_has_a_block() {
    for count in 1..=18 {
        let list = boundaries(count, 0x0a00_0000, 24);
        let built = check(&format!("{count} boundaries in an octet"), &list);
        // Beyond 16 the boundaries lie in one bucket's words.
        let block = if count <= 16 { 0 } else { BLOCK_LINES };
        assert_eq!(built.v4.len() as u32, ROOT_LINES + block + 1, "{count} boundaries");
    }
}

#[test]
fn a_bucket_has_words_until_it_has_lines() {
    let crowd = boundaries(16, 0x0aff_0000, 15);
    for count in 1..=100 {
        let list = [boundaries(count, 0x0a01_8000, 15), crowd.clone()].concat();
        let built = check(&format!("{count} boundaries in a bucket"), &list);
        // The other bucket's four words take what room is left in the last line of words.
        let lines = match count {
            ..=16 => 1,
            17..=32 => 2,
            _ => 1 + count.div_ceil(32) + 1,
        };
        assert_eq!(built.v4.len() as u32, ROOT_LINES + BLOCK_LINES + lines, "{count} boundaries");
    }
}

#[test]
fn buckets_of_every_size_share_lines() {
    let list: Vec<IpNet> =
        (0..64).flat_map(|bucket| boundaries(bucket % 40 + 1, 0x0a00_0000 + (bucket << 15), 15)).collect();
    check("buckets of 1 to 40 boundaries", &list);
    let list: Vec<IpNet> =
        (0..64).rev().flat_map(|bucket| boundaries(bucket % 40 + 1, 0x0a00_0000 + (bucket << 15), 15)).collect();
    check("the same, written backwards", &list);
}

#[test]
fn every_second_address_of_a_bucket() {
    for (name, first) in [("from the first on", 0), ("from the second on", 1)] {
        let list: Vec<IpNet> = (0..1 << 14).map(|nth| net(0x0a01_8000 + first + 2 * nth, 32)).collect();
        let built = check(name, &list);
        // The line that says how many follow, and those.
        assert_eq!(built.v4.len() as u32, ROOT_LINES + BLOCK_LINES + 1 + (1 << 15) / 32, "{name}");
    }
}

#[test]
fn every_octet_and_bucket_border() {
    let octets: Vec<IpNet> = (0..256).step_by(2).map(|octet| net(octet << 24, 8)).collect();
    check("every second octet", &octets);
    let buckets: Vec<IpNet> = (0..512).step_by(2).map(|bucket| net(0x0a00_0000 + (bucket << 15), 17)).collect();
    check("every second bucket", &buckets);
    let edges: Vec<IpNet> = (1..512).map(|bucket| net(0x0a00_0000 + (bucket << 15) - 1, 32)).collect();
    check("every bucket's last address", &edges);
    let edges: Vec<IpNet> = (0..512).map(|bucket| net(0x0a00_0000 + (bucket << 15), 32)).collect();
    check("every bucket's first address", &edges);
}
