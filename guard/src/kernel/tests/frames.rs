//! Frames from a client to the service, and to the host itself. Checksums are the kernel's business.

use std::net::IpAddr;

/// The port of the policies' only service.
pub(crate) const SERVICE_PORT: u16 = 3000;

/// What a client sends to the service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    /// A bare SYN.
    Syn,
    /// A bare SYN to another port.
    SynTo(u16),
    /// A TCP segment without data.
    Tcp(Tcp),
    /// A TCP segment of an open connection, of so many bytes from the IP header on.
    Segment(u16),
    /// A UDP packet from a port.
    Datagram(u16),
    /// An ICMP echo request.
    Echo,
    /// A UDP packet from [`SERVER_PORT`] to [`ASKING_PORT`].
    Answer,
    /// An ICMP error about a packet to the client from a port of no service.
    Unreachable,
}

/// A TCP segment's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A port of no service, from which this host may have asked, and the port that it asked.
pub(crate) const ASKING_PORT: u16 = 50_000;
pub(crate) const SERVER_PORT: u16 = 53;

/// The port of a client's TCP connection.
const CLIENT_PORT: u16 = 40_000;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

impl Sent {
    /// Returns an Ethernet frame that carries it from the source.
    pub(crate) fn frame(self, source: IpAddr) -> Vec<u8> {
        let own = own_address(source);
        let control = if source.is_ipv4() { 1 } else { 58 };
        let (protocol, payload) = match self {
            Self::Syn => (TCP, segment(SYN, SERVICE_PORT)),
            Self::SynTo(port) => (TCP, segment(SYN, port)),
            Self::Tcp(tcp) => (TCP, tcp.bytes()),
            Self::Segment(length) => {
                let mut segment = segment(ACK, SERVICE_PORT);
                segment.resize(usize::from(length) - ip_header_length(source), 0);
                (TCP, segment)
            }
            Self::Datagram(port) => (UDP, datagram(port, SERVICE_PORT)),
            Self::Answer => (UDP, datagram(SERVER_PORT, ASKING_PORT)),
            Self::Echo => (control, vec![if source.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0, 7, 0, 1]),
            Self::Unreachable => {
                let mut error = vec![if source.is_ipv4() { 3 } else { 1 }, 0, 0, 0, 0, 0, 0, 0];
                error.extend(packet(own, source, UDP, &datagram(ASKING_PORT, SERVER_PORT)));
                (control, error)
            }
        };
        let mut frame = [[0x02; 6], [0x04; 6]].concat();
        frame.extend(if source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(packet(source, own, protocol, &payload));
        frame
    }
}

/// Returns the address of this host to which a source sends.
pub(crate) fn own_address(source: IpAddr) -> IpAddr {
    if source.is_ipv4() { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() }
}

fn ip_header_length(source: IpAddr) -> usize {
    if source.is_ipv4() { 20 } else { 40 }
}

fn packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    let mut packet = match source {
        IpAddr::V4(_) => {
            let [high, low] = (20 + length).to_be_bytes();
            vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0]
        }
        IpAddr::V6(_) => {
            let [high, low] = length.to_be_bytes();
            vec![0x60, 0, 0, 0, high, low, protocol, 64]
        }
    };
    for ip in [source, destination] {
        match ip {
            IpAddr::V4(v4) => packet.extend(v4.octets()),
            IpAddr::V6(v6) => packet.extend(v6.octets()),
        }
    }
    packet.extend(payload);
    packet
}

fn segment(flags: u8, to: u16) -> Vec<u8> {
    Tcp { from: CLIENT_PORT, to, flags, sequence: 1 }.bytes()
}

impl Tcp {
    fn bytes(self) -> Vec<u8> {
        let Self { from, to, flags, sequence } = self;
        let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
        segment.extend(sequence.to_be_bytes());
        segment.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment
    }
}

fn datagram(from: u16, to: u16) -> Vec<u8> {
    [from, to, 8, 0].map(u16::to_be_bytes).concat()
}
