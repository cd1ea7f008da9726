//! Somebody who is logged in from the peer, and what tells guard so.

use std::{
    fs,
    io::ErrorKind,
    mem::offset_of,
    net::{IpAddr, SocketAddr},
    os::{fd::OwnedFd, unix::fs::symlink},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use guard_tests::{Connection, Host, connection::reaches};
use libc::{USER_PROCESS, utmpx};

/// How long silence must be to be taken for a connection that was cut.
const SILENCE: Duration = Duration::from_millis(800);

/// How long a connection that was cut may take to go on.
const REVIVAL: Duration = Duration::from_secs(15);

/// How guard can know of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBy {
    /// Its program runs below sshd, as with `sudo`, which drops the environment.
    Ancestor,
    /// Its program has the environment that sshd gave it; nothing above it is sshd.
    Environment,
    /// utmp lists it, and a program that has nothing to do with it asks for the change.
    Utmp,
}

impl KnownBy {
    pub(crate) const ALL: [Self; 3] = [Self::Ancestor, Self::Environment, Self::Utmp];
}

/// A session over TCP, which ends when dropped.
pub(crate) struct Login {
    known: KnownBy,
    connection: Connection,
    host: Host,
    /// What utmp lists, in place of the process that asks.
    listed: Option<Child>,
}

impl Login {
    /// Logs in from an address of a peer.
    pub(crate) fn new(known: KnownBy, peer: &Host, from: IpAddr, host: &Host, at: SocketAddr) -> Self {
        let connection = Connection::open(peer, SocketAddr::new(from, 0), host, at);
        let mut login = Self { known, connection, host: host.clone(), listed: None };
        if known == KnownBy::Utmp {
            // It ends within a second of its parent.
            let forever = ["sh", "-c", "tail --pid=$PPID -f /dev/null"];
            let shell = login.below("sshd", &forever).spawn().expect("a shell can be started");
            login.list(shell.id(), from);
            login.listed = Some(shell);
        }
        login
    }

    /// Runs a command to its end, in the session or, if only utmp lists it, elsewhere.
    pub(crate) fn run(&self, command: &Command) -> Output {
        self.started_by(command).output().expect("a command can be run")
    }

    /// The command as it is started in the session.
    pub(crate) fn started_by(&self, command: &Command) -> Command {
        let words: Vec<&str> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_str().expect("a word of a command is UTF-8"))
            .collect();
        let mut started = match self.known {
            KnownBy::Ancestor => self.below("sshd", &words),
            KnownBy::Environment => {
                let mut started = self.below("shell", &words);
                let ends = [self.connection.acceptor.peer_addr(), self.connection.acceptor.local_addr()];
                let ends = ends.map(|end| end.expect("a connection has ends"));
                let words = ends.map(|end| format!("{} {}", end.ip().to_canonical(), end.port()));
                started.env("SSH_CONNECTION", words.join(" "));
                started
            }
            KnownBy::Utmp => {
                let mut started = self.host.command(words[0]);
                started.args(&words[1..]);
                started
            }
        };
        let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        started.envs(variables.filter(|(name, _)| *name != "PATH"));
        started
    }

    /// Tells whether what the peer types still arrives.
    pub(crate) fn is_alive(&self) -> bool {
        reaches(&self.connection.opener, &self.connection.acceptor, SILENCE)
    }

    /// Tells whether what the peer types arrives again: TCP waits the longer the more often it has tried.
    pub(crate) fn revives(&self) -> bool {
        reaches(&self.connection.opener, &self.connection.acceptor, REVIVAL)
    }

    /// A command below a program of this name that holds the session's socket, as sshd does where it is started for each connection.
    fn below(&self, name: &str, words: &[&str]) -> Command {
        // The kernel calls a program what it was started as, here a shell.
        let program = Path::new("/run").join(name);
        match symlink("/bin/sh", self.host.outside(&program)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                panic!("cannot make {}: {error}", program.display())
            }
            _ => {}
        }
        let mut command = self.host.command(program);
        command.args(["-c", "\"$@\" </dev/null; exit $?", name]);
        let socket = self.connection.acceptor.try_clone().expect("a socket can be held twice");
        command.args(words).stdin(OwnedFd::from(socket)).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Has utmp list a process as that which leads the session.
    fn list(&self, pid: u32, from: IpAddr) {
        let mut record = vec![0; size_of::<utmpx>()];
        let mut put = |offset: usize, bytes: &[u8]| record[offset..][..bytes.len()].copy_from_slice(bytes);
        put(offset_of!(utmpx, ut_type), &USER_PROCESS.to_ne_bytes());
        put(offset_of!(utmpx, ut_pid), &pid.to_ne_bytes());
        put(offset_of!(utmpx, ut_line), b"pts/0");
        put(offset_of!(utmpx, ut_user), b"alice");
        put(offset_of!(utmpx, ut_host), from.to_string().as_bytes());
        self.host.write("/run/utmp", record);
    }

    /// What guard calls the session.
    pub(crate) fn described(&self) -> &'static str {
        match self.known {
            KnownBy::Ancestor | KnownBy::Environment => "the SSH session that this command runs in",
            KnownBy::Utmp => "the login session of alice (pts/0, pid ",
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let Some(mut shell) = self.listed.take() else { return };
        let _ = shell.kill();
        let _ = shell.wait();
        let _ = fs::remove_file(self.host.outside("/run/utmp"));
    }
}
