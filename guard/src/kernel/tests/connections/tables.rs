//! What tables that are full, or old, or taken over by the next run do to who may connect.

use std::net::IpAddr;

use guard_common::connections::{HALF_OPEN_MAX, HANDSHAKES_MAX, PERIOD_NS};

use super::*;

#[test]
fn whoever_is_forgotten_stays_counted() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, PER_SOURCE_MAX)));
        let crowd = |nth| format!("2001:db8:8:{nth:x}::1");
        for [client, ..] in CLIENTS {
            assert_eq!(syns(machine, client, 1_000..1_010, SERVICE_PORT), 10, "{client}");
        }
        // Few sources, each with as many as can be: the other table has room.
        for nth in 0..2 * HANDSHAKES_MAX / PER_SOURCE_MAX as usize {
            let filled = syns(machine, &crowd(nth), 1_000..1_000 + PER_SOURCE_MAX as u16, SERVICE_PORT);
            assert_eq!(filled, PER_SOURCE_MAX as usize, "{nth}");
        }
        machine.install(policy(capped(0, 10)));
        for [client, ..] in CLIENTS {
            assert!((1_000..1_010).all(|port| !known(machine, client, port)), "{client}: its handshakes are displaced");
            assert_eq!(half_open(machine, client), 10, "{client}");
            assert_eq!(syns(machine, client, 1_000..1_020, SERVICE_PORT), 0, "{client}");
        }
    });
}

#[test]
fn more_sources_than_can_be_counted_shut_nobody_out() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 1)));
        let source = |nth: usize| -> IpAddr { [10, (nth >> 16) as u8, (nth >> 8) as u8, nth as u8].into() };
        let passed = (0..2 * HALF_OPEN_MAX).filter(|&nth| machine.lets_in(tcp(SYN, 1_000, SERVICE_PORT), source(nth)));
        assert_eq!(passed.count(), 2 * HALF_OPEN_MAX);
    });
}

#[test]
fn handshakes_that_came_to_nothing_leave_after_88_s() {
    Machine::run(|machine| {
        machine.install(policy(capped(0, 3)));
        for [client, ..] in CLIENTS {
            for (age_s, room) in [(0, 0), (65, 0), (89, 3), (1_000, 3), (86_400 * 9, 3)] {
                // By the number that the period has each time the numbers are through.
                let began = now_ns() + (1 << 16) * PERIOD_NS - age_s * S;
                let word = (0..3).fold(HalfOpen::default(), |word, _| word.with_one(began).unwrap());
                bpf::set(machine.map(names::HALF_OPEN), &key(client), &word.0).unwrap();
                let port = 2_000 + (age_s % 30_000) as u16;
                assert_eq!(syns(machine, client, port..port + 10, SERVICE_PORT), room, "{client}, {age_s} s old");
            }
        }
    });
}

#[test]
fn the_next_run_goes_on_with_all_of_it() {
    Machine::run(|machine| {
        machine.install(policy(capped(100, 5)));
        for [client, ..] in CLIENTS {
            machine.connections.correct(&key(client), 2).unwrap();
            assert_eq!(syns(machine, client, 1_000..1_002, SERVICE_PORT), 2, "{client}");
        }
        machine.connections.correct_open(1, 42);
        let before = machine.restart();
        machine.install(policy(capped(100, 5)));
        assert_eq!(machine.connections.open()[1], 42);
        for [client, ..] in CLIENTS {
            assert_eq!(machine.connections.of_sources().unwrap().get(&key(client)), Some(&2), "{client}");
            assert_eq!(passes(machine, tcp(SYN, 1_001, SERVICE_PORT), client, 9), 9, "{client}: a retransmit");
            assert_eq!(syns(machine, client, 1_010..1_020, SERVICE_PORT), 1, "{client}");
            assert_eq!(
                syns(&before, client, 1_020..1_030, SERVICE_PORT),
                0,
                "{client}: the one before counts there too"
            );
            reset(machine, client, 1_000, SEQUENCE + 1);
            assert_eq!(syns(machine, client, 1_030..1_040, SERVICE_PORT), 1, "{client}");
        }
    });
}
