//! The commands' side of the socket.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::Pid,
};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{Answer, Kind, Request, VERSION};
use crate::{instance::Instance, kernel::LINKS, reload::Outcome, status::Status};

const PATIENCE: Duration = Duration::from_secs(5);

/// How long a reload may take, with those before it: lists may be long.
const RELOAD_PATIENCE: Duration = Duration::from_secs(300);

/// The daemon does not answer, or not what was asked.
#[derive(Debug, Error)]
pub(crate) enum Unreachable {
    #[error("guard instance `{instance}` does not answer on {path} ({error}); {}", if *.pinned {
        "its program is still in the kernel and enforces the last policy: start `guard run` again, or end enforcement with `guard down`"
    } else {
        "nothing of it is in the kernel either: start it with `guard run`"
    })]
    Silent { instance: String, path: PathBuf, error: io::Error, pinned: bool },
    #[error("no answer after {} s: the reload is still under way, or waits for another; `{status}` says what it comes to", .patience.as_secs())]
    UnderWay { patience: Duration, status: String },
    #[error("guard instance `{instance}` refused: {message}")]
    Refused { instance: String, message: String },
}

/// Asks the daemon for its status.
pub(crate) fn status(instance: &Instance) -> Result<Status, Unreachable> {
    ask(instance, Kind::Status, PATIENCE)
}

/// Has the daemon read its configuration again; returns once the outcome is in force.
pub(crate) fn reload(instance: &Instance, force: bool) -> Result<Outcome, Unreachable> {
    reload_within(RELOAD_PATIENCE, instance, force)
}

fn reload_within(patience: Duration, instance: &Instance, force: bool) -> Result<Outcome, Unreachable> {
    ask(instance, Kind::Reload { force }, patience).map_err(|error| match error {
        // What a time limit of the socket ends with.
        Unreachable::Silent { error, .. } if error.kind() == io::ErrorKind::WouldBlock => {
            Unreachable::UnderWay { patience, status: instance.command("status") }
        }
        other => other,
    })
}

fn ask<T: DeserializeOwned>(instance: &Instance, request: Kind, patience: Duration) -> Result<T, Unreachable> {
    let exchange = connect(instance).and_then(|stream| exchange(stream, request, patience));
    let line = exchange.map_err(|error| silent(instance, error))?;
    match serde_json::from_str(&line) {
        Ok(Answer::Ok(answer)) => Ok(answer),
        Ok(Answer::Error(message)) => Err(Unreachable::Refused { instance: instance.name.clone(), message }),
        Err(error) => Err(silent(instance, error.into())),
    }
}

/// Returns the process that listens on the socket, if there is one.
pub(crate) fn daemon_pid(instance: &Instance) -> Option<Pid> {
    let credentials = getsockopt(&connect(instance).ok()?, PeerCredentials).ok()?;
    // A process of another pid namespace has no number here, and 0 would mean this process's own group.
    (credentials.pid() > 0).then(|| Pid::from_raw(credentials.pid()))
}

fn connect(instance: &Instance) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(instance.socket())?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn exchange(mut stream: UnixStream, request: Kind, patience: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    let mut request = serde_json::to_vec(&Request { version: VERSION, request })?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

fn silent(instance: &Instance, error: io::Error) -> Unreachable {
    Unreachable::Silent {
        instance: instance.name.clone(),
        path: instance.socket(),
        error,
        pinned: instance.pins().join(LINKS).exists(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_reload_that_takes_long_is_not_a_daemon_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().to_owned();
        let instance = Instance { name: "slow".to_owned(), state_dir: directory.clone(), runtime_dir: directory };
        // Connections are taken, and nothing is read.
        let listener = UnixListener::bind(instance.socket()).unwrap();
        let patience = Duration::from_millis(50);
        let error = reload_within(patience, &instance, false).unwrap_err().to_string();
        assert!(error.contains("still under way") && error.contains("`guard --instance slow status`"), "{error}");
        assert!(!error.contains("guard run"), "{error}");
        drop(listener);
        let error = reload_within(patience, &instance, false).unwrap_err().to_string();
        assert!(error.contains("does not answer"), "{error}");
    }
}
