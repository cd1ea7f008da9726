//! Gates: how many blocked packets become how few events.
//!
//! The first packet of a (source, reason, mode) is reported at once, then at most one event a second stands for all that came
//! since. Every packet ends in exactly one place: an event's count, a gate's pending count, merged or lost. One CPU at a
//! time runs this over its own sets, so nothing here is atomic.

use crate::{
    address::Address,
    records::{BUDGET_EVENTS, BUDGET_WINDOW_MS, BlockEvent, Budget, GATE_SETS, GATE_SHUT_MS, GATE_WAYS, GateSet},
};

/// Where counts leave the gates.
pub trait Outlet {
    /// Returns the time to write into an event: CLOCK_MONOTONIC, in ns.
    fn time_ns(&self) -> u64;

    /// Writes an event; false if there is no room for it.
    fn report(&self, event: &BlockEvent) -> bool;

    /// Counts packets that no event stands for because the budget is spent.
    fn merge(&self, reason: u8, packets: u64);

    /// Counts packets whose event found no room.
    fn lose(&self, reason: u8, packets: u64);
}

/// Why a packet was blocked, and whether it was dropped for it: packets of one source that differ here are told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cause {
    /// The number of a [`Reason`](crate::policy::Reason).
    pub reason: u8,
    /// The number of a [`Mode`](crate::policy::Mode).
    pub mode: u32,
}

/// What a source and a cause hash to: the set to look in, and the tag to look for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    pub set: u32,
    pub tag: u32,
}

impl Place {
    /// Hashes with a random `seed`, so that nobody outside can choose sources that share a set.
    #[inline(always)]
    pub const fn of(source: Address, cause: Cause, seed: u64) -> Self {
        let mut hash = (source.high ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
        hash = (hash ^ source.low ^ ((cause.reason as u64) << 56) ^ ((cause.mode as u64) << 48))
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^= hash >> 32;
        hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self { set: (hash >> 32) as u32 & (GATE_SETS as u32 - 1), tag: hash as u32 | 1 }
    }
}

impl Budget {
    /// Takes one event from the window's budget; false if it is spent.
    #[inline(always)]
    pub fn take(&mut self, now_ms: u32) -> bool {
        if now_ms.wrapping_sub(self.window_ms) >= BUDGET_WINDOW_MS {
            *self = Self { window_ms: now_ms, spent: 0 };
        }
        if self.spent >= BUDGET_EVENTS {
            return false;
        }
        self.spent += 1;
        true
    }
}

/// Counts a blocked packet, which `describe` writes into an event where one is needed.
#[inline(always)]
pub fn admit<O: Outlet>(
    set: &mut GateSet,
    budget: &mut Budget,
    outlet: &O,
    place: Place,
    blocked: &Blocked<impl Fn(&mut BlockEvent)>,
) {
    let now_ms = blocked.now_ms;
    let way = match find(set, place, blocked) {
        Some(way) => {
            set.pending[way] += 1;
            if now_ms.wrapping_sub(set.reported_ms[way]) < GATE_SHUT_MS || !budget.take(now_ms) {
                return;
            }
            way
        }
        None => {
            if !budget.take(now_ms) {
                outlet.merge(blocked.cause.reason, 1);
                return;
            }
            let way = oldest(set, now_ms);
            displace(set, way, budget, outlet, now_ms);
            set.tags[way] = place.tag;
            set.pending[way] = 1;
            way
        }
    };
    (blocked.describe)(&mut set.events[way]);
    report(set, way, outlet, now_ms);
}

/// Reports what a gate has held for `age_ms` or longer, or merges it where the budget is spent.
#[inline(always)]
pub fn flush<O: Outlet>(set: &mut GateSet, way: usize, budget: &mut Budget, outlet: &O, now_ms: u32, age_ms: u32) {
    let way = way % GATE_WAYS;
    if set.pending[way] == 0 || now_ms.wrapping_sub(set.reported_ms[way]) < age_ms {
        return;
    }
    if budget.take(now_ms) {
        report(set, way, outlet, now_ms);
    } else {
        outlet.merge(set.events[way].reason, set.pending[way]);
        set.pending[way] = 0;
    }
}

/// A blocked packet, as a gate asks for it.
pub struct Blocked<D> {
    pub source: Address,
    pub cause: Cause,
    /// A clock of milliseconds, its low 32 bits, from whatever start.
    pub now_ms: u32,
    /// Writes everything about the packet but its time and count.
    pub describe: D,
}

/// Reports a way's count as the event that it holds. Where there is no room the count stays, for the next try.
#[inline(always)]
fn report<O: Outlet>(set: &mut GateSet, way: usize, outlet: &O, now_ms: u32) {
    set.events[way].time_ns = outlet.time_ns();
    set.events[way].packets = set.pending[way];
    set.reported_ms[way] = now_ms;
    if outlet.report(&set.events[way]) {
        set.pending[way] = 0;
    }
}

/// Gives up a way: its count goes into an event of its source, or is merged where the budget is spent.
#[inline(always)]
fn displace<O: Outlet>(set: &mut GateSet, way: usize, budget: &mut Budget, outlet: &O, now_ms: u32) {
    let packets = set.pending[way];
    if packets == 0 {
        return;
    }
    let event = &mut set.events[way];
    event.packets = packets;
    if !budget.take(now_ms) {
        outlet.merge(event.reason, packets);
    } else if !outlet.report(event) {
        outlet.lose(event.reason, packets);
    }
}

/// Returns the way that a blocked packet's source holds for its cause.
#[inline(always)]
fn find<D>(set: &GateSet, place: Place, blocked: &Blocked<D>) -> Option<usize> {
    (0..GATE_WAYS).find(|way| {
        let event = &set.events[*way];
        set.tags[*way] == place.tag
            && event.reason == blocked.cause.reason
            && event.mode == blocked.cause.mode
            && Address::from_octets(event.source) == blocked.source
    })
}

/// Returns a free way, else the one that reported longest ago.
#[inline(always)]
fn oldest(set: &GateSet, now_ms: u32) -> usize {
    let mut oldest = 0;
    let mut oldest_age = 0;
    for way in 0..GATE_WAYS {
        if set.tags[way] == 0 {
            return way;
        }
        let age = now_ms.wrapping_sub(set.reported_ms[way]);
        if age > oldest_age {
            oldest = way;
            oldest_age = age;
        }
    }
    oldest
}
