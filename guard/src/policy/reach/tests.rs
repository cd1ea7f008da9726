mod decisions;

use std::time::Instant;

use super::*;
use crate::{
    policy::Protocol,
    samples::{self, port, prefixes, service},
};

const NOW: Duration = Duration::from_secs(1_000);

fn timed(effect: Effect, prefix: &str, ends_s: u64) -> Timed {
    let origin = Origin::Variable { name: "TEST".into(), item: None };
    Timed { effect, prefix: prefix.parse().unwrap(), ends: Duration::from_secs(ends_s), origin, comment: None }
}

fn grant(services: &[&str], prefix: &str, ends_s: u64) -> Timed {
    timed(Effect::Grant { services: services.iter().map(|&name| name.to_owned()).collect() }, prefix, ends_s)
}

/// `web` has tcp/3000 and lets in an office; `dns` has udp/53 and only watches. Port 22 is failsafe.
fn policy(default: DefaultVerdict) -> Policy {
    let services = vec![
        service("web", &[port(Protocol::Tcp, 3000)], Mode::Enforce, &prefixes(&["192.0.2.0/24", "2001:db8:2::/48"])),
        service("dns", &[port(Protocol::Udp, 53)], Mode::Monitor, &[]),
    ];
    let allow = prefixes(&["10.0.0.0/8", "2001:db8:1::/48"]);
    let deny = prefixes(&["10.6.6.0/24", "2001:db8:1:6::/64"]);
    Policy { default, ..samples::policy(&allow, &deny, services) }
}

/// Judges in words: `passes`, or what stands in the way.
fn judge(policy: &Policy, timed: &[Timed], source: &str, port: &str) -> String {
    let (protocol, number) = port.split_once('/').unwrap();
    let protocol = if protocol == "tcp" { Protocol::Tcp } else { Protocol::Udp };
    let reach = Reach { policy, timed, now: NOW };
    match reach.judge(source.parse().unwrap(), samples::port(protocol, number.parse().unwrap())) {
        Judgement::Passes => "passes".to_owned(),
        Judgement::Drops(hindrance) => hindrance.to_string(),
    }
}

/// Its name, the policy and what stands beside it, source and port, and what comes of them.
type Case<'a> = (&'a str, &'a Policy, Vec<Timed>, &'a str, &'a str, &'a str);

#[test]
fn the_first_rule_that_applies_wins() {
    let (drop, pass) = (policy(DefaultVerdict::Drop), policy(DefaultVerdict::Pass));
    let monitored = Policy { mode: Mode::Monitor, ..policy(DefaultVerdict::Drop) };
    let locked = Policy { grants_hold: false, ..policy(DefaultVerdict::Drop) };
    let ban = |prefix| vec![timed(Effect::Ban, prefix, 1_001)];
    let to_all = |prefix| vec![grant(&[], prefix, 1_001)];
    let to_web = |prefix| vec![grant(&["web"], prefix, 1_001)];
    let variable = "environment variable";
    let blocked = format!("10.6.6.0/24 is blocked ({variable} ALLOWED_IPS)");
    let banned = format!("10.0.0.7/32 is banned ({variable} TEST)");
    let (no_web, no_port) =
        ("no entry lets it in to service `web`", "no entry lets it in to a port that no service names");
    let cases: [Case<'_>; 33] = [
        ("listed, to a service", &drop, vec![], "10.0.0.7", "tcp/3000", "passes"),
        ("listed, to another port", &drop, vec![], "10.0.0.7", "tcp/9", "passes"),
        ("listed, IPv6", &drop, vec![], "2001:db8:1::7", "tcp/3000", "passes"),
        ("the office, to its service", &drop, vec![], "192.0.2.7", "tcp/3000", "passes"),
        ("the office, IPv6", &drop, vec![], "2001:db8:2::7", "tcp/3000", "passes"),
        ("the office, to the number of another protocol", &drop, vec![], "192.0.2.7", "udp/3000", no_port),
        ("the office, to another port", &drop, vec![], "192.0.2.7", "tcp/9", no_port),
        ("a stranger, to a service", &drop, vec![], "203.0.113.7", "tcp/3000", no_web),
        ("a stranger, to a service, default pass", &pass, vec![], "203.0.113.7", "tcp/3000", no_web),
        ("a stranger, to another port", &drop, vec![], "203.0.113.7", "tcp/9", no_port),
        ("a stranger, default pass", &pass, vec![], "203.0.113.7", "tcp/9", "passes"),
        ("a stranger, failsafe", &drop, vec![], "203.0.113.7", "tcp/22", "passes"),
        ("a stranger, failsafe of another protocol", &drop, vec![], "203.0.113.7", "udp/22", no_port),
        ("a stranger, to a watched service", &drop, vec![], "203.0.113.7", "udp/53", "passes"),
        ("a stranger, watched everywhere, to another port", &monitored, vec![], "203.0.113.7", "tcp/9", "passes"),
        (
            "a stranger, watched everywhere, to a service that is not",
            &monitored,
            vec![],
            "203.0.113.7",
            "tcp/3000",
            no_web,
        ),
        ("blocked though listed", &drop, vec![], "10.6.6.7", "tcp/3000", &blocked),
        ("blocked, failsafe", &pass, vec![], "10.6.6.7", "tcp/22", &blocked),
        ("blocked, default pass", &pass, vec![], "10.6.6.7", "tcp/9", &blocked),
        ("blocked, to a watched service", &drop, vec![], "10.6.6.7", "udp/53", "passes"),
        ("blocked, failsafe, watched", &monitored, vec![], "10.6.6.7", "tcp/22", "passes"),
        ("banned though listed", &drop, ban("10.0.0.7/32"), "10.0.0.7", "tcp/3000", &banned),
        ("banned, failsafe", &pass, ban("10.0.0.7/32"), "10.0.0.7", "tcp/22", &banned),
        ("banned and blocked", &drop, ban("10.0.0.0/8"), "10.6.6.7", "tcp/22", &blocked),
        ("the ban's neighbour", &drop, ban("10.0.0.7/32"), "10.0.0.8", "tcp/3000", "passes"),
        ("granted, to a service", &drop, to_all("203.0.113.0/24"), "203.0.113.7", "tcp/3000", "passes"),
        ("granted, to another port", &drop, to_all("203.0.113.0/24"), "203.0.113.7", "tcp/9", "passes"),
        ("granted and blocked", &drop, to_all("10.6.6.0/24"), "10.6.6.7", "tcp/3000", &blocked),
        ("granted a service", &drop, to_web("203.0.113.0/24"), "203.0.113.7", "tcp/3000", "passes"),
        ("granted a service, to another port", &drop, to_web("203.0.113.0/24"), "203.0.113.7", "tcp/9", no_port),
        (
            "granted another service",
            &drop,
            vec![grant(&["dns"], "203.0.113.0/24", 1_001)],
            "203.0.113.7",
            "tcp/3000",
            no_web,
        ),
        ("granted, where grants do not hold", &locked, to_all("203.0.113.0/24"), "203.0.113.7", "tcp/3000", no_web),
        ("banned, where grants do not hold", &locked, ban("10.0.0.7/32"), "10.0.0.7", "tcp/22", &banned),
    ];
    for (case, policy, timed, source, port, expected) in cases {
        assert_eq!(judge(policy, &timed, source, port), expected, "{case}");
    }
}

#[test]
fn what_has_ended_counts_for_nothing() {
    let policy = policy(DefaultVerdict::Drop);
    for (ends_s, holds) in [(1_001, true), (1_000, false), (999, false), (0, false)] {
        let ban = judge(&policy, &[timed(Effect::Ban, "10.0.0.7/32", ends_s)], "10.0.0.7", "tcp/22");
        assert_eq!(ban != "passes", holds, "a ban that ends at {ends_s}");
        let grants = [grant(&[], "203.0.113.7/32", ends_s), grant(&["dns"], "203.0.113.0/24", 2_000)];
        assert_eq!(
            judge(&policy, &grants, "203.0.113.7", "tcp/3000") == "passes",
            holds,
            "a grant that ends at {ends_s}"
        );
    }
}

/// A change asks this for each login session, on a thread that may block but not for long.
#[test]
fn a_million_entries_are_looked_at_in_no_time() {
    let addresses =
        (0..1_000_000_u32).map(|number| IpNet::from(IpAddr::from((0x0b00_0000 | number << 3).to_be_bytes())));
    let entries: Vec<IpNet> = addresses.collect();
    let policy = samples::policy(&entries, &entries, vec![]);
    let started = Instant::now();
    let last = entries[entries.len() - 1];
    assert!(judge(&policy, &[], &last.addr().to_string(), "tcp/9").contains("is blocked"));
    assert!(judge(&policy, &[], "203.0.113.7", "tcp/9").contains("no entry"));
    println!("a blocked source and a stranger, a million entries in two lists: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
