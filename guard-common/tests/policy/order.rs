//! The order of decisions: which rule wins where several apply.

use guard_common::{
    packet::{Fragment, Packet, protocol, tcp_flag},
    policy::{Decision, Reason, Target},
};

use crate::model::{
    FAILSAFE_PORT, Family, Model, OTHER_PORT, SERVICE_PORT,
    Source::{self, Denied, DeniedAndListed, Listed, Office, Own, OwnAndDenied, Stranger},
    TCP_SERVICE_PORT,
};

/// What is expected of a packet: where the default is to drop, and where it is to pass.
struct Expected {
    service: u8,
    if_dropped: Reason,
    if_passed: Reason,
}

const fn of_service(service: u8, reason: Reason) -> Expected {
    Expected { service, if_dropped: reason, if_passed: reason }
}

const fn whatever_the_default(reason: Reason) -> Expected {
    of_service(0, reason)
}

const fn by_default_or(if_dropped: Reason) -> Expected {
    Expected { service: 0, if_dropped, if_passed: Reason::Default }
}

fn check(table: &str, cases: impl Fn(Family) -> Vec<(&'static str, Packet, Expected)>) {
    for family in Family::BOTH {
        for (name, packet, Expected { service, if_dropped, if_passed }) in cases(family) {
            for (passes_by_default, reason) in [(false, if_dropped), (true, if_passed)] {
                let decision = Model::new(passes_by_default).decide(&packet);
                assert_eq!(
                    decision,
                    Decision { service, reason },
                    "{table}, {family:?}, default pass {passes_by_default}: {name}: {packet:?}"
                );
            }
        }
    }
}

#[test]
fn services_are_reached_from_allow_and_their_own_set() {
    check("services", |family| {
        vec![
            ("stranger", family.tcp(Stranger, SERVICE_PORT), of_service(1, Reason::NotAllowed)),
            ("stranger, UDP", family.udp(Stranger, SERVICE_PORT), of_service(1, Reason::NotAllowed)),
            ("stranger, second", family.tcp(Stranger, TCP_SERVICE_PORT), of_service(2, Reason::NotAllowed)),
            ("listed", family.tcp(Listed, SERVICE_PORT), of_service(1, Reason::Allowed)),
            ("listed, UDP", family.udp(Listed, SERVICE_PORT), of_service(1, Reason::Allowed)),
            ("listed, second", family.tcp(Listed, TCP_SERVICE_PORT), of_service(2, Reason::Allowed)),
            ("office", family.tcp(Office, SERVICE_PORT), of_service(1, Reason::Allowed)),
            ("office, UDP", family.udp(Office, SERVICE_PORT), of_service(1, Reason::Allowed)),
            ("office, second", family.tcp(Office, TCP_SERVICE_PORT), of_service(2, Reason::NotAllowed)),
        ]
    });
}

#[test]
fn ports_of_no_service_follow_the_default() {
    check("other ports", |family| {
        vec![
            ("stranger", family.tcp(Stranger, OTHER_PORT), by_default_or(Reason::NotAllowed)),
            ("stranger, UDP", family.udp(Stranger, OTHER_PORT), by_default_or(Reason::NotAllowed)),
            ("listed", family.tcp(Listed, OTHER_PORT), by_default_or(Reason::Allowed)),
            ("of a service alone", family.tcp(Office, OTHER_PORT), by_default_or(Reason::NotAllowed)),
            ("UDP where TCP is a service", family.udp(Stranger, TCP_SERVICE_PORT), by_default_or(Reason::NotAllowed)),
            ("UDP where TCP is failsafe", family.udp(Stranger, FAILSAFE_PORT), by_default_or(Reason::NotAllowed)),
            ("source port of a service", from_port(family, SERVICE_PORT), by_default_or(Reason::NotAllowed)),
            ("source port that is failsafe", from_port(family, FAILSAFE_PORT), by_default_or(Reason::NotAllowed)),
            ("port 0", family.tcp(Stranger, 0), by_default_or(Reason::NotAllowed)),
        ]
    });
}

#[test]
fn failsafe_ports_are_open_to_all_but_the_denied() {
    check("failsafe", |family| {
        vec![
            ("stranger", family.tcp(Stranger, FAILSAFE_PORT), whatever_the_default(Reason::Failsafe)),
            ("listed", family.tcp(Listed, FAILSAFE_PORT), whatever_the_default(Reason::Failsafe)),
            ("denied", family.tcp(Denied, FAILSAFE_PORT), whatever_the_default(Reason::Blocked)),
            ("own address", family.tcp(Own, FAILSAFE_PORT), whatever_the_default(Reason::Spoofed)),
            (
                "first fragment",
                Packet { fragment: Fragment::First, ..family.tcp(Stranger, FAILSAFE_PORT) },
                whatever_the_default(Reason::Failsafe),
            ),
            ("later fragment", later(family.tcp(Stranger, FAILSAFE_PORT)), by_default_or(Reason::Fragment)),
        ]
    });
}

#[test]
fn packets_without_ports_are_let_in_from_any_set() {
    check("without ports", |family| {
        let control = |source: Source| {
            let (protocol, message_type) = match family {
                Family::V4 => (protocol::ICMP, 8),
                Family::V6 => (protocol::ICMPV6, 128),
            };
            Packet { protocol, message_type, ..family.packet(source) }
        };
        let esp = |source: Source| Packet { protocol: protocol::ESP, ..family.packet(source) };
        vec![
            ("stranger, GRE", family.packet(Stranger), by_default_or(Reason::NotAllowed)),
            ("listed, GRE", family.packet(Listed), by_default_or(Reason::Allowed)),
            ("of a service alone, GRE", family.packet(Office), by_default_or(Reason::Allowed)),
            ("denied, GRE", family.packet(Denied), whatever_the_default(Reason::Blocked)),
            ("stranger, ESP", esp(Stranger), by_default_or(Reason::NotAllowed)),
            ("stranger, echo request", control(Stranger), by_default_or(Reason::NotAllowed)),
            ("of a service alone, echo request", control(Office), by_default_or(Reason::Allowed)),
            ("denied, echo request", control(Denied), whatever_the_default(Reason::Blocked)),
            (
                "first fragment of a stranger",
                Packet { fragment: Fragment::First, ..family.packet(Stranger) },
                by_default_or(Reason::NotAllowed),
            ),
        ]
    });
}

#[test]
fn fragments_are_decided_by_what_they_say() {
    check("fragments", |family| {
        let first = |source: Source, port: u16| Packet { fragment: Fragment::First, ..family.tcp(source, port) };
        vec![
            ("first of a stranger", first(Stranger, SERVICE_PORT), of_service(1, Reason::NotAllowed)),
            ("first of a listed source", first(Listed, SERVICE_PORT), of_service(1, Reason::Allowed)),
            ("first of another service's", first(Office, TCP_SERVICE_PORT), of_service(2, Reason::NotAllowed)),
            ("later of a stranger", later(family.udp(Stranger, 0)), by_default_or(Reason::Fragment)),
            ("later of a stranger, GRE", later(family.packet(Stranger)), by_default_or(Reason::Fragment)),
            ("later of a listed source", later(family.udp(Listed, 0)), by_default_or(Reason::Allowed)),
            ("later of a service's", later(family.udp(Office, 0)), by_default_or(Reason::Allowed)),
            ("later of a denied source", later(family.udp(Denied, 0)), whatever_the_default(Reason::Blocked)),
            ("later of an own address", later(family.udp(Own, 0)), whatever_the_default(Reason::Spoofed)),
        ]
    });
}

#[test]
fn deny_beats_every_set_and_port() {
    check("deny", |family| {
        let mut cases = Vec::new();
        for source in [Denied, DeniedAndListed] {
            cases.extend([
                ("service", family.tcp(source, SERVICE_PORT), of_service(1, Reason::Blocked)),
                ("service, UDP", family.udp(source, SERVICE_PORT), of_service(1, Reason::Blocked)),
                ("second service", family.tcp(source, TCP_SERVICE_PORT), of_service(2, Reason::Blocked)),
                ("failsafe port", family.tcp(source, FAILSAFE_PORT), whatever_the_default(Reason::Blocked)),
                ("other port", family.tcp(source, OTHER_PORT), whatever_the_default(Reason::Blocked)),
                ("without ports", family.packet(source), whatever_the_default(Reason::Blocked)),
                ("later fragment", later(family.udp(source, 0)), whatever_the_default(Reason::Blocked)),
            ]);
        }
        cases
    });
}

#[test]
fn the_earlier_rule_wins() {
    check("order", |family| {
        let impossible = |packet: Packet| Packet { tcp_flags: tcp_flag::SYN | tcp_flag::FIN, ..packet };
        vec![
            ("essential before deny", essential(family, Denied), whatever_the_default(Reason::Essential)),
            ("essential before spoofed", essential(family, OwnAndDenied), whatever_the_default(Reason::Essential)),
            ("essential before the default", essential(family, Stranger), whatever_the_default(Reason::Essential)),
            ("spoofed before deny", family.tcp(OwnAndDenied, SERVICE_PORT), of_service(1, Reason::Spoofed)),
            ("spoofed before allow", family.tcp(Own, SERVICE_PORT), of_service(1, Reason::Spoofed)),
            ("spoofed before the default", family.tcp(Own, OTHER_PORT), whatever_the_default(Reason::Spoofed)),
            ("malformed before spoofed", impossible(family.tcp(Own, SERVICE_PORT)), of_service(1, Reason::Malformed)),
            ("malformed before deny", impossible(family.tcp(Denied, SERVICE_PORT)), of_service(1, Reason::Malformed)),
            ("malformed before allow", impossible(family.tcp(Listed, SERVICE_PORT)), of_service(1, Reason::Malformed)),
        ]
    });
}

#[test]
fn packets_count_for_the_service_that_they_are_for() {
    for (target, service) in
        [(Target::Service(1), 1), (Target::Service(63), 63), (Target::Failsafe, 0), (Target::Unnamed, 0)]
    {
        assert_eq!(target.service(), service, "{target:?}");
    }
}

fn later(packet: Packet) -> Packet {
    Packet { fragment: Fragment::Later, source_port: 0, destination_port: 0, tcp_flags: 0, ..packet }
}

fn from_port(family: Family, port: u16) -> Packet {
    Packet { source_port: port, ..family.tcp(Stranger, OTHER_PORT) }
}

/// Returns a packet that a host cannot live without, of whatever source.
fn essential(family: Family, source: Source) -> Packet {
    match family {
        Family::V4 => Packet { source_port: 67, ..family.udp(source, 68) },
        Family::V6 => Packet { protocol: protocol::ICMPV6, hop_limit: 255, message_type: 135, ..family.packet(source) },
    }
}
