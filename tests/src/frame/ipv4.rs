//! IPv4 headers (RFC 791).

use std::net::{IpAddr, Ipv4Addr};

use super::{Layer, Place, checksum::checksum, link::u16_length};

const MORE_FRAGMENTS: u16 = 0x2000;
const DONT_FRAGMENT: u16 = 0x4000;

/// An IPv4 header.
#[derive(Debug, Clone)]
pub struct Ipv4 {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    version: u8,
    header_length: Option<u8>,
    tos: u8,
    total_length: Option<u16>,
    identification: u16,
    flags_and_offset: u16,
    ttl: u8,
    protocol: Option<u8>,
    checksum: Option<u16>,
    options: Vec<u8>,
}

impl Ipv4 {
    /// A header without options, not to be fragmented, with a time to live of 64.
    pub fn new(source: impl Into<Ipv4Addr>, destination: impl Into<Ipv4Addr>) -> Self {
        Self {
            source: source.into(),
            destination: destination.into(),
            version: 4,
            header_length: None,
            tos: 0,
            total_length: None,
            identification: 0,
            flags_and_offset: DONT_FRAGMENT,
            ttl: 64,
            protocol: None,
            checksum: None,
            options: Vec::new(),
        }
    }

    /// Sets the version, which is 4.
    pub fn version(mut self, value: u8) -> Self {
        self.version = value;
        self
    }

    /// Sets the header length field (IHL), in 4-byte words.
    pub fn header_length(mut self, words: u8) -> Self {
        self.header_length = Some(words);
        self
    }

    /// Sets the type of service.
    pub fn tos(mut self, value: u8) -> Self {
        self.tos = value;
        self
    }

    /// Sets the total length, in bytes.
    pub fn total_length(mut self, bytes: u16) -> Self {
        self.total_length = Some(bytes);
        self
    }

    /// Makes this a fragment: its offset in 8-byte units, whether more follow, and what they have in common. Where the
    /// layer inside does not begin with a transport header, [`Ipv4::protocol`] says of which it is a part.
    pub fn fragment(mut self, offset: u16, more: bool, identification: u16) -> Self {
        self.flags_and_offset = offset & 0x1fff | if more { MORE_FRAGMENTS } else { 0 };
        self.identification = identification;
        self
    }

    /// Sets the time to live.
    pub fn ttl(mut self, value: u8) -> Self {
        self.ttl = value;
        self
    }

    /// Sets the protocol number.
    pub fn protocol(mut self, value: u8) -> Self {
        self.protocol = Some(value);
        self
    }

    /// Sets the header's checksum.
    pub fn checksum(mut self, value: u16) -> Self {
        self.checksum = Some(value);
        self
    }

    /// Sets the options, which are filled up to whole words with end-of-list.
    pub fn options(mut self, bytes: &[u8]) -> Self {
        self.options = bytes.to_vec();
        self.options.resize(bytes.len().next_multiple_of(4), 0);
        self
    }
}

impl Layer for Ipv4 {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let length = 20 + self.options.len();
        let words = self.header_length.unwrap_or((length / 4) as u8);
        let mut header = vec![self.version << 4 | words & 0x0f, self.tos];
        header.extend(self.total_length.unwrap_or_else(|| u16_length(length + inside.len())).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.flags_and_offset.to_be_bytes());
        header.extend([self.ttl, self.protocol.unwrap_or(place.protocol), 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let sum = self.checksum.unwrap_or_else(|| checksum(&header));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header.extend(inside);
        header
    }

    fn ether_type(&self) -> Option<u16> {
        Some(0x0800)
    }

    fn protocol(&self) -> Option<u8> {
        Some(4)
    }

    fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        Some((self.source.into(), self.destination.into()))
    }
}
