//! The bytes that cross between the kernel program and the daemon: counters, gates, events.
//!
//! Integers and byte arrays only, without padding. Addresses are 16 bytes in network order, IPv4 mapped.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Address,
    policy::{Mode, REASONS_MAX, Reason, SERVICES_MAX},
    request::Request,
};

/// Words at the end of some records: none, but in a build whose layout is another, for the test of upgrades.
///
/// Tables of these records outlive a run. Who changes a record raises its tables' version, in the daemon's list of them.
pub const RESERVED: usize = cfg!(feature = "other-layout") as usize;

/// One CPU's count of packets and of their frames' bytes; of a frame that goes on in pages behind the end of its packet, those of
/// its first piece.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Counter {
    pub packets: u64,
    pub bytes: u64,
    pub reserved: [u64; RESERVED],
}

/// Entries of `COUNTERS`.
pub const COUNTERS_LENGTH: usize = (SERVICES_MAX + 1) * Mode::ALL.len() * REASONS_MAX;

/// Returns the index of the counter of a service, the number of a [`Mode`] and that of a [`Reason`].
///
/// The mode is that of a drop; what passed is counted under 0, whatever its service's mode is.
#[inline(always)]
pub const fn counter_index(service: u8, mode: u32, reason: u8) -> u32 {
    (service as u32 * Mode::ALL.len() as u32 + mode) * REASONS_MAX as u32 + reason as u32
}

/// Entries of `SERVICES`: a service's name each, at its number, filled up with zeros. Entry 0, which no service has,
/// begins with a native-endian u64 whose bits say which numbers the generation in force uses.
pub const SERVICES_LENGTH: usize = SERVICES_MAX + 1;

/// The longest name of a service, in bytes.
pub const SERVICE_NAME_MAX: usize = 32;

/// Whose place a limit's buckets have: what makes it the same limit in another generation, or for another run. All zero: nobody's.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct LimitPlace {
    pub limit: u64,
    pub window_ms: u64,
    pub burst: u64,
    /// The row of limits that it stands in.
    pub row: u8,
    /// Which it is of equal limits in the row.
    pub nth: u8,
    /// [`crate::limits::Unit`].
    pub unit: u8,
    /// 0, or 1 if all sources share a bucket.
    pub per_service: u8,
    /// Bits that tell sources apart.
    pub v4_bits: u8,
    pub v6_bits: u8,
    pub reserved: [u8; 2],
}

/// A UDP flow of a service, by its source.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct PendingKey {
    pub source: [u8; 16],
    pub source_port: u16,
    pub service: u8,
    pub protocol: u8,
    pub reserved: [u8; 4],
}

/// UDP flows of services that can be known.
pub const PENDING_MAX: usize = 65_536;

/// Flows of this host that can be known.
pub const FLOWS_MAX: usize = 65_536;

/// Words of `LISTENING` and `FLOW_PORTS`: TCP's ports, then UDP's.
pub const PORT_WORDS: usize = 2 * 65_536 / 64;

/// Returns the word of such a map, and its bit, that stands for a port.
#[inline(always)]
pub const fn port_bit(tcp: bool, port: u16) -> (u32, u64) {
    let first = if tcp { 0 } else { 65_536 / 64 };
    (first + (port as u32 >> 6), 1 << (port & 63))
}

/// Entries of `LINK_TYPES`.
pub const LINK_TYPES_LENGTH: usize = crate::packet::LinkType::ALL.len();

/// A blocked packet, and how many it stands for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct BlockEvent {
    /// When the packet came, or when the rest of a count was collected: CLOCK_MONOTONIC (coarse).
    pub time_ns: u64,
    /// Packets that the event stands for, this one included.
    pub packets: u64,
    /// The generation that decided.
    pub generation: u64,
    pub source: [u8; 16],
    pub destination: [u8; 16],
    /// Bytes from the IP header on, as the header says.
    pub length: u32,
    /// The index of the interface on which the packet came.
    pub interface: u32,
    pub source_port: u16,
    pub destination_port: u16,
    /// 4 or 6; 0 if the packet was refused before an IP header was read, and then addresses mean nothing.
    pub version: u8,
    pub protocol: u8,
    pub hop_limit: u8,
    pub tcp_flags: u8,
    pub message_type: u8,
    /// [`crate::packet::Fragment`].
    pub fragment: u8,
    /// [`Reason`].
    pub reason: u8,
    pub service: u8,
    /// [`crate::policy::Mode`].
    pub mode: u32,
}

/// Ways of a [`GateSet`].
pub const GATE_WAYS: usize = 4;

/// Sets of gates on each CPU; a power of two.
pub const GATE_SETS: usize = 512;

/// Four gates that share a hash: each holds back the events of one (source, reason, mode).
///
/// The first 64 bytes decide; a gate's event is touched only when one is reported. A way with tag 0 is free.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GateSet {
    /// The part of the hash that the set's place does not tell, never 0 in use.
    pub tags: [u32; GATE_WAYS],
    /// When the way last reported: the kernel's ticks in ms, the low 32 bits.
    pub reported_ms: [u32; GATE_WAYS],
    /// Packets that came since.
    pub pending: [u64; GATE_WAYS],
    /// The packet that was last reported, or that took the way over.
    pub events: [BlockEvent; GATE_WAYS],
}

/// Time for which a gate stays shut after an event.
pub const GATE_SHUT_MS: u32 = 1_000;

/// Events that one CPU may report in [`BUDGET_WINDOW_MS`].
pub const BUDGET_EVENTS: u32 = 1_000;

pub const BUDGET_WINDOW_MS: u32 = 1_000;

/// What one CPU may still report in its window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Budget {
    /// When the window began: the kernel's ticks in ms, the low 32 bits.
    pub window_ms: u32,
    /// Events reported in it.
    pub spent: u32,
}

/// Sources of which it can be known when they were last let in.
pub const USED_MAX: usize = 16_384;

/// Of packets that are let in and open no connection, one in so many is noted.
pub const USED_SAMPLE: u64 = 64;

/// Packets that one CPU may note in one of the kernel's ticks.
pub const USED_PER_TICK: u64 = 4;

/// What one CPU noted in a tick.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Sampled {
    /// The kernel's count of ticks.
    pub tick: u64,
    pub packets: u64,
}

/// One CPU's blocked packets, of one reason, that no event stands for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Unreported {
    /// Those beyond the budget of events.
    pub merged: u64,
    /// Those whose event found the ring full.
    pub lost: u64,
}

/// Sets of gates that one run of the flush program visits.
pub const FLUSH_SETS: u32 = 32;

/// What the flush program is asked to report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FlushRequest {
    /// The first of the [`FLUSH_SETS`] sets to visit.
    pub first_set: u32,
    /// How long a gate must have held its count for it to be reported.
    pub age_ms: u32,
}

impl Request for FlushRequest {}

/// The table whose element the add program changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Counted {
    Counters = 0,
    LinkTypes = 1,
    Unreported = 2,
}

/// What the add program adds to the running CPU's element of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct AddRequest {
    /// [`Counted`].
    pub table: u32,
    pub index: u32,
    /// To be added to the element's first two numbers.
    pub numbers: [u64; 2],
}

impl Request for AddRequest {}

/// Words of `ADDRESS_BITS`: so many that a stranger's address is rarely taken for one that may be an own one.
pub const ADDRESS_WORDS: usize = 64;

/// Returns the word of `ADDRESS_BITS`, and its bit, that is set while the address may be in `ADDRESSES`.
#[inline(always)]
pub const fn address_bit(address: Address) -> (u32, u64) {
    // Fibonacci hashing: the top bits of a product with 2^64 / phi depend on all bits of the factor.
    let hash = (address.high ^ address.low).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((hash >> 58) as u32, 1 << ((hash >> 52) & 63))
}

const _: () = {
    assert!(ADDRESS_WORDS == 1 << 6);
    assert!(size_of::<LimitPlace>() == 32);
    assert!(size_of::<PendingKey>() == 24);
    assert!(size_of::<Counter>() == 16 + 8 * RESERVED);
    assert!(size_of::<BlockEvent>() == 80);
    assert!(size_of::<GateSet>() == 64 + GATE_WAYS * 80);
    assert!(size_of::<Budget>() == 8);
    assert!(size_of::<Unreported>() == 16);
    assert!(size_of::<Sampled>() == 16);
    assert!(GATE_SETS.is_power_of_two() && REASONS_MAX.is_power_of_two());
    assert!(Reason::ALL.len() <= REASONS_MAX);
};
