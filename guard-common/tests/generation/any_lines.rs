//! The reader on lines that nobody wrote for it: it answers, and soon.

use std::cell::Cell;

use guard_common::{
    address::Address,
    generation::{FirstLines, Generation, Head, SETS},
    prefix::{self, Line, Lines},
};
use proptest::prelude::*;
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::random::Random;

/// Lines that a look-up may read: IPv6's top, levels and halvings, and some.
const READS_MAX: u32 = 48;

/// The same lines over and over: no index misses.
struct Endless<'a> {
    lines: &'a [Line],
    reads: Cell<u32>,
}

impl Lines for Endless<'_> {
    fn line(&self, index: u32) -> Option<&Line> {
        self.reads.set(self.reads.get() + 1);
        self.lines.get(index as usize % self.lines.len())
    }
}

/// Returns a word, which often looks like a part of a table.
fn word(random: &mut Random) -> u64 {
    let entry = |random: &mut Random| (random.below(64) << 4 | random.below(16)) as u64;
    match random.below(6) {
        0 => random.number(),
        1 => entry(random) | entry(random) << 32,
        2 => (random.below(64) | random.below(64) << 32) as u64,
        3 => random.below(9) as u64,
        4 => u64::MAX,
        // Mixed intervals, whose group lies somewhere.
        _ => random.number() << 16 | 0xaaaa,
    }
}

fn tables() -> impl Strategy<Value = Vec<Line>> {
    (any::<u64>(), 1..64_usize).prop_map(|(seed, lines)| {
        let mut random = Random::new(seed);
        (0..lines).map(|_| std::array::from_fn(|_| word(&mut random))).collect()
    })
}

fn addresses() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(high, low)| Address { high, low }),
        any::<[u8; 4]>().prop_map(Address::from_v4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn any_table_can_be_read(lines in tables(), first_line: u32, near in 0..64_u32, address in addresses()) {
        for version in [4, 6, 0] {
            for first_line in [first_line, near, u32::MAX] {
                prefix::contains(&&lines[..], first_line, version, address);
                let endless = Endless { lines: &lines, reads: Cell::new(0) };
                prefix::contains(&endless, first_line, version, address);
                let reads = endless.reads.get();
                prop_assert!((1..=READS_MAX).contains(&reads), "{reads} lines read");
            }
        }
    }

    #[test]
    fn any_generation_can_be_asked(near in tables(), far in tables(), firsts in any::<(u32, u32)>(), bytes: [u8; 64], address in addresses()) {
        let mut head = Box::new(Head::new_zeroed());
        head.header.as_mut_bytes().copy_from_slice(&bytes);
        for (place, line) in head.near.iter_mut().zip(near.iter().cycle()) {
            *place = *line;
        }
        head.sets.fill(FirstLines { v4: firsts.0, v6: firsts.1 });
        let generation = Generation { head: &head, far: &far[..] };
        for set in 0..SETS + 2 {
            for version in [4, 6] {
                let is_member = generation.holds(set, version, address);
                prop_assert!(set < SETS || !is_member);
            }
        }
        generation.malformed_mode();
        for service in 0..=u8::MAX {
            generation.mode(service);
        }
    }
}
