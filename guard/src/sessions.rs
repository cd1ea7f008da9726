//! Login sessions that a change must not cut.
//!
//! Known are the SSH sessions that the asking process runs in, by its ancestors' environment and sockets, those that utmp(5) lists,
//! of whoever, and those in which an SSH server of root's runs a program: many systems keep no utmp any more, and who asks from a
//! terminal multiplexer or by way of systemd has no server among its ancestors. Not known: where the daemon may not look into a
//! process, that process's; the UDP packets of mosh; one that ends in another network namespace; and the outer address of a
//! session that comes through a tunnel.

mod process;
mod utmp;

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use nix::unistd::{Pid, Uid, User};
use tracing::debug;

use crate::network::{Connection, NetworkError, sockets};
use process::Trace;

/// The port of SSH sessions of which only the peer is known.
const SSH_PORT: u16 = 22;

/// A login session over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Never an IPv4-mapped address, and not loopback.
    pub(crate) peer: IpAddr,
    pub(crate) local: SocketAddr,
    /// `the login session of alice (pts/0, pid 812)`.
    pub(crate) what: String,
}

/// Returns the sessions that there are, none twice; that which `asking` runs in comes first. What can't be read is not found.
pub(crate) fn sessions(asking: Option<Pid>) -> Vec<Session> {
    let listed = utmp::users().filter(|user| process::is_alive(user.pid)).map(Login::listed);
    let served = process::served().into_iter().map(Login::served);
    sessions_of(asking.map(Login::of_asking).into_iter().chain(listed).chain(served).collect())
}

/// Returns the session that a process runs in. Somebody is at its other end: what the process was asked to do came from there.
pub(crate) fn own_session(pid: Pid) -> Vec<Session> {
    sessions_of(vec![Login::of_asking(pid)])
}

fn sessions_of(logins: Vec<Login>) -> Vec<Session> {
    if logins.iter().all(Login::is_local) {
        return Vec::new();
    }
    let connections = match Connections::read() {
        Ok(connections) => Some(connections),
        Err(error) => {
            debug!("login sessions are told by their environment alone: {error}");
            None
        }
    };
    distinct(logins.iter().flat_map(|login| login.sessions(connections.as_ref())))
}

/// Somebody who is logged in, and what tells from where.
struct Login {
    what: String,
    /// What the session's processes have.
    traces: Vec<Trace>,
    /// The peer that utmp has.
    host: Option<IpAddr>,
}

impl Login {
    fn of_asking(pid: Pid) -> Self {
        let what = format!("the SSH session that this command runs in (pid {pid})");
        Self { what, traces: process::traces(pid), host: None }
    }

    fn listed(utmp::User { pid, name, line, host }: utmp::User) -> Self {
        // Whoever wrote the file may have written anything.
        let what = format!("the login session of {} ({}, pid {pid})", name.escape_debug(), line.escape_debug());
        Self { what, traces: process::traces(pid), host }
    }

    fn served(process::Served { pid, user, traces }: process::Served) -> Self {
        Self { what: format!("an SSH session of {} (pid {pid})", name_of(user)), traces, host: None }
    }

    fn is_local(&self) -> bool {
        self.traces.is_empty() && self.host.is_none()
    }

    fn sessions(&self, connections: Option<&Connections>) -> Vec<Session> {
        let claimed = self.traces.iter().filter_map(Trace::claimed);
        let Some(connections) = connections else {
            return claimed.map(|ends| self.session(ends)).collect();
        };
        let sockets: Vec<Ends> = self.traces.iter().filter_map(|trace| connections.held(trace)).collect();
        // sshd also holds what it opened itself, for somebody whose ports it forwards. That nothing listens any more where a session
        // came in is rare.
        let came_in: Vec<Ends> = sockets.iter().filter(|ends| connections.came_in(ends)).copied().collect();
        let mut ends = if came_in.is_empty() { sockets } else { came_in };
        ends.extend(claimed.filter(|ends| connections.has(ends)));
        if ends.is_empty()
            && let Some(host) = self.host
        {
            ends.extend(connections.from(host));
        }
        ends.into_iter().map(|ends| self.session(ends)).collect()
    }

    fn session(&self, Ends { peer, local }: Ends) -> Session {
        Session { peer: peer.ip(), local, what: self.what.clone() }
    }
}

/// The ends of a session's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

/// The TCP connections of this network.
struct Connections {
    by_inode: HashMap<u64, Ends>,
    listening: BTreeSet<u16>,
}

impl Connections {
    fn read() -> Result<Self, NetworkError> {
        let ends = |Connection { local, remote, .. }| Ends { peer: remote, local };
        let established = sockets::read_established()?;
        Ok(Self {
            by_inode: established.into_iter().map(|(inode, connection)| (inode.into(), ends(connection))).collect(),
            listening: sockets::read_listening()?.tcp,
        })
    }

    /// Returns the connection whose socket a process holds.
    fn held(&self, trace: &Trace) -> Option<Ends> {
        match trace {
            Trace::Socket(inode) => self.by_inode.get(inode).copied(),
            Trace::Claim(_) => None,
        }
    }

    fn came_in(&self, ends: &Ends) -> bool {
        self.listening.contains(&ends.local.port())
    }

    /// Tells whether a connection is there. A terminal multiplexer keeps the environment of a session that is over, and so does a
    /// program that was moved to another network.
    fn has(&self, ends: &Ends) -> bool {
        self.by_inode.values().any(|known| known == ends)
    }

    /// Returns the connections to the SSH port that a host has.
    fn from(&self, host: IpAddr) -> impl Iterator<Item = Ends> {
        self.by_inode.values().filter(move |ends| ends.peer.ip() == host && ends.local.port() == SSH_PORT).copied()
    }
}

fn name_of(user: Uid) -> String {
    let known = User::from_uid(user).ok().flatten();
    known.map_or_else(|| format!("uid {user}"), |user| user.name)
}

/// Keeps the first of each peer and port, without those that come by no wire.
fn distinct(sessions: impl Iterator<Item = Session>) -> Vec<Session> {
    let mut seen = BTreeSet::new();
    sessions
        .filter(|session| !session.peer.is_loopback())
        .filter(|session| seen.insert((session.peer, session.local.port())))
        .collect()
}

#[cfg(test)]
mod tests;
