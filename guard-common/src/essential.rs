//! What a host cannot live without: the one narrow list of packets that pass before any rule is asked.
//!
//! Each row is as tight as its RFC allows, because none of these senders is in a list.

use crate::{
    address::Address,
    packet::{Packet, protocol},
};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

const MLD_QUERY: u8 = 130;
const MLD_REPORT: u8 = 131;
const MLD_DONE: u8 = 132;
const MLD_REPORT_V2: u8 = 143;

const IGMP_QUERY: u8 = 0x11;
const IGMP_REPORT_V1: u8 = 0x12;
const IGMP_REPORT_V2: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const IGMP_REPORT_V3: u8 = 0x22;

const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;
const DHCPV6_SERVER: u16 = 547;

const V4_ANY: Address = Address::from_v4([0, 0, 0, 0]);
const V4_BROADCAST: Address = Address::from_v4([255, 255, 255, 255]);

/// Tells whether a packet is one that the host cannot live without.
#[inline(always)]
pub fn is_essential(packet: &Packet) -> bool {
    // None of these is ever fragmented (RFC 6980), and the headers of a fragment could be written over.
    if !packet.is_whole() {
        return false;
    }
    match (packet.version, packet.protocol) {
        (6, protocol::ICMPV6) => is_neighbour_discovery(packet) || is_mld(packet),
        (6, protocol::UDP) => is_dhcpv6_answer(packet),
        (4, protocol::IGMP) => is_igmp(packet),
        (4, protocol::UDP) => is_dhcp(packet),
        _ => false,
    }
}

/// RFC 4861, 6.1 and 7.1: a hop limit of 255 proves that the sender is on the link. Redirects are not among them: a
/// host lives without, and they move its traffic elsewhere.
#[inline(always)]
fn is_neighbour_discovery(packet: &Packet) -> bool {
    let source = packet.source;
    let unspecified = source == Address::UNSPECIFIED;
    packet.hop_limit == 255
        && !packet.destination.is_impossible_destination(6)
        && match packet.message_type {
            // From `::` it is duplicate address detection, and asks a solicited-node address (RFC 4862, 5.4.2).
            NEIGHBOUR_SOLICITATION if unspecified => packet.destination.is_solicited_node(),
            NEIGHBOUR_SOLICITATION => !source.is_impossible_source(6),
            NEIGHBOUR_ADVERTISEMENT => !source.is_impossible_source(6),
            ROUTER_SOLICITATION => unspecified || source.is_link_local(),
            ROUTER_ADVERTISEMENT => source.is_link_local(),
            _ => false,
        }
}

/// RFC 2710, 3 and RFC 3810, 5: hop limit 1, from link-local or, for reports, `::`; to a multicast address.
#[inline(always)]
fn is_mld(packet: &Packet) -> bool {
    let source = packet.source;
    packet.hop_limit == 1
        && packet.destination.is_multicast(6)
        && match packet.message_type {
            MLD_QUERY | MLD_DONE => source.is_link_local(),
            MLD_REPORT | MLD_REPORT_V2 => source.is_link_local() || source == Address::UNSPECIFIED,
            _ => false,
        }
}

/// RFC 2236, 2 and RFC 3376, 4: TTL 1, to a multicast address. A snooping switch queries from 0.0.0.0 (RFC 4541, 2.1.1).
#[inline(always)]
fn is_igmp(packet: &Packet) -> bool {
    packet.hop_limit == 1
        && packet.destination.is_multicast(4)
        && (packet.source == V4_ANY || !packet.source.is_impossible_source(4))
        && matches!(packet.message_type, IGMP_QUERY | IGMP_REPORT_V1 | IGMP_REPORT_V2 | IGMP_LEAVE | IGMP_REPORT_V3)
}

/// RFC 2131, 4.1: a server's answer to the client port, and a client's first request.
#[inline(always)]
fn is_dhcp(packet: &Packet) -> bool {
    let answer = packet.source_port == DHCP_SERVER
        && packet.destination_port == DHCP_CLIENT
        && !packet.source.is_impossible_source(4)
        && !packet.destination.is_impossible_destination(4);
    let request = packet.source_port == DHCP_CLIENT
        && packet.destination_port == DHCP_SERVER
        && packet.source == V4_ANY
        && packet.destination == V4_BROADCAST;
    answer || request
}

/// RFC 8415, 7.2: servers and relays on the link answer from their port to the client's, link-local to link-local.
#[inline(always)]
fn is_dhcpv6_answer(packet: &Packet) -> bool {
    packet.source_port == DHCPV6_SERVER
        && packet.destination_port == DHCPV6_CLIENT
        && packet.source.is_link_local()
        && packet.destination.is_link_local()
}
