//! What etherparse, a parser of other origin, makes of a frame, in the parser's own terms. Shared with the fuzz target.

use std::net::IpAddr;

use etherparse::{
    Icmpv4Slice, Icmpv6Slice, IgmpSlice, IpFragOffset, IpNumber, IpPayloadSlice, Ipv4Slice, Ipv6ExtensionSlice,
    Ipv6Slice, NetSlice, SlicedPacket, TcpSlice, TransportSlice, UdpSlice, err::Layer, ip_number,
};
use guard_common::packet::{Fragment, Packet, Parsed, tcp_flag};

use crate::bytes::Reading;

/// What a parser answers, as far as both parsers can say it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Ip(Packet),
    NotIp,
    Malformed,
}

impl From<Reading> for Answer {
    fn from(reading: Reading) -> Self {
        match reading.parsed {
            Parsed::Ip => Self::Ip(reading.packet),
            Parsed::NotIp(_) => Self::NotIp,
            Parsed::Malformed => Self::Malformed,
        }
    }
}

/// Reads a frame with etherparse.
pub(crate) fn read(frame: &[u8]) -> Answer {
    let Ok(sliced) = SlicedPacket::from_ethernet(frame) else { return Answer::Malformed };
    let (mut packet, payload) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => (v4(ip), ip.payload()),
        Some(NetSlice::Ipv6(ip)) => (v6(ip), ip.payload()),
        Some(NetSlice::Arp(_)) | None => return Answer::NotIp,
    };
    let transport = match packet.fragment {
        Fragment::First => first_fragment(payload),
        Fragment::Whole | Fragment::Later => Ok(sliced.transport),
    };
    match transport {
        Ok(transport) => read_transport(frame, transport.as_ref(), &mut packet),
        Err(Malformed) => return Answer::Malformed,
    }
    Answer::Ip(packet)
}

pub(crate) fn fragment(offset: IpFragOffset, more: bool) -> Fragment {
    match (offset == IpFragOffset::ZERO, more) {
        (true, false) => Fragment::Whole,
        (true, true) => Fragment::First,
        (false, _) => Fragment::Later,
    }
}

struct Malformed;

fn v4(ip: &Ipv4Slice<'_>) -> Packet {
    let header = ip.header();
    Packet {
        source: IpAddr::from(header.source_addr()).into(),
        destination: IpAddr::from(header.destination_addr()).into(),
        length: header.total_len().into(),
        version: header.version(),
        protocol: ip.payload_ip_number().0,
        hop_limit: header.ttl(),
        fragment: fragment(header.fragments_offset(), header.more_fragments()),
        ..Packet::default()
    }
}

fn v6(ip: &Ipv6Slice<'_>) -> Packet {
    let (header, extensions, payload) = (ip.header(), ip.extensions(), ip.payload());
    let fragment = extensions.clone().into_iter().fold(Fragment::Whole, |found, extension| match extension {
        Ipv6ExtensionSlice::Fragment(header) => fragment(header.fragment_offset(), header.more_fragments()),
        _ => found,
    });
    Packet {
        source: IpAddr::from(header.source_addr()).into(),
        destination: IpAddr::from(header.destination_addr()).into(),
        length: (header.header_len() + extensions.slice().len() + payload.payload.len()) as u32,
        version: header.version(),
        protocol: payload.ip_number.0,
        hop_limit: header.hop_limit(),
        fragment,
        ..Packet::default()
    }
}

/// Reads the transport header of a first fragment, which etherparse leaves alone in a packet but has the readers for.
fn first_fragment<'a>(payload: &IpPayloadSlice<'a>) -> Result<Option<TransportSlice<'a>>, Malformed> {
    let bytes = payload.payload;
    let read = match payload.ip_number {
        IpNumber::TCP => TcpSlice::from_slice(bytes).map(TransportSlice::Tcp).map_err(|_| Malformed),
        IpNumber::UDP => match UdpSlice::from_slice(bytes) {
            // The header declares the whole datagram, of which this is a part.
            Err(error) if error.layer == Layer::UdpPayload => UdpSlice::from_slice_lax(bytes),
            other => other,
        }
        .map(TransportSlice::Udp)
        .map_err(|_| Malformed),
        IpNumber::ICMP => Icmpv4Slice::from_slice(bytes).map(TransportSlice::Icmpv4).map_err(|_| Malformed),
        ip_number::IPV6_ICMP => Icmpv6Slice::from_slice(bytes).map(TransportSlice::Icmpv6).map_err(|_| Malformed),
        IpNumber::IGMP => IgmpSlice::from_slice(bytes).map(TransportSlice::Igmp).map_err(|_| Malformed),
        _ => return Ok(None),
    };
    read.map(Some)
}

/// Tells whether a packet is an ICMP error, which quotes another.
pub(crate) fn is_error(packet: &Packet) -> bool {
    let types: &[u8] = match (packet.version, IpNumber(packet.protocol)) {
        (4, IpNumber::ICMP) => &[3, 11, 12],
        (6, IpNumber::IPV6_ICMP) => &[1, 2, 3, 4],
        _ => &[],
    };
    packet.fragment != Fragment::Later && types.contains(&packet.message_type)
}

fn read_transport(frame: &[u8], transport: Option<&TransportSlice<'_>>, packet: &mut Packet) {
    match transport {
        Some(TransportSlice::Tcp(tcp)) => {
            (packet.source_port, packet.destination_port) = (tcp.source_port(), tcp.destination_port());
            packet.tcp_flags = tcp_flags(tcp);
            packet.tcp_sequence = tcp.sequence_number();
            packet.tcp_acknowledgment = tcp.acknowledgment_number();
        }
        Some(TransportSlice::Udp(udp)) => {
            (packet.source_port, packet.destination_port) = (udp.source_port(), udp.destination_port());
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            packet.message_type = icmp.type_u8();
            packet.detail = detail(frame, packet, [0, 8], icmp.bytes5to8(), icmp.slice());
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            packet.message_type = icmp.type_u8();
            packet.detail = detail(frame, packet, [129, 128], icmp.bytes5to8(), icmp.slice());
        }
        Some(TransportSlice::Igmp(igmp)) => packet.message_type = igmp.type_u8(),
        None => {}
    }
}

/// Returns the identifier of an echo message, or where in the frame the packet begins that an error quotes.
fn detail(frame: &[u8], packet: &Packet, echo: [u8; 2], [high, low, ..]: [u8; 4], message: &[u8]) -> u16 {
    if echo.contains(&packet.message_type) {
        u16::from_be_bytes([high, low])
    } else if is_error(packet) {
        let begins = message.as_ptr().addr() - frame.as_ptr().addr();
        (begins + 8) as u16
    } else {
        0
    }
}

fn tcp_flags(tcp: &TcpSlice<'_>) -> u8 {
    let flags = [
        (tcp.fin(), tcp_flag::FIN),
        (tcp.syn(), tcp_flag::SYN),
        (tcp.rst(), tcp_flag::RST),
        (tcp.psh(), tcp_flag::PSH),
        (tcp.ack(), tcp_flag::ACK),
        (tcp.urg(), tcp_flag::URG),
        (tcp.ece(), 0x40),
        (tcp.cwr(), 0x80),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum()
}
