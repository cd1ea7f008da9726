//! The reader of a prefix set: is this address in it?
//!
//! Here a set is one family's prefixes merged into disjoint ranges. Its *boundaries* are the sorted addresses at which membership
//! changes: the first address inside, the first one outside again, and so on. They lie in lines of 64 bytes, so that an
//! answer touches few cache lines whatever the number of prefixes; every place in them is relative to the set's first line, so
//! that a set can be copied as it is. The daemon's builder writes what is read here.

mod v4;
mod v6;

pub use v4::{
    BLOCK_LINES, BUCKET_BITS, Bucket, KEYS_PER_FEW, KEYS_PER_WORD, NO_KEY as NO_KEY_V4, Octet, ROOT_LINES, spread_few,
};
pub use v6::{
    Description, FANOUT, KEYS_PER_LEAF, LEVELS_MAX, Leaf, NO_KEY as NO_KEY_V6, State, TOP_LINES, boundaries_word,
};

use crate::address::Address;

/// A table's unit: one cache line.
pub type Line = [u64; 8];

/// Words in a line.
pub const WORDS_PER_LINE: u32 = 8;

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

impl Lines for &[Line] {
    #[inline(always)]
    fn line(&self, index: u32) -> Option<&Line> {
        self.get(index as usize)
    }
}

/// Tells whether the set of the family `version` (4, else IPv6) that begins at `first_line` holds the address; a set whose
/// lines are missing holds nothing.
#[inline(always)]
pub fn contains<L: Lines>(lines: &L, first_line: u32, version: u8, address: Address) -> bool {
    let found = if version == 4 {
        v4::search(lines, first_line, address.low as u32)
    } else {
        v6::search(lines, first_line, address)
    };
    found.unwrap_or(false)
}
