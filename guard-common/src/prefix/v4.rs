//! An IPv4 set: two levels of direct index, then boundaries counted several at a time.
//!
//! ```text
//! lines 0 to 31     root: an Octet for each first octet, 8 a line
//! behind            index blocks of 16 lines: a Bucket for each of an octet's 512 buckets of 2^15 addresses, 32 a line
//! anywhere          few: one line, up to 16 boundaries of a whole octet, two a word, in 32-bit lanes
//!                   an octet's region, up to 512 lines: for each of its buckets up to 8 words inside one line, four boundaries
//!                   a word, in 16-bit lanes; or one line, word 0 and 1 of which say how many lines, and which, hold 32 of the
//!                   bucket's boundaries each
//! ```
//!
//! Boundaries are relative to their octet or bucket and sorted, from each word's lowest lane up. An address is a member if an
//! odd number of them is at or below it. No branch depends on how many are: with the top bit of every lane set,
//! `lanes of x - lanes of boundaries` keeps that bit exactly where a boundary is at or below x, and the xor of all such
//! words has its parity.

use super::{Line, Lines, WORDS_PER_LINE};

/// Lines of the root.
pub const ROOT_LINES: u32 = 32;
/// Lines of an index block.
pub const BLOCK_LINES: u32 = 16;
/// Bits of an address below its bucket.
pub const BUCKET_BITS: u32 = 15;
/// Boundaries in a word of a bucket.
pub const KEYS_PER_WORD: u32 = 4;
/// Boundaries in the one line of an octet that has few.
pub const KEYS_PER_FEW: u32 = 16;

/// A lane without a boundary: above every address.
pub const NO_KEY: u32 = 1 << BUCKET_BITS;

/// The highest bit of each 16-bit lane.
const TOPS_16: u64 = 0x8000_8000_8000_8000;
/// The highest bit of each 32-bit lane.
const TOPS_32: u64 = 0x8000_0000_8000_0000;

/// Halvings that a search over the lines of a bucket needs: it has at most 2^15 boundaries, so 2^10 lines.
const HALVINGS_MAX: u64 = 10;

/// What the root says of an octet: a kind in the low 4 bits, a line above them, and another in the upper half.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Octet(pub u64);

/// What an index block says of a bucket: a kind in the low 4 bits, a place in the octet's region above, in words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket(pub u16);

/// No address is a member.
const KIND_NONE: u32 = 0;
/// Of an octet: one line of boundaries.
const KIND_FEW: u32 = 1;
/// Of an octet: an index block. Of a bucket: several lines. A bucket's kinds 1 to 8 are the number of its words.
const KIND_DEEPER: u32 = 9;
/// Every address is one.
const KIND_ALL: u32 = 15;

impl Octet {
    pub const NONE: Self = Self(KIND_NONE as u64);
    pub const ALL: Self = Self(KIND_ALL as u64);

    /// The line that holds the octet's few boundaries.
    pub const fn few(line: u32) -> Self {
        Self((line << 4 | KIND_FEW) as u64)
    }

    /// The first lines of the octet's index block and of its region.
    pub const fn deeper(block: u32, region: u32) -> Self {
        Self((block << 4 | KIND_DEEPER) as u64 | (region as u64) << 32)
    }
}

impl Bucket {
    pub const NONE: Self = Self(KIND_NONE as u16);
    pub const ALL: Self = Self(KIND_ALL as u16);

    /// `count` words, 1 to 8, from the word `place` of the region on, all in one line.
    pub const fn words(place: u32, count: u32) -> Self {
        Self((place << 4 | count) as u16)
    }

    /// The bucket's boundaries fill more than a line: the line, from the region's first, that says where they are.
    pub const fn deeper(line: u32) -> Self {
        Self(((line * WORDS_PER_LINE) << 4 | KIND_DEEPER) as u16)
    }
}

/// Returns two boundaries of an octet as they lie in a word.
pub const fn spread_few(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline(always)]
pub(super) fn search<L: Lines>(lines: &L, first_line: u32, address: u32) -> Option<bool> {
    let octet = lines.line(first_line.wrapping_add(address >> 27))?[(address >> 24) as usize & 7];
    let place = first_line.wrapping_add(octet as u32 >> 4);
    match octet as u32 & 15 {
        KIND_NONE => Some(false),
        KIND_ALL => Some(true),
        KIND_FEW => Some(is_member_of_few(lines.line(place)?, address & 0x00ff_ffff)),
        _ => {
            let number = (address >> BUCKET_BITS) & 511;
            let index = lines.line(place.wrapping_add(number >> 5))?;
            let bucket = (index[(number >> 2) as usize & 7] >> ((number & 3) * 16)) as u16;
            let region = first_line.wrapping_add((octet >> 32) as u32);
            search_bucket(lines, first_line, region, bucket as u32, address & (NO_KEY - 1))
        }
    }
}

#[inline(always)]
fn search_bucket<L: Lines>(lines: &L, first_line: u32, region: u32, bucket: u32, offset: u32) -> Option<bool> {
    let place = bucket >> 4;
    match bucket & 15 {
        KIND_NONE => Some(false),
        KIND_ALL => Some(true),
        count => {
            let line = lines.line(region.wrapping_add(place / WORDS_PER_LINE))?;
            if count == KIND_DEEPER {
                let line = last_line_from(lines, first_line, line, offset)?;
                return Some(is_member(line, 0, WORDS_PER_LINE, offset));
            }
            Some(is_member(line, place % WORDS_PER_LINE, count, offset))
        }
    }
}

/// Returns the last of a bucket's lines that begins at or below `offset`, or its first. The lines before it are full, so
/// they hold an even number of boundaries and say nothing about membership.
#[inline(always)]
fn last_line_from<'a, L: Lines>(lines: &'a L, first_line: u32, place: &Line, offset: u32) -> Option<&'a Line> {
    let first = first_line.wrapping_add(place[1] as u32);
    let mut low: u32 = 0;
    let mut high = place[0] as u32;
    for _ in 0..HALVINGS_MAX {
        let middle = low + (high.wrapping_sub(low) >> 1);
        if middle == low {
            break;
        }
        if lines.line(first.wrapping_add(middle))?[0] as u32 & 0xffff <= offset {
            low = middle;
        } else {
            high = middle;
        }
        low = lines.forget(low);
        high = lines.forget(high);
    }
    lines.line(first.wrapping_add(low))
}

/// Tells whether an odd number of the boundaries in `count` words from `start` on is at or below `offset`.
#[inline(always)]
fn is_member(line: &Line, start: u32, count: u32, offset: u32) -> bool {
    let lanes = (offset as u64 * 0x0001_0001_0001_0001) | TOPS_16;
    let mut tops = 0;
    for nth in 0..WORDS_PER_LINE as u64 {
        if nth >= count as u64 {
            break;
        }
        tops ^= lanes.wrapping_sub(line[(start as u64 + nth) as usize & 7]);
    }
    tops ^= tops >> 32;
    tops ^= tops >> 16;
    tops & 0x8000 != 0
}

/// The same for an octet's few boundaries, which fill a line.
#[inline(always)]
fn is_member_of_few(line: &Line, offset: u32) -> bool {
    let lanes = (offset as u64 * 0x0000_0001_0000_0001) | TOPS_32;
    let mut tops = 0;
    for word in line {
        tops ^= lanes.wrapping_sub(*word);
    }
    tops ^= tops >> 32;
    tops & 0x8000_0000 != 0
}
