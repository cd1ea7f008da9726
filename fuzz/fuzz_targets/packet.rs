//! Any bytes as a frame: the parser's invariants hold, etherparse agrees but for the known differences, and a packet quoted by an
//! ICMP error is read like the packet itself.

#![no_main]

#[path = "../../guard-common/tests/packet/build.rs"]
#[allow(dead_code, reason = "the named cases build more frames")]
mod build;
#[path = "../../guard-common/tests/packet/bytes.rs"]
mod bytes;
#[path = "../../guard-common/tests/packet/compare.rs"]
mod compare;
#[path = "../../guard-common/tests/packet/difference.rs"]
#[allow(dead_code, reason = "only a test of a fixed length asks for all")]
mod difference;
#[path = "../../guard-common/tests/packet/generate.rs"]
mod generate;
#[path = "../../guard-common/tests/packet/invariants.rs"]
mod invariants;
#[path = "../../guard-common/tests/packet/oracle.rs"]
mod oracle;
#[path = "../../guard-common/tests/packet/quotes.rs"]
mod quotes;
#[path = "../../guard-common/tests/packet/random.rs"]
mod random;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// Mutations of which one starts over from a generated frame: libFuzzer alone takes long to find an IPv6 header.
const MUTATIONS_PER_GENERATED: u32 = 64;

fuzz_target!(|frame: &[u8]| {
    invariants::check(frame);
    compare::compare(frame);
    quotes::check(frame);
});

fuzz_mutator!(|frame: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !seed.is_multiple_of(MUTATIONS_PER_GENERATED) {
        return fuzzer_mutate(frame, size, max_size);
    }
    let generated = generate::frame(&mut random::Random::new(seed.into()));
    let length = generated.len().min(max_size);
    frame[..length].copy_from_slice(&generated[..length]);
    length
});
