//! The reader of a prefix set: is this address in it?
//!
//! A set is one family's prefixes merged into disjoint ranges, written as the sorted addresses at which membership
//! changes ("boundaries"): the first is the first address inside, the next the first one outside again. So an address is a
//! member if an odd number of boundaries is at or below it. Boundaries lie four to a line, as (high, low) in host order.

use crate::address::Address;

/// A table's unit: one cache line.
pub type Line = [u64; 8];

/// Boundaries in a line.
pub const BOUNDARIES_PER_LINE: u32 = 4;

/// The most boundaries a set may have: two for each of 4 million prefixes.
pub const BOUNDARIES_MAX: u32 = 1 << SEARCH_STEPS_MAX;

/// Halvings of a search over [`BOUNDARIES_MAX`]. A 64-bit counter, here as in every loop that the kernel runs: a shorter one
/// can share its word on the stack with a map's key, and then the verifier loses count.
const SEARCH_STEPS_MAX: u64 = 23;

/// A table of lines.
pub trait Lines {
    /// Returns a line, or nothing past the table's end.
    fn line(&self, index: u32) -> Option<&Line>;

    /// Returns `value`, as one of which the kernel's verifier knows nothing; see
    /// [`Frame::forget`](crate::packet::Frame::forget).
    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        value
    }
}

/// Where a set lies in its table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SetRef {
    /// The line of the first boundary.
    pub first_line: u32,
    /// The number of boundaries.
    pub boundaries: u32,
}

impl SetRef {
    /// Returns the word that stands for the set in a generation's header.
    pub const fn to_word(self) -> u64 {
        self.first_line as u64 | (self.boundaries as u64) << 32
    }

    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self { first_line: word as u32, boundaries: (word >> 32) as u32 }
    }
}

/// Tells whether the address is in the set; a set whose lines are missing contains nothing.
#[inline(always)]
pub fn contains<L: Lines>(lines: &L, set: SetRef, address: Address) -> bool {
    let mut low = 0;
    let mut high = set.boundaries;
    // One step more than halvings: the last one finds the search over.
    for _ in 0..SEARCH_STEPS_MAX + 1 {
        if low >= high {
            break;
        }
        let middle = low + ((high - low) >> 1);
        let Some(boundary) = boundary(lines, set, middle) else { return false };
        if boundary <= address {
            low = middle + 1;
        } else {
            high = middle;
        }
        low = lines.forget(low);
        high = lines.forget(high);
    }
    low & 1 == 1
}

#[inline(always)]
fn boundary<L: Lines>(lines: &L, set: SetRef, index: u32) -> Option<Address> {
    let line = lines.line(set.first_line.wrapping_add(index / BOUNDARIES_PER_LINE))?;
    let word = ((index % BOUNDARIES_PER_LINE) * 2) as usize;
    Some(Address { high: *line.get(word)?, low: *line.get(word + 1)? })
}
