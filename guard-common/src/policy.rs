//! Do we want this packet: facts in, verdict and reason out. It knows neither tables nor the kernel.

use crate::{
    address::Address,
    essential::is_essential,
    packet::{Fragment, Packet, protocol, tcp_flag},
};

/// Services with a name, 1 to 63; service 0 is every port that none of them names.
pub const SERVICES_MAX: usize = 63;

/// Why a packet passed or was dropped. The number is the second half of a counter's index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Reason {
    /// Passed: no IP packet.
    NotIp = 0,
    /// Passed: the host cannot live without it ([`is_essential`]).
    Essential = 1,
    /// Passed: to a failsafe port.
    Failsafe = 2,
    /// Passed: for no service, and the default is to pass.
    Default = 3,
    /// Passed: the source is in an allow set.
    Allowed = 4,
    /// Dropped: headers that contradict the frame, each other or what a service may be sent.
    Malformed = 5,
    /// Dropped: an address that cannot be real.
    Spoofed = 6,
    /// Dropped: the source is in `deny`.
    Blocked = 7,
    /// Dropped: a later fragment of a source in no allow set.
    Fragment = 8,
    /// Dropped: the source is in no allow set.
    NotAllowed = 9,
}

/// Reasons that a counter's index has room for; a power of two.
pub const REASONS_MAX: usize = 32;

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::NotIp,
        Self::Essential,
        Self::Failsafe,
        Self::Default,
        Self::Allowed,
        Self::Malformed,
        Self::Spoofed,
        Self::Blocked,
        Self::Fragment,
        Self::NotAllowed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Essential => "essential",
            Self::Failsafe => "failsafe",
            Self::Default => "default",
            Self::Allowed => "allowed",
            Self::Malformed => "malformed",
            Self::Spoofed => "spoofed",
            Self::Blocked => "blocked",
            Self::Fragment => "fragment",
            Self::NotAllowed => "not_allowed",
        }
    }

    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::NotIp | Self::Essential | Self::Failsafe | Self::Default | Self::Allowed => Verdict::Pass,
            Self::Malformed | Self::Spoofed | Self::Blocked | Self::Fragment | Self::NotAllowed => Verdict::Drop,
        }
    }

    /// Returns the reason whose number a record holds.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Pass,
    Drop,
}

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

    /// Tells whether the address is one of the host's own on a guarded interface, and not shared with other hosts.
    fn is_own_address(&self, address: Address) -> bool;
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
    /// Exempt from limits and from bans by the machine; asked where one would drop, so by nothing yet.
    Trusted,
}

/// A verdict with its reason and the service that it counts for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    pub service: u8,
    pub reason: Reason,
}

/// Decides on an IP packet; the first rule that applies wins.
///
/// Limits, bans, grants, replies and the packets that ICMP errors quote have no rule here: no table that they would
/// ask exists, so a source is held to nothing but the sets.
#[inline(always)]
pub fn decide<F: Facts>(packet: &Packet, facts: &F) -> Decision {
    let target = if packet.has_ports() {
        facts.target(packet.protocol == protocol::TCP, packet.destination_port)
    } else {
        Target::Unnamed
    };
    Decision { service: target.service(), reason: reason(packet, target, facts) }
}

#[inline(always)]
fn reason<F: Facts>(packet: &Packet, target: Target, facts: &F) -> Reason {
    if let Target::Service(_) = target
        && has_impossible_flags(packet)
    {
        return Reason::Malformed;
    }
    if is_essential(packet) {
        return Reason::Essential;
    }
    if packet.source.is_impossible_source(packet.version)
        || packet.destination.is_impossible_destination(packet.version)
        || facts.is_own_address(packet.source)
    {
        return Reason::Spoofed;
    }
    if facts.contains(Set::Deny, packet) {
        return Reason::Blocked;
    }
    let added = match target {
        Target::Failsafe => return Reason::Failsafe,
        Target::Unnamed if facts.passes_by_default() => return Reason::Default,
        Target::Unnamed if packet.has_ports() => None,
        Target::Unnamed => Some(Set::AnyService),
        Target::Service(service) => Some(Set::Service(service)),
    };
    if facts.contains(Set::Allow, packet) || added.is_some_and(|set| facts.contains(set, packet)) {
        return Reason::Allowed;
    }
    match packet.fragment {
        Fragment::Later => Reason::Fragment,
        Fragment::Whole | Fragment::First => Reason::NotAllowed,
    }
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
