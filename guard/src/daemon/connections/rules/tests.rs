use ipnet::IpNet;

use super::*;
use crate::{
    policy::{ConnectionPolicy, Judgement, Origin, Port, Reach},
    samples::{self, prefixes},
};

const NOW: Duration = Duration::from_secs(1000);

fn tcp(number: u16) -> Port {
    samples::port(Protocol::Tcp, number)
}

/// `web` at two TCP ports, tracked; `dns`, without a TCP port; `trial`, which only monitors.
fn policy() -> Policy {
    let service = |name, ports: &[Port], mode, allow| samples::service(name, ports, mode, &prefixes(allow));
    let mut web = service("web", &[tcp(3000), tcp(3001)], Mode::Enforce, &["192.0.2.0/24", "2001:db8:1::/48"]);
    web.connections = ConnectionPolicy {
        max: NonZeroU32::new(100),
        max_per_source: NonZeroU32::new(20),
        idle_timeout: Some(Duration::from_secs(300)),
        ban: None,
    };
    let dns = service("dns", &[samples::port(Protocol::Udp, 53)], Mode::Enforce, &["0.0.0.0/0"]);
    let trial = service("trial", &[samples::port(Protocol::Udp, 4000), tcp(4000)], Mode::Monitor, &[]);
    let other = service("other", &[tcp(5000)], Mode::Enforce, &["198.51.100.7/32"]);
    let (allow, deny) = (prefixes(&["10.0.0.0/8", "2001:db8::/64"]), prefixes(&["10.1.0.0/16", "192.0.2.9/32"]));
    let trusted = samples::entries(&prefixes(&["10.2.0.0/16"]));
    Policy { trusted, ..samples::policy(&allow, &deny, vec![web, dns, trial, other]) }
}

fn timed(effect: Effect, prefix: &str, ends_s: u64) -> Timed {
    let origin = Origin::Variable { name: "ALLOWED_IPS".into(), item: None };
    let (prefix, ends) = (prefix.parse().unwrap(), Duration::from_secs(ends_s));
    Timed { effect, prefix, ends, origin, comment: None }
}

#[test]
fn what_is_asked_stands_by_service_and_port() {
    let rules = Rules::of(&Arc::new(policy()));
    assert_eq!(
        rules.of_service(1),
        Some(&Rule {
            name: "web".to_owned(),
            port: 3000,
            is_tracked: true,
            is_enforced: true,
            max: Some(100),
            max_per_source: Some(20),
            idle_timeout: Some(Duration::from_secs(300)),
        })
    );
    assert_eq!(rules.of_service(2), None, "without a TCP port");
    assert_eq!(rules.of_service(3).map(|rule| (rule.is_tracked, rule.is_enforced)), Some((false, false)));
    assert_eq!(
        [3000, 3001, 53, 4000, 5000, 6000].map(|port| rules.service_at(port)),
        [Some(1), Some(1), None, Some(3), Some(4), None]
    );
    assert_eq!(rules.ports(), BTreeSet::from([3000, 3001, 4000, 5000]));
    assert_eq!(rules.tracked_ports(), BTreeSet::from([3000, 3001]));
    assert_eq!(rules.detail(), Detail::Silence);
}

#[test]
fn without_a_timeout_silence_is_not_asked_for() {
    let mut policy = policy();
    policy.services[0].connections.idle_timeout = None;
    assert_eq!(Rules::of(&Arc::new(policy)).detail(), Detail::Ends);
}

#[test]
fn trusted_sources_and_services_without_caps_are_not_counted() {
    let rules = Rules::of(&Arc::new(policy()));
    for (source, service, expected) in
        [("10.0.0.1", 1, true), ("10.2.0.1", 1, false), ("10.0.0.1", 4, false), ("10.0.0.1", 9, false)]
    {
        assert_eq!(rules.counts(source.parse().unwrap(), service), expected, "{source} to service {service}");
    }
}

#[test]
fn who_is_let_in_is_who_reaches() {
    let grant =
        |services: &[&str]| Effect::Grant { services: services.iter().map(|name| (*name).to_owned()).collect() };
    let timed = [
        timed(Effect::Ban, "10.3.0.0/16", 1001),
        timed(Effect::Ban, "2001:db8::7/128", 1001),
        timed(Effect::Ban, "10.4.0.0/16", 1000),
        timed(grant(&[]), "203.0.113.0/28", 1001),
        timed(grant(&["web", "dns"]), "203.0.113.16/28", 1001),
        timed(grant(&["other"]), "203.0.113.32/28", 1001),
        timed(grant(&[]), "203.0.113.64/28", 999),
        timed(grant(&["web"]), "192.0.2.9/32", 1001),
    ];
    let sources = [
        "10.0.0.1",
        "10.1.0.1",
        "10.2.0.1",
        "10.3.0.1",
        "10.4.0.1",
        "192.0.2.7",
        "192.0.2.9",
        "198.51.100.7",
        "198.51.100.8",
        "203.0.113.1",
        "203.0.113.17",
        "203.0.113.33",
        "203.0.113.65",
        "2001:db8::1",
        "2001:db8::7",
        "2001:db8:1::1",
        "2001:db8:2::1",
    ];
    let mut let_in = 0;
    for grants_hold in [true, false] {
        let policy = Arc::new(Policy { grants_hold, ..policy() });
        let reach = Reach { policy: &policy, timed: &timed, now: NOW };
        let access = Access::new(&Arc::new(Rules::of(&policy)), &timed, NOW);
        for source in sources.map(|source| source.parse::<IpAddr>().unwrap()) {
            for (service, port) in [(1, 3000), (1, 3001), (3, 4000), (4, 5000)] {
                let expected = reach.judge(source, tcp(port)) == Judgement::Passes;
                assert_eq!(access.lets_in(source, service), expected, "{source} to {port}, grants hold: {grants_hold}");
                let_in += usize::from(expected);
            }
        }
    }
    assert!(let_in > sources.len() && let_in < 7 * sources.len(), "both outcomes are there: {let_in}");
}

#[test]
fn a_service_that_is_not_there_cuts_nobody() {
    let nothing: Vec<IpNet> = Vec::new();
    let policy = Arc::new(samples::policy(&nothing, &nothing, Vec::new()));
    assert!(Access::new(&Arc::new(Rules::of(&policy)), &[], NOW).lets_in("192.0.2.7".parse().unwrap(), 1));
}
