//! What a test must read of frames that hosts sent by themselves. Tags are not looked through.

use std::net::{IpAddr, SocketAddr};

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
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

/// What a TCP header says of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: u8,
}

impl Segment {
    /// Reads a TCP header behind a bare IP header.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let (protocol, destination, tcp) = match *frame.get(12..14)?.as_array()? {
            IPV4 => (frame.get(23)?, IpAddr::from(*frame.get(30..34)?.as_array::<4>()?), frame.get(34..)?),
            IPV6 => (frame.get(20)?, IpAddr::from(*frame.get(38..54)?.as_array::<16>()?), frame.get(54..)?),
            _ => return None,
        };
        if *protocol != TCP {
            return None;
        }
        let port = |place: usize| Some(u16::from_be_bytes(*tcp.get(place..place + 2)?.as_array()?));
        let number = |place: usize| Some(u32::from_be_bytes(*tcp.get(place..place + 4)?.as_array()?));
        Some(Self {
            source: SocketAddr::new(source(frame)?, port(0)?),
            destination: SocketAddr::new(destination, port(2)?),
            sequence: number(4)?,
            acknowledgement: number(8)?,
            flags: *tcp.get(13)?,
        })
    }
}
