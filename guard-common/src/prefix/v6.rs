//! An IPv6 set: for each half of the address space (by the highest bit) a 9-ary search tree over /64s, one line a node.
//!
//! ```text
//! lines 0 and 2     Description of the half's tree
//! lines 1 and 3     the tree's root, unless the tree is one leaf
//! anywhere behind   inner nodes, level by level: 8 keys, each the first of the next child's
//!                   leaves: a Leaf each
//!                   parts: a word for each /64 that is a member in part
//!                   boundaries inside these /64s, as lower halves of addresses, a word each
//! ```
//!
//! Keys are upper halves of addresses without the highest bit, so that the sign of a difference tells which is larger, and
//! no branch depends on it. The boundaries of a /64 are searched by halving: an address is a member if an odd number of them
//! is at or below its lower half. A /64 of which one address is a member has no boundaries, but the address itself.

use super::{Line, Lines, WORDS_PER_LINE};
use crate::address::Address;

/// Lines that every set begins with.
pub const TOP_LINES: u32 = 4;
/// Children of an inner node.
pub const FANOUT: usize = 9;
/// Keys of a leaf.
pub const KEYS_PER_LEAF: usize = 7;
/// Inner levels that a tree may have: 9^9 leaves, more than there are lines.
pub const LEVELS_MAX: usize = 9;

/// A key that no address reaches.
pub const NO_KEY: u64 = 1 << 63;

/// Halvings of as many boundaries as a word can count.
const HALVINGS_MAX: u64 = 32;

/// What is a member from a key up to the next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    #[default]
    None = 0,
    All = 1,
    /// One address of the key's own /64, whose lower half is the /64's word.
    One = 2,
    /// A part of the key's own /64, whose word says where its boundaries are ([`boundaries_word`]).
    Part = 3,
}

/// Where the parts of a tree lie, in lines from the set's first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Description {
    /// Inner levels, the root's included.
    pub levels: u32,
    pub first_leaf: u32,
    /// The first node of each inner level below the root.
    pub first_nodes: [u32; LEVELS_MAX - 1],
}

impl Description {
    pub fn to_line(self) -> Line {
        let [a, b, c, d, e, f, g, h] = self.first_nodes;
        let pair = |low: u32, high: u32| low as u64 | (high as u64) << 32;
        [pair(self.levels, self.first_leaf), pair(a, b), pair(c, d), pair(e, f), pair(g, h), 0, 0, 0]
    }
}

/// The last level of a tree: [`KEYS_PER_LEAF`] keys and the states of the intervals before, between and behind them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leaf {
    pub keys: [u64; KEYS_PER_LEAF],
    pub states: [State; KEYS_PER_LEAF + 1],
    /// The place, in words from the set's first, of the word of the first /64 that is a member in part; the words of the
    /// leaf's others follow it. At most 48 bits.
    pub first_part: u64,
}

impl Leaf {
    pub fn to_line(self) -> Line {
        let [a, b, c, d, e, f, g] = self.keys;
        let states = (0..).zip(self.states).fold(0, |states, (nth, state)| states | (state as u64) << (2 * nth));
        [a, b, c, d, e, f, g, states | self.first_part << 16]
    }
}

/// Returns the word of a /64 whose boundaries are the `count` words from `first`, counted from the set's first, on.
pub const fn boundaries_word(first: u32, count: u32) -> u64 {
    first as u64 | (count as u64) << 32
}

#[inline(always)]
pub(super) fn search<L: Lines>(lines: &L, first_line: u32, address: Address) -> Option<bool> {
    let half = (address.high >> 63) as u32;
    let key = address.high & (NO_KEY - 1);
    let top = first_line.wrapping_add(2 * half);
    let description = lines.line(top)?;
    let levels = description[0] & 0xffff_ffff;
    let mut position = 0;
    if levels > 0 {
        position = lines.forget(keys_up_to(lines.line(top.wrapping_add(1))?, FANOUT - 1, key));
    }
    for level in 1..LEVELS_MAX as u64 {
        if level >= levels {
            break;
        }
        let pair = description[(1 + ((level - 1) >> 1)) as usize & 7];
        let first_node = (pair >> (((level - 1) & 1) * 32)) as u32;
        let node = lines.line(first_line.wrapping_add(first_node).wrapping_add(position))?;
        position = position.wrapping_mul(FANOUT as u32).wrapping_add(keys_up_to(node, FANOUT - 1, key));
        position = lines.forget(position);
    }
    let first_leaf = (description[0] >> 32) as u32;
    let leaf = lines.line(first_line.wrapping_add(first_leaf).wrapping_add(position))?;
    let interval = lines.forget(keys_up_to(leaf, KEYS_PER_LEAF, key)) & 7;
    let states = leaf[7];
    let state = (states >> (2 * interval)) & 3;
    if state < State::One as u64 {
        return Some(state == State::All as u64);
    }
    // Before the first key nothing goes on from the leaf before but all or none.
    if *leaf.get(interval.wrapping_sub(1) as usize & 7)? != key {
        return Some(false);
    }
    let parts_before = (states >> 1) & 0x5555 & ((1 << (2 * interval)) - 1);
    let words = Words { lines, first_line };
    let part = words.get(((states >> 16) as u32).wrapping_add(parts_before.count_ones()))?;
    if state == State::One as u64 { Some(part == address.low) } else { search_boundaries(&words, part, address.low) }
}

/// Counts the keys, of the first `count` words, that are at or below `key`.
#[inline(always)]
fn keys_up_to(line: &Line, count: usize, key: u64) -> u32 {
    line.iter().take(count).map(|word| (word.wrapping_sub(key).wrapping_sub(1) >> 63) as u32).sum()
}

#[inline(always)]
fn search_boundaries<L: Lines>(words: &Words<'_, L>, part: u64, low_half: u64) -> Option<bool> {
    let first = part as u32;
    let mut low: u32 = 0;
    let mut high = (part >> 32) as u32;
    for _ in 0..HALVINGS_MAX {
        if low >= high {
            break;
        }
        let middle = low + ((high - low) >> 1);
        if words.get(first.wrapping_add(middle))? <= low_half {
            low = middle + 1;
        } else {
            high = middle;
        }
        low = words.lines.forget(low);
        high = words.lines.forget(high);
    }
    Some(low & 1 == 1)
}

/// A set's words, counted from its first.
struct Words<'a, L> {
    lines: &'a L,
    first_line: u32,
}

impl<L: Lines> Words<'_, L> {
    #[inline(always)]
    fn get(&self, index: u32) -> Option<u64> {
        let line = self.lines.line(self.first_line.wrapping_add(index / WORDS_PER_LINE))?;
        Some(line[(index % WORDS_PER_LINE) as usize & 7])
    }
}
