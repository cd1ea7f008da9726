//! A server in a process of its own, which a test can put into a cgroup and kill.

use std::{
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use crate::{built::built, cgroup::Cgroup, host::Host, process::Process};

/// Ends a connection from the server's side.
pub const END: u8 = 4;
/// Has the server send by itself from then on, a few times a second.
pub const SPEAK: u8 = 7;
/// How many connections may wait to be accepted.
pub const BACKLOG: i32 = 2048;

const LIMIT: Duration = Duration::from_secs(10);

/// A TCP server that keeps every connection and sends back every byte. Dropping it kills it.
pub struct KeptServer(Process);

impl KeptServer {
    /// Serves on a port of the host, over IPv4 and IPv6, in a cgroup; data in SYNs (RFC 7413) is taken where the host allows it.
    pub fn start(host: &Host, cgroup: &Cgroup, port: u16) -> Self {
        Self::start_with(host, cgroup, port, &[])
    }

    /// As [`KeptServer::start`], but nobody ever accepts what connects.
    pub fn start_unaccepting(host: &Host, cgroup: &Cgroup, port: u16) -> Self {
        Self::start_with(host, cgroup, port, &["unaccepted"])
    }

    /// As [`KeptServer::start`], but clients from which nothing is heard are asked after a second, and given up after another.
    pub fn start_asking(host: &Host, cgroup: &Cgroup, port: u16) -> Self {
        Self::start_with(host, cgroup, port, &["asking"])
    }

    fn start_with(host: &Host, cgroup: &Cgroup, port: u16, arguments: &[&str]) -> Self {
        let mut command = host.command(built("guard-test-server", "cargo build -p guard-tests"));
        command.arg(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).to_string()).args(arguments);
        cgroup.take_in(&mut command);
        let server = Process::start(command);
        server.wait_for_line("listening", LIMIT);
        Self(server)
    }

    /// Kills it as by `kill -9`.
    pub fn kill(&mut self) {
        self.0.kill();
    }
}
