//! The order of decisions, read from the design a second time: a list of rules of which the first that applies wins.

use guard_common::{
    address::Address,
    essential::is_essential,
    limits::Limits,
    packet::{Fragment, Packet, protocol, tcp_flag},
    policy::{Ban, Decision, Facts as _, Reason, Set, Target},
    timed::EVERY_SERVICE,
};

use crate::{
    flags::is_possible,
    model::{Model, refusal},
    opened::reversed,
};

/// What is to be let in: a packet, or what the error is about that quotes one.
struct Subject {
    remote: Address,
    target: Target,
    has_ports: bool,
    is_later: bool,
    is_reply: bool,
}

/// Returns what the design decides.
pub(crate) fn expected(model: &Model, packet: &Packet) -> Decision {
    let subject = if is_error(packet) {
        // To service 0 counts also what quotes nothing.
        model.quoted.map(|quoted| about(model, &quoted))
    } else {
        Some(itself(model, packet))
    };
    let own_target = itself(model, packet).target;
    let is_in = |set: Set, address: Address| model.members.contains(&(set, address));
    let is_banned = |address: Address, target: Target| {
        model.bans.contains(&(Ban::ByHand, address))
            || model.bans.contains(&(Ban::ByMachine, address))
                && target != Target::Failsafe
                && !is_in(Set::Trusted, address)
    };
    let cannot_be = |address: Address| address.is_impossible_source(packet.version) || model.own.contains(&address);
    let screening = [
        (
            matches!(own_target, Target::Service(_))
                && packet.protocol == protocol::TCP
                && !is_possible(packet.tcp_flags),
            Reason::Malformed,
        ),
        (is_essential(packet), Reason::Essential),
        (cannot_be(packet.source) || packet.destination.is_impossible_destination(packet.version), Reason::Spoofed),
        (is_in(Set::Deny, packet.source), Reason::Blocked),
        (is_banned(packet.source, own_target), Reason::Banned),
    ];
    if let Some(reason) = first(screening) {
        return Decision { service: own_target.service(), reason };
    }
    let Some(subject) = subject else { return Decision { service: 0, reason: Reason::Malformed } };
    let Subject { remote, target, has_ports, is_later, is_reply } = subject;
    let never_was =
        is_error(packet) && (cannot_be(remote) || model.quoted.is_some_and(|it| it.source != packet.destination));
    let is_allowed = is_in(Set::Allow, remote)
        || match target {
            Target::Service(service) => is_in(Set::Service(service), remote),
            _ => !has_ports && (is_in(Set::Service(1), remote) || is_in(Set::Service(2), remote)),
        };
    let is_granted = model.grants.iter().any(|&(service, guest)| {
        guest == remote && (service == EVERY_SERVICE || target == Target::Service(service) || !has_ports)
    });
    let admission = [
        (never_was, Reason::Spoofed),
        (is_error(packet) && is_in(Set::Deny, remote), Reason::Blocked),
        (is_error(packet) && is_banned(remote, target), Reason::Banned),
        (target == Target::Failsafe, Reason::Failsafe),
        (target == Target::Unnamed && model.passes_by_default, Reason::Default),
        (is_allowed || is_granted, Reason::Allowed),
        (is_reply, Reason::Reply),
        (is_later, Reason::Fragment),
    ];
    let reason = first(admission).unwrap_or(Reason::NotAllowed);
    let passes = matches!(reason, Reason::Failsafe | Reason::Default | Reason::Allowed | Reason::Reply);
    let limits = match target {
        _ if is_error(packet) && passes => Some(Limits::Errors),
        Target::Service(service) if reason == Reason::Allowed => Some(Limits::Service(service)),
        Target::Unnamed if passes && is_echo_request(packet) => Some(Limits::Echo),
        _ => None,
    };
    let refused = limits.filter(|it| model.refusing.contains(it) && !is_in(Set::Trusted, packet.source));
    Decision { service: target.service(), reason: refused.map_or(reason, refusal) }
}

fn first<const N: usize>(rules: [(bool, Reason); N]) -> Option<Reason> {
    rules.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason)
}

fn itself(model: &Model, packet: &Packet) -> Subject {
    let has_ports = has_ports(packet);
    let target = target(model, packet, packet.destination_port);
    let asks = match packet.protocol {
        protocol::TCP => packet.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN,
        protocol::UDP => matches!(target, Target::Service(_)),
        _ => false,
    };
    Subject {
        remote: packet.source,
        target,
        has_ports,
        is_later: packet.fragment == Fragment::Later,
        is_reply: !asks && model.is_answer(packet),
    }
}

/// Returns what an error is about that quotes a packet which this host, or somebody behind it, sent.
fn about(model: &Model, quoted: &Packet) -> Subject {
    let target = target(model, quoted, quoted.source_port);
    let to_services_udp = quoted.protocol == protocol::UDP && matches!(target, Target::Service(_));
    Subject {
        remote: quoted.destination,
        target,
        has_ports: has_ports(quoted),
        is_later: quoted.fragment == Fragment::Later,
        is_reply: !to_services_udp && model.is_answer(&reversed(quoted)),
    }
}

fn has_ports(packet: &Packet) -> bool {
    matches!(packet.protocol, protocol::TCP | protocol::UDP) && packet.fragment != Fragment::Later
}

fn target(model: &Model, packet: &Packet, own_port: u16) -> Target {
    if has_ports(packet) { model.target(packet.protocol == protocol::TCP, own_port) } else { Target::Unnamed }
}

fn is_error(packet: &Packet) -> bool {
    packet.fragment != Fragment::Later
        && matches!(
            (packet.version, packet.protocol, packet.message_type),
            (4, protocol::ICMP, 3 | 11 | 12) | (6, protocol::ICMPV6, 1..=4)
        )
}

fn is_echo_request(packet: &Packet) -> bool {
    packet.fragment != Fragment::Later
        && matches!(
            (packet.version, packet.protocol, packet.message_type),
            (4, protocol::ICMP, 8) | (6, protocol::ICMPV6, 128)
        )
}
