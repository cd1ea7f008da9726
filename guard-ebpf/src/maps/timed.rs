//! The tables of bans and grants, and the questions the program asks of them.

use core::ops::RangeInclusive;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap},
    macros::btf_map,
};
use guard_common::timed::{BANS_MAX, GRANTS_MAX, LENGTH_WORDS, PrefixKey, Until};

#[btf_map]
static BANS: HashMap<PrefixKey, Until, BANS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
#[btf_map]
static GRANTS: HashMap<PrefixKey, Until, GRANTS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
#[btf_map]
static TIMED_LENGTHS: Array<[u64; LENGTH_WORDS], 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Returns the lengths of prefixes that bans or grants have, those of some words together.
#[inline(always)]
pub(crate) fn lengths(words: RangeInclusive<usize>) -> u64 {
    let Some(lengths) = TIMED_LENGTHS.get_ptr(0) else { return 0 };
    let in_range = words.filter(|word| *word < LENGTH_WORDS);
    // SAFETY: words of the element, as for LIVE.
    in_range.fold(0, |bits, word| bits | unsafe { lengths.cast::<u64>().add(word).read_volatile() })
}

/// Returns when the ban of a prefix ends.
#[inline(always)]
pub(crate) fn ban(key: &PrefixKey) -> Option<Until> {
    BANS.get_ptr(key).map(until)
}

/// Returns when the grant of a prefix ends.
#[inline(always)]
pub(crate) fn grant(key: &PrefixKey) -> Option<Until> {
    GRANTS.get_ptr(key).map(until)
}

#[inline(always)]
fn until(until: *const Until) -> Until {
    // SAFETY: aligned words of the map's memory, which may come to hold another prefix's meanwhile: that is then taken for
    // this one's, for one packet.
    unsafe {
        Until {
            ends_ns: (&raw const (*until).ends_ns).read_volatile(),
            by_machine: (&raw const (*until).by_machine).read_volatile(),
            machine_s: (&raw const (*until).machine_s).read_volatile(),
        }
    }
}
