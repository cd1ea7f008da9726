//! Gates: every blocked packet is accounted for once, and few events stand for many packets.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use guard_common::{
    address::Address,
    gate::{Blocked, Outlet, Place, admit, flush},
    policy::Reason,
    records::{BUDGET_EVENTS, BUDGET_WINDOW_MS, BlockEvent, Budget, GATE_SETS, GATE_SHUT_MS, GATE_WAYS, GateSet},
};
use proptest::{collection::vec, prelude::*, sample::select};

const MS: u64 = 1_000_000;
const SEED: u64 = 0x5eed;

/// Where counts went: a ring with room for so many events, and the two counters.
#[derive(Default)]
struct Ledger {
    room: Cell<usize>,
    events: RefCell<Vec<BlockEvent>>,
    merged: Cell<u64>,
    lost: Cell<u64>,
}

impl Ledger {
    fn with_room(events: usize) -> Self {
        Self { room: Cell::new(events), ..Self::default() }
    }

    fn reported(&self) -> u64 {
        self.events.borrow().iter().map(|event| event.packets).sum()
    }
}

impl Outlet for Ledger {
    fn report(&self, event: &BlockEvent) -> bool {
        let Some(less) = self.room.get().checked_sub(1) else { return false };
        self.room.set(less);
        self.events.borrow_mut().push(*event);
        true
    }

    fn merge(&self, _: u8, packets: u64) {
        self.merged.set(self.merged.get() + packets);
    }

    fn lose(&self, _: u8, packets: u64) {
        self.lost.set(self.lost.get() + packets);
    }
}

/// One CPU's gates, few enough sets that sources share them.
struct Gates {
    sets: BTreeMap<u32, GateSet>,
    budget: Budget,
}

impl Gates {
    fn new() -> Self {
        Self { sets: BTreeMap::new(), budget: Budget::default() }
    }

    fn admit(&mut self, ledger: &Ledger, source: Address, reason: Reason, time_ns: u64) {
        let reason = reason as u8;
        let Place { set, tag } = Place::of(source, reason, SEED);
        let place = Place { set: set % 2, tag };
        let describe = |event: &mut BlockEvent| {
            event.source = source.octets();
            event.reason = reason;
        };
        let gates = self.sets.entry(place.set).or_insert_with(empty);
        admit(gates, &mut self.budget, ledger, place, &Blocked { source, reason, time_ns, describe });
    }

    fn flush(&mut self, ledger: &Ledger, time_ns: u64, age_ms: u32) {
        for set in self.sets.values_mut() {
            for way in 0..GATE_WAYS {
                flush(set, way, &mut self.budget, ledger, time_ns, age_ms);
            }
        }
    }

    fn pending(&self) -> u64 {
        self.sets.values().flat_map(|set| set.pending).sum()
    }
}

fn empty() -> GateSet {
    GateSet {
        tags: [0; GATE_WAYS],
        reported_ms: [0; GATE_WAYS],
        pending: [0; GATE_WAYS],
        events: [BlockEvent::default(); GATE_WAYS],
    }
}

fn source(last: u8) -> Address {
    Address::from_v4([192, 0, 2, last])
}

#[test]
fn the_first_packet_is_reported_at_once_and_then_one_event_a_second() {
    let (mut gates, ledger) = (Gates::new(), Ledger::with_room(usize::MAX));
    let start = 5_000 * MS;
    for nth in 0..3_000 {
        gates.admit(&ledger, source(1), Reason::Blocked, start + nth * MS);
    }
    let counts: Vec<_> = ledger.events.borrow().iter().map(|event| (event.time_ns, event.packets)).collect();
    let shut = u64::from(GATE_SHUT_MS);
    assert_eq!(counts, [(start, 1), (start + shut * MS, shut), (start + 2 * shut * MS, shut)]);
    gates.flush(&ledger, start + 3_500 * MS, 0);
    assert_eq!((ledger.reported(), gates.pending()), (3_000, 0));
}

#[test]
fn sources_and_reasons_have_gates_of_their_own() {
    let (mut gates, ledger) = (Gates::new(), Ledger::with_room(usize::MAX));
    for (last, reason) in [(1, Reason::Blocked), (1, Reason::Malformed), (2, Reason::Blocked), (1, Reason::Blocked)] {
        gates.admit(&ledger, source(last), reason, 5_000 * MS);
    }
    assert_eq!(ledger.events.borrow().len(), 3);
    assert_eq!(gates.pending(), 1);
}

#[test]
fn a_gate_opens_again_when_the_clock_wraps() {
    let (mut gates, ledger) = (Gates::new(), Ledger::with_room(usize::MAX));
    let wrap = u64::from(u32::MAX) * MS;
    gates.admit(&ledger, source(1), Reason::Blocked, wrap - 500 * MS);
    gates.admit(&ledger, source(1), Reason::Blocked, wrap + 400 * MS);
    assert_eq!(ledger.events.borrow().len(), 1);
    gates.admit(&ledger, source(1), Reason::Blocked, wrap + 600 * MS);
    assert_eq!(ledger.events.borrow().len(), 2);
}

#[test]
fn a_flood_of_sources_spends_no_more_than_the_budget() {
    let (mut gates, ledger) = (Gates::new(), Ledger::with_room(usize::MAX));
    let packets = 100_000;
    for nth in 0..packets {
        let spoofed = Address { high: 0x2001_0db8 << 32, low: nth };
        gates.admit(&ledger, spoofed, Reason::Blocked, (5_000 + nth * u64::from(BUDGET_WINDOW_MS) / packets) * MS);
    }
    assert!(ledger.events.borrow().len() <= BUDGET_EVENTS as usize);
    assert_eq!(ledger.reported() + ledger.merged.get() + gates.pending(), packets);
}

#[test]
fn a_full_ring_keeps_the_count_for_later() {
    let (mut gates, ledger) = (Gates::new(), Ledger::with_room(0));
    gates.admit(&ledger, source(1), Reason::Blocked, 5_000 * MS);
    assert_eq!((ledger.reported(), gates.pending()), (0, 1));
    ledger.room.set(1);
    gates.admit(&ledger, source(1), Reason::Blocked, 6_000 * MS);
    assert_eq!((ledger.reported(), gates.pending()), (2, 0));
}

#[test]
fn places_depend_on_all_that_they_stand_for() {
    let of = |source: Address, reason: Reason, seed: u64| Place::of(source, reason as u8, seed);
    let place = of(source(1), Reason::Blocked, SEED);
    assert!(place.tag != 0 && (place.set as usize) < GATE_SETS);
    let others = [
        of(source(2), Reason::Blocked, SEED),
        of(Address { high: 1, ..source(1) }, Reason::Blocked, SEED),
        of(source(1), Reason::Malformed, SEED),
        of(source(1), Reason::Blocked, SEED + 1),
    ];
    assert!(!others.contains(&place), "{place:?} in {others:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Packet { source: u8, reason: Reason },
    Flush { age_ms: u32 },
    Room(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reasons = select(vec![Reason::Blocked, Reason::Malformed, Reason::NotAllowed]);
    let step = prop_oneof![
        20 => (0..24_u8, reasons).prop_map(|(source, reason)| Step::Packet { source, reason }),
        1 => select(vec![0, 500, 1_000, 2_000]).prop_map(|age_ms| Step::Flush { age_ms }),
        1 => (0..40_usize).prop_map(Step::Room),
        4 => (0..1_500_u64).prop_map(Step::Wait),
    ];
    vec(step, 1..400)
}

proptest! {
    #[test]
    fn every_packet_ends_in_exactly_one_place(steps in steps(), spent in select(vec![0, BUDGET_EVENTS - 10])) {
        let (mut gates, ledger) = (Gates::new(), Ledger::with_room(20));
        gates.budget = Budget { window_ms: 5_000, spent };
        let mut time_ns = 5_000 * MS;
        let mut admitted = 0;
        for step in steps {
            match step {
                Step::Packet { source: last, reason } => {
                    gates.admit(&ledger, source(last), reason, time_ns);
                    admitted += 1;
                }
                Step::Flush { age_ms } => gates.flush(&ledger, time_ns, age_ms),
                Step::Room(events) => ledger.room.set(events),
                Step::Wait(ms) => time_ns += ms * MS,
            }
            let counted = ledger.reported() + ledger.merged.get() + ledger.lost.get() + gates.pending();
            prop_assert_eq!(counted, admitted);
        }
    }
}
