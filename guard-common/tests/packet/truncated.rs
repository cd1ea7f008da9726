//! Every truncation of good frames.

use guard_common::packet::{Packet, Parsed, protocol};

use crate::{
    build::{
        Family, PPPOE_SESSION, PROVIDER_VLAN, V4_MORE, VLAN, ethernet, fragment_header, pppoe, tagged, tcp, udp, v4,
        v6, v6_chain,
    },
    bytes::{Reading, read},
};

/// Frames that declare a length at which they end.
fn good_frames() -> Vec<(String, Vec<u8>)> {
    let every_extension = [
        protocol::HOP_BY_HOP,
        protocol::DESTINATION_OPTIONS,
        protocol::ROUTING,
        protocol::FRAGMENT,
        protocol::AH,
        protocol::MOBILITY,
        protocol::HIP,
        protocol::SHIM6,
    ];
    let options = [148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];
    let v6_fragment = |offset, more| {
        v6(protocol::FRAGMENT, &[&fragment_header(protocol::UDP, offset, more)[..], &udp(1_480, &[1; 8])].concat())
    };
    let packets = [
        ("IPv4 TCP with options", Family::V4, v4(&[], 0, protocol::TCP, &tcp(8, &[1; 20]))),
        ("IPv4 UDP behind options", Family::V4, v4(&options, 0, protocol::UDP, &udp(12, b"data"))),
        ("IPv4 ICMP", Family::V4, v4(&[], 0, protocol::ICMP, &[8; 12])),
        ("IPv4 IGMP", Family::V4, v4(&options[..4], 0, protocol::IGMP, &[0x16; 8])),
        ("IPv4 GRE", Family::V4, v4(&[], 0, 47, &[0; 8])),
        ("IPv4 first fragment", Family::V4, v4(&[], V4_MORE, protocol::UDP, &udp(1_480, &[1; 8]))),
        ("IPv4 later fragment", Family::V4, v4(&[], 3, protocol::TCP, &[1; 16])),
        ("IPv6 TCP", Family::V6, v6(protocol::TCP, &tcp(6, &[1; 8]))),
        ("IPv6 UDP", Family::V6, v6(protocol::UDP, &udp(12, b"data"))),
        ("IPv6 ICMPv6", Family::V6, v6(protocol::ICMPV6, &[135; 24])),
        ("IPv6 TCP behind every extension", Family::V6, v6_chain(&every_extension, protocol::TCP, &tcp(5, b"data"))),
        ("IPv6 ESP", Family::V6, v6_chain(&every_extension[..2], protocol::ESP, &[0; 8])),
        ("IPv6 first fragment", Family::V6, v6_fragment(0, true)),
        ("IPv6 later fragment", Family::V6, v6_fragment(1_480, false)),
    ];
    packets.into_iter().flat_map(|(name, family, packet)| within_links(name, family, &packet)).collect()
}

fn within_links(name: &str, family: Family, packet: &[u8]) -> [(String, Vec<u8>); 5] {
    let number = family.ppp_number();
    let session = pppoe(&[&[0, number][..], packet].concat());
    let compressed = pppoe(&[&[number][..], packet].concat());
    [
        (name.to_owned(), family.frame(packet)),
        (format!("{name}, one tag"), tagged(&[VLAN], family.ether_type(), packet)),
        (format!("{name}, two tags"), tagged(&[PROVIDER_VLAN, VLAN], family.ether_type(), packet)),
        (format!("{name}, PPPoE"), ethernet(PPPOE_SESSION, &session)),
        (format!("{name}, PPPoE compressed, two tags"), tagged(&[PROVIDER_VLAN, VLAN], PPPOE_SESSION, &compressed)),
    ]
}

#[test]
fn every_shorter_frame_is_malformed() {
    for (name, frame) in good_frames() {
        let whole = read(&frame);
        assert_eq!(whole.parsed, Parsed::Ip, "{name}");
        for length in 0..frame.len() {
            let cut = read(&frame[..length]);
            assert_eq!(cut.parsed, Parsed::Malformed, "{name}, {length} of {} bytes", frame.len());
            assert!(says_no_more_than(&cut.packet, &whole.packet), "{name}, {length} bytes: {cut:?}");
        }
    }
}

#[test]
fn every_longer_frame_is_the_same() {
    for (name, frame) in good_frames() {
        let whole = read(&frame);
        for padding in 0..=64 {
            let Reading { parsed, packet } = read(&[&frame[..], &vec![0xff; padding]].concat());
            assert_eq!((parsed, packet), (whole.parsed, whole.packet), "{name}, {padding} bytes behind it");
        }
    }
}

/// Tells whether what was read from a cut frame is right as far as it goes: a block event shows it.
fn says_no_more_than(cut: &Packet, whole: &Packet) -> bool {
    if cut.version == 0 {
        return *cut == Packet::default();
    }
    (cut.version, cut.source, cut.destination, cut.hop_limit)
        == (whole.version, whole.source, whole.destination, whole.hop_limit)
        && (cut.length == 0 || cut.length == whole.length)
        && (cut.source_port, cut.destination_port) == (0, 0)
        && (cut.tcp_flags, cut.message_type) == (0, 0)
}
