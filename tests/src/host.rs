//! A machine of the test: its own network, its own `/sys` with an empty bpffs, its own `/run`, and programs that run in
//! it.
//!
//! Its namespaces have no name anywhere; they live as long as a file descriptor of the test process or a process
//! inside.

mod namespaces;

use std::{
    ffi::OsStr,
    fmt, fs,
    os::unix::process::CommandExt,
    panic,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use namespaces::Namespaces;
use nix::{
    errno::Errno,
    sys::{prctl, signal::Signal},
    unistd::{Pid, getppid},
};

use crate::{privileges, process::start_forker};

/// Where a host keeps the files of its test. It lies in the host's own tmpfs, so it ends with the host.
const DIRECTORY: &str = "/run/test";

/// A machine of the test. Clones are the same machine; it ends with the last of them and of the programs in it.
#[derive(Clone)]
pub struct Host {
    name: Arc<str>,
    namespaces: Arc<Namespaces>,
}

impl Host {
    /// Makes a machine whose only interface is `lo`, up. IPv6 addresses are usable at once (no duplicate address
    /// detection) and sources are not filtered by route, so that a test sees guard's verdicts and not the kernel's.
    pub fn new(name: &str) -> Self {
        privileges::require_root();
        start_forker();
        let namespaces = thread::spawn(Namespaces::make)
            .join()
            .unwrap_or_else(|panicked| panic::resume_unwind(panicked))
            .unwrap_or_else(|error| panic!("cannot make host `{name}`: {error:#}"));
        let host = Self { name: name.into(), namespaces: Arc::new(namespaces) };
        host.ip(&["link", "set", "lo", "up"]);
        host
    }

    /// The name given, which appears in messages and decides the MAC addresses of the host's interfaces.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in this host, in the directory `/`, with an environment of `PATH` alone. It is killed
    /// when the *thread* that started it ends; [`crate::process::Process`] has no such bound.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", privileges::search_path()).stdin(Stdio::null());
        let namespaces = Arc::clone(&self.namespaces);
        let parent = Pid::this();
        // SAFETY: between fork and exec the closure makes three kinds of plain system calls (unshare and setns, prctl,
        // getppid). It takes no lock, allocates nothing and touches no memory that another thread may have left
        // halfway.
        unsafe { command.pre_exec(move || Ok(become_child(&namespaces, parent)?)) };
        command
    }

    /// Runs a closure on a new thread inside this host and returns its result; a panic goes on in the caller.
    ///
    /// A socket stays in the host in which it was made, so what the closure opens may be used outside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.namespaces.enter().unwrap_or_else(|error| panic!("cannot enter host `{}`: {error}", self.name));
                work()
            });
            inside.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })
    }

    /// Runs the closure once for each item, all at the same time inside this host, and returns the results in order.
    pub fn enter_each<I, T>(&self, items: impl IntoIterator<Item = I>, work: impl Fn(I) -> T + Sync) -> Vec<T>
    where
        I: Send,
        T: Send,
    {
        let items: Vec<I> = items.into_iter().collect();
        self.enter(|| {
            thread::scope(|scope| {
                let work = &work;
                let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
                let join = |thread: thread::ScopedJoinHandle<'_, T>| {
                    thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
                };
                threads.into_iter().map(join).collect()
            })
        })
    }

    /// Runs iproute2's `ip` and returns its output; panics with its complaint when it fails.
    pub fn ip(&self, arguments: &[&str]) -> String {
        let output = self.command("ip").args(arguments).output().expect("iproute2's `ip` can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`ip {}` in host `{}`: {complaint}", arguments.join(" "), self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The directory for the test's files, as programs in the host see it.
    pub fn directory(&self) -> &'static Path {
        Path::new(DIRECTORY)
    }

    /// Writes a file, by its path below [`Host::directory`] or from the root, with the directories above it, and
    /// returns its path as programs in the host see it.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let inside = self.directory().join(path);
        let outside = self.outside(&inside);
        let parent = outside.parent().expect("the path names a file, which lies in a directory");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&outside, contents))
            .unwrap_or_else(|error| panic!("write {} in host `{}`: {error}", inside.display(), self.name));
        inside
    }

    /// Reads a file, by its path below [`Host::directory`] or from the root.
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let inside = self.directory().join(path);
        fs::read_to_string(self.outside(&inside))
            .unwrap_or_else(|error| panic!("read {} in host `{}`: {error}", inside.display(), self.name))
    }

    /// The path under which the test process sees what is at `path` in the host, mounts of the host included; as long
    /// as the host lives. Relative paths start at [`Host::directory`].
    pub fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        let inside = self.directory().join(path);
        self.namespaces.root().join(inside.strip_prefix("/").unwrap_or(&inside))
    }

    /// Sets a kernel parameter of the host's network, named as below `/proc/sys`.
    pub fn sysctl(&self, name: &str, value: &str) {
        let written = self.enter(|| fs::write(Path::new("/proc/sys").join(name), value));
        written.unwrap_or_else(|error| panic!("set {name} to {value} in host `{}`: {error}", self.name));
    }

    /// The path of the host's network namespace, for programs that take one by path.
    pub(crate) fn network(&self) -> PathBuf {
        self.namespaces.network()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Host").field(&self.name).finish()
    }
}

/// One of the counters of the host's TCP by which netstat(8) tells statistics, such as `SyncookiesRecv`.
pub fn netstat(host: &Host, name: &str) -> u64 {
    let text = host.enter(|| fs::read_to_string("/proc/thread-self/net/netstat")).expect("the kernel counts");
    let of_tcp: Vec<&str> = text.lines().filter(|line| line.starts_with("TcpExt:")).collect();
    let [names, values] = of_tcp[..] else { panic!("no names and values in {text}") };
    let found = names.split(' ').zip(values.split(' ')).find(|(found, _)| *found == name);
    let (_, value) = found.unwrap_or_else(|| panic!("no `{name}` in {names}"));
    value.parse().expect("a counter is a number")
}

fn become_child(namespaces: &Namespaces, parent: Pid) -> nix::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        // The parent died before the signal was asked for, so it will never be sent.
        return Err(Errno::ESRCH);
    }
    namespaces.enter()
}
