//! Who is at the other end of a connection, as the kernel knows it.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, AsRawFd as _},
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Gid, Pid, Uid, User},
};

use crate::live::Who;

/// How much of a command line is kept, in bytes.
const COMMAND_MAX: u64 = 1000;

/// A process that connected, with what it was when it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) pid: Pid,
    pub(super) uid: Uid,
    /// Whether it is root, of this process's own user, or a member of the group.
    pub(super) may_change: bool,
}

impl Peer {
    /// Looks at the other end of a connection. Without a `group` it has no members.
    pub(super) fn of(stream: &impl AsFd, group: Option<Gid>) -> io::Result<Self> {
        let credentials = getsockopt(stream, PeerCredentials)?;
        let (pid, uid) = (Pid::from_raw(credentials.pid()), Uid::from_raw(credentials.uid()));
        let may_change = uid.is_root()
            || uid == Uid::effective()
            || match group {
                Some(group) => group.as_raw() == credentials.gid() || groups(stream)?.contains(&group.as_raw()),
                None => false,
            };
        Ok(Self { pid, uid, may_change })
    }

    /// Names it. Asks the user database and reads of the process, so it may take long.
    pub(super) fn who(&self) -> Who {
        Who::of(self.pid, self.uid)
    }
}

impl Who {
    /// This process.
    pub(crate) fn this() -> Self {
        Self::of(Pid::this(), Uid::current())
    }

    fn of(pid: Pid, uid: Uid) -> Self {
        let user = User::from_uid(uid).ok().flatten().map(|user| user.name);
        // It may have gone, or be of another pid namespace, which has no number here.
        let command = command(pid).unwrap_or_default();
        Self { uid: uid.as_raw(), user, pid: pid.as_raw(), command }
    }
}

/// Returns the supplementary groups that the other end had when it connected.
fn groups(stream: &impl AsFd) -> io::Result<Vec<libc::gid_t>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut size = (groups.len() * size_of::<libc::gid_t>()) as libc::socklen_t;
        // SAFETY: `groups` is valid for writes of `size` bytes, and any bytes are a `gid_t`.
        let result = unsafe {
            libc::getsockopt(
                stream.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        let needed = size as usize / size_of::<libc::gid_t>();
        match result {
            0 => {
                groups.truncate(needed);
                return Ok(groups);
            }
            _ => match io::Error::last_os_error() {
                // It has more than that; how many, the kernel has said.
                error if error.raw_os_error() == Some(libc::ERANGE) && needed > groups.len() => {
                    groups.resize(needed, 0)
                }
                error => return Err(error),
            },
        }
    }
}

/// Returns the command line of a process, which may have made it whatever it likes: without what would move a cursor where it is
/// shown.
fn command(pid: Pid) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/cmdline"))?.take(COMMAND_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let words = text.trim_end_matches('\0').replace('\0', " ");
    Ok(words.replace(char::is_control, "\u{fffd}"))
}

#[cfg(test)]
pub(super) mod tests;
