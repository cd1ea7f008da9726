//! Entries made by hand, as `ctnetlink_fill_info` makes them.

use std::net::{IpAddr, SocketAddr};

use guard_common::packet::protocol;
use proptest::prelude::*;
use rtnetlink::packet_core::NLA_F_NESTED;

use crate::network::conntrack::{Direction, EVERY_FAMILY, Tracked, decode::*};

const GRE: u8 = 47;
const ESTABLISHED: u8 = 3;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &attributes.concat())
}

fn entry(attributes: &[Vec<u8>]) -> Vec<u8> {
    [EVERY_FAMILY.to_vec(), attributes.concat()].concat()
}

fn addresses(source_and_destination: [&str; 2]) -> Vec<u8> {
    let [source, destination] = source_and_destination.map(|address| address.parse().unwrap());
    let attributes = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            [attribute(CTA_IP_V4_SRC, &source.octets()), attribute(CTA_IP_V4_DST, &destination.octets())]
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            [attribute(CTA_IP_V6_SRC, &source.octets()), attribute(CTA_IP_V6_DST, &destination.octets())]
        }
        _ => panic!("of one family"),
    };
    nested(CTA_TUPLE_IP, &attributes)
}

fn ports(protocol: u8, [source, destination]: [u16; 2]) -> Vec<u8> {
    let protocol = attribute(CTA_PROTO_NUM, &[protocol]);
    let source = attribute(CTA_PROTO_SRC_PORT, &source.to_be_bytes());
    let destination = attribute(CTA_PROTO_DST_PORT, &destination.to_be_bytes());
    nested(CTA_TUPLE_PROTO, &[protocol, source, destination])
}

fn icmp(icmp_type: u8, id: u16) -> Vec<u8> {
    let protocol = attribute(CTA_PROTO_NUM, &[protocol::ICMP]);
    let id = attribute(CTA_PROTO_ICMP_ID, &id.to_be_bytes());
    let icmp_type = attribute(CTA_PROTO_ICMP_TYPE, &[icmp_type]);
    nested(CTA_TUPLE_PROTO, &[protocol, id, icmp_type])
}

fn icmpv6(icmp_type: u8, id: u16) -> Vec<u8> {
    let protocol = attribute(CTA_PROTO_NUM, &[protocol::ICMPV6]);
    let id = attribute(CTA_PROTO_ICMPV6_ID, &id.to_be_bytes());
    let icmp_type = attribute(CTA_PROTO_ICMPV6_TYPE, &[icmp_type]);
    nested(CTA_TUPLE_PROTO, &[protocol, id, icmp_type])
}

fn original(source_and_destination: [&str; 2], protocol: Vec<u8>) -> Vec<u8> {
    nested(CTA_TUPLE_ORIG, &[addresses(source_and_destination), protocol])
}

fn reply(source_and_destination: [&str; 2], protocol: Vec<u8>) -> Vec<u8> {
    nested(CTA_TUPLE_REPLY, &[addresses(source_and_destination), protocol])
}

fn tcp_state(state: u8) -> Vec<u8> {
    let window_scale = attribute(2, &[7]);
    let state = attribute(CTA_PROTOINFO_TCP_STATE, &[state]);
    nested(CTA_PROTOINFO, &[nested(CTA_PROTOINFO_TCP, &[window_scale, state])])
}

/// A masqueraded TCP connection among attributes that nothing asks for.
fn tcp(state: Vec<u8>) -> Vec<u8> {
    let future = attribute(1000, b"unknown");
    let status = attribute(3, &[0, 0, 1, 0x8e]);
    let timeout = attribute(7, &[0, 0, 0, 60]);
    let zone = attribute(3, &[0, 5]);
    let original =
        nested(CTA_TUPLE_ORIG, &[zone, addresses(["172.17.0.2", "198.51.100.7"]), ports(protocol::TCP, [40000, 443])]);
    let reply = reply(["198.51.100.7", "192.0.2.1"], ports(protocol::TCP, [443, 50000]));
    entry(&[future, status, original, reply, timeout, state])
}

fn direction(source_and_destination: [&str; 2]) -> Direction {
    let [source, destination] = source_and_destination.map(|address| address.parse::<SocketAddr>().unwrap());
    Direction { source, destination }
}

fn masqueraded_tcp() -> Tracked {
    Tracked {
        protocol: protocol::TCP,
        original: direction(["172.17.0.2:40000", "198.51.100.7:443"]),
        reply: direction(["198.51.100.7:443", "192.0.2.1:50000"]),
    }
}

#[test]
fn an_entry_is_read_by_its_attributes() {
    let (there, back) = (["192.0.2.1", "198.51.100.7"], ["198.51.100.7", "192.0.2.1"]);
    let (there_v6, back_v6) = (["2001:db8::1", "2001:db8:f::7"], ["2001:db8:f::7", "2001:db8::1"]);
    let cases = [
        ("TCP, masqueraded", tcp(tcp_state(ESTABLISHED)), Some(masqueraded_tcp())),
        ("TCP without a state", tcp(vec![]), Some(masqueraded_tcp())),
        ("TCP in LAST_ACK", tcp(tcp_state(TCP_CONNTRACK_LAST_ACK)), None),
        ("TCP in TIME_WAIT", tcp(tcp_state(TCP_CONNTRACK_TIME_WAIT)), None),
        ("TCP in CLOSE", tcp(tcp_state(TCP_CONNTRACK_CLOSE)), None),
        (
            "UDP over IPv6",
            entry(&[
                original(there_v6, ports(protocol::UDP, [5353, 53])),
                reply(back_v6, ports(protocol::UDP, [53, 5353])),
            ]),
            Some(Tracked {
                protocol: protocol::UDP,
                original: direction(["[2001:db8::1]:5353", "[2001:db8:f::7]:53"]),
                reply: direction(["[2001:db8:f::7]:53", "[2001:db8::1]:5353"]),
            }),
        ),
        (
            "an echo that is given another identifier",
            entry(&[original(["172.17.0.2", "198.51.100.7"], icmp(8, 7)), reply(back, icmp(0, 9))]),
            Some(Tracked {
                protocol: protocol::ICMP,
                original: direction(["172.17.0.2:7", "198.51.100.7:0"]),
                reply: direction(["198.51.100.7:0", "192.0.2.1:9"]),
            }),
        ),
        (
            "an echo over IPv6",
            entry(&[original(there_v6, icmpv6(128, 7)), reply(back_v6, icmpv6(129, 7))]),
            Some(Tracked {
                protocol: protocol::ICMPV6,
                original: direction(["[2001:db8::1]:7", "[2001:db8:f::7]:0"]),
                reply: direction(["[2001:db8:f::7]:0", "[2001:db8::1]:7"]),
            }),
        ),
        ("a timestamp", entry(&[original(there, icmp(13, 7)), reply(back, icmp(14, 7))]), None),
        ("an IPv6 node query", entry(&[original(there_v6, icmpv6(139, 7)), reply(back_v6, icmpv6(140, 7))]), None),
        (
            "GRE, whose keys stand where ports do",
            entry(&[original(there, ports(GRE, [1, 2])), reply(back, ports(GRE, [2, 1]))]),
            Some(Tracked {
                protocol: GRE,
                original: direction(["192.0.2.1:0", "198.51.100.7:0"]),
                reply: direction(["198.51.100.7:0", "192.0.2.1:0"]),
            }),
        ),
        ("nothing", entry(&[]), None),
        ("no reply", entry(&[original(there, ports(protocol::TCP, [1, 2]))]), None),
        ("no protocol", entry(&[original(there, vec![]), reply(back, vec![])]), None),
        (
            "no addresses",
            entry(&[
                nested(CTA_TUPLE_ORIG, &[ports(protocol::TCP, [1, 2])]),
                reply(back, ports(protocol::TCP, [2, 1])),
            ]),
            None,
        ),
    ];
    for (case, bytes, expected) in cases {
        assert_eq!(tracked(&bytes).unwrap(), expected, "{case}");
    }
}

#[test]
fn what_leaves_has_the_address_that_answers_go_to() {
    let outward = masqueraded_tcp().outward();
    assert_eq!(outward.local, "192.0.2.1:50000".parse().unwrap());
    assert_eq!(outward.remote, "198.51.100.7:443".parse().unwrap());
}

#[test]
fn values_of_another_size_are_errors() {
    let in_tuple = |attribute: Vec<u8>| entry(&[nested(CTA_TUPLE_ORIG, &[attribute])]);
    let of_protocol = |kind, value: &[u8]| in_tuple(nested(CTA_TUPLE_PROTO, &[attribute(kind, value)]));
    let of_address = |kind, value: &[u8]| in_tuple(nested(CTA_TUPLE_IP, &[attribute(kind, value)]));
    let cases = [
        ("a port of one byte", of_protocol(CTA_PROTO_SRC_PORT, &[1])),
        ("an identifier of four bytes", of_protocol(CTA_PROTO_ICMP_ID, &[0; 4])),
        ("a protocol of none", of_protocol(CTA_PROTO_NUM, &[])),
        ("an address of five bytes", of_address(CTA_IP_V4_SRC, &[0; 5])),
        ("a state of two bytes", {
            let state = attribute(CTA_PROTOINFO_TCP_STATE, &[0; 2]);
            entry(&[nested(CTA_PROTOINFO, &[nested(CTA_PROTOINFO_TCP, &[state])])])
        }),
        ("an attribute shorter than its header", entry(&[vec![3, 0, 1, 0]])),
        ("an attribute longer than what holds it", entry(&[vec![9, 0, 1, 0, 0, 0, 0, 0]])),
        ("a header of two bytes", vec![2, 0]),
    ];
    for (case, bytes) in cases {
        assert!(tracked(&bytes).is_err(), "{case}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_entry_or_an_error(
        start in 0..200_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..8),
        length in 0..300_usize,
    ) {
        let mut entry = tcp(tcp_state(ESTABLISHED));
        let start = start.min(entry.len());
        let end = (start + bytes.len()).min(entry.len());
        entry.splice(start..end, bytes);
        entry.truncate(length);
        let _either = tracked(&entry);
    }
}
