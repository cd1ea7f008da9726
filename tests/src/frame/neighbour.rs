//! The ICMPv6 messages by which hosts find each other: neighbour discovery (RFC 4861) and multicast listeners (RFC
//! 3810).

use std::net::Ipv6Addr;

use super::{Icmp, Mac};

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

impl Icmp {
    /// Asks for the Ethernet address of a neighbour; without an own one it is duplicate address detection.
    pub fn neighbour_solicitation(target: Ipv6Addr, own: Option<Mac>) -> Self {
        let own = own.map(|mac| link_address(SOURCE_LINK_ADDRESS, mac)).unwrap_or_default();
        Self::v6(135, 0).body([&target.octets()[..], &own].concat())
    }

    /// Tells the Ethernet address of the target, solicited and overriding what was known.
    pub fn neighbour_advertisement(target: Ipv6Addr, mac: Mac) -> Self {
        let body = [&target.octets()[..], &link_address(TARGET_LINK_ADDRESS, mac)].concat();
        Self::v6(136, 0).rest([0x60, 0, 0, 0]).body(body)
    }

    /// Asks routers to advertise themselves; without an own address it comes from `::`.
    pub fn router_solicitation(own: Option<Mac>) -> Self {
        Self::v6(133, 0).body(own.map(|mac| link_address(SOURCE_LINK_ADDRESS, mac)).unwrap_or_default())
    }

    /// Advertises a router that is to be the default one for some seconds; 0 is not at all.
    pub fn router_advertisement(lifetime_s: u16, mac: Mac) -> Self {
        let [high, low] = lifetime_s.to_be_bytes();
        let body = [&[0; 8][..], &link_address(SOURCE_LINK_ADDRESS, mac)].concat();
        Self::v6(134, 0).rest([64, 0, high, low]).body(body)
    }

    /// Asks for the listeners of a group, or of all for `::`, in the form of version 1 (RFC 2710).
    pub fn listener_query(group: Ipv6Addr) -> Self {
        Self::v6(130, 0).rest([0x27, 0x10, 0, 0]).body(group.octets())
    }

    /// Says, in the form of version 2, that the sender begins to listen to a group.
    pub fn listener_report(group: Ipv6Addr) -> Self {
        let change_to_exclude = [4, 0, 0, 0];
        Self::v6(143, 0).rest([0, 0, 0, 1]).body([&change_to_exclude[..], &group.octets()].concat())
    }
}

/// The option that carries an Ethernet address, 8 bytes long.
fn link_address(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}
