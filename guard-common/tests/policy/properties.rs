//! Properties of decisions.

use std::collections::BTreeMap;

use guard_common::{
    address::Address,
    essential::is_essential,
    packet::{Fragment, Packet, protocol, tcp_flag},
    policy::{Ban, Reason, Set, Verdict},
    timed::EVERY_SERVICE,
};
use proptest::{prelude::*, sample::select, strategy::ValueTree as _, test_runner::TestRunner};

use crate::{
    model::{FAILSAFE_PORT, Family, LIMITS, Model, OTHER_PORT, SERVICE_PORT, Source, TCP_SERVICE_PORT, address},
    opened::{IDENTIFIER, LOCAL_PORT, REMOTE_PORT, reversed},
    rules::expected,
};

const SOURCES: [Source; 16] = [
    Source::Stranger,
    Source::Listed,
    Source::Office,
    Source::Denied,
    Source::DeniedAndListed,
    Source::Own,
    Source::OwnAndDenied,
    Source::Peer,
    Source::DeniedPeer,
    Source::Trusted,
    Source::TrustedStranger,
    Source::Banned,
    Source::Offender,
    Source::TrustedOffender,
    Source::Guest,
    Source::FirstGuest,
];

fn addresses() -> impl Strategy<Value = Address> {
    let known = SOURCES.into_iter().flat_map(|source| Family::BOTH.map(|family| family.packet(source).source));
    let odd = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1"].map(address);
    prop_oneof![
        4 => select(known.collect::<Vec<_>>()),
        2 => select(odd.to_vec()),
        1 => any::<(u64, u64)>().prop_map(|(high, low)| Address { high, low }),
    ]
}

fn ports() -> impl Strategy<Value = u16> {
    let known = [SERVICE_PORT, TCP_SERVICE_PORT, FAILSAFE_PORT, OTHER_PORT, LOCAL_PORT, REMOTE_PORT, 67, 68, 546, 547];
    prop_oneof![4 => select(known.to_vec()), 1 => any::<u16>()]
}

fn protocols() -> impl Strategy<Value = u8> {
    let known =
        [protocol::TCP, protocol::TCP, protocol::UDP, protocol::UDP, protocol::ICMP, protocol::ICMPV6, protocol::IGMP];
    prop_oneof![4 => select(known.to_vec()), 1 => any::<u8>()]
}

/// Any packet, also one that the parser would never hand on.
fn packets() -> impl Strategy<Value = Packet> {
    let fragments = select(vec![Fragment::Whole, Fragment::Whole, Fragment::First, Fragment::Later]);
    let hop_limits = prop_oneof![Just(1), Just(255), any::<u8>()];
    let versions = prop_oneof![8 => select(vec![4, 6]), 1 => any::<u8>()];
    let message_types = prop_oneof![130..=143_u8, select(vec![0, 1, 2, 3, 4, 8, 11, 12, 128, 129]), any::<u8>()];
    let details = prop_oneof![Just(IDENTIFIER), any::<u16>()];
    (
        [addresses(), addresses()],
        [ports(), ports()],
        (versions, protocols(), hop_limits, fragments),
        (any::<u8>(), message_types, details, any::<u32>(), any::<[u32; 2]>()),
    )
        .prop_map(|(addresses, ports, (version, protocol, hop_limit, fragment), facts)| {
            let (tcp_flags, message_type, detail, length, [tcp_sequence, tcp_acknowledgment]) = facts;
            Packet {
                source: addresses[0],
                destination: addresses[1],
                length,
                source_port: ports[0],
                destination_port: ports[1],
                version,
                protocol,
                hop_limit,
                tcp_flags,
                message_type,
                fragment,
                detail,
                tcp_sequence,
                tcp_acknowledgment,
            }
        })
}

/// Packets that come from somebody known to the host itself, as most do, half of them as stacks send them; and any.
fn questions() -> BoxedStrategy<Packet> {
    let known = [SOURCES.to_vec(), vec![Source::Peer, Source::Listed, Source::Office, Source::Stranger]].concat();
    let to_host = (packets(), select(Family::BOTH.to_vec()), select(known)).prop_map(|(packet, family, source)| {
        let Packet { source, destination, version, .. } = family.packet(source);
        let protocol = if matches!(packet.protocol, protocol::ICMP | protocol::ICMPV6) {
            family.control_protocol()
        } else {
            packet.protocol
        };
        Packet { source, destination, version, protocol, ..packet }
    });
    // Unboxed, strategies of strategies overflow a test's stack.
    let to_host = to_host.boxed();
    let local_ports = select(vec![LOCAL_PORT, SERVICE_PORT, TCP_SERVICE_PORT]);
    let flags = select(vec![tcp_flag::SYN, tcp_flag::ACK, tcp_flag::RST, tcp_flag::FIN | tcp_flag::ACK]);
    let usual = (to_host.clone(), local_ports, flags, 0..7_usize).prop_map(|(packet, port, tcp_flags, nth)| Packet {
        source_port: REMOTE_PORT,
        destination_port: port,
        tcp_flags,
        message_type: if packet.version == 4 { [0, 8, 3, 11, 12, 8, 0][nth] } else { [129, 128, 1, 2, 3, 4, 128][nth] },
        ..packet
    });
    let of_the_link = to_host.clone().prop_map(|packet| match packet.version {
        4 => Packet { protocol: protocol::UDP, source_port: 67, destination_port: 68, ..packet },
        _ => Packet { protocol: protocol::ICMPV6, message_type: 135, hop_limit: 255, ..packet },
    });
    prop_oneof![6 => usual.boxed(), 6 => to_host, 2 => packets().boxed(), 1 => of_the_link.boxed()].boxed()
}

/// What an error may quote: what was sent to the source of a question, mostly by the host, or nothing.
fn quotes() -> impl Strategy<Value = Option<Packet>> {
    prop::option::weighted(0.9, questions().prop_map(|answer| reversed(&answer)))
}

fn models() -> impl Strategy<Value = Model> {
    (select([false, true].map(Model::new).to_vec()), quotes()).prop_map(|(model, quoted)| model.quoting(quoted))
}

fn limited_models() -> impl Strategy<Value = Model> {
    (models(), prop::sample::subsequence(LIMITS.to_vec(), 0..=LIMITS.len()))
        .prop_map(|(model, refusing)| model.limited(&refusing))
}

/// Returns the sources on which it may depend whether a packet passes.
fn judged(packet: &Packet, model: &Model) -> Vec<Address> {
    let quoted = model.quoted.filter(|_| packet.is_error());
    [packet.source].into_iter().chain(quoted.map(|quoted| quoted.destination)).collect()
}

/// Random packets are worth something only if many of them get through to each reason.
#[test]
fn every_reason_is_reached() {
    let mut runner = TestRunner::deterministic();
    let questions = (questions(), limited_models());
    let mut reached = BTreeMap::new();
    for _ in 0..10_000 {
        let (packet, model) = questions.new_tree(&mut runner).expect("no strategy here rejects anything").current();
        *reached.entry(model.reason(&packet).name()).or_insert(0) += 1;
    }
    println!("{reached:?}");
    // The model's limits refuse for one reason each.
    let unreachable = [Reason::NotIp, Reason::RateBytes, Reason::Connections];
    for reason in Reason::ALL.into_iter().filter(|reason| !unreachable.contains(reason)) {
        assert!(reached.get(reason.name()).is_some_and(|&times| times >= 10), "{reason:?} is rare: {reached:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn the_first_rule_wins(packet in questions(), model in limited_models()) {
        prop_assert_eq!(model.decide(&packet), expected(&model, &packet));
    }

    #[test]
    fn errors_are_what_they_quote(
        packet in questions(),
        model in limited_models(),
        (family, router, nth) in (select(Family::BOTH.to_vec()), select(SOURCES.to_vec()), 0..3_usize),
    ) {
        let error = family.control(router, family.error_types()[nth]);
        let quoted = reversed(&Packet { version: error.version, destination: error.destination, ..packet });
        let model = model.quoting(Some(quoted));
        prop_assert_eq!(model.decide(&error), expected(&model, &error));
    }

    #[test]
    fn a_denied_source_passes_only_with_what_is_essential(packet in questions(), model in limited_models()) {
        for source in judged(&packet, &model) {
            let decision = model.clone().with(Set::Deny, source).decide(&packet);
            prop_assert!(decision.reason.verdict() == Verdict::Drop || decision.reason == Reason::Essential);
            prop_assert_eq!(decision.reason == Reason::Essential, is_essential(&packet) && decision.reason != Reason::Malformed);
        }
    }

    #[test]
    fn a_source_in_no_set_is_never_allowed(packet in questions(), mut model in models()) {
        let judged = judged(&packet, &model);
        model.members.retain(|(set, member)| *set == Set::Deny || !judged.contains(member));
        model.grants.retain(|(_, guest)| !judged.contains(guest));
        prop_assert_ne!(model.reason(&packet), Reason::Allowed);
    }

    #[test]
    fn without_flows_there_are_no_replies(packet in questions(), mut model in models()) {
        model.opened.clear();
        prop_assert_ne!(model.reason(&packet), Reason::Reply);
    }

    #[test]
    fn the_default_opens_what_is_no_services(packet in questions(), quoted in quotes()) {
        let decide = |passes_by_default| Model::new(passes_by_default).quoting(quoted).decide(&packet);
        let (dropping, passing) = (decide(false), decide(true));
        prop_assert!(passing == dropping || passing.reason == Reason::Default && passing.service == 0);
        prop_assert_ne!(dropping.reason, Reason::Default);
    }

    #[test]
    fn one_more_allowed_source_closes_nothing(packet in questions(), model in models(), source in addresses()) {
        let before = model.reason(&packet).verdict();
        for set in [Set::Allow, Set::Service(1), Set::Service(2)] {
            let after = model.clone().with(set, source).reason(&packet).verdict();
            prop_assert!(after == before || after == Verdict::Pass && judged(&packet, &model).contains(&source));
        }
    }

    #[test]
    fn a_source_banned_by_hand_passes_only_with_what_is_essential(packet in questions(), model in limited_models()) {
        for source in judged(&packet, &model) {
            let decision = model.clone().with_ban(Ban::ByHand, source).decide(&packet);
            prop_assert!(decision.reason.verdict() == Verdict::Drop || decision.reason == Reason::Essential);
        }
    }

    #[test]
    fn a_ban_by_machine_is_one_by_hand_but_for_the_trusted_and_for_failsafe_ports(
        packet in questions(),
        model in models(),
        source in addresses(),
    ) {
        let decide = |ban| model.clone().with_ban(ban, source).decide(&packet);
        let (by_machine, without) = (decide(Ban::ByMachine), decide(Ban::None));
        prop_assert!(by_machine == without || by_machine == decide(Ban::ByHand));
        prop_assert_eq!(model.clone().with(Set::Trusted, source).with_ban(Ban::ByMachine, source).decide(&packet), without);
        prop_assert!(without.reason != Reason::Failsafe || !packet.has_ports() || by_machine == without);
    }

    #[test]
    fn one_more_ban_opens_nothing(packet in questions(), model in models(), source in addresses()) {
        let before = model.clone().with_ban(Ban::None, source).reason(&packet).verdict();
        for ban in [Ban::ByHand, Ban::ByMachine] {
            let after = model.clone().with_ban(ban, source).reason(&packet).verdict();
            prop_assert!(after == before || after == Verdict::Drop && judged(&packet, &model).contains(&source));
        }
    }

    #[test]
    fn one_more_grant_does_what_one_more_entry_does(packet in questions(), model in limited_models(), source in addresses()) {
        for (service, set) in [(EVERY_SERVICE, Set::Allow), (1, Set::Service(1)), (2, Set::Service(2))] {
            let granted = model.clone().with_grant(service, source).decide(&packet);
            prop_assert_eq!(granted, model.clone().with(set, source).decide(&packet));
        }
    }

    #[test]
    fn one_more_denied_source_opens_nothing(packet in questions(), model in models(), source in addresses()) {
        let before = model.reason(&packet).verdict();
        let judged = judged(&packet, &model);
        let after = model.with(Set::Deny, source).reason(&packet).verdict();
        prop_assert!(after == before || after == Verdict::Drop && judged.contains(&source));
    }
}
