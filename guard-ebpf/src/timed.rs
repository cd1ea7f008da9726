//! Bans and grants, as the kernel's tables have them now.

use guard_common::{
    address::Address,
    packet::Packet,
    policy::Ban,
    timed::{EVERY_SERVICE, Kind, PrefixKey, length_at, length_words, strongest},
};

use crate::{
    context::{boot_now_ns, now_ns},
    maps::timed as tables,
};

/// Tells whether a packet's source is banned. Where no ban is in use that takes no call.
#[inline(always)]
pub(crate) fn ban(packet: &Packet) -> Ban {
    let Packet { version, source: Address { high, low }, .. } = *packet;
    let words = length_words(Kind::Ban, version);
    let word = *words.start() as u64;
    if tables::lengths(words) == 0 {
        return Ban::None;
    }
    match if version == 4 { banned_at(word, high, low) } else { banned_v6(high, low) } {
        0 => Ban::None,
        1 => Ban::ByHand,
        _ => Ban::ByMachine,
    }
}

/// Tells whether a packet's source is granted every service, or the one of a number. Where no grant is in use that takes no call.
#[inline(always)]
pub(crate) fn is_granted(packet: &Packet, service: u8) -> bool {
    let Packet { version, source: Address { high, low }, .. } = *packet;
    let lengths = tables::lengths(length_words(Kind::Grant, version))
        | tables::lengths(length_words(Kind::ServiceGrant, version));
    lengths != 0 && granted((service as u64) << 8 | version as u64, high, low) != 0
}

/// Tells, as the number of a [`Ban`], whether an IPv6 address is banned. A global function in BTF's sense, as `set_contains` is, and so
/// are those below.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn banned_v6(high: u64, low: u64) -> u32 {
    let mut answers = Ban::None as u32;
    for word in length_words(Kind::Ban, 6) {
        if tables::lengths(word..=word) != 0 {
            let answer = banned_at(word as u64, high, low);
            if answer == Ban::ByHand as u32 {
                return answer;
            }
            answers |= answer;
        }
    }
    answers
}

/// Does so for any address and its prefixes of the lengths that a word names.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn banned_at(word: u64, high: u64, low: u64) -> u32 {
    strongest(tables::lengths(word as usize..=word as usize), |bit| banned_by(word | (bit as u64) << 8, high, low))
}

/// Does so for its prefix of one length; `place` is a word, and in the second byte a bit of it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn banned_by(place: u64, high: u64, low: u64) -> u32 {
    let (version, length) = length_at(place & 0xff, (place >> 8) as u32 & 63);
    let key = PrefixKey::of(Address { high, low }, version, length, EVERY_SERVICE);
    tables::ban(&key).map_or(Ban::None, |until| until.holds_at(now_ns())) as u32
}

/// Tells whether an address is granted every service, or the one in the second byte of `what`; the family's version is in the
/// first.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn granted(what: u64, high: u64, low: u64) -> u32 {
    for kind in [Kind::Grant, Kind::ServiceGrant] {
        let service = if kind == Kind::Grant { EVERY_SERVICE as u64 } else { what >> 8 & 0xff };
        for word in length_words(kind, what as u8) {
            if tables::lengths(word..=word) != 0 && granted_at(word as u64 | service << 16, high, low) != 0 {
                return 1;
            }
        }
    }
    0
}

/// Does so with prefixes of the lengths that a word names, which is in the first byte of `what`; the service is in the third.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn granted_at(what: u64, high: u64, low: u64) -> u32 {
    let word = what as usize & 0xff;
    strongest(tables::lengths(word..=word), |bit| granted_by(what | (bit as u64) << 8, high, low))
}

/// Does so with the prefix of one length; a bit of the word is in the second byte.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn granted_by(what: u64, high: u64, low: u64) -> u32 {
    let (version, length) = length_at(what & 0xff, (what >> 8) as u32 & 63);
    let key = PrefixKey::of(Address { high, low }, version, length, (what >> 16) as u8);
    tables::grant(&key).map_or(Ban::None, |until| until.holds_at(boot_now_ns())) as u32
}
