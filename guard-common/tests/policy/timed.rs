//! Bans and grants: whom they keep out and let in, and what is stronger.

use guard_common::{
    packet::{Fragment, Packet, protocol, tcp_flag},
    policy::{Ban, Decision, Reason},
};

use crate::{
    expected::{Expected, always, by_default_or},
    model::{
        FAILSAFE_PORT, Family, Model, OTHER_PORT, SERVICE_PORT,
        Source::{
            self, Banned, DeniedAndListed, FirstGuest, Guest, Listed, Offender, OwnAndDenied, Stranger, TrustedOffender,
        },
        TCP_SERVICE_PORT,
    },
    opened::{IDENTIFIER, LOCAL_PORT, REMOTE_PORT, reversed},
};

fn check(table: &str, cases: impl Fn(Family) -> Vec<(&'static str, Packet, Option<Packet>, Expected)>) {
    for family in Family::BOTH {
        for (name, packet, quoted, (service, if_dropped, if_passed)) in cases(family) {
            for (passes_by_default, reason) in [(false, if_dropped), (true, if_passed)] {
                let decision = Model::new(passes_by_default).quoting(quoted).decide(&packet);
                let case = format!("{table}, {family:?}, default pass {passes_by_default}: {name}");
                assert_eq!(decision, Decision { service, reason }, "{case}");
            }
        }
    }
}

fn later(family: Family, source: Source) -> Packet {
    Packet { fragment: Fragment::Later, protocol: protocol::UDP, ..family.packet(source) }
}

/// An answer to a flow that the host has opened to some.
fn answer(family: Family, source: Source) -> Packet {
    Packet { source_port: REMOTE_PORT, tcp_flags: tcp_flag::ACK, ..family.tcp(source, LOCAL_PORT) }
}

/// A router's error about what the host sent to a source, from the port that the source would have answered to.
fn error(family: Family, router: Source, answer: Packet) -> (Packet, Option<Packet>) {
    (family.control(router, family.error_types()[0]), Some(reversed(&answer)))
}

/// What a source sends, whether or not it would pass, and the service that it counts for.
fn everything(family: Family, source: Source) -> Vec<(&'static str, Packet, u8)> {
    vec![
        ("TCP to a service", family.tcp(source, SERVICE_PORT), 1),
        ("UDP to a service", family.udp(source, SERVICE_PORT), 1),
        ("to the second service", family.tcp(source, TCP_SERVICE_PORT), 2),
        ("to another port", family.udp(source, OTHER_PORT), 0),
        ("an answer to an own flow", answer(family, source), 0),
        ("an answer to an own ping", family.echo_reply(source, IDENTIFIER), 0),
        ("echo request", family.echo_request(source), 0),
        ("without ports", family.packet(source), 0),
        ("first fragment", Packet { fragment: Fragment::First, ..family.udp(source, SERVICE_PORT) }, 1),
        ("later fragment", later(family, source), 0),
    ]
}

#[test]
fn a_ban_by_hand_is_stronger_than_all_that_lets_in() {
    check("banned", |family| {
        let mut cases = everything(family, Banned);
        cases.push(("to a failsafe port", family.tcp(Banned, FAILSAFE_PORT), 0));
        cases.into_iter().map(|(name, packet, service)| (name, packet, None, always(service, Reason::Banned))).collect()
    });
}

#[test]
fn a_ban_by_machine_leaves_failsafe_ports_alone() {
    check("offender", |family| {
        let banned = |(name, packet, service)| (name, packet, None, always(service, Reason::Banned));
        let mut cases: Vec<_> = everything(family, Offender).into_iter().map(banned).collect();
        let to_failsafe = family.tcp(Offender, FAILSAFE_PORT);
        let first = Packet { fragment: Fragment::First, ..to_failsafe };
        cases.push(("to a failsafe port", to_failsafe, None, always(0, Reason::Failsafe)));
        cases.push(("first fragment to a failsafe port", first, None, always(0, Reason::Failsafe)));
        cases
    });
}

#[test]
fn a_ban_by_machine_is_not_for_the_trusted() {
    check("trusted offender", |family| {
        vec![
            ("to a service", family.tcp(TrustedOffender, SERVICE_PORT), None, always(1, Reason::Allowed)),
            ("to another port", family.tcp(TrustedOffender, OTHER_PORT), None, by_default_or(Reason::Allowed)),
            ("later fragment", later(family, TrustedOffender), None, by_default_or(Reason::Allowed)),
            ("to a failsafe port", family.tcp(TrustedOffender, FAILSAFE_PORT), None, always(0, Reason::Failsafe)),
        ]
    });
}

#[test]
fn what_is_stronger_than_a_ban_comes_first() {
    check("stronger", |family| {
        let impossible = Packet { tcp_flags: 0, ..family.tcp(Banned, SERVICE_PORT) };
        let needed = match family {
            Family::V4 => Packet { source_port: 67, ..family.udp(Banned, 68) },
            Family::V6 => Packet { hop_limit: 255, ..family.control(Banned, 135) },
        };
        vec![
            ("denied too", family.tcp(DeniedAndListed, SERVICE_PORT), None, always(1, Reason::Blocked)),
            ("an own address", family.tcp(OwnAndDenied, SERVICE_PORT), None, always(1, Reason::Spoofed)),
            ("impossible flags", impossible, None, always(1, Reason::Malformed)),
            ("what the host can't live without", needed, None, always(0, Reason::Essential)),
        ]
    });
}

#[test]
fn errors_are_kept_out_for_who_sends_them_and_for_whom_they_are_about() {
    check("errors", |family| {
        let case = |name, (error, quoted), expected| (name, error, quoted, expected);
        let about = |router, source, port| error(family, router, family.tcp(source, port));
        let own_flow = |router, peer| error(family, router, answer(family, peer));
        vec![
            case("of a banned router", about(Banned, Listed, SERVICE_PORT), always(0, Reason::Banned)),
            case("of an offender", about(Offender, Listed, SERVICE_PORT), always(0, Reason::Banned)),
            case("of a trusted offender", about(TrustedOffender, Listed, SERVICE_PORT), always(1, Reason::Allowed)),
            case("about a banned client", about(Stranger, Banned, SERVICE_PORT), always(1, Reason::Banned)),
            case("about an offender", about(Stranger, Offender, SERVICE_PORT), always(1, Reason::Banned)),
            case(
                "about a trusted offender",
                about(Stranger, TrustedOffender, SERVICE_PORT),
                always(1, Reason::Allowed),
            ),
            case(
                "about a banned source at a failsafe port",
                about(Stranger, Banned, FAILSAFE_PORT),
                always(0, Reason::Banned),
            ),
            case(
                "about an offender at a failsafe port",
                about(Stranger, Offender, FAILSAFE_PORT),
                always(0, Reason::Failsafe),
            ),
            case("about an own flow to a banned peer", own_flow(Stranger, Banned), always(0, Reason::Banned)),
            case("about an own flow to an offender", own_flow(Stranger, Offender), always(0, Reason::Banned)),
            case("about a guest", about(Stranger, Guest, SERVICE_PORT), always(1, Reason::Allowed)),
            case("of a guest, about a stranger", about(Guest, Stranger, SERVICE_PORT), always(1, Reason::NotAllowed)),
            case(
                "about the first's guest",
                about(Stranger, FirstGuest, TCP_SERVICE_PORT),
                always(2, Reason::NotAllowed),
            ),
        ]
    });
}

#[test]
fn a_grant_lets_in_to_what_it_is_for() {
    check("granted", |family| {
        let tcp = |source, port| family.tcp(source, port);
        let gre = |source| family.packet(source);
        let open = by_default_or(Reason::Allowed);
        vec![
            ("every service: the first", tcp(Guest, SERVICE_PORT), None, always(1, Reason::Allowed)),
            ("every service: the second", tcp(Guest, TCP_SERVICE_PORT), None, always(2, Reason::Allowed)),
            ("every service: other port", tcp(Guest, OTHER_PORT), None, open),
            ("every service: without ports", gre(Guest), None, open),
            ("every service: echo request", family.echo_request(Guest), None, open),
            ("every service: later fragment", later(family, Guest), None, open),
            ("every service: failsafe", tcp(Guest, FAILSAFE_PORT), None, always(0, Reason::Failsafe)),
            ("the first: the first", tcp(FirstGuest, SERVICE_PORT), None, always(1, Reason::Allowed)),
            ("the first: by UDP", family.udp(FirstGuest, SERVICE_PORT), None, always(1, Reason::Allowed)),
            ("the first: the second", tcp(FirstGuest, TCP_SERVICE_PORT), None, always(2, Reason::NotAllowed)),
            ("the first: other port", tcp(FirstGuest, OTHER_PORT), None, by_default_or(Reason::NotAllowed)),
            ("the first: without ports", gre(FirstGuest), None, open),
            ("the first: echo request", family.echo_request(FirstGuest), None, open),
            ("the first: later fragment", later(family, FirstGuest), None, open),
        ]
    });
}

#[test]
fn who_is_granted_a_service_is_held_to_its_limits() {
    for family in Family::BOTH {
        let model = Model::new(false).limited(&[guard_common::limits::Limits::Service(1)]);
        for guest in [Guest, FirstGuest] {
            assert_eq!(model.reason(&family.tcp(guest, SERVICE_PORT)), Reason::RatePackets, "{family:?}, {guest:?}");
        }
    }
}

#[test]
fn a_ban_is_as_it_was_made_last() {
    for family in Family::BOTH {
        let packet = family.tcp(Stranger, FAILSAFE_PORT);
        for (ban, expected) in
            [(Ban::ByHand, Reason::Banned), (Ban::ByMachine, Reason::Failsafe), (Ban::None, Reason::Failsafe)]
        {
            assert_eq!(Model::new(false).with_ban(ban, packet.source).reason(&packet), expected, "{family:?}, {ban:?}");
        }
    }
}
