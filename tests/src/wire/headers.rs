//! What a test must read of frames that hosts sent by themselves. Tags are not looked through.

use std::net::IpAddr;

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;

/// The source address of the IP packet in a frame.
pub fn source(frame: &[u8]) -> Option<IpAddr> {
    match *frame.get(12..14)?.as_array()? {
        IPV4 => Some(IpAddr::from(*frame.get(26..30)?.as_array::<4>()?)),
        IPV6 => Some(IpAddr::from(*frame.get(22..38)?.as_array::<16>()?)),
        _ => None,
    }
}

/// Tells whether a frame holds ICMPv6, by which hosts find each other, behind a bare IPv6 header.
pub fn is_icmpv6(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&IPV6) && frame.get(20) == Some(&ICMPV6)
}
