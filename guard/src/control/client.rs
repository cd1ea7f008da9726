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

use super::{Answer, Failure, FailureKind, Message, Prefixes, Request, VERSION};
use crate::{
    edit::EditOutcome, instance::Instance, kernel::LINKS, listing::Page, live::List, reload::Outcome, status::Status,
    under::Under,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// How long a change may take, with those before it: lists may be long.
const CHANGE_PATIENCE: Duration = Duration::from_secs(300);

/// How long a page of a list may take; the first waits for others who ask.
const PAGE_PATIENCE: Duration = Duration::from_secs(30);

/// The daemon does not answer, or not what was asked.
#[derive(Debug, Error)]
pub(crate) enum Unreachable {
    #[error("guard instance `{instance}` does not answer on {path} ({error}); {}", match .pinned {
        Some(true) => "its program is still in the kernel and enforces the last policy: start `guard run` again, or end enforcement with `guard down`",
        Some(false) => "nothing of it is in the kernel either: start it with `guard run`",
        None => "whether its program is in the kernel only root can see",
    })]
    Silent {
        instance: String,
        path: PathBuf,
        error: io::Error,
        /// Absent if this user may not look.
        pinned: Option<bool>,
    },
    #[error("no answer after {} s: the change is still under way, or waits for another; `{look}` says what it comes to", .patience.as_secs())]
    UnderWay { patience: Duration, look: String },
    #[error("guard instance `{instance}` refused: {message}")]
    Refused { instance: String, message: String },
    #[error("guard instance `{instance}` can't answer: {message}")]
    Busy { instance: String, message: String },
    #[error("not permitted: {message}")]
    NotPermitted { message: String },
}

/// Asks the daemon for its status.
pub(crate) fn status(instance: &Instance) -> Result<Status, Unreachable> {
    ask(instance, Request::Status, PATIENCE)
}

/// Has the daemon read its configuration again; returns once the outcome is in force.
pub(crate) fn reload(instance: &Instance, force: bool) -> Result<Outcome, Unreachable> {
    ask_for_change(instance, Request::Reload { force }, CHANGE_PATIENCE)
}

/// Has the daemon change a list, or begin or lift a lockdown; returns once the outcome is in force.
pub(crate) fn change(instance: &Instance, request: Request) -> Result<EditOutcome, Unreachable> {
    ask_for_change(instance, request, CHANGE_PATIENCE)
}

/// Asks the daemon for a list; `take` gets each page as it comes.
///
/// # Errors
/// That the daemon does not answer, or what `take` ends with.
pub(crate) fn list(
    instance: &Instance,
    list: List,
    mut take: impl FnMut(Page) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let sent = connect(instance).and_then(|stream| send(stream, Request::List { list }, PAGE_PATIENCE));
    let mut answers = sent.map_err(|error| silent(instance, error))?;
    loop {
        let page: Page = answer(instance, &mut answers)?;
        let last = page.last;
        take(page)?;
        if last {
            return Ok(());
        }
    }
}

/// Asks the daemon what lies under prefixes that are to be blocked.
pub(crate) fn under(instance: &Instance, ips: Prefixes) -> Result<Under, Unreachable> {
    ask(instance, Request::Under { ips }, PAGE_PATIENCE)
}

fn ask_for_change<T: DeserializeOwned>(
    instance: &Instance,
    request: Request,
    patience: Duration,
) -> Result<T, Unreachable> {
    let look = match &request {
        Request::Add { list: List::Allow, .. } | Request::Remove { list: List::Allow, .. } => "allow list",
        Request::Add { list: List::Block, .. } | Request::Remove { list: List::Block, .. } => "block list",
        _ => "status",
    };
    ask(instance, request, patience).map_err(|error| match error {
        // What a time limit of the socket ends with.
        Unreachable::Silent { error, .. } if error.kind() == io::ErrorKind::WouldBlock => {
            Unreachable::UnderWay { patience, look: instance.command(look) }
        }
        other => other,
    })
}

fn ask<T: DeserializeOwned>(instance: &Instance, request: Request, patience: Duration) -> Result<T, Unreachable> {
    let sent = connect(instance).and_then(|stream| send(stream, request, patience));
    answer(instance, &mut sent.map_err(|error| silent(instance, error))?)
}

/// Returns the process that listens on the socket, if there is one.
pub(crate) fn daemon_pid(instance: &Instance) -> Option<Pid> {
    let credentials = getsockopt(&connect(instance).ok()?, PeerCredentials).ok()?;
    // A process of another pid namespace has no number here, and 0 would mean this process's own group.
    (credentials.pid() > 0).then(|| Pid::from_raw(credentials.pid()))
}

fn connect(instance: &Instance) -> io::Result<UnixStream> {
    UnixStream::connect(instance.socket())
}

/// Sends a request, to which there will be answers.
fn send(mut stream: UnixStream, request: Request, patience: Duration) -> io::Result<BufReader<UnixStream>> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut text = serde_json::to_vec(&Message { version: VERSION, request })?;
    text.push(b'\n');
    match stream.write_all(&text) {
        // Why it did not read to the end, the daemon may have said.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        written => written?,
    }
    Ok(BufReader::new(stream))
}

/// Reads the next answer.
fn answer<T: DeserializeOwned>(instance: &Instance, answers: &mut BufReader<UnixStream>) -> Result<T, Unreachable> {
    let mut line = String::new();
    let read = match answers.read_line(&mut line) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended without an answer")),
        Ok(_) => serde_json::from_str::<Answer<T>>(&line).map_err(io::Error::from),
        Err(error) => Err(error),
    };
    let answer = read.map_err(|error| silent(instance, error))?;
    answer.into_result().map_err(|Failure { kind, message }| match kind {
        FailureKind::NotPermitted => Unreachable::NotPermitted { message },
        FailureKind::Busy | FailureKind::Unavailable => Unreachable::Busy { instance: instance.name.clone(), message },
        FailureKind::Request | FailureKind::Other => Unreachable::Refused { instance: instance.name.clone(), message },
    })
}

fn silent(instance: &Instance, error: io::Error) -> Unreachable {
    Unreachable::Silent {
        instance: instance.name.clone(),
        path: instance.socket(),
        error,
        pinned: instance.pins().join(LINKS).try_exists().ok(),
    }
}

#[cfg(test)]
mod tests;
