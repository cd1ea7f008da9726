//! What a decision asks, answered from the kernel's tables.

use aya_ebpf::programs::XdpContext;
use guard_common::{
    address::Address,
    bucket::Work,
    flow::{FlowKey, SILENCE_NS},
    generation::{Generation, set_index},
    limits::{self, Demand, LIMITS_MAX, Ledger, Limit, Limits, Unit, refusal, unit_bit},
    packet::{Packet, protocol, read_answer_to_quoted, tcp_flag},
    policy::{Ban, Facts, Reason, Set, Target},
    records::PendingKey,
};

use crate::{
    connections::{connection_refused, handshake_reset, note_violation},
    context::{PagedFrame, frame_length, interface, now_ns, precise_now_ns, ticks},
    maps::{self, Far},
    timed,
};

/// How much sooner than it should a UDP flow may be forgotten, so that not every packet writes.
const PENDING_SLACK_NS: u64 = 1_000_000_000;

/// The policy in force for one packet: read once, so that one generation decides.
pub(crate) struct Policy<'a> {
    context: &'a XdpContext,
    live: u64,
    pub(crate) generation: Generation<'static, Far>,
}

impl<'a> Policy<'a> {
    #[inline(always)]
    pub(crate) fn live(context: &'a XdpContext) -> Option<Self> {
        let live = maps::live()?;
        Some(Self { context, live, generation: maps::generation(live)? })
    }

    /// Tells whether the connections are known of whom limits are for.
    #[inline(always)]
    fn tracks(&self, limits: Limits) -> bool {
        // Rows that are no service's lead to 0, which has no caps.
        self.generation.caps(limits.row() as u8).tracked != 0
    }

    /// Does what a SYN or a RST to a service whose connections are known does to its handshake; returns why it is dropped if a
    /// cap refuses it.
    #[inline(always)]
    fn follow_handshake(&self, packet: &Packet, service: u8) -> Option<Reason> {
        if opens_connection(packet) {
            return (connection_refused(self.live, service as u64) != 0).then_some(Reason::Connections);
        }
        if packet.tcp_flags & tcp_flag::RST != 0 {
            let ports = packet.source_port as u64 | (packet.destination_port as u64) << 16;
            handshake_reset(packet.source.high, packet.source.low, ports, packet.tcp_sequence as u64);
        }
        None
    }
}

impl Facts for Policy<'_> {
    #[inline(always)]
    fn target(&self, tcp: bool, port: u16) -> Target {
        self.generation.target(tcp, port)
    }

    #[inline(always)]
    fn passes_by_default(&self) -> bool {
        self.generation.passes_by_default()
    }

    #[inline(always)]
    fn contains(&self, set: Set, packet: &Packet) -> bool {
        let Packet { version, source, .. } = *packet;
        if let (Set::Allow, 4) = (set, version) {
            return self.generation.contains(set, version, source);
        }
        self.generation.has(set, version)
            && set_contains(self.live, (set_index(set) as u64) << 8 | version as u64, source.high, source.low) != 0
    }

    #[inline(always)]
    fn ban(&self, packet: &Packet) -> Ban {
        timed::ban(packet)
    }

    #[inline(always)]
    fn is_granted(&self, service: u8, packet: &Packet) -> bool {
        self.generation.grants_hold() && timed::is_granted(packet, service)
    }

    #[inline(always)]
    fn is_own_address(&self, address: Address) -> bool {
        maps::is_own_address(address.on_interface(interface(self.context)))
    }

    #[inline(always)]
    fn is_answer(&self, packet: &Packet) -> bool {
        // Floods of packets to services' ports, of which this host opens no flows, end here.
        let may_be =
            !packet.has_ports() || maps::has_flow_port(packet.protocol == protocol::TCP, packet.destination_port);
        may_be && answers(packet)
    }

    #[inline(always)]
    fn has_limits(&self, limits: Limits) -> bool {
        self.generation.limits(limits)[0].unit != 0 || self.tracks(limits)
    }

    #[inline(always)]
    fn refused_by(&self, limits: Limits, packet: &Packet) -> Option<Reason> {
        let [first, second, ..] = self.generation.limits(limits);
        let counts_connections = first.units & unit_bit(Unit::Connections) != 0;
        let opening = if counts_connections { Opening::of(packet, limits.row() as u8) } else { Opening::Nothing };
        let Packet { source, version, length, .. } = *packet;
        let what =
            limits.row() as u64 | (version as u64) << 16 | (opening.connections() as u64) << 32 | (length as u64) << 40;
        let unit = if first.unit == 0 {
            0
        } else if second.unit != 0 {
            limits_refuse(self.live, what, source.high, source.low) as u8
        } else if limit_work(self.live, what | (Work::Charge as u64) << 24, source.high, source.low) == 0 {
            first.unit
        } else {
            0
        };
        if unit != 0 {
            if unit == Unit::Connections as u8
                && opens_connection(packet)
                && self.generation.caps(limits.row() as u8).bans != 0
            {
                note_violation(self.live, limits.row() as u64);
            }
            return Some(refusal(unit));
        }
        if packet.protocol == protocol::TCP
            && packet.tcp_flags & (tcp_flag::SYN | tcp_flag::RST) != 0
            && self.tracks(limits)
        {
            return self.follow_handshake(packet, limits.row() as u8);
        }
        if let Opening::Datagram(key) = opening {
            maps::set_pending(&key, now_ns() + SILENCE_NS);
        }
        None
    }

    #[inline(always)]
    fn take_for_answer(&self, error: &mut Packet) -> bool {
        read_quoted(self.context, error)
    }
}

/// Searches a set of the generation that `live` names; not 0 if it holds the address. `place` is the set's index, and the
/// family's version in the low byte.
///
/// A global function in BTF's sense: the verifier walks through it once, not once for each set that is asked. So it takes
/// numbers only, and finds the generation again by itself. IPv4's `allow` is searched in place: where the processor's returns
/// are guarded (`spec_rstack_overflow`), a call costs as much as a search.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn set_contains(live: u64, place: u64, high: u64, low: u64) -> u32 {
    let Some(generation) = maps::generation(live) else { return 0 };
    generation.holds((place >> 8) as usize, place as u8, Address { high, low }) as u32
}

/// Does [`Work`] with the packet's bucket of one limit; 0 if that can't be. `what` is the limit's row, its index there, the
/// family's version, the work's number, the connections that the packet asks for, each in a byte, and its length from bit 40
/// on. A global function, as [`set_contains`] is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn limit_work(live: u64, what: u64, high: u64, low: u64) -> u32 {
    let Some(limits) = limits(live, what & 0xff) else { return 0 };
    let Some(limit) = limits.get((what >> 8 & 0xff) as usize) else { return 0 };
    let demand = Demand {
        version: (what >> 16) as u8,
        source: Address { high, low },
        connections: (what >> 32) as u32 & 0xff,
        bytes: (what >> 40) as u32,
    };
    let work = match what >> 24 & 0xff {
        0 => Work::Ask,
        1 => Work::Charge,
        _ => Work::Refund,
    };
    let steps = if limit.precise != 0 { precise_now_ns() } else { ticks() };
    limit.work(work, &demand, maps::bucket_key(), steps, |hash| maps::bucket_line(limit, hash, live)) as u32
}

/// Charges a packet to all limits of a row or to none; returns the unit of one that refuses, else 0. `what` is that of
/// [`limit_work`] without an index and a work. A global function, as [`set_contains`] is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn limits_refuse(live: u64, what: u64, high: u64, low: u64) -> u32 {
    // Nothing is let through for want of a policy.
    let Some(limits) = limits(live, what & 0xff) else { return Unit::Packets as u32 };
    limits::refused_by(&Row { live, what, high, low, limits }) as u32
}

#[inline(always)]
fn limits(live: u64, row: u64) -> Option<&'static [Limit; LIMITS_MAX]> {
    maps::generation(live)?.head.limits.get(row as usize)
}

/// A row of limits, and the packet that is charged to them.
struct Row {
    live: u64,
    what: u64,
    high: u64,
    low: u64,
    limits: &'static [Limit; LIMITS_MAX],
}

impl Ledger for Row {
    #[inline(always)]
    fn unit(&self, index: usize) -> u8 {
        self.limits[index & (LIMITS_MAX - 1)].unit
    }

    #[inline(always)]
    fn work(&self, index: usize, work: Work) -> bool {
        limit_work(self.live, self.what | (index as u64) << 8 | (work as u64) << 24, self.high, self.low) != 0
    }
}

/// Reads what an ICMP error quotes. Apart, because such are rare: its reads are copied by the kernel.
#[inline(never)]
fn read_quoted(context: &XdpContext, packet: &mut Packet) -> bool {
    read_answer_to_quoted(&PagedFrame::new(context, frame_length(context)), packet).is_some()
}

/// Tells whether a packet answers a flow that this host opened, and ends that if the packet does.
#[inline(never)]
fn answers(packet: &Packet) -> bool {
    let Some(key) = FlowKey::of_answer(packet) else { return false };
    let Some(flow) = maps::flow(&key) else { return false };
    let now_ns = now_ns();
    if !flow.is_alive(now_ns) {
        return false;
    }
    if let Some(flow) = flow.after_answer(packet, now_ns) {
        maps::set_flow(&key, &flow);
    }
    true
}

/// Tells whether a TCP packet asks for a connection.
#[inline(always)]
fn opens_connection(packet: &Packet) -> bool {
    packet.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN
}

/// What a packet opens.
enum Opening {
    Nothing,
    /// A TCP connection.
    Connection,
    /// A UDP flow, which is to be known once it is let in.
    Datagram(PendingKey),
}

impl Opening {
    #[inline(always)]
    fn of(packet: &Packet, service: u8) -> Self {
        if packet.protocol == protocol::TCP {
            return if opens_connection(packet) { Self::Connection } else { Self::Nothing };
        }
        let key = PendingKey {
            source: packet.source.octets(),
            source_port: packet.source_port,
            service,
            protocol: packet.protocol,
            reserved: [0; 4],
        };
        let (ends_ns, now_ns) = (maps::pending(&key), now_ns());
        if ends_ns <= now_ns {
            return Self::Datagram(key);
        }
        if ends_ns < now_ns + SILENCE_NS - PENDING_SLACK_NS {
            maps::set_pending(&key, now_ns + SILENCE_NS);
        }
        Self::Nothing
    }

    #[inline(always)]
    fn connections(&self) -> u32 {
        !matches!(self, Self::Nothing) as u32
    }
}
