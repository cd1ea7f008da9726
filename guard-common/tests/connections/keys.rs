//! Whose connections are counted together, and what ends a handshake.

use std::net::IpAddr;

use guard_common::{
    address::Address,
    connections::{ConnectionKey, CountRequest, CountWork, HANDSHAKE_NS, Handshake, HandshakeKey, ProofKey, Socket},
    packet::Packet,
    request::{OFFSET, Request as _},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

const S: u64 = 1_000_000_000;

fn address(text: &str) -> (Address, u8) {
    let ip: IpAddr = text.parse().expect("a test names good addresses");
    (ip.into(), if ip.is_ipv4() { 4 } else { 6 })
}

#[test]
fn an_ipv6_host_is_its_64_and_an_ipv4_one_its_address() {
    for (name, left, right, together) in [
        ("the same IPv4", "192.0.2.1", "192.0.2.1", true),
        ("the next IPv4", "192.0.2.1", "192.0.2.0", false),
        ("one /64", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
        ("the next /64", "2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("the /64 before", "2001:db8:0:1::", "2001:db8::ffff:ffff:ffff:ffff", false),
        // Not the /96 that all IPv4 addresses have in common.
        ("mapped IPv4", "0.0.0.1", "128.0.0.1", false),
    ] {
        let ((left, version), (right, _)) = (address(left), address(right));
        let connections = [left, right].map(|source| ConnectionKey::new(source, version, 7));
        let proofs = [left, right].map(|source| ProofKey::new(source, version, 7));
        assert_eq!(connections[0] == connections[1], together, "{name}");
        assert_eq!(proofs[0] == proofs[1], together, "{name}");
        let handshakes = [left, right].map(|source| HandshakeKey::new(source, 7));
        assert_eq!(handshakes[0] == handshakes[1], left == right, "{name}: a handshake is one address's");
    }
}

#[test]
fn services_places_ports_and_families_are_told_apart() {
    let ((v4, _), (v6, _)) = (address("192.0.2.1"), address("2001:db8::1"));
    assert_ne!(ConnectionKey::new(v4, 4, 1), ConnectionKey::new(v4, 4, 2));
    assert_ne!(ConnectionKey::new(v6, 4, 1), ConnectionKey::new(v6, 6, 1));
    assert_ne!(ProofKey::new(v4, 4, 1), ProofKey::new(v4, 4, 257));
    assert_ne!(HandshakeKey::new(v4, 1), HandshakeKey::new(v4, 256));
}

#[test]
fn a_handshake_lives_for_a_minute() {
    let began = 100 * HANDSHAKE_NS;
    let handshake = Handshake { since_ns: began, ..Handshake::default() };
    for (name, now, alive) in [
        ("at once", began, true),
        ("a CPU that is a tick behind", began - 4_000_000, true),
        ("a moment before its end", began + HANDSHAKE_NS - 1, true),
        ("at its end", began + HANDSHAKE_NS, false),
        ("long after", u64::MAX, false),
    ] {
        assert_eq!(handshake.is_alive(now), alive, "{name}");
    }
}

#[test]
fn only_the_next_number_acknowledges_a_syn() {
    for sequence in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
        let handshake = Handshake::of(&Packet { tcp_sequence: sequence, ..Packet::default() }, 1, 0);
        assert!(handshake.is_acknowledged_by(sequence.wrapping_add(1)), "{sequence}");
        for other in [sequence, sequence.wrapping_add(2), sequence.wrapping_sub(1), 0x1234_5678] {
            assert!(!handshake.is_acknowledged_by(other), "{sequence}, {other}");
        }
    }
}

#[test]
fn a_handshake_leads_to_sockets_of_its_port_or_its_number() {
    let begun = Handshake { since_ns: 500 * S, sequence: u32::MAX, destination_port: 3000, ..Handshake::default() };
    // The socket's port, what it awaits, seconds since the SYN, whether the handshake has ended, and what is expected.
    let cases = [
        ("its own", 3000, 0, 1, 0, true),
        ("its port, by a SYN that was answered on another way", 3000, 77_777, 1, 0, true),
        ("another port, where it was led", 80, 0, 1, 0, true),
        ("another port, with data in the SYN", 80, 1460, 1, 0, true),
        ("as much data as there may be", 80, 65_535, 1, 0, true),
        ("more", 80, 65_536, 1, 0, false),
        ("another connection", 80, 77_777, 1, 0, false),
        ("another connection, by a number just before", 80, u32::MAX, 1, 0, false),
        ("after a reset", 3000, 0, 131, 1, true),
        ("long after a reset", 3000, 0, 132, 1, false),
        ("late", 3000, 0, 132, 0, true),
    ];
    for (case, port, awaited, age_s, ended, expected) in cases {
        let handshake = Handshake { ended, ..begun };
        assert_eq!(handshake.led_to(port, awaited, (500 + age_s) * S), expected, "{case}");
    }
    assert!(Handshake { ended: 1, ..begun }.led_to(3000, 0, 499 * S), "a clock that is behind");
}

#[test]
fn what_the_daemon_asks_for_is_what_the_program_reads() {
    let socket = Socket {
        source: [7; 16],
        namespace: 1,
        since_ns: 2,
        source_port: 3,
        service: 4,
        version: 6,
        ..Socket::default()
    };
    let request = CountRequest { cookie: 5, socket, work: CountWork::Correct as u32, difference: -6 };
    let frame = request.to_frame();
    assert!(frame.len() >= 14 + 4, "test_run demands an Ethernet header");
    let (read, _) = CountRequest::read_from_prefix(&frame[OFFSET..]).expect("it fits");
    assert_eq!(read.as_bytes(), request.as_bytes());
    assert_eq!((read.cookie, read.socket, read.difference), (5, socket, -6));
}
