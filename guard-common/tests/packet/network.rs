//! Named cases of the IP header: its lengths, IPv4 options, protocols that nobody looks into.

use guard_common::packet::{Packet, protocol};

use crate::{
    build::{ETHERNET_HEADER, Family, patched, shortened, tcp, v4},
    table::{
        Expected::{Ip, Malformed},
        check,
    },
};

#[test]
fn the_declared_length_is_the_packets() {
    for family in Family::BOTH {
        let packet = family.packet(protocol::TCP, &tcp(5, b"payload"));
        let whole = Ip(family.expected_ports(protocol::TCP, packet.len()));
        let frame = family.frame(&packet);
        let not_declared = packet.len() as u16 - family.declared_length(&packet);
        let with_length = |length: usize| {
            let field = (length as u16 - not_declared).to_be_bytes();
            patched(frame.clone(), ETHERNET_HEADER + family.length_field(), &field)
        };
        let header = family.header_length();
        check(
            &format!("length, {family:?}"),
            [
                ("of the frame", with_length(packet.len()), whole),
                ("one beyond the frame", with_length(packet.len() + 1), Malformed),
                ("of 65,535", with_length(65_535), Malformed),
                ("below the frame", [frame.clone(), vec![0xff; 20]].concat(), whole),
                (
                    "without the last byte",
                    with_length(packet.len() - 1),
                    Ip(family.expected_ports(protocol::TCP, packet.len() - 1)),
                ),
                ("within the TCP header", with_length(header + 19), Malformed),
                ("of the IP header", with_length(header), Malformed),
                ("one byte short of what is declared", shortened(frame.clone(), 1), Malformed),
                ("headers alone", frame[..ETHERNET_HEADER + header].to_vec(), Malformed),
                ("a header cut", frame[..ETHERNET_HEADER + header - 1].to_vec(), Malformed),
            ],
        );
    }
}

#[test]
fn v4_headers_must_fit_the_packet() {
    let packet = v4(&[1; 40], 0, protocol::TCP, &tcp(5, b""));
    let frame = |words: u8, length: u16| {
        let [high, low] = length.to_be_bytes();
        Family::V4.frame(&patched(packet.clone(), 0, &[0x40 | words, 0, high, low]))
    };
    check("header length", (0..5).map(|words| (format!("IHL {words}"), frame(words, 80), Malformed)));
    let whole = Ip(Family::V4.expected_ports(protocol::TCP, 80));
    check(
        "header length",
        [
            ("IHL 15", frame(15, 80), whole),
            ("total length 0", frame(15, 0), Malformed),
            ("total length 0, IHL 5", frame(5, 0), Malformed),
            ("total length 19, IHL 5", frame(5, 19), Malformed),
            ("total length one below the header", frame(15, 59), Malformed),
            ("total length of the header", frame(15, 60), Malformed),
            (
                "a header and nothing behind it",
                Family::V4.frame(&v4(&[1; 40], 0, 132, b"")),
                Ip(Family::V4.expected(132, 60)),
            ),
            ("options past the frame", frame(15, 80)[..ETHERNET_HEADER + 59].to_vec(), Malformed),
        ],
    );
}

#[test]
fn a_v6_packet_may_have_no_payload() {
    let family = Family::V6;
    let nothing = Ip(family.expected(protocol::NO_NEXT_HEADER, 40));
    check(
        "payload length 0",
        [
            ("no next header", family.frame(&family.packet(protocol::NO_NEXT_HEADER, b"")), nothing),
            (
                "bytes behind it are no part of the packet",
                [family.frame(&family.packet(protocol::NO_NEXT_HEADER, b"")), tcp(5, b"")].concat(),
                nothing,
            ),
            ("TCP", [family.frame(&family.packet(protocol::TCP, b"")), tcp(5, b"")].concat(), Malformed),
            (
                "hop-by-hop options, as in a jumbogram",
                [family.frame(&family.packet(protocol::HOP_BY_HOP, b"")), vec![6, 0, 0xc2, 4, 0, 1, 0, 0]].concat(),
                Malformed,
            ),
        ],
    );
}

#[test]
fn a_length_of_zero_is_the_frames_where_the_field_is_too_small() {
    for family in Family::BOTH {
        let field_counts_from = match family {
            Family::V4 => 0,
            Family::V6 => family.header_length(),
        };
        let of_length = |length: usize| {
            let segment = tcp(5, &vec![0; length - family.header_length() - 20]);
            patched(
                family.frame(&family.packet(protocol::TCP, &segment)),
                ETHERNET_HEADER + family.length_field(),
                &[0, 0],
            )
        };
        let first = field_counts_from + 65_536;
        check(
            &format!("BIG TCP, {family:?}"),
            [
                ("the longest that the field can say", of_length(first - 1), Malformed),
                ("one byte longer", of_length(first), Ip(family.expected_ports(protocol::TCP, first))),
                ("512 KiB", of_length(524_288), Ip(family.expected_ports(protocol::TCP, 524_288))),
            ],
        );
    }
}

#[test]
fn v4_options_are_walked() {
    let good: [(&str, &[u8]); 12] = [
        ("none", &[]),
        ("no operation", &[1, 1, 1, 1]),
        ("end", &[0, 0, 0, 0]),
        ("router alert", &[148, 4, 0, 0]),
        ("record route", &[7, 7, 4, 0, 0, 0, 0, 0]),
        ("timestamp", &[68, 8, 5, 0, 0, 0, 0, 0]),
        ("two, with no operation between", &[148, 4, 0, 0, 1, 1, 148, 4, 0, 0, 1, 1]),
        ("length 2", &[130, 2, 1, 1]),
        ("unknown", &[0x5e, 4, 0xff, 0xff]),
        ("up to the last byte", &[1, 134, 3, 0]),
        ("source route behind the end", &[0, 131, 3, 4]),
        ("fault behind the end", &[1, 0, 148, 0]),
    ];
    let bad: [(&str, &[u8]); 15] = [
        ("loose source route", &[131, 7, 4, 192, 0, 2, 9, 0]),
        ("strict source route", &[137, 7, 4, 192, 0, 2, 9, 0]),
        ("source route behind no operation", &[1, 1, 131, 3, 4, 0, 0, 0]),
        ("source route behind another option", &[148, 4, 0, 0, 137, 3, 4, 0]),
        ("source route as the last byte", &[1, 1, 1, 131]),
        ("source route of length 0", &[131, 0, 0, 0]),
        ("length 0", &[148, 0, 0, 0]),
        ("length 1", &[148, 1, 0, 0]),
        ("length 0 at the end", &[1, 1, 148, 0]),
        ("no length", &[1, 1, 1, 148]),
        ("one byte past the header", &[148, 5, 0, 0]),
        ("far past the header", &[148, 255, 0, 0]),
        ("the second past the header", &[148, 4, 0, 0, 7, 5, 4, 0]),
        ("no length behind 39 no operations", &{
            let mut options = [1; 40];
            options[39] = 7;
            options
        }),
        ("source route behind 37 no operations", &{
            let mut options = [1; 40];
            options[37] = 131;
            options
        }),
    ];
    let frame = |options: &[u8]| Family::V4.frame(&v4(options, 0, protocol::TCP, &tcp(5, &[2; 8])));
    let whole = |options: &[u8]| Ip(Family::V4.expected_ports(protocol::TCP, 48 + options.len()));
    check("options", good.map(|(name, options)| (name, frame(options), whole(options))));
    check("options", bad.map(|(name, options)| (name, frame(options), Malformed)));
}

#[test]
fn other_protocols_are_not_read() {
    let tunnels = [("IPIP", 4), ("6in4", 41), ("GRE", 47), ("ESP", protocol::ESP), ("SCTP", 132), ("reserved", 255)];
    for family in Family::BOTH {
        check(
            &format!("protocol, {family:?}"),
            tunnels.into_iter().flat_map(|(name, number)| {
                let packet = |payload: &[u8]| family.frame(&family.packet(number, payload));
                let expected = |length: usize| Ip(family.expected(number, family.header_length() + length));
                [
                    (format!("{name} without a payload"), packet(b""), expected(0)),
                    (format!("{name} with what might be ports"), packet(&tcp(5, b"")), expected(20)),
                ]
            }),
        );
    }
}

#[test]
fn extension_headers_are_not_walked_in_v4() {
    let kinds = [
        protocol::HOP_BY_HOP,
        protocol::ROUTING,
        protocol::FRAGMENT,
        protocol::AH,
        protocol::DESTINATION_OPTIONS,
        protocol::MOBILITY,
        protocol::HIP,
        protocol::SHIM6,
        protocol::NO_NEXT_HEADER,
    ];
    check(
        "extension headers in IPv4",
        kinds.map(|kind| {
            let payload = [vec![protocol::TCP, 0, 0, 0, 0, 0, 0, 0], tcp(5, b"")].concat();
            let frame = Family::V4.frame(&Family::V4.packet(kind, &payload));
            (format!("{kind}"), frame, Ip(Family::V4.expected(kind, 48)))
        }),
    );
}

#[test]
fn hop_limit_and_addresses_are_taken_as_they_are() {
    for family in Family::BOTH {
        let packet = family.packet(132, b"");
        let (hop_limit_place, addresses_place) = match family {
            Family::V4 => (8, 12),
            Family::V6 => (7, 8),
        };
        for hop_limit in [0, 1, 255] {
            let frame = family.frame(&patched(packet.clone(), hop_limit_place, &[hop_limit]));
            let expected = Packet { hop_limit, ..family.expected(132, family.header_length()) };
            check("hop limit", [(format!("{family:?}, {hop_limit}"), frame, Ip(expected))]);
        }
        let length = family.header_length() - addresses_place;
        let (source, destination) = packet[addresses_place..].split_at(length / 2);
        let swapped = family.frame(&patched(packet.clone(), addresses_place, &[destination, source].concat()));
        let whole = family.expected(132, family.header_length());
        let expected = Packet { source: whole.destination, destination: whole.source, ..whole };
        check("addresses", [(format!("{family:?}, swapped"), swapped, Ip(expected))]);
    }
}
