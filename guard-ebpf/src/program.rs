//! Entry points, and the one table from verdict to what the kernel does.

use aya_ebpf::{
    bindings::{TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, sock_ops, xdp},
    programs::{SockOpsContext, TcContext, XdpContext},
};
use aya_log_ebpf::debug;
use guard_common::{
    connections::CountRequest,
    gate::Cause,
    packet::{self, Frame as _, LinkType, Packet, Parsed, tcp_flag},
    policy::{Decision, Mode, Reason, Verdict, decide},
    records::{AddRequest, USED_SAMPLE},
};

use crate::{
    connections,
    context::{LinearFrame, PagedFrame, empty, frame_length},
    egress, events,
    facts::Policy,
    maps::{self, Run},
    sockets,
};

/// Decides on a packet.
#[xdp(frags)]
#[inline(always)]
pub(crate) fn guard(context: XdpContext) -> u32 {
    let frame = LinearFrame::new(&context);
    // Nothing passes for want of a table.
    let Some([packet, judged]) = maps::packets(Run::Arriving) else { return xdp_action::XDP_ABORTED };
    empty(packet);
    let mut parsed = packet::parse(&frame, packet);
    let mut bytes = frame.length();
    if parsed != Parsed::Ip {
        bytes = frame_length(&context);
        if parsed == Parsed::Malformed && bytes > frame.length() {
            parsed = parse_partial(&context, bytes, packet);
        }
    }
    // Nothing is attached before a policy is live; if it were gone all the same, nothing would pass.
    let Some(policy) = Policy::live(&context) else { return xdp_action::XDP_ABORTED };
    let decision = match parsed {
        Parsed::Ip => decide(packet, judged, &policy),
        Parsed::NotIp(link_type) => return pass_link(link_type, bytes),
        Parsed::Malformed => Decision { service: 0, reason: Reason::Malformed },
    };
    let drops = frame.forget((decision.reason.verdict() == Verdict::Drop) as u32) != 0;
    let reason = frame.forget(decision.reason as u32) as u8;
    let service = frame.forget(decision.service as u32) as u8;

    let mode = if !drops {
        Mode::Enforce
    } else if parsed == Parsed::Malformed {
        // A packet that the parser gave up on may be meant for any service, and Linux may understand it.
        policy.generation.malformed_mode()
    } else {
        policy.generation.mode(service)
    };
    let cause = Cause { reason, mode: frame.forget(mode as u32) & 1 };
    let packets = maps::count(service, cause, bytes);
    let source = packet.source.octets();
    debug!(&context, "{:i} port {} reason {} service {}", source, packet.destination_port, reason, service);
    if !drops {
        if reason == Reason::Allowed as u8 {
            note_use(packet, judged, packets);
        }
        return xdp_action::XDP_PASS;
    }
    events::block(&context, packet, service, cause, &policy);
    if cause.mode == Mode::Monitor as u32 { xdp_action::XDP_PASS } else { xdp_action::XDP_DROP }
}

/// Reports what this CPU's gates hold, for some of them; run by the daemon through test_run, never attached.
#[xdp]
pub(crate) fn guard_flush(context: XdpContext) -> u32 {
    events::flush(&LinearFrame::new(&context));
    xdp_action::XDP_PASS
}

/// Adds to what this CPU has counted; run by the daemon through test_run, never attached.
#[xdp]
pub(crate) fn guard_add(context: XdpContext) -> u32 {
    if let Some(request) = LinearFrame::new(&context).request::<AddRequest>() {
        maps::add_numbers(&request);
    }
    xdp_action::XDP_PASS
}

/// Counts a connection for the daemon; run by it through test_run, never attached.
#[xdp]
pub(crate) fn guard_count(context: XdpContext) -> u32 {
    if let Some(request) = LinearFrame::new(&context).request::<CountRequest>() {
        connections::count_for(&request);
    }
    xdp_action::XDP_PASS
}

/// Follows connections of the cgroup's sockets.
#[sock_ops]
pub(crate) fn guard_sockets(context: SockOpsContext) -> u32 {
    sockets::follow(&context);
    // So that what other programs answered stays the answer.
    1
}

/// Notes the flow of a packet that leaves, and leaves the packet to whoever comes next.
#[classifier]
pub(crate) fn guard_egress(context: TcContext) -> i32 {
    egress::note(&context);
    TC_ACT_UNSPEC
}

/// Reads a frame of which only a part can be read in place, `length` bytes in all. Apart, because it is rare.
#[inline(never)]
fn parse_partial(context: &XdpContext, length: u32, packet: &mut Packet) -> Parsed {
    *packet = Packet::default();
    let parsed = packet::parse(&LinearFrame::of(context, length), packet);
    if parsed != Parsed::Malformed {
        return parsed;
    }
    *packet = Packet::default();
    // The headers may go on in the frame's pages.
    packet::parse(&PagedFrame::new(context, length), packet)
}

/// Notes when a source was let in, for a sample of packets: those that open a connection, and some of the others. An error is a
/// use by whom it is judged as.
#[inline(always)]
fn note_use(packet: &Packet, judged: &Packet, packets: u64) {
    let opens = packet.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN;
    if (opens || packets.is_multiple_of(USED_SAMPLE)) && maps::may_sample() {
        maps::set_used(&judged.source);
    }
}

#[inline(always)]
fn pass_link(link_type: LinkType, bytes: u32) -> u32 {
    maps::count(0, Cause { reason: Reason::NotIp as u8, mode: Mode::Enforce as u32 }, bytes);
    maps::count_link(link_type, bytes);
    xdp_action::XDP_PASS
}
