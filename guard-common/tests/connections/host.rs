//! A host whose tables lie in memory. What other CPUs do in the midst of a decision is told it before.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    fmt,
};

use guard_common::{
    address::Address,
    connections::{
        Caps, ConnectionKey, Counts, HalfOpen, Handshake, Known, Tables, admit, attempt, count_handshake,
        uncount_handshake,
    },
    packet::{Packet, protocol, tcp_flag},
};

/// A second of the clock.
pub(crate) const S: u64 = 1_000_000_000;

/// Who asks for a connection, and which one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Client {
    pub(crate) source: Address,
    pub(crate) version: u8,
    pub(crate) source_port: u16,
    pub(crate) service: u8,
    /// The last byte of the address of this host.
    pub(crate) own: u8,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
}

impl Client {
    /// Returns one of a source, by its number, to the first service.
    pub(crate) fn of(version: u8, source: u8, source_port: u16) -> Self {
        Self {
            source: address(version, source),
            version,
            source_port,
            service: 1,
            own: 1,
            destination_port: 3_000,
            sequence: 1_000,
        }
    }

    pub(crate) fn handshake(&self, now_ns: u64) -> Handshake {
        Handshake::of(&self.syn(), self.service, now_ns)
    }

    fn syn(&self) -> Packet {
        Packet {
            source: self.source,
            destination: address(self.version, self.own),
            source_port: self.source_port,
            destination_port: self.destination_port,
            version: self.version,
            protocol: protocol::TCP,
            tcp_flags: tcp_flag::SYN,
            tcp_sequence: self.sequence,
            ..Packet::default()
        }
    }

    pub(crate) fn connections(&self) -> ConnectionKey {
        ConnectionKey::new(self.source, self.version, self.service)
    }

    fn port(&self) -> ([u8; 16], u16) {
        (self.source.octets(), self.source_port)
    }
}

/// Of IPv6 each in a /64 of its own.
fn address(version: u8, last: u8) -> Address {
    match version {
        4 => Address::from_v4([192, 0, 2, last]),
        _ => Address::from_halves([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, last], [1; 8]),
    }
}

pub(crate) fn capped(max: u32, max_per_source: u32) -> Caps {
    Caps { tracked: 1, max, max_per_source, bans: 0 }
}

/// Where other CPUs come between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    /// Before the open connections of the source are read.
    BeforeOpen,
    /// Before the word of its handshakes is replaced.
    BeforeReplace,
}

type Meanwhile = Box<dyn FnOnce(&Host)>;

/// The tables, empty at first.
#[derive(Default)]
pub(crate) struct Host {
    half_open: RefCell<HashMap<ConnectionKey, HalfOpen>>,
    handshakes: RefCell<HashMap<([u8; 16], u16), Handshake>>,
    of_sources: RefCell<HashMap<ConnectionKey, u64>>,
    of_services: RefCell<HashMap<u8, u64>>,
    /// Whether nothing more fits into the table of handshakes, or into that of their numbers.
    pub(crate) handshakes_full: Cell<bool>,
    pub(crate) half_open_full: Cell<bool>,
    meanwhile: RefCell<VecDeque<(Point, Meanwhile)>>,
}

impl Host {
    /// Has something happen when the next decision comes to a point; what is told first comes first.
    pub(crate) fn meanwhile(&self, point: Point, happens: impl FnOnce(&Self) + 'static) {
        self.meanwhile.borrow_mut().push_back((point, Box::new(happens)));
    }

    /// Tells whether all that was to happen has happened.
    pub(crate) fn is_quiet(&self) -> bool {
        self.meanwhile.borrow().is_empty()
    }

    fn reach(&self, point: Point) {
        let is_due = self.meanwhile.borrow().front().is_some_and(|(due, _)| *due == point);
        if is_due {
            let mut waiting = self.meanwhile.take();
            if let Some((_, happens)) = waiting.pop_front() {
                happens(self);
            }
            self.meanwhile.replace(waiting);
        }
    }

    pub(crate) fn syn(&self, client: &Client, caps: &Caps, now_ns: u64) -> bool {
        admit(&self.asking(client, now_ns), caps)
    }

    /// Has a handshake completed, as the program for sockets does.
    pub(crate) fn establish(&self, client: &Client, now_ns: u64) -> bool {
        let known = self.known(client).is_some();
        if known {
            self.add_open(client, 1);
            self.end(client, now_ns);
        }
        known
    }

    /// Has a handshake come to its end, whatever that is.
    pub(crate) fn end(&self, client: &Client, now_ns: u64) {
        let ended = self.handshakes.borrow_mut().remove(&client.port());
        if let Some(Handshake { since_ns, .. }) = ended {
            let counts = self.asking(client, now_ns);
            attempt(|| uncount_handshake(&counts, since_ns, now_ns));
        }
    }

    /// Forgets a handshake, as a full table does.
    pub(crate) fn evict(&self, client: &Client) {
        self.handshakes.borrow_mut().remove(&client.port());
    }

    pub(crate) fn close(&self, client: &Client) {
        self.add_open(client, u64::MAX);
    }

    pub(crate) fn add_open(&self, client: &Client, difference: u64) {
        let add = |count: &mut u64| *count = count.wrapping_add(difference);
        add(self.of_sources.borrow_mut().entry(client.connections()).or_default());
        for service in [0, client.service] {
            add(self.of_services.borrow_mut().entry(service).or_default());
        }
    }

    pub(crate) fn half_open_of(&self, client: &Client, now_ns: u64) -> u64 {
        self.asking(client, now_ns).half_open().count(now_ns)
    }

    pub(crate) fn open_of(&self, client: &Client) -> u64 {
        self.of_sources.borrow().get(&client.connections()).copied().unwrap_or_default()
    }

    pub(crate) fn known(&self, client: &Client) -> Option<Handshake> {
        self.handshakes.borrow().get(&client.port()).copied()
    }

    fn asking(&self, client: &Client, now_ns: u64) -> Asking<'_> {
        Asking { host: self, client: *client, now_ns }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.half_open).field(&self.handshakes).field(&self.of_sources).finish()
    }
}

/// One who asks at a time.
struct Asking<'a> {
    host: &'a Host,
    client: Client,
    now_ns: u64,
}

impl Tables for Asking<'_> {
    fn open(&self, all: bool) -> u64 {
        let service = if all { 0 } else { self.client.service };
        self.host.of_services.borrow().get(&service).copied().unwrap_or_default()
    }

    fn known(&self) -> Known {
        let mut handshakes = self.host.handshakes.borrow_mut();
        let Some(handshake) = handshakes.get_mut(&self.client.port()) else { return Known::Nothing };
        let known = handshake.known_for(&self.client.syn(), self.client.service, self.now_ns);
        if known == Known::Same {
            handshake.sequence = self.client.sequence;
        }
        known
    }

    fn note(&self) -> bool {
        let is_room = !self.host.handshakes_full.get();
        if is_room {
            self.host.handshakes.borrow_mut().insert(self.client.port(), self.client.handshake(self.now_ns));
        }
        is_room
    }

    fn count(&self, cap: u32) -> bool {
        attempt(|| count_handshake(self, cap, self.now_ns))
    }

    fn uncount(&self) {
        attempt(|| uncount_handshake(self, self.now_ns, self.now_ns));
    }
}

impl Counts for Asking<'_> {
    fn open(&self) -> u64 {
        self.host.reach(Point::BeforeOpen);
        self.host.open_of(&self.client)
    }

    fn half_open(&self) -> HalfOpen {
        self.host.half_open.borrow().get(&self.client.connections()).copied().unwrap_or_default()
    }

    fn replace_half_open(&self, old: HalfOpen, new: HalfOpen) -> bool {
        self.host.reach(Point::BeforeReplace);
        let mut words = self.host.half_open.borrow_mut();
        let word = words.get(&self.client.connections()).copied();
        let is_room = word.is_some() || !self.host.half_open_full.get();
        let replaced = is_room && word.unwrap_or_default() == old;
        if replaced {
            words.insert(self.client.connections(), new);
        }
        replaced
    }
}
