//! Token buckets as GCRA keeps them: of each bucket only the time at which it will be idle again.
//!
//! A [`Rate`] says how fast, a [`BucketLine`] holds four buckets. Knows neither what is counted nor whose bucket it is.
//! GCRA: ITU-T I.371, annex A, as a virtual scheduling algorithm.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Buckets of a [`BucketLine`].
pub const BUCKET_WAYS: usize = 4;

/// Attempts to change a bucket that other CPUs change at the same time. Each failure means that another packet was
/// decided on.
const ATTEMPTS: u64 = 16;

/// The most units of a bucket's time in a second: so many that a u64 lasts for 68 years of uptime.
const UNITS_PER_S_MAX: u128 = 1 << 33;

/// The most a cell, or the debt of a full burst, may be.
const CELL_BITS_MAX: u32 = 40;
const DEBT_BITS_MAX: u32 = 61;

/// How far the clock must go back for that to be noticed: farther than a CPU is ever kept from its work between reading the clock
/// and charging a bucket, while others charge it.
const CLOCK_BACK_S: u64 = 60;

const NS_PER_S: u128 = 1_000_000_000;

/// A rate, in the units of time in which one cell is a power of two. So no cell is rounded; what is rounded is the length
/// of a clock's step, by less than 2^-20 of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Rate {
    /// Units of a step of the clock, times 2^32.
    pub units_per_step: u64,
    /// Units that one of what is counted costs.
    pub cell: u64,
    /// The most that a bucket may be in debt.
    pub tolerance: u64,
    /// A debt that no bucket has unless the clock went back by a minute or more.
    pub impossible: u64,
}

impl Rate {
    /// Makes the rate of `limit` cells in `window_ns` and `burst` cells beyond the first at once, for a clock whose steps
    /// are `step_ns` long. `None` if the rate is zero, or above 2^33 a second.
    pub fn new(limit: u64, window_ns: u64, burst: u64, step_ns: u64) -> Option<Self> {
        let (limit, window) = (u128::from(limit), u128::from(window_ns));
        if limit == 0 || window == 0 || step_ns == 0 {
            return None;
        }
        let depth = u128::from(burst) + 1;
        let fits = |bits: &u32| {
            limit * NS_PER_S <= (UNITS_PER_S_MAX * window) >> bits && (depth << bits) <= 1 << DEBT_BITS_MAX
        };
        let bits = (0..=CELL_BITS_MAX).rev().find(fits)?;
        let units_per_s = (limit << bits) * NS_PER_S / window;
        // Rounded up: what the operator allows is never refused for the rounding's sake.
        let units_per_step = (((limit << bits) << 32) * u128::from(step_ns)).div_ceil(window);
        let tolerance = (depth << bits) as u64;
        Some(Self {
            units_per_step: units_per_step as u64,
            cell: 1 << bits,
            tolerance,
            impossible: tolerance + CLOCK_BACK_S * units_per_s as u64,
        })
    }

    /// Returns a clock's steps as units of this rate's time.
    #[inline(always)]
    pub const fn time(&self, steps: u64) -> u64 {
        let (high, low) = (steps >> 32, steps & 0xffff_ffff);
        let (whole, fraction) = (self.units_per_step >> 32, self.units_per_step & 0xffff_ffff);
        high.wrapping_mul(self.units_per_step)
            .wrapping_add(low.wrapping_mul(whole))
            .wrapping_add((low * fraction) >> 32)
    }

    /// Charges `cost` units at `now` to a bucket that is idle from `idle_at` on.
    #[inline(always)]
    pub const fn charge(&self, idle_at: u64, now: u64, cost: u64) -> Charge {
        let debt = idle_at.saturating_sub(now);
        if debt > self.impossible {
            return Charge::Impossible(now + self.tolerance);
        }
        let debt = debt + cost;
        if debt > self.tolerance { Charge::Refused } else { Charge::Taken(now + debt) }
    }
}

/// What charging a bucket came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Charge {
    /// It is idle from then on.
    Taken(u64),
    /// It would be too much, and nothing changes.
    Refused,
    /// The clock went back: refused, and the bucket is to be idle from then on, or its source would be shut out for as long
    /// as the clock went back.
    Impossible(u64),
}

/// Four buckets that share a hash, in one cache line. A bucket of tag 0 is nobody's.
#[derive(Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct BucketLine {
    /// Whose bucket it is.
    pub tags: [u64; BUCKET_WAYS],
    /// When it is idle, by its rate's time.
    pub idle_at: [u64; BUCKET_WAYS],
}

const _: () = assert!(size_of::<BucketLine>() == 64);

/// A line that other CPUs read and write at the same time. Ways are below [`BUCKET_WAYS`].
pub trait Shared {
    fn tag(&self, way: usize) -> u64;

    fn idle_at(&self, way: usize) -> u64;

    /// Replaces a tag if it still is `old`; tells whether it was.
    fn replace_tag(&self, way: usize, old: u64, new: u64) -> bool;

    /// Replaces a time if it still is `old`; tells whether it was.
    fn replace_idle_at(&self, way: usize, old: u64, new: u64) -> bool;

    /// Returns `value`, as one of which the kernel's verifier knows nothing.
    #[inline(always)]
    fn forget(&self, value: u64) -> u64 {
        value
    }
}

/// The bucket of a tag; or the one that it takes over, with what that is in debt: an idle one if there is one, else the
/// least indebted. So a newcomer never finds less debt than whoever lost the bucket had, and by losing it nobody wins.
#[derive(Clone, Copy)]
struct Found {
    way: usize,
    tag: u64,
    idle_at: u64,
}

#[inline(always)]
fn find<L: Shared>(line: &L, tag: u64) -> Found {
    let mut found = Found { way: 0, tag: line.tag(0), idle_at: line.idle_at(0) };
    for way in 1..BUCKET_WAYS {
        if found.tag == tag {
            break;
        }
        let other = Found { way, tag: line.tag(way), idle_at: line.idle_at(way) };
        if other.tag == tag || other.idle_at < found.idle_at {
            found = other;
        }
    }
    // The verifier walks what follows once, not once a way.
    Found {
        way: line.forget(found.way as u64) as usize,
        tag: line.forget(found.tag),
        idle_at: line.forget(found.idle_at),
    }
}

/// What is done with a bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Work {
    /// Tells whether it would take the cost; changes nothing but a bucket that the clock left behind.
    Ask = 0,
    /// Charges the cost, or changes nothing; tells which.
    Charge = 1,
    /// Gives back what was charged a moment ago, if the bucket has not gone to another since.
    Refund = 2,
}

impl Work {
    /// Does it with the bucket of a tag.
    #[inline(always)]
    pub fn with<L: Shared>(self, line: &L, tag: u64, rate: &Rate, now: u64, cost: u64) -> bool {
        for _ in 0..ATTEMPTS {
            let found = find(line, tag);
            let charge = if self as u8 == Self::Refund as u8 {
                Charge::Taken(found.idle_at.saturating_sub(cost))
            } else {
                rate.charge(found.idle_at, now, cost)
            };
            let (taken, idle_at) = match charge {
                Charge::Taken(idle_at) => (true, idle_at),
                Charge::Impossible(idle_at) => (false, idle_at),
                Charge::Refused => return false,
            };
            if taken && self as u8 == Self::Ask as u8 {
                return true;
            }
            if found.tag != tag {
                if self as u8 == Self::Refund as u8 {
                    return true;
                }
                // Whoever still charges the bucket's former owner charges the new one: too much, never too little.
                if !line.replace_tag(found.way, found.tag, tag) {
                    continue;
                }
            }
            if line.replace_idle_at(found.way, found.idle_at, idle_at) {
                return taken;
            }
        }
        false
    }
}
