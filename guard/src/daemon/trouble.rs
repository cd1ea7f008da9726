//! What is the matter with work that goes on by itself, told once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::warn;

/// Notes what is the matter, and says it where that is news.
pub(super) fn complain(known: &Mutex<Option<String>>, trouble: Option<String>) {
    let mut known = lock(known);
    if let Some(trouble) = trouble.as_ref().filter(|_| *known != trouble) {
        warn!("{trouble}");
    }
    *known = trouble;
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is whole at any moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
