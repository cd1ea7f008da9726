//! Named cases of fragments.

use guard_common::packet::{Fragment, Packet, protocol};

use crate::{
    build::{Family, V4_MORE, extension, fragment_header, tcp, udp, v4, v6},
    table::{
        Expected::{self, Ip, Malformed},
        check,
    },
};

/// Offset that no TCP header reaches.
const FAR: u16 = 1_400;

#[test]
fn a_first_fragment_has_its_transport_header_whole() {
    for family in Family::BOTH {
        let control = family.control_protocol();
        let first = |protocol: u8, payload: &[u8]| family.frame(&family.fragment(0, true, protocol, payload));
        let ports = |protocol: u8, length: usize| fragment_with_ports(family, Fragment::First, protocol, length);
        let message = Packet { message_type: 8, ..fragment(family, Fragment::First, control, 8) };
        check(
            &format!("first fragment, {family:?}"),
            [
                ("TCP", first(protocol::TCP, &tcp(5, &[0; 12])), Ip(ports(protocol::TCP, 32))),
                ("TCP, header alone", first(protocol::TCP, &tcp(5, b"")), Ip(ports(protocol::TCP, 20))),
                ("TCP, options whole", first(protocol::TCP, &tcp(15, &[1; 40])), Ip(ports(protocol::TCP, 60))),
                ("TCP, one byte of options missing", first(protocol::TCP, &tcp(15, &[1; 39])), Malformed),
                ("TCP, data offset 4", first(protocol::TCP, &tcp(4, &[0; 12])), Malformed),
                ("TCP, 8 bytes", first(protocol::TCP, &tcp(5, b"")[..8]), Malformed),
                ("TCP, 16 bytes", first(protocol::TCP, &tcp(5, b"")[..16]), Malformed),
                ("TCP, 19 bytes", first(protocol::TCP, &tcp(5, b"")[..19]), Malformed),
                ("TCP, nothing", first(protocol::TCP, b""), Malformed),
                (
                    "UDP, length of the whole datagram",
                    first(protocol::UDP, &udp(1_480, b"")),
                    Ip(ports(protocol::UDP, 8)),
                ),
                ("UDP, length of the fragment", first(protocol::UDP, &udp(16, &[0; 8])), Ip(ports(protocol::UDP, 16))),
                ("UDP, length 7", first(protocol::UDP, &udp(7, b"")), Malformed),
                ("UDP, length 0", first(protocol::UDP, &udp(0, b"")), Malformed),
                ("UDP, 7 bytes", first(protocol::UDP, &udp(1_480, b"")[..7]), Malformed),
                ("control message", first(control, &[8, 0, 0, 0, 0, 0, 0, 0]), Ip(message)),
                ("control message, 7 bytes", first(control, &[8, 0, 0, 0, 0, 0, 0]), Malformed),
                ("no payload of a protocol unread", first(132, b""), Ip(fragment(family, Fragment::First, 132, 0))),
            ],
        );
    }
}

#[test]
fn a_later_fragment_has_no_ports() {
    for family in Family::BOTH {
        let later = |offset: u16, more: bool, protocol: u8, payload: &[u8]| {
            family.frame(&family.fragment(offset, more, protocol, payload))
        };
        let read = |protocol: u8, length: usize| Ip(fragment(family, Fragment::Later, protocol, length));
        check(
            &format!("later fragment, {family:?}"),
            [
                ("TCP", later(FAR, true, protocol::TCP, &tcp(5, b"")), read(protocol::TCP, 20)),
                ("TCP, the last", later(FAR, false, protocol::TCP, &tcp(5, b"")), read(protocol::TCP, 20)),
                ("TCP, one byte", later(FAR, false, protocol::TCP, b"x"), read(protocol::TCP, 1)),
                ("UDP", later(FAR, true, protocol::UDP, &udp(0, b"")), read(protocol::UDP, 8)),
                ("control", later(FAR, true, family.control_protocol(), &[8; 8]), read(family.control_protocol(), 8)),
                ("no payload", later(FAR, false, protocol::UDP, b""), read(protocol::UDP, 0)),
                ("the largest offset", later(65_528, true, protocol::TCP, b"12345678"), read(protocol::TCP, 8)),
                ("no protocol that is read", later(FAR, true, 132, b"12345678"), read(132, 8)),
            ],
        );
    }
}

#[test]
fn later_fragments_do_not_write_over_a_tcp_header() {
    for family in Family::BOTH {
        let cases = [8, 16, 24, 32, 65_528].into_iter().flat_map(|offset| {
            [false, true].into_iter().flat_map(move |more| {
                [("TCP", protocol::TCP), ("UDP", protocol::UDP), ("control", family.control_protocol())].map(
                    |(name, protocol)| {
                        let expected = if protocol == protocol::TCP && offset < 20 {
                            Malformed
                        } else {
                            Ip(fragment(family, Fragment::Later, protocol, 8))
                        };
                        let frame = family.frame(&family.fragment(offset, more, protocol, b"12345678"));
                        (format!("{name} at {offset}, more {more}"), frame, expected)
                    },
                )
            })
        });
        check(&format!("RFC 1858 and RFC 3128, {family:?}"), cases);
    }
}

#[test]
fn v4_flags_and_options_go_with_fragments() {
    let (dont_fragment, reserved) = (0x4000, 0x8000);
    let family = Family::V4;
    let segment = tcp(5, &[0; 12]);
    let frame = |options: &[u8], fragment: u16| family.frame(&v4(options, fragment, protocol::TCP, &segment));
    let whole = Ip(family.expected_ports(protocol::TCP, 52));
    let options = [148, 4, 0, 0];
    check(
        "flags",
        [
            ("don't fragment", frame(&[], dont_fragment), whole),
            ("reserved", frame(&[], reserved), whole),
            ("more", frame(&[], V4_MORE), Ip(fragment_with_ports(family, Fragment::First, protocol::TCP, 32))),
            (
                "more, don't fragment",
                frame(&[], V4_MORE | dont_fragment),
                Ip(fragment_with_ports(family, Fragment::First, protocol::TCP, 32)),
            ),
            (
                "later, don't fragment",
                frame(&[], dont_fragment | 3),
                Ip(fragment(family, Fragment::Later, protocol::TCP, 32)),
            ),
            (
                "options before a first one",
                frame(&options, V4_MORE),
                Ip(fragment_with_ports(family, Fragment::First, protocol::TCP, 36)),
            ),
            (
                "options before a later one",
                frame(&options, 3),
                Ip(fragment(family, Fragment::Later, protocol::TCP, 36)),
            ),
            ("source route in a later one", frame(&[131, 3, 4, 0], 3), Malformed),
        ],
    );
}

#[test]
fn v6_headers_around_the_fragment_header() {
    let options = |next_header: u8| extension(protocol::DESTINATION_OPTIONS, next_header);
    let before = |offset: u16, more: bool| {
        let chain =
            [options(protocol::FRAGMENT), fragment_header(protocol::TCP, offset, more).to_vec(), tcp(5, &[0; 4])];
        v6(protocol::DESTINATION_OPTIONS, &chain.concat())
    };
    let behind = |offset: u16, more: bool, payload: &[u8]| {
        let header = fragment_header(protocol::DESTINATION_OPTIONS, offset, more);
        v6(protocol::FRAGMENT, &[&header[..], payload].concat())
    };
    let whole_chain = [options(protocol::TCP), tcp(5, &[0; 4])].concat();
    let read = |packet: &[u8], fragment: Fragment, protocol: u8| -> Expected {
        let base = match fragment {
            Fragment::Later => Family::V6.expected(protocol, packet.len()),
            _ => Family::V6.expected_ports(protocol, packet.len()),
        };
        Ip(Packet { fragment, ..base })
    };
    let cases = [
        ("before a first one", before(0, true), Some((Fragment::First, protocol::TCP))),
        ("before a later one", before(FAR, true), Some((Fragment::Later, protocol::TCP))),
        ("before a tiny offset", before(8, true), None),
        ("in a first one", behind(0, true, &whole_chain), Some((Fragment::First, protocol::TCP))),
        ("in a first one that ends before TCP", behind(0, true, &whole_chain[..8]), None),
        ("in a first one that ends within TCP", behind(0, true, &whole_chain[..24]), None),
        ("in a first one, cut", behind(0, true, &whole_chain[..7]), None),
        (
            "named by a later one, which holds other data",
            behind(FAR, true, &[0xff; 8]),
            Some((Fragment::Later, protocol::DESTINATION_OPTIONS)),
        ),
        (
            "named by a later one without data",
            behind(FAR, false, b""),
            Some((Fragment::Later, protocol::DESTINATION_OPTIONS)),
        ),
    ];
    check(
        "destination options and fragment header",
        cases.map(|(name, packet, answer)| {
            let expected = answer.map_or(Malformed, |(fragment, protocol)| read(&packet, fragment, protocol));
            (name, Family::V6.frame(&packet), expected)
        }),
    );
}

/// Returns what must be read from a fragment with `payload` bytes behind the IP headers.
fn fragment(family: Family, fragment: Fragment, protocol: u8, payload: usize) -> Packet {
    Packet { fragment, ..family.expected(protocol, headers(family) + payload) }
}

fn fragment_with_ports(family: Family, fragment: Fragment, protocol: u8, payload: usize) -> Packet {
    Packet { fragment, ..family.expected_ports(protocol, headers(family) + payload) }
}

/// Returns the length of the headers that a fragment's payload stands behind.
fn headers(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 48,
    }
}
