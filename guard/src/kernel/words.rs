//! Maps of a few u64 that the kernel program reads for each packet, mapped so that one store changes one.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use aya::{
    Ebpf,
    maps::{Map, MapError},
};
use memmap2::{MmapOptions, MmapRaw};

use super::KernelError;

pub(super) struct Words<const COUNT: usize> {
    page: MmapRaw,
}

impl<const COUNT: usize> Words<COUNT> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        let map = match ebpf.take_map(name).ok_or(KernelError::Missing(name))? {
            Map::Array(map) => map,
            _ => return Err(KernelError::map(name)(MapError::InvalidMapType { map_type: 0 })),
        };
        Self::of(map.fd().as_fd()).map_err(KernelError::map(name))
    }

    /// Maps a map that has so many.
    pub(super) fn of(map: BorrowedFd<'_>) -> io::Result<Self> {
        let page = MmapOptions::new().len(COUNT * size_of::<u64>()).map_raw(map.as_raw_fd())?;
        Ok(Self { page })
    }

    /// Stores a word, by its place.
    pub(super) fn store(&self, place: usize, value: u64) {
        self.words()[place].store(value, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn load(&self, place: usize) -> u64 {
        self.words()[place].load(Ordering::SeqCst)
    }

    /// Returns all words.
    pub(super) fn load_all(&self) -> [u64; COUNT] {
        self.words().each_ref().map(|word| word.load(Ordering::SeqCst))
    }

    /// Adds to a word, by its place, and wraps.
    pub(super) fn add(&self, place: usize, difference: u64) {
        self.words()[place].fetch_add(difference, Ordering::SeqCst);
    }

    /// Sets bits of a word, by its place.
    pub(super) fn set(&self, place: usize, bits: u64) {
        self.words()[place].fetch_or(bits, Ordering::SeqCst);
    }

    /// Clears bits of a word, by its place.
    pub(super) fn clear(&self, place: usize, bits: u64) {
        self.words()[place].fetch_and(!bits, Ordering::SeqCst);
    }

    /// Stores those words that are others than there.
    pub(super) fn store_changed(&self, values: &[u64; COUNT]) {
        for (word, value) in self.words().iter().zip(values) {
            if word.load(Ordering::Relaxed) != *value {
                word.store(*value, Ordering::SeqCst);
            }
        }
    }

    fn words(&self) -> &[AtomicU64; COUNT] {
        // SAFETY: the mapping begins on a page, is as long as the words are and lives as long as `self`; nobody else in
        // this process maps it, and the kernel program reads whole words and changes them by one instruction.
        unsafe { &*self.page.as_mut_ptr().cast() }
    }
}
