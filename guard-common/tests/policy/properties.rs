//! Properties of decisions.

use guard_common::{
    address::Address,
    essential::is_essential,
    packet::{Fragment, Packet, protocol},
    policy::{Facts, Reason, Set, Target, Verdict},
};
use proptest::{prelude::*, sample::select};

use crate::model::{FAILSAFE_PORT, Family, Model, OTHER_PORT, SERVICE_PORT, Source, TCP_SERVICE_PORT, address};

const SOURCES: [Source; 7] = [
    Source::Stranger,
    Source::Listed,
    Source::Office,
    Source::Denied,
    Source::DeniedAndListed,
    Source::Own,
    Source::OwnAndDenied,
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
    let known = [SERVICE_PORT, TCP_SERVICE_PORT, FAILSAFE_PORT, OTHER_PORT, 67, 68, 546, 547];
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
    let message_types = prop_oneof![130..=143_u8, any::<u8>()];
    (
        [addresses(), addresses()],
        [ports(), ports()],
        (versions, protocols(), hop_limits, fragments),
        (any::<u8>(), message_types, any::<u32>()),
    )
        .prop_map(
            |(addresses, ports, (version, protocol, hop_limit, fragment), (tcp_flags, message_type, length))| Packet {
                source: addresses[0],
                destination: addresses[1],
                length,
                source_port: ports[0],
                destination_port: ports[1],
                version,
                protocol,
                hop_limit,
                fragment,
                tcp_flags,
                message_type,
                ..Packet::default()
            },
        )
}

fn models() -> impl Strategy<Value = Model> {
    any::<bool>().prop_map(Model::new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn reasons_hold(packet in packets(), model in models()) {
        let decision = model.decide(&packet);
        let target = if packet.has_ports() {
            model.target(packet.protocol == protocol::TCP, packet.destination_port)
        } else {
            Target::Unnamed
        };
        let is_added = match target {
            Target::Service(service) => model.contains(Set::Service(service), &packet),
            Target::Unnamed if !packet.has_ports() => {
                [Set::Service(1), Set::Service(2)].iter().any(|set| model.contains(*set, &packet))
            }
            Target::Unnamed | Target::Failsafe => false,
        };
        let is_allowed = model.contains(Set::Allow, &packet) || is_added;
        let denied = model.contains(Set::Deny, &packet);
        prop_assert_eq!(decision.service, target.service());
        prop_assert_eq!(decision.reason == Reason::Essential, is_essential(&packet) && decision.reason != Reason::Malformed);
        let holds = match decision.reason {
            Reason::NotIp => false,
            Reason::Essential => is_essential(&packet),
            Reason::Failsafe => target == Target::Failsafe && !denied,
            Reason::Default => target == Target::Unnamed && model.passes_by_default && !denied,
            Reason::Allowed => is_allowed && !denied,
            Reason::Malformed => packet.protocol == protocol::TCP && matches!(target, Target::Service(_)),
            Reason::Spoofed => {
                model.is_own_address(packet.source)
                    || packet.source.is_impossible_source(packet.version)
                    || packet.destination.is_impossible_destination(packet.version)
            }
            Reason::Blocked => denied,
            Reason::Fragment => packet.fragment == Fragment::Later && !is_allowed && !denied,
            Reason::NotAllowed => packet.fragment != Fragment::Later && !is_allowed && !denied,
        };
        prop_assert!(holds, "{:?}", decision);
    }

    #[test]
    fn a_denied_source_passes_only_with_what_is_essential(packet in packets(), model in models()) {
        let decision = model.with(Set::Deny, packet.source).decide(&packet);
        prop_assert!(decision.reason.verdict() == Verdict::Drop || decision.reason == Reason::Essential);
    }

    #[test]
    fn a_source_in_no_set_is_never_allowed(packet in packets(), mut model in models()) {
        model.members.retain(|(set, member)| *set == Set::Deny || *member != packet.source);
        prop_assert_ne!(model.reason(&packet), Reason::Allowed);
    }

    #[test]
    fn the_default_opens_what_is_no_services(packet in packets()) {
        let (dropping, passing) = (Model::new(false).decide(&packet), Model::new(true).decide(&packet));
        prop_assert!(passing == dropping || passing.reason == Reason::Default && passing.service == 0);
        prop_assert_ne!(dropping.reason, Reason::Default);
    }

    #[test]
    fn one_more_allowed_source_closes_nothing(packet in packets(), model in models(), source in addresses()) {
        let before = model.reason(&packet).verdict();
        for set in [Set::Allow, Set::Service(1), Set::Service(2)] {
            let after = model.clone().with(set, source).reason(&packet).verdict();
            prop_assert!(after == before || after == Verdict::Pass && packet.source == source);
        }
    }

    #[test]
    fn one_more_denied_source_opens_nothing(packet in packets(), model in models(), source in addresses()) {
        let before = model.reason(&packet).verdict();
        let after = model.with(Set::Deny, source).reason(&packet).verdict();
        prop_assert!(after == before || after == Verdict::Drop && packet.source == source);
    }
}
