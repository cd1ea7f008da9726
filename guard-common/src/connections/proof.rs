//! What proves that a source goes beyond a limit: its completed handshakes, in a bucket of their own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::party;
use crate::{address::Address, bucket::Rate};

/// Whose completed handshakes are counted, for the limit of a place.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ProofKey {
    /// Network order, as [`party`] gives it.
    pub source: [u8; 16],
    /// [`crate::limits::Limit::place`].
    pub place: u32,
    pub reserved: u32,
}

/// Sources of which completed handshakes are known.
pub const PROOFS_MAX: usize = 65_536;

/// A source's bucket of a limit as it would be if nothing but completed handshakes had been charged to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Proof {
    /// When it is idle, by the limit's time.
    pub idle_at: u64,
    /// From when on it is not.
    pub busy_since: u64,
    /// When the last handshake was completed: CLOCK_MONOTONIC (coarse).
    pub last_ns: u64,
    /// Handshakes completed since the entry was made.
    pub handshakes: u64,
}

const _: () = {
    assert!(size_of::<ProofKey>() == 24);
    assert!(size_of::<Proof>() == 32);
};

impl ProofKey {
    #[inline(always)]
    pub const fn new(source: Address, version: u8, place: u16) -> Self {
        Self { source: party(source, version).octets(), place: place as u32, reserved: 0 }
    }
}

impl Proof {
    /// Charges a handshake that began at a time of the limit's and was completed now.
    ///
    /// They may be completed in another order than that in which they began. One that began while the bucket is busy is charged as if
    /// it had come in its turn; one from before that is left out, since the bucket has been idle in between. So this never is in
    /// more debt than the limit's own bucket, to which every SYN is charged in its turn.
    #[inline(always)]
    pub const fn with_handshake(&self, rate: &Rate, began: u64, now_ns: u64) -> Self {
        let Self { idle_at, busy_since, handshakes, .. } = *self;
        let debt = idle_at.saturating_sub(began);
        // So much debt is of another clock.
        let is_idle = debt == 0 || debt > rate.impossible;
        let (idle_at, busy_since) = if is_idle {
            (began + rate.cell, began)
        } else if began < busy_since {
            (idle_at, busy_since)
        } else {
            (idle_at + rate.cell, busy_since)
        };
        Self { idle_at, busy_since, last_ns: now_ns, handshakes: handshakes + 1 }
    }

    /// Returns how many completed handshakes fill the limit at a time of its; `None` if one more would find room.
    #[inline(always)]
    pub const fn handshakes_that_fill(&self, rate: &Rate, now: u64) -> Option<u64> {
        let debt = self.idle_at.saturating_sub(now);
        if debt + rate.cell <= rate.tolerance || debt > rate.impossible {
            return None;
        }
        // The limit lets nobody be in more debt, but the time at which a handshake began may be off by a step of the clock.
        let debt = if debt > rate.tolerance { rate.tolerance } else { debt };
        Some((debt + rate.cell - 1) >> rate.cell.trailing_zeros())
    }
}
