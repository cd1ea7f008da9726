//! Packets that leave: the flows that they open are remembered, so that answers to them may come in.

use aya_ebpf::programs::TcContext;
use guard_common::{
    address::Address,
    flow::{Flow, FlowKey, Leaving, Ports, leaving},
    generation::Generation,
    packet::{self, Packet, Parsed, tcp_flag},
    policy::Target,
};

use crate::{
    connections::{handshake_answered, handshake_reset},
    context::{LinearFrame, empty, now_ns},
    maps::{self, Far, Run},
};

/// Bytes that hold every header that is asked for, of almost every packet.
const HEADERS: u32 = 256;

/// What the policy in force and the host's sockets say of ports.
struct LocalPorts(Generation<'static, Far>);

impl Ports for LocalPorts {
    #[inline(always)]
    fn target(&self, tcp: bool, port: u16) -> Target {
        self.0.target(tcp, port)
    }

    #[inline(always)]
    fn passes_by_default(&self) -> bool {
        self.0.passes_by_default()
    }

    #[inline(always)]
    fn is_listening(&self, tcp: bool, port: u16) -> bool {
        maps::is_listening(tcp, port)
    }
}

/// Notes what a packet that leaves does to its flow.
#[inline(always)]
pub(crate) fn note(context: &TcContext) {
    let Some([packet, _]) = maps::packets(Run::Leaving) else { return };
    empty(packet);
    let frame = LinearFrame::leaving(context);
    let mut parsed = packet::parse(&frame, packet);
    if parsed == Parsed::Malformed && frame.is_partial() && context.pull_data(HEADERS.min(context.len())).is_ok() {
        parsed = parse_again(context, packet);
    }
    if parsed == Parsed::Ip {
        note_packet(packet);
    }
}

#[inline(never)]
fn parse_again(context: &TcContext, packet: &mut Packet) -> Parsed {
    *packet = Packet::default();
    packet::parse(&LinearFrame::leaving(context), packet)
}

/// Does what an answer to a SYN does to its handshake.
#[inline(always)]
fn follow_handshake(packet: &Packet) {
    use tcp_flag::{ACK, RST, SYN};
    let Packet { destination: Address { high, low }, source_port, destination_port, .. } = *packet;
    let ports = destination_port as u64 | (source_port as u64) << 16;
    let acknowledged = packet.tcp_acknowledgment as u64;
    let flags = packet.tcp_flags & (RST | SYN | ACK);
    if flags == SYN | ACK {
        handshake_answered(high, low, ports, acknowledged);
    } else if flags == RST | ACK {
        // Nobody listens.
        handshake_reset(high, low, ports, acknowledged);
    }
}

#[inline(never)]
fn note_packet(packet: &Packet) {
    follow_handshake(packet);
    let Some(generation) = maps::live().and_then(maps::generation) else { return };
    let leaving = leaving(packet, &LocalPorts(generation));
    if leaving == Leaving::Nothing {
        return;
    }
    let Some(key) = FlowKey::of_outgoing(packet) else { return };
    let now_ns = now_ns();
    let flow = match maps::flow(&key) {
        Some(flow) => flow.after_leaving(&key, leaving, now_ns),
        None => Flow::first(&key, leaving, now_ns),
    };
    let Some(flow) = flow else { return };
    maps::set_flow(&key, &flow);
    let fragments = key.of_fragments();
    maps::set_flow(&fragments, &Flow::noted(&fragments, now_ns));
}
