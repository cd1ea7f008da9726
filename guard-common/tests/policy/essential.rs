//! What a host cannot live without, and what comes close to it.

use guard_common::{
    essential::is_essential,
    packet::{Fragment, Packet, protocol},
    policy::{Reason, Set},
};

use crate::model::{Model, address};

const LINK_LOCAL: &str = "fe80::1";
const GLOBAL: &str = "2001:db8::1";
const SOLICITED_NODE: &str = "ff02::1:ff00:1";
const ALL_NODES: &str = "ff02::1";
const HOST: &str = "2001:db8::100";

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const REDIRECT: u8 = 137;

fn icmpv6(message_type: u8, hop_limit: u8, source: &str, destination: &str) -> Packet {
    Packet {
        source: address(source),
        destination: address(destination),
        length: 64,
        version: 6,
        protocol: protocol::ICMPV6,
        hop_limit,
        message_type,
        ..Packet::default()
    }
}

fn igmp(message_type: u8, hop_limit: u8, source: &str, destination: &str) -> Packet {
    Packet { version: 4, protocol: protocol::IGMP, ..icmpv6(message_type, hop_limit, source, destination) }
}

fn udp(version: u8, source: (&str, u16), destination: (&str, u16)) -> Packet {
    Packet {
        version,
        protocol: protocol::UDP,
        source_port: source.1,
        destination_port: destination.1,
        ..icmpv6(0, 64, source.0, destination.0)
    }
}

/// Checks each packet as it is, with its source in `deny`, and in fragments, which are never essential.
fn check(table: &str, cases: impl IntoIterator<Item = (&'static str, Packet, bool)>) {
    for (name, packet, essential) in cases {
        assert_eq!(is_essential(&packet), essential, "{table}: {name}: {packet:?}");
        let denying = Model::new(true).with(Set::Deny, packet.source);
        let passes = denying.reason(&packet) == Reason::Essential;
        assert_eq!(passes, essential, "{table}: {name}, denied: {packet:?}");
        for fragment in [Fragment::First, Fragment::Later] {
            assert!(!is_essential(&Packet { fragment, ..packet }), "{table}: {name}, {fragment:?} fragment");
        }
        let other_version = Packet { version: 10 - packet.version, ..packet };
        assert!(!is_essential(&other_version), "{table}: {name}, of the other IP version");
    }
}

#[test]
fn neighbour_discovery_comes_from_the_link() {
    let nd = |message_type, source| icmpv6(message_type, 255, source, HOST);
    check(
        "neighbour discovery",
        [
            ("solicitation", nd(SOLICITATION, GLOBAL), true),
            ("solicitation from link-local", nd(SOLICITATION, LINK_LOCAL), true),
            ("duplicate address detection", icmpv6(SOLICITATION, 255, "::", SOLICITED_NODE), true),
            ("duplicate address detection of all", icmpv6(SOLICITATION, 255, "::", ALL_NODES), false),
            ("duplicate address detection of one", nd(SOLICITATION, "::"), false),
            (
                "duplicate address detection beside the solicited-node range",
                icmpv6(SOLICITATION, 255, "::", "ff02::1:fe00:1"),
                false,
            ),
            ("solicitation to loopback", icmpv6(SOLICITATION, 255, LINK_LOCAL, "::1"), false),
            ("solicitation to a solicited-node address", icmpv6(SOLICITATION, 255, LINK_LOCAL, SOLICITED_NODE), true),
            ("solicitation from loopback", nd(SOLICITATION, "::1"), false),
            ("solicitation from multicast", nd(SOLICITATION, ALL_NODES), false),
            ("solicitation from a mapped address", nd(SOLICITATION, "::ffff:192.0.2.1"), false),
            ("solicitation, hop limit 254", icmpv6(SOLICITATION, 254, LINK_LOCAL, HOST), false),
            ("solicitation, hop limit 64", icmpv6(SOLICITATION, 64, LINK_LOCAL, HOST), false),
            ("solicitation, hop limit 0", icmpv6(SOLICITATION, 0, LINK_LOCAL, HOST), false),
            ("duplicate address detection, hop limit 254", icmpv6(SOLICITATION, 254, "::", SOLICITED_NODE), false),
            ("advertisement", nd(ADVERTISEMENT, GLOBAL), true),
            ("advertisement from link-local", nd(ADVERTISEMENT, LINK_LOCAL), true),
            ("advertisement to all", icmpv6(ADVERTISEMENT, 255, GLOBAL, ALL_NODES), true),
            ("advertisement from nobody", nd(ADVERTISEMENT, "::"), false),
            ("advertisement from multicast", nd(ADVERTISEMENT, ALL_NODES), false),
            ("advertisement, hop limit 254", icmpv6(ADVERTISEMENT, 254, GLOBAL, HOST), false),
            ("router solicitation", nd(ROUTER_SOLICITATION, LINK_LOCAL), true),
            ("router solicitation from nobody", nd(ROUTER_SOLICITATION, "::"), true),
            ("router solicitation from afar", nd(ROUTER_SOLICITATION, GLOBAL), false),
            ("router solicitation, hop limit 254", icmpv6(ROUTER_SOLICITATION, 254, LINK_LOCAL, HOST), false),
            ("router advertisement", nd(ROUTER_ADVERTISEMENT, LINK_LOCAL), true),
            ("router advertisement from the last link-local", nd(ROUTER_ADVERTISEMENT, "febf:ffff::1"), true),
            ("router advertisement from below link-local", nd(ROUTER_ADVERTISEMENT, "fe7f:ffff::1"), false),
            ("router advertisement from above link-local", nd(ROUTER_ADVERTISEMENT, "fec0::1"), false),
            ("router advertisement from afar", nd(ROUTER_ADVERTISEMENT, GLOBAL), false),
            ("router advertisement from nobody", nd(ROUTER_ADVERTISEMENT, "::"), false),
            ("router advertisement, hop limit 254", icmpv6(ROUTER_ADVERTISEMENT, 254, LINK_LOCAL, HOST), false),
            ("redirect", nd(REDIRECT, LINK_LOCAL), false),
        ],
    );
}

#[test]
fn no_other_message_is_essential() {
    for message_type in 0..=u8::MAX {
        let neighbour = icmpv6(message_type, 255, LINK_LOCAL, HOST);
        assert_eq!(is_essential(&neighbour), (133..=136).contains(&message_type), "ICMPv6 {message_type}");
        let listener = icmpv6(message_type, 1, LINK_LOCAL, ALL_NODES);
        assert_eq!(is_essential(&listener), [130, 131, 132, 143].contains(&message_type), "ICMPv6 {message_type}");
        let group = igmp(message_type, 1, "192.0.2.1", "224.0.0.1");
        assert_eq!(is_essential(&group), [0x11, 0x12, 0x16, 0x17, 0x22].contains(&message_type), "IGMP {message_type}");
    }
}

#[test]
fn multicast_listeners_are_on_the_link() {
    let mld = |message_type, source| icmpv6(message_type, 1, source, ALL_NODES);
    let (query, report, done, report_v2) = (130, 131, 132, 143);
    check(
        "MLD",
        [
            ("query", mld(query, LINK_LOCAL), true),
            ("query from nobody", mld(query, "::"), false),
            ("query from afar", mld(query, GLOBAL), false),
            ("query to the host alone", icmpv6(query, 1, LINK_LOCAL, HOST), false),
            ("query, hop limit 2", icmpv6(query, 2, LINK_LOCAL, ALL_NODES), false),
            ("query, hop limit 255", icmpv6(query, 255, LINK_LOCAL, ALL_NODES), false),
            ("report", mld(report, LINK_LOCAL), true),
            ("report from nobody", mld(report, "::"), true),
            ("report from afar", mld(report, GLOBAL), false),
            ("report to the host alone", icmpv6(report, 1, LINK_LOCAL, HOST), false),
            ("report, hop limit 0", icmpv6(report, 0, LINK_LOCAL, ALL_NODES), false),
            ("report of version 2", mld(report_v2, LINK_LOCAL), true),
            ("report of version 2 from nobody", mld(report_v2, "::"), true),
            ("report of version 2 from loopback", mld(report_v2, "::1"), false),
            ("done", mld(done, LINK_LOCAL), true),
            ("done from nobody", mld(done, "::"), false),
        ],
    );
}

#[test]
fn igmp_is_on_the_link() {
    let (query, report) = (0x11, 0x16);
    let group = "239.255.255.250";
    check(
        "IGMP",
        [
            ("query", igmp(query, 1, "192.0.2.1", "224.0.0.1"), true),
            ("query of a switch without an address", igmp(query, 1, "0.0.0.0", "224.0.0.1"), true),
            ("query from this network", igmp(query, 1, "0.0.0.1", "224.0.0.1"), false),
            ("query from loopback", igmp(query, 1, "127.0.0.1", "224.0.0.1"), false),
            ("query from multicast", igmp(query, 1, "224.0.0.1", "224.0.0.1"), false),
            ("query from broadcast", igmp(query, 1, "255.255.255.255", "224.0.0.1"), false),
            ("query, TTL 2", igmp(query, 2, "192.0.2.1", "224.0.0.1"), false),
            ("query, TTL 0", igmp(query, 0, "192.0.2.1", "224.0.0.1"), false),
            ("query to the host alone", igmp(query, 1, "192.0.2.1", "192.0.2.100"), false),
            ("query to broadcast", igmp(query, 1, "192.0.2.1", "255.255.255.255"), false),
            ("report", igmp(report, 1, "192.0.2.1", group), true),
            ("report, TTL 255", igmp(report, 255, "192.0.2.1", group), false),
            (
                "of another protocol",
                Packet { protocol: protocol::ICMP, ..igmp(query, 1, "192.0.2.1", "224.0.0.1") },
                false,
            ),
        ],
    );
}

#[test]
fn dhcp_answers_and_first_requests_pass() {
    let (server, client) = (("192.0.2.1", 67), ("192.0.2.100", 68));
    let (nobody, everybody) = (("0.0.0.0", 68), ("255.255.255.255", 67));
    check(
        "DHCP",
        [
            ("answer", udp(4, server, client), true),
            ("answer to all", udp(4, server, ("255.255.255.255", 68)), true),
            ("answer from nobody", udp(4, ("0.0.0.0", 67), client), false),
            ("answer from loopback", udp(4, ("127.0.0.1", 67), client), false),
            ("answer from multicast", udp(4, ("224.0.0.1", 67), client), false),
            ("answer to loopback", udp(4, server, ("127.0.0.1", 68)), false),
            ("answer from another port", udp(4, ("192.0.2.1", 66), client), false),
            ("answer to another port", udp(4, server, ("192.0.2.100", 69)), false),
            ("answer to the server's port", udp(4, server, ("192.0.2.100", 67)), false),
            ("answer over TCP", Packet { protocol: protocol::TCP, ..udp(4, server, client) }, false),
            ("request", udp(4, nobody, everybody), true),
            ("request to one server", udp(4, nobody, server), false),
            ("request from an address", udp(4, client, everybody), false),
            ("request from this network", udp(4, ("0.0.0.1", 68), everybody), false),
            ("request from another port", udp(4, ("0.0.0.0", 69), everybody), false),
            ("request to another port", udp(4, nobody, ("255.255.255.255", 69)), false),
            ("broadcast from nobody", udp(4, ("0.0.0.0", 40_000), ("255.255.255.255", 3_000)), false),
        ],
    );
}

#[test]
fn dhcpv6_answers_pass_on_the_link() {
    let (server, client) = ((LINK_LOCAL, 547), ("fe80::100", 546));
    check(
        "DHCPv6",
        [
            ("answer", udp(6, server, client), true),
            ("answer from afar", udp(6, (GLOBAL, 547), client), false),
            ("answer to a global address", udp(6, server, (HOST, 546)), false),
            ("answer to all", udp(6, server, (ALL_NODES, 546)), false),
            ("answer from nobody", udp(6, ("::", 547), client), false),
            ("answer from another port", udp(6, (LINK_LOCAL, 546), client), false),
            ("answer to another port", udp(6, server, ("fe80::100", 547)), false),
            ("request", udp(6, ("fe80::100", 546), ("ff02::1:2", 547)), false),
            ("answer over TCP", Packet { protocol: protocol::TCP, ..udp(6, server, client) }, false),
            ("ports of DHCP", udp(6, (LINK_LOCAL, 67), ("fe80::100", 68)), false),
        ],
    );
}
