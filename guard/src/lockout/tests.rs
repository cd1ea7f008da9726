use std::time::Duration;

use super::*;
use crate::{
    policy::{DefaultVerdict, Effect, Mode, Origin, Policy, Timed},
    samples::{self, port, prefixes, service},
};

fn session(peer: &str, port: u16) -> Session {
    let local = format!("10.0.0.1:{port}").parse().unwrap();
    Session { peer: peer.parse().unwrap(), local, what: "the login session of alice (pts/0, pid 812)".to_owned() }
}

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    let web = service("web", &[port(Protocol::Tcp, 8022)], Mode::Enforce, &[]);
    samples::policy(&prefixes(allow), &prefixes(deny), vec![web])
}

fn reach<'a>(policy: &'a Policy, timed: &'a [Timed]) -> Reach<'a> {
    Reach { policy, timed, now: Duration::ZERO }
}

#[test]
fn only_what_passes_before_and_not_after_is_cut() {
    let (listed, unlisted) = (policy(&["192.0.2.0/24"], &[]), policy(&["198.51.100.0/24"], &[]));
    let blocked = policy(&["192.0.2.0/24"], &["192.0.2.7/32"]);
    let open = Policy { default: DefaultVerdict::Pass, ..unlisted.clone() };
    let watched = Policy { mode: Mode::Monitor, ..unlisted.clone() };
    for (case, before, after, port, cut) in [
        ("listed as before", Some(&listed), &listed, 2222, false),
        ("not listed any more", Some(&listed), &unlisted, 2222, true),
        ("not listed, as before", Some(&unlisted), &unlisted, 2222, false),
        ("not listed before", Some(&unlisted), &listed, 2222, false),
        ("not listed any more, failsafe", Some(&listed), &unlisted, 22, false),
        ("not listed any more, at a service", Some(&listed), &unlisted, 8022, true),
        ("not listed any more, default pass", Some(&listed), &open, 2222, false),
        ("not listed any more, watched", Some(&listed), &watched, 2222, false),
        ("enforced now", Some(&watched), &unlisted, 2222, true),
        ("blocked now", Some(&listed), &blocked, 22, true),
        ("blocked now as not listed before", Some(&unlisted), &blocked, 2222, false),
        ("a first run that lists it", None, &listed, 2222, false),
        ("a first run that does not", None, &unlisted, 2222, true),
        ("a first run that does not, failsafe", None, &unlisted, 22, false),
        ("a first run that blocks it", None, &blocked, 22, true),
    ] {
        let sessions = [session("192.0.2.7", port)];
        let before = before.map(|policy| reach(policy, &[]));
        let found = |is_guarded| cut_sessions(&sessions, before.as_ref(), &reach(after, &[]), |_| is_guarded);
        assert_eq!(found(true).len(), usize::from(cut), "{case}");
        assert!(found(false).is_empty(), "{case}, by an interface that is not guarded");
    }
}

#[test]
fn each_session_is_judged() {
    let sessions = [session("192.0.2.7", 2222), session("198.51.100.7", 2222), session("192.0.2.8", 2222)];
    let (before, after) = (policy(&["0.0.0.0/0"], &[]), policy(&["198.51.100.0/24"], &[]));
    let cut = cut_sessions(&sessions, Some(&reach(&before, &[])), &reach(&after, &[]), |_| true);
    assert_eq!(cut.len(), 2);
    let messages = cut.iter().map(Cut::objection).collect::<Vec<_>>();
    assert!(messages[0].contains("192.0.2.7") && messages[1].contains("192.0.2.8"), "{messages:#?}");
}

#[test]
fn a_message_names_the_session_the_reason_and_what_saves_it() {
    let before = policy(&["192.0.2.0/24"], &[]);
    let unlisted = policy(&["198.51.100.0/24"], &[]);
    let blocked = policy(&["192.0.2.0/24"], &["192.0.2.0/28"]);
    let locked = Policy { grants_hold: false, ..unlisted.clone() };
    let origin = Origin::Variable { name: "TEST".into(), item: None };
    let prefix = "192.0.2.7/32".parse().unwrap();
    let ban = [Timed { effect: Effect::Ban, prefix, ends: Duration::from_secs(1), origin, comment: None }];
    let of = |port: u16, rest: &str| {
        format!(
            "the login session of alice (pts/0, pid 812), from 192.0.2.7 to tcp/{port}, would be cut, because {rest}"
        )
    };
    for (case, after, timed, port, rest) in [
        (
            "unlisted",
            &unlisted,
            &[][..],
            2222,
            "no entry lets it in to a port that no service names: keep 192.0.2.7 in the allowlist or add `tcp/2222` to \
             failsafe_ports, or use --force",
        ),
        (
            "unlisted at a service",
            &unlisted,
            &[],
            8022,
            "no entry lets it in to service `web`: keep 192.0.2.7 in the allowlist, or use --force",
        ),
        (
            "blocked",
            &blocked,
            &[],
            22,
            "192.0.2.0/28 is blocked (environment variable ALLOWED_IPS): leave 192.0.2.7 out of that, or use --force",
        ),
        (
            "banned",
            &before,
            &ban,
            22,
            "192.0.2.7/32 is banned (environment variable TEST): leave 192.0.2.7 out of that, or use --force",
        ),
        (
            "locked down",
            &locked,
            &[],
            2222,
            "no entry lets it in to a port that no service names: add --except 192.0.2.7, or use --force",
        ),
    ] {
        let sessions = [session("192.0.2.7", port)];
        let cut = cut_sessions(&sessions, Some(&reach(&before, &[])), &reach(after, timed), |_| true);
        assert_eq!(cut.iter().map(Cut::objection).collect::<Vec<_>>(), [of(port, rest)], "{case}");
    }
}
