//! Named cases of the transport header.

use guard_common::packet::{Fragment, Packet, protocol};

use crate::{
    build::{
        ETHERNET_HEADER, Family, PPPOE_SESSION, PROVIDER_VLAN, VLAN, ethernet, patched, pppoe, tagged, tcp,
        tcp_with_flags, udp,
    },
    table::{
        Expected::{Ip, Malformed},
        check,
    },
};

#[test]
fn tcp_headers_must_be_whole() {
    for family in Family::BOTH {
        let frame = |segment: &[u8]| family.frame(&family.packet(protocol::TCP, segment));
        let read = |length: usize| Ip(family.expected_ports(protocol::TCP, family.header_length() + length));
        let options = [1; 40];
        check(
            &format!("TCP, {family:?}"),
            [
                ("data offset 5", frame(&tcp(5, b"")), read(20)),
                ("data offset 5 and data", frame(&tcp(5, b"data")), read(24)),
                ("data offset 6", frame(&tcp(6, &options[..4])), read(24)),
                ("data offset 15", frame(&tcp(15, &options)), read(60)),
                ("data offset 15 and data", frame(&tcp(15, &[1; 41])), read(61)),
                ("data offset 0", frame(&tcp(0, &options)), Malformed),
                ("data offset 4", frame(&tcp(4, &options)), Malformed),
                ("data offset 6 past the packet", frame(&tcp(6, b"")), Malformed),
                ("data offset 6, one byte past the packet", frame(&tcp(6, &options[..3])), Malformed),
                ("data offset 15, one byte past the packet", frame(&tcp(15, &options[..39])), Malformed),
                ("no byte", frame(b""), Malformed),
                ("ports alone", frame(&tcp(5, b"")[..4]), Malformed),
                ("19 bytes", frame(&tcp(5, b"")[..19]), Malformed),
            ],
        );
    }
}

#[test]
fn tcp_flags_are_taken_as_they_are() {
    for family in Family::BOTH {
        check(
            &format!("TCP flags, {family:?}"),
            (0..=u8::MAX).map(|flags| {
                let packet = family.packet(protocol::TCP, &tcp_with_flags(5, flags, b""));
                let expected = Packet { tcp_flags: flags, ..family.expected_ports(protocol::TCP, packet.len()) };
                (format!("{flags:#04x}"), family.frame(&packet), Ip(expected))
            }),
        );
    }
}

#[test]
fn tcp_numbers_are_taken_as_they_are() {
    for family in Family::BOTH {
        for numbers in [[0, 0], [1, u32::MAX], [u32::MAX, 1], [0x8000_0000, 0x7fff_ffff]] {
            let [tcp_sequence, tcp_acknowledgment] = numbers;
            let segment = patched(tcp(5, b""), 4, numbers.map(u32::to_be_bytes).as_flattened());
            let whole = family.packet(protocol::TCP, &segment);
            let first = family.fragment(0, true, protocol::TCP, &segment);
            let later = family.fragment(1_400, false, protocol::TCP, &segment);
            let other = family.packet(132, &segment);
            let read = |packet: &[u8], fragment| {
                let ports = family.expected_ports(protocol::TCP, packet.len());
                Ip(Packet { tcp_sequence, tcp_acknowledgment, fragment, ..ports })
            };
            let unread =
                |packet: &[u8], protocol, fragment| Ip(Packet { fragment, ..family.expected(protocol, packet.len()) });
            check(
                &format!("TCP numbers {numbers:?}, {family:?}"),
                [
                    ("whole", family.frame(&whole), read(&whole, Fragment::Whole)),
                    ("first fragment", family.frame(&first), read(&first, Fragment::First)),
                    ("later fragment", family.frame(&later), unread(&later, protocol::TCP, Fragment::Later)),
                    ("another protocol", family.frame(&other), unread(&other, 132, Fragment::Whole)),
                ],
            );
        }
    }
}

#[test]
fn udp_lengths_must_be_possible() {
    for family in Family::BOTH {
        let frame = |datagram: &[u8]| family.frame(&family.packet(protocol::UDP, datagram));
        let read = |length: usize| Ip(family.expected_ports(protocol::UDP, family.header_length() + length));
        check(
            &format!("UDP, {family:?}"),
            [
                ("length of the packet", frame(&udp(12, b"data")), read(12)),
                ("no data", frame(&udp(8, b"")), read(8)),
                ("length below the packet", frame(&udp(8, b"data")), read(12)),
                ("length one beyond the packet", frame(&udp(13, b"data")), Malformed),
                ("length one beyond the packet, not the frame", [frame(&udp(9, b"")), vec![0]].concat(), Malformed),
                ("length 65,535", frame(&udp(65_535, b"data")), Malformed),
                ("length 7", frame(&udp(7, b"data")), Malformed),
                ("length 1", frame(&udp(1, b"data")), Malformed),
                ("length 0", frame(&udp(0, b"data")), Malformed),
                ("7 bytes", frame(&udp(7, b"")[..7]), Malformed),
                ("7 bytes that declare 8", frame(&udp(8, b"")[..7]), Malformed),
                ("no byte", frame(b""), Malformed),
            ],
        );
    }
}

#[test]
fn control_messages_have_a_type() {
    let families = [
        ("ICMP", Family::V4, protocol::ICMP),
        ("IGMP", Family::V4, protocol::IGMP),
        ("ICMPv6", Family::V6, protocol::ICMPV6),
    ];
    for (name, family, protocol) in families {
        let frame = |message: &[u8]| family.frame(&family.packet(protocol, message));
        let read = |message_type: u8, length: usize| {
            Ip(Packet { message_type, ..family.expected(protocol, family.header_length() + length) })
        };
        check(
            name,
            [
                ("type 0", frame(&[0, 0, 0, 0, 0, 0, 0, 0]), read(0, 8)),
                ("type 17", frame(&[17, 1, 2, 3, 4, 5, 6, 7]), read(17, 8)),
                ("type 255", frame(&[255, 0, 0, 0, 0, 0, 0, 0]), read(255, 8)),
                ("with data", frame(&[8, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]), read(8, 11)),
                ("7 bytes", frame(&[8, 0, 0, 0, 0, 0, 0]), Malformed),
                ("one byte", frame(&[8]), Malformed),
                ("no byte", frame(&[]), Malformed),
            ],
        );
    }
}

#[test]
fn echo_messages_have_an_identifier_and_errors_a_quote() {
    let echo = |message_type: u8| [message_type, 0, 0, 0, 0x12, 0x34, 0, 1];
    for (family, echoes, errors) in
        [(Family::V4, &[0, 8][..], &[3, 11, 12][..]), (Family::V6, &[128, 129], &[1, 2, 3, 4])]
    {
        let control = family.control_protocol();
        for message_type in 0..=u8::MAX {
            let packet = family.packet(control, &echo(message_type));
            let quote = packet.len();
            let session = pppoe(&[&[family.ppp_number()][..], &packet].concat());
            // The bytes of the headers before the packet.
            let links = [
                ("no tag", 14, family.frame(&packet)),
                ("two tags", 22, tagged(&[PROVIDER_VLAN, VLAN], family.ether_type(), &packet)),
                ("PPPoE", 21, ethernet(PPPOE_SESSION, &session)),
            ];
            let cases = links.map(|(link, before, frame)| {
                let detail = if echoes.contains(&message_type) {
                    0x1234
                } else if errors.contains(&message_type) {
                    (before + quote) as u16
                } else {
                    0
                };
                (link, frame, Ip(Packet { message_type, detail, ..family.expected(control, packet.len()) }))
            });
            check(&format!("type {message_type}, {family:?}"), cases);
        }
        let [first, later] = [(0, Fragment::First), (1_400, Fragment::Later)].map(|(offset, fragment)| {
            let packet = family.fragment(offset, true, control, &echo(echoes[1]));
            (family.frame(&packet), Packet { fragment, ..family.expected(control, packet.len()) })
        });
        let echo = Packet { message_type: echoes[1], detail: 0x1234, ..first.1 };
        check(&format!("fragments, {family:?}"), [("first", first.0, Ip(echo)), ("later", later.0, Ip(later.1))]);
    }
    let query = Family::V4.packet(protocol::IGMP, &echo(8));
    let read = Packet { message_type: 8, ..Family::V4.expected(protocol::IGMP, query.len()) };
    check("IGMP", [("type 8", Family::V4.frame(&query), Ip(read))]);
}

#[test]
fn control_messages_of_the_other_version_are_not_read() {
    let strangers = [
        ("ICMPv6 in IPv4", Family::V4, protocol::ICMPV6),
        ("ICMP in IPv6", Family::V6, protocol::ICMP),
        ("IGMP in IPv6", Family::V6, protocol::IGMP),
    ];
    for (name, family, protocol) in strangers {
        check(
            name,
            [0, 7, 8].map(|length| {
                let packet = family.packet(protocol, &vec![8; length]);
                (format!("{length} bytes"), family.frame(&packet), Ip(family.expected(protocol, packet.len())))
            }),
        );
    }
}

#[test]
fn the_packet_ends_where_the_ip_header_says() {
    for family in Family::BOTH {
        for (name, protocol, whole) in [
            ("TCP", protocol::TCP, tcp(5, b"")),
            ("UDP", protocol::UDP, udp(8, b"")),
            ("control", family.control_protocol(), vec![8; 8]),
        ] {
            let packet = family.packet(protocol, &whole);
            let place = ETHERNET_HEADER + family.length_field();
            let shorter = (family.declared_length(&packet) - 1).to_be_bytes();
            let shorter = patched(family.frame(&packet), place, &shorter);
            check(&format!("end, {family:?}"), [(format!("{name}, last byte left out"), shorter, Malformed)]);
        }
    }
}
