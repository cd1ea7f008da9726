//! Frames, byte for byte. Every field that follows from the rest (lengths, checksums, what comes next) is filled in
//! unless it is set, so a frame is right by default and wrong only where a test says so.
//!
//! ```
//! use guard_tests::frame::{Frame, Ipv4, SYN};
//! let (client, server) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
//! let sane = Frame::ethernet(client, server).vlan(5).ipv4([10, 0, 0, 1], [10, 0, 0, 2]).tcp(1234, 3000, SYN).build();
//! let short = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).header_length(4);
//! let malformed = Frame::ethernet(client, server).layer(short).tcp(1234, 3000, SYN).build();
//! ```

mod checksum;
mod extension;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod multicast;
mod neighbour;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use extension::Extension;
pub use icmp::{Icmp, Igmp};
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use link::{Arp, Ethernet, Mac, Pppoe, Vlan};
pub use multicast::{BROADCAST, multicast_mac, solicited_node};
pub use tcp::{ACK, FIN, PSH, RST, SYN, Tcp, URG};
pub use udp::Udp;

/// A header, or anything else that stands in a frame between its neighbours.
pub trait Layer {
    /// Puts this layer's bytes around those inside it.
    fn wrap(&self, inside: Vec<u8>, place: &Place) -> Vec<u8>;

    /// The EtherType that announces this layer.
    fn ether_type(&self) -> Option<u16> {
        None
    }

    /// The IP protocol number that announces this layer.
    fn protocol(&self) -> Option<u8> {
        None
    }

    /// The addresses that checksums inside this layer cover.
    fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        None
    }
}

/// What a layer must know of the others.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The EtherType of the layer inside, 0xffff (reserved, RFC 1701) where it has none.
    pub ether_type: u16,
    /// The IP protocol number of the layer inside, 253 (for experiments, RFC 3692) where it has none.
    pub protocol: u8,
    /// Source and destination of the nearest IP header around.
    pub addresses: Option<(IpAddr, IpAddr)>,
}

/// A frame in the making: layers from the outermost to the innermost, then padding.
#[derive(Default)]
pub struct Frame {
    layers: Vec<Box<dyn Layer>>,
    padding: usize,
}

impl Frame {
    /// A frame on Ethernet.
    pub fn ethernet(source: Mac, destination: Mac) -> Self {
        Self::bare().layer(Ethernet::new(source, destination))
    }

    /// Bytes without an Ethernet header, such as the packet that an ICMP error quotes.
    pub fn bare() -> Self {
        Self::default()
    }

    /// Adds a layer inside those so far.
    pub fn layer(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Adds an 802.1Q tag.
    pub fn vlan(self, id: u16) -> Self {
        self.layer(Vlan::new(id))
    }

    /// Adds an 802.1ad service tag.
    pub fn service_vlan(self, id: u16) -> Self {
        self.layer(Vlan::service(id))
    }

    /// Adds a PPPoE session header.
    pub fn pppoe(self, session: u16) -> Self {
        self.layer(Pppoe::new(session))
    }

    /// Adds an IPv4 header.
    pub fn ipv4(self, source: impl Into<Ipv4Addr>, destination: impl Into<Ipv4Addr>) -> Self {
        self.layer(Ipv4::new(source, destination))
    }

    /// Adds an IPv6 header.
    pub fn ipv6(self, source: impl Into<Ipv6Addr>, destination: impl Into<Ipv6Addr>) -> Self {
        self.layer(Ipv6::new(source, destination))
    }

    /// Adds the IP header of the addresses' family; panics if they are of two.
    pub fn ip(self, source: IpAddr, destination: IpAddr) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.ipv4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.ipv6(source, destination),
            _ => panic!("no packet goes from {source} to {destination}"),
        }
    }

    /// Adds a TCP header with flags such as `SYN | ACK`.
    pub fn tcp(self, source: u16, destination: u16, flags: u8) -> Self {
        self.layer(Tcp::new(source, destination).flags(flags))
    }

    /// Adds a UDP header.
    pub fn udp(self, source: u16, destination: u16) -> Self {
        self.layer(Udp::new(source, destination))
    }

    /// Adds bytes as they are.
    pub fn payload(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.layer(Payload(bytes.into()))
    }

    /// Adds zero bytes behind everything, which no length counts, as Ethernet's own padding.
    pub fn padding(mut self, length: usize) -> Self {
        self.padding = length;
        self
    }

    /// The frame's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (depth, layer) in self.layers.iter().enumerate().rev() {
            let inside = self.layers.get(depth + 1);
            let place = Place {
                ether_type: inside.and_then(|layer| layer.ether_type()).unwrap_or(0xffff),
                protocol: inside.and_then(|layer| layer.protocol()).unwrap_or(253),
                addresses: self.layers[..depth].iter().rev().find_map(|layer| layer.addresses()),
            };
            bytes = layer.wrap(bytes, &place);
        }
        bytes.resize(bytes.len() + self.padding, 0);
        bytes
    }
}

struct Payload(Vec<u8>);

impl Layer for Payload {
    fn wrap(&self, inside: Vec<u8>, _: &Place) -> Vec<u8> {
        [&self.0[..], &inside].concat()
    }
}
