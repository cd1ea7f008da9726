//! What stands below IP: Ethernet, VLAN tags (802.1Q), PPPoE sessions (RFC 2516), and ARP (RFC 826).

use std::net::Ipv4Addr;

use super::{Layer, Place, multicast::BROADCAST};

/// The address of an Ethernet interface.
pub type Mac = [u8; 6];

const IPV6: u16 = 0x86dd;

/// An Ethernet header.
#[derive(Debug, Clone)]
pub struct Ethernet {
    source: Mac,
    destination: Mac,
    ether_type: Option<u16>,
}

impl Ethernet {
    /// A header whose EtherType is that of the layer inside.
    pub fn new(source: Mac, destination: Mac) -> Self {
        Self { source, destination, ether_type: None }
    }

    /// Sets the EtherType, or for an 802.3 frame the length.
    pub fn ether_type(mut self, value: u16) -> Self {
        self.ether_type = Some(value);
        self
    }
}

impl Layer for Ethernet {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let ether_type = self.ether_type.unwrap_or(place.ether_type).to_be_bytes();
        [&self.destination[..], &self.source, &ether_type, &inside].concat()
    }
}

/// A VLAN tag.
#[derive(Debug, Clone)]
pub struct Vlan {
    announced_by: u16,
    control: u16,
    ether_type: Option<u16>,
}

impl Vlan {
    /// An 802.1Q tag; `id` may carry priority bits above the lower 12.
    pub fn new(id: u16) -> Self {
        Self { announced_by: 0x8100, control: id, ether_type: None }
    }

    /// An 802.1ad service tag.
    pub fn service(id: u16) -> Self {
        Self { announced_by: 0x88a8, ..Self::new(id) }
    }

    /// Sets the EtherType of what the tag stands before.
    pub fn ether_type(mut self, value: u16) -> Self {
        self.ether_type = Some(value);
        self
    }
}

impl Layer for Vlan {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let ether_type = self.ether_type.unwrap_or(place.ether_type).to_be_bytes();
        [&self.control.to_be_bytes()[..], &ether_type, &inside].concat()
    }

    fn ether_type(&self) -> Option<u16> {
        Some(self.announced_by)
    }
}

/// A PPPoE session header with the PPP protocol field.
#[derive(Debug, Clone)]
pub struct Pppoe {
    version_and_type: u8,
    code: u8,
    session: u16,
    length: Option<u16>,
    protocol: Option<u16>,
}

impl Pppoe {
    /// A session header before IPv4 or IPv6, whichever is inside.
    pub fn new(session: u16) -> Self {
        Self { version_and_type: 0x11, code: 0, session, length: None, protocol: None }
    }

    /// Sets the octet of version and type, which is 0x11.
    pub fn version_and_type(mut self, value: u8) -> Self {
        self.version_and_type = value;
        self
    }

    /// Sets the code, which is 0 for session data.
    pub fn code(mut self, value: u8) -> Self {
        self.code = value;
        self
    }

    /// Sets the length field, which counts the PPP protocol and what follows.
    pub fn length(mut self, value: u16) -> Self {
        self.length = Some(value);
        self
    }

    /// Sets the PPP protocol.
    pub fn protocol(mut self, value: u16) -> Self {
        self.protocol = Some(value);
        self
    }
}

impl Layer for Pppoe {
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8> {
        let length = self.length.unwrap_or_else(|| u16_length(inside.len() + 2)).to_be_bytes();
        let ip = if place.ether_type == IPV6 { 0x0057 } else { 0x0021 };
        let protocol = self.protocol.unwrap_or(ip).to_be_bytes();
        let session = self.session.to_be_bytes();
        [&[self.version_and_type, self.code][..], &session, &length, &protocol, &inside].concat()
    }

    fn ether_type(&self) -> Option<u16> {
        Some(0x8864)
    }
}

/// An ARP packet for IPv4 on Ethernet.
#[derive(Debug, Clone)]
pub struct Arp {
    operation: u16,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
}

impl Arp {
    /// Asks who has an address.
    pub fn request(sender: (Mac, Ipv4Addr), target: impl Into<Ipv4Addr>) -> Self {
        Self { operation: 1, sender, target: ([0; 6], target.into()) }
    }

    /// Answers a request.
    pub fn reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Self {
        Self { operation: 2, sender, target }
    }

    /// Announces an address to everybody.
    pub fn announcement(sender: (Mac, Ipv4Addr)) -> Self {
        Self { operation: 1, sender, target: (BROADCAST, sender.1) }
    }
}

impl Layer for Arp {
    fn wrap(&self, inside: Vec<u8>, _: &Place) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0x08, 0x00, 6, 4];
        bytes.extend(self.operation.to_be_bytes());
        for (mac, address) in [self.sender, self.target] {
            bytes.extend(mac);
            bytes.extend(address.octets());
        }
        bytes.extend(inside);
        bytes
    }

    fn ether_type(&self) -> Option<u16> {
        Some(0x0806)
    }
}

/// A length as a 16-bit field carries it; what does not fit is 0, as in a jumbogram.
pub(super) fn u16_length(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(0)
}
