//! The ring of block events.

use std::io;

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use guard_common::{names, records::BlockEvent};
use tokio::io::{Interest, unix::AsyncFd};
use zerocopy::FromBytes as _;

use super::{KernelError, take_map};

/// Events taken at once, so that a flood does not keep the daemon from everything else.
const BATCH: usize = 4_096;

/// The reading end of the ring.
pub(crate) struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Events {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let ring = take_map(ebpf, names::EVENTS)?;
        // SAFETY: the ring owns its descriptor and gives out the same one for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self { ring: ring.map_err(KernelError::map(names::EVENTS))? })
    }

    /// Waits for events and returns some; nothing is lost if the wait is given up.
    pub(crate) async fn next_batch(&mut self) -> io::Result<Vec<BlockEvent>> {
        // What came before the wait, or before the ring was opened, wakes nobody.
        let waiting = self.take_batch();
        if !waiting.is_empty() {
            return Ok(waiting);
        }
        self.ring.readable_mut().await?.clear_ready();
        Ok(self.take_batch())
    }

    /// Returns the events that are there, at most a batch.
    pub(crate) fn take_batch(&mut self) -> Vec<BlockEvent> {
        let ring = self.ring.get_mut();
        let mut events = Vec::new();
        while events.len() < BATCH
            && let Some(item) = ring.next()
        {
            let event = BlockEvent::read_from_bytes(&item).expect("the ring holds only block events");
            events.push(event);
        }
        events
    }
}
