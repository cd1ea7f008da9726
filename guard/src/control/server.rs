//! The daemon's side of the socket. Connections are taken here; the daemon answers what they ask.

mod connection;
mod crowd;

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use nix::unistd::{Gid, Group};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, yield_now},
};
use tracing::{debug, warn};

use super::{GROUP, LockdownRequest, peer::Peer};
use crate::{
    edit::EditOutcome,
    listing::Listing,
    live::{Edit, List, Who},
    policy::Readers,
    reload::Outcome,
    status::Status,
    under::Inquiry,
};
use connection::{Client, Shared};
use crowd::Crowd;

/// What a client asks the daemon.
pub(crate) enum Question {
    Status(oneshot::Sender<Status>),
    Reload { force: bool, by: Who, answer: oneshot::Sender<Outcome> },
    Edit { edit: Edit, force: bool, by: Who, answer: oneshot::Sender<EditOutcome> },
    Lockdown { request: LockdownRequest, force: bool, by: Who, answer: oneshot::Sender<EditOutcome> },
    List { list: List, answer: oneshot::Sender<Listing> },
    Under { prefixes: Vec<IpNet>, answer: oneshot::Sender<Inquiry> },
}

impl Question {
    /// Tells whether who asked has gone.
    pub(crate) fn is_given_up(&self) -> bool {
        match self {
            Self::Status(answer) => answer.is_closed(),
            Self::Reload { answer, .. } => answer.is_closed(),
            Self::Edit { answer, .. } | Self::Lockdown { answer, .. } => answer.is_closed(),
            Self::List { answer, .. } => answer.is_closed(),
            Self::Under { answer, .. } => answer.is_closed(),
        }
    }
}

/// The listening socket; gone from the file system when dropped.
pub(crate) struct Control {
    path: PathBuf,
    /// What clients ask.
    pub(crate) questions: mpsc::Receiver<Question>,
    access: watch::Sender<Access>,
    listener: JoinHandle<()>,
}

/// Who may use the socket besides root and the daemon's own user.
#[derive(Clone, Copy, Debug)]
struct Access {
    readers: Readers,
    /// Absent if the host has no such group.
    group: Option<Gid>,
}

impl Control {
    /// Opens the socket. One that lies there already is left over: the instance's lock is this process's.
    pub(crate) fn open(path: &Path, readers: Readers) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let access = Access::find(readers);
        access.apply(path)?;
        let (access, allowed) = watch::channel(access);
        let (sender, questions) = mpsc::channel(crowd::MOST);
        let shared = Shared::new(sender, allowed);
        Ok(Self {
            path: path.to_owned(),
            questions,
            access,
            listener: tokio::spawn(listen(listener, Arc::new(shared))),
        })
    }

    /// Lets others ask what guard does, or does not any more; those who are connected too.
    pub(crate) fn set_readers(&self, readers: Readers) -> io::Result<()> {
        if self.access.borrow().readers == readers {
            return Ok(());
        }
        let access = Access::find(readers);
        self.access.send_replace(access);
        access.apply(&self.path)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listener.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            debug!("removing {}: {error}", self.path.display());
        }
    }
}

impl Access {
    fn find(readers: Readers) -> Self {
        let group = Group::from_name(GROUP).unwrap_or_else(|error| {
            warn!("looking for the group `{GROUP}`: {error}; only root may change this guard");
            None
        });
        Self { readers, group: group.map(|group| group.gid) }
    }

    /// Opens the file of the socket to those who may use it.
    fn apply(&self, path: &Path) -> io::Result<()> {
        if let Some(group) = self.group {
            chown(path, None, Some(group.as_raw()))?;
        }
        let mode = match self.readers {
            Readers::Group => 0o660,
            Readers::Everyone => 0o666,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }
}

async fn listen(listener: UnixListener, shared: Arc<Shared>) {
    let mut members = Crowd::of_members();
    let mut others = Crowd::of_others();
    loop {
        let accepted = match listener.accept().await {
            Ok((stream, _)) => Peer::of(&stream, shared.access().group).map(|peer| (stream, peer)),
            Err(error) => {
                debug!("control socket: {error}");
                // Out of descriptors, most likely: others must get to close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                let crowd = if peer.may_change { &mut members } else { &mut others };
                crowd.admit(|waits| Client::new(peer, Arc::clone(&shared), waits).serve(stream));
                // What it has sent by now is read before others can take its place.
                yield_now().await;
            }
            Err(error) => debug!("who connected: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
