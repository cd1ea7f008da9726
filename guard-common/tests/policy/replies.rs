//! Answers to flows that the host opened, and what only looks like one.

use guard_common::{
    packet::{Fragment, Packet, protocol, tcp_flag},
    policy::{Decision, Reason},
};

use crate::{
    model::{
        Family, Model, SERVICE_PORT,
        Source::{self, DeniedPeer, Peer, Stranger},
    },
    opened::{IDENTIFIER, LOCAL_PORT, REMOTE_PORT},
};

/// What becomes of a packet where the default is to drop; where it is to pass, service 0's packets pass by it.
type Expected = (u8, Reason);

const REPLY: Expected = (0, Reason::Reply);
const REFUSED: Expected = (0, Reason::NotAllowed);
const BLOCKED: Expected = (0, Reason::Blocked);
const FRAGMENT: Expected = (0, Reason::Fragment);

fn check(table: &str, cases: impl Fn(Family) -> Vec<(&'static str, Packet, Expected)>) {
    for family in Family::BOTH {
        for (name, packet, (service, reason)) in cases(family) {
            for passes_by_default in [false, true] {
                let passes = passes_by_default && service == 0 && reason != Reason::Blocked;
                let expected = Decision { service, reason: if passes { Reason::Default } else { reason } };
                let decision = Model::new(passes_by_default).decide(&packet);
                assert_eq!(decision, expected, "{table}, {family:?}, default pass {passes_by_default}: {name}");
            }
        }
    }
}

fn from_server(packet: Packet) -> Packet {
    Packet { source_port: REMOTE_PORT, tcp_flags: packet.tcp_flags & !tcp_flag::SYN | tcp_flag::ACK, ..packet }
}

#[test]
fn tcp_answers_come_from_the_same_place_and_are_no_bare_syn() {
    check("TCP", |family| {
        let answer = |source: Source| from_server(family.tcp(source, LOCAL_PORT));
        let with = |tcp_flags: u8| Packet { tcp_flags, ..answer(Peer) };
        use tcp_flag::{ACK, FIN, PSH, RST, SYN};
        vec![
            ("SYN-ACK", with(SYN | ACK), REPLY),
            ("ACK", with(ACK), REPLY),
            ("data", with(PSH | ACK), REPLY),
            ("FIN", with(FIN | ACK), REPLY),
            ("RST", with(RST), REPLY),
            ("RST with ACK", with(RST | ACK), REPLY),
            ("bare SYN", with(SYN), REFUSED),
            ("bare SYN that asks for ECN", with(SYN | 0xc0), REFUSED),
            ("SYN with FIN", with(SYN | FIN), REFUSED),
            ("SYN with RST", with(SYN | RST), REFUSED),
            ("SYN with PSH", with(SYN | PSH), REFUSED),
            ("from another port", Packet { source_port: REMOTE_PORT + 1, ..answer(Peer) }, REFUSED),
            ("to another port", Packet { destination_port: LOCAL_PORT + 1, ..answer(Peer) }, REFUSED),
            ("to another address", Packet { destination: answer(Source::Own).source, ..answer(Peer) }, REFUSED),
            ("from a stranger", answer(Stranger), REFUSED),
            ("by UDP-Lite", Packet { protocol: 136, ..answer(Peer) }, REFUSED),
            ("from a denied peer", answer(DeniedPeer), BLOCKED),
        ]
    });
}

#[test]
fn tcp_from_a_services_port_is_answered_too() {
    check("TCP, service", |family| {
        let answer = |source: Source| from_server(family.tcp(source, SERVICE_PORT));
        vec![
            ("ACK", answer(Peer), (1, Reason::Reply)),
            ("RST", Packet { tcp_flags: tcp_flag::RST, ..answer(Peer) }, (1, Reason::Reply)),
            ("bare SYN", Packet { tcp_flags: tcp_flag::SYN, ..answer(Peer) }, (1, Reason::NotAllowed)),
            ("no flags", Packet { tcp_flags: 0, ..answer(Peer) }, (1, Reason::Malformed)),
            ("from another port", Packet { source_port: 444, ..answer(Peer) }, (1, Reason::NotAllowed)),
            ("from a stranger", answer(Stranger), (1, Reason::NotAllowed)),
            ("from a denied peer", answer(DeniedPeer), (1, Reason::Blocked)),
        ]
    });
}

#[test]
fn udp_answers_come_from_the_same_place_but_never_to_a_services_port() {
    check("UDP", |family| {
        let answer = |source: Source| Packet { source_port: REMOTE_PORT, ..family.udp(source, LOCAL_PORT) };
        let to_service = Packet { source_port: REMOTE_PORT, ..family.udp(Peer, SERVICE_PORT) };
        vec![
            ("answer", answer(Peer), REPLY),
            ("first fragment", Packet { fragment: Fragment::First, ..answer(Peer) }, REPLY),
            ("from another port", Packet { source_port: REMOTE_PORT + 1, ..answer(Peer) }, REFUSED),
            ("to another port", Packet { destination_port: LOCAL_PORT + 1, ..answer(Peer) }, REFUSED),
            ("from a stranger", answer(Stranger), REFUSED),
            ("from a denied peer", answer(DeniedPeer), BLOCKED),
            ("to a service's port", to_service, (1, Reason::NotAllowed)),
            (
                "to a service's port, first fragment",
                Packet { fragment: Fragment::First, ..to_service },
                (1, Reason::NotAllowed),
            ),
        ]
    });
}

#[test]
fn echo_replies_have_the_requests_identifier() {
    check("echo", |family| {
        vec![
            ("reply", family.echo_reply(Peer, IDENTIFIER), REPLY),
            ("reply of another identifier", family.echo_reply(Peer, IDENTIFIER + 1), REFUSED),
            ("reply of a stranger", family.echo_reply(Stranger, IDENTIFIER), REFUSED),
            ("reply of a denied peer", family.echo_reply(DeniedPeer, IDENTIFIER), BLOCKED),
            ("request", Packet { detail: IDENTIFIER, ..family.echo_request(Peer) }, REFUSED),
            ("redirect", family.control(Peer, family.by_version(5, 137)), REFUSED),
            ("timestamp", Packet { detail: IDENTIFIER, ..family.control(Peer, 14) }, REFUSED),
        ]
    });
}

#[test]
fn protocols_without_ports_are_answered_by_address() {
    check("without ports", |family| {
        vec![
            ("GRE", family.packet(Peer), REPLY),
            ("GRE from a stranger", family.packet(Stranger), REFUSED),
            ("GRE from a denied peer", family.packet(DeniedPeer), BLOCKED),
            ("ESP", Packet { protocol: protocol::ESP, ..family.packet(Peer) }, REFUSED),
        ]
    });
}

#[test]
fn later_fragments_of_an_answer_come_from_its_source() {
    check("later fragments", |family| {
        let later =
            |source: Source, protocol: u8| Packet { protocol, fragment: Fragment::Later, ..family.packet(source) };
        vec![
            ("UDP", later(Peer, protocol::UDP), REPLY),
            ("control message", later(Peer, family.control_protocol()), REPLY),
            ("of a protocol of no flow", later(Peer, protocol::TCP), FRAGMENT),
            ("GRE, of which no fragment is expected", later(Peer, 47), FRAGMENT),
            ("UDP from a stranger", later(Stranger, protocol::UDP), FRAGMENT),
            ("UDP from a denied peer", later(DeniedPeer, protocol::UDP), BLOCKED),
        ]
    });
}
