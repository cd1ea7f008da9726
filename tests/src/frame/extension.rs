//! IPv6 extension headers, each a layer of its own, in any order and number.

use super::{Layer, Place};

/// One extension header.
#[derive(Debug, Clone)]
pub struct Extension {
    number: u8,
    next_header: Option<u8>,
    names_next: bool,
    /// The header without its first octet, the next header, where it has one.
    rest: Vec<u8>,
}

impl Extension {
    /// A hop-by-hop options header (RFC 8200, section 4.3) with the options given, or only padding.
    pub fn hop_by_hop(options: &[u8]) -> Self {
        Self::sized(0, options)
    }

    /// A destination options header (RFC 8200, section 4.6) with the options given, or only padding.
    pub fn destination(options: &[u8]) -> Self {
        Self::sized(60, options)
    }

    /// A routing header (RFC 8200, section 4.4); `data` is what follows the segments left.
    pub fn routing(kind: u8, segments_left: u8, data: &[u8]) -> Self {
        Self::sized(43, &[&[kind, segments_left][..], data].concat())
    }

    /// A fragment header (RFC 8200, section 4.5): the offset in 8-byte units, whether more follow, and what they have
    /// in common. Offset 0 with none to follow is an atomic fragment (RFC 6946).
    pub fn fragment(offset: u16, more: bool, identification: u32) -> Self {
        let field = offset << 3 | u16::from(more);
        Self::naming_next(44, [&[0][..], &field.to_be_bytes(), &identification.to_be_bytes()].concat())
    }

    /// An authentication header (RFC 4302) with 12 bytes of check value; its length field counts 4-byte words, less 2.
    pub fn authentication() -> Self {
        let mut rest = vec![4, 0, 0];
        rest.extend([0, 0, 1, 0, 0, 0, 0, 1]);
        rest.extend([0xa5; 12]);
        Self::naming_next(51, rest)
    }

    /// A mobility header (RFC 6275, section 6.1).
    pub fn mobility() -> Self {
        Self::sized(135, &[0; 6])
    }

    /// A host identity header (RFC 7401, section 5.1).
    pub fn host_identity() -> Self {
        Self::sized(139, &[0; 38])
    }

    /// A shim6 header (RFC 5533, section 5.1).
    pub fn shim6() -> Self {
        Self::sized(140, &[0; 6])
    }

    /// An encapsulating security header (RFC 4303), whose inside nobody on the way can read.
    pub fn encapsulating(spi: u32, sequence: u32) -> Self {
        Self::naming_none(50, [spi.to_be_bytes(), sequence.to_be_bytes()].concat())
    }

    /// The end of the headers (RFC 8200, section 4.7), which takes no bytes.
    pub fn none() -> Self {
        Self::naming_none(59, Vec::new())
    }

    /// Sets the next header.
    pub fn next_header(mut self, value: u8) -> Self {
        self.next_header = Some(value);
        self
    }

    /// Sets the length field; in a fragment header, the reserved octet in its place.
    pub fn length(mut self, value: u8) -> Self {
        if let Some(length) = self.rest.first_mut() {
            *length = value;
        }
        self
    }

    /// A header whose second octet counts its 8-byte units behind the first. It is filled up with zeros, which among
    /// options are Pad1 (RFC 8200, section 4.2).
    fn sized(number: u8, data: &[u8]) -> Self {
        let units = (data.len() + 2).div_ceil(8);
        let mut rest = vec![u8::try_from(units - 1).expect("an extension header has at most 2048 bytes")];
        rest.extend(data);
        rest.resize(units * 8 - 1, 0);
        Self::naming_next(number, rest)
    }

    fn naming_next(number: u8, rest: Vec<u8>) -> Self {
        Self { number, next_header: None, names_next: true, rest }
    }

    fn naming_none(number: u8, rest: Vec<u8>) -> Self {
        Self { number, next_header: None, names_next: false, rest }
    }
}

impl Layer for Extension {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let next_header = self.names_next.then(|| self.next_header.unwrap_or(place.protocol));
        next_header.into_iter().chain(self.rest.iter().copied()).chain(inside).collect()
    }

    fn protocol(&self) -> Option<u8> {
        Some(self.number)
    }
}
