//! The parser beside etherparse on random frames.

use std::collections::BTreeMap;

use guard_common::packet::Parsed;

use crate::{
    bytes::{Reading, read},
    compare::compare,
    difference::Difference,
    generate,
    random::Random,
};

const FRAMES: usize = 250_000;
const SEED: u64 = 0x6775_6172_6431;

/// Random frames are worth something only if many of them get through to each answer.
const LEAST_OF_EACH: usize = FRAMES / 50;

#[test]
fn disagreements_are_known_differences() {
    println!("seed {SEED:#x}, {FRAMES} frames");
    let mut random = Random::new(SEED);
    let mut differences = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for _ in 0..FRAMES {
        let frame = generate::frame(&mut random);
        if let Some(difference) = compare(&frame) {
            *differences.entry(difference).or_insert(0) += 1;
        }
        *answers.entry(kind(&read(&frame))).or_insert(0) += 1;
    }
    println!("{answers:?}\n{differences:?}");
    let stale: Vec<_> = Difference::ALL.into_iter().filter(|known| !differences.contains_key(known)).collect();
    assert!(stale.is_empty(), "differences that explain no disagreement any more: {stale:?}");
    for kind in ["IPv4", "IPv6", "no IP packet", "malformed"] {
        assert!(answers.get(kind).is_some_and(|&count| count >= LEAST_OF_EACH), "{kind} is rare: {answers:?}");
    }
}

fn kind(reading: &Reading) -> &'static str {
    match (reading.parsed, reading.packet.version) {
        (Parsed::Ip, 4) => "IPv4",
        (Parsed::Ip, _) => "IPv6",
        (Parsed::NotIp(_), _) => "no IP packet",
        (Parsed::Malformed, _) => "malformed",
    }
}
