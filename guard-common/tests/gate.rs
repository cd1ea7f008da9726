//! Gates: every blocked packet ends in exactly one place, and few of them in an event of their own.

use std::cell::RefCell;

use guard_common::{
    address::Address,
    gate::{Blocked, Cause, Outlet, Place, admit, flush},
    policy::{Mode, Reason},
    records::{BUDGET_EVENTS, BlockEvent, Budget, GATE_SETS, GATE_WAYS, GateSet},
};
use proptest::{collection::vec, prelude::*};

const CAUSE: Cause = Cause { reason: Reason::NotAllowed as u8, mode: Mode::Enforce as u32 };
const MONITORED: Cause = Cause { mode: Mode::Monitor as u32, ..CAUSE };
const SECOND_MS: u32 = 1_000;

/// A ring of a certain room, and the counters beside it.
#[derive(Default)]
struct Ring {
    room: RefCell<usize>,
    events: RefCell<Vec<BlockEvent>>,
    merged: RefCell<u64>,
    lost: RefCell<u64>,
    time_ns: RefCell<u64>,
}

impl Ring {
    fn with_room(room: usize) -> Self {
        Self { room: RefCell::new(room), ..Self::default() }
    }

    fn reported(&self) -> u64 {
        self.events.borrow().iter().map(|event| event.packets).sum()
    }

    fn counts(&self) -> Vec<(u64, u64)> {
        self.events.borrow().iter().map(|event| (Address::from_octets(event.source).low, event.packets)).collect()
    }
}

impl Outlet for Ring {
    fn time_ns(&self) -> u64 {
        *self.time_ns.borrow()
    }

    fn report(&self, event: &BlockEvent) -> bool {
        let mut room = self.room.borrow_mut();
        if *room == 0 {
            return false;
        }
        *room -= 1;
        self.events.borrow_mut().push(*event);
        true
    }

    fn merge(&self, _reason: u8, packets: u64) {
        *self.merged.borrow_mut() += packets;
    }

    fn lose(&self, _reason: u8, packets: u64) {
        *self.lost.borrow_mut() += packets;
    }
}

/// One set of gates with its CPU's budget and ring.
struct Gates {
    set: GateSet,
    budget: Budget,
    ring: Ring,
}

impl Gates {
    fn new(ring: Ring) -> Self {
        let set = GateSet {
            tags: [0; GATE_WAYS],
            reported_ms: [0; GATE_WAYS],
            pending: [0; GATE_WAYS],
            events: [BlockEvent::default(); GATE_WAYS],
        };
        Self { set, budget: Budget::default(), ring }
    }

    /// A packet of a source that shares this set with every other one.
    fn block(&mut self, source: u64, now_ms: u32) {
        self.block_for(CAUSE, source, now_ms);
    }

    fn block_for(&mut self, cause: Cause, source: u64, now_ms: u32) {
        let source = Address { high: 0, low: source };
        let place = Place { set: 0, tag: Place::of(source, cause, 1).tag };
        let describe = |event: &mut BlockEvent| {
            let Cause { reason, mode } = cause;
            *event = BlockEvent { source: source.octets(), reason, mode, ..BlockEvent::default() };
        };
        let blocked = Blocked { source, cause, now_ms, describe };
        admit(&mut self.set, &mut self.budget, &self.ring, place, &blocked);
    }

    fn flush(&mut self, now_ms: u32, age_ms: u32) {
        for way in 0..GATE_WAYS {
            flush(&mut self.set, way, &mut self.budget, &self.ring, now_ms, age_ms);
        }
    }

    fn pending(&self) -> u64 {
        self.set.pending.iter().sum()
    }

    fn accounted(&self) -> u64 {
        self.ring.reported() + self.pending() + *self.ring.merged.borrow() + *self.ring.lost.borrow()
    }
}

#[test]
fn the_first_packet_is_reported_at_once_and_then_one_event_a_second() {
    let mut gates = Gates::new(Ring::with_room(100));
    let start = 5 * SECOND_MS;
    gates.block(1, start);
    gates.block(1, start + 1);
    gates.block(1, start + SECOND_MS - 1);
    assert_eq!(gates.ring.counts(), [(1, 1)]);
    gates.block(1, start + SECOND_MS);
    assert_eq!(gates.ring.counts(), [(1, 1), (1, 3)]);
    assert_eq!(gates.pending(), 0);
}

#[test]
fn an_event_tells_when_it_was_written() {
    let mut gates = Gates::new(Ring::with_room(100));
    for (time_ns, now_ms) in [(17, 0), (18, 1), (19, SECOND_MS)] {
        *gates.ring.time_ns.borrow_mut() = time_ns;
        gates.block(1, now_ms);
    }
    let times: Vec<u64> = gates.ring.events.borrow().iter().map(|event| event.time_ns).collect();
    assert_eq!(times, [17, 19]);
}

#[test]
fn dropped_and_monitored_packets_of_a_source_are_told_apart() {
    let mut gates = Gates::new(Ring::with_room(100));
    gates.block_for(CAUSE, 1, SECOND_MS);
    gates.block_for(MONITORED, 1, SECOND_MS);
    gates.block_for(MONITORED, 1, SECOND_MS);
    gates.flush(SECOND_MS, 0);
    let modes: Vec<(u32, u64)> = gates.ring.events.borrow().iter().map(|event| (event.mode, event.packets)).collect();
    assert_eq!(modes, [(CAUSE.mode, 1), (MONITORED.mode, 1), (MONITORED.mode, 1)]);
}

#[test]
fn a_flush_reports_what_was_held_long_enough() {
    let mut gates = Gates::new(Ring::with_room(100));
    let start = 5 * SECOND_MS;
    gates.block(1, start);
    gates.block(1, start + 1);
    gates.flush(start + SECOND_MS / 2, 1_000);
    assert_eq!(gates.ring.counts(), [(1, 1)]);
    gates.flush(start + SECOND_MS, 1_000);
    assert_eq!(gates.ring.counts(), [(1, 1), (1, 1)]);
    gates.block(1, start + SECOND_MS + 1);
    gates.flush(start + SECOND_MS + 2, 0);
    assert_eq!(gates.ring.counts(), [(1, 1), (1, 1), (1, 1)]);
}

#[test]
fn a_displaced_count_goes_into_an_event_of_its_own_source() {
    let mut gates = Gates::new(Ring::with_room(100));
    for source in 1..=GATE_WAYS as u64 {
        gates.block(source, source as u32);
        gates.block(source, source as u32);
    }
    gates.block(99, 10);
    let counts = gates.ring.counts();
    assert_eq!(counts[GATE_WAYS..], [(1, 1), (99, 1)], "the way that reported longest ago is given up");
}

#[test]
fn beyond_the_budget_newcomers_are_merged_and_gates_keep_their_sources() {
    let mut gates = Gates::new(Ring::with_room(usize::MAX));
    for source in 0..u64::from(BUDGET_EVENTS) {
        gates.block(source, 0);
    }
    gates.block(7_777, 0);
    assert_eq!(*gates.ring.merged.borrow(), 1);
    assert_eq!(gates.ring.events.borrow().len(), BUDGET_EVENTS as usize);
    // A new window.
    gates.block(7_778, SECOND_MS);
    assert_eq!(*gates.ring.merged.borrow(), 1);
}

#[test]
fn a_full_ring_keeps_the_count_for_the_next_try() {
    let mut gates = Gates::new(Ring::with_room(0));
    gates.block(1, 0);
    gates.block(1, SECOND_MS);
    assert_eq!((gates.ring.reported(), gates.pending()), (0, 2));
    *gates.ring.room.borrow_mut() = 1;
    gates.block(1, 2 * SECOND_MS);
    assert_eq!((gates.ring.reported(), gates.pending()), (3, 0));
}

#[test]
fn a_displaced_count_without_room_is_lost_and_counted() {
    let mut gates = Gates::new(Ring::with_room(0));
    for source in 1..=GATE_WAYS as u64 + 1 {
        gates.block(source, source as u32);
    }
    assert_eq!((*gates.ring.lost.borrow(), gates.pending()), (1, GATE_WAYS as u64));
}

#[test]
fn places_are_spread_and_depend_on_seed_and_cause() {
    let mut used = vec![false; GATE_SETS];
    for low in 0..GATE_SETS as u64 * 10 {
        let place = Place::of(Address { high: 0, low: 0xffff_0a00_0000 + low }, CAUSE, 42);
        assert_ne!(place.tag, 0);
        used[place.set as usize] = true;
    }
    assert!(used.iter().filter(|used| **used).count() > GATE_SETS * 99 / 100);
    let source = Address { high: 1, low: 2 };
    let spoofed = Cause { reason: Reason::Spoofed as u8, ..CAUSE };
    assert_ne!(Place::of(source, CAUSE, 1), Place::of(source, CAUSE, 2));
    assert_ne!(Place::of(source, CAUSE, 1), Place::of(source, spoofed, 1));
    assert_ne!(Place::of(source, CAUSE, 1), Place::of(source, MONITORED, 1));
}

proptest! {
    #[test]
    fn every_packet_is_in_exactly_one_place(
        start: u32,
        packets in vec((0u64..12, 0u32..400, any::<bool>()), 1..600),
        room in 0usize..40,
    ) {
        let mut gates = Gates::new(Ring::with_room(room));
        let mut now_ms = start;
        for (sent, (source, gap, flushed)) in (1..).zip(packets) {
            now_ms = now_ms.wrapping_add(gap);
            gates.block(source, now_ms);
            if flushed {
                gates.flush(now_ms, 1_000);
            }
            prop_assert_eq!(gates.accounted(), sent);
        }
    }
}
