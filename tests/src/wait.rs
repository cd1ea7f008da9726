//! Waiting for what another process or the kernel will do, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(5);

/// Asks again until there is an answer, or until `limit` has passed.
pub fn until<T>(limit: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = answer() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until the condition holds and panics, naming `what` was awaited, when it does not within `limit`.
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let met = until(limit, || condition().then_some(()));
    assert!(met.is_some(), "{what}: not within {limit:?}");
}
