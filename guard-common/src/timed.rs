//! Bans and grants: what holds for a prefix until a time, and how a source is looked for among them. Knows no tables.
//!
//! They lie in hashes, and beside these is a bit for each length of prefix that may be in use: a source is asked for once at each of
//! those. In a trie a longer prefix that has ended, or that is granted another service, would hide a shorter one.

use core::ops::RangeInclusive;

use crate::{address::Address, policy::Ban};

/// Bans, and keys of grants, that there can be at once.
pub const BANS_MAX: usize = 131_072;
pub const GRANTS_MAX: usize = 65_536;

/// The service of a ban, and of a grant to every service.
pub const EVERY_SERVICE: u8 = 0;

/// The service under which each grant of a service stands once more: packets without ports are let in by any grant.
pub const ANY_SERVICE: u8 = 255;

const NS_PER_S: u64 = 1_000_000_000;

/// A prefix, and for a grant the service that it is for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(C)]
pub struct PrefixKey {
    /// Network order, IPv4 mapped; bits behind the prefix are zero.
    pub address: [u8; 16],
    /// Bits of the prefix, as its own family counts them.
    pub length: u8,
    /// 4 or 6.
    pub version: u8,
    /// A service's number, [`EVERY_SERVICE`] or [`ANY_SERVICE`].
    pub service: u8,
    pub reserved: u8,
}

/// When a ban or a grant ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Until {
    /// Bans: CLOCK_MONOTONIC, grants: CLOCK_BOOTTIME.
    pub ends_ns: u64,
    /// Not 0 for a ban that nobody made by hand.
    pub by_machine: u32,
    /// For how many seconds longer the machine bans, behind a ban by hand.
    pub machine_s: u32,
}

impl Until {
    /// Returns what it is at a time by its table's clock; a grant is [`Ban::ByHand`] until it ends.
    #[inline(always)]
    pub const fn holds_at(self, now_ns: u64) -> Ban {
        if self.ends_ns > now_ns {
            if self.by_machine == 0 { Ban::ByHand } else { Ban::ByMachine }
        } else if now_ns - self.ends_ns < self.machine_s as u64 * NS_PER_S {
            Ban::ByMachine
        } else {
            Ban::None
        }
    }
}

const _: () = {
    assert!(size_of::<PrefixKey>() == 20);
    assert!(size_of::<Until>() == 16);
};

impl PrefixKey {
    /// Returns the key of an address's prefix; `length` is at most 32 for version 4, else at most 128.
    #[inline(always)]
    pub const fn of(address: Address, version: u8, length: u8, service: u8) -> Self {
        let bits = if version == 4 { 96 + length as u32 } else { length as u32 };
        let address = address.prefix(bits).octets();
        Self { address, length, version, service, reserved: 0 }
    }
}

/// What holds for prefixes of one kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    Ban = 0,
    /// A grant to every service.
    Grant = 1,
    /// A grant to one service, also as it stands for packets without ports.
    ServiceGrant = 2,
}

/// Words of lengths of a kind: IPv4's, and IPv6's from 0, 64 and 128 on.
const WORDS: usize = 4;

/// Words of `TIMED_LENGTHS`.
pub const LENGTH_WORDS: usize = 3 * WORDS;

/// Returns the words of a kind's lengths for a family.
#[inline(always)]
pub const fn length_words(kind: Kind, version: u8) -> RangeInclusive<usize> {
    let first = kind as usize * WORDS;
    if version == 4 { first..=first } else { first + 1..=first + WORDS - 1 }
}

/// Returns the word, and its bit, that is set while a kind may have prefixes of a length.
#[inline(always)]
pub const fn length_bit(kind: Kind, version: u8, length: u8) -> (usize, u64) {
    (*length_words(kind, version).start() + (length / 64) as usize, 1 << (length & 63))
}

/// Returns the version of the family, and the length, that a bit of a word stands for.
#[inline(always)]
pub const fn length_at(word: u64, bit: u32) -> (u8, u8) {
    match word & (WORDS as u64 - 1) {
        0 => (4, bit as u8),
        nth => (6, (nth as u8 - 1) * 64 + bit as u8),
    }
}

/// Asks for each length in use, a bit each, as the number of a [`Ban`], and returns the strongest of the answers.
///
/// No round has a branch that goes on to the next one: Linux 6.1's verifier would walk all that are left behind each of those.
#[inline(always)]
pub fn strongest(lengths: u64, ask: impl Fn(u32) -> u32) -> u32 {
    let mut left = lengths;
    let mut answers = Ban::None as u32;
    for _ in 0..u64::BITS as u64 {
        if left == 0 {
            break;
        }
        let answer = ask(left.trailing_zeros());
        if answer == Ban::ByHand as u32 {
            return answer;
        }
        answers |= answer;
        left &= left - 1;
    }
    answers
}
