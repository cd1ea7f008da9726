//! Reading every frame that comes in, on a thread of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use super::{
    Wire,
    packet_socket::{Arrival, LARGEST_FRAME},
};

/// How often the end is asked for while nothing comes in.
const PAUSE: Duration = Duration::from_millis(10);

/// Hands frames to a closure until dropped.
pub(super) struct Reader<T> {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Reader<T> {
    /// Starts to read; `each` gets what is gathered, a frame and when it came in.
    pub(super) fn start(
        wire: Wire,
        mut gathered: T,
        each: impl Fn(&mut T, &[u8], SystemTime) + Send + 'static,
    ) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                read(&wire, &ended, |frame, time| each(&mut gathered, frame, time));
                gathered
            }
        });
        Self { ended, thread: Some(thread) }
    }

    /// Ends with every frame that has come in, and returns what was gathered.
    pub(super) fn stop(mut self) -> T {
        let gathered = self.end().expect("only the end takes the thread");
        gathered.expect("the closure does not panic")
    }
}

impl<T> Reader<T> {
    fn end(&mut self) -> Option<thread::Result<T>> {
        self.ended.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join)
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        // A panic of the closure has been shown already.
        let _ = self.end();
    }
}

fn read(wire: &Wire, ended: &AtomicBool, mut each: impl FnMut(&[u8], SystemTime)) {
    let mut frame = vec![0; LARGEST_FRAME];
    loop {
        // Asked before reading, so that what came in before the end is still read.
        let ended = ended.load(Ordering::Acquire);
        match wire.socket.receive(&mut frame, if ended { Duration::ZERO } else { PAUSE }) {
            Some(Arrival { length, time }) => each(&frame[..length], time),
            None if ended => return,
            None => {}
        }
    }
}
