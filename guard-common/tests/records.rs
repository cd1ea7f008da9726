//! Indices and requests that the kernel program and the daemon must understand alike.

use std::collections::BTreeSet;

use guard_common::{
    address::Address,
    policy::{REASONS_MAX, Reason, SERVICES_MAX},
    records::{COUNTERS_LENGTH, FlushRequest, address_bit, counter_index},
};
use proptest::prelude::*;

#[test]
fn every_service_and_reason_has_a_counter_of_its_own() {
    let mut taken = BTreeSet::new();
    for service in 0..=SERVICES_MAX as u8 {
        for reason in Reason::ALL {
            let index = counter_index(service, reason as u8);
            assert!((index as usize) < COUNTERS_LENGTH, "service {service}, {reason:?}: {index}");
            assert!(taken.insert(index), "service {service}, {reason:?}: {index}");
            assert_eq!(index as usize / REASONS_MAX, usize::from(service), "{reason:?}");
            assert_eq!(Reason::from_number((index as usize % REASONS_MAX) as u8), Some(reason), "service {service}");
        }
    }
}

#[test]
fn address_bits_tell_neighbours_apart() {
    let bits = (0..=u8::MAX).map(|last| address_bit(Address::from_v4([192, 0, 2, last])));
    let used = bits.fold(0, |all, bit| all | bit);
    assert!(used.count_ones() > 32, "{used:#018x}");
}

proptest! {
    #[test]
    fn an_address_has_one_bit(high: u64, low: u64) {
        prop_assert_eq!(address_bit(Address { high, low }).count_ones(), 1);
    }

    #[test]
    fn flush_requests_read_as_they_were_written(first_set: u32, age_ms: u32) {
        let request = FlushRequest { first_set, age_ms };
        let bytes = request.to_bytes();
        let part = bytes[FlushRequest::OFFSET..].first_chunk().expect("the request lies within its bytes");
        prop_assert_eq!(FlushRequest::from_bytes(*part), request);
    }
}
