//! TCP connections to services: which handshakes are under way, what is open, and whether one more may be opened.
//!
//! A SYN that is let in is a handshake, by (source, source port); the program for sockets finds it there when the connection is
//! established, and so knows whose service it is, wherever the socket is and whatever its port is there. Knows no tables: those
//! stand behind [`Tables`] and [`Counts`].

mod half_open;
mod proof;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{address::Address, packet::Packet, policy::SERVICES_MAX, request::Request};
pub use half_open::{HalfOpen, PERIOD_NS};
pub use proof::{PROOFS_MAX, Proof, ProofKey};

/// How long a handshake may take: somewhat longer than Linux waits with the default of `tcp_synack_retries`, 63 s.
pub const HANDSHAKE_NS: u64 = 66 * 1_000_000_000;

/// Handshakes that can be under way at once.
pub const HANDSHAKES_MAX: usize = 65_536;

/// Sources and services of which handshakes can be counted at once.
pub const HALF_OPEN_MAX: usize = 65_536;

/// Connections that can be open at once.
pub const SOCKETS_MAX: usize = 262_144;

/// Connections beyond which no SYN is let in, so that each of those under way finds room.
pub const OPEN_MAX: u64 = (SOCKETS_MAX - HANDSHAKES_MAX) as u64;

/// Words of `OPEN`.
pub const OPEN_WORDS: usize = SERVICES_MAX + 1;

/// The most connections that one source can be held to: so many handshakes can be counted in a period of [`HalfOpen`].
pub const PER_SOURCE_MAX: u32 = (1 << HalfOpen::BITS) - 1;

/// What a service's TCP connections are held to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Caps {
    /// Not 0 if its connections are known at all; the rest means nothing else.
    pub tracked: u32,
    /// Connections that may be open; 0: any number.
    pub max: u32,
    /// Connections that a source may have open or under way, at most [`PER_SOURCE_MAX`]; 0: any number.
    pub max_per_source: u32,
    /// Not 0 if proven violations of its limits are told.
    pub bans: u32,
}

/// Whose handshake it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct HandshakeKey {
    /// Network order, IPv4 mapped.
    pub source: [u8; 16],
    pub source_port: u16,
    pub reserved: [u8; 6],
}

/// A TCP handshake under way, or one that was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Handshake {
    /// When its first SYN came: CLOCK_MONOTONIC (coarse).
    pub since_ns: u64,
    /// To which address of this host.
    pub destination: [u8; 16],
    /// The SYN's sequence number: that of the one which was answered last, or of the first.
    pub sequence: u32,
    pub destination_port: u16,
    pub service: u8,
    /// 4 or 6.
    pub version: u8,
    /// Not 0 once it was completed or reset, and counts no more. It stays known, because a connection may come of it all the same:
    /// the host may not take the reset, or what was completed may be a connection with the same number to another port.
    pub ended: u64,
}

/// SYNs that were refused and told as violations of which it can be known.
pub const REFUSED_MAX: usize = 16_384;

/// Whose connections are counted together: a source, IPv4 mapped, IPv6 by /64, and a service.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, FromBytes, Immutable, IntoBytes, KnownLayout,
)]
#[repr(C)]
pub struct ConnectionKey {
    /// Network order, as [`party`] gives it.
    pub source: [u8; 16],
    pub service: u8,
    /// 4 or 6.
    pub version: u8,
    pub reserved: [u8; 6],
}

/// An open connection, by its socket's cookie.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Socket {
    /// The other end: network order, IPv4 mapped.
    pub source: [u8; 16],
    /// The cookie of its network namespace; 0 where the daemon found it, in its own.
    pub namespace: u64,
    /// When it was established, or found: CLOCK_MONOTONIC (coarse).
    pub since_ns: u64,
    pub source_port: u16,
    /// The socket's port, in its own namespace.
    pub local_port: u16,
    pub service: u8,
    /// 4 or 6.
    pub version: u8,
    /// Not 0 if the kernel does not say when it closes, so that the daemon must look.
    pub watched: u8,
    pub reserved: u8,
}

/// A SYN that was refused to a source whose completed handshakes alone fill the limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Violation {
    /// When the SYN came: CLOCK_MONOTONIC (coarse).
    pub time_ns: u64,
    /// When the source's last handshake was completed.
    pub last_ns: u64,
    /// The generation that refused it.
    pub generation: u64,
    /// Completed handshakes that the limit's bucket holds by now.
    pub handshakes: u64,
    /// Network order, IPv4 mapped.
    pub source: [u8; 16],
    pub source_port: u16,
    pub destination_port: u16,
    pub service: u8,
    /// Which of the service's limits refused it.
    pub limit: u8,
    /// 4 or 6.
    pub version: u8,
    pub reserved: u8,
}

/// What the count program is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum CountWork {
    /// Counts a socket's connection, unless it is counted.
    Add = 0,
    /// Ceases to count it, unless it is counted no more.
    Remove = 1,
    /// Adds `difference` to what is counted of a source at a service, and removes that where nothing is left.
    Correct = 2,
}

/// What the count program is asked to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct CountRequest {
    pub cookie: u64,
    pub socket: Socket,
    /// [`CountWork`].
    pub work: u32,
    pub difference: i32,
}

impl Request for CountRequest {}

const _: () = {
    assert!(size_of::<CountRequest>() == 56);
    assert!(size_of::<Caps>() == 16);
    assert!(size_of::<HandshakeKey>() == 24);
    assert!(size_of::<Handshake>() == 40);
    assert!(size_of::<ConnectionKey>() == 24);
    assert!(size_of::<Socket>() == 40);
    assert!(size_of::<Violation>() == 56);
};

/// Returns an address as its connections are counted: an IPv4 address, or the /64 that one IPv6 host has to itself.
#[inline(always)]
pub const fn party(address: Address, version: u8) -> Address {
    if version == 4 { address } else { address.prefix(64) }
}

/// Tells whether a client may still send a SYN again that it sent at a time.
#[inline(always)]
pub const fn is_recent(since_ns: u64, now_ns: u64) -> bool {
    now_ns.saturating_sub(since_ns) < HANDSHAKE_NS
}

impl HandshakeKey {
    #[inline(always)]
    pub const fn new(source: Address, source_port: u16) -> Self {
        Self { source: source.octets(), source_port, reserved: [0; 6] }
    }
}

impl ConnectionKey {
    #[inline(always)]
    pub const fn new(source: Address, version: u8, service: u8) -> Self {
        Self { source: party(source, version).octets(), service, version, reserved: [0; 6] }
    }
}

impl Handshake {
    /// Returns the handshake that a SYN begins.
    #[inline(always)]
    pub const fn of(packet: &Packet, service: u8, now_ns: u64) -> Self {
        Self {
            since_ns: now_ns,
            destination: packet.destination.octets(),
            sequence: packet.tcp_sequence,
            destination_port: packet.destination_port,
            service,
            version: packet.version,
            ended: 0,
        }
    }

    /// Tells whether it may still come to its end.
    #[inline(always)]
    pub const fn is_alive(&self, now_ns: u64) -> bool {
        is_recent(self.since_ns, now_ns)
    }

    /// Tells what the source's port is doing that has this handshake, for a packet of it to a service.
    #[inline(always)]
    pub fn known_for(&self, packet: &Packet, service: u8, now_ns: u64) -> Known {
        if self.ended != 0 || !self.is_alive(now_ns) {
            return Known::Nothing;
        }
        let is_same = self.service == service
            && self.destination_port == packet.destination_port
            && Address::from_octets(self.destination) == packet.destination;
        if is_same { Known::Same } else { Known::Other }
    }

    /// Tells whether a number acknowledges its SYN: the next one that the client sends has it, and what ends it as well
    /// (RFC 9293, 3.10.7.3, 3.10.7.4).
    #[inline(always)]
    pub const fn is_acknowledged_by(&self, number: u32) -> bool {
        number == self.sequence.wrapping_add(1)
    }

    /// Tells whether a socket that was just established may be what came of it, by the socket's port and the number that it awaits
    /// next. On the way to another port that is the one behind the SYN, or with TCP Fast Open behind the data that came with it.
    #[inline(always)]
    pub const fn led_to(&self, local_port: u16, awaited: u32, now_ns: u64) -> bool {
        let is_its_number = awaited.wrapping_sub(self.sequence).wrapping_sub(1) < 1 << 16;
        (local_port == self.destination_port || is_its_number)
            && (self.ended == 0 || now_ns.saturating_sub(self.since_ns) < 2 * HANDSHAKE_NS)
    }
}

/// What a source's port is doing when a SYN comes from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Known {
    Nothing = 0,
    /// A handshake with the same service at the same address and port: the SYN is sent again.
    Same = 1,
    /// A handshake with another one.
    Other = 2,
}

/// What is known of connections, for a SYN of a source to a service.
pub trait Tables {
    /// Returns how many connections are open, of the service, or of all of them.
    fn open(&self, all: bool) -> u64;

    /// Tells what the source's port is doing.
    fn known(&self) -> Known;

    /// Notes the handshake; false if there is no room.
    fn note(&self) -> bool;

    /// Counts the handshake by [`count_handshake`]; false if that refuses it.
    fn count(&self, cap: u32) -> bool;

    /// Takes it out of the count again.
    fn uncount(&self);
}

/// Tells whether a SYN may open a connection, and notes the handshake that it begins.
///
/// A source may have as many connections as the cap says, open and under way together. Of the service only open ones count, or
/// SYNs with other hosts' addresses would fill it.
#[inline(always)]
pub fn admit<T: Tables>(tables: &T, caps: &Caps) -> bool {
    match tables.known() {
        Known::Nothing => {}
        Known::Same => return true,
        // Two connections would be counted as one.
        Known::Other => return false,
    }
    let is_full = caps.max != 0 && tables.open(false) >= caps.max as u64;
    if is_full || tables.open(true) >= OPEN_MAX {
        return false;
    }
    let has_cap = caps.max_per_source != 0;
    if has_cap && !tables.count(caps.max_per_source) {
        return false;
    }
    let is_noted = tables.note();
    if !is_noted && has_cap {
        tables.uncount();
    }
    is_noted
}

/// The counts of one source at one service.
pub trait Counts {
    /// Returns how many connections are open.
    fn open(&self) -> u64;

    /// Returns how many handshakes are under way.
    fn half_open(&self) -> HalfOpen;

    /// Replaces that if it still is `old`, and if there is room where nothing was counted yet; tells whether it did.
    fn replace_half_open(&self, old: HalfOpen, new: HalfOpen) -> bool;
}

/// What an attempt to change a count came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Attempt {
    Refused = 0,
    Done = 1,
    /// Another CPU changed it meanwhile.
    Raced = 2,
}

/// Attempts to change a count that other CPUs change. Each failure means that another handshake was counted.
const ATTEMPTS: u64 = 16;

/// Attempts something until it is done or refused; tells whether it was done.
#[inline(always)]
pub fn attempt(work: impl Fn() -> Attempt) -> bool {
    for _ in 0..ATTEMPTS {
        match work() {
            Attempt::Raced => {}
            outcome => return outcome as u8 == Attempt::Done as u8,
        }
    }
    false
}

/// Attempts to count a handshake of a source; refused if that has as many connections as it may have.
#[inline(always)]
pub fn count_handshake<C: Counts>(counts: &C, cap: u32, now_ns: u64) -> Attempt {
    // In this order: whoever establishes a connection counts it as open before it takes out the handshake.
    let half_open = counts.half_open();
    if half_open.count(now_ns) + counts.open() >= cap as u64 {
        return Attempt::Refused;
    }
    let Some(counted) = half_open.with_one(now_ns) else { return Attempt::Refused };
    if !counts.replace_half_open(half_open, counted) {
        return Attempt::Raced;
    }
    // The word is what it was also where one handshake was established meanwhile and another has begun.
    if counted.count(now_ns) + counts.open() > cap as u64 {
        uncount_handshake(counts, now_ns, now_ns);
        return Attempt::Refused;
    }
    Attempt::Done
}

/// Attempts to take a handshake out of its source's count; where it can't be, it leaves by itself.
#[inline(always)]
pub fn uncount_handshake<C: Counts>(counts: &C, since_ns: u64, now_ns: u64) -> Attempt {
    let half_open = counts.half_open();
    if half_open.0 == 0 || counts.replace_half_open(half_open, half_open.without_one(since_ns, now_ns)) {
        Attempt::Done
    } else {
        Attempt::Raced
    }
}
