//! A line of buckets that threads share, as CPUs share one of a map.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use guard_common::bucket::{BUCKET_WAYS, Shared};

#[derive(Debug, Default)]
pub(crate) struct SharedLine {
    tags: [AtomicU64; BUCKET_WAYS],
    idle_at: [AtomicU64; BUCKET_WAYS],
}

impl SharedLine {
    /// Returns a line of which every bucket is nobody's, and idle from then on.
    pub(crate) fn idle_at(idle_at: u64) -> Self {
        Self { idle_at: std::array::from_fn(|_| AtomicU64::new(idle_at)), ..Self::default() }
    }

    /// Returns all that is in it.
    pub(crate) fn words(&self) -> [[u64; BUCKET_WAYS]; 2] {
        [&self.tags, &self.idle_at].map(|words| std::array::from_fn(|way| words[way].load(SeqCst)))
    }
}

impl Shared for &SharedLine {
    fn tag(&self, way: usize) -> u64 {
        self.tags[way].load(SeqCst)
    }

    fn idle_at(&self, way: usize) -> u64 {
        self.idle_at[way].load(SeqCst)
    }

    fn replace_tag(&self, way: usize, old: u64, new: u64) -> bool {
        self.tags[way].compare_exchange(old, new, SeqCst, SeqCst).is_ok()
    }

    fn replace_idle_at(&self, way: usize, old: u64, new: u64) -> bool {
        self.idle_at[way].compare_exchange(old, new, SeqCst, SeqCst).is_ok()
    }
}
