//! Neighbour discovery, multicast listener discovery and DHCPv6, and packets that differ from them in one field.

use std::net::Ipv6Addr;

use guard_tests::{
    Site,
    frame::{Extension, Frame, Icmp, Ipv6, Udp, multicast_mac, solicited_node},
};

use crate::{Case, ESSENTIAL};

const NOT_ALLOWED: &str = "- drop not_allowed";
const SPOOFED: &str = "- drop spoofed";

const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
const HOST_ON_LINK: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const LISTENERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xdb);
const NOWHERE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const LOOPBACK: Ipv6Addr = Ipv6Addr::LOCALHOST;

pub(crate) fn cases(site: &Site) -> Vec<Case> {
    [neighbour_discovery(site), listener_discovery(site), dhcp(site)].concat()
}

fn neighbour_discovery(site: &Site) -> Vec<Case> {
    let mac = site.link.right.mac();
    let send = |source, destination, message: Icmp| on_link(site, source, destination, 255, message);
    let from_afar = |source, destination, message: Icmp| on_link(site, source, destination, 254, message);
    let solicitation = || Icmp::neighbour_solicitation(HOST, Some(mac));
    let detection = || Icmp::neighbour_solicitation(STRANGER, None);
    let neighbour = || Icmp::neighbour_advertisement(STRANGER, mac);
    let router = || Icmp::router_advertisement(0, mac);
    let asks = || Icmp::router_solicitation(Some(mac));
    let redirect = Icmp::v6(137, 0).body([HOST.octets(), STRANGER.octets()].concat());
    let behind_options = Ipv6::new(STRANGER, HOST).hop_limit(255);
    let fragment = Ipv6::new(STRANGER, HOST).hop_limit(255);
    vec![
        ("a neighbour solicitation", send(STRANGER, HOST, solicitation()), ESSENTIAL),
        ("a neighbour solicitation on the link", send(ROUTER, HOST, solicitation()), ESSENTIAL),
        ("duplicate address detection", send(NOWHERE, solicited_node(HOST), detection()), ESSENTIAL),
        ("duplicate address detection of all", send(NOWHERE, ALL_NODES, detection()), SPOOFED),
        ("a neighbour advertisement", send(STRANGER, HOST, neighbour()), ESSENTIAL),
        ("a router advertisement", send(ROUTER, ALL_NODES, router()), ESSENTIAL),
        ("a router solicitation", send(ROUTER, ALL_ROUTERS, asks()), ESSENTIAL),
        ("a router solicitation from nowhere", send(NOWHERE, ALL_ROUTERS, Icmp::router_solicitation(None)), ESSENTIAL),
        (
            "a neighbour solicitation behind options",
            site.ethernet().layer(behind_options).layer(Extension::destination(&[])).layer(solicitation()).build(),
            ESSENTIAL,
        ),
        ("a neighbour solicitation from afar", from_afar(STRANGER, HOST, solicitation()), NOT_ALLOWED),
        ("duplicate address detection from afar", from_afar(NOWHERE, solicited_node(HOST), detection()), SPOOFED),
        ("a neighbour advertisement from afar", from_afar(STRANGER, HOST, neighbour()), NOT_ALLOWED),
        ("a router advertisement from afar", from_afar(ROUTER, ALL_NODES, router()), NOT_ALLOWED),
        ("a router solicitation from afar", from_afar(ROUTER, ALL_ROUTERS, asks()), NOT_ALLOWED),
        ("a router advertisement of a global address", send(STRANGER, ALL_NODES, router()), NOT_ALLOWED),
        ("a router solicitation of a global address", send(STRANGER, ALL_ROUTERS, asks()), NOT_ALLOWED),
        ("a neighbour solicitation from loopback", send(LOOPBACK, HOST, solicitation()), SPOOFED),
        ("a neighbour advertisement from nowhere", send(NOWHERE, HOST, neighbour()), SPOOFED),
        ("a neighbour advertisement from multicast", send(GROUP, HOST, neighbour()), SPOOFED),
        ("a redirect", send(ROUTER, HOST, redirect), NOT_ALLOWED),
        // RFC 6980: neighbour discovery is never fragmented.
        (
            "a fragment of a neighbour solicitation",
            site.ethernet().layer(fragment).layer(Extension::fragment(0, true, 7)).layer(solicitation()).build(),
            NOT_ALLOWED,
        ),
    ]
}

fn listener_discovery(site: &Site) -> Vec<Case> {
    let send = |source, destination, message: Icmp| on_link(site, source, destination, 1, message);
    let query = || Icmp::listener_query(NOWHERE);
    let report = || Icmp::listener_report(GROUP);
    let of_version_1 = |kind| Icmp::v6(kind, 0).body(GROUP.octets());
    vec![
        ("an MLD query", send(ROUTER, ALL_NODES, query()), ESSENTIAL),
        ("an MLD report", send(ROUTER, LISTENERS, report()), ESSENTIAL),
        ("an MLD report from nowhere", send(NOWHERE, LISTENERS, report()), ESSENTIAL),
        ("an MLD report of version 1", send(ROUTER, GROUP, of_version_1(131)), ESSENTIAL),
        ("an MLD done", send(ROUTER, ALL_ROUTERS, of_version_1(132)), ESSENTIAL),
        ("an MLD report from afar", on_link(site, ROUTER, LISTENERS, 2, report()), NOT_ALLOWED),
        ("an MLD query of a global address", send(STRANGER, ALL_NODES, query()), NOT_ALLOWED),
        ("an MLD report of a global address", send(STRANGER, LISTENERS, report()), NOT_ALLOWED),
        ("an MLD query from nowhere", send(NOWHERE, ALL_NODES, query()), SPOOFED),
        ("an MLD query to one host", send(ROUTER, HOST, query()), NOT_ALLOWED),
    ]
}

fn dhcp(site: &Site) -> Vec<Case> {
    let send = |from: (Ipv6Addr, u16), to: (Ipv6Addr, u16)| {
        site.ethernet().ipv6(from.0, to.0).layer(Udp::new(from.1, to.1)).payload([7, 1, 2, 3]).build()
    };
    vec![
        ("a DHCPv6 answer", send((ROUTER, 547), (HOST_ON_LINK, 546)), ESSENTIAL),
        ("a DHCPv6 answer of a global address", send((STRANGER, 547), (HOST_ON_LINK, 546)), NOT_ALLOWED),
        ("a DHCPv6 answer to a global address", send((ROUTER, 547), (HOST, 546)), NOT_ALLOWED),
        ("a DHCPv6 answer from another port", send((ROUTER, 546), (HOST_ON_LINK, 546)), NOT_ALLOWED),
        ("a DHCPv6 answer to another port", send((ROUTER, 547), (HOST_ON_LINK, 545)), NOT_ALLOWED),
        ("a DHCPv6 request", send((ROUTER, 546), (HOST_ON_LINK, 547)), NOT_ALLOWED),
    ]
}

fn on_link(site: &Site, source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, message: Icmp) -> Vec<u8> {
    let (from, host) = (site.link.right.mac(), site.link.left.mac());
    let to = if destination.is_multicast() { multicast_mac(destination.into()) } else { host };
    let header = Ipv6::new(source, destination).hop_limit(hop_limit);
    Frame::ethernet(from, to).layer(header).layer(message).build()
}
