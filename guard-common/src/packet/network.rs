//! The IP layer: the fixed header of either version, IPv4 options, IPv6 extension headers.

use super::{Fragment, Frame, Packet, Span, link::IpSpan, protocol};
use crate::address::Address;

pub(super) const IPV4_HEADER: u32 = 20;
pub(super) const IPV6_HEADER: u32 = 40;

/// The longest packet whose length fits the header's field. Longer ones exist only inside a host (BIG TCP), which
/// marks them with a length of zero.
const LENGTH_FIELD_MAX: u32 = 65_535;

/// IPv6 extension headers that are walked before a packet counts as malformed.
const EXTENSIONS_MAX: u64 = 8;

/// Bytes of options that an IPv4 header can have.
const OPTIONS_MAX: u64 = 40;

const OPTION_END: u8 = 0;
const OPTION_NO_OPERATION: u8 = 1;
const OPTION_LOOSE_SOURCE_ROUTE: u8 = 131;
const OPTION_STRICT_SOURCE_ROUTE: u8 = 137;

/// What follows the IP headers.
#[derive(Clone, Copy)]
pub(super) struct Transport {
    pub(super) bytes: Span,
    /// A later fragment's place in the packet in bytes, else zero.
    pub(super) fragment_offset: u16,
}

/// Reads the IP headers; `None` is malformed.
#[inline(always)]
pub(super) fn parse<F: Frame>(frame: &F, ip: IpSpan, packet: &mut Packet) -> Option<Transport> {
    if ip.version == 4 { parse_v4(frame, ip.bytes, packet) } else { parse_v6(frame, ip.bytes, packet) }
}

/// Reads an IPv4 header (RFC 791, 3.1).
#[inline(always)]
fn parse_v4<F: Frame>(frame: &F, bytes: Span, packet: &mut Packet) -> Option<Transport> {
    // A PPPoE payload may end before the frame does.
    if bytes.length() < IPV4_HEADER {
        return None;
    }
    let header: [u8; 20] = frame.read(bytes.offset)?;
    if header[0] >> 4 != 4 {
        return None;
    }
    packet.version = 4;
    packet.source = Address::from_v4([header[12], header[13], header[14], header[15]]);
    packet.destination = Address::from_v4([header[16], header[17], header[18], header[19]]);
    packet.hop_limit = header[8];
    packet.protocol = header[9];

    let header_length = ((header[0] & 0x0f) as u32) << 2;
    let length = whole_length(u16::from_be_bytes([header[2], header[3]]) as u32, bytes)?;
    packet.length = length;
    if header_length < IPV4_HEADER || length < header_length {
        return None;
    }
    if header_length > IPV4_HEADER {
        check_options(frame, Span { offset: bytes.offset + IPV4_HEADER, end: bytes.offset + header_length })?;
    }

    let fragment = u16::from_be_bytes([header[6], header[7]]);
    // In units of eight bytes, so the largest of 13 bits still fits.
    let fragment_offset = (fragment & 0x1fff) << 3;
    packet.fragment = fragment_kind(fragment_offset, fragment & 0x2000 != 0);
    let bytes = Span { offset: bytes.offset + header_length, end: bytes.offset + length };
    Some(Transport { bytes, fragment_offset })
}

/// Walks IPv4 options (RFC 791, 3.1); an option that overruns the header or routes by source is malformed.
#[inline(always)]
fn check_options<F: Frame>(frame: &F, options: Span) -> Option<()> {
    let mut offset = options.offset;
    for _ in 0..OPTIONS_MAX {
        if offset >= options.end {
            break;
        }
        let [kind] = frame.read::<1>(offset)?;
        let length = match kind {
            OPTION_END => break,
            OPTION_NO_OPERATION => 1,
            OPTION_LOOSE_SOURCE_ROUTE | OPTION_STRICT_SOURCE_ROUTE => return None,
            _ => match frame.read::<1>(offset + 1)? {
                // It counts the two bytes that say kind and length.
                [0 | 1] => return None,
                [length] => length as u32,
            },
        };
        offset = frame.forget(offset + length);
        if offset > options.end {
            return None;
        }
    }
    Some(())
}

/// Reads an IPv6 header (RFC 8200, 3) and its extension headers.
#[inline(always)]
fn parse_v6<F: Frame>(frame: &F, bytes: Span, packet: &mut Packet) -> Option<Transport> {
    if bytes.length() < IPV6_HEADER {
        return None;
    }
    let header: [u8; 8] = frame.read(bytes.offset)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    packet.version = 6;
    packet.source = read_address(frame, bytes.offset + 8)?;
    packet.destination = read_address(frame, bytes.offset + 24)?;
    packet.protocol = header[6];
    packet.hop_limit = header[7];

    let payload = Span { offset: bytes.offset + IPV6_HEADER, end: bytes.end };
    let declared = u16::from_be_bytes([header[4], header[5]]) as u32;
    let length = whole_length(declared, payload)?;
    packet.length = IPV6_HEADER + length;
    walk_extensions(frame, Span { offset: payload.offset, end: payload.offset + length }, packet)
}

#[inline(always)]
pub(super) fn read_address<F: Frame>(frame: &F, offset: u32) -> Option<Address> {
    Some(Address::from_halves(frame.read(offset)?, frame.read(offset + 8)?))
}

/// Walks IPv6 extension headers (RFC 8200, 4) up to the transport header, an end without one, or a later fragment.
#[inline(always)]
pub(super) fn walk_extensions<F: Frame>(frame: &F, payload: Span, packet: &mut Packet) -> Option<Transport> {
    let mut bytes = payload;
    let mut fragment_offset = 0;
    for _ in 0..EXTENSIONS_MAX {
        let kind = packet.protocol;
        if !is_extension(kind) {
            break;
        }
        if bytes.length() < 8 {
            return None;
        }
        let header: [u8; 8] = frame.read(bytes.offset)?;
        packet.protocol = header[0];
        let length = match kind {
            protocol::FRAGMENT => {
                let fragment = u16::from_be_bytes([header[2], header[3]]);
                fragment_offset = fragment & 0xfff8;
                let more = fragment & 1 != 0;
                // RFC 6946: an atomic fragment is a whole packet. A second fragment header must not undo the first.
                if packet.fragment != Fragment::Whole {
                    return None;
                }
                packet.fragment = fragment_kind(fragment_offset, more);
                8
            }
            // RFC 4302, 2.2: in units of four bytes, minus two.
            protocol::AH => (header[1] as u32 + 2) << 2,
            // RFC 5095: type 0 routes by source.
            protocol::ROUTING if header[2] == 0 => return None,
            _ => (header[1] as u32 + 1) << 3,
        };
        if length > bytes.length() {
            return None;
        }
        bytes.offset = frame.forget(bytes.offset + length);
        if packet.fragment == Fragment::Later {
            return Some(Transport { bytes, fragment_offset });
        }
    }
    if is_extension(packet.protocol) { None } else { Some(Transport { bytes, fragment_offset }) }
}

#[inline(always)]
const fn is_extension(kind: u8) -> bool {
    matches!(
        kind,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AH
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6
    )
}

/// Returns the length that counts: the declared one if the bytes are there, or all of them where it is zero because
/// the packet is too long for the field.
#[inline(always)]
fn whole_length(declared: u32, bytes: Span) -> Option<u32> {
    let present = bytes.length();
    if declared == 0 && present > LENGTH_FIELD_MAX {
        return Some(present);
    }
    if declared > present { None } else { Some(declared) }
}

#[inline(always)]
pub(super) const fn fragment_kind(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}
