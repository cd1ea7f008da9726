//! What is found under prefixes, and how it is told.

use super::*;
use crate::{
    policy::{Mode, Protocol},
    samples::{self, prefixes},
};

fn inquiry(asked: &[&str]) -> Inquiry {
    let port = samples::port(Protocol::Tcp, 80);
    let web = samples::service("web", &[port], Mode::Enforce, &prefixes(&["203.0.113.128/25"]));
    let allow = prefixes(&["10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32"]);
    let mut policy = samples::policy(&allow, &prefixes(&["203.0.112.0/23", "198.51.100.1/32"]), vec![web]);
    policy.trusted = samples::entries(&prefixes(&["203.0.113.9/32"]));
    let clock = Clock { wall: "2026-11-22T08:00:00.9Z".parse().unwrap(), boot: Duration::from_secs(1000) };
    let timed = |effect, prefix: &str, ends| Timed {
        effect,
        prefix: prefix.parse().unwrap(),
        ends: Duration::from_secs(ends),
        origin: Origin::File { path: std::path::Path::new("entries.json").into() },
        comment: None,
    };
    let grant = || Effect::Grant { services: vec!["web".to_owned()] };
    let used = |ip: &str, ago| (ip.parse().unwrap(), Duration::from_secs(ago));
    let open = |source: &str, count| (source.parse().unwrap(), "web".to_owned(), count);
    let policy = Arc::new(policy);
    Inquiry {
        prefixes: prefixes(asked),
        configured: Arc::clone(&policy),
        policy,
        timed: Arc::new(vec![
            timed(grant(), "203.0.113.8/32", 1060),
            timed(grant(), "203.0.113.8/32", 1000),
            timed(Effect::Ban, "203.0.113.16/28", 4600),
        ]),
        machine_bans: vec![("2001:db8:0:1::/64".parse().unwrap(), Duration::from_secs(1900))],
        entries_file: Origin::File { path: std::path::Path::new("entries.json").into() },
        used: vec![used("203.0.113.7", 90), used("203.0.113.200", 5), used("10.0.0.1", 1)],
        used_since: "2026-11-22T07:00:00Z".parse().unwrap(),
        open: vec![open("203.0.113.7/32", 2), open("203.0.113.200/32", 3), open("2001:db8:0:1::/64", 1)],
        guarded: BTreeSet::new(),
        clock,
        generation: 7,
    }
}

fn shown(asked: &str) -> String {
    let [under] = <[UnderPrefix; 1]>::try_from(inquiry(&[asked]).look()).unwrap();
    under.to_string()
}

#[test]
fn everything_that_a_prefix_touches_is_shown() {
    let written = "environment variable ALLOWED_IPS";
    for (asked, expected) in [
        (
            "203.0.113.0/24",
            format!(
                "under 203.0.113.0/24:\n  allowed: 2 inside, 0 around\n    203.0.113.7/32  {written}\n    \
                 203.0.113.128/25  {written}, service web\n  granted for a time: 1 inside, 0 around\n    203.0.113.8/32  \
                 entries.json, service web, until 2026-11-22T08:01:00Z\n  trusted, and blocked by hand all the same: 1 inside, 0 around\n    \
                 203.0.113.9/32  {written}\n  kept out already: 1 inside, 1 around\n    203.0.112.0/23  {written}\n    \
                 203.0.113.16/28  entries.json, until 2026-11-22T09:00:00Z\n  let in lately: 2\n    203.0.113.200  \
                 2026-11-22T07:59:55Z\n    203.0.113.7  2026-11-22T07:58:30Z\n  open connections: 5 of web\n"
            ),
        ),
        (
            "10.0.0.1/32",
            format!(
                "under 10.0.0.1/32:\n  allowed: 0 inside, 1 around\n    10.0.0.0/8  {written}\n  let in lately: 1\n    \
                 10.0.0.1  2026-11-22T07:59:59Z\n"
            ),
        ),
        (
            "2001:db8:0:1::9/128",
            format!(
                "under 2001:db8:0:1::9/128:\n  allowed: 0 inside, 1 around\n    2001:db8::/32  {written}\n  kept out \
                 already: 0 inside, 1 around\n    2001:db8:0:1::/64  banned by the machine, until \
                 2026-11-22T08:15:00Z\n  open connections: 1 of web\n"
            ),
        ),
        ("192.0.2.0/24", "under 192.0.2.0/24: nothing\n".to_owned()),
    ] {
        assert_eq!(shown(asked), expected, "{asked}");
    }
}

#[test]
fn of_much_the_first_are_named() {
    let mut inquiry = inquiry(&["10.0.0.0/8", "10.0.1.0/24"]);
    let many: Vec<IpNet> = (0..100).map(|last| IpNet::from(IpAddr::from([10, 0, 0, last]))).collect();
    let policy = Policy { allow: samples::entries(&many), ..Policy::clone(&inquiry.policy) };
    inquiry.configured = Arc::new(policy);
    inquiry.used = many.iter().map(|prefix| (prefix.addr(), Duration::ZERO)).collect();
    let [all, nothing] = <[UnderPrefix; 2]>::try_from(inquiry.look()).unwrap();
    assert_eq!((all.allowed.inside, all.allowed.first.len()), (100, 20));
    assert_eq!((all.let_in.count, all.let_in.latest.len()), (100, 20));
    assert_eq!(all.to_string().matches("    and 80 more\n").count(), 2);
    assert_eq!(nothing.to_string(), "under 10.0.1.0/24: nothing\n");
}

#[test]
fn a_block_of_many_hosts_says_how_much_lies_under_it() {
    let wide = |text: &str| is_wide(&text.parse().unwrap());
    for (prefix, expected) in
        [("10.0.0.0/31", true), ("10.0.0.0/32", false), ("2001:db8::/63", true), ("2001:db8::/64", false)]
    {
        assert_eq!(wide(prefix), expected, "{prefix}");
    }
    assert_eq!(
        inquiry(&["203.0.113.0/24", "192.0.2.0/24", "10.0.0.0/31"]).warnings(),
        [
            "under 203.0.113.0/24 lie: 2 allowed entries, 1 grant, 1 trusted entry, 2 sources let in lately, 5 open \
             connections",
            "under 10.0.0.0/31 lie: 1 source let in lately",
        ]
    );
    let many: Vec<String> = (0..30).map(|third| format!("10.0.{third}.0/24")).collect();
    let mut inquiry = inquiry(&many.iter().map(String::as_str).collect::<Vec<_>>());
    inquiry.used = (0..30).map(|third| (IpAddr::from([10, 0, third, 1]), Duration::ZERO)).collect();
    let warnings = inquiry.warnings();
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[20], "something lies under 10 more of the prefixes");
}

#[test]
fn what_is_sent_is_what_is_read() {
    let under = inquiry(&["203.0.113.0/24"]).answer(Pid::this());
    let text = serde_json::to_string(&under).unwrap();
    assert_eq!(serde_json::from_str::<Under>(&text).unwrap(), under);
    let shown = under.to_string();
    assert!(shown.contains("failsafe ports, closed as well to who is blocked: tcp/22\n"), "{shown}");
    assert!(shown.ends_with("since 2026-11-22T07:00:00Z\nnothing is changed"), "{shown}");
}
