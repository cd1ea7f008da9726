//! Entry points, and the one table from verdict to what the kernel does.

use core::mem::MaybeUninit;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::debug;
use guard_common::{
    gate::Cause,
    packet::{self, Frame as _, LinkType, Packet, Parsed},
    policy::{Decision, Mode, Reason, Verdict, decide},
};

use crate::{
    context::{LinearFrame, PagedFrame, empty},
    events,
    maps::{self, Policy},
};

/// Decides on a packet.
#[xdp(frags)]
pub(crate) fn guard(context: XdpContext) -> u32 {
    let frame = LinearFrame::new(&context);
    let mut room = MaybeUninit::uninit();
    let packet = empty(&mut room);
    let mut parsed = packet::parse(&frame, packet);
    if parsed == Parsed::Malformed && frame.is_partial() {
        parsed = parse_paged(&context, packet);
    }
    // Nothing is attached before a policy is live; if it were gone all the same, nothing would pass.
    let Some(policy) = Policy::live(&context) else { return xdp_action::XDP_ABORTED };
    let decision = match parsed {
        Parsed::Ip => {
            frame.forget_packet(packet);
            decide(packet, &policy)
        }
        Parsed::NotIp(link_type) => return pass_link(link_type, frame.bytes()),
        Parsed::Malformed => Decision { service: 0, reason: Reason::Malformed },
    };
    let drops = frame.forget((decision.reason.verdict() == Verdict::Drop) as u32) != 0;
    let reason = frame.forget(decision.reason as u32) as u8;
    let service = frame.forget(decision.service as u32) as u8;

    maps::count(service, reason, frame.bytes());
    let source = packet.source.octets();
    debug!(&context, "{:i} port {} reason {} service {}", source, packet.destination_port, reason, service);
    if !drops {
        return xdp_action::XDP_PASS;
    }
    // A packet that the parser gave up on may be meant for any service, and Linux may understand it.
    let mode = if parsed == Parsed::Malformed { policy.malformed_mode() } else { policy.mode(service) };
    events::block(&context, packet, service, Cause { reason, mode: mode as u32 }, &policy);
    match mode {
        Mode::Enforce => xdp_action::XDP_DROP,
        Mode::Monitor => xdp_action::XDP_PASS,
    }
}

/// Reports what this CPU's gates hold, for some of them; run by the daemon through test_run, never attached.
#[xdp]
pub(crate) fn guard_flush(context: XdpContext) -> u32 {
    events::flush(&LinearFrame::new(&context));
    xdp_action::XDP_PASS
}

/// Reads a frame whose headers may go on in its pages. Apart, because it is rare and every read of it is a call.
#[inline(never)]
fn parse_paged(context: &XdpContext, packet: &mut Packet) -> Parsed {
    *packet = Packet::default();
    packet::parse(&PagedFrame::new(context), packet)
}

#[inline(always)]
fn pass_link(link_type: LinkType, bytes: u32) -> u32 {
    maps::count(0, Reason::NotIp as u8, bytes);
    maps::count_link(link_type, bytes);
    xdp_action::XDP_PASS
}
