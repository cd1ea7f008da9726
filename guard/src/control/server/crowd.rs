//! How many connections are served at once, and which of them ends for one more.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinHandle;
use tracing::debug;

/// Connections of clients that may change the policy.
const MEMBERS_MAX: usize = 64;

/// Connections of clients that may only ask, so that they keep nobody else out.
const OTHERS_MAX: usize = 16;

/// Connections of all clients.
pub(super) const MOST: usize = MEMBERS_MAX + OTHERS_MAX;

/// The connections of clients that may do the same. One too many ends the oldest of those that wait for no answer, so that clients
/// that say nothing keep nobody out.
pub(super) struct Crowd {
    most: usize,
    connections: VecDeque<Connection>,
}

/// A connection that is served.
struct Connection {
    task: JoinHandle<()>,
    /// Whether its client waits for an answer.
    waits: Arc<AtomicBool>,
}

impl Crowd {
    pub(super) fn of_members() -> Self {
        Self { most: MEMBERS_MAX, connections: VecDeque::new() }
    }

    pub(super) fn of_others() -> Self {
        Self { most: OTHERS_MAX, connections: VecDeque::new() }
    }

    /// Serves one more; `serve` keeps what it is given up to date.
    pub(super) fn admit<F>(&mut self, serve: impl FnOnce(Arc<AtomicBool>) -> F)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.connections.retain(|connection| !connection.task.is_finished());
        let waits = Arc::new(AtomicBool::new(false));
        let served = serve(Arc::clone(&waits));
        let task = tokio::spawn(async {
            if let Err(error) = served.await {
                debug!("control connection: {error}");
            }
        });
        self.connections.push_back(Connection { task, waits });
        let waits = |connection: &Connection| connection.waits.load(Ordering::Relaxed);
        if self.connections.len() > self.most
            // If all others wait, this is the new one.
            && let Some(oldest) = self.connections.iter().position(|connection| !waits(connection))
            && let Some(connection) = self.connections.remove(oldest)
        {
            connection.task.abort();
        }
    }
}
