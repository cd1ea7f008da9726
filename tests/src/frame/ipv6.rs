//! IPv6 headers (RFC 8200).

use std::net::{IpAddr, Ipv6Addr};

use super::{Layer, Place, link::u16_length};

/// An IPv6 header, without the extension headers that may follow it.
#[derive(Debug, Clone)]
pub struct Ipv6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    version: u8,
    traffic_class: u8,
    flow_label: u32,
    payload_length: Option<u16>,
    next_header: Option<u8>,
    hop_limit: u8,
}

impl Ipv6 {
    /// A header with a hop limit of 64.
    pub fn new(source: impl Into<Ipv6Addr>, destination: impl Into<Ipv6Addr>) -> Self {
        Self {
            source: source.into(),
            destination: destination.into(),
            version: 6,
            traffic_class: 0,
            flow_label: 0,
            payload_length: None,
            next_header: None,
            hop_limit: 64,
        }
    }

    /// Sets the version, which is 6.
    pub fn version(mut self, value: u8) -> Self {
        self.version = value;
        self
    }

    /// Sets the traffic class.
    pub fn traffic_class(mut self, value: u8) -> Self {
        self.traffic_class = value;
        self
    }

    /// Sets the flow label, of 20 bits.
    pub fn flow_label(mut self, value: u32) -> Self {
        self.flow_label = value;
        self
    }

    /// Sets the payload length, in bytes.
    pub fn payload_length(mut self, bytes: u16) -> Self {
        self.payload_length = Some(bytes);
        self
    }

    /// Sets the next header.
    pub fn next_header(mut self, value: u8) -> Self {
        self.next_header = Some(value);
        self
    }

    /// Sets the hop limit.
    pub fn hop_limit(mut self, value: u8) -> Self {
        self.hop_limit = value;
        self
    }
}

impl Layer for Ipv6 {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let version_class_label =
            u32::from(self.version) << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        let mut bytes = version_class_label.to_be_bytes().to_vec();
        bytes.extend(self.payload_length.unwrap_or_else(|| u16_length(inside.len())).to_be_bytes());
        bytes.extend([self.next_header.unwrap_or(place.protocol), self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(inside);
        bytes
    }

    fn ether_type(&self) -> Option<u16> {
        Some(0x86dd)
    }

    fn protocol(&self) -> Option<u8> {
        Some(41)
    }

    fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        Some((self.source.into(), self.destination.into()))
    }
}
