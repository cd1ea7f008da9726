//! IGMP and DHCP, and packets that differ from them in one field.

use std::net::Ipv4Addr;

use guard_tests::{
    Site,
    frame::{BROADCAST, Frame, Igmp, Ipv4, Layer, Place, Udp, multicast_mac},
};

use crate::{Case, ESSENTIAL};

const NOT_ALLOWED: &str = "- drop not_allowed";
const SPOOFED: &str = "- drop spoofed";
const MALFORMED: &str = "- drop malformed";

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

pub(crate) fn cases(site: &Site) -> Vec<Case> {
    let source_mac = site.link.right.mac();
    let igmp = |header: Ipv4, to: Ipv4Addr, message: Igmp| {
        Frame::ethernet(source_mac, multicast_mac(to.into())).layer(header).layer(message).build()
    };
    // The two membership reports and the leave that the harness has no name for differ in the type alone.
    let typed = |kind: u8| {
        let message = RawIgmp([kind, 0, 0, 0, 239, 1, 2, 3]);
        Frame::ethernet(source_mac, multicast_mac(GROUP.into())).layer(on_link(ROUTER, GROUP)).layer(message).build()
    };
    let dhcp = |from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)| {
        Frame::ethernet(source_mac, BROADCAST)
            .ipv4(from.0, to.0)
            .layer(Udp::new(from.1, to.1))
            .payload([1; 240])
            .build()
    };
    let (any, everybody) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let fragment = Frame::ethernet(source_mac, BROADCAST)
        .layer(Ipv4::new(ROUTER, everybody).fragment(0, true, 7))
        .udp(67, 68)
        .payload([1; 240]);
    vec![
        ("an IGMP query", igmp(on_link(ROUTER, ALL_HOSTS), ALL_HOSTS, Igmp::query([0; 4])), ESSENTIAL),
        ("a switch's IGMP query", igmp(on_link(any, ALL_HOSTS), ALL_HOSTS, Igmp::query([0; 4])), ESSENTIAL),
        ("an IGMP report", igmp(on_link(ROUTER, GROUP), GROUP, Igmp::report(GROUP)), ESSENTIAL),
        ("an IGMPv1 report", typed(0x12), ESSENTIAL),
        ("an IGMP leave", typed(0x17), ESSENTIAL),
        ("an IGMPv3 report", typed(0x22), ESSENTIAL),
        ("an IGMP message of another type", typed(0x13), NOT_ALLOWED),
        ("an IGMP query from afar", igmp(on_link(ROUTER, GROUP).ttl(2), GROUP, Igmp::query([0; 4])), NOT_ALLOWED),
        ("an IGMP query to one host", igmp(on_link(ROUTER, HOST), ALL_HOSTS, Igmp::query([0; 4])), NOT_ALLOWED),
        (
            "an IGMP query from loopback",
            igmp(on_link([127, 0, 0, 1].into(), GROUP), GROUP, Igmp::query([0; 4])),
            SPOOFED,
        ),
        ("a DHCP answer", dhcp((ROUTER, 67), (HOST, 68)), ESSENTIAL),
        ("a DHCP answer to everybody", dhcp((ROUTER, 67), (everybody, 68)), ESSENTIAL),
        ("a DHCP request", dhcp((any, 68), (everybody, 67)), ESSENTIAL),
        ("a DHCP answer from another port", dhcp((ROUTER, 68), (HOST, 68)), NOT_ALLOWED),
        ("a DHCP answer to another port", dhcp((ROUTER, 67), (HOST, 69)), NOT_ALLOWED),
        ("a DHCP request of a host with an address", dhcp((ROUTER, 68), (everybody, 67)), NOT_ALLOWED),
        ("a DHCP request to one host", dhcp((any, 68), (HOST, 67)), SPOOFED),
        ("a DHCP answer from nowhere", dhcp((any, 67), (everybody, 68)), SPOOFED),
        ("a DHCP answer from multicast", dhcp((GROUP, 67), (HOST, 68)), SPOOFED),
        ("a fragment of a DHCP answer", fragment.build(), NOT_ALLOWED),
        ("half an IGMP query", igmp_cut(site), MALFORMED),
    ]
}

/// A header that says that the packet has crossed no router.
fn on_link(source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4 {
    Ipv4::new(source, destination).ttl(1)
}

fn igmp_cut(site: &Site) -> Vec<u8> {
    let header = on_link(ROUTER, ALL_HOSTS).protocol(2);
    site.ethernet().layer(header).payload([0x11, 0, 0xee, 0xff]).build()
}

/// An IGMP message byte for byte.
struct RawIgmp([u8; 8]);

impl Layer for RawIgmp {
    fn wrap(&self, inside: Vec<u8>, _: &Place) -> Vec<u8> {
        [&self.0[..], &inside].concat()
    }

    fn protocol(&self) -> Option<u8> {
        Some(2)
    }
}
