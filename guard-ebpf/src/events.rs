//! Blocked packets on their way to the daemon: through this CPU's gates into the ring.

use aya_ebpf::programs::XdpContext;
use guard_common::{
    gate::{self, Blocked, Cause, Outlet, Place},
    packet::Packet,
    records::{BlockEvent, FLUSH_SETS, FlushRequest, GATE_WAYS},
};

use crate::{
    context::{LinearFrame, interface, now_ns, ticks},
    facts::Policy,
    maps,
};

/// The ring and the counters beside it.
struct Ring;

impl Outlet for Ring {
    #[inline(always)]
    fn time_ns(&self) -> u64 {
        now_ns()
    }

    #[inline(always)]
    fn report(&self, event: &BlockEvent) -> bool {
        maps::output(event)
    }

    #[inline(always)]
    fn merge(&self, reason: u8, packets: u64) {
        maps::with_unreported(reason, |unreported| unreported.merged += packets);
    }

    #[inline(always)]
    fn lose(&self, reason: u8, packets: u64) {
        maps::with_unreported(reason, |unreported| unreported.lost += packets);
    }
}

/// Hands a blocked packet to its gate.
#[inline(always)]
pub(crate) fn block(context: &XdpContext, packet: &Packet, service: u8, cause: Cause, policy: &Policy<'_>) {
    let place = Place::of(packet.source, cause, maps::gate_seed());
    let blocked = Blocked {
        source: packet.source,
        cause,
        now_ms: now_ms(),
        describe: |event: &mut BlockEvent| {
            *event = BlockEvent {
                time_ns: 0,
                packets: 0,
                generation: policy.generation.number(),
                source: packet.source.octets(),
                destination: packet.destination.octets(),
                length: packet.length,
                interface: interface(context),
                source_port: packet.source_port,
                destination_port: packet.destination_port,
                version: packet.version,
                protocol: packet.protocol,
                hop_limit: packet.hop_limit,
                tcp_flags: packet.tcp_flags,
                message_type: packet.message_type,
                fragment: packet.fragment as u8,
                reason: cause.reason,
                service,
                mode: cause.mode,
            }
        },
    };
    maps::with_gates(place.set, |set, budget| gate::admit(set, budget, &Ring, place, &blocked));
}

/// Reports what the gates that `frame` asks for have held long enough.
#[inline(always)]
pub(crate) fn flush(frame: &LinearFrame) {
    let Some(request) = frame.request::<FlushRequest>() else { return };
    let now_ms = now_ms();
    for gate in 0..u64::from(FLUSH_SETS) * GATE_WAYS as u64 {
        let set = request.first_set.wrapping_add((gate / GATE_WAYS as u64) as u32);
        maps::with_gates(set, |set, budget| {
            gate::flush(set, gate as usize, budget, &Ring, now_ms, request.age_ms);
        });
    }
}

/// A clock that costs no call: milliseconds in steps of a tick, the low 32 bits.
#[inline(always)]
fn now_ms() -> u32 {
    (ticks().wrapping_mul(maps::tick_ms()) >> 16) as u32
}
