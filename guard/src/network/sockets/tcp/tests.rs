//! Real sockets, each kind in a network of its own.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd,
    thread::sleep,
};

use guard_tests::{Host, Link, wait::eventually};

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// A client's stream to a listener, and the listener's to the client.
fn pair(listener: &TcpListener, address: &str) -> [TcpStream; 2] {
    let client = TcpStream::connect((address, port(listener))).unwrap();
    [client, listener.accept().unwrap().0]
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

/// The kernel's number of a socket, asked of the socket itself.
fn cookie_of(socket: &impl AsRawFd) -> u64 {
    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which is as long.
    let answer = unsafe {
        let (cookie, length) = ((&raw mut cookie).cast(), &raw mut length);
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_COOKIE, cookie, length)
    };
    assert_eq!(answer, 0, "{}", io::Error::last_os_error());
    cookie
}

fn read_port(port: u16, detail: Detail) -> Vec<TcpSocket> {
    read(&BTreeSet::from([port]), detail).unwrap()
}

/// The only connection of a local port.
fn the_one(port: u16) -> TcpSocket {
    let [socket] = &read_port(port, Detail::Silence)[..] else { panic!("one connection") };
    socket.clone()
}

fn destroy(socket: &TcpSocket) -> Destroyed {
    Destroyer::open().unwrap().destroy(socket).unwrap()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[test]
fn connections_of_a_port_are_listed_by_cookie_and_ends() {
    Host::new("host").enter(|| {
        for (case, bound, address) in [
            ("IPv4", "127.0.0.1:0", "127.0.0.1"),
            ("IPv6", "[::1]:0", "::1"),
            ("IPv4 to a socket of both", "[::]:0", "127.0.0.1"),
            ("IPv6 to a socket of both", "[::]:0", "::1"),
        ] {
            let (listening, other) = (listener(bound), listener(bound));
            let ([_client, server], _others) = (pair(&listening, address), pair(&other, address));
            let socket = the_one(port(&listening));
            assert_eq!(socket.cookie(), cookie_of(&server), "{case}");
            assert_eq!(socket.local(), canonical(server.local_addr().unwrap()), "{case}");
            assert_eq!(socket.remote(), canonical(server.peer_addr().unwrap()), "{case}");
            assert!(!socket.is_orphan, "{case}");

            let both = BTreeSet::from([port(&listening), port(&other)]);
            assert_eq!(read(&both, Detail::Ends).unwrap().len(), 2, "{case}");
            assert_eq!(read(&BTreeSet::new(), Detail::Ends).unwrap(), [], "{case}");
        }
    });
}

#[test]
fn the_kernel_tells_of_the_ports_alone() {
    Host::new("host").enter(|| {
        let listeners: Vec<_> = (0..5).map(|_| listener("127.0.0.1:0")).collect();
        let _streams: Vec<_> = listeners.iter().map(|listening| pair(listening, "127.0.0.1")).collect();
        let all: BTreeSet<u16> = listeners.iter().map(port).collect();
        // Ports below the listeners', which nobody has.
        let with_unused = |count: u16| all.iter().copied().chain(1..=count - 5).collect::<BTreeSet<u16>>();
        let one = BTreeSet::from([port(&listeners[2])]);
        let two = BTreeSet::from([port(&listeners[0]), port(&listeners[4])]);
        for (ports, expected) in [
            (one, 1),
            (two, 2),
            (BTreeSet::from([1]), 0),
            (all.clone(), 5),
            (with_unused(256), 5),
            // Too many for a filter: the clients' sockets are told of as well.
            (with_unused(257), 10),
        ] {
            let mut told = 0;
            read_with(&TCP, StateFlags::ESTABLISHED, ExtensionFlags::empty(), &filter::attribute(&ports), |_| {
                told += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(told, expected, "{} ports", ports.len());
            assert_eq!(read(&ports, Detail::Ends).unwrap().len(), expected.min(5), "{} ports", ports.len());
        }
    });
}

#[test]
fn silence_ends_with_data_either_way() {
    Host::new("host").enter(|| {
        let listening = listener("127.0.0.1:0");
        let [mut client, mut server] = pair(&listening, "127.0.0.1");
        let port = port(&listening);
        assert_eq!(read_port(port, Detail::Ends)[0].silent_for, None, "it was not asked for");
        let silence = || the_one(port).silent_for.unwrap();
        let long = Duration::from_millis(200);
        // The kernel counts in ticks.
        let short = long / 2;
        for (case, from_client) in [("from the client", true), ("from the server", false)] {
            sleep(long);
            assert!(silence() >= long - Duration::from_millis(20), "{case}");
            let [from, to] = if from_client { [&mut client, &mut server] } else { [&mut server, &mut client] };
            from.write_all(b"x").unwrap();
            to.read_exact(&mut [0]).unwrap();
            assert!(silence() < short, "{case}");
        }
    });
}

#[test]
fn silence_that_is_not_told_is_none() {
    let whole = {
        let mut info = vec![0xff; size_of::<libc::tcp_info>()];
        for (at, milliseconds) in [(44, 300_u32), (52, 200), (56, 250)] {
            info[at..at + 4].copy_from_slice(&milliseconds.to_ne_bytes());
        }
        info
    };
    assert_eq!(silence(&whole), Some(Duration::from_millis(200)));
    assert_eq!(silence(&whole[..60]), Some(Duration::from_millis(200)), "the last field that is needed ends there");
    assert_eq!(silence(&whole[..59]), None);
    assert_eq!(silence(&[]), None);
}

#[test]
fn a_destroyed_connection_is_closed_at_both_ends() {
    Host::new("host").enter(|| {
        for (case, bound, address) in [
            ("IPv4", "127.0.0.1:0", "127.0.0.1"),
            ("IPv6", "[::1]:0", "::1"),
            ("IPv4 to a socket of both", "[::]:0", "127.0.0.1"),
        ] {
            let listening = listener(bound);
            let [[mut client, mut server], [mut kept, mut keeping]] = [(); 2].map(|()| pair(&listening, address));
            let sockets = read_port(port(&listening), Detail::Ends);
            let socket = sockets.iter().find(|socket| socket.cookie() == cookie_of(&server)).unwrap();

            assert_eq!(destroy(socket), Destroyed::Closed, "{case}");
            assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted, "{case}");
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset, "{case}");
            assert_eq!(the_one(port(&listening)).cookie(), cookie_of(&keeping), "{case}");
            kept.write_all(b"x").unwrap();
            keeping.read_exact(&mut [0]).unwrap();

            assert_eq!(destroy(socket), Destroyed::Gone, "{case}");
        }
    });
}

#[test]
fn another_connection_of_the_same_ends_is_not_destroyed() {
    Host::new("host").enter(|| {
        let listening = listener("127.0.0.1:0");
        let [_client, server] = pair(&listening, "127.0.0.1");
        let mut socket = the_one(port(&listening));
        socket.id.cookie[0] ^= 1;
        assert_eq!(destroy(&socket), Destroyed::Gone);
        assert_eq!(the_one(port(&listening)).cookie(), cookie_of(&server));
    });
}

#[test]
fn who_waits_to_be_accepted_is_no_orphan() {
    Host::new("host").enter(|| {
        let listening = listener("127.0.0.1:0");
        let mut client = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        assert!(!the_one(port(&listening)).is_orphan);
        client.shutdown(Shutdown::Write).unwrap();
        let socket = the_one(port(&listening));
        assert!(!socket.is_orphan, "half closed");
        assert_eq!(destroy(&socket), Destroyed::Closed);
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_no_process_has_any_more_is_an_orphan() {
    let [host, peer] = ["host", "peer"].map(Host::new);
    let link = Link::between(&host, "eth0", &peer, "eth0");
    link.left.add_address("192.0.2.1/24");
    link.right.add_address("192.0.2.2/24");
    for case in ["the other end knows of the end", "the other end does not"] {
        let listening = host.enter(|| listener("192.0.2.1:0"));
        let client = peer.enter(|| TcpStream::connect(listening.local_addr().unwrap()).unwrap());
        let (server, _) = listening.accept().unwrap();
        let is_orphan = || host.enter(|| the_one(port(&listening))).is_orphan;
        if case == "the other end does not" {
            host.ip(&["link", "set", "eth0", "down"]);
        }
        server.shutdown(Shutdown::Write).unwrap();
        assert!(!is_orphan(), "{case}: its process waits for the other's end");
        drop(server);
        // Another test's child may have it until it runs its program.
        eventually(case, SOON, is_orphan);
        drop(client);
    }
}
