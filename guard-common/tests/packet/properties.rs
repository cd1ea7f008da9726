//! Properties of the parser.

use guard_common::packet::{Fragment, Parsed, protocol};
use proptest::prelude::*;

use crate::{
    build::ETHERNET_HEADER,
    bytes::{Recorded, read, read_frame},
    generate, invariants, quotes,
    random::Random,
};

/// Frames of every shape that the generator knows; a seed is a frame.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    any::<u64>().prop_map(|seed| generate::frame(&mut Random::new(seed)))
}

/// Bytes behind an EtherType that the parser looks behind.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let ether_types = prop::sample::select(vec![[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x88, 0xa8], [0x88, 0x64]]);
    (ether_types, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(ether_type, bytes)| {
        let mut frame = vec![0; ETHERNET_HEADER - 2];
        frame.extend(ether_type);
        frame.extend(bytes);
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn invariants_hold_for_noise(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        invariants::check(&frame);
    }

    #[test]
    fn invariants_hold_for_noise_behind_an_ether_type(frame in any_bytes()) {
        invariants::check(&frame);
    }

    #[test]
    fn invariants_hold_for_frames(frame in frames()) {
        invariants::check(&frame);
    }

    #[test]
    fn quotes_are_read_as_packets_are(frame in frames()) {
        quotes::check(&frame);
    }

    #[test]
    fn quotes_in_noise_are_read_as_packets_are(frame in any_bytes()) {
        quotes::check(&frame);
    }

    #[test]
    fn ethernet_addresses_do_not_matter(frame in frames(), addresses: [u8; 12]) {
        let mut other = frame.clone();
        if let Some(place) = other.get_mut(..addresses.len()) {
            place.copy_from_slice(&addresses);
        }
        prop_assert_eq!(read(&other), read(&frame));
    }

    #[test]
    fn any_part_of_a_frame_may_be_out_of_reach(frame in frames(), part in 0.0..1.0, beyond: u32) {
        let readable = &frame[..(frame.len() as f64 * part) as usize];
        let length = (frame.len() as u32).saturating_add(beyond);
        read_frame(&Recorded::with_length(readable, length));
    }

    #[test]
    fn facts_go_together(frame in frames()) {
        let reading = read(&frame);
        let packet = reading.packet;
        if reading.parsed == Parsed::Ip {
            prop_assert!(matches!(packet.version, 4 | 6));
            prop_assert!(packet.length as usize <= frame.len() - ETHERNET_HEADER);
            let names_ports = matches!(packet.protocol, protocol::TCP | protocol::UDP) && packet.fragment != Fragment::Later;
            prop_assert_eq!(packet.has_ports(), names_ports);
            prop_assert!(names_ports || (packet.source_port, packet.destination_port) == (0, 0));
            prop_assert!(packet.tcp_flags == 0 || names_ports && packet.protocol == protocol::TCP);
            let has_type = matches!(
                (packet.version, packet.protocol),
                (4, protocol::ICMP | protocol::IGMP) | (6, protocol::ICMPV6)
            );
            prop_assert!(packet.message_type == 0 || has_type && packet.fragment != Fragment::Later);
            prop_assert!(packet.detail == 0 || has_type && packet.protocol != protocol::IGMP);
        }
        if let Parsed::NotIp(_) = reading.parsed {
            prop_assert_eq!(packet, Default::default());
        }
    }
}
