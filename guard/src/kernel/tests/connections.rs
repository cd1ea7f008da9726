//! Connections through the program: who may open one, by frames that no network carries.

mod tables;

use std::{num::NonZeroU32, ops::Range};

use guard_common::{
    connections::{ConnectionKey, HalfOpen, Handshake, HandshakeKey, OPEN_MAX, PER_SOURCE_MAX},
    names,
    policy::Reason,
};
use nix::time::{ClockId, clock_gettime};

use super::{
    frames::{ACK, RST, SERVICE_PORT, SYN, Sent, Tcp},
    limits::{hourly, ip, passes},
    machine::Machine,
};
use crate::{
    kernel::bpf,
    policy::{ConnectionPolicy, Mode, Per, Policy, Protocol, Service, Unit},
    samples::{self, Family},
};

/// A client of each family, one that is counted with it, and a neighbour that is not.
const CLIENTS: [[&str; 3]; 2] =
    [["198.51.100.9", "198.51.100.9", "198.51.100.8"], ["2001:db8:7::9", "2001:db8:7:0:ffff::1", "2001:db8:7:1::9"]];
/// The second service, whose connections are known, and one of which nothing is.
const SECOND_PORT: u16 = 4_000;
const UNTRACKED_PORT: u16 = 5_000;

const SEQUENCE: u32 = 7_000;
const S: u64 = 1_000_000_000;

fn capped(max: u32, max_per_source: u32) -> ConnectionPolicy {
    ConnectionPolicy {
        max: NonZeroU32::new(max),
        max_per_source: NonZeroU32::new(max_per_source),
        ..ConnectionPolicy::default()
    }
}

/// Everybody may reach the first service, whose connections are held to something; the second; and the one that is not tracked.
fn policy(connections: ConnectionPolicy) -> Policy {
    let everyone = Family::BOTH.map(|family| family.net(0, 0));
    let service = |name, port, connections| {
        let ports = [samples::port(Protocol::Tcp, port)];
        Service { connections, ..samples::service(name, &ports, Mode::Enforce, &everyone) }
    };
    samples::policy(
        &[],
        &[],
        vec![
            service("first", SERVICE_PORT, connections),
            service("second", SECOND_PORT, capped(0, 50)),
            service("untracked", UNTRACKED_PORT, ConnectionPolicy::default()),
        ],
    )
}

fn tcp(flags: u8, from: u16, to: u16) -> Sent {
    Sent::Tcp(Tcp { from, to, flags, sequence: SEQUENCE })
}

/// Sends SYNs from some ports to a port; returns how many pass.
fn syns(machine: &Machine, source: &str, from: Range<u16>, to: u16) -> usize {
    from.filter(|&from| machine.lets_in(tcp(SYN, from, to), ip(source))).count()
}

fn reset(machine: &Machine, source: &str, from: u16, sequence: u32) {
    let reset = Sent::Tcp(Tcp { from, to: SERVICE_PORT, flags: RST, sequence });
    assert!(machine.lets_in(reset, ip(source)), "a reset passes");
}

fn key(source: &str) -> ConnectionKey {
    let ip = ip(source);
    ConnectionKey::new(ip.into(), if ip.is_ipv4() { 4 } else { 6 }, 1)
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).unwrap();
    now.tv_sec() as u64 * S + now.tv_nsec() as u64
}

fn word(machine: &Machine, source: &str) -> Option<HalfOpen> {
    let mut word = [0; 8];
    let is_there = bpf::look_up(machine.map(names::HALF_OPEN), &key(source), &mut word).unwrap();
    is_there.then(|| HalfOpen(u64::from_ne_bytes(word)))
}

fn half_open(machine: &Machine, source: &str) -> u64 {
    word(machine, source).map_or(0, |word| word.count(now_ns()))
}

fn known(machine: &Machine, source: &str, port: u16) -> bool {
    let key = HandshakeKey::new(ip(source).into(), port);
    bpf::look_up(machine.map(names::HANDSHAKES), &key, &mut [0; size_of::<Handshake>()]).unwrap()
}

#[test]
fn of_a_thousand_syns_as_many_pass_as_the_cap_says() {
    Machine::run(|machine| {
        for (nth, cap) in [(0, 1), (1, 2), (2, 100), (3, 999)] {
            // Nothing is left of the round before, whose clients came from other ports.
            let ports = 1_000 + nth * 1_000..2_000 + nth * 1_000;
            machine.install(policy(ConnectionPolicy::default()));
            machine.install(policy(capped(0, cap)));
            for [client, same, neighbour] in CLIENTS {
                let before = machine.counted(Reason::Connections);
                let already = half_open(machine, client) as usize;
                let room = cap as usize - already;
                assert_eq!(syns(machine, client, ports.clone(), SERVICE_PORT), room, "{client}, cap {cap}");
                assert_eq!(half_open(machine, client), u64::from(cap), "{client}, cap {cap}");
                assert_eq!(machine.counted(Reason::Connections) - before, 1_000 - room as u64, "{client}, cap {cap}");
                assert_eq!(syns(machine, same, 60_000..60_009, SERVICE_PORT), 0, "{same}, cap {cap}");
                assert_eq!(syns(machine, neighbour, ports.start..ports.start + 1, SERVICE_PORT), 1, "{neighbour}");
                assert_eq!(syns(machine, client, 50_000..50_200, UNTRACKED_PORT), 200, "{client}: no service's caps");
            }
        }
    });
}

#[test]
fn without_a_cap_per_source_none_is_counted() {
    Machine::run(|machine| {
        machine.install(policy(capped(1_000, 0)));
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1..5_000, SERVICE_PORT), 4_999, "{client}");
            assert_eq!(word(machine, client), None, "{client}");
            assert!(known(machine, client, 4_999), "{client}");
        }
    });
}

#[test]
fn other_packets_are_not_asked_for_connections() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 1)));
        for [client, ..] in CLIENTS {
            for (name, sent) in [
                ("data", tcp(ACK, 9, SERVICE_PORT)),
                ("SYN-ACK", tcp(SYN | ACK, 9, SERVICE_PORT)),
                ("reset", tcp(RST, 9, SERVICE_PORT)),
                ("data of many bytes", Sent::Segment(1_000)),
            ] {
                assert_eq!(passes(machine, sent, client, 20), 20, "{client}, {name}");
            }
            assert_eq!(word(machine, client), None, "{client}");
        }
    });
}

#[test]
fn a_retransmit_is_no_other_connection() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 1)));
        for [client, ..] in CLIENTS {
            assert_eq!(passes(machine, tcp(SYN, 1_000, SERVICE_PORT), client, 20), 20, "{client}");
            let anew = Sent::Tcp(Tcp { from: 1_000, to: SERVICE_PORT, flags: SYN, sequence: 99 });
            assert_eq!(passes(machine, anew, client, 3), 3, "{client}: with another number");
            assert_eq!(half_open(machine, client), 1, "{client}");
            assert_eq!(syns(machine, client, 1_001..1_010, SERVICE_PORT), 0, "{client}: another port");
            reset(machine, client, 1_000, 100);
            assert_eq!(half_open(machine, client), 1, "{client}: a number that was not answered");
            reset(machine, client, 1_000, SEQUENCE + 1);
            assert_eq!(half_open(machine, client), 0, "{client}: the first number");
        }
    });
}

#[test]
fn a_port_has_one_handshake_at_a_time() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 50)));
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1_000..1_001, SERVICE_PORT), 1, "{client}");
            assert_eq!(passes(machine, tcp(SYN, 1_000, SECOND_PORT), client, 9), 0, "{client}: another service");
            assert_eq!(syns(machine, client, 1_000..1_001, UNTRACKED_PORT), 1, "{client}: one that nobody tracks");
            assert_eq!(syns(machine, client, 1_001..1_002, SECOND_PORT), 1, "{client}: from another port");
            reset(machine, client, 1_000, SEQUENCE + 1);
            assert_eq!(syns(machine, client, 1_000..1_001, SECOND_PORT), 1, "{client}: it was reset");
        }
    });
}

#[test]
fn only_the_reset_of_whoever_sent_the_syn_ends_its_handshake() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 2)));
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1_000..1_009, SERVICE_PORT), 2, "{client}");
            for (name, from, sequence) in [
                ("of its SYN", 1_000, SEQUENCE),
                ("one too far", 1_000, SEQUENCE + 2),
                ("zero", 1_000, 0),
                ("from a port that never asked", 1_900, SEQUENCE + 1),
                ("from a port that was refused", 1_002, SEQUENCE + 1),
            ] {
                reset(machine, client, from, sequence);
                assert_eq!(half_open(machine, client), 2, "{client}: {name}");
            }
            assert_eq!(syns(machine, client, 1_100..1_109, SERVICE_PORT), 0, "{client}");
            for sent in 0..3 {
                reset(machine, client, 1_000, SEQUENCE + 1);
                assert_eq!(half_open(machine, client), 1, "{client}: {sent} more");
            }
            assert_eq!(syns(machine, client, 1_100..1_109, SERVICE_PORT), 1, "{client}: there is room for one");
        }
    });
}

#[test]
fn who_is_trusted_is_neither_held_nor_counted() {
    Machine::run(|machine| {
        let mut trusting = policy(capped(0, 2));
        trusting.trusted = samples::entries(&samples::prefixes(&["198.51.100.0/24", "2001:db8:7::/48"]));
        machine.install(trusting);
        machine.connections.correct_open(1, 1_000_000);
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1_000..1_500, SERVICE_PORT), 500, "{client}");
            assert_eq!((word(machine, client), known(machine, client, 1_000)), (None, false), "{client}");
        }
        machine.install(policy(capped(0, 2)));
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1_000..1_500, SERVICE_PORT), 2, "{client}: it is trusted no more");
        }
    });
}

#[test]
fn a_monitored_service_refuses_nobody_and_counts_whom_it_would() {
    Machine::run(|machine| {
        let mut monitored = policy(capped(0, 2));
        monitored.services[0].mode = Mode::Monitor;
        machine.install(monitored);
        for [client, ..] in CLIENTS {
            let before = machine.counted(Reason::Connections);
            assert_eq!(syns(machine, client, 1_000..1_020, SERVICE_PORT), 20, "{client}");
            assert_eq!(machine.counted(Reason::Connections) - before, 18, "{client}");
        }
    });
}

#[test]
fn a_reload_changes_caps_and_forgets_nobody() {
    Machine::run(|machine| {
        for ([client, ..], mut port) in CLIENTS.into_iter().zip([1_000, 1_000]) {
            for (connections, expected, counted) in [
                (capped(0, 5), 5, 5),
                (capped(0, 8), 3, 8),
                (capped(0, 2), 0, 8),
                (capped(0, PER_SOURCE_MAX), 100, 108),
                // Nobody is counted meanwhile.
                (capped(9, 0), 100, 108),
                (ConnectionPolicy::default(), 100, 108),
                (capped(0, 110), 2, 110),
            ] {
                machine.install(policy(connections));
                assert_eq!(
                    syns(machine, client, port..port + 100, SERVICE_PORT),
                    expected,
                    "{client}: {connections:?}"
                );
                assert_eq!(half_open(machine, client), counted, "{client}: {connections:?}");
                port += 100;
            }
        }
    });
}

#[test]
fn a_refusal_by_a_rate_begins_no_handshake() {
    Machine::run(|machine| {
        let mut limited = policy(capped(0, 50));
        limited.services[0].limits = vec![hourly(Unit::Connections, 3, Per::SOURCE)];
        machine.install(limited);
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1_000..1_050, SERVICE_PORT), 3, "{client}");
            assert_eq!(half_open(machine, client), 3, "{client}");
        }
        assert_eq!(machine.counted(Reason::Connections), 0);
    });
}

#[test]
fn a_service_with_as_many_open_as_it_may_have_lets_nobody_in() {
    Machine::run(|machine| {
        for connections in [capped(100, 0), capped(100, 5)] {
            machine.install(policy(connections));
            let open = machine.connections.open();
            machine.connections.correct_open(1, 99 - open[1] as i64);
            for ([client, ..], port) in CLIENTS.into_iter().zip([1_000, 2_000]) {
                let port = port + u16::from(connections.max_per_source.is_some()) * 100;
                assert_eq!(syns(machine, client, port..port + 1, SERVICE_PORT), 1, "{client}: 99 are open");
                machine.connections.correct_open(1, 1);
                assert_eq!(syns(machine, client, port + 1..port + 9, SERVICE_PORT), 0, "{client}: 100 are");
                assert_eq!(syns(machine, client, port..port + 1, SERVICE_PORT), 1, "{client}: a retransmit");
                assert_eq!(syns(machine, client, port + 9..port + 12, SECOND_PORT), 3, "{client}: another service");
                machine.connections.correct_open(1, -1);
            }
        }
        machine.connections.correct_open(0, OPEN_MAX as i64);
        for [client, ..] in CLIENTS {
            for port in [SERVICE_PORT, SECOND_PORT] {
                assert_eq!(syns(machine, client, 3_000..3_010, port), 0, "{client}: no more can be counted");
            }
            assert_eq!(syns(machine, client, 3_000..3_010, UNTRACKED_PORT), 10, "{client}");
        }
    });
}

#[test]
fn open_and_half_open_fill_a_cap_together() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 5)));
        for [client, ..] in CLIENTS {
            machine.connections.correct(&key(client), 3).unwrap();
            assert_eq!(syns(machine, client, 1_000..1_010, SERVICE_PORT), 2, "{client}");
            machine.connections.correct(&key(client), -1).unwrap();
            assert_eq!(syns(machine, client, 1_010..1_020, SERVICE_PORT), 1, "{client}");
            machine.connections.correct(&key(client), -2).unwrap();
            assert_eq!(machine.connections.of_sources().unwrap().get(&key(client)), None, "{client}: none is left");
            assert_eq!(syns(machine, client, 1_020..1_030, SERVICE_PORT), 2, "{client}");
        }
    });
}
