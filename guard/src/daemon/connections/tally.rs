//! What was closed: counted by service and cause, and told in lines.

use std::{collections::BTreeMap, mem::take, time::Duration};

use jiff::Timestamp;
use tracing::debug;

use crate::{
    export::{Cause, ClosedLine},
    network::sockets::tcp::TcpSocket,
    status::Closed,
};

/// Lines that may wait until they are taken: with [`CONNECTIONS_INTERVAL`](super::super::CONNECTIONS_INTERVAL), 1,000 a second.
const WAITING_MAX: usize = 500;

#[derive(Default)]
pub(super) struct Tally {
    /// By the service's name, since the daemon started.
    closed: BTreeMap<String, Closed>,
    waiting: Vec<ClosedLine>,
    /// Connections that no line tells of.
    untold: u64,
}

impl Tally {
    /// Counts a connection that was closed, which had been silent for a while if that is why.
    pub(super) fn add(&mut self, socket: &TcpSocket, service: &str, cause: Cause, silent_for: Option<Duration>) {
        let (remote, local) = (socket.remote(), socket.local());
        debug!("closed {remote} to {local}, service `{service}`: {cause:?}");
        let closed = self.closed.entry(service.to_owned()).or_default();
        *match cause {
            Cause::Idle => &mut closed.idle,
            Cause::Cap => &mut closed.cap,
            Cause::Banned => &mut closed.banned,
            Cause::Removed => &mut closed.removed,
        } += 1;
        if self.waiting.len() < WAITING_MAX {
            let idle_s = silent_for.map(|silent_for| silent_for.as_secs());
            let line = ClosedLine::new(Timestamp::now(), remote, local, service.to_owned(), cause, idle_s);
            self.waiting.push(line);
        } else {
            self.untold += 1;
        }
    }

    /// Returns what was closed of a service.
    pub(super) fn of_service(&self, name: &str) -> Closed {
        self.closed.get(name).copied().unwrap_or_default()
    }

    /// Returns how many connections were closed that no line tells of.
    pub(super) fn untold(&self) -> u64 {
        self.untold
    }

    /// Takes the lines that wait.
    pub(super) fn take_lines(&mut self) -> Vec<ClosedLine> {
        take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_lines_is_counted() {
        let socket = TcpSocket::sample(1, "192.0.2.1:3000".parse().unwrap(), "192.0.2.7:50000".parse().unwrap());
        let mut tally = Tally::default();
        for _ in 0..WAITING_MAX + 2 {
            tally.add(&socket, "web", Cause::Cap, None);
        }
        tally.add(&socket, "api", Cause::Idle, Some(Duration::from_secs(300)));
        let cap = WAITING_MAX as u64 + 2;
        assert_eq!(tally.of_service("web"), Closed { cap, ..Closed::default() });
        assert_eq!(tally.of_service("api"), Closed { idle: 1, ..Closed::default() });
        assert_eq!(tally.of_service("other"), Closed::default());
        assert_eq!((tally.take_lines().len(), tally.untold()), (WAITING_MAX, 3));
        tally.add(&socket, "web", Cause::Banned, None);
        tally.add(&socket, "web", Cause::Removed, None);
        assert_eq!((tally.take_lines().len(), tally.untold()), (2, 3));
        assert_eq!(tally.of_service("web"), Closed { cap, banned: 1, removed: 1, ..Closed::default() });
    }
}
