//! Indices and requests that the kernel program and the daemon must understand alike.

use std::collections::BTreeSet;

use guard_common::{
    address::Address,
    policy::{Mode, REASONS_MAX, Reason, SERVICES_MAX},
    records::{ADDRESS_WORDS, COUNTERS_LENGTH, FlushRequest, PORT_WORDS, address_bit, counter_index, port_bit},
    request::{OFFSET, Request as _},
};
use proptest::prelude::*;
use zerocopy::FromBytes as _;

#[test]
fn every_service_mode_and_reason_has_a_counter_of_its_own() {
    let mut taken = BTreeSet::new();
    for service in 0..=SERVICES_MAX as u8 {
        for mode in Mode::ALL {
            for reason in Reason::ALL {
                let case = format!("service {service}, {mode:?}, {reason:?}");
                let index = counter_index(service, mode as u32, reason as u8);
                assert!((index as usize) < COUNTERS_LENGTH, "{case}: {index}");
                assert!(taken.insert(index), "{case}: {index}");
                let (row, number) = (index as usize / REASONS_MAX, index as usize % REASONS_MAX);
                assert_eq!(
                    (row / Mode::ALL.len(), row % Mode::ALL.len()),
                    (usize::from(service), mode as usize),
                    "{case}"
                );
                assert_eq!(Reason::from_number(number as u8), Some(reason), "{case}");
            }
        }
    }
}

#[test]
fn every_port_has_a_port_bit_of_its_own() {
    let mut taken = BTreeSet::new();
    for tcp in [true, false] {
        for port in 0..=u16::MAX {
            let (word, bit) = port_bit(tcp, port);
            assert!((word as usize) < PORT_WORDS && bit.is_power_of_two(), "TCP {tcp}, {port}: {word}, {bit:#x}");
            assert!(taken.insert((word, bit)), "TCP {tcp}, {port}: {word}, {bit:#x}");
        }
    }
}

#[test]
fn address_bits_tell_neighbours_apart() {
    let used: BTreeSet<_> = (0..=u8::MAX).map(|last| address_bit(Address::from_v4([192, 0, 2, last]))).collect();
    assert!(used.len() > 230, "{}", used.len());
}

proptest! {
    #[test]
    fn an_address_has_one_bit(high: u64, low: u64) {
        let (word, bit) = address_bit(Address { high, low });
        prop_assert!((word as usize) < ADDRESS_WORDS && bit.is_power_of_two(), "{word}, {bit:#x}");
    }

    #[test]
    fn flush_requests_read_as_they_were_written(first_set: u32, age_ms: u32) {
        let request = FlushRequest { first_set, age_ms };
        let frame = request.to_frame();
        let (read, _) = FlushRequest::read_from_prefix(&frame[OFFSET..]).expect("the request lies within its frame");
        prop_assert_eq!(read, request);
    }
}
