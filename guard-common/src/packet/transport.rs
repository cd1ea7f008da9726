//! The transport layer: ports, TCP flags, the type of control messages.

use super::{Fragment, Frame, Packet, Parsed, Span, echo_reply, echo_request, network::Transport, protocol};

const TCP_HEADER: u32 = 20;
const UDP_HEADER: u32 = 8;
const CONTROL_HEADER: u32 = 8;

#[inline(always)]
pub(super) fn parse<F: Frame>(frame: &F, transport: Transport, packet: &mut Packet) -> Parsed {
    let whole = if packet.fragment == Fragment::Later {
        !overlaps_tcp_header(packet.protocol, transport.fragment_offset)
    } else {
        read_header(frame, transport.bytes, packet).is_some()
    };
    if whole { Parsed::Ip } else { Parsed::Malformed }
}

/// Tells whether a later fragment would write over the TCP header that the first one must hold whole (RFC 1858, 3;
/// RFC 3128).
#[inline(always)]
const fn overlaps_tcp_header(protocol: u8, fragment_offset: u16) -> bool {
    protocol == protocol::TCP && (fragment_offset as u32) < TCP_HEADER
}

/// Reads what a whole packet or a first fragment says in its transport header, which must be whole (RFC 7112);
/// `None` is malformed.
#[inline(always)]
fn read_header<F: Frame>(frame: &F, bytes: Span, packet: &mut Packet) -> Option<()> {
    match packet.protocol {
        protocol::TCP => {
            if bytes.length() < TCP_HEADER {
                return None;
            }
            let header: [u8; 14] = frame.read(bytes.offset)?;
            read_ports(&header, packet);
            packet.tcp_sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            packet.tcp_acknowledgment = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
            packet.tcp_flags = header[13];
            let header_length = ((header[12] >> 4) as u32) << 2;
            if header_length < TCP_HEADER || header_length > bytes.length() {
                return None;
            }
        }
        protocol::UDP => {
            if bytes.length() < UDP_HEADER {
                return None;
            }
            let header: [u8; 8] = frame.read(bytes.offset)?;
            read_ports(&header, packet);
            let length = u16::from_be_bytes([header[4], header[5]]) as u32;
            // A first fragment holds less than the whole datagram, so only the lower bound is known.
            if length < UDP_HEADER || (packet.fragment == Fragment::Whole && length > bytes.length()) {
                return None;
            }
        }
        protocol::ICMP | protocol::IGMP if packet.version == 4 => read_message(frame, bytes, packet)?,
        protocol::ICMPV6 if packet.version == 6 => read_message(frame, bytes, packet)?,
        _ => {}
    }
    Some(())
}

#[inline(always)]
pub(super) fn read_ports<const N: usize>(header: &[u8; N], packet: &mut Packet) {
    packet.source_port = u16::from_be_bytes([header[0], header[1]]);
    packet.destination_port = u16::from_be_bytes([header[2], header[3]]);
}

/// Reads the header of an ICMP (RFC 792, RFC 4443) or IGMP (RFC 2236) message, each of eight bytes.
#[inline(always)]
fn read_message<F: Frame>(frame: &F, bytes: Span, packet: &mut Packet) -> Option<()> {
    if bytes.length() < CONTROL_HEADER {
        return None;
    }
    let header: [u8; 6] = frame.read(bytes.offset)?;
    read_control_header(&header, packet);
    if packet.is_error() {
        packet.detail = (bytes.offset + CONTROL_HEADER) as u16;
    }
    Some(())
}

/// Reads a message's type and, of an echo message, the identifier (RFC 792, RFC 4443, 4).
#[inline(always)]
pub(super) fn read_control_header(header: &[u8; 6], packet: &mut Packet) {
    let message_type = header[0];
    packet.message_type = message_type;
    let version = packet.version;
    if packet.is_control_message() && (message_type == echo_request(version) || message_type == echo_reply(version)) {
        packet.detail = u16::from_be_bytes([header[4], header[5]]);
    }
}
