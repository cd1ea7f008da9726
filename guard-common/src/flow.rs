//! Flows that this host opened, or that were opened through it: which packets that leave it are remembered, and which that
//! come in answer one.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Address,
    packet::{Packet, echo_reply, echo_request, protocol, tcp_flag},
    policy::Target,
    records::{RESERVED, port_bit},
};

const NS_PER_S: u64 = 1_000_000_000;

/// How long after the last packet out an answer is one, where no packet says that a flow ends.
pub const SILENCE_NS: u64 = 180 * NS_PER_S;

/// How long a TCP connection of which one side has sent FIN or RST lasts after this host's last packet.
pub const CLOSING_NS: u64 = 120 * NS_PER_S;

/// How much older an end may be than it should be, so that not every packet writes.
const SLACK_NS: u64 = NS_PER_S;

/// How long a TCP connection may be silent: for ever.
const OPEN_NS: u64 = 1 << 62;

/// A flow, as this host's end of it sees it. The interface is no part of it: an answer may come by another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FlowKey {
    pub local: [u8; 16],
    pub remote: [u8; 16],
    /// The port here; of ICMP echo, the identifier; else 0.
    pub local_port: u16,
    pub remote_port: u16,
    pub protocol: u8,
    /// Not 0 for all later fragments of the protocol between the two addresses.
    pub fragments: u8,
    pub reserved: [u8; 2],
}

/// When a flow ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Flow {
    /// When answers cease to be ones: CLOCK_MONOTONIC (coarse).
    pub ends_ns: u64,
    /// Not 0 once this host has closed it.
    pub closed_here: u32,
    /// Not 0 if a TCP SYN from here opened it: then it is nobody else's.
    pub asked_here: u32,
    pub reserved: [u64; RESERVED],
}

const _: () = {
    assert!(size_of::<FlowKey>() == 40);
    assert!(size_of::<Flow>() == 16 + 8 * RESERVED);
};

impl FlowKey {
    /// Returns the same two hosts' key for later fragments.
    #[inline(always)]
    pub const fn of_fragments(&self) -> Self {
        Self { local_port: 0, remote_port: 0, fragments: 1, ..*self }
    }

    /// Returns the word of `FLOW_PORTS`, and its bit, that is set while the flow may be known; `None` if its protocol has no
    /// ports, so that only the table can tell.
    #[inline(always)]
    pub const fn port_bit(&self) -> Option<(u32, u64)> {
        let has_ports = self.fragments == 0 && (self.protocol == protocol::TCP || self.protocol == protocol::UDP);
        if has_ports { Some(port_bit(self.protocol == protocol::TCP, self.local_port)) } else { None }
    }

    /// Returns the flow to which a packet belongs that this host sends; `None` if it begins and continues none.
    #[inline(always)]
    pub fn of_outgoing(packet: &Packet) -> Option<Self> {
        let Packet { source, destination, .. } = *packet;
        Self::of(packet, source, destination, packet.source_port, packet.destination_port, echo_request(packet.version))
    }

    /// Returns the flow to which a packet from outside would be an answer; `None` if it is one to nothing.
    #[inline(always)]
    pub fn of_answer(packet: &Packet) -> Option<Self> {
        let Packet { source, destination, .. } = *packet;
        Self::of(packet, destination, source, packet.destination_port, packet.source_port, echo_reply(packet.version))
    }

    #[inline(always)]
    fn of(
        packet: &Packet,
        local: Address,
        remote: Address,
        local_port: u16,
        remote_port: u16,
        echo: u8,
    ) -> Option<Self> {
        let local_port = if packet.is_control_message() && !packet.is_later_fragment() {
            // Errors are judged by what they quote, and nothing else is asked and answered.
            if packet.message_type != echo {
                return None;
            }
            packet.detail
        } else {
            local_port
        };
        Some(Self {
            local: local.octets(),
            remote: remote.octets(),
            local_port,
            remote_port,
            protocol: packet.protocol,
            fragments: packet.is_later_fragment() as u8,
            reserved: [0; 2],
        })
    }
}

/// What a packet that leaves does to its flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leaving {
    /// Nothing: it is an answer, or belongs to a port whose packets are answers.
    Nothing,
    /// It opens the flow, whatever was there.
    Opens,
    /// It keeps the flow alive, or makes it known where it is not.
    Continues,
    /// It keeps the flow alive if that is known.
    Keeps,
    /// It closes the flow if that is known.
    Closes,
}

/// What is known of this host's own ports.
pub trait Ports {
    /// Returns what a TCP (`tcp`) or UDP port belongs to.
    fn target(&self, tcp: bool, port: u16) -> Target;

    /// Tells whether ports that no service names pass unasked.
    fn passes_by_default(&self) -> bool;

    /// Tells whether something listens on a port, so that what leaves it may be an answer.
    fn is_listening(&self, tcp: bool, port: u16) -> bool;
}

/// Tells what a packet that leaves does to its flow.
///
/// A port that is a service's, a failsafe one or listened on mostly sends answers, and an answer must not open a way in: of
/// such a port only a TCP SYN counts, which is none. Where other ports pass unasked, no more is needed.
#[inline(always)]
pub fn leaving<P: Ports>(packet: &Packet, ports: &P) -> Leaving {
    let tcp = packet.protocol == protocol::TCP;
    if !packet.has_ports() {
        // A later fragment is behind a first one, which counted. What is sent to many is answered by none of them.
        let counts = !packet.is_later_fragment() && !packet.destination.is_multicast(packet.version);
        return if counts && !ports.passes_by_default() { Leaving::Continues } else { Leaving::Nothing };
    }
    let answers = ports.target(tcp, packet.source_port) != Target::Unnamed
        || ports.passes_by_default()
        || ports.is_listening(tcp, packet.source_port);
    if !tcp {
        return if answers || packet.destination.is_multicast(packet.version) {
            Leaving::Nothing
        } else {
            Leaving::Continues
        };
    }
    use tcp_flag::{ACK, FIN, RST, SYN};
    match packet.tcp_flags & (SYN | ACK | FIN | RST) {
        SYN if ports.passes_by_default() && ports.target(true, packet.source_port) == Target::Unnamed => {
            Leaving::Nothing
        }
        SYN => Leaving::Opens,
        flags if flags & (FIN | RST) != 0 => Leaving::Closes,
        flags if flags & SYN != 0 => Leaving::Nothing,
        _ if answers => Leaving::Keeps,
        _ => Leaving::Continues,
    }
}

impl Flow {
    /// A flow whose peer was cut: no packet from here keeps it alive, and only a TCP SYN opens it again.
    pub const CUT: Self = Self { ends_ns: 0, closed_here: 1, asked_here: 0, reserved: [0; RESERVED] };

    /// Returns a flow that is known from now on, whoever opened it.
    #[inline(always)]
    pub const fn noted(key: &FlowKey, now_ns: u64) -> Self {
        Self { ends_ns: lasts_until(key, now_ns), closed_here: 0, asked_here: 0, reserved: [0; RESERVED] }
    }

    /// Returns what is known of a flow of which nothing was before a packet that leaves, if that is anything.
    #[inline(always)]
    pub const fn first(key: &FlowKey, leaving: Leaving, now_ns: u64) -> Option<Self> {
        match leaving {
            Leaving::Opens => Some(Self { asked_here: 1, ..Self::noted(key, now_ns) }),
            Leaving::Continues => Some(Self::noted(key, now_ns)),
            Leaving::Nothing | Leaving::Keeps | Leaving::Closes => None,
        }
    }

    /// Returns the flow after a packet that leaves, if that changes it enough to be written.
    #[inline(always)]
    pub const fn after_leaving(&self, key: &FlowKey, leaving: Leaving, now_ns: u64) -> Option<Self> {
        match leaving {
            Leaving::Nothing => None,
            Leaving::Opens => Self::first(key, leaving, now_ns),
            Leaving::Closes if self.closed_here != 0 => None,
            Leaving::Closes => Some(Self { ends_ns: now_ns + CLOSING_NS, closed_here: 1, ..*self }),
            // Half-closed by this host, it goes on for as long as this host takes part in it.
            Leaving::Continues | Leaving::Keeps if self.closed_here != 0 => {
                if self.is_alive(now_ns) {
                    self.lasting_until(now_ns + CLOSING_NS)
                } else {
                    None
                }
            }
            // What a peer's FIN or RST ended goes on if this host thinks so.
            Leaving::Continues | Leaving::Keeps => self.lasting_until(lasts_until(key, now_ns)),
        }
    }

    /// Returns the flow with a later end, if that is enough later.
    #[inline(always)]
    const fn lasting_until(&self, ends_ns: u64) -> Option<Self> {
        if ends_ns > self.ends_ns.saturating_add(SLACK_NS) { Some(Self { ends_ns, ..*self }) } else { None }
    }

    /// Tells whether a packet may still be an answer.
    #[inline(always)]
    pub const fn is_alive(&self, now_ns: u64) -> bool {
        now_ns < self.ends_ns
    }

    /// Returns the flow after an answer that ends it.
    #[inline(always)]
    pub const fn after_answer(&self, answer: &Packet, now_ns: u64) -> Option<Self> {
        let ends = answer.protocol == protocol::TCP && answer.tcp_flags & (tcp_flag::FIN | tcp_flag::RST) != 0;
        if ends && self.ends_ns >= OPEN_NS { Some(Self { ends_ns: now_ns + CLOSING_NS, ..*self }) } else { None }
    }
}

/// Tells whether a packet may be an answer to a flow at all: a bare SYN asks, and what comes to a service's UDP port can't be
/// told from a question. `to_service` says whether it comes to a service's port.
#[inline(always)]
pub const fn may_answer(packet: &Packet, to_service: bool) -> bool {
    match packet.protocol {
        protocol::TCP => packet.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) != tcp_flag::SYN,
        protocol::UDP => !to_service,
        _ => true,
    }
}

#[inline(always)]
const fn lasts_until(key: &FlowKey, now_ns: u64) -> u64 {
    let silence_ns = if key.protocol == protocol::TCP && key.fragments == 0 { OPEN_NS } else { SILENCE_NS };
    now_ns + silence_ns
}
