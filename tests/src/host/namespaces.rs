//! The namespaces of one host. It knows the kernel's calls for them and nothing of what runs inside.

use std::{
    fs::{self, File},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};
use nix::{
    fcntl::{OFlag, open},
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::stat::Mode,
};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Settings of a new network. `default` is taken over by interfaces made later.
const SETTINGS: [(&str, &str); 4] = [
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];

/// A network and a mount namespace, and the root directory as seen in the latter.
pub(super) struct Namespaces {
    network: OwnedFd,
    mount: OwnedFd,
    root: OwnedFd,
}

impl Namespaces {
    /// Moves the calling thread into new namespaces, prepares them and keeps hold of them. The thread is spoilt for
    /// anything else.
    pub(super) fn make() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("unshare")?;
        mount_own_directories()?;
        for (name, value) in SETTINGS {
            let path = Path::new("/proc/sys/net").join(name);
            fs::write(&path, value).with_context(|| format!("set {} to {value}", path.display()))?;
        }
        Ok(Self {
            network: File::open("/proc/thread-self/ns/net").context("open the network namespace")?.into(),
            mount: File::open("/proc/thread-self/ns/mnt").context("open the mount namespace")?.into(),
            root: open_directory("/")?,
        })
    }

    /// Moves the calling thread into the namespaces, for good. Nothing but system calls, so it may follow a fork.
    pub(super) fn enter(&self) -> nix::Result<()> {
        // The kernel refuses a mount namespace to a thread that shares its root and working directory with another.
        unshare(CloneFlags::CLONE_FS)?;
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        setns(&self.mount, CloneFlags::CLONE_NEWNS)
    }

    /// The host's root directory, as this process and its children reach it.
    pub(super) fn root(&self) -> PathBuf {
        path_of(&self.root)
    }

    /// The network namespace, as this process and its children reach it.
    pub(super) fn network(&self) -> PathBuf {
        path_of(&self.network)
    }
}

/// Gives the thread a `/sys` that shows its own network, with an empty bpffs in it and the machine's cgroups, and an
/// empty `/run`, so that neither pins nor sockets meet those of the machine or of another host.
fn mount_own_directories() -> Result<()> {
    let none = None::<&str>;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("make mounts private")?;
    let cgroups = open_directory(CGROUPS)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), plain, none).context("mount sysfs on /sys")?;
    mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), plain, Some("mode=0700")).context("mount bpf on /sys/fs/bpf")?;
    mount(Some(&path_of(&cgroups)), CGROUPS, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
        .context("keep the machine's cgroups")?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), plain, Some("mode=0755")).context("mount tmpfs on /run")
}

fn open_directory(path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).with_context(|| format!("open {path}"))
}

fn path_of(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", process::id(), descriptor.as_raw_fd()))
}
