//! Do we want this packet: facts in, verdict and reason out. It knows neither tables nor the kernel.

mod reason;

use crate::{
    address::Address,
    essential::is_essential,
    flow::may_answer,
    limits::Limits,
    packet::{Fragment, Packet, protocol, tcp_flag},
    timed::ANY_SERVICE,
};
pub use reason::{REASONS_MAX, Reason, Verdict};

/// Services with a name, 1 to 63; service 0 is every port that none of them names.
pub const SERVICES_MAX: usize = 63;

/// What is done with a drop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Mode {
    /// The packet is dropped.
    Enforce = 0,
    /// The packet is decided, counted and reported the same, and passes.
    Monitor = 1,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Monitor];
}

/// What a packet is addressed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// A port of a service, 1 to 63.
    Service(u8),
    /// A port that the policy never closes.
    Failsafe,
    /// A port of no service, or a packet without ports: service 0.
    Unnamed,
}

impl Target {
    /// Returns the number of the service that the packet counts for.
    #[inline(always)]
    pub const fn service(self) -> u8 {
        match self {
            Self::Service(service) => service,
            Self::Failsafe | Self::Unnamed => 0,
        }
    }
}

/// What the policy in force says, asked only where the decision needs it.
pub trait Facts {
    /// Returns what a TCP (`tcp`) or UDP port belongs to.
    fn target(&self, tcp: bool, port: u16) -> Target;

    /// Tells whether ports that no service names, and packets without ports, pass unasked.
    fn passes_by_default(&self) -> bool;

    /// Tells whether the source is in the set.
    fn contains(&self, set: Set, packet: &Packet) -> bool;

    /// Tells whether the source is banned.
    fn ban(&self, packet: &Packet) -> Ban;

    /// Tells whether the source is granted every service, or one by its number; with
    /// [`ANY_SERVICE`](crate::timed::ANY_SERVICE) whether it is granted any.
    fn is_granted(&self, service: u8, packet: &Packet) -> bool;

    /// Tells whether the address is one of the host's own on a guarded interface, and not shared with other hosts.
    fn is_own_address(&self, address: Address) -> bool;

    /// Tells whether the packet answers a flow that this host opened.
    fn is_answer(&self, packet: &Packet) -> bool;

    /// Tells whether there are such limits.
    fn has_limits(&self, limits: Limits) -> bool;

    /// Charges the packet to the limits, and returns why it is dropped if they refuse it.
    fn refused_by(&self, limits: Limits, packet: &Packet) -> Option<Reason>;

    /// Makes of the copy of an ICMP error what it is judged as, as
    /// [`read_answer_to_quoted`](crate::packet::read_answer_to_quoted) does; false if there is no such thing.
    fn take_for_answer(&self, error: &mut Packet) -> bool;
}

/// The sets of sources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Set {
    /// Blocked everywhere.
    Deny,
    /// May reach every service.
    Allow,
    /// What a service adds to `Allow`.
    Service(u8),
    /// The union of what all services add.
    AnyService,
    /// Exempt from limits.
    Trusted,
}

/// Whether a source is banned, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Ban {
    None = 0,
    /// From everything.
    ByHand = 1,
    /// From everything but failsafe ports, unless it is trusted.
    ByMachine = 2,
}

/// A verdict with its reason and the service that it counts for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    pub service: u8,
    pub reason: Reason,
}

/// Decides on an IP packet; the first rule that applies wins.
///
/// An ICMP error is decided as the answer to the packet that it quotes, and counts for that one's service. `judged` is room
/// for what is decided on: its value does not matter.
#[inline(always)]
pub fn decide<F: Facts>(packet: &Packet, judged: &mut Packet, facts: &F) -> Decision {
    let mut port = Port::of(packet, facts);
    *judged = *packet;
    let mut reason = screen(packet, port, facts);
    if reason.is_none() && packet.is_error() {
        if facts.take_for_answer(judged) {
            port = Port::of(judged, facts);
            reason = screen_answer(judged, port, packet, facts);
        } else {
            reason = Some(Reason::Malformed);
        }
    }
    let reason = reason.unwrap_or_else(|| {
        let reason = admission(judged, port, facts);
        limits_for(packet, port, reason).and_then(|limits| refusal(limits, packet, facts)).unwrap_or(reason)
    });
    Decision { service: port.service, reason }
}

/// What a packet is addressed to: a [`Target`] of which every part has a value, because the verifier refuses a register
/// without one even where nobody will ask for it.
#[derive(Clone, Copy)]
struct Port {
    kind: PortKind,
    /// 0 unless it is a service's.
    service: u8,
}

#[derive(Clone, Copy, Eq, PartialEq)]
#[repr(u8)]
enum PortKind {
    Service,
    Failsafe,
    Unnamed,
}

impl Port {
    #[inline(always)]
    fn of<F: Facts>(packet: &Packet, facts: &F) -> Self {
        if !packet.has_ports() {
            return Self { kind: PortKind::Unnamed, service: 0 };
        }
        let target = facts.target(packet.protocol == protocol::TCP, packet.destination_port);
        let kind = match target {
            Target::Service(_) => PortKind::Service,
            Target::Failsafe => PortKind::Failsafe,
            Target::Unnamed => PortKind::Unnamed,
        };
        Self { kind, service: target.service() }
    }
}

/// Returns what becomes of a packet before anybody asks to whom it goes.
#[inline(always)]
fn screen<F: Facts>(packet: &Packet, port: Port, facts: &F) -> Option<Reason> {
    if port.kind == PortKind::Service && has_impossible_flags(packet) {
        return Some(Reason::Malformed);
    }
    if is_essential(packet) {
        return Some(Reason::Essential);
    }
    if packet.source.is_impossible_source(packet.version)
        || packet.destination.is_impossible_destination(packet.version)
        || facts.is_own_address(packet.source)
    {
        return Some(Reason::Spoofed);
    }
    exclusion(packet, port, facts)
}

/// Returns what becomes of an error before anybody asks to whom the answer goes that it is taken for.
#[inline(always)]
fn screen_answer<F: Facts>(answer: &Packet, port: Port, error: &Packet, facts: &F) -> Option<Reason> {
    // Routers send an error to the source of what it is about; one to another address, or about what was never on a wire, is
    // about a packet that never was.
    if answer.destination != error.destination
        || answer.source.is_impossible_source(answer.version)
        || facts.is_own_address(answer.source)
    {
        return Some(Reason::Spoofed);
    }
    exclusion(answer, port, facts)
}

/// Returns why a packet is dropped whatever would let it in.
#[inline(always)]
fn exclusion<F: Facts>(packet: &Packet, port: Port, facts: &F) -> Option<Reason> {
    if facts.contains(Set::Deny, packet) {
        return Some(Reason::Blocked);
    }
    let is_banned = match facts.ban(packet) {
        Ban::None => false,
        Ban::ByHand => true,
        Ban::ByMachine => port.kind != PortKind::Failsafe && !facts.contains(Set::Trusted, packet),
    };
    is_banned.then_some(Reason::Banned)
}

/// Returns the limits that hold for a packet that passes for a reason.
#[inline(always)]
const fn limits_for(packet: &Packet, port: Port, reason: Reason) -> Option<Limits> {
    match (reason, port.kind) {
        (Reason::Allowed | Reason::Default | Reason::Failsafe | Reason::Reply, _) if packet.is_error() => {
            Some(Limits::Errors)
        }
        (Reason::Allowed, PortKind::Service) => Some(Limits::Service(port.service)),
        (Reason::Allowed | Reason::Default, _) if packet.is_echo_request() => Some(Limits::Echo),
        _ => None,
    }
}

/// Tells whether a source may send a packet at all, whatever limits hold for it.
#[inline(always)]
fn admission<F: Facts>(packet: &Packet, port: Port, facts: &F) -> Reason {
    match port.kind {
        PortKind::Failsafe => return Reason::Failsafe,
        PortKind::Unnamed if facts.passes_by_default() => return Reason::Default,
        PortKind::Unnamed | PortKind::Service => {}
    }
    if facts.contains(Set::Allow, packet) || is_added(packet, port, facts) || is_granted(packet, port, facts) {
        return Reason::Allowed;
    }
    if may_answer(packet, port.kind == PortKind::Service) && facts.is_answer(packet) {
        return Reason::Reply;
    }
    match packet.fragment {
        Fragment::Later => Reason::Fragment,
        Fragment::Whole | Fragment::First => Reason::NotAllowed,
    }
}

/// Tells whether a source is among those that services let in beyond `Allow`.
#[inline(always)]
fn is_added<F: Facts>(packet: &Packet, port: Port, facts: &F) -> bool {
    match port.kind {
        PortKind::Service => facts.contains(Set::Service(port.service), packet),
        PortKind::Unnamed => !packet.has_ports() && facts.contains(Set::AnyService, packet),
        PortKind::Failsafe => false,
    }
}

/// Tells whether a source is let in for a time.
#[inline(always)]
fn is_granted<F: Facts>(packet: &Packet, port: Port, facts: &F) -> bool {
    let service = match port.kind {
        PortKind::Unnamed if !packet.has_ports() => ANY_SERVICE,
        PortKind::Service | PortKind::Unnamed | PortKind::Failsafe => port.service,
    };
    facts.is_granted(service, packet)
}

/// Returns why limits refuse a packet, if they do.
#[inline(always)]
fn refusal<F: Facts>(limits: Limits, packet: &Packet, facts: &F) -> Option<Reason> {
    if !facts.has_limits(limits) || facts.contains(Set::Trusted, packet) {
        return None;
    }
    facts.refused_by(limits, packet)
}

/// Tells whether a TCP header's flags are ones that no stack sends: SYN with FIN or RST, none, FIN without ACK.
#[inline(always)]
const fn has_impossible_flags(packet: &Packet) -> bool {
    use tcp_flag::{ACK, FIN, PSH, RST, SYN, URG};
    if packet.protocol != protocol::TCP {
        return false;
    }
    let flags = packet.tcp_flags & (FIN | SYN | RST | PSH | ACK | URG);
    flags == 0 || (flags & SYN != 0 && flags & (FIN | RST) != 0) || flags & (FIN | ACK) == FIN
}
