//! What tables weigh.

use guard_common::prefix::Line;

use super::check_some;
use crate::samples::{Family, Random, Shape, number};

const MIB: usize = 1 << 20;

/// What a list is made of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    V4,
    /// Without prefixes longer than /64.
    V6Networks,
    /// One in six is a /128, alone in its /64.
    V6,
}

/// Returns the bytes that a usual list takes, which is checked here and there.
fn bytes(kind: Kind, size: usize) -> usize {
    let family = if let Kind::V4 = kind { Family::V4 } else { Family::V6 };
    let mut list = Shape::Usual.list(family, size, &mut Random::new(size as u64));
    if let Kind::V6Networks = kind {
        list.iter_mut()
            .filter(|prefix| prefix.prefix_len() > 64)
            .for_each(|prefix| *prefix = family.net(number(prefix.addr()), 64));
    }
    let built = check_some(&format!("{size} usual prefixes, {kind:?}"), &list, 600);
    let bytes = (built.v4.len() + built.v6.len()) * size_of::<Line>();
    println!("{size} prefixes, {kind:?}: {bytes} bytes");
    bytes
}

/// Checks that a usual list takes at most so many bytes.
fn check_sizes(size: usize, cases: [(Kind, usize); 3]) {
    for (kind, most) in cases {
        let bytes = bytes(kind, size);
        assert!(bytes <= most, "{size} prefixes, {kind:?}: {bytes} bytes");
    }
}

#[test]
fn a_handful_takes_little() {
    check_sizes(10, [(Kind::V4, 42 * 64), (Kind::V6Networks, 12 * 64), (Kind::V6, 12 * 64)]);
}

#[test]
fn a_tenth_of_a_million() {
    // The root and blocks of IPv4, a quarter of a MiB, are there whatever the number.
    check_sizes(100_000, [(Kind::V4, 5 * MIB / 4), (Kind::V6Networks, 2 * MIB), (Kind::V6, 2 * MIB)]);
}

#[test]
#[ignore = "takes half a minute without optimisation; `cargo xtask test --long` runs it"]
fn a_million() {
    check_sizes(1_000_000, [(Kind::V4, 8 * MIB), (Kind::V6Networks, 20 * MIB), (Kind::V6, 20 * MIB)]);
}
