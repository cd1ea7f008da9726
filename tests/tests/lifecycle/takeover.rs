//! One guard after another on the same interface, under traffic: no unlisted packet passes and no listed one is lost.

use guard_tests::{Counters, Guard, Link, Options, wait, xdp::program_on};

use super::{
    scene::{
        LISTED, SOON, UNLISTED, assert_answers_only, assert_guarded, env_with, guarded, options, packets, two_hosts,
    },
    traffic::{Arrivals, Traffic},
};

const MODES: [&str; 2] = ["native", "generic"];

/// Ends a guard in some way under traffic, starts the next and tells what arrived.
fn succession(mode: &str, end: impl FnOnce(&mut Guard)) {
    let link = two_hosts();
    let env = env_with("GUARD_XDP_MODE", mode);
    let options = Options { env: &env, ..Options::default() };
    let mut first = Guard::run(link.left.host(), options);
    let first_program = program_on(&link.left).expect("the first guard's program is attached");
    let traffic = Traffic::start(&link);
    end(&mut first);
    traffic.go_on(200);
    assert_eq!(program_on(&link.left), Some(first_program), "{mode}: the program stays");

    let second = Guard::run(link.left.host(), options);
    second.log().iter().find(|line| line.contains("took over `eth0`")).expect("the log names the takeover");
    assert_ne!(program_on(&link.left), Some(first_program), "{mode}: the program is another");
    traffic.go_on(200);
    let arrivals = traffic.stop();
    arrivals.assert_no_stranger_after(0, mode);
    arrivals.assert_every_listed(mode);
    assert_counted(&second, &arrivals, mode);
}

/// Counters go on where the first guard left them: every packet of the traffic is in them.
fn assert_counted(guard: &Guard, arrivals: &Arrivals, mode: &str) {
    let sent = u64::from(arrivals.rounds()) * (LISTED.len() + UNLISTED.len()) as u64;
    wait::eventually(&format!("{mode}: all {sent} packets are counted"), SOON, || {
        let status = guard.status();
        packets(&status, "pass") + packets(&status, "drop") + arrivals.lost() == sent
    });
    let dropped = packets(&guard.status(), "drop");
    assert!(dropped <= sent / 2 && dropped + arrivals.lost() >= sent / 2, "{mode}: {dropped} of {sent} dropped");
}

#[test]
fn a_killed_guard_enforces_until_the_next_takes_over() {
    for mode in MODES {
        succession(mode, Guard::kill);
    }
}

#[test]
fn an_ended_guard_enforces_until_the_next_takes_over() {
    for mode in MODES {
        succession(mode, |guard| assert!(guard.stop().success()));
    }
}

#[test]
fn a_restart_brings_another_policy() {
    let link = two_hosts();
    let mut first = Guard::run(link.left.host(), options());
    assert_guarded(&link, "the first policy");
    first.stop();
    let turned = env_with("ALLOWED_IPS", "203.0.113.9 2001:db8:9::9");
    let second = Guard::run(link.left.host(), Options { env: &turned, ..Options::default() });
    assert_answers_only(&link, UNLISTED, LISTED, "the second policy");
    assert_eq!(second.status()["entries"]["allow"], 2);
}

#[test]
fn an_interface_that_the_next_policy_does_not_name_is_let_go() {
    let link = two_hosts();
    let other = Link::between(link.left.host(), "eth1", link.right.host(), "eth1");
    let both = env_with("GUARD_INTERFACE", "eth0,eth1");
    let mut first = Guard::run(link.left.host(), Options { env: &both, ..Options::default() });
    first.kill();
    assert!(program_on(&other.left).is_some());
    let second = Guard::run(link.left.host(), options());
    assert_eq!(program_on(&other.left), None);
    assert!(program_on(&link.left).is_some());
    assert!(second.log().iter().any(|line| line.contains("guarded no more")), "{:#?}", second.log());
}

#[test]
fn a_mode_that_a_takeover_cannot_change_is_said() {
    let link = two_hosts();
    Guard::run(link.left.host(), options()).kill();
    let env = env_with("GUARD_XDP_MODE", "generic");
    let second = Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
    let log = second.log();
    assert!(
        log.iter().any(|line| line.contains("`eth0` stays in native mode") && line.contains("`guard down`")),
        "{log:#?}"
    );
    assert_eq!(guarded(&second), [("eth0".to_owned(), "native".to_owned())]);
}

#[test]
fn counters_stay_with_their_service() {
    let link = two_hosts();
    let mut first = Guard::run(link.left.host(), options());
    assert_guarded(&link, "the first policy");
    wait::eventually("strangers are counted", SOON, || packets(&first.status(), "drop") > 0);
    first.stop();
    let other = env_with("GUARD_PORTS", "tcp/3000,tcp/4000");
    let mut same_service = Guard::run(link.left.host(), Options { env: &other, ..Options::default() });
    let dropped = packets(&same_service.status(), "drop");
    assert!(dropped > 0, "the same service by name");
    same_service.stop();
    let config = r#"
        interfaces = ["eth0"]
        allow.ips = ["10.0.0.2", "2001:db8::2"]
        service = [{ name = "another", ports = ["tcp/4000"] }, { name = "web", ports = ["tcp/3000"] }]
    "#;
    let second = Guard::run(link.left.host(), Options { config: Some(config), ..Options::default() });
    assert_eq!(packets(&second.status(), "drop"), dropped, "the service that is gone: {:#?}", second.status());
    let before = Counters::read(&second);
    assert_guarded(&link, "the other services");
    wait::eventually("strangers are counted for another service", SOON, || {
        Counters::read(&second).since(&before).packets("web drop not_allowed") > 0
    });
    assert_eq!(packets(&second.status(), "drop"), dropped, "the service that is gone");
}
