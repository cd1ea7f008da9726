//! What guard needs of the system: refused with exit 77 and the remedy where it is missing, and no more than that.

use std::{process::Command, time::Duration};

use guard_tests::{
    Guard, Host, Link, privileges,
    process::{Finished, Process},
    xdp::program_on,
};

use super::scene::{assert_guarded, assert_nothing_left, options, two_hosts};

const LIMIT: Duration = Duration::from_secs(20);

/// `guard run` as root with a bounded set of capabilities, in setpriv's words.
fn bounded(link: &Link, capabilities: &str) -> Command {
    let setpriv = privileges::require_tool("setpriv");
    let guard = Guard::command(link.left.host(), options(), "run");
    let mut command = link.left.host().command(setpriv);
    command.arg(format!("--bounding-set={capabilities}")).arg(guard.get_program()).args(guard.get_args());
    command.envs(guard.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn unmount_bpffs(host: &Host) {
    let status = host.command("umount").arg("/sys/fs/bpf").status().expect("util-linux's `umount` can be started");
    assert!(status.success());
}

#[track_caller]
fn assert_not_permitted(finished: &Finished, parts: &[&str], case: &str) {
    let errors = finished.stderr.join("\n");
    assert_eq!(finished.code(), Some(77), "{case}: {finished:?}");
    parts.iter().for_each(|part| assert!(errors.contains(part), "{case}: no `{part}` in {errors}"));
}

#[test]
fn missing_capabilities_are_named_with_the_remedy() {
    let remedy = "AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON";
    for (capabilities, missing) in [
        ("-all", "missing CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON:"),
        ("-all,+net_admin", "missing CAP_BPF and CAP_PERFMON:"),
        ("-all,+bpf,+net_admin", "missing CAP_PERFMON:"),
        ("-net_admin", "missing CAP_NET_ADMIN:"),
        ("-all,+bpf,+perfmon", "missing CAP_NET_ADMIN:"),
    ] {
        let link = two_hosts();
        let finished = Process::finish(bounded(&link, capabilities), LIMIT);
        assert_not_permitted(&finished, &[missing, "run guard as root", remedy], capabilities);
        assert_nothing_left(&link.left, capabilities);
    }
}

#[test]
fn three_capabilities_are_enough() {
    let link = two_hosts();
    for run in ["the first", "the next, which takes over"] {
        let mut daemon = Process::start(bounded(&link, "-all,+bpf,+net_admin,+perfmon"));
        daemon.wait_for_line("guarding `eth0` (native)", LIMIT);
        assert_guarded(&link, run);
        daemon.kill();
    }
    let down = Guard::invoke(link.left.host(), options(), "down");
    assert!(down.status.success(), "{down:?}");
    assert_nothing_left(&link.left, "after `guard down`");
}

#[test]
fn a_missing_bpffs_is_mounted() {
    let link = two_hosts();
    unmount_bpffs(link.left.host());
    let mut guard = Guard::run(link.left.host(), options());
    let log = guard.log();
    assert!(log.iter().any(|line| line.contains("mounted a bpf file system on /sys/fs/bpf")), "{log:#?}");
    assert_guarded(&link, "on a bpffs of its own");
    guard.kill();
    assert!(program_on(&link.left).is_some());
    guard.down();
    assert_nothing_left(&link.left, "after `guard down`");
}

#[test]
fn a_missing_bpffs_that_it_may_not_mount_is_named_with_the_command() {
    let link = two_hosts();
    unmount_bpffs(link.left.host());
    let finished = Process::finish(bounded(&link, "-all,+bpf,+net_admin,+perfmon"), LIMIT);
    assert_not_permitted(&finished, &["mount -t bpf bpf /sys/fs/bpf"], "without CAP_SYS_ADMIN");
    assert_eq!(program_on(&link.left), None);
}
