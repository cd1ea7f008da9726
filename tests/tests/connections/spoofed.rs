//! SYNs with other hosts' addresses: they fill no service's cap, and open nothing.

use std::time::Duration;

use guard_tests::{
    Counted, Counters, Handshakes, Wire,
    client::{Outcome, connects},
    counted::{WEB, open},
    host::netstat,
    in_each_family,
};

use crate::scene::{QUIET, SOON, wait_open};

/// So many, all different, more than handshakes can be remembered.
const SYNS: u64 = 100_000;

/// What a SYN carries.
const DATA: &str = "a request";

#[test]
fn a_services_cap_is_not_filled_by_them() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 2);
        let _server = counted.serve(WEB);
        let guard = counted.web("max_connections = 10\nmax_connections_per_source = 10");
        let mut before = counted.crowd(1, 5);
        before.wait_connected(5, SOON);
        let syn = Handshakes::at(&counted.site, WEB).syn((counted.client(9), 1234).into()).build();
        let wire = Wire::open(counted.site.peer(), "eth0");
        wire.send_varied(&syn, SYNS, |frame, number| counted.spoof(frame, number));
        // At once: a client tries again after a second only.
        let limit = Duration::from_millis(900);
        let outcome = connects(counted.site.peer(), counted.client(2), counted.site.at(WEB), limit);
        let counters = Counters::read(&guard);
        assert_eq!(outcome, Outcome::Connected, "{cell}: {counters:?}");
        assert_eq!(counters.packets("web drop connections"), 0, "{cell}: {counters:?}");
        let passed = counters.packets("web pass allowed");
        let lost = counted.site.link.right.lost_frames();
        println!("{cell}: {passed} SYNs passed, the wire lost {lost}");
        assert!(passed + lost >= SYNS, "{cell}: {counters:?}, the wire lost {lost}");
        wait_open(&guard, "only real ones are open", 5, SOON);
        before.close(5);
        wait_open(&guard, "and these are known again", 0, SOON);
    });
}

#[test]
fn connections_by_syn_cookies_are_counted() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        counted.site.host().sysctl("net/ipv4/tcp_syncookies", "2");
        let _server = counted.serve(WEB);
        let guard = counted.web("max_connections_per_source = 20");
        let mut crowd = counted.crowd(1, 50);
        crowd.wait_connected(20, SOON);
        wait_open(&guard, &cell.to_string(), 20, SOON);
        assert!(netstat(counted.site.host(), "SyncookiesRecv") >= 20, "{cell}: no cookies were used");
        // A FIN that is sent again would be taken for the end of a handshake, and be a connection of nobody's.
        counted.site.host().sysctl("net/ipv4/tcp_syncookies", "0");
        crowd.give_up();
        crowd.close(20);
        wait_open(&guard, &cell.to_string(), 0, SOON);
    });
}

#[test]
fn data_before_the_handshake_opens_nothing() {
    in_each_family(|cell| {
        let counted = Counted::silent(cell);
        // Without cookies (RFC 7413), so that anybody's data reaches the server.
        counted.site.host().sysctl("net/ipv4/tcp_fastopen", "515");
        let _server = counted.serve(WEB);
        let guard = counted.web("max_connections = 10");
        let handshakes = Handshakes::at(&counted.site, WEB);
        let clients: Vec<_> = (1..=50).map(|number| (counted.client(number), 1234).into()).collect();
        let syns: Vec<_> = clients.iter().map(|client| handshakes.syn(*client).payload(DATA).build()).collect();
        Wire::open(counted.site.peer(), "eth0").send_all(&syns);
        let accepted = handshakes.answers(QUIET).accepted;
        assert_eq!(netstat(counted.site.host(), "TCPFastOpenPassive"), 50, "{cell}: not opened at once");
        assert_eq!((accepted.len(), open(&guard)), (50, 0), "{cell}");
        // Whoever answers is a client.
        handshakes.complete(accepted.values().take(8));
        wait_open(&guard, &cell.to_string(), 8, SOON);
        handshakes.reset(accepted.keys().take(8), 1 + DATA.len() as u32);
        wait_open(&guard, &cell.to_string(), 0, SOON);
    });
}
