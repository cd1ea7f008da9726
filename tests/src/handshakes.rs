//! TCP handshakes by hand: SYNs that may stay alone, from whatever source, and what answers them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    frame::{ACK, Frame, RST, SYN, Tcp},
    site::Site,
    wire::{Segment, Wire},
};

/// The peer of a [`Site`], speaking to one port of the guarded host.
pub struct Handshakes<'a> {
    site: &'a Site,
    port: u16,
    wire: Wire,
}

/// What came to the clients.
#[derive(Debug, Default)]
pub struct Answers {
    /// The SYN-ACKs.
    pub accepted: BTreeMap<SocketAddr, Segment>,
    pub reset: BTreeSet<SocketAddr>,
}

impl<'a> Handshakes<'a> {
    /// Hears from now on what is answered to the clients of a port.
    pub fn at(site: &'a Site, port: u16) -> Self {
        Self { site, port, wire: Wire::open(site.peer(), site.link.right.name()) }
    }

    /// Sends a SYN of each client.
    pub fn begin(&self, clients: &[SocketAddr]) {
        self.wire.send_all(&clients.iter().map(|client| self.syn(*client).build()).collect::<Vec<_>>());
    }

    /// A client's SYN.
    pub fn syn(&self, client: SocketAddr) -> Frame {
        self.segment(client, |tcp| tcp.sequence(sequence(client)).flags(SYN))
    }

    /// Acknowledges SYN-ACKs, which ends the handshakes.
    pub fn complete<'s>(&self, accepted: impl IntoIterator<Item = &'s Segment>) {
        let acknowledged = |answer: &Segment| {
            self.segment(answer.destination, |tcp| {
                tcp.sequence(answer.acknowledgement).acknowledgement(answer.sequence.wrapping_add(1)).flags(ACK)
            })
        };
        self.wire.send_all(&accepted.into_iter().map(|answer| acknowledged(answer).build()).collect::<Vec<_>>());
    }

    /// Sends a RST of each client, so far beyond its SYN; by 1 is right.
    pub fn reset<'s>(&self, clients: impl IntoIterator<Item = &'s SocketAddr>, beyond: u32) {
        let reset = |client: SocketAddr| {
            self.segment(client, |tcp| tcp.sequence(sequence(client).wrapping_add(beyond)).flags(RST))
        };
        self.wire.send_all(&clients.into_iter().map(|client| reset(*client).build()).collect::<Vec<_>>());
    }

    /// What comes to clients until nothing has come for a time.
    pub fn answers(&self, quiet: Duration) -> Answers {
        let mut answers = Answers::default();
        while let Some(frame) = self.wire.receive_where(quiet, |frame| self.is_answer(frame)) {
            let segment = Segment::of(&frame).expect("an answer is a segment");
            if segment.flags & RST != 0 {
                answers.reset.insert(segment.destination);
            } else if segment.flags & SYN != 0 {
                answers.accepted.insert(segment.destination, segment);
            }
        }
        answers
    }

    fn is_answer(&self, frame: &[u8]) -> bool {
        Segment::of(frame).is_some_and(|segment| segment.source.port() == self.port && segment.flags & (SYN | RST) != 0)
    }

    fn segment(&self, client: SocketAddr, tcp: impl FnOnce(Tcp) -> Tcp) -> Frame {
        self.site.packet(client.ip()).layer(tcp(Tcp::new(client.port(), self.port)))
    }
}

/// So many clients at one address, by their ports.
pub fn clients_at(source: IpAddr, first_port: u16, count: u16) -> Vec<SocketAddr> {
    (first_port..first_port + count).map(|port| SocketAddr::new(source, port)).collect()
}

/// The sequence number of a client's SYN.
fn sequence(client: SocketAddr) -> u32 {
    0xffff_8000_u32.wrapping_add(client.port().into())
}
