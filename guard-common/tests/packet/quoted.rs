//! Named cases of what ICMP errors quote.

use std::fmt::Write as _;

use etherparse::PacketBuilder;
use guard_common::packet::{Fragment, Packet, Parsed, echo_reply, echo_request, protocol};

use crate::{
    build::{Family, PPPOE_SESSION, PROVIDER_VLAN, V4_MORE, VLAN, ethernet, pppoe, tagged, tcp, udp, v4, v6_chain},
    bytes::{read, read_quoted},
    quotes::answer_expected,
};

/// Offset that no TCP header reaches.
const FAR: u16 = 1_400;
const IDENTIFIER: u16 = 0x1234;

/// What an error must be judged as: an answer, or nothing.
type Expected = Option<Packet>;

fn check<N: AsRef<str>>(table: &str, family: Family, cases: impl IntoIterator<Item = (N, Vec<u8>, Expected)>) {
    let mut failures = String::new();
    for (name, quoted, expected) in cases {
        for message_type in error_types(family) {
            for (link, frame) in frames(family, message_type, &quoted) {
                let reading = read(&frame);
                let answer = read_quoted(&frame, &reading.packet);
                let expected = expected.map(|sent| answer_expected(&sent, &reading.packet));
                if reading.parsed != Parsed::Ip || answer != expected {
                    let name = name.as_ref();
                    writeln!(failures, "{table}: {name}, type {message_type}, {link}: {expected:?}, read {answer:?}")
                        .expect("a string takes all that is written");
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

fn error_types(family: Family) -> Vec<u8> {
    match family {
        Family::V4 => vec![3, 11, 12],
        Family::V6 => vec![1, 2, 3, 4],
    }
}

fn frames(family: Family, message_type: u8, quoted: &[u8]) -> [(&'static str, Vec<u8>); 5] {
    let message = [&[message_type, 0, 0, 0, 0, 0, 5, 0][..], quoted].concat();
    let error = family.packet(family.control_protocol(), &message);
    let behind = match family {
        Family::V4 => v4(&[148, 4, 0, 0, 1, 1, 1, 0], 0, protocol::ICMP, &message),
        Family::V6 => v6_chain(&[protocol::HOP_BY_HOP, protocol::DESTINATION_OPTIONS], protocol::ICMPV6, &message),
    };
    let session = pppoe(&[&[0, family.ppp_number()][..], &error].concat());
    [
        ("no tag", family.frame(&error)),
        ("one tag", tagged(&[VLAN], family.ether_type(), &error)),
        ("two tags", tagged(&[PROVIDER_VLAN, VLAN], family.ether_type(), &error)),
        ("PPPoE", ethernet(PPPOE_SESSION, &session)),
        ("options or extension headers", family.frame(&behind)),
    ]
}

fn version(family: Family) -> u8 {
    family.expected(0, 0).version
}

fn echo(message_type: u8) -> [u8; 8] {
    let [high, low] = IDENTIFIER.to_be_bytes();
    [message_type, 0, 0, 0, high, low, 0, 1]
}

/// Returns what the parser reads from a packet that is not an error; its length does not matter.
fn sent(family: Family, protocol: u8) -> Packet {
    if matches!(protocol, protocol::TCP | protocol::UDP) {
        family.expected_ports(protocol, 0)
    } else {
        family.expected(protocol, 0)
    }
}

fn sent_echo(family: Family, message_type: u8) -> Packet {
    Packet { message_type, detail: IDENTIFIER, ..sent(family, family.control_protocol()) }
}

#[test]
fn whole_packets() {
    for family in Family::BOTH {
        let control = family.control_protocol();
        let [request, reply] = [echo_request(version(family)), echo_reply(version(family))];
        let message = |message_type| Packet { message_type, ..sent(family, control) };
        check(
            &format!("whole, {family:?}"),
            family,
            [
                ("TCP", family.packet(protocol::TCP, &tcp(5, b"data")), Some(sent(family, protocol::TCP))),
                ("UDP", family.packet(protocol::UDP, &udp(12, b"data")), Some(sent(family, protocol::UDP))),
                (
                    "UDP of impossible length",
                    family.packet(protocol::UDP, &udp(0, b"")),
                    Some(sent(family, protocol::UDP)),
                ),
                ("echo request", family.packet(control, &echo(request)), Some(sent_echo(family, request))),
                ("echo reply", family.packet(control, &echo(reply)), Some(sent_echo(family, reply))),
                ("other message", family.packet(control, &echo(13)), Some(message(13))),
                ("GRE", family.packet(47, &[0; 8]), Some(sent(family, 47))),
                ("ESP", family.packet(protocol::ESP, &[0; 8]), Some(sent(family, protocol::ESP))),
                ("IGMP", family.packet(protocol::IGMP, &[0x16; 8]), Some(sent(family, protocol::IGMP))),
            ],
        );
    }
}

#[test]
fn quotes_of_every_length() {
    for family in Family::BOTH {
        let control = family.control_protocol();
        let request = echo_request(version(family));
        for (name, packet, expected) in [
            ("TCP", family.packet(protocol::TCP, &tcp(8, &[1; 40])), sent(family, protocol::TCP)),
            ("UDP", family.packet(protocol::UDP, &udp(48, &[1; 40])), sent(family, protocol::UDP)),
            (
                "echo request",
                family.packet(control, &[&echo(request)[..], &[1; 40]].concat()),
                sent_echo(family, request),
            ),
            ("GRE", family.packet(47, &[1; 48]), sent(family, 47)),
        ] {
            let enough = family.header_length() + 8;
            let cases = (0..=packet.len()).map(|length| {
                let expected = (length >= enough).then_some(expected);
                (format!("{name}, {length} bytes"), packet[..length].to_vec(), expected)
            });
            check(&format!("{family:?}"), family, cases);
        }
    }
}

#[test]
fn errors_about_errors_are_about_nothing() {
    for family in Family::BOTH {
        let control = family.control_protocol();
        let inner = family.packet(protocol::UDP, &udp(8, b""));
        let cases = error_types(family).into_iter().flat_map(|message_type| {
            let error = [&[message_type, 0, 0, 0, 0, 0, 0, 0], &inner[..]].concat();
            let first = family.fragment(0, true, control, &error);
            let later = Packet { fragment: Fragment::Later, ..sent(family, control) };
            [
                (format!("type {message_type}"), family.packet(control, &error), None),
                (format!("type {message_type}, first fragment"), first, None),
                (
                    format!("type {message_type}, later fragment"),
                    family.fragment(FAR, false, control, &error),
                    Some(later),
                ),
            ]
        });
        check(&format!("{family:?}"), family, cases);
    }
}

#[test]
fn fragments() {
    for family in Family::BOTH {
        let request = echo_request(version(family));
        let first = |protocol: u8, payload: &[u8]| family.fragment(0, true, protocol, payload);
        let later = |offset: u16, protocol: u8, payload: &[u8]| family.fragment(offset, true, protocol, payload);
        let part = |fragment: Fragment, packet: Packet| Some(Packet { fragment, ..packet });
        let portless = |protocol: u8| part(Fragment::Later, family.expected(protocol, 0));
        check(
            &format!("fragments, {family:?}"),
            family,
            [
                ("first, TCP", first(protocol::TCP, &tcp(5, b"")), part(Fragment::First, sent(family, protocol::TCP))),
                (
                    "first, TCP, eight bytes",
                    first(protocol::TCP, &tcp(5, b"")[..8]),
                    part(Fragment::First, sent(family, protocol::TCP)),
                ),
                ("first, seven bytes", first(protocol::TCP, &tcp(5, b"")[..7]), None),
                (
                    "first, UDP",
                    first(protocol::UDP, &udp(1_480, &[1; 8])),
                    part(Fragment::First, sent(family, protocol::UDP)),
                ),
                (
                    "first, echo",
                    first(family.control_protocol(), &echo(request)),
                    part(Fragment::First, sent_echo(family, request)),
                ),
                ("later, TCP", later(FAR, protocol::TCP, &[1; 8]), portless(protocol::TCP)),
                ("later, near", later(8, protocol::UDP, &[1; 8]), portless(protocol::UDP)),
                (
                    "later, echo",
                    later(FAR, family.control_protocol(), &echo(request)),
                    portless(family.control_protocol()),
                ),
                ("later, nothing behind it", later(FAR, protocol::UDP, b""), portless(protocol::UDP)),
            ],
        );
    }
}

#[test]
fn v4_headers() {
    let family = Family::V4;
    let datagram = udp(12, b"data");
    let expected = Some(sent(family, protocol::UDP));
    let ihl = |words: u8| {
        let mut packet = v4(&[1; 40], 0, protocol::UDP, &datagram);
        packet[0] = 0x40 | words;
        packet
    };
    let length = |length: u16| {
        let mut packet = family.packet(protocol::UDP, &datagram);
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet
    };
    check(
        "IPv4",
        family,
        [
            ("options", v4(&[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0], 0, protocol::UDP, &datagram), expected),
            ("all options", v4(&[1; 40], 0, protocol::UDP, &datagram), expected),
            (
                "options, first fragment",
                v4(&[1; 4], V4_MORE, protocol::UDP, &datagram),
                expected.map(|it| Packet { fragment: Fragment::First, ..it }),
            ),
            ("don't fragment", v4(&[], 0x4000, protocol::UDP, &datagram), expected),
            ("options cut off", v4(&[1; 40], 0, protocol::UDP, &datagram)[..60].to_vec(), None),
            ("header of 16 bytes", ihl(4), None),
            ("header of none", ihl(0), None),
            // Routers and Linux before 2.4 wrote it in their own order, and nobody needs it.
            ("impossible length", length(1), expected),
            ("length beyond the quote", length(1_500), expected),
            ("no byte", Vec::new(), None),
            ("zeros", vec![0; 64], None),
            ("ones", vec![0xff; 64], None),
            ("the other version", Family::V6.packet(protocol::UDP, &datagram), None),
        ],
    );
}

#[test]
fn v6_headers() {
    let family = Family::V6;
    let datagram = udp(12, b"data");
    let expected = Some(sent(family, protocol::UDP));
    let every = [
        protocol::HOP_BY_HOP,
        protocol::DESTINATION_OPTIONS,
        protocol::ROUTING,
        protocol::FRAGMENT,
        protocol::AH,
        protocol::MOBILITY,
        protocol::HIP,
        protocol::SHIM6,
    ];
    let nine = [protocol::DESTINATION_OPTIONS; 9];
    let chain = |kinds: &[u8]| v6_chain(kinds, protocol::UDP, &datagram);
    let whole = chain(&every);
    let mut source_routed = chain(&[protocol::ROUTING]);
    source_routed[42] = 0;
    check(
        "IPv6",
        family,
        [
            ("hop-by-hop options", chain(&[protocol::HOP_BY_HOP]), expected),
            ("every extension header", whole.clone(), expected),
            ("every extension header, ports cut off", whole[..whole.len() - 5].to_vec(), None),
            ("an atomic fragment", chain(&[protocol::FRAGMENT]), expected),
            ("eight extension headers", chain(&nine[1..]), expected),
            ("nine", chain(&nine), None),
            ("routing header of type 0", source_routed, None),
            ("two fragment headers", chain(&[protocol::FRAGMENT, protocol::FRAGMENT]), expected),
            (
                "no next header",
                v6_chain(&[], protocol::NO_NEXT_HEADER, &[0; 8]),
                Some(sent(family, protocol::NO_NEXT_HEADER)),
            ),
            ("ESP behind options", v6_chain(&every[..2], protocol::ESP, &[0; 8]), Some(sent(family, protocol::ESP))),
            ("no byte", Vec::new(), None),
            ("zeros", vec![0; 64], None),
            ("ones", vec![0xff; 64], None),
            ("the other version", Family::V4.packet(protocol::UDP, &[&datagram[..], &[0; 40]].concat()), None),
        ],
    );
}

#[test]
fn an_error_in_fragments_quotes_no_fragment_for_that() {
    let datagram = udp(12, b"data");
    for family in Family::BOTH {
        for fragment_quoted in [false, true] {
            let quoted = if fragment_quoted {
                family.fragment(0, true, protocol::UDP, &datagram)
            } else {
                family.packet(protocol::UDP, &datagram)
            };
            let message = [&[3, 0, 0, 0, 0, 0, 0, 0], &quoted[..]].concat();
            let frame = family.frame(&family.fragment(0, true, family.control_protocol(), &message));
            let error = read(&frame).packet;
            assert_eq!(error.fragment, Fragment::First, "{family:?}");
            let fragment = if fragment_quoted { Fragment::First } else { Fragment::Whole };
            let expected = answer_expected(&Packet { fragment, ..sent(family, protocol::UDP) }, &error);
            assert_eq!(
                read_quoted(&frame, &error),
                Some(expected),
                "{family:?}, quoted in fragments: {fragment_quoted}"
            );
        }
    }
}

/// The whole of it by another hand.
#[test]
fn errors_built_by_etherparse() {
    let (router, host, peer) = ([10, 0, 0, 1], [192, 0, 2, 1], [198, 51, 100, 2]);
    let [router_v6, host_v6, peer_v6] = [[0xfe; 16], [0x20; 16], [0x21; 16]];
    let v4 = || PacketBuilder::ipv4(host, peer, 9);
    let v6 = || PacketBuilder::ipv6(host_v6, peer_v6, 9);
    let ethernet = || PacketBuilder::ethernet2([2; 6], [4; 6]);
    let error = |quoted: &[u8]| {
        let v4 = ethernet().ipv4(router, host, 64).icmpv4_raw(11, 0, [0; 4]);
        let v6 = ethernet().ipv6(router_v6, host_v6, 64).icmpv6_raw(3, 0, [0; 4]);
        if quoted[0] >> 4 == 4 {
            written(|bytes| v4.write(bytes, quoted))
        } else {
            written(|bytes| v6.write(bytes, quoted))
        }
    };
    let cases = [
        ("IPv4, TCP", (40_000, 443, 0), written(|bytes| v4().tcp(40_000, 443, 1, 2).write(bytes, b"data"))),
        ("IPv4, UDP", (40_000, 53, 0), written(|bytes| v4().udp(40_000, 53).write(bytes, b"data"))),
        ("IPv4, echo", (0, 0, 77), written(|bytes| v4().icmpv4_echo_request(77, 1).write(bytes, b"data"))),
        ("IPv6, TCP", (40_000, 443, 0), written(|bytes| v6().tcp(40_000, 443, 1, 2).write(bytes, b"data"))),
        ("IPv6, UDP", (40_000, 53, 0), written(|bytes| v6().udp(40_000, 53).write(bytes, b"data"))),
        ("IPv6, echo", (0, 0, 77), written(|bytes| v6().icmpv6_echo_request(77, 1).write(bytes, b"data"))),
    ];
    for (name, expected, quoted) in cases {
        let frame = error(&quoted);
        let error = read(&frame).packet;
        let answer = read_quoted(&frame, &error).unwrap_or_else(|| panic!("{name}: nothing is read"));
        assert_eq!((answer.destination_port, answer.source_port, answer.detail), expected, "{name}");
        assert_eq!(answer.destination, error.destination, "{name}");
        assert_ne!(answer.source, error.source, "{name}");
        let reply = if answer.is_control_message() { echo_reply(answer.version) } else { 0 };
        assert_eq!(answer.message_type, reply, "{name}");
    }
}

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("a vector takes all that is written");
    bytes
}
