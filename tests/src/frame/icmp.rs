//! ICMP of both families (RFC 792, RFC 4443) and IGMP (RFC 2236).

use std::net::Ipv4Addr;

use super::{
    Layer, Place,
    checksum::{checksum, transport_checksum},
};

const ICMPV4: u8 = 1;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;

/// An ICMP message. What follows its 8-byte header is `body`, then the layers inside.
#[derive(Debug, Clone)]
pub struct Icmp {
    protocol: u8,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    body: Vec<u8>,
    checksum: Option<u16>,
}

impl Icmp {
    /// A message of ICMP for IPv4 by its type and code, with the rest of the header zero.
    pub fn v4(kind: u8, code: u8) -> Self {
        Self { protocol: ICMPV4, kind, code, rest: [0; 4], body: Vec::new(), checksum: None }
    }

    /// A message of ICMPv6 by its type and code, with the rest of the header zero.
    pub fn v6(kind: u8, code: u8) -> Self {
        Self { protocol: ICMPV6, ..Self::v4(kind, code) }
    }

    /// An echo request for IPv4.
    pub fn echo_request_v4(identifier: u16, sequence: u16) -> Self {
        Self::v4(8, 0).echo(identifier, sequence)
    }

    /// An echo reply for IPv4.
    pub fn echo_reply_v4(identifier: u16, sequence: u16) -> Self {
        Self::v4(0, 0).echo(identifier, sequence)
    }

    /// An echo request for IPv6.
    pub fn echo_request_v6(identifier: u16, sequence: u16) -> Self {
        Self::v6(128, 0).echo(identifier, sequence)
    }

    /// An echo reply for IPv6.
    pub fn echo_reply_v6(identifier: u16, sequence: u16) -> Self {
        Self::v6(129, 0).echo(identifier, sequence)
    }

    /// Sets the second half of the header, which each type uses in its own way.
    pub fn rest(mut self, bytes: [u8; 4]) -> Self {
        self.rest = bytes;
        self
    }

    /// Sets what follows the header: for an error, the packet that it quotes.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sets the checksum.
    pub fn checksum(mut self, value: u16) -> Self {
        self.checksum = Some(value);
        self
    }

    fn echo(self, identifier: u16, sequence: u16) -> Self {
        let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
        self.rest([a, b, c, d])
    }
}

impl Layer for Icmp {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let mut bytes = [&[self.kind, self.code, 0, 0][..], &self.rest, &self.body, &inside].concat();
        let sum = self.checksum.unwrap_or_else(|| match self.protocol {
            ICMPV6 => transport_checksum(place, ICMPV6, &bytes),
            _ => checksum(&bytes),
        });
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn protocol(&self) -> Option<u8> {
        Some(self.protocol)
    }
}

/// An IGMP message of version 2.
#[derive(Debug, Clone)]
pub struct Igmp {
    kind: u8,
    group: Ipv4Addr,
}

impl Igmp {
    /// Asks for the members of a group, or of all for 0.0.0.0.
    pub fn query(group: impl Into<Ipv4Addr>) -> Self {
        Self { kind: 0x11, group: group.into() }
    }

    /// Says that the sender is a member of a group.
    pub fn report(group: impl Into<Ipv4Addr>) -> Self {
        Self { kind: 0x16, group: group.into() }
    }
}

impl Layer for Igmp {
    fn wrap(&self, inside: Vec<u8>, _: &Place) -> Vec<u8> {
        let mut bytes = [&[self.kind, 100, 0, 0][..], &self.group.octets(), &inside].concat();
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn protocol(&self) -> Option<u8> {
        Some(IGMP)
    }
}
