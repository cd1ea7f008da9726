//! Handshakes under way: they count for their source, and cease to when they come to an end.

use guard_tests::{
    Counted, Counters, Guard, Handshakes, KeptServer,
    counted::{WEB, open},
    handshakes::clients_at,
    in_each_family,
};

use crate::scene::{QUIET, SOON, wait_open};

const CAP: usize = 100;

struct Scene {
    guard: Guard,
    _server: KeptServer,
    counted: Counted,
}

/// Services with a cap of a hundred per source, on a port that listens and one that does not.
fn scene(cell: guard_tests::Cell) -> Scene {
    let counted = Counted::silent(cell);
    let server = counted.serve(WEB);
    let guard = counted
        .guard("[[service]]\nname = 'web'\nports = ['tcp/3000', 'tcp/3001']\nmax_connections_per_source = 100\n");
    Scene { guard, _server: server, counted }
}

#[test]
fn a_burst_of_syns_before_any_ack_opens_no_more_than_the_cap() {
    in_each_family(|cell| {
        let Scene { guard, counted, .. } = &scene(cell);
        let handshakes = Handshakes::at(&counted.site, WEB);
        let clients = clients_at(counted.client(1), 10_000, 1000);
        handshakes.begin(&clients);
        let accepted = handshakes.answers(QUIET).accepted;
        assert_eq!(accepted.len(), CAP, "{cell}: SYN-ACKs");
        handshakes.complete(accepted.values());
        wait_open(guard, &cell.to_string(), CAP as u64, SOON);
        // Each once more, now that all others are established.
        handshakes.begin(&clients);
        let more = handshakes.answers(QUIET).accepted;
        handshakes.complete(more.values().filter(|answer| !accepted.contains_key(&answer.destination)));
        assert_eq!(
            (open(guard), Counters::read(guard).packets("web drop connections")),
            (CAP as u64, 900 + 1000),
            "{cell}"
        );
        // Another source has its own.
        handshakes.begin(&clients_at(counted.client(2), 10_000, 50));
        assert_eq!(handshakes.answers(QUIET).accepted.len(), 50, "{cell}: of another source");
    });
}

#[test]
fn a_reset_ends_a_handshake_if_it_can_be_the_clients() {
    in_each_family(|cell| {
        let Scene { counted, .. } = &scene(cell);
        let handshakes = Handshakes::at(&counted.site, WEB);
        let [first, second, third] = [10_000, 11_000, 12_000].map(|port| clients_at(counted.client(1), port, 200));
        handshakes.begin(&first);
        let accepted = handshakes.answers(QUIET).accepted;
        assert_eq!(accepted.len(), CAP, "{cell}: at first");
        for beyond in [0, 2, 40_000] {
            handshakes.reset(accepted.keys(), beyond);
        }
        handshakes.begin(&second);
        let more = handshakes.answers(QUIET).accepted;
        assert!(more.keys().all(|client| accepted.contains_key(client)), "{cell}: after resets by somebody else");
        handshakes.reset(accepted.keys(), 1);
        handshakes.begin(&third);
        let more = handshakes.answers(QUIET).accepted;
        let new = more.keys().filter(|client| third.contains(client)).count();
        assert_eq!(new, CAP, "{cell}: after resets of their own");
    });
}

#[test]
fn a_port_on_which_nobody_listens_fills_no_cap() {
    in_each_family(|cell| {
        let Scene { counted, .. } = &scene(cell);
        let nobody = Handshakes::at(&counted.site, 3001);
        // Fewer at once than the cap, many times.
        for round in 0..10 {
            nobody.begin(&clients_at(counted.client(1), 10_000 + 50 * round, 50));
            assert_eq!(nobody.answers(QUIET / 3).reset.len(), 50, "{cell}: round {round}");
        }
        let handshakes = Handshakes::at(&counted.site, WEB);
        handshakes.begin(&clients_at(counted.client(1), 20_000, CAP as u16));
        assert_eq!(handshakes.answers(QUIET).accepted.len(), CAP, "{cell}");
    });
}

#[test]
fn a_syn_that_is_sent_again_is_one_handshake() {
    in_each_family(|cell| {
        let Scene { guard, counted, .. } = &scene(cell);
        let handshakes = Handshakes::at(&counted.site, WEB);
        let clients = clients_at(counted.client(1), 10_000, 60);
        for _ in 0..5 {
            handshakes.begin(&clients);
        }
        let accepted = handshakes.answers(QUIET).accepted;
        assert_eq!(accepted.len(), 60, "{cell}");
        handshakes.complete(accepted.values());
        wait_open(guard, &cell.to_string(), 60, SOON);
        handshakes.begin(&clients_at(counted.client(1), 20_000, 60));
        assert_eq!(handshakes.answers(QUIET).accepted.len(), 40, "{cell}: more");
    });
}
