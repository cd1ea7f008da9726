//! How many handshakes are under way, in one word that CPUs change by compare and exchange.

use super::HANDSHAKE_NS;

/// How many handshakes of one source are under way, by when they began: in this period of [`PERIOD_NS`] or in one of the three
/// before. So each leaves the count by itself after 66 to 88 s, whatever becomes of its entry.
///
/// Four counts of [`HalfOpen::BITS`], this period's in the lowest bits; above them the low 16 bits of the period's number.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HalfOpen(pub u64);

/// A period of [`HalfOpen`].
pub const PERIOD_NS: u64 = HANDSHAKE_NS / (HalfOpen::PERIODS as u64 - 1);

impl HalfOpen {
    /// Bits of a count.
    pub const BITS: u32 = 12;

    const PERIODS: u32 = 4;
    const COUNT: u64 = (1 << Self::BITS) - 1;
    const COUNTS_BITS: u32 = Self::PERIODS * Self::BITS;
    const COUNTS: u64 = (1 << Self::COUNTS_BITS) - 1;
    const NUMBERS: u64 = 1 << (u64::BITS - Self::COUNTS_BITS);

    /// Returns how many there are.
    #[inline(always)]
    pub const fn count(self, now_ns: u64) -> u64 {
        let counts = self.at(now_ns).0 & Self::COUNTS;
        (counts & Self::COUNT)
            + (counts >> Self::BITS & Self::COUNT)
            + (counts >> (2 * Self::BITS) & Self::COUNT)
            + (counts >> (3 * Self::BITS))
    }

    /// Adds one that begins now; `None` if it can't be counted.
    #[inline(always)]
    pub const fn with_one(self, now_ns: u64) -> Option<Self> {
        let now = self.at(now_ns);
        if now.0 & Self::COUNT == Self::COUNT { None } else { Some(Self(now.0 + 1)) }
    }

    /// Takes one out that began at `since_ns`, unless it has left by itself.
    #[inline(always)]
    pub const fn without_one(self, since_ns: u64, now_ns: u64) -> Self {
        let now = self.at(now_ns);
        let age = Self::periods_between(since_ns / PERIOD_NS, now.0 >> Self::COUNTS_BITS);
        if age >= Self::PERIODS as u64 {
            return now;
        }
        let one = 1 << (age as u32 * Self::BITS);
        if now.0 & (Self::COUNT * one) == 0 { now } else { Self(now.0 - one) }
    }

    /// Returns it as it is in the period of a time, or in its own if that is a little later.
    #[inline(always)]
    const fn at(self, now_ns: u64) -> Self {
        let number = now_ns / PERIOD_NS % Self::NUMBERS;
        let passed = Self::periods_between(self.0 >> Self::COUNTS_BITS, number);
        // Another CPU may be ahead. Farther ahead is a word that nobody has touched for days, or a new one.
        let is_ahead = passed > Self::NUMBERS - Self::PERIODS as u64 && self.0 & Self::COUNTS != 0;
        if passed == 0 || is_ahead {
            return self;
        }
        let counts = if passed >= Self::PERIODS as u64 { 0 } else { self.0 << (passed as u32 * Self::BITS) };
        Self(counts & Self::COUNTS | number << Self::COUNTS_BITS)
    }

    #[inline(always)]
    const fn periods_between(from: u64, to: u64) -> u64 {
        to.wrapping_sub(from) % Self::NUMBERS
    }
}
