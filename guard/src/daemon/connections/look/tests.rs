use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use super::*;
use crate::{
    policy::{ConnectionPolicy, Mode, Protocol},
    samples,
};

/// This network namespace, and another.
const HERE: u64 = 7;
const ELSEWHERE: u64 = 8;

const NOW_NS: u64 = 5_000_000_000;

/// Caps of service 1; service 2 has the same and only monitors, service 3 is not counted.
#[derive(Clone, Copy, Default)]
struct Caps {
    max: u32,
    max_per_source: u32,
    idle_timeout_s: u64,
}

fn rules(caps: Caps) -> Rules {
    let connections = ConnectionPolicy {
        max: NonZeroU32::new(caps.max),
        max_per_source: NonZeroU32::new(caps.max_per_source),
        idle_timeout: Some(Duration::from_secs(caps.idle_timeout_s)).filter(|timeout| !timeout.is_zero()),
        ban: None,
    };
    let service = |name, port, mode, connections| {
        let service = samples::service(name, &[samples::port(Protocol::Tcp, port)], mode, &[]);
        crate::policy::Service { connections, ..service }
    };
    let services = vec![
        service("web", 3000, Mode::Enforce, connections),
        service("trial", 4000, Mode::Monitor, connections),
        service("free", 5000, Mode::Enforce, ConnectionPolicy::default()),
    ];
    let policy = samples::policy(&[], &[], services);
    let trusted = samples::entries(&samples::prefixes(&["10.9.0.0/16"]));
    Rules::of(&Arc::new(crate::policy::Policy { trusted, ..policy }))
}

/// A socket of a client at a port of this host, both addresses of the client's family.
fn socket(cookie: u32, client: &str, port: u16) -> TcpSocket {
    let remote = SocketAddr::new(client.parse().unwrap(), 40_000);
    let local = SocketAddr::new(if remote.is_ipv4() { "10.0.0.1" } else { "2001:db8::1" }.parse().unwrap(), port);
    TcpSocket::sample(cookie, local, remote)
}

fn silent(mut socket: TcpSocket, for_s: u64) -> TcpSocket {
    socket.silent_for = Some(Duration::from_secs(for_s));
    socket
}

fn orphan(mut socket: TcpSocket) -> TcpSocket {
    socket.is_orphan = true;
    socket
}

/// A connection as the kernel program counts it.
fn counted(client: &str, service: u8, namespace: u64, since_ns: u64) -> Socket {
    Socket { namespace, watched: 0, ..watched(&socket(0, client, 3000), service, since_ns) }
}

/// What there is: counted connections and sockets, both by cookie.
fn seen(counted: &[(u64, Socket)], sockets: &[TcpSocket]) -> Seen {
    Seen {
        counted: counted.iter().copied().collect(),
        sockets: sockets.iter().map(|socket| (socket.cookie(), socket.clone())).collect(),
        namespace: HERE,
    }
}

fn look(memory: &mut Memory, seen: &Seen, rules: &Rules) -> Findings {
    memory.look(seen, rules, NOW_NS, |_, _| true)
}

/// The cookies of what is closed, and why.
fn closed(findings: &Findings) -> Vec<(u64, Cause)> {
    findings.close.iter().map(|condemned| (condemned.socket.cookie(), condemned.cause)).collect()
}

/// Counted connections of a client to service 1 here, established in the order of their cookies, with their sockets.
fn connections(client: &str, cookies: std::ops::RangeInclusive<u32>) -> (Vec<(u64, Socket)>, Vec<TcpSocket>) {
    let at = |cookie| (u64::from(cookie), counted(client, 1, HERE, u64::from(cookie)));
    (cookies.clone().map(at).collect(), cookies.map(|cookie| socket(cookie, client, 3000)).collect())
}

#[test]
fn what_is_not_counted_is_counted_when_it_is_seen_again() {
    let rules = rules(Caps { max: 100, ..Caps::default() });
    for (case, socket, service) in [
        ("IPv4", socket(1, "192.0.2.7", 3000), Some(1)),
        ("IPv6", socket(1, "2001:db8::7", 3000), Some(1)),
        ("of a service that monitors", socket(1, "192.0.2.7", 4000), Some(2)),
        ("of a service without caps", socket(1, "192.0.2.7", 5000), None),
        ("at a port of none", socket(1, "192.0.2.7", 6000), None),
        ("of a trusted source", socket(1, "10.9.0.1", 3000), None),
        ("that no process has", orphan(socket(1, "192.0.2.7", 3000)), None),
    ] {
        let mut memory = Memory::default();
        let first = seen(&[], std::slice::from_ref(&socket));
        assert_eq!(look(&mut memory, &first, &rules), Findings::default(), "{case}: it may be under way");
        let found = look(&mut memory, &first, &rules);
        let expected: Vec<_> = service.map(|service| (1, watched(&socket, service, NOW_NS))).into_iter().collect();
        assert_eq!(found, Findings { add: expected, ..Findings::default() }, "{case}");
    }
}

#[test]
fn what_the_kernel_counts_meanwhile_is_left_alone() {
    let rules = rules(Caps { max: 100, ..Caps::default() });
    let mut memory = Memory::default();
    let established = socket(1, "192.0.2.7", 3000);
    look(&mut memory, &seen(&[], std::slice::from_ref(&established)), &rules);
    let counted = seen(&[(1, counted("192.0.2.7", 1, HERE, 1))], &[established]);
    for _ in 0..2 {
        assert_eq!(look(&mut memory, &counted, &rules), Findings::default());
    }
}

#[test]
fn whether_a_connection_belongs_is_asked_once() {
    let rules = rules(Caps { max: 100, ..Caps::default() });
    let there = seen(&[], &[socket(1, "192.0.2.7", 3000)]);
    let mut memory = Memory::default();
    let asked = std::cell::Cell::new(0);
    let look = |memory: &mut Memory, belongs| {
        let found = memory.look(&there, &rules, NOW_NS, |socket, service| {
            assert_eq!((socket.cookie(), service), (1, 1));
            asked.set(asked.get() + 1);
            belongs
        });
        (found.add.len(), asked.get())
    };
    assert_eq!(look(&mut memory, false), (0, 0));
    assert_eq!(look(&mut memory, false), (0, 1));
    assert_eq!(look(&mut memory, true), (0, 1));
    memory.reconsider();
    assert_eq!(look(&mut memory, true), (0, 1));
    assert_eq!(look(&mut memory, true), (1, 2));
}

#[test]
fn what_is_gone_is_counted_no_more() {
    let rules = rules(Caps { max: 100, ..Caps::default() });
    let client = "192.0.2.7";
    let older = watched(&socket(1, client, 3000), 1, 1);
    let there = [socket(1, client, 3000)];
    let cases: [(&str, Socket, &[TcpSocket], [bool; 2]); 7] = [
        ("it is there", counted(client, 1, HERE, 1), &there, [false, false]),
        ("it is gone, and nobody else tells", older, &[], [true, true]),
        ("an older one is there", older, &there, [false, false]),
        ("it is gone, and the kernel did not tell", counted(client, 1, HERE, 1), &[], [false, true]),
        ("it is elsewhere", counted(client, 1, ELSEWHERE, 1), &[], [false, false]),
        ("its source is trusted by now", counted("10.9.0.1", 1, ELSEWHERE, 1), &[], [false, true]),
        ("its service is not counted by now", counted(client, 3, ELSEWHERE, 1), &[], [false, true]),
    ];
    for (case, counted, sockets, expected) in cases {
        let mut memory = Memory::default();
        let seen = seen(&[(1, counted)], sockets);
        let removed = [(); 2].map(|()| look(&mut memory, &seen, &rules).remove == [1]);
        assert_eq!(removed, expected, "{case}");
    }
}

#[test]
fn the_newest_beyond_a_cap_are_closed() {
    let (one, other) = ("192.0.2.7", "192.0.2.8");
    let scene = |own: std::ops::RangeInclusive<u32>, others: std::ops::RangeInclusive<u32>| {
        let ((mut counted, mut sockets), (more_counted, more)) = (connections(one, own), connections(other, others));
        counted.extend(more_counted);
        sockets.extend(more);
        seen(&counted, &sockets)
    };
    let cap = |cookies: &[u64]| cookies.iter().map(|cookie| (*cookie, Cause::Cap)).collect::<Vec<_>>();
    for (case, caps, seen, expected) in [
        ("at the cap", Caps { max: 4, max_per_source: 2, ..Caps::default() }, scene(1..=2, 3..=4), cap(&[])),
        ("no cap", Caps { idle_timeout_s: 1, ..Caps::default() }, scene(1..=9, 10..=19), cap(&[])),
        ("of a service", Caps { max: 3, ..Caps::default() }, scene(1..=2, 3..=5), cap(&[5, 4])),
        ("of a source", Caps { max_per_source: 2, ..Caps::default() }, scene(1..=3, 4..=7), cap(&[7, 6, 3])),
        ("of a source first", Caps { max: 3, max_per_source: 2, ..Caps::default() }, scene(1..=4, 5..=5), cap(&[4, 3])),
        ("of both", Caps { max: 3, max_per_source: 2, ..Caps::default() }, scene(1..=4, 5..=6), cap(&[4, 3, 6])),
    ] {
        let found = look(&mut Memory::default(), &seen, &rules(caps));
        assert_eq!(closed(&found), expected, "{case}");
        assert_eq!(found, Findings { close: found.close.clone(), ..Findings::default() }, "{case}: nothing else");
    }
}

#[test]
fn sources_of_ipv6_share_a_cap_by_64() {
    let rules = rules(Caps { max_per_source: 1, ..Caps::default() });
    let clients = [(1, "2001:db8::7"), (2, "2001:db8::8"), (3, "2001:db8:0:1::7")];
    let counted = clients.map(|(cookie, client)| (cookie, counted(client, 1, HERE, cookie)));
    let sockets = clients.map(|(cookie, client)| socket(cookie as u32, client, 3000));
    assert_eq!(closed(&look(&mut Memory::default(), &seen(&counted, &sockets), &rules)), [(2, Cause::Cap)]);
}

#[test]
fn a_service_that_monitors_closes_nothing() {
    let rules = rules(Caps { max: 1, max_per_source: 1, idle_timeout_s: 1 });
    let counted = [1, 2, 3].map(|cookie| (cookie, counted("192.0.2.7", 2, HERE, cookie)));
    let sockets = [1, 2, 3].map(|cookie| silent(socket(cookie, "192.0.2.7", 4000), 60));
    assert_eq!(look(&mut Memory::default(), &seen(&counted, &sockets), &rules), Findings::default());
}

#[test]
fn older_connections_count_for_a_cap_once_they_are_known() {
    let rules = rules(Caps { max: 2, ..Caps::default() });
    let (counted, mut sockets) = connections("192.0.2.7", 1..=2);
    sockets.push(socket(3, "192.0.2.8", 3000));
    let mut memory = Memory::default();
    let there = seen(&counted, &sockets);
    assert_eq!(closed(&look(&mut memory, &there, &rules)), []);
    let found = look(&mut memory, &there, &rules);
    assert_eq!(closed(&found), [(3, Cause::Cap)]);
    assert_eq!(found.add.len(), 1, "that it is gone is found out like that of any other");
}

#[test]
fn what_is_idle_is_closed_and_makes_room() {
    let rules = rules(Caps { max: 1, idle_timeout_s: 300, ..Caps::default() });
    let (counted, sockets) = connections("192.0.2.7", 1..=4);
    let silences = [300, 299, 301, 0];
    let sockets: Vec<_> = sockets.into_iter().zip(silences).map(|(socket, for_s)| silent(socket, for_s)).collect();
    let found = look(&mut Memory::default(), &seen(&counted, &sockets), &rules);
    assert_eq!(closed(&found), [(3, Cause::Idle), (1, Cause::Idle), (4, Cause::Cap)]);
    let for_s = found.close.iter().map(|condemned| condemned.silent_for().map(|silence| silence.as_secs()));
    assert!(for_s.eq([Some(301), Some(300), None]));

    let untold = connections("192.0.2.7", 1..=1);
    assert_eq!(look(&mut Memory::default(), &seen(&untold.0, &untold.1), &rules), Findings::default());
}

#[test]
fn what_cannot_be_closed_is_told() {
    let caps = Caps { max: 2, max_per_source: 2, idle_timeout_s: 300 };
    let elsewhere = [4, 5, 6].map(|cookie| (cookie, counted("192.0.2.8", 1, ELSEWHERE, cookie)));
    let (here, sockets) = connections("192.0.2.7", 1..=3);
    let all = [here.as_slice(), &elsewhere].concat();
    let found = look(&mut Memory::default(), &seen(&all, &sockets), &rules(caps));
    // Four are beyond the service's cap, and three of them are here.
    assert_eq!(closed(&found), [(3, Cause::Cap), (2, Cause::Cap), (1, Cause::Cap)]);
    assert_eq!((found.elsewhere, found.beyond), (BTreeMap::from([(1, 3)]), BTreeMap::from([(1, 1)])));

    let orphan = orphan(silent(socket(3, "192.0.2.7", 3000), 400));
    let sockets = [sockets[0].clone(), sockets[1].clone(), orphan];
    let found = look(&mut Memory::default(), &seen(&here, &sockets), &rules(caps));
    assert_eq!(closed(&found), [(2, Cause::Cap)], "of the newest the kernel is rid soon");
    assert_eq!((found.elsewhere, found.beyond), (BTreeMap::new(), BTreeMap::new()));
}
