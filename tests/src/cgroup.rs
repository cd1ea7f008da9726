//! Cgroups of the v2 hierarchy, in which a test's servers run. They have names, so what a killed run left is removed by the next.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, AsRawFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use nix::unistd;

use crate::{bpf::programs_attached, wait};

const NAME: &str = "guard-test";
const PROCESSES: &str = "cgroup.procs";
/// An attach type of linux/bpf.h.
const CGROUP_SOCK_OPS: u32 = 3;
/// How long the kernel may take over the end of processes that were killed.
const SOON: Duration = Duration::from_secs(10);

/// A cgroup below the root of the hierarchy, or below another one. It is removed when dropped, once the processes in it have
/// ended, which whoever started them must see to.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one below the root.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = hierarchy();
        remove_leftovers(&root);
        Self::make(root.join(format!("{NAME}-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    /// Makes one below this one, before which it must be dropped.
    pub fn child(&self, name: &str) -> Self {
        Self::make(self.path.join(name))
    }

    fn make(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap_or_else(|error| panic!("make cgroup {}: {error}", path.display()));
        Self { path }
    }

    /// The directory, which every host sees.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has a command's process enter before its program begins.
    pub fn take_in(&self, command: &mut Command) {
        let processes = OpenOptions::new().write(true).open(self.path.join(PROCESSES));
        let processes =
            processes.unwrap_or_else(|error| panic!("open {PROCESSES} of {}: {error}", self.path.display()));
        // SAFETY: between fork and exec the closure writes two bytes to a file that is open, and nothing else.
        unsafe {
            command.pre_exec(move || unistd::write(processes.as_fd(), b"0\n").map(drop).map_err(io::Error::from))
        };
    }

    /// How many programs see what becomes of its sockets, apart from those of cgroups around it.
    pub fn sock_ops(&self) -> usize {
        let directory = File::open(&self.path).expect("the cgroup is there");
        let count = programs_attached(directory.as_raw_fd() as u32, CGROUP_SOCK_OPS);
        count.unwrap_or_else(|error| panic!("programs of {}: {error}", self.path.display()))
    }

    fn is_empty(&self) -> bool {
        fs::read_to_string(self.path.join(PROCESSES)).is_ok_and(|processes| processes.trim().is_empty())
    }
}

impl Default for Cgroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        wait::until(SOON, || self.is_empty().then_some(()));
        let removed = fs::remove_dir(&self.path);
        if !thread::panicking() {
            removed.unwrap_or_else(|error| panic!("remove cgroup {}: {error}", self.path.display()));
        }
    }
}

/// Where the v2 hierarchy is.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the kernel tells its mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.into_iter().find_map(|fields| (fields[2] == "cgroup2").then(|| PathBuf::from(fields[1])));
    found.expect("this test needs a cgroup v2 hierarchy: `mount -t cgroup2 none /sys/fs/cgroup/unified`")
}

/// Removes what processes that have ended could not.
fn remove_leftovers(root: &Path) {
    let directories = fs::read_dir(root).expect("the hierarchy can be read").flatten();
    for directory in directories {
        let name = directory.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('-').nth(1));
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // Another test may be at it as well.
            let _ = remove_empty(&directory.path());
        }
    }
}

/// Removes a cgroup with those below it; the kernel refuses while a process is in one.
fn remove_empty(path: &Path) -> io::Result<()> {
    for below in fs::read_dir(path)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove_empty(&below.path())?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
