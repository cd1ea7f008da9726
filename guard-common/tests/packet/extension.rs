//! Named cases of IPv6's extension headers.

use guard_common::packet::{Fragment, Packet, protocol};

use crate::{
    build::{ETHERNET_HEADER, Family, extension, fragment_header, patched, shortened, tcp, v6, v6_chain},
    table::{
        Expected::{self, Ip, Malformed},
        check,
    },
};

const KINDS: [(&str, u8); 8] = [
    ("hop-by-hop", protocol::HOP_BY_HOP),
    ("routing", protocol::ROUTING),
    ("fragment", protocol::FRAGMENT),
    ("AH", protocol::AH),
    ("destination", protocol::DESTINATION_OPTIONS),
    ("mobility", protocol::MOBILITY),
    ("HIP", protocol::HIP),
    ("shim6", protocol::SHIM6),
];

/// Offset of the first extension header in a frame.
const FIRST: usize = ETHERNET_HEADER + 40;

#[test]
fn each_header_is_walked() {
    for (name, kind) in KINDS {
        let alone = v6_chain(&[kind], protocol::NO_NEXT_HEADER, b"");
        let before_tcp = v6_chain(&[kind], protocol::TCP, &tcp(5, b""));
        let shorter_length = patched(frame(&alone), ETHERNET_HEADER + 4, &[0, alone.len() as u8 - 41]);
        check(
            name,
            [
                ("before TCP", frame(&before_tcp), tcp_in(&before_tcp)),
                ("before nothing", frame(&alone), other_in(protocol::NO_NEXT_HEADER, &alone)),
                ("before TCP that is cut", frame(&v6_chain(&[kind], protocol::TCP, &tcp(5, b"")[..19])), Malformed),
                ("past the frame", shortened(frame(&alone), 1), Malformed),
                ("past the packet", shorter_length, Malformed),
                ("missing", frame(&v6(kind, b"")), Malformed),
                ("seven bytes", frame(&v6(kind, &[protocol::NO_NEXT_HEADER; 7])), Malformed),
            ],
        );
    }
}

#[test]
fn lengths_are_in_units_of_eight_bytes() {
    let kinds = KINDS.into_iter().filter(|(_, kind)| !matches!(*kind, protocol::FRAGMENT | protocol::AH));
    check(
        "length",
        kinds.flat_map(|(name, kind)| {
            let of_units = |units: u8, bytes: usize| {
                let mut header = vec![1; bytes];
                header[..3].copy_from_slice(&[protocol::TCP, units, 2]);
                [header, tcp(5, b"")].concat()
            };
            let good = |units: u8| v6(kind, &of_units(units, (units as usize + 1) * 8));
            let too_long = |units: u8| v6(kind, &of_units(units, (units as usize + 1) * 8 - 21));
            [
                (format!("{name}, 16 bytes"), frame(&good(1)), tcp_in(&good(1))),
                (format!("{name}, 2,048 bytes"), frame(&good(255)), tcp_in(&good(255))),
                (format!("{name}, 24 bytes where there are 23"), frame(&too_long(2)), Malformed),
                (format!("{name}, 2,048 bytes where there are 2,047"), frame(&too_long(255)), Malformed),
            ]
        }),
    );
}

#[test]
fn ah_lengths_are_in_units_of_four_bytes() {
    let with_length = |length: u8, bytes: usize| {
        let mut header = vec![0; bytes];
        header[..2].copy_from_slice(&[protocol::TCP, length]);
        v6(protocol::AH, &[header, tcp(5, b"")].concat())
    };
    let good = [(0, 8), (1, 12), (2, 16), (4, 24), (255, 1028)];
    check(
        "AH",
        good.map(|(length, bytes)| {
            let packet = with_length(length, bytes);
            (format!("length {length}"), frame(&packet), tcp_in(&packet))
        }),
    );
    check(
        "AH",
        [
            ("one unit too long for TCP", frame(&with_length(5, 24)), Malformed),
            ("longer than the packet", frame(&with_length(12, 24)), Malformed),
            ("the longest in a short packet", frame(&with_length(255, 24)), Malformed),
        ],
    );
}

#[test]
fn the_ninth_header_is_malformed() {
    let chains = [
        ("all kinds", KINDS.map(|(_, kind)| kind)),
        ("destination options", [protocol::DESTINATION_OPTIONS; 8]),
        ("hop-by-hop options", [protocol::HOP_BY_HOP; 8]),
        ("AH", [protocol::AH; 8]),
        ("atomic fragments", [protocol::FRAGMENT; 8]),
    ];
    for (name, eight) in chains {
        let packet = v6_chain(&eight, protocol::TCP, &tcp(5, b""));
        let seven = v6_chain(&eight[1..], protocol::TCP, &tcp(5, b""));
        check(name, [("seven", frame(&seven), tcp_in(&seven)), ("eight", frame(&packet), tcp_in(&packet))]);
        check(
            name,
            KINDS.map(|(ninth_name, ninth)| {
                let nine = [&eight[..], &[ninth]].concat();
                (format!("and {ninth_name}"), frame(&v6_chain(&nine, protocol::TCP, &tcp(5, b""))), Malformed)
            }),
        );
        for end in [protocol::NO_NEXT_HEADER, protocol::ESP, 132] {
            let packet = v6_chain(&eight, end, b"");
            check(name, [(format!("eight and {end}"), frame(&packet), other_in(end, &packet))]);
        }
    }
    let later = |before: usize| {
        let packet = v6_chain(&vec![protocol::DESTINATION_OPTIONS; before], protocol::FRAGMENT, b"");
        let payload = [&packet[40..], &fragment_header(protocol::TCP, 1_400, false)].concat();
        v6(protocol::DESTINATION_OPTIONS, &payload)
    };
    let eighth = Packet { fragment: Fragment::Later, ..Family::V6.expected(protocol::TCP, later(7).len()) };
    check(
        "the header of a later fragment",
        [("is the eighth", frame(&later(7)), Ip(eighth)), ("is the ninth", frame(&later(8)), Malformed)],
    );
}

#[test]
fn routing_of_type_0_is_malformed() {
    let of_type = |kind: u8| {
        let mut header = extension(protocol::ROUTING, protocol::TCP);
        header[2] = kind;
        v6(protocol::ROUTING, &[header, tcp(5, b"")].concat())
    };
    let hidden = v6_chain(&[protocol::DESTINATION_OPTIONS, protocol::ROUTING], protocol::TCP, &tcp(5, b""));
    check(
        "routing",
        [
            ("type 0", frame(&of_type(0)), Malformed),
            ("type 0 behind another header", patched(frame(&hidden), FIRST + 8 + 2, &[0]), Malformed),
            ("type 2, of another header", patched(frame(&hidden), FIRST + 2, &[0]), tcp_in(&hidden)),
        ],
    );
    check(
        "routing",
        [1, 2, 3, 4, 255].map(|kind| (format!("type {kind}"), frame(&of_type(kind)), tcp_in(&of_type(kind)))),
    );
}

#[test]
fn esp_and_no_next_header_end_the_walk() {
    for (name, end) in [("ESP", protocol::ESP), ("no next header", protocol::NO_NEXT_HEADER)] {
        let first = v6(end, &tcp(5, b""));
        let behind = v6_chain(&[protocol::HOP_BY_HOP, protocol::DESTINATION_OPTIONS], end, &tcp(5, b""));
        check(
            name,
            [
                ("at once", frame(&first), other_in(end, &first)),
                ("behind others", frame(&behind), other_in(end, &behind)),
                ("and no byte behind it", frame(&v6(end, b"")), other_in(end, &v6(end, b""))),
            ],
        );
    }
}

#[test]
fn fragment_headers_are_always_eight_bytes() {
    let atomic = |reserved: u8, flags: u8| {
        let mut header = fragment_header(protocol::TCP, 0, false);
        header[1] = reserved;
        header[3] |= flags;
        v6(protocol::FRAGMENT, &[&header[..], &tcp(5, b"")].concat())
    };
    check(
        "atomic fragment",
        [
            ("plain", frame(&atomic(0, 0)), tcp_in(&atomic(0, 0))),
            ("reserved byte like a length", frame(&atomic(7, 0)), tcp_in(&atomic(7, 0))),
            ("reserved bits", frame(&atomic(0, 0b110)), tcp_in(&atomic(0, 0b110))),
        ],
    );
}

#[test]
fn a_second_fragment_header_does_not_undo_the_first() {
    let chain = |headers: [(u16, bool); 2]| {
        let [(first, first_more), (second, second_more)] = headers;
        let outer = fragment_header(protocol::FRAGMENT, first, first_more);
        let inner = fragment_header(protocol::UDP, second, second_more);
        let payload = [&outer[..], &inner, &crate::build::udp(8, b"")].concat();
        v6(protocol::FRAGMENT, &payload)
    };
    let read = |headers, protocol, fragment| {
        let packet = chain(headers);
        let base = match fragment {
            Fragment::Later => Family::V6.expected(protocol, packet.len()),
            _ => Family::V6.expected_ports(protocol, packet.len()),
        };
        (frame(&packet), Ip(Packet { fragment, ..base }))
    };
    let cases = [
        ("atomic, atomic", [(0, false), (0, false)], Some((protocol::UDP, Fragment::Whole))),
        ("atomic, first", [(0, false), (0, true)], Some((protocol::UDP, Fragment::First))),
        ("atomic, later", [(0, false), (8, false)], Some((protocol::UDP, Fragment::Later))),
        ("first, atomic", [(0, true), (0, false)], None),
        ("first, first", [(0, true), (0, true)], None),
        ("first, later", [(0, true), (8, false)], None),
        // What follows a later fragment's header is data from the middle of a packet.
        ("later, atomic", [(8, false), (0, false)], Some((protocol::FRAGMENT, Fragment::Later))),
    ];
    check(
        "two fragment headers",
        cases.map(|(name, headers, answer)| {
            let (frame, expected) = match answer {
                Some((protocol, fragment)) => read(headers, protocol, fragment),
                None => (frame(&chain(headers)), Malformed),
            };
            (name, frame, expected)
        }),
    );
}

fn frame(packet: &[u8]) -> Vec<u8> {
    Family::V6.frame(packet)
}

fn tcp_in(packet: &[u8]) -> Expected {
    Ip(Family::V6.expected_ports(protocol::TCP, packet.len()))
}

fn other_in(protocol: u8, packet: &[u8]) -> Expected {
    Ip(Family::V6.expected(protocol, packet.len()))
}
