//! Which packets are held to which limits.

use guard_common::{
    limits::Limits,
    packet::{Fragment, Packet, tcp_flag},
    policy::{Decision, Reason},
};

use crate::{
    model::{
        FAILSAFE_PORT, Family, LIMITS, Model, OTHER_PORT, SERVICE_PORT,
        Source::{Denied, Listed, Office, Peer, Stranger, Trusted, TrustedStranger},
        TCP_SERVICE_PORT, refusal,
    },
    opened::{IDENTIFIER, LOCAL_PORT, REMOTE_PORT, reversed},
};

/// A packet, with what it quotes if it is an error, and the limits it is held to where the default is to drop and to pass.
struct Case {
    name: &'static str,
    packet: Packet,
    quoted: Option<Packet>,
    if_dropped: Option<Limits>,
    if_passed: Option<Limits>,
}

fn case(name: &'static str, packet: Packet, if_dropped: Option<Limits>, if_passed: Option<Limits>) -> Case {
    Case { name, packet, quoted: None, if_dropped, if_passed }
}

fn always(name: &'static str, packet: Packet, limits: Option<Limits>) -> Case {
    case(name, packet, limits, limits)
}

/// An error of a stranger about what the host sent, which somebody would answer with `answer`.
fn error(family: Family, name: &'static str, answer: Packet, if_dropped: bool, if_passed: bool) -> Case {
    let held = |it: bool| it.then_some(Limits::Errors);
    let error = family.control(Stranger, family.error_types()[0]);
    Case { quoted: Some(reversed(&answer)), ..case(name, error, held(if_dropped), held(if_passed)) }
}

const FIRST: Option<Limits> = Some(Limits::Service(1));
const SECOND: Option<Limits> = Some(Limits::Service(2));
const ECHO: Option<Limits> = Some(Limits::Echo);

fn cases(family: Family) -> Vec<Case> {
    let data = |packet: Packet| Packet { tcp_flags: tcp_flag::ACK, ..packet };
    let from_server = |packet: Packet| Packet { source_port: REMOTE_PORT, ..data(packet) };
    let fragment = |fragment: Fragment, packet: Packet| Packet { fragment, ..packet };
    vec![
        always("SYN to a service", family.tcp(Listed, SERVICE_PORT), FIRST),
        always("data to a service", data(family.tcp(Listed, SERVICE_PORT)), FIRST),
        always("UDP to a service", family.udp(Listed, SERVICE_PORT), FIRST),
        always("from its own client", family.tcp(Office, SERVICE_PORT), FIRST),
        always("second service", family.tcp(Listed, TCP_SERVICE_PORT), SECOND),
        always("first fragment", fragment(Fragment::First, family.udp(Listed, SERVICE_PORT)), FIRST),
        always("later fragment", fragment(Fragment::Later, family.packet(Listed)), None),
        always("stranger to a service", family.tcp(Stranger, SERVICE_PORT), None),
        always("denied, to a service", family.tcp(Denied, SERVICE_PORT), None),
        always("trusted, to a service", family.tcp(Trusted, SERVICE_PORT), None),
        always("trusted stranger, to a service", family.tcp(TrustedStranger, SERVICE_PORT), None),
        always("answer to a service's port", from_server(family.tcp(Peer, SERVICE_PORT)), None),
        always("answer to another port", from_server(family.tcp(Peer, LOCAL_PORT)), None),
        always("failsafe port", family.tcp(Listed, FAILSAFE_PORT), None),
        always("other port", family.tcp(Listed, OTHER_PORT), None),
        always("without ports", family.packet(Listed), None),
        always("echo request", family.echo_request(Listed), ECHO),
        always("echo request of a service's client", family.echo_request(Office), ECHO),
        always("echo request, first fragment", fragment(Fragment::First, family.echo_request(Listed)), ECHO),
        case("echo request of a stranger", family.echo_request(Stranger), None, ECHO),
        always("echo request of a trusted source", family.echo_request(Trusted), None),
        always("echo request of a trusted stranger", family.echo_request(TrustedStranger), None),
        always("echo request of a denied source", family.echo_request(Denied), None),
        always("echo reply", family.echo_reply(Listed, IDENTIFIER), None),
        always("echo reply to an own request", family.echo_reply(Peer, IDENTIFIER), None),
        error(family, "error for a service's client", family.tcp(Listed, SERVICE_PORT), true, true),
        error(family, "error for a trusted client", family.tcp(Trusted, SERVICE_PORT), true, true),
        error(family, "error for the failsafe port", family.tcp(Stranger, FAILSAFE_PORT), true, true),
        error(family, "error for an own flow", family.echo_reply(Peer, IDENTIFIER), true, true),
        error(family, "error for another port", family.tcp(Stranger, OTHER_PORT), false, true),
        error(family, "error about an answered ping", family.echo_request(Listed), true, true),
        error(family, "error that is refused", family.tcp(Stranger, SERVICE_PORT), false, false),
        Case {
            packet: family.control(Trusted, family.error_types()[0]),
            ..error(family, "error of a trusted router", family.tcp(Listed, SERVICE_PORT), false, false)
        },
    ]
}

fn each_case(check: impl Fn(&str, Model, &Packet, Option<Limits>)) {
    for family in Family::BOTH {
        for case in cases(family) {
            for (passes_by_default, limits) in [(false, case.if_dropped), (true, case.if_passed)] {
                let name = format!("{}, {family:?}, default pass {passes_by_default}", case.name);
                check(&name, Model::new(passes_by_default).quoting(case.quoted), &case.packet, limits);
            }
        }
    }
}

#[test]
fn a_packet_that_would_pass_is_held_to_the_limits_for_its_kind() {
    each_case(|name, model, packet, limits| {
        let unlimited = model.decide(packet);
        let model = model.limited(&[]);
        assert_eq!(model.decide(packet), unlimited, "{name}: limits that agree change nothing");
        assert_eq!(*model.charged.borrow(), Vec::from_iter(limits), "{name}");
    });
}

#[test]
fn a_packet_that_its_limits_refuse_is_dropped_for_that() {
    each_case(|name, model, packet, limits| {
        let unlimited = model.decide(packet);
        let reason = limits.map_or(unlimited.reason, refusal);
        let decision = model.clone().limited(&LIMITS).decide(packet);
        assert_eq!(decision, Decision { reason, ..unlimited }, "{name}");
        let others: Vec<_> = LIMITS.into_iter().filter(|&other| Some(other) != limits).collect();
        assert_eq!(model.limited(&others).decide(packet), unlimited, "{name}: others refuse");
    });
}

#[test]
fn limits_that_there_are_not_are_not_asked() {
    each_case(|name, model, packet, _| {
        // The model refuses to be asked.
        model.decide(packet);
        assert!(model.charged.borrow().is_empty(), "{name}");
    });
}

#[test]
fn trust_lets_nobody_in() {
    for family in Family::BOTH {
        let model = Model::new(false).limited(&[]);
        for port in [SERVICE_PORT, OTHER_PORT] {
            assert_eq!(model.reason(&family.tcp(TrustedStranger, port)), Reason::NotAllowed, "{family:?}, port {port}");
        }
    }
}
