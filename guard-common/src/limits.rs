//! Rate limits as a generation holds them, and what they make of a packet. Knows no tables: those stand behind [`Ledger`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Address,
    bucket::{BucketLine, Rate, Shared, Work},
    policy::{Reason, SERVICES_MAX},
    siphash,
};

/// Limits that a service can have.
pub const LIMITS_MAX: usize = 4;

/// Places that limits can have, over all generations that the kernel holds at once.
pub const LIMIT_PLACES: usize = 1024;

/// Lines of buckets that a limit with a bucket for each source has: 1 MiB.
pub const LIMIT_LINES: usize = 16_384;

/// The buckets of one limit, by hash.
pub type Partition = [BucketLine; LIMIT_LINES];

/// The limits that hold for some packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limits {
    /// Those of a service, 1 to 63.
    Service(u8),
    /// That of echo requests.
    Echo,
    /// That of ICMP errors.
    Errors,
}

/// Rows of limits in a generation.
pub const LIMIT_ROWS: usize = SERVICES_MAX + 2;

impl Limits {
    /// Returns the row of a generation in which the limits stand.
    #[inline(always)]
    pub const fn row(self) -> usize {
        match self {
            Self::Service(service) => service as usize & SERVICES_MAX,
            Self::Echo => 0,
            Self::Errors => SERVICES_MAX + 1,
        }
    }
}

/// What a limit counts. 0 stands for no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Unit {
    Packets = 1,
    Bytes = 2,
    Connections = 3,
    /// Packets that are echo requests.
    EchoRequests = 4,
    /// Packets that are ICMP errors.
    Errors = 5,
}

/// A limit, in one cache line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Limit {
    pub rate: Rate,
    /// Which bits of an IPv4 address, in its mapped form, tell sources apart.
    pub mask_v4: u64,
    /// Which bits of an IPv6 address do.
    pub mask_v6: [u64; 2],
    /// Where its buckets are.
    pub place: u16,
    /// [`Unit`], or 0 in place of no limit; no limit stands behind such a place.
    pub unit: u8,
    /// The units of all limits of the service, a bit each; in the first of them.
    pub units: u8,
    /// Not 0 if all sources share one bucket.
    pub per_service: u8,
    /// Not 0 if the rate's clock counts ns, else it counts the kernel's ticks.
    pub precise: u8,
    /// Not 0 if completed handshakes are charged to it a second time, in `PROOFS`, so that violations can be proven.
    pub proves: u8,
    pub reserved: u8,
}

const _: () = assert!(size_of::<Limit>() == 64);

impl Limit {
    /// Returns the source as its bucket's sources have it in common.
    #[inline(always)]
    const fn party(&self, demand: &Demand) -> [u64; 2] {
        let Demand { version, source, .. } = *demand;
        if version == 4 {
            [0, source.low & self.mask_v4]
        } else {
            [source.high & self.mask_v6[0], source.low & self.mask_v6[1]]
        }
    }

    /// Does something with the packet's bucket, which lies in the line that `line` returns for a hash, at a time by the
    /// clock. A limit that does not count the packet agrees to everything; where there is no line, nothing is taken.
    #[inline(always)]
    pub fn work<L: Shared>(
        &self,
        work: Work,
        demand: &Demand,
        key: siphash::Key,
        steps: u64,
        line: impl FnOnce(u64) -> Option<L>,
    ) -> bool {
        let cost = self.cost(demand);
        if cost == 0 {
            return true;
        }
        // Tag 0 is that of a bucket that is nobody's.
        let tag = if self.per_service != 0 { 1 } else { siphash::hash(key, self.party(demand)) | 1 };
        let Some(line) = line(tag) else { return false };
        work.with(&line, tag, &self.rate, self.rate.time(steps), cost)
    }

    /// Returns what a packet costs; 0 if the limit does not count it.
    #[inline(always)]
    const fn cost(&self, demand: &Demand) -> u64 {
        let counted = if self.unit == Unit::Bytes as u8 {
            demand.bytes as u64
        } else if self.unit == Unit::Connections as u8 {
            demand.connections as u64
        } else {
            1
        };
        counted.wrapping_mul(self.rate.cell)
    }
}

/// Returns the bit of [`Limit::units`] that stands for a unit.
#[inline(always)]
pub const fn unit_bit(unit: Unit) -> u8 {
    1 << unit as u8
}

/// Returns why a packet is dropped that a limit of a unit refuses.
#[inline(always)]
pub const fn refusal(unit: u8) -> Reason {
    match unit {
        2 => Reason::RateBytes,
        3 => Reason::RateConnections,
        4 => Reason::RateEcho,
        5 => Reason::RateErrors,
        _ => Reason::RatePackets,
    }
}

/// A packet, as limits see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Demand {
    /// 4, else IPv6.
    pub version: u8,
    pub source: Address,
    pub bytes: u32,
    /// 1 if it asks for a new connection, else 0.
    pub connections: u32,
}

/// The buckets of a row of limits.
pub trait Ledger {
    /// Returns the unit of the limit at an index, 0 if there is none.
    fn unit(&self, index: usize) -> u8;

    /// Does something with the packet's bucket of the limit at an index, as [`Limit::work`] does.
    fn work(&self, index: usize, work: Work) -> bool;
}

/// Asks every limit, and charges the packet to all of them or to none; returns the unit of one that refuses, or 0.
#[inline(always)]
pub fn refused_by<L: Ledger>(ledger: &L) -> u8 {
    // The first is asked by charging it: then the others are known to agree.
    let mut work = Work::Ask;
    let mut refused = 0;
    let mut end = LIMITS_MAX;
    let mut index = 1;
    for _ in 0..3 * LIMITS_MAX as u64 {
        let unit = if index < end { ledger.unit(index) } else { 0 };
        if unit == 0 {
            if work != Work::Ask {
                break;
            }
            work = Work::Charge;
            index = 0;
        } else if ledger.work(index, work) || work == Work::Refund {
            // What could not be given back stays charged; asked twice, the others would give back too much.
            index += 1;
        } else {
            refused = unit;
            if work == Work::Ask {
                break;
            }
            // Another packet came between and took what this one was promised: what was charged before is given back.
            work = Work::Refund;
            end = index;
            index = 0;
        }
    }
    refused
}
