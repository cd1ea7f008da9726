//! The link layer: Ethernet, up to two VLAN tags, PPPoE sessions.

use super::{Frame, LinkType, Span};

const ETHERNET_HEADER: u32 = 14;
const VLAN_TAG: u32 = 4;
const PPPOE_HEADER: u32 = 6;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

pub(super) enum Carries {
    /// An IP packet: the version that the layer above promises, and its bytes.
    Ip(IpSpan),
    NotIp(LinkType),
    Malformed,
}

#[derive(Clone, Copy)]
pub(super) struct IpSpan {
    pub(super) version: u8,
    pub(super) bytes: Span,
}

#[inline(always)]
pub(super) fn parse<F: Frame>(frame: &F) -> Carries {
    let Some(ether_type) = read_type(frame, ETHERNET_HEADER - 2) else { return Carries::Malformed };
    let mut ether_type = ether_type;
    let mut offset = ETHERNET_HEADER;
    // Linux looks through 802.1Q and 802.1ad tags; any other tag type is a protocol of its own.
    let mut tags = 0;
    while is_vlan_tag(ether_type) {
        if tags == 2 {
            return Carries::Malformed;
        }
        tags += 1;
        let Some(inner) = read_type(frame, offset + 2) else { return Carries::Malformed };
        ether_type = inner;
        offset += VLAN_TAG;
    }
    let bytes = Span { offset: frame.forget(offset), end: frame.length() };
    match ether_type {
        ETHERTYPE_IPV4 => Carries::Ip(IpSpan { version: 4, bytes }),
        ETHERTYPE_IPV6 => Carries::Ip(IpSpan { version: 6, bytes }),
        0x8864 => parse_pppoe(frame, bytes),
        other => Carries::NotIp(link_type(other)),
    }
}

/// Reads a PPPoE session header (RFC 2516, 4) and the PPP protocol behind it (RFC 1661, 2).
#[inline(always)]
fn parse_pppoe<F: Frame>(frame: &F, bytes: Span) -> Carries {
    let Some([_, _, _, _, length_high, length_low]) = frame.read::<6>(bytes.offset) else { return Carries::Malformed };
    let payload = bytes.offset + PPPOE_HEADER;
    let length = u16::from_be_bytes([length_high, length_low]) as u32;
    // Linux trims the frame to this length, so bytes past it are no part of the packet.
    let end = payload + length;
    if length == 0 || end > bytes.end {
        return Carries::Malformed;
    }
    let Some([first]) = frame.read::<1>(payload) else { return Carries::Malformed };
    // An odd first byte is a protocol number compressed to one byte (RFC 1661, 6.5), which Linux expands unasked.
    let (ppp_protocol, header) = if first & 1 == 1 {
        (first as u16, 1)
    } else {
        match read_type(frame, payload) {
            Some(ppp_protocol) if length >= 2 => (ppp_protocol, 2),
            _ => return Carries::Malformed,
        }
    };
    let bytes = Span { offset: frame.forget(payload + header), end };
    match ppp_protocol {
        0x0021 => Carries::Ip(IpSpan { version: 4, bytes }),
        0x0057 => Carries::Ip(IpSpan { version: 6, bytes }),
        _ => Carries::NotIp(LinkType::Ppp),
    }
}

#[inline(always)]
fn read_type<F: Frame>(frame: &F, offset: u32) -> Option<u16> {
    frame.read::<2>(offset).map(u16::from_be_bytes)
}

#[inline(always)]
const fn is_vlan_tag(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8)
}

#[inline(always)]
const fn link_type(ether_type: u16) -> LinkType {
    match ether_type {
        0x0806 => LinkType::Arp,
        0x88cc => LinkType::Lldp,
        0x888e => LinkType::Eapol,
        0x8847 | 0x8848 => LinkType::Mpls,
        0x88e5 => LinkType::Macsec,
        0x8863 => LinkType::PppoeDiscovery,
        // IEEE 802.3, 3.2.6: up to 1500 is a length.
        0..=1535 => LinkType::Llc,
        _ => LinkType::Other,
    }
}
