//! Rings by which the kernel program tells what happens, one record at a time.

use std::{io, marker::PhantomData};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use tokio::io::{Interest, unix::AsyncFd};
use zerocopy::FromBytes;

use super::{KernelError, take_map};

/// Records taken at once, so that a flood does not keep the daemon from everything else.
const BATCH: usize = 4_096;

/// The reading end of a ring of records.
pub(crate) struct Ring<T> {
    ring: AsyncFd<RingBuf<MapData>>,
    records: PhantomData<T>,
}

impl<T: FromBytes> Ring<T> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        let ring = take_map(ebpf, name)?;
        // SAFETY: the ring owns its descriptor and gives out the same one for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self { ring: ring.map_err(KernelError::map(name))?, records: PhantomData })
    }

    /// Waits for records and returns some; nothing is lost if the wait is given up.
    pub(crate) async fn next_batch(&mut self) -> io::Result<Vec<T>> {
        // What came before the wait, or before the ring was opened, wakes nobody.
        let waiting = self.take_batch();
        if !waiting.is_empty() {
            return Ok(waiting);
        }
        self.ring.readable_mut().await?.clear_ready();
        Ok(self.take_batch())
    }

    /// Returns the records that are there, at most a batch.
    pub(crate) fn take_batch(&mut self) -> Vec<T> {
        let ring = self.ring.get_mut();
        let mut records = Vec::new();
        while records.len() < BATCH
            && let Some(item) = ring.next()
        {
            records.push(T::read_from_bytes(&item).expect("a ring holds records of one kind"));
        }
        records
    }
}
