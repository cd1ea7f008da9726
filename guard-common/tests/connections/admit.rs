//! Named cases of who may open a connection.

use guard_common::{
    address::Address,
    connections::{Caps, HANDSHAKE_NS, OPEN_MAX, PER_SOURCE_MAX},
};

use crate::host::{Client, Host, S, capped};

const NOW: u64 = 1_000 * S;

fn each_family(check: impl Fn(&str, &dyn Fn(u8, u16) -> Client)) {
    for (family, version) in [("IPv4", 4), ("IPv6", 6)] {
        check(family, &|source, port| Client::of(version, source, port));
    }
}

/// Sends SYNs from as many ports; returns how many are let in.
fn admitted(host: &Host, caps: &Caps, client: Client, ports: u16) -> usize {
    (1..=ports).filter(|&source_port| host.syn(&Client { source_port, ..client }, caps, NOW)).count()
}

#[test]
fn a_source_has_as_many_as_its_cap_says() {
    each_family(|family, of| {
        for (cap, expected) in [(0, 5_000), (1, 1), (2, 2), (100, 100), (PER_SOURCE_MAX, PER_SOURCE_MAX as usize)] {
            let host = Host::default();
            assert_eq!(admitted(&host, &capped(0, cap), of(2, 0), 5_000), expected, "{family}, cap {cap}");
            assert_eq!(admitted(&host, &capped(0, cap), of(3, 0), 5_000), expected, "{family}, cap {cap}: another");
            let elsewhere = Client { service: 2, ..of(2, 0) };
            let elsewhere = Client { destination_port: 4_000, ..elsewhere };
            let ports = |port: u16| Client { source_port: 10_000 + port, ..elsewhere };
            let more = (0..50).filter(|&port| host.syn(&ports(port), &capped(0, 7), NOW)).count();
            assert_eq!(more, 7, "{family}, cap {cap}: at another service");
        }
    });
}

#[test]
fn a_64_is_one_source() {
    let of = |low: u8| {
        let client = Client::of(6, 2, low.into());
        Client { source: Address { low: low.into(), ..client.source }, ..client }
    };
    let host = Host::default();
    let let_in = (0..200).filter(|&nth| host.syn(&of(nth), &capped(0, 20), NOW)).count();
    assert_eq!(let_in, 20);
}

#[test]
fn open_and_under_way_count_together() {
    each_family(|family, of| {
        let (host, caps) = (Host::default(), capped(0, 3));
        assert!(host.syn(&of(2, 1), &caps, NOW), "{family}");
        assert!(host.establish(&of(2, 1), NOW + S), "{family}");
        assert!(host.syn(&of(2, 2), &caps, NOW + S), "{family}");
        assert!(host.syn(&of(2, 3), &caps, NOW + S), "{family}");
        assert_eq!((host.open_of(&of(2, 0)), host.half_open_of(&of(2, 0), NOW + S)), (1, 2), "{family}");
        assert!(!host.syn(&of(2, 4), &caps, NOW + S), "{family}: a fourth");
        host.close(&of(2, 1));
        assert!(host.syn(&of(2, 4), &caps, NOW + S), "{family}: one is closed");
        host.end(&of(2, 2), NOW + S);
        assert!(host.syn(&of(2, 5), &caps, NOW + S), "{family}: one was reset");
        assert!(!host.syn(&of(2, 6), &caps, NOW + S), "{family}: a fourth");
        assert!(!host.syn(&of(2, 6), &caps, NOW + 59 * S), "{family}: a minute is not over");
        assert!(host.syn(&of(2, 6), &caps, NOW + 81 * S), "{family}: they never came to an end");
    });
}

#[test]
fn a_service_is_filled_by_open_connections_alone() {
    each_family(|family, of| {
        let host = Host::default();
        let from_many = (0..=255).filter(|&source| host.syn(&of(source, 1), &capped(2, 0), NOW)).count();
        assert_eq!(from_many, 256, "{family}: none is open");
        assert!(host.establish(&of(3, 1), NOW) && host.establish(&of(4, 1), NOW), "{family}");
        assert!(!host.syn(&of(5, 2), &capped(2, 0), NOW), "{family}: it is full");
        assert!(host.syn(&of(5, 1), &capped(2, 0), NOW), "{family}: a retransmit of one that was let in");
        assert!(host.syn(&Client { service: 2, ..of(5, 3) }, &capped(2, 0), NOW), "{family}: another service");
        host.close(&of(4, 1));
        assert!(host.syn(&of(5, 2), &capped(2, 0), NOW), "{family}: one is closed");
        assert!(
            host.syn(&of(5, 4), &capped(3, 0), NOW) && !host.syn(&of(5, 5), &capped(1, 0), NOW),
            "{family}: by its cap"
        );
    });
}

#[test]
fn every_connection_under_way_has_room_to_become_open() {
    each_family(|family, of| {
        for caps in [capped(0, 0), capped(u32::MAX, 0), capped(0, 5)] {
            let host = Host::default();
            host.add_open(&of(9, 0), OPEN_MAX - 1);
            assert!(host.syn(&of(2, 1), &caps, NOW), "{family}, {caps:?}");
            host.add_open(&of(9, 0), 1);
            assert!(!host.syn(&of(2, 2), &caps, NOW), "{family}, {caps:?}");
            assert!(
                !host.syn(&Client { service: 2, ..of(2, 3) }, &caps, NOW),
                "{family}, {caps:?}: whatever the service"
            );
            assert!(host.syn(&of(2, 1), &caps, NOW), "{family}, {caps:?}: a retransmit");
        }
    });
}

#[test]
fn a_retransmit_is_let_in_and_not_counted() {
    each_family(|family, of| {
        let (host, caps) = (Host::default(), capped(1, 1));
        let first = of(2, 1);
        for age in [0, 1, 3, 7, 15, 31, 59] {
            assert!(host.syn(&first, &caps, NOW + age * S), "{family}, after {age} s");
            assert_eq!(host.half_open_of(&first, NOW + age * S), 1, "{family}, after {age} s");
        }
        let again = Client { sequence: 7_000, ..first };
        assert!(host.syn(&again, &caps, NOW + 59 * S), "{family}: a stack that begins anew");
        let known = host.known(&first).map(|known| (known.sequence, known.since_ns));
        assert_eq!(known, Some((7_000, NOW)), "{family}: by its new number, and no younger for that");
        assert!(host.syn(&again, &caps, NOW + 88 * S), "{family}: the first is forgotten by now");
        assert_eq!(host.half_open_of(&first, NOW + 88 * S), 1, "{family}");
    });
}

#[test]
fn a_port_with_a_handshake_under_way_opens_no_other() {
    each_family(|family, of| {
        let first = of(2, 1);
        for (name, other) in [
            ("another service", Client { service: 2, ..first }),
            ("another address", Client { own: 9, ..first }),
            ("another port of the service", Client { destination_port: 3_001, ..first }),
        ] {
            for caps in [capped(0, 0), capped(9, 9)] {
                let host = Host::default();
                assert!(host.syn(&first, &caps, NOW), "{family}, {name}, {caps:?}");
                assert!(!host.syn(&other, &caps, NOW + 59 * S), "{family}, {name}, {caps:?}");
                assert_eq!(host.known(&first), Some(first.handshake(NOW)), "{family}, {name}, {caps:?}");
                assert!(
                    host.syn(&Client { source_port: 2, ..other }, &caps, NOW),
                    "{family}, {name}, {caps:?}: other port"
                );
                host.establish(&first, NOW + 59 * S);
                assert!(host.syn(&other, &caps, NOW + 59 * S), "{family}, {name}, {caps:?}: it is established");
                let host = Host::default();
                assert!(host.syn(&first, &caps, NOW), "{family}, {name}, {caps:?}");
                assert!(host.syn(&other, &caps, NOW + HANDSHAKE_NS), "{family}, {name}, {caps:?}: it came to nothing");
            }
        }
    });
}

#[test]
fn without_room_nobody_is_let_in_and_nothing_counted() {
    each_family(|family, of| {
        let host = Host::default();
        host.handshakes_full.set(true);
        for caps in [capped(0, 0), capped(5, 0), capped(0, 5)] {
            assert!(!host.syn(&of(2, 1), &caps, NOW), "{family}, {caps:?}");
            assert_eq!(host.half_open_of(&of(2, 1), NOW), 0, "{family}, {caps:?}");
        }
        let host = Host::default();
        host.half_open_full.set(true);
        assert!(!host.syn(&of(2, 1), &capped(0, 5), NOW), "{family}");
        assert_eq!(host.known(&of(2, 1)), None, "{family}");
        assert!(host.syn(&of(2, 1), &capped(5, 0), NOW), "{family}: nothing is to be counted");
    });
}

#[test]
fn an_eviction_lets_nobody_in_beyond_the_cap() {
    each_family(|family, of| {
        let (host, caps) = (Host::default(), capped(0, 2));
        assert!(host.syn(&of(2, 1), &caps, NOW) && host.syn(&of(2, 2), &caps, NOW), "{family}");
        host.evict(&of(2, 1));
        host.evict(&of(2, 2));
        assert!(!host.syn(&of(2, 3), &caps, NOW + 59 * S), "{family}");
        assert!(host.syn(&of(2, 3), &caps, NOW + 88 * S), "{family}");
    });
}
