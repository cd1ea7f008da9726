//! Counting frames as they come in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Wire, packet_socket::LARGEST_FRAME};
use crate::host::Host;

/// How often the end is asked for while nothing comes in.
const PAUSE: Duration = Duration::from_millis(10);

/// Counts the frames that reach an interface of a host, behind XDP, and answer to a predicate. Runs until dropped.
pub struct Sniffer {
    tally: Arc<Tally>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Tally {
    frames: AtomicU64,
    ended: AtomicBool,
}

impl Sniffer {
    /// Starts to count; every frame that comes in after the return is seen.
    pub fn start(host: &Host, interface: &str, counts: impl Fn(&[u8]) -> bool + Send + 'static) -> Self {
        let wire = Wire::open(host, interface);
        let tally = Arc::new(Tally::default());
        let reader = thread::spawn({
            let tally = Arc::clone(&tally);
            move || count_frames(&wire, &tally, counts)
        });
        Self { tally, reader: Some(reader) }
    }

    /// The number of frames counted so far. Frames on their way are not yet among them.
    pub fn count(&self) -> u64 {
        self.tally.frames.load(Ordering::Acquire)
    }

    /// Ends the counting with every frame that has come in, and returns their number.
    pub fn stop(mut self) -> u64 {
        self.end().expect("the predicate does not panic");
        self.count()
    }

    fn end(&mut self) -> thread::Result<()> {
        self.tally.ended.store(true, Ordering::Release);
        self.reader.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        // A panic of the predicate has been shown already.
        let _ = self.end();
    }
}

fn count_frames(wire: &Wire, tally: &Tally, counts: impl Fn(&[u8]) -> bool) {
    let mut frame = vec![0; LARGEST_FRAME];
    loop {
        // Asked before reading, so that what came in before the end is still read.
        let ended = tally.ended.load(Ordering::Acquire);
        match wire.socket.receive(&mut frame, if ended { Duration::ZERO } else { PAUSE }) {
            Some(length) => _ = tally.frames.fetch_add(u64::from(counts(&frame[..length])), Ordering::Release),
            None if ended => return,
            None => {}
        }
    }
}
