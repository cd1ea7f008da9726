//! The packet that an ICMP error quotes: whose answer the error stands for.

use super::{
    Fragment, Frame, Packet, Span, echo_reply, echo_request,
    network::{IPV4_HEADER, IPV6_HEADER, fragment_kind, read_address, walk_extensions},
    protocol,
    transport::{read_control_header, read_ports},
};
use crate::address::Address;

/// Reads the packet that an error quotes, and makes of `packet`, a copy of the error, the answer to it as its receiver would send
/// it. `None` if there is none: the quote is cut within the eight bytes that it must have behind the IP header (RFC 792,
/// RFC 4443, 2.4), or is of an error itself.
///
/// The answer has the error's length and hop limit and no flags: no rule that it is for asks for them. What pads a frame counts
/// as quoted; a stack leaves alone an error that is so short.
#[inline(always)]
pub fn read_answer_to_quoted<F: Frame>(frame: &F, packet: &mut Packet) -> Option<()> {
    let bytes = Span { offset: packet.detail as u32, end: frame.length() };
    packet.detail = 0;
    packet.message_type = 0;
    packet.fragment = Fragment::Whole;
    let transport = if packet.version == 4 { read_v4(frame, bytes, packet)? } else { read_v6(frame, bytes, packet)? };
    if !packet.is_later_fragment() {
        read_transport(frame, transport, packet)?;
    }
    core::mem::swap(&mut packet.source, &mut packet.destination);
    core::mem::swap(&mut packet.source_port, &mut packet.destination_port);
    Some(())
}

/// Returns where the transport header begins.
#[inline(always)]
fn read_v4<F: Frame>(frame: &F, bytes: Span, quoted: &mut Packet) -> Option<u32> {
    let header: [u8; 20] = frame.read(bytes.offset)?;
    let header_length = ((header[0] & 0x0f) as u32) << 2;
    if header[0] >> 4 != 4 || header_length < IPV4_HEADER {
        return None;
    }
    quoted.source = Address::from_v4([header[12], header[13], header[14], header[15]]);
    quoted.destination = Address::from_v4([header[16], header[17], header[18], header[19]]);
    quoted.protocol = header[9];
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    quoted.fragment = fragment_kind((fragment & 0x1fff) << 3, fragment & 0x2000 != 0);
    Some(bytes.offset + header_length)
}

/// Returns where the transport header begins.
#[inline(always)]
fn read_v6<F: Frame>(frame: &F, bytes: Span, quoted: &mut Packet) -> Option<u32> {
    let header: [u8; 8] = frame.read(bytes.offset)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    quoted.source = read_address(frame, bytes.offset + 8)?;
    quoted.destination = read_address(frame, bytes.offset + 24)?;
    quoted.protocol = header[6];
    let payload = Span { offset: bytes.offset + IPV6_HEADER, end: bytes.end };
    Some(walk_extensions(frame, payload, quoted)?.bytes.offset)
}

/// Reads ports, or the type of message that would answer.
#[inline(always)]
fn read_transport<F: Frame>(frame: &F, offset: u32, quoted: &mut Packet) -> Option<()> {
    let header: [u8; 8] = frame.read(offset)?;
    match quoted.protocol {
        protocol::TCP | protocol::UDP => read_ports(&header, quoted),
        _ if quoted.is_control_message() => {
            let [b0, b1, b2, b3, b4, b5, ..] = header;
            read_control_header(&[b0, b1, b2, b3, b4, b5], quoted);
            if quoted.is_error() {
                return None;
            }
            quoted.message_type = answering(quoted.version, quoted.message_type);
        }
        _ => {}
    }
    Some(())
}

#[inline(always)]
const fn answering(version: u8, message_type: u8) -> u8 {
    let (request, reply) = (echo_request(version), echo_reply(version));
    if message_type == request {
        reply
    } else if message_type == reply {
        request
    } else {
        message_type
    }
}
