//! TCP headers (RFC 9293).

use super::{Layer, Place, checksum::transport_checksum};

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// Opens a connection.
pub const SYN: u8 = 0x02;
/// Resets the connection.
pub const RST: u8 = 0x04;
/// Asks to hand the data on.
pub const PSH: u8 = 0x08;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;
/// The urgent pointer counts.
pub const URG: u8 = 0x20;

const PROTOCOL: u8 = 6;

/// A TCP header.
#[derive(Debug, Clone)]
pub struct Tcp {
    source: u16,
    destination: u16,
    sequence: u32,
    acknowledgement: u32,
    data_offset: Option<u8>,
    flags: u8,
    window: u16,
    checksum: Option<u16>,
    options: Vec<u8>,
}

impl Tcp {
    /// A header without flags and options.
    pub fn new(source: u16, destination: u16) -> Self {
        Self {
            source,
            destination,
            sequence: 0,
            acknowledgement: 0,
            data_offset: None,
            flags: 0,
            window: 65535,
            checksum: None,
            options: Vec::new(),
        }
    }

    /// Sets the flags, such as `SYN | ACK`.
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the sequence number.
    pub fn sequence(mut self, value: u32) -> Self {
        self.sequence = value;
        self
    }

    /// Sets the acknowledgement number.
    pub fn acknowledgement(mut self, value: u32) -> Self {
        self.acknowledgement = value;
        self
    }

    /// Sets the data offset, in 4-byte words.
    pub fn data_offset(mut self, words: u8) -> Self {
        self.data_offset = Some(words);
        self
    }

    /// Sets the window.
    pub fn window(mut self, value: u16) -> Self {
        self.window = value;
        self
    }

    /// Sets the checksum.
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

impl Layer for Tcp {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let words = self.data_offset.unwrap_or(((20 + self.options.len()) / 4) as u8);
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([words << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.options);
        bytes.extend(inside);
        let sum = self.checksum.unwrap_or_else(|| transport_checksum(place, PROTOCOL, &bytes));
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn protocol(&self) -> Option<u8> {
        Some(PROTOCOL)
    }
}
