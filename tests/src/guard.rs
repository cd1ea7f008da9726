//! The real `guard` binary on a host: started, asked, signalled and ended as an operator would.

mod binary;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

pub use binary::{binary, other_layout};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    host::Host,
    process::{Finished, Process},
    wait,
};

/// How long a command of guard, or its start or end, may take on a slow machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What a guard is started with. The environment is these variables and `PATH`.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The text of `guard.toml`; without it guard runs by environment alone.
    pub config: Option<&'a str>,
    /// The text of a file given with `--env-file`.
    pub env_file: Option<&'a str>,
    /// Environment variables.
    pub env: &'a [(&'a str, &'a str)],
    /// Arguments behind the subcommand.
    pub args: &'a [&'a str],
    /// The name of the guard; several on one host need different ones.
    pub instance: &'a str,
    /// The binary, if it is not the one beside the running program.
    pub binary: Option<&'a Path>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { config: None, env_file: None, env: &[], args: &[], instance: "default", binary: None }
    }
}

/// A running guard. Dropping it kills the daemon; enforcement ends with the host.
pub struct Guard {
    host: Host,
    instance: String,
    binary: PathBuf,
    daemon: Process,
}

impl Guard {
    /// Starts `guard run` and waits until it enforces.
    pub fn run(host: &Host, options: Options<'_>) -> Self {
        let mut guard = Self::start(host, options);
        guard.wait_ready();
        guard
    }

    /// Starts `guard run` and returns at once.
    pub fn start(host: &Host, options: Options<'_>) -> Self {
        let binary = options.binary.map_or_else(binary, Path::to_path_buf);
        let daemon = Process::start(command_with(host, &options, "run"));
        Self { host: host.clone(), instance: options.instance.into(), binary, daemon }
    }

    /// Starts `guard run`, which must refuse; returns its exit code and standard error. Panics if it is killed or runs
    /// on.
    pub fn expect_refusal(host: &Host, options: Options<'_>) -> (i32, String) {
        let finished = Self::invoke(host, options, "run");
        let code = finished.code().unwrap_or_else(|| panic!("guard was ended by a signal: {finished:?}"));
        assert_ne!(code, 0, "guard ended well where it must refuse: {finished:?}");
        (code, finished.stderr.join("\n"))
    }

    /// Runs a subcommand to its end with the configuration and environment of `options`, as `guard check` takes them.
    pub fn invoke(host: &Host, options: Options<'_>, subcommand: &str) -> Finished {
        Process::finish(Self::command(host, options, subcommand), LIMIT)
    }

    /// The command that [`Guard::invoke`] runs, for a test that starts it in a way of its own.
    pub fn command(host: &Host, options: Options<'_>, subcommand: &str) -> Command {
        command_with(host, &options, subcommand)
    }

    /// Where guards of a host keep their state, as [`Host::read`] and [`Host::write`] take it. The first to run makes
    /// it.
    pub fn state_directory(host: &Host) -> PathBuf {
        host.directory().join("state")
    }

    /// Where guards of a host have their control sockets. The first to run makes it.
    pub fn runtime_directory(host: &Host) -> PathBuf {
        host.directory().join("runtime")
    }

    /// Waits until `guard status` answers 0; panics if the daemon ends first or takes too long.
    pub fn wait_ready(&mut self) {
        let ready = wait::until(LIMIT, || {
            assert!(self.daemon.exited().is_none(), "`guard run` ended early");
            self.ask(&["status"]).status.success().then_some(())
        });
        assert!(ready.is_some(), "`guard status` is not 0 after {LIMIT:?}");
    }

    /// The answer to `guard status --json`; panics if the daemon does not give one.
    pub fn status(&self) -> Value {
        let answer = self.ask(&["status", "--json"]);
        assert!(answer.status.success(), "`guard status --json` failed: {answer:?}");
        serde_json::from_str(&answer.stdout.join("\n"))
            .unwrap_or_else(|error| panic!("`guard status --json` is no JSON ({error}): {answer:?}"))
    }

    /// Runs a subcommand that talks to the daemon, such as `["status"]`.
    pub fn ask(&self, arguments: &[&str]) -> Finished {
        let mut command = command_of(&self.host, &self.binary, &self.instance);
        command.args(arguments);
        Process::finish(command, LIMIT)
    }

    /// Runs `guard down`, which removes everything, and waits for the daemon to end with it.
    pub fn down(&mut self) {
        let answer = self.ask(&["down"]);
        assert!(answer.status.success(), "`guard down` failed: {answer:?}");
        self.wait();
    }

    /// Sends a signal to the daemon.
    pub fn signal(&mut self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Ends the daemon by SIGTERM, which leaves enforcement on.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Kills the daemon by SIGKILL, which leaves enforcement on.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Waits for the daemon to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.daemon.wait(LIMIT)
    }

    /// The daemon's process, with all its output.
    pub fn process(&mut self) -> &mut Process {
        &mut self.daemon
    }

    /// The lines of the daemon's log so far.
    pub fn log(&self) -> Vec<String> {
        self.daemon.stderr()
    }

    /// The block log so far: every line of standard output, each of which must be a JSON object with an `event_type`.
    pub fn eve(&self) -> Vec<Value> {
        let parse = |line: &String| match serde_json::from_str::<Value>(line) {
            Ok(event) if event["event_type"].is_string() => event,
            _ => panic!("a line on standard output is no EVE event: {line}"),
        };
        self.daemon.stdout().iter().map(parse).collect()
    }

    /// Waits for an event of the block log and returns the first that is wanted.
    pub fn wait_for_eve(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let event = wait::until(LIMIT, || self.eve().into_iter().find(&wanted));
        event.unwrap_or_else(|| panic!("no such event among {:#?}", self.eve()))
    }
}

/// A subcommand with everything that `options` say; writes the files it names.
fn command_with(host: &Host, options: &Options<'_>, subcommand: &str) -> Command {
    let binary = options.binary.map_or_else(binary, Path::to_path_buf);
    let mut command = command_of(host, &binary, options.instance);
    for (option, extension, text) in [("--config", "toml", options.config), ("--env-file", "env", options.env_file)] {
        if let Some(text) = text {
            command.arg(option).arg(host.write(format!("{}.{extension}", options.instance), text));
        }
    }
    command.arg(subcommand).args(options.args).envs(options.env.iter().copied());
    command
}

fn command_of(host: &Host, binary: &Path, instance: &str) -> Command {
    let mut command = host.command(binary);
    command.args(["--instance", instance]);
    command.arg("--state-dir").arg(Guard::state_directory(host));
    command.arg("--runtime-dir").arg(Guard::runtime_directory(host));
    command
}
