//! What a process and its ancestors have of the connection that they hang on.

use std::{
    collections::HashMap,
    ffi::OsStr,
    iter::successors,
    net::{IpAddr, SocketAddr},
};

use nix::unistd::{Pid, Uid};
use procfs::{
    ProcError, ProcResult,
    process::{FDInfo, FDTarget, Process, Stat, all_processes},
};
use tracing::debug;

use super::Ends;

/// What programs that serve SSH sessions are called.
const SERVERS: [&str; 4] = ["sshd", "sshd-session", "sshd-auth", "dropbear"];

/// What such a program tells its children, as `client_ip client_port server_ip server_port`.
const VARIABLE: &str = "SSH_CONNECTION";

/// More ancestors than a process has.
const ANCESTORS_MAX: usize = 1_000;

/// Something that leads to a session's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// The inode of a socket that an SSH server holds.
    Socket(u64),
    /// What a process was told by its environment; anybody may write it.
    Claim(Ends),
}

impl Trace {
    pub(super) fn claimed(&self) -> Option<Ends> {
        match self {
            Self::Claim(ends) => Some(*ends),
            Self::Socket(_) => None,
        }
    }
}

/// A program that an SSH server runs for somebody who logged in.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) pid: Pid,
    pub(super) user: Uid,
    pub(super) traces: Vec<Trace>,
}

/// Lists the programs that SSH servers of root's run. Each leads a session of processes; what a server runs before it knows who is
/// there does not.
pub(super) fn served() -> Vec<Served> {
    let all = found(all_processes()).into_iter().flatten();
    let stats = all.filter_map(|process| found(process.and_then(|process| process.stat())));
    let all: HashMap<i32, Stat> = stats.map(|stat| (stat.pid, stat)).collect();
    let is_server = |stat: &&Stat| SERVERS.contains(&stat.comm.as_str());
    let mut served = Vec::new();
    for leader in all.values().filter(|stat| stat.session == stat.pid && !is_server(stat)) {
        let servers = successors(all.get(&leader.ppid), |server| all.get(&server.ppid));
        let servers = servers.take(ANCESTORS_MAX).take_while(is_server);
        // Whoever is logged in may give any program such a name, and have it hold any socket.
        let of_root = servers.filter_map(|server| found(Process::new(server.pid))).filter(is_of_root);
        let traces: Vec<Trace> = of_root.flat_map(|server| sockets(&server)).map(Trace::Socket).collect();
        if !traces.is_empty()
            && let Some(status) = found(Process::new(leader.pid).and_then(|process| process.status()))
        {
            served.push(Served { pid: Pid::from_raw(leader.pid), user: Uid::from_raw(status.ruid), traces });
        }
    }
    served
}

/// Tells whether a process runs.
pub(super) fn is_alive(pid: Pid) -> bool {
    running(pid.as_raw()).is_some()
}

/// Collects the traces of a process and its ancestors, from it upwards.
pub(super) fn traces(pid: Pid) -> Vec<Trace> {
    let mut traces = Vec::new();
    let mut next = pid.as_raw();
    for _ in 0..ANCESTORS_MAX {
        let Some((process, stat)) = running(next) else { break };
        traces.extend(claim(&process).map(Trace::Claim));
        if is_server(&process, &stat.comm) {
            traces.extend(sockets(&process).into_iter().map(Trace::Socket));
        }
        next = stat.ppid;
    }
    traces
}

fn running(pid: i32) -> Option<(Process, Stat)> {
    // The first process has no parent, and its number is 0.
    let process = (pid > 0).then(|| found(Process::new(pid))).flatten()?;
    let stat = found(process.stat())?;
    (!matches!(stat.state, 'Z' | 'X')).then_some((process, stat))
}

fn claim(process: &Process) -> Option<Ends> {
    let environment = found(process.environ())?;
    let text = environment.get(OsStr::new(VARIABLE))?.to_str()?;
    let ends = parse(text);
    if ends.is_none() {
        debug!("{VARIABLE} of process {} is `{}`", process.pid, text.escape_debug());
    }
    ends
}

/// Reads the variable's four words.
fn parse(text: &str) -> Option<Ends> {
    let mut words = text.split(' ');
    let mut end = || {
        // A link-local address has its interface behind it.
        let address: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
        let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
        Some(SocketAddr::new(address.to_canonical(), port))
    };
    let ends = Ends { peer: end()?, local: end()? };
    words.next().is_none().then_some(ends)
}

fn is_server(process: &Process, name: &str) -> bool {
    let is_known = |name: &str| SERVERS.contains(&name);
    let executable = || found(process.exe())?.file_name()?.to_str().map(is_known);
    is_known(name) || executable().unwrap_or(false)
}

fn is_of_root(process: &Process) -> bool {
    found(process.status()).is_some_and(|status| status.euid == 0)
}

fn sockets(process: &Process) -> Vec<u64> {
    let descriptors = found(process.fd()).into_iter().flatten();
    let socket = |descriptor: ProcResult<FDInfo>| match found(descriptor)?.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    descriptors.filter_map(socket).collect()
}

/// Returns what was read. Of what is gone or forbidden nothing is said: processes come and go.
fn found<T>(result: ProcResult<T>) -> Option<T> {
    match result {
        Ok(found) => Some(found),
        Err(ProcError::NotFound(_) | ProcError::PermissionDenied(_)) => None,
        Err(error) => {
            debug!("looking for login sessions: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests;
