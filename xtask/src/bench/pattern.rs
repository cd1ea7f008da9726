//! What the generator's packets look like: TCP segments without data that differ in one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guard_tests::{
    Family,
    frame::{ACK, Frame, Mac},
};

/// The service's port.
pub(super) const PORT: u16 = 3000;
/// The port of a peer that the stage knows, if it knows any.
pub(super) const PEER_PORT: u16 = 50_000;
/// The shortest frame on Ethernet, without its check sequence.
const SHORTEST_FRAME: usize = 60;

/// What the packets of a generator have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    pub(super) family: Family,
    pub(super) peer: Peer,
    pub(super) peer_port: u16,
    /// The port at the stage's end.
    pub(super) port: u16,
    /// Of TCP.
    pub(super) flags: u8,
}

/// Which end of a packet has the address that the generator writes; the other is the stage's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Source,
    Destination,
}

impl Pattern {
    /// Packets to the service within open connections, so without SYN.
    pub(super) const fn to_service(family: Family) -> Self {
        Self { family, peer: Peer::Source, peer_port: PEER_PORT, port: PORT, flags: ACK }
    }

    /// The frame to or from a peer.
    pub(super) fn frame(&self, peer: IpAddr, sender: Mac, receiver: Mac) -> Vec<u8> {
        let own = own_address(self.family);
        let ethernet = Frame::ethernet(sender, receiver);
        let frame = match self.peer {
            Peer::Source => ethernet.ip(peer, own).tcp(self.peer_port, self.port, self.flags),
            Peer::Destination => ethernet.ip(own, peer).tcp(self.port, self.peer_port, self.flags),
        };
        let mut bytes = frame.build();
        bytes.resize(bytes.len().max(SHORTEST_FRAME), 0);
        bytes
    }

    /// The frame in which the generator writes its addresses.
    pub(super) fn blank_frame(&self, sender: Mac, receiver: Mac) -> Vec<u8> {
        self.frame(self.family.pick([0; 4].into(), [0; 16].into()), sender, receiver)
    }
}

/// The address of every stage: from the range for benchmarks (RFC 2544), or from the one for documentation.
pub(super) fn own_address(family: Family) -> IpAddr {
    family.pick(Ipv4Addr::new(198, 18, 0, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
}
