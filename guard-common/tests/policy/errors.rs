//! ICMP errors: judged by the packet that they quote, reversed.

use guard_common::{
    packet::{Fragment, Packet},
    policy::{Decision, Reason},
};

use crate::{
    expected::{Expected, always, by_default_or},
    model::{
        FAILSAFE_PORT, Family, Model, OTHER_PORT, SERVICE_PORT,
        Source::{self, Denied, DeniedPeer, Listed, Office, Own, OwnAndDenied, Peer, Stranger},
        TCP_SERVICE_PORT, address,
    },
    opened::{IDENTIFIER, LOCAL_PORT, REMOTE_PORT, reversed},
};

/// Asks about each error type of a router, in a whole packet and in a first fragment.
fn check(table: &str, router: Source, cases: impl Fn(Family) -> Vec<(&'static str, Option<Packet>, Expected)>) {
    for family in Family::BOTH {
        for (name, quoted, (service, if_dropped, if_passed)) in cases(family) {
            for (passes_by_default, reason) in [(false, if_dropped), (true, if_passed)] {
                let model = Model::new(passes_by_default).quoting(quoted);
                for &message_type in family.error_types() {
                    for fragment in [Fragment::Whole, Fragment::First] {
                        let error = Packet { fragment, ..family.control(router, message_type) };
                        let case = format!("{table}, {family:?}, default pass {passes_by_default}: {name}");
                        let decision = model.decide(&error);
                        assert_eq!(decision, Decision { service, reason }, "{case}, type {message_type}, {fragment:?}");
                    }
                }
            }
        }
    }
}

/// Returns a packet that the host sent, which somebody would answer with `answer`.
fn sent(answer: Packet) -> Option<Packet> {
    Some(reversed(&answer))
}

#[test]
fn errors_about_what_a_service_sent_follow_its_lists() {
    check("service", Stranger, |family| {
        vec![
            ("to a listed client", sent(family.tcp(Listed, SERVICE_PORT)), always(1, Reason::Allowed)),
            ("to a listed client, UDP", sent(family.udp(Listed, SERVICE_PORT)), always(1, Reason::Allowed)),
            ("to its own client", sent(family.tcp(Office, SERVICE_PORT)), always(1, Reason::Allowed)),
            ("to another service's client", sent(family.tcp(Office, TCP_SERVICE_PORT)), always(2, Reason::NotAllowed)),
            ("to a stranger", sent(family.tcp(Stranger, SERVICE_PORT)), always(1, Reason::NotAllowed)),
            ("to a stranger, UDP", sent(family.udp(Stranger, SERVICE_PORT)), always(1, Reason::NotAllowed)),
            ("to a denied source", sent(family.tcp(Denied, SERVICE_PORT)), always(1, Reason::Blocked)),
        ]
    });
}

#[test]
fn errors_about_other_ports_follow_the_rules_for_them() {
    check("other ports", Stranger, |family| {
        vec![
            ("failsafe port", sent(family.tcp(Stranger, FAILSAFE_PORT)), always(0, Reason::Failsafe)),
            ("failsafe port, denied", sent(family.tcp(Denied, FAILSAFE_PORT)), always(0, Reason::Blocked)),
            ("other port", sent(family.tcp(Stranger, OTHER_PORT)), by_default_or(Reason::NotAllowed)),
            ("other port, listed", sent(family.udp(Listed, OTHER_PORT)), by_default_or(Reason::Allowed)),
            ("GRE", sent(family.packet(Stranger)), by_default_or(Reason::NotAllowed)),
            ("GRE, of a service alone", sent(family.packet(Office)), by_default_or(Reason::Allowed)),
            ("an answer to a ping", sent(family.echo_request(Listed)), by_default_or(Reason::Allowed)),
            ("an answer to a stranger's ping", sent(family.echo_request(Stranger)), by_default_or(Reason::NotAllowed)),
        ]
    });
}

#[test]
fn errors_about_own_flows_pass_from_routers_that_no_list_names() {
    check("own flows", Stranger, |family| {
        let at = |port: u16, packet: Packet| sent(Packet { source_port: port, ..packet });
        let service = |reason| always(1, reason);
        vec![
            ("TCP", at(REMOTE_PORT, family.tcp(Peer, LOCAL_PORT)), by_default_or(Reason::Reply)),
            ("UDP", at(REMOTE_PORT, family.udp(Peer, LOCAL_PORT)), by_default_or(Reason::Reply)),
            ("TCP from a service's port", at(REMOTE_PORT, family.tcp(Peer, SERVICE_PORT)), service(Reason::Reply)),
            ("UDP from a service's port", at(REMOTE_PORT, family.udp(Peer, SERVICE_PORT)), service(Reason::NotAllowed)),
            ("echo", sent(family.echo_reply(Peer, IDENTIFIER)), by_default_or(Reason::Reply)),
            ("echo, other identifier", sent(family.echo_reply(Peer, 8)), by_default_or(Reason::NotAllowed)),
            ("GRE", sent(family.packet(Peer)), by_default_or(Reason::Reply)),
            ("other port there", at(444, family.tcp(Peer, LOCAL_PORT)), by_default_or(Reason::NotAllowed)),
            ("other port here", at(REMOTE_PORT, family.tcp(Peer, OTHER_PORT)), by_default_or(Reason::NotAllowed)),
            ("nobody's", at(REMOTE_PORT, family.tcp(Stranger, LOCAL_PORT)), by_default_or(Reason::NotAllowed)),
            ("a denied peer's", at(REMOTE_PORT, family.tcp(DeniedPeer, LOCAL_PORT)), always(0, Reason::Blocked)),
        ]
    });
}

#[test]
fn errors_about_fragments_are_judged_as_fragments() {
    check("fragments", Stranger, |family| {
        let first = |packet: Packet| sent(Packet { fragment: Fragment::First, ..packet });
        let later = |source: Source, protocol: u8| {
            sent(Packet { protocol, fragment: Fragment::Later, ..family.packet(source) })
        };
        let udp = family.udp(Stranger, 0).protocol;
        vec![
            ("first, of a service", first(family.udp(Listed, SERVICE_PORT)), always(1, Reason::Allowed)),
            ("first, of a service, stranger", first(family.udp(Stranger, SERVICE_PORT)), always(1, Reason::NotAllowed)),
            ("later, listed", later(Listed, udp), by_default_or(Reason::Allowed)),
            ("later, own flow", later(Peer, udp), by_default_or(Reason::Reply)),
            ("later, stranger", later(Stranger, udp), by_default_or(Reason::Fragment)),
        ]
    });
}

#[test]
fn errors_about_what_never_was_are_dropped() {
    let elsewhere = |family: Family| Packet { source: family.packet(Source::Own).source, ..family.packet(Stranger) };
    check("never sent", Stranger, |family| {
        let to = |destination: &str| sent(Packet { source: address(destination), ..family.tcp(Listed, FAILSAFE_PORT) });
        let mut cases = vec![
            ("no packet", None, always(0, Reason::Malformed)),
            ("from another address", Some(elsewhere(family)), always(0, Reason::Spoofed)),
            ("to an own address", sent(family.tcp(Own, SERVICE_PORT)), always(1, Reason::Spoofed)),
            ("to an own address, failsafe", sent(family.tcp(Own, FAILSAFE_PORT)), always(0, Reason::Spoofed)),
            (
                "to an own address that is denied",
                sent(family.tcp(OwnAndDenied, OTHER_PORT)),
                always(0, Reason::Spoofed),
            ),
        ];
        let impossible = match family {
            Family::V4 => ["127.0.0.1", "0.0.0.0"],
            Family::V6 => ["::1", "::ffff:192.0.2.2"],
        };
        cases.extend(impossible.map(|destination| (destination, to(destination), always(0, Reason::Spoofed))));
        cases
    });
}

#[test]
fn who_sends_an_error_is_screened_too() {
    let allowed =
        |family: Family| vec![("own flow", sent(family.echo_reply(Peer, IDENTIFIER)), by_default_or(Reason::Reply))];
    check("listed router", Listed, allowed);
    let refused = |reason| {
        move |family: Family| vec![("listed client", sent(family.tcp(Listed, SERVICE_PORT)), always(0, reason))]
    };
    check("denied router", Denied, refused(Reason::Blocked));
    check("own address", Own, refused(Reason::Spoofed));
}

#[test]
fn a_listed_source_may_not_send_any_error() {
    check("listed router", Listed, |family| {
        vec![
            ("to a stranger", sent(family.tcp(Stranger, SERVICE_PORT)), always(1, Reason::NotAllowed)),
            ("no packet", None, always(0, Reason::Malformed)),
        ]
    });
}

#[test]
fn other_messages_are_judged_by_their_source() {
    for family in Family::BOTH {
        for message_type in (0..=u8::MAX).filter(|it| !family.error_types().contains(it)) {
            for (source, expected) in [(Stranger, Reason::NotAllowed), (Listed, Reason::Allowed)] {
                // The model refuses to be asked for a quote.
                let reason = Model::new(false).reason(&family.control(source, message_type));
                assert_eq!(reason, expected, "{family:?}, type {message_type}, {source:?}");
            }
        }
        for &message_type in family.error_types() {
            let later = Packet { fragment: Fragment::Later, message_type: 0, ..family.control(Stranger, message_type) };
            assert_eq!(Model::new(false).reason(&later), Reason::Fragment, "{family:?}, later fragment");
            // The same numbers mean something else, or nothing, in the other version's protocol.
            let foreign = Packet { protocol: family.by_version(58, 1), ..family.control(Listed, message_type) };
            assert_eq!(Model::new(false).reason(&foreign), Reason::Allowed, "{family:?}, the other version's protocol");
        }
    }
}
