//! Real connections over a wire, seen by the programs on its end and in a cgroup.

mod site;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use guard_common::{
    address::Address,
    connections::{OPEN_WORDS, Socket},
    policy::Reason,
};
use guard_tests::{client::Outcome, wait};
use nix::sys::socket::{setsockopt, sockopt};

use self::site::{CLIENT_PORT, Client, in_each_family};
use crate::{
    kernel::{
        connections::own_namespace,
        tests::{frames::SERVICE_PORT, limits::hourly, machine::Machine},
    },
    policy::{Per, Unit},
    samples,
};

/// How long what the kernel does by itself may take.
const SOON: Duration = Duration::from_secs(10);

/// How many connections are counted of all services, the first, and the client at it; and how many sockets are known.
fn counts(machine: &Machine, client: Client) -> [u64; 4] {
    let open: [u64; OPEN_WORDS] = machine.connections.open();
    let of_sources = machine.connections.of_sources().unwrap();
    let sockets = machine.connections.sockets().unwrap().len() as u64;
    [open[0], open[1], of_sources.get(&client.key()).copied().unwrap_or_default(), sockets]
}

fn assert_counts(machine: &Machine, client: Client, count: u64, name: &str) {
    wait::until(SOON, || (counts(machine, client) == [count; 4]).then_some(()));
    assert_eq!(counts(machine, client), [count; 4], "{name}");
}

fn send_reset_on_close(stream: &TcpStream) {
    setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

#[test]
fn an_established_connection_counts_once_until_it_is_closed() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        let listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        for (name, close) in [
            ("closed by the client", (|ours, theirs| drop((ours, theirs))) as fn(TcpStream, TcpStream)),
            ("closed by the server", |ours, theirs| drop((theirs, ours))),
            ("reset by the client", |ours, theirs| {
                send_reset_on_close(&ours);
                drop((ours, theirs));
            }),
            ("reset by the server", |ours, theirs| {
                send_reset_on_close(&theirs);
                drop((theirs, ours));
            }),
            ("ended with data unread", |mut ours, theirs| {
                ours.write_all(b"unread").unwrap();
                thread::sleep(Duration::from_millis(20));
                drop((theirs, ours));
            }),
        ] {
            let mut open = Vec::new();
            for count in 1..=5 {
                let ours = site.connect(client, SERVICE_PORT).unwrap();
                open.push((ours, listener.accept().unwrap().0));
                assert_counts(machine, client, count, name);
            }
            assert_eq!(site.half_open(machine, client), 0, "{name}: they are no handshakes any more");
            let (mut ours, mut theirs) = open.pop().unwrap();
            ours.write_all(b"data").unwrap();
            theirs.read_exact(&mut [0; 4]).unwrap();
            assert_counts(machine, client, 5, name);
            close(ours, theirs);
            assert_counts(machine, client, 4, name);
            open.into_iter().for_each(|(ours, theirs)| close(ours, theirs));
            assert_counts(machine, client, 0, name);
            assert!(machine.connections.of_sources().unwrap().is_empty(), "{name}");
        }
    });
}

#[test]
fn what_is_known_of_a_connection() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        let listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        let ours = site.connect(client, SERVICE_PORT).unwrap();
        let _theirs = listener.accept().unwrap();
        assert_counts(machine, client, 1, "one");
        let sockets = machine.connections.sockets().unwrap();
        let socket = sockets.values().next().unwrap();
        let address = Address::from_octets(socket.source).to_ip(socket.version);
        assert_eq!((address, socket.source_port), (client.ip, ours.local_addr().unwrap().port()));
        assert_eq!((socket.local_port, socket.service, socket.watched), (SERVICE_PORT, 1, 0));
        assert_eq!(socket.namespace, site.server.enter(|| own_namespace().unwrap()));
        assert_ne!(socket.namespace, site.client.enter(|| own_namespace().unwrap()));
    });
}

#[test]
fn a_listener_that_ends_takes_along_whom_it_did_not_accept() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        let listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        let ours: Vec<_> = (0..4).map(|_| site.connect(client, SERVICE_PORT).unwrap()).collect();
        assert_counts(machine, client, 4, "established, and waiting");
        drop(listener);
        assert_counts(machine, client, 0, "gone");
        drop(ours);
    });
}

#[test]
fn who_came_by_no_admitted_syn_is_not_counted() {
    in_each_family(|machine, site, client| {
        let mut policy = site.capped(0, 1);
        policy.trusted = samples::entries(&[client.ip.into()]);
        machine.install(policy);
        let [listener, untracked] = [SERVICE_PORT, site::UNTRACKED_PORT].map(|port| site.listen(port));
        site.follow(machine);
        let trusted: Vec<_> = (0..3).map(|_| site.connect(client, SERVICE_PORT).unwrap()).collect();
        assert_counts(machine, client, 0, "trusted");
        machine.install(site.capped(0, 1));
        let others: Vec<_> = (0..3).map(|_| site.connect(client, site::UNTRACKED_PORT).unwrap()).collect();
        assert_counts(machine, client, 0, "of a service that is not tracked");
        let counted = site.connect(client, SERVICE_PORT).unwrap();
        assert_counts(machine, client, 1, "trusted no more");
        drop((trusted, others));
        thread::sleep(Duration::from_millis(100));
        assert_counts(machine, client, 1, "what was not counted does not count less");
        drop((counted, listener, untracked));
        assert_counts(machine, client, 0, "closed");
    });
}

#[test]
fn a_handshake_that_came_to_nothing_is_not_taken_for_another() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        let [_first, _other] = [SERVICE_PORT, site::UNTRACKED_PORT].map(|port| site.listen(port));
        site.follow(machine);
        site.send_syn(client, SERVICE_PORT, b"");
        wait::eventually("the SYN is known", SOON, || site.half_open(machine, client) == 1);
        let other = site.connect_by_hand(client, site::UNTRACKED_PORT).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert_counts(machine, client, 0, "another connection from the same port");
        drop(other);
    });
}

#[test]
fn a_listener_is_older_than_the_program_and_a_connection_may_be() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        let listener = site.listen(SERVICE_PORT);
        let older = (site.connect(client, SERVICE_PORT).unwrap(), listener.accept().unwrap().0);
        site.follow(machine);
        let newer = (site.connect(client, SERVICE_PORT).unwrap(), listener.accept().unwrap().0);
        assert_counts(machine, client, 1, "the newer one");
        let cookie = site::cookie(&older.1);
        let socket = *machine.connections.sockets().unwrap().values().next().unwrap();
        for _ in 0..2 {
            machine.connections.add(cookie, &Socket { watched: 1, ..socket }).unwrap();
            assert_counts(machine, client, 2, "the daemon has found the older one");
        }
        drop(older);
        thread::sleep(Duration::from_millis(200));
        assert_counts(machine, client, 2, "nobody is told that it closes");
        for _ in 0..2 {
            machine.connections.remove(cookie).unwrap();
            assert_counts(machine, client, 1, "the daemon has seen that it is gone");
        }
        drop(newer);
        assert_counts(machine, client, 0, "closed");
    });
}

#[test]
fn whoever_counted_first_the_connection_is_counted_once() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        let listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        let open = (site.connect(client, SERVICE_PORT).unwrap(), listener.accept().unwrap().0);
        assert_counts(machine, client, 1, "established");
        let (cookie, socket) = machine.connections.sockets().unwrap().into_iter().next().unwrap();
        assert_eq!(cookie, site::cookie(&open.1));
        machine.connections.add(cookie, &socket).unwrap();
        assert_counts(machine, client, 1, "the daemon has found it too");
        machine.connections.remove(cookie).unwrap();
        assert_counts(machine, client, 0, "the daemon has closed it");
        drop(open);
        thread::sleep(Duration::from_millis(100));
        assert_counts(machine, client, 0, "and then the kernel tells");
    });
}

#[test]
fn a_cap_holds_for_real_connections() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 3));
        let listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        let mut open: Vec<_> =
            (0..3).map(|_| (site.connect(client, SERVICE_PORT).unwrap(), listener.accept())).collect();
        assert_eq!(site.try_to_connect(client, SERVICE_PORT), Outcome::TimedOut);
        assert_eq!(machine.counted(Reason::Connections), 1);
        drop(open.pop());
        assert_counts(machine, client, 2, "one is closed");
        assert_eq!(site.try_to_connect(client, SERVICE_PORT), Outcome::Connected);
    });
}

#[test]
fn data_that_came_with_a_syn_proves_nobody() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 50));
        // For servers, without a cookie, for every listener.
        site.server.sysctl("net/ipv4/tcp_fastopen", "1538");
        let listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        site.send_syn(client, SERVICE_PORT, b"let me in");
        let (mut accepted, from) = listener.accept().unwrap();
        assert_eq!(from.port(), CLIENT_PORT, "the server takes it for a connection");
        accepted.read_exact(&mut [0; 9]).unwrap();
        assert_counts(machine, client, 0, "nobody has answered");
        assert_eq!(site.half_open(machine, client), 1);
        drop(accepted);
        thread::sleep(Duration::from_millis(100));
        assert_counts(machine, client, 0, "closed");
        // Clients send data with a SYN also without a cookie.
        site.client.sysctl("net/ipv4/tcp_fastopen", "5");
        let other = site.another(client);
        let ours = site.connect_with_data(other, SERVICE_PORT, b"hello").unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.read_exact(&mut [0; 5]).unwrap();
        assert_counts(machine, other, 1, "one that answers");
        drop((ours, accepted));
        assert_counts(machine, other, 0, "closed as well");
    });
}

#[test]
fn where_nobody_listens_nothing_stays_under_way() {
    in_each_family(|machine, site, client| {
        machine.install(site.capped(0, 2));
        site.follow(machine);
        for _ in 0..10 {
            assert_eq!(site.try_to_connect(client, SERVICE_PORT), Outcome::Refused);
            assert_eq!(site.half_open(machine, client), 0);
        }
    });
}

#[test]
fn only_completed_handshakes_prove_a_violation() {
    in_each_family(|machine, site, client| {
        let limits = [hourly(Unit::Packets, 1_000, Per::SOURCE), hourly(Unit::Connections, 4, Per::SOURCE)];
        machine.install(site.banning(&limits));
        let _listener = site.listen(SERVICE_PORT);
        site.follow(machine);
        // A SYN that somebody sends with the client's address fills the limit as well.
        site.send_syn(client, SERVICE_PORT, b"");
        let _open: Vec<_> = (0..3).map(|_| site.connect(client, SERVICE_PORT).unwrap()).collect();
        assert_eq!(site.try_to_connect(client, SERVICE_PORT), Outcome::TimedOut);
        assert_eq!(machine.counted(Reason::RateConnections), 1);
        assert_eq!(machine.violations(), [], "three of four are the client's own");

        let other = site.another(client);
        let _open: Vec<_> = (0..4).map(|_| site.connect(other, SERVICE_PORT).unwrap()).collect();
        for sent in 0..3 {
            site.send_syn(other, SERVICE_PORT, b"");
            wait::eventually("the SYN is refused", SOON, || machine.counted(Reason::RateConnections) == 2 + sent);
        }
        let violations = machine.violations();
        assert_eq!(violations.len(), 1, "the SYN and the same again: {violations:?}");
        let violation = &violations[0];
        let address = Address::from_octets(violation.source).to_ip(violation.version);
        assert_eq!((address, violation.source_port), (other.ip, CLIENT_PORT));
        assert_eq!((violation.destination_port, violation.service, violation.limit), (SERVICE_PORT, 1, 1));
        assert_eq!(violation.handshakes, 4);
        assert!(violation.last_ns != 0 && violation.last_ns <= violation.time_ns, "{violation:?}");
        assert_eq!(site.try_to_connect(other, SERVICE_PORT), Outcome::TimedOut);
        assert_eq!(machine.violations().len(), 1, "from another port");
    });
}
