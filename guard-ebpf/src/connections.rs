//! TCP connections to services, as the kernel's tables have them: a SYN that asks for one, what ends a handshake, sockets that are
//! established and closed, and what proves a violation.

use guard_common::{
    address::Address,
    connections::{
        Attempt, ConnectionKey, CountRequest, CountWork, Counts, HalfOpen, Handshake, HandshakeKey, Known, ProofKey,
        Socket, Tables, Violation, admit, attempt, count_handshake, is_recent, uncount_handshake,
    },
    limits::{LIMITS_MAX, Limit},
    packet::Packet,
};

use crate::{
    context::{now_ns, precise_now_ns, ticks},
    maps::{self, connections as tables},
};

/// The SYN that is decided on, to a service.
struct Syn {
    service: u64,
}

impl Tables for Syn {
    #[inline(always)]
    fn open(&self, all: bool) -> u64 {
        tables::open(if all { 0 } else { self.service as u8 })
    }

    #[inline(always)]
    fn known(&self) -> Known {
        match known_handshake(self.service) {
            0 => Known::Nothing,
            1 => Known::Same,
            _ => Known::Other,
        }
    }

    #[inline(always)]
    fn note(&self) -> bool {
        note_handshake(self.service) != 0
    }

    #[inline(always)]
    fn count(&self, cap: u32) -> bool {
        attempt(|| outcome(count_source(self.service, cap as u64)))
    }

    #[inline(always)]
    fn uncount(&self) {
        let Some(Packet { source, version, .. }) = maps::arriving() else { return };
        uncount(self.service | (*version as u64) << 8, *source, now_ns());
    }
}

/// A source's connections to a service.
struct Source(ConnectionKey);

impl Counts for Source {
    #[inline(always)]
    fn open(&self) -> u64 {
        tables::open_of_source(&self.0)
    }

    #[inline(always)]
    fn half_open(&self) -> HalfOpen {
        tables::half_open(&self.0)
    }

    #[inline(always)]
    fn replace_half_open(&self, old: HalfOpen, new: HalfOpen) -> bool {
        tables::replace_half_open(&self.0, old, new)
    }
}

/// Tells whether the SYN that is decided on may open no connection to a service. A global function in BTF's sense, as
/// `set_contains` is, and so are those below: none has much on the stack, where all that call each other share 512 bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connection_refused(live: u64, service: u64) -> u32 {
    // Nothing is let in for want of a table.
    let Some(generation) = maps::generation(live) else { return 1 };
    !admit(&Syn { service: service & 0xff }, generation.caps(service as u8)) as u32
}

/// Tells, as the number of a [`Known`], what the port is doing from which a SYN comes to a service.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn known_handshake(service: u64) -> u32 {
    let Some(packet) = maps::arriving() else { return Known::Other as u32 };
    let key = HandshakeKey::new(packet.source, packet.source_port);
    tables::handshake(&key).map_or(Known::Nothing, |known| known.known_for(packet, service as u8, now_ns())) as u32
}

/// Notes the handshake of the SYN that is decided on; 0 if there is no room.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_handshake(service: u64) -> u32 {
    let Some(packet) = maps::arriving() else { return 0 };
    let handshake = Handshake::of(packet, service as u8, now_ns());
    tables::set_handshake(&HandshakeKey::new(packet.source, packet.source_port), &handshake) as u32
}

/// Attempts, as the number of an [`Attempt`], to count the handshake of the SYN that is decided on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_source(service: u64, cap: u64) -> u32 {
    let Some(packet) = maps::arriving() else { return Attempt::Refused as u32 };
    let source = Source(ConnectionKey::new(packet.source, packet.version, service as u8));
    count_handshake(&source, cap as u32, now_ns()) as u32
}

/// Takes a handshake out of the count of its source, at the service whose number `whose` has in a byte, and the family's version
/// in the next.
#[inline(always)]
fn uncount(whose: u64, address: Address, since_ns: u64) {
    attempt(|| outcome(uncount_source(whose, address.high, address.low, since_ns)));
}

/// Attempts to do so.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn uncount_source(whose: u64, high: u64, low: u64, since_ns: u64) -> u32 {
    let source = Source(ConnectionKey::new(Address { high, low }, (whose >> 8) as u8, whose as u8));
    uncount_handshake(&source, since_ns, now_ns()) as u32
}

#[inline(always)]
fn outcome(number: u32) -> Attempt {
    match number {
        0 => Attempt::Refused,
        1 => Attempt::Done,
        _ => Attempt::Raced,
    }
}

/// Ends the handshake of an address and port with a port of this host, the latter in the upper half of `ports`, if a number
/// acknowledges its SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn handshake_reset(high: u64, low: u64, ports: u64, number: u64) -> u32 {
    let (address, port) = (Address { high, low }, ports as u16);
    let Some(handshake) = tables::handshake(&HandshakeKey::new(address, port)) else { return 0 };
    let ends = handshake.destination_port == (ports >> 16) as u16 && handshake.is_acknowledged_by(number as u32);
    if ends {
        end_handshake(address, port, &handshake);
    }
    ends as u32
}

/// Has the handshake of an address and port with a port of this host go by the SYN that this host acknowledges: who sends others may
/// mean to be taken for somebody else. The arguments are those of [`handshake_reset`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn handshake_answered(high: u64, low: u64, ports: u64, number: u64) -> u32 {
    let key = HandshakeKey::new(Address { high, low }, ports as u16);
    let Some(handshake) = tables::handshake(&key) else { return 0 };
    let is_its = handshake.destination_port == (ports >> 16) as u16;
    if is_its && !handshake.is_acknowledged_by(number as u32) {
        tables::renew_handshake(&key, (number as u32).wrapping_sub(1));
    }
    is_its as u32
}

/// Ends a handshake, and takes it out of its source's count, unless somebody else did.
#[inline(always)]
fn end_handshake(address: Address, port: u16, handshake: &Handshake) {
    if tables::end_handshake(&HandshakeKey::new(address, port)) {
        let whose = handshake.service as u64 | (handshake.version as u64) << 8;
        uncount(whose, address, handshake.since_ns);
    }
}

/// Tells whether somebody may open a connection: an admitted SYN has come from an address and port.
#[inline(always)]
pub(crate) fn is_admitted(address: Address, port: u16) -> bool {
    tables::handshake(&HandshakeKey::new(address, port)).is_some()
}

/// Counts the connection of a socket that was just established, if it came by a SYN that was admitted.
#[inline(always)]
pub(crate) fn opened(live: u64, cookie: u64, address: Address, awaited: u32, found: &Socket) {
    let Some(handshake) = tables::handshake(&HandshakeKey::new(address, found.source_port)) else { return };
    let now_ns = now_ns();
    // Its port may have opened this connection after one to a service that came to nothing.
    if !handshake.led_to(found.local_port, awaited, now_ns) {
        return;
    }
    let Handshake { service, version, since_ns, .. } = handshake;
    let whose = service as u64 | (version as u64) << 8;
    let socket = Socket { source: address.octets(), since_ns: now_ns, service, version, ..*found };
    if !tables::add_socket(cookie, &socket) {
        return;
    }
    // Before the handshake ends, so that a source never has less than it has.
    count(whose, address.high, address.low, 1);
    end_handshake(address, found.source_port, &handshake);
    // One that took longer would be charged to a time of which the proof knows nothing any more.
    if handshake.is_alive(now_ns) {
        for index in 0..LIMITS_MAX as u64 {
            prove(live, whose | index << 16, address.high, address.low, since_ns);
        }
    }
}

/// Ceases to count the connection of a socket that was closed.
#[inline(always)]
pub(crate) fn closed(cookie: u64) {
    if let Some(socket) = tables::take_socket(cookie) {
        let Address { high, low } = Address::from_octets(socket.source);
        count(socket.service as u64 | (socket.version as u64) << 8, high, low, u64::MAX);
    }
}

/// Does what the daemon asks for.
#[inline(always)]
pub(crate) fn count_for(request: &CountRequest) {
    let CountRequest { cookie, socket, work, difference } = *request;
    let Address { high, low } = Address::from_octets(socket.source);
    let whose = socket.service as u64 | (socket.version as u64) << 8;
    if work == CountWork::Add as u32 {
        if tables::add_socket(cookie, &socket) {
            count(whose, high, low, 1);
        }
    } else if work == CountWork::Remove as u32 {
        closed(cookie);
    } else {
        tables::add_open_of_source(
            &ConnectionKey::new(Address { high, low }, socket.version, socket.service),
            difference as i64 as u64,
        );
    }
}

/// Adds to the connections that are counted of a source and of a service, whose number and version `whose` has in a byte each.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count(whose: u64, high: u64, low: u64, difference: u64) -> u32 {
    let (service, version) = (whose as u8, (whose >> 8) as u8);
    tables::add_open(service, difference);
    tables::add_open_of_source(&ConnectionKey::new(Address { high, low }, version, service), difference);
    0
}

/// Charges a completed handshake to the proof of a service's limit, as of when it began. `what` is the service's number, the
/// family's version and the limit's index, in a byte each.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn prove(live: u64, what: u64, high: u64, low: u64, since_ns: u64) -> u32 {
    let Some(limit) = proving_limit(live, what) else { return 0 };
    let key = ProofKey::new(Address { high, low }, (what >> 8) as u8, limit.place);
    let now_ns = now_ns();
    let age_ns = now_ns.saturating_sub(since_ns);
    let age = if limit.precise != 0 {
        age_ns
    } else {
        (age_ns + maps::tick_ns() / 2).checked_div(maps::tick_ns()).unwrap_or(0)
    };
    let began = limit.rate.time(steps(limit).saturating_sub(age));
    let proof = tables::proof(&key).unwrap_or_default().with_handshake(&limit.rate, began, now_ns);
    tables::set_proof(&key, &proof);
    1
}

/// Tells the daemon of the SYN that is decided on, and was refused by a limit of connections of a service, if the source's
/// completed handshakes alone fill one: once for a port of the source.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn note_violation(live: u64, service: u64) -> u32 {
    let Some(packet) = maps::arriving() else { return 0 };
    let Packet { source, version, .. } = *packet;
    for index in 0..LIMITS_MAX as u64 {
        let what = service & 0xff | (version as u64) << 8 | index << 16;
        let handshakes = handshakes_that_fill(live, what, source.high, source.low);
        if handshakes != 0 {
            return if is_sent_again(service) != 0 { 0 } else { tell_violation(live, what, handshakes) };
        }
    }
    0
}

/// Tells whether the SYN that is decided on was let in or refused before, and notes it as refused.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_sent_again(service: u64) -> u32 {
    let Some(packet) = maps::arriving() else { return 1 };
    let key = HandshakeKey::new(packet.source, packet.source_port);
    let now_ns = now_ns();
    let is_admitted = tables::handshake(&key)
        .is_some_and(|known| known.known_for(packet, service as u8, now_ns) as u8 == Known::Same as u8);
    let is_refused = tables::refused(&key).is_some_and(|since_ns| is_recent(since_ns, now_ns));
    // One that can't be noted would count with every retransmit.
    (is_admitted || is_refused || !tables::set_refused(&key, now_ns)) as u32
}

/// Returns how many completed handshakes of a source fill a limit; 0 if they do not. `what` is that of [`prove`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handshakes_that_fill(live: u64, what: u64, high: u64, low: u64) -> u32 {
    let Some(limit) = proving_limit(live, what) else { return 0 };
    let key = ProofKey::new(Address { high, low }, (what >> 8) as u8, limit.place);
    let Some(proof) = tables::proof(&key) else { return 0 };
    proof.handshakes_that_fill(&limit.rate, limit.rate.time(steps(limit))).unwrap_or(0) as u32
}

/// Tells the daemon of the SYN that is decided on, refused by a limit which so many completed handshakes fill.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_violation(live: u64, what: u64, handshakes: u32) -> u32 {
    let (Some(packet), Some(generation)) = (maps::arriving(), maps::generation(live)) else { return 0 };
    let Some(limit) = proving_limit(live, what) else { return 0 };
    let Packet { source, source_port, destination_port, version, .. } = *packet;
    let proof = tables::proof(&ProofKey::new(source, version, limit.place)).unwrap_or_default();
    tables::tell_violation(&Violation {
        time_ns: now_ns(),
        last_ns: proof.last_ns,
        generation: generation.number(),
        handshakes: handshakes as u64,
        source: source.octets(),
        source_port,
        destination_port,
        service: what as u8,
        limit: (what >> 16) as u8,
        version,
        reserved: 0,
    });
    1
}

/// Returns a limit by what [`prove`] takes, if handshakes are to prove violations of it.
#[inline(always)]
fn proving_limit(live: u64, what: u64) -> Option<&'static Limit> {
    let limit = maps::generation(live)?.head.limits.get((what & 0xff) as usize)?.get((what >> 16 & 0xff) as usize)?;
    (limit.proves != 0).then_some(limit)
}

#[inline(always)]
fn steps(limit: &Limit) -> u64 {
    if limit.precise != 0 { precise_now_ns() } else { ticks() }
}
