//! The ends of a daemon, after which its program enforces on, and `guard down`, which ends that.

use guard_tests::{Guard, Wire, frame::Frame, process::Finished, wait, xdp::program_on};
use nix::sys::signal::Signal;

use super::scene::{
    PORT, SERVER, SOON, UNLISTED, assert_guarded, assert_nothing_left, assert_open, ip, options, packets, two_hosts,
};

/// An end of a daemon by name; or none.
type Way = (&'static str, fn(&mut Guard));

#[test]
fn a_signal_ends_the_daemon_and_not_enforcement() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let link = two_hosts();
        let mut guard = Guard::run(link.left.host(), options());
        let wire = Wire::open(link.right.host(), "eth0");
        let frame = Frame::ethernet(link.right.mac(), link.left.mac())
            .ip(ip(UNLISTED[0]), ip(SERVER[0]))
            .udp(1234, PORT)
            .build();
        wire.send_all(&vec![frame; 10]);
        wait::eventually("all packets are counted", SOON, || packets(&guard.status(), "drop") == 10);
        guard.signal(signal);
        assert_eq!(guard.wait().code(), Some(0), "{signal}");

        let log = guard.log();
        let last = log.last().expect("the daemon logs");
        for part in ["ended by", signal.as_str(), "enforcement stays on `eth0` (native)", "`guard down` ends it"] {
            assert!(last.contains(part), "{signal}: no `{part}` in the last line: {last}");
        }
        let eve = guard.eve();
        let (stats, lines) = eve.split_last().expect("there are lines");
        let counts: Vec<_> = lines.iter().map(|line| line["guard"]["count"].as_u64()).collect();
        assert_eq!(counts, [Some(1), Some(9)], "{signal}: {eve:#?}");
        assert_eq!(stats["event_type"], "stats", "{signal}: {stats}");
        assert_eq!((&stats["guard"]["merged"], &stats["guard"]["lost"]), (&0.into(), &0.into()), "{signal}: {stats}");

        assert_guarded(&link, signal.as_str());
        assert!(!link.left.host().outside("runtime/default.sock").exists(), "{signal}: the socket is left");
        assert_unreachable(&guard.ask(&["status"]), "its program is still in the kernel", signal.as_str());
    }
}

#[test]
fn a_hangup_does_not_end_the_daemon() {
    let link = two_hosts();
    let mut guard = Guard::run(link.left.host(), options());
    guard.signal(Signal::SIGHUP);
    guard.process().wait_for_line("reloaded: generation 2 in place of 1", SOON);
    assert_eq!(guard.ask(&["status"]).code(), Some(0));
    assert_guarded(&link, "after SIGHUP");
}

#[test]
fn the_last_line_names_the_instance() {
    let link = two_hosts();
    let mut guard = Guard::run(link.left.host(), guard_tests::Options { instance: "front", ..options() });
    guard.stop();
    let log = guard.log();
    assert!(log.last().is_some_and(|line| line.contains("`guard --instance front down` ends it")), "{log:#?}");
    guard.down();
    assert_nothing_left(&link.left, "after `guard down`");
}

#[test]
fn down_removes_everything_and_twice_is_harmless() {
    let ways: [Way; 3] = [
        ("with a daemon", |_| {}),
        ("after SIGTERM", |guard| {
            guard.stop();
        }),
        ("after SIGKILL", Guard::kill),
    ];
    for (case, end) in ways {
        let link = two_hosts();
        let mut guard = Guard::run(link.left.host(), options());
        assert!(program_on(&link.left).is_some());
        end(&mut guard);
        let answer = guard.ask(&["down"]);
        assert!(answer.status.success() && answer.stdout.concat().contains("is down"), "{case}: {answer:?}");
        guard.wait();
        assert_nothing_left(&link.left, case);
        assert_open(&link, case);

        let again = guard.ask(&["down"]);
        assert!(again.status.success() && again.stdout.concat().contains("was not up"), "{case}: {again:?}");
        assert_unreachable(&guard.ask(&["status"]), "nothing of it is in the kernel", case);
    }
}

#[test]
fn down_leaves_other_instances_alone() {
    let link = two_hosts();
    let guard = Guard::run(link.left.host(), options());
    let other = guard_tests::Options { instance: "other", ..guard_tests::Options::default() };
    let answer = Guard::invoke(link.left.host(), other, "down");
    assert!(answer.status.success(), "{answer:?}");
    assert!(guard.ask(&["status"]).status.success());
    assert!(program_on(&link.left).is_some());
}

#[track_caller]
fn assert_unreachable(answer: &Finished, says: &str, case: &str) {
    let text = answer.stderr.join("\n");
    assert!(answer.code() == Some(69) && text.contains(says), "{case}: {answer:?}");
}
