//! Programs under test: started, watched line by line, ended. It knows nothing of what the programs are.

mod lines;

use std::{
    fs, io,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use lines::Lines;
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::wait;

/// A running program with everything it has written so far. Dropping it kills it; in a panic, what
/// it wrote on its standard error is shown.
pub struct Process {
    name: String,
    child: Child,
    exited: Option<ExitStatus>,
    stdout: Lines,
    stderr: Lines,
}

/// What an ended program left.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// The lines of its standard output.
    pub stdout: Vec<String>,
    /// The lines of its standard error.
    pub stderr: Vec<String>,
}

impl Finished {
    /// Returns what a command said that must have done what it was to do.
    #[track_caller]
    pub fn done(&self, command: &str) -> String {
        assert!(self.status.success(), "{command}: {self:?}");
        self.stdout.join("\n")
    }

    /// The exit code, or none where a signal ended the program.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Process {
    /// Starts a command in a process group of its own. One of a host outlives the calling thread, but not the process.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = fork(command).unwrap_or_else(|error| panic!("cannot start `{name}`: {error}"));
        let stdout = Lines::collect(child.stdout.take().expect("standard output is piped"));
        let stderr = Lines::collect(child.stderr.take().expect("standard error is piped"));
        Self { name, child, exited: None, stdout, stderr }
    }

    /// Runs a command to its end and panics if that is not within `limit`.
    pub fn finish(command: Command, limit: Duration) -> Finished {
        let mut process = Self::start(command);
        let status = process.wait(limit);
        Finished { status, stdout: process.stdout(), stderr: process.stderr() }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; to a program that has ended, nothing.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            kill(self.pid(), signal).expect("a child that was not reaped can be signalled");
        }
    }

    /// Kills the program as by `kill -9`, with the programs that it started, and waits for its end.
    pub fn kill(&mut self) {
        if self.exited().is_none() {
            killpg(self.pid(), Signal::SIGKILL).expect("a group whose leader was not reaped can be signalled");
        }
        self.wait(Duration::from_secs(10));
    }

    /// How the program ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().expect("a child can be waited for");
        }
        self.exited
    }

    /// Waits for the program to end by itself and for all it wrote; panics if that is not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let Some(status) = wait::until(limit, || self.exited()) else {
            panic!("`{}` still runs after {limit:?}", self.name);
        };
        self.stdout.finish();
        self.stderr.finish();
        status
    }

    /// The lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// The lines on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// The first line, of standard error or output, that contains `marker`; panics if none comes within `limit`.
    pub fn wait_for_line(&self, marker: &str, limit: Duration) -> String {
        let line = wait::until(limit, || self.stderr.find(marker).or_else(|| self.stdout.find(marker)));
        line.unwrap_or_else(|| panic!("`{}` wrote no line with `{marker}` in {limit:?}", self.name))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are positive and fit"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("`{}` wrote on its standard error:\n{}", self.name, self.stderr().join("\n"));
        }
        if let Ok(None) = self.child.try_wait() {
            // Nothing is left to do where this fails, and a test that fails for its own reason should say that one.
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// The memory of a process that is resident, in kB.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a status tells it");
    line.trim().trim_end_matches("kB").trim().parse().expect("it is a number")
}

struct Order {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// The one thread that starts programs. The kernel ties a child's parent-death signal to the thread that forked it, and
/// this one ends only with the process, while a test's threads come and go.
static FORKER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (orders, incoming) = channel::<Order>();
    thread::spawn(move || {
        for mut order in incoming {
            // Whoever ordered waits for the answer, or has panicked and does not care.
            let _ = order.answer.send(order.command.spawn());
        }
    });
    orders
});

/// Starts the forking thread while the caller stands in no host, so that the thread keeps none alive.
pub(crate) fn start_forker() {
    LazyLock::force(&FORKER);
}

fn fork(command: Command) -> io::Result<Child> {
    let (answer, child) = channel();
    FORKER.send(Order { command, answer }).expect("the forking thread lives as long as the process");
    child.recv().expect("the forking thread answers every order")
}
