//! Clients who try to have connections that do not count, or to have those of others count for what they are not. Behind a published
//! port nobody finds later what was not counted at first.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
};

use guard_tests::{
    Counted, Guard,
    counted::{WEB, open},
    frame::{ACK, RST, SYN, Tcp},
    in_each_family,
    wire::{Segment, Wire},
};

use crate::{
    containers::Published,
    scene::{QUIET, SOON, wait_open},
};

/// A port of the guarded host itself, which no policy names.
const OTHER: u16 = 5000;
const FIRST: u32 = 1_000_000;

/// A client who makes up segments, from one port.
struct Client<'a> {
    counted: &'a Counted,
    wire: Wire,
    address: IpAddr,
    port: u16,
}

impl<'a> Client<'a> {
    fn new(counted: &'a Counted, port: u16) -> Self {
        let wire = Wire::open(counted.site.peer(), counted.site.link.right.name());
        Self { counted, wire, address: counted.client(1), port }
    }

    fn send(&self, to: u16, segment: impl FnOnce(Tcp) -> Tcp) {
        self.wire.send(self.counted.site.packet(self.address).layer(segment(Tcp::new(self.port, to))).build());
    }

    /// Asks for a connection; returns the answer.
    #[track_caller]
    fn ask(&self, to: u16, sequence: u32) -> Segment {
        self.send(to, |tcp| tcp.sequence(sequence).flags(SYN));
        let from = SocketAddr::new(self.counted.site.address(), to);
        let is_answer = |frame: &[u8]| {
            Segment::of(frame).is_some_and(|segment| {
                segment.source == from && segment.destination.port() == self.port && segment.flags == SYN | ACK
            })
        };
        let answer = self.wire.receive_where(SOON, is_answer).expect("the host answers");
        Segment::of(&answer).expect("it is a segment")
    }

    fn acknowledge(&self, answer: &Segment) {
        let (sequence, acknowledgement) = (answer.acknowledgement, answer.sequence.wrapping_add(1));
        self.send(answer.source.port(), |tcp| tcp.sequence(sequence).acknowledgement(acknowledgement).flags(ACK));
    }

    fn reset(&self, answer: &Segment) {
        self.send(answer.source.port(), |tcp| tcp.sequence(answer.acknowledgement).flags(RST));
    }
}

/// What a client does, with the port of its own that it does it from.
type Trick = fn(&Client<'_>);

const TRICKS: [(&str, Trick); 4] = [
    ("a reset that the host does not take", |client| {
        let answer = client.ask(WEB, FIRST);
        client.send(WEB, |tcp| tcp.sequence(answer.acknowledgement).flags(RST).checksum(1));
        client.acknowledge(&answer);
    }),
    ("a SYN with another number", |client| {
        let answer = client.ask(WEB, FIRST);
        client.send(WEB, |tcp| tcp.sequence(FIRST + 100_000).flags(SYN));
        client.acknowledge(&answer);
    }),
    ("a SYN that the host does not take, and its reset", |client| {
        client.send(WEB, |tcp| tcp.sequence(FIRST + 100_000).flags(SYN).checksum(1));
        let answer = client.ask(WEB, FIRST);
        client.send(WEB, |tcp| tcp.sequence(FIRST + 100_001).flags(RST));
        client.acknowledge(&answer);
    }),
    ("a connection to another port with the same number", |client| {
        let (answer, other) = (client.ask(WEB, FIRST), client.ask(OTHER, FIRST));
        client.acknowledge(&other);
        thread::sleep(QUIET);
        client.acknowledge(&answer);
        thread::sleep(QUIET);
        client.reset(&other);
    }),
];

#[test]
fn whatever_a_client_sends_its_connection_counts() {
    in_each_family(|cell| {
        let published = Published::of(Counted::silent(cell));
        let counted = &published.counted;
        let _other = counted.serve(OTHER);
        let guard = counted.web("max_connections_per_source = 100");
        for (count, (trick, play)) in (1..).zip(TRICKS) {
            play(&Client::new(counted, 20_000 + count as u16));
            wait_open(&guard, &format!("{cell}: {trick}"), count, SOON);
        }
    });
}

#[test]
fn a_handshake_that_somebody_else_began_takes_no_connection_for_the_service() {
    in_each_family(|cell| {
        let counted = Counted::silent(cell);
        let _servers = [counted.serve(WEB), counted.serve(OTHER)];
        let guard = counted.web("max_connections = 5\nidle_timeout = '1s'");
        let client = Client::new(&counted, 20_000);
        client.ask(WEB, FIRST);
        let other = client.ask(OTHER, FIRST + 100_000);
        client.acknowledge(&other);
        stays(&guard, &client, &format!("{cell}"));
    });
}

/// Asserts that a client's connection counts for nothing, and is left alone.
#[track_caller]
fn stays(guard: &Guard, client: &Client<'_>, case: &str) {
    thread::sleep(10 * QUIET);
    assert_eq!(open(guard), 0, "{case}");
    let is_reset = |frame: &[u8]| {
        Segment::of(frame).is_some_and(|segment| segment.source.port() == OTHER && segment.flags & RST != 0)
    };
    assert!(client.wire.receive_where(QUIET, is_reset).is_none(), "{case}: it is closed");
}
