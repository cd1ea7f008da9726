//! What CPUs change at the same time: a line of buckets, by compare and exchange, and bits of words.
//!
//! `core::sync::atomic` has no read-modify-write for this target.

use core::arch::asm;

use guard_common::bucket::{BUCKET_WAYS, BucketLine, Shared};

use crate::context::forget;

/// A line in a map, which other CPUs read and write.
pub(crate) struct SharedLine {
    line: *mut BucketLine,
    /// A number of which the verifier knows nothing.
    unknown: u64,
}

impl SharedLine {
    /// # Safety
    /// The line is an element of an array, which outlives the run of the program.
    #[inline(always)]
    pub(crate) unsafe fn new(line: *mut BucketLine, unknown: u64) -> Self {
        Self { line, unknown }
    }

    #[inline(always)]
    fn tag_place(&self, way: usize) -> *mut u64 {
        // SAFETY: the mask keeps the way inside the line, which `new` was promised to be there.
        unsafe { (&raw mut (*self.line).tags).cast::<u64>().add(way & (BUCKET_WAYS - 1)) }
    }

    #[inline(always)]
    fn time_place(&self, way: usize) -> *mut u64 {
        // SAFETY: as for the tag.
        unsafe { (&raw mut (*self.line).idle_at).cast::<u64>().add(way & (BUCKET_WAYS - 1)) }
    }
}

impl Shared for SharedLine {
    #[inline(always)]
    fn tag(&self, way: usize) -> u64 {
        // SAFETY: an aligned word of the line; volatile because other CPUs write it.
        unsafe { self.tag_place(way).read_volatile() }
    }

    #[inline(always)]
    fn idle_at(&self, way: usize) -> u64 {
        // SAFETY: as for the tag.
        unsafe { self.time_place(way).read_volatile() }
    }

    #[inline(always)]
    fn replace_tag(&self, way: usize, old: u64, new: u64) -> bool {
        // SAFETY: an aligned word of the line.
        unsafe { replace(self.tag_place(way), old, new) }
    }

    #[inline(always)]
    fn replace_idle_at(&self, way: usize, old: u64, new: u64) -> bool {
        // SAFETY: an aligned word of the line.
        unsafe { replace(self.time_place(way), old, new) }
    }

    #[inline(always)]
    fn forget(&self, value: u64) -> u64 {
        forget(value, self.unknown)
    }
}

/// Sets bits of a word that other CPUs change.
///
/// # Safety
/// The word is an aligned one of a map's element, which outlives the run of the program.
#[inline(always)]
pub(crate) unsafe fn set_bits(word: *mut u64, bits: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("lock *(u64 *)({word} + 0) |= {bits}", word = in(reg) word, bits = in(reg) bits, options(nostack)) };
}

/// Adds to a word that other CPUs change, and wraps.
///
/// # Safety
/// As for [`set_bits`].
#[inline(always)]
pub(crate) unsafe fn add_to(word: *mut u64, difference: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("lock *(u64 *)({word} + 0) += {difference}", word = in(reg) word, difference = in(reg) difference, options(nostack));
    };
}

/// Stores `new` if the word is still `old`; tells whether it was.
///
/// # Safety
/// As for [`set_bits`].
#[inline(always)]
pub(crate) unsafe fn replace(word: *mut u64, old: u64, new: u64) -> bool {
    let seen: u64;
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {new})",
            word = in(reg) word,
            new = in(reg) new,
            inlateout("r0") old => seen,
            options(nostack)
        );
    }
    seen == old
}
