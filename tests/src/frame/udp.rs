//! UDP headers (RFC 768).

use super::{Layer, Place, checksum::transport_checksum, link::u16_length};

const PROTOCOL: u8 = 17;

/// A UDP header.
#[derive(Debug, Clone)]
pub struct Udp {
    source: u16,
    destination: u16,
    length: Option<u16>,
    checksum: Option<u16>,
}

impl Udp {
    /// A header for what is inside.
    pub fn new(source: u16, destination: u16) -> Self {
        Self { source, destination, length: None, checksum: None }
    }

    /// Sets the length, in bytes with the header.
    pub fn length(mut self, bytes: u16) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Sets the checksum; 0 is none.
    pub fn checksum(mut self, value: u16) -> Self {
        self.checksum = Some(value);
        self
    }
}

impl Layer for Udp {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(self.length.unwrap_or_else(|| u16_length(8 + inside.len())).to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(inside);
        let sum = self.checksum.unwrap_or_else(|| match transport_checksum(place, PROTOCOL, &bytes) {
            // A checksum of 0 is sent as its other form, because 0 says that there is none.
            0 => 0xffff,
            sum => sum,
        });
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn protocol(&self) -> Option<u8> {
        Some(PROTOCOL)
    }
}
