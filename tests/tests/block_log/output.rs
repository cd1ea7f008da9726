//! Where lines go: standard output, a file, or nowhere in time; and the kernel program's own log.

use std::{os::unix::fs::PermissionsExt as _, process::Stdio, thread, time::Duration};

use guard_tests::{Guard, Host, Options, Wire, sums::number, wait};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::scene::{ENV, SOON, datagram, env_and, silent_peer};

fn lines(host: &Host, path: &str) -> Vec<Value> {
    let text = host.read(path);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn a_file_takes_the_lines_of_one_run_after_the_other() {
    const LOG: &str = "[log]\neve = { path = 'eve.json' }\n";
    const BOTH: &str = "[log]\neve = { path = 'eve.json' }\nstdout = true\n";
    const VARIABLE: &[(&str, &str)] = &[("GUARD_EVE_FILE", "eve.json")];
    for (case, more, config, stdout) in [
        ("GUARD_EVE_FILE", VARIABLE, None, false),
        ("log.eve", &[], Some(LOG), false),
        ("log.eve and log.stdout", &[], Some(BOTH), true),
    ] {
        let link = silent_peer();
        let host = link.left.host();
        let env = env_and(more);
        for run in 1..=2 {
            let mut guard = Guard::run(host, Options { env: &env, config, ..Options::default() });
            Wire::open(link.right.host(), "eth0").send(datagram(&link, run));
            wait::eventually(&format!("{case}: the packet of run {run} has a line"), SOON, || {
                lines(host, "state/eve.json").iter().filter(|line| line["event_type"] == "drop").count() == run as usize
            });
            guard.stop();
            assert_eq!(!guard.eve().is_empty(), stdout, "{case}: {:?}", guard.eve());
        }
        let kinds: Vec<_> = lines(host, "state/eve.json").iter().map(|line| line["event_type"].clone()).collect();
        assert_eq!(kinds, ["drop", "stats", "drop", "stats"], "{case}");
        let permissions = host.outside("state/eve.json").metadata().expect("the log is there").permissions();
        assert_eq!(permissions.mode() & 0o777, 0o640, "{case}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused() {
    let link = silent_peer();
    for (path, why) in [("/run/test/no/such/eve.json", "No such file or directory"), ("/run/test", "Is a directory")] {
        let env = env_and(&[("GUARD_EVE_FILE", path)]);
        let (code, errors) = Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
        assert_eq!(code, 78, "{path}: {errors}");
        let expected = format!("the block log {path} can't be opened: {why}");
        assert!(errors.contains(&expected), "{path}: {errors}");
        assert!(!link.left.host().outside("/sys/fs/bpf/guard").exists(), "{path}: pins are left");
    }
}

#[test]
fn a_reader_that_stalls_holds_up_nobody() {
    let link = silent_peer();
    let mut command = Guard::command(link.left.host(), Options { env: &ENV, ..Options::default() }, "run");
    let mut daemon = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("guard can be started");
    let ask = |json: &[&str]| Guard::invoke(link.left.host(), Options { args: json, ..Options::default() }, "status");
    wait::eventually("the guard is ready", SOON, || ask(&[]).status.success());

    // More lines than the pipe and what waits before it hold, at the cap of lines a second.
    let wire = Wire::open(link.right.host(), "eth0");
    let mut sources = 0_u32..;
    wait::eventually("lines are lost", Duration::from_secs(30), || {
        let burst: Vec<_> = sources.by_ref().take(400).map(|source| datagram(&link, source)).collect();
        wire.send_all(&burst);
        thread::sleep(Duration::from_millis(100));
        let answer = ask(&["--json"]);
        assert!(answer.status.success(), "the daemon does not answer: {answer:?}");
        let status: Value = serde_json::from_str(&answer.stdout.join("\n")).expect("a status is JSON");
        number(&status["events"]["lost"]) > 0
    });

    let id = i32::try_from(daemon.id()).expect("process ids are positive and fit");
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("a child that was not reaped can be signalled");
    let status = wait::until(SOON, || daemon.try_wait().expect("a child can be waited for"));
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let link = silent_peer();
    let mut command = Guard::command(link.left.host(), Options { env: &ENV, ..Options::default() }, "run");
    let mut daemon = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("guard can be started");
    drop(daemon.stdout.take());
    let ask = || Guard::invoke(link.left.host(), Options { args: &["--json"], ..Options::default() }, "status");
    wait::eventually("the guard is ready", SOON, || ask().status.success());
    Wire::open(link.right.host(), "eth0").send(datagram(&link, 0));
    wait::eventually("the line is counted as lost", SOON, || {
        let status: Value = serde_json::from_str(&ask().stdout.join("\n")).expect("the daemon answers");
        status["events"] == json!({ "exported": 0, "merged": 0, "lost": 1 })
    });
    daemon.kill().expect("the daemon still runs");
    daemon.wait().expect("a child can be waited for");
}

#[test]
fn the_kernel_log_tells_every_decision() {
    let link = silent_peer();
    let options = Options { env: &ENV, args: &["--kernel-log"], ..Options::default() };
    let mut guard = Guard::run(link.left.host(), options);
    let wire = Wire::open(link.right.host(), "eth0");
    wire.send_all(&[datagram(&link, 0), datagram(&link, 1)]);
    for source in ["198.18.0.0", "2001:db8:bad::"] {
        guard.process().wait_for_line(&format!("{source} port 3000"), SOON);
    }
}
