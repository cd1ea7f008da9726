//! Tables in memory.

use guard_common::{
    address::Address,
    prefix::{self, Line},
};

/// What a reader must not take for part of anything.
pub(crate) const JUNK: Line = [0xa5a5_a5a5_a5a5_a5a5; 8];

/// Tells whether an odd number of the boundaries, which are in order, is at or below a number.
pub(crate) fn is_member<T: PartialOrd>(boundaries: &[T], number: T) -> bool {
    boundaries.partition_point(|boundary| *boundary <= number) % 2 == 1
}

/// Asks a set for addresses, and then the same set with lines missing from the end: such a set holds nothing more.
pub(crate) fn check(name: &str, lines: &[Line], version: u8, expected: impl IntoIterator<Item = (Address, bool)>) {
    const BEFORE: u32 = 3;
    let shifted = [&[JUNK; BEFORE as usize], lines].concat();
    for (address, is_member) in expected {
        let holds = |lines: &[Line]| prefix::contains(&lines, BEFORE, version, address);
        assert_eq!(holds(&shifted), is_member, "{name}: {address}");
        for left in 0..shifted.len() {
            assert!(is_member || !holds(&shifted[..left]), "{name}: {address}, {left} lines left");
        }
        assert!(!holds(&shifted[..BEFORE as usize]), "{name}: {address}, no line left");
    }
}
