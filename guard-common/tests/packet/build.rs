//! Hand-made frames, put together from the inside out, and what the parser must make of them. Shared with the fuzz target.

use guard_common::{
    address::Address,
    packet::{Fragment, Packet, protocol, tcp_flag},
};

pub(crate) const ETHERNET_HEADER: usize = 14;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const VLAN: u16 = 0x8100;
pub(crate) const PROVIDER_VLAN: u16 = 0x88a8;
pub(crate) const PPPOE_SESSION: u16 = 0x8864;

pub(crate) const SOURCE_PORT: u16 = 40_000;
pub(crate) const DESTINATION_PORT: u16 = 3_000;
const SEQUENCE: u32 = 0x1234_5678;
const ACKNOWLEDGMENT: u32 = 0x9abc_def0;
const HOP_LIMIT: u8 = 64;

const SOURCE_V4: [u8; 4] = [192, 0, 2, 1];
const DESTINATION_V4: [u8; 4] = [198, 51, 100, 2];
const SOURCE_V6: [[u8; 8]; 2] = [[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1]];
const DESTINATION_V6: [[u8; 8]; 2] = [[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0, 2]];

/// `more fragments` in IPv4's flags and fragment offset.
pub(crate) const V4_MORE: u16 = 0x2000;

/// The two versions of IP, so that one table serves both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) fn ether_type(self) -> u16 {
        match self {
            Self::V4 => IPV4,
            Self::V6 => IPV6,
        }
    }

    /// Returns the length of the IP header without options or extension headers.
    pub(crate) fn header_length(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    /// Returns the place of the length field in the IP header.
    pub(crate) fn length_field(self) -> usize {
        match self {
            Self::V4 => 2,
            Self::V6 => 4,
        }
    }

    /// Returns what the length field of a packet declares: of IPv6 the payload alone.
    pub(crate) fn declared_length(self, packet: &[u8]) -> u16 {
        let place = self.length_field();
        u16::from_be_bytes([packet[place], packet[place + 1]])
    }

    /// Returns the number of the version in PPP, compressed to one byte (RFC 1332, RFC 5072).
    pub(crate) fn ppp_number(self) -> u8 {
        match self {
            Self::V4 => 0x21,
            Self::V6 => 0x57,
        }
    }

    /// Returns the protocol of the version's control messages.
    pub(crate) fn control_protocol(self) -> u8 {
        match self {
            Self::V4 => protocol::ICMP,
            Self::V6 => protocol::ICMPV6,
        }
    }

    /// Returns an IP packet.
    pub(crate) fn packet(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::V4 => v4(&[], 0, protocol, payload),
            Self::V6 => v6(protocol, payload),
        }
    }

    /// Returns an IP packet that is a fragment, `offset` in bytes.
    pub(crate) fn fragment(self, offset: u16, more: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::V4 => v4(&[], offset >> 3 | if more { V4_MORE } else { 0 }, protocol, payload),
            Self::V6 => v6(protocol::FRAGMENT, &[&fragment_header(protocol, offset, more), payload].concat()),
        }
    }

    /// Returns a frame without tags around an IP packet.
    pub(crate) fn frame(self, packet: &[u8]) -> Vec<u8> {
        ethernet(self.ether_type(), packet)
    }

    /// Returns what the parser must read from a packet in which nothing behind the IP header says more.
    pub(crate) fn expected(self, protocol: u8, length: usize) -> Packet {
        let (source, destination, version) = match self {
            Self::V4 => (Address::from_v4(SOURCE_V4), Address::from_v4(DESTINATION_V4), 4),
            Self::V6 => (address(SOURCE_V6), address(DESTINATION_V6), 6),
        };
        Packet {
            source,
            destination,
            length: length as u32,
            version,
            protocol,
            hop_limit: HOP_LIMIT,
            fragment: Fragment::Whole,
            ..Packet::default()
        }
    }

    /// Returns what the parser must read from a packet with ports.
    pub(crate) fn expected_ports(self, protocol: u8, length: usize) -> Packet {
        let read =
            Packet { source_port: SOURCE_PORT, destination_port: DESTINATION_PORT, ..self.expected(protocol, length) };
        if protocol != protocol::TCP {
            return read;
        }
        Packet { tcp_flags: tcp_flag::SYN, tcp_sequence: SEQUENCE, tcp_acknowledgment: ACKNOWLEDGMENT, ..read }
    }
}

const fn address([high, low]: [[u8; 8]; 2]) -> Address {
    Address::from_halves(high, low)
}

pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns a frame with tags, the outermost first.
pub(crate) fn tagged(tags: &[u16], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let types: Vec<u16> = tags.iter().copied().chain([ether_type]).collect();
    let mut behind = Vec::new();
    for inner in &types[1..] {
        // Priority 1, VLAN 5.
        behind.extend([0x20, 0x05]);
        behind.extend(inner.to_be_bytes());
    }
    behind.extend(payload);
    ethernet(types[0], &behind)
}

/// Returns a PPPoE session header and what it declares, the PPP protocol included.
pub(crate) fn pppoe(payload: &[u8]) -> Vec<u8> {
    pppoe_with_length(payload.len() as u16, payload)
}

pub(crate) fn pppoe_with_length(length: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    [&[0x11, 0x00, 0x00, 0x2a, high, low], payload].concat()
}

/// Returns an IPv4 packet with options, which fill whole words.
pub(crate) fn v4(options: &[u8], fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0, "options that fill whole words");
    let header_words = 5 + options.len() / 4;
    let [length_high, length_low] = ((header_words * 4 + payload.len()) as u16).to_be_bytes();
    let [fragment_high, fragment_low] = fragment.to_be_bytes();
    let mut packet = vec![0x40 | header_words as u8, 0, length_high, length_low];
    packet.extend([0x12, 0x34, fragment_high, fragment_low, HOP_LIMIT, protocol, 0, 0]);
    packet.extend(SOURCE_V4);
    packet.extend(DESTINATION_V4);
    packet.extend(options);
    packet.extend(payload);
    packet
}

/// Returns an IPv6 packet; the payload begins with the extension headers.
pub(crate) fn v6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let [length_high, length_low] = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length_high, length_low, next_header, HOP_LIMIT];
    packet.extend(SOURCE_V6.as_flattened());
    packet.extend(DESTINATION_V6.as_flattened());
    packet.extend(payload);
    packet
}

/// Returns an extension header of eight bytes; a fragment header is an atomic one, a routing header of type 2.
pub(crate) fn extension(kind: u8, next_header: u8) -> Vec<u8> {
    match kind {
        protocol::FRAGMENT => fragment_header(next_header, 0, false).to_vec(),
        protocol::ROUTING => vec![next_header, 0, 2, 0, 0, 0, 0, 0],
        // RFC 4302, 2.2: without an integrity value twelve bytes, in units of four less two.
        protocol::AH => vec![next_header, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
        _ => vec![next_header, 0, 1, 4, 0, 0, 0, 0],
    }
}

/// Returns an IPv6 fragment header, `offset` in bytes.
pub(crate) fn fragment_header(next_header: u8, offset: u16, more: bool) -> [u8; 8] {
    let [high, low] = (offset & 0xfff8 | more as u16).to_be_bytes();
    [next_header, 0, high, low, 0, 0, 0x12, 0x34]
}

/// Returns an IPv6 packet with a chain of extension headers before the payload.
pub(crate) fn v6_chain(kinds: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut next_header = protocol;
    let mut behind = payload.to_vec();
    for &kind in kinds.iter().rev() {
        behind.splice(..0, extension(kind, next_header));
        next_header = kind;
    }
    v6(next_header, &behind)
}

/// Returns a TCP segment of any data offset, in words; a SYN.
pub(crate) fn tcp(data_offset: u8, behind: &[u8]) -> Vec<u8> {
    tcp_with_flags(data_offset, tcp_flag::SYN, behind)
}

pub(crate) fn tcp_with_flags(data_offset: u8, flags: u8, behind: &[u8]) -> Vec<u8> {
    let mut segment = ports();
    segment.extend(SEQUENCE.to_be_bytes());
    segment.extend(ACKNOWLEDGMENT.to_be_bytes());
    segment.extend([data_offset << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(behind);
    segment
}

/// Returns a UDP datagram whose header declares `length`.
pub(crate) fn udp(length: u16, behind: &[u8]) -> Vec<u8> {
    let mut datagram = ports();
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(behind);
    datagram
}

fn ports() -> Vec<u8> {
    [SOURCE_PORT.to_be_bytes(), DESTINATION_PORT.to_be_bytes()].concat()
}

/// Returns the frame with the bytes from `offset` on written over.
pub(crate) fn patched(mut frame: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

/// Returns the frame without its last `bytes`.
pub(crate) fn shortened(mut frame: Vec<u8>, bytes: usize) -> Vec<u8> {
    frame.truncate(frame.len() - bytes);
    frame
}
