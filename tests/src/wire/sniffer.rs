//! Counting frames as they come in.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Wire, reader::Reader};
use crate::host::Host;

/// Counts the frames that reach an interface of a host, behind XDP, and answer to a predicate. Runs until dropped.
pub struct Sniffer {
    frames: Arc<AtomicU64>,
    reader: Reader<()>,
}

impl Sniffer {
    /// Starts to count; every frame that comes in after the return is seen.
    pub fn start(host: &Host, interface: &str, counts: impl Fn(&[u8]) -> bool + Send + 'static) -> Self {
        let frames = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&frames);
        let count =
            move |(): &mut (), frame: &[u8], _| _ = counted.fetch_add(u64::from(counts(frame)), Ordering::Release);
        Self { frames, reader: Reader::start(Wire::open(host, interface), (), count) }
    }

    /// The number of frames counted so far. Frames on their way are not yet among them.
    pub fn count(&self) -> u64 {
        self.frames.load(Ordering::Acquire)
    }

    /// Ends the counting with every frame that has come in, and returns their number.
    pub fn stop(self) -> u64 {
        self.reader.stop();
        self.frames.load(Ordering::Acquire)
    }
}
