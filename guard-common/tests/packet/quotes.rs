//! Packets that ICMP errors quote beside the same packets on their own. Shared with the fuzz target.

use guard_common::packet::{Fragment, Packet, Parsed, echo_reply, echo_request, protocol};

use crate::{
    build::{Family, PPPOE_SESSION, PROVIDER_VLAN, VLAN, ethernet, pppoe, tagged},
    bytes::{read, read_quoted},
    invariants::packet_start,
    oracle::is_error,
};

/// Quotes of so many bytes are tried at every length.
const CUTS_MAX: usize = 160;

/// Bytes that an error has to quote behind the IP headers (RFC 792).
const TRANSPORT: usize = 8;

/// Panics if the frame's packet, quoted by an error, is not taken for the answer to it; or, if it is an error, what it quotes.
pub(crate) fn check(frame: &[u8]) {
    let reading = read(frame);
    if reading.parsed != Parsed::Ip {
        return;
    }
    check_quoted(frame, &reading.packet);
    if is_error(&reading.packet) {
        check_quoting(frame, &reading.packet);
    }
}

/// Quotes the frame's packet at every length.
fn check_quoted(frame: &[u8], packet: &Packet) {
    let start = packet_start(frame);
    let bytes = &frame[start..start + packet.length as usize];
    // IPv6 extension headers may fill up a long packet.
    let longest = bytes.len().min(40_000);
    let mut enough = None;
    for length in (0..=longest.min(CUTS_MAX)).chain([longest]) {
        let answer = answer_to(packet, &bytes[..length]);
        assert!(enough.is_none() || answer.is_some(), "{length} bytes are too few, one less is not: {frame:02x?}");
        if answer.is_some() && enough.is_none() {
            enough = Some(length);
        }
    }
    let padded = [&bytes[..longest], &[0; TRANSPORT]].concat();
    let readable = bytes.len() == longest && !is_error(packet);
    assert!(!readable || answer_to(packet, &padded).is_some(), "nothing is read, even of {frame:02x?}");
    assert!(!is_error(packet) || enough.is_none(), "an error about an error is read: {frame:02x?}");
    if let Some(enough) = enough.filter(|&enough| enough <= CUTS_MAX && packet.fragment != Fragment::Later) {
        let transport = &bytes[enough - TRANSPORT..enough];
        assert!(starts_as_read(packet, transport), "{enough} bytes are enough, or less is: {frame:02x?}");
    } else {
        let is_read = packet.has_ports() || packet.is_control_message();
        assert!(!is_read || enough.is_some() || !readable, "the whole is not enough: {frame:02x?}");
    }
}

/// Returns what is read of an error that quotes the bytes, which must be the answer to the packet, if anything.
fn answer_to(packet: &Packet, bytes: &[u8]) -> Option<Packet> {
    let family = if packet.version == 4 { Family::V4 } else { Family::V6 };
    let mut answers = errors(family, bytes).into_iter().map(|frame| {
        let error = read(&frame);
        assert_eq!(error.parsed, Parsed::Ip, "{frame:02x?}");
        let answer = read_quoted(&frame, &error.packet);
        assert!(answer.is_none_or(|it| it == answer_expected(packet, &error.packet)), "{answer:?} to {packet:?}");
        answer
    });
    let first = answers.next().flatten();
    answers.for_each(|answer| assert_eq!(answer.is_some(), first.is_some(), "it matters where {bytes:02x?} lies"));
    first
}

/// Returns frames of each link layer with an error that quotes the bytes.
fn errors(family: Family, bytes: &[u8]) -> [Vec<u8>; 3] {
    let message_type = match family {
        Family::V4 => 3,
        Family::V6 => 2,
    };
    let error = family.packet(family.control_protocol(), &[&[message_type, 0, 0, 0, 0, 0, 0, 0], bytes].concat());
    let session = pppoe(&[&[family.ppp_number()][..], &error].concat());
    [
        family.frame(&error),
        tagged(&[PROVIDER_VLAN, VLAN], family.ether_type(), &error),
        ethernet(PPPOE_SESSION, &session),
    ]
}

/// Reads what an error quotes as a packet of its own.
fn check_quoting(frame: &[u8], error: &Packet) {
    let answer = read_quoted(frame, error);
    let family = if error.version == 4 { Family::V4 } else { Family::V6 };
    let quoted = &frame[error.detail as usize..];
    let declared = match family {
        Family::V4 => Some(quoted.len()),
        Family::V6 => quoted.len().checked_sub(family.header_length()),
    };
    let Some(declared) = declared.filter(|&it| (1..=0xffff).contains(&it) && quoted.len() >= family.header_length())
    else {
        return;
    };
    let mut alone = family.frame(quoted);
    let field = packet_start(&alone) + family.length_field();
    alone[field..field + 2].copy_from_slice(&(declared as u16).to_be_bytes());
    let reading = read(&alone);
    if reading.parsed != Parsed::Ip {
        return;
    }
    let expected = answer_expected(&reading.packet, error);
    let is_read =
        reading.packet.has_ports() || reading.packet.is_control_message() || reading.packet.is_later_fragment();
    assert!(answer.is_none_or(|answer| answer == expected), "{answer:?}, not {expected:?}, of {frame:02x?}");
    assert_eq!(answer.is_some(), !is_error(&reading.packet) && (is_read || answer.is_some()), "{frame:02x?}");
}

/// Returns the packet that its receiver would answer with, as far as an error about it shows that.
pub(crate) fn answer_expected(packet: &Packet, error: &Packet) -> Packet {
    let [request, reply] = [echo_request(packet.version), echo_reply(packet.version)];
    let is_control = packet.is_control_message();
    Packet {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        message_type: match packet.message_type {
            // An echo reply's type in IPv4 is also that of what has none.
            asked if is_control && !packet.is_later_fragment() && asked == request => reply,
            answered if is_control && !packet.is_later_fragment() && answered == reply => request,
            other if is_control => other,
            _ => 0,
        },
        tcp_flags: 0,
        tcp_sequence: 0,
        tcp_acknowledgment: 0,
        hop_limit: error.hop_limit,
        length: error.length,
        ..*packet
    }
}

/// Tells whether the first bytes of a transport header are where the parser found the packet's.
fn starts_as_read(packet: &Packet, transport: &[u8]) -> bool {
    let word = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
    match packet.protocol {
        protocol::TCP | protocol::UDP => (word(0), word(2)) == (packet.source_port, packet.destination_port),
        _ if packet.is_control_message() => {
            let has_identifier =
                [echo_request(packet.version), echo_reply(packet.version)].contains(&packet.message_type);
            transport[0] == packet.message_type && (!has_identifier || word(4) == packet.detail)
        }
        _ => true,
    }
}
