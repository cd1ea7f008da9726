//! Real sockets, each kind in a network of its own.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use guard_tests::{Host, Link, wait::eventually};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket},
};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn tcp(local: SocketAddr, remote: SocketAddr) -> Connection {
    Connection { protocol: protocol::TCP, local: canonical(local), remote: canonical(remote) }
}

fn udp(socket: &UdpSocket) -> Connection {
    Connection { protocol: protocol::UDP, local: socket.local_addr().unwrap(), remote: socket.peer_addr().unwrap() }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A client's stream to a listener, and the listener's to the client.
fn pair(listener: &TcpListener, address: &str) -> [TcpStream; 2] {
    let client = TcpStream::connect((address, listener.local_addr().unwrap().port())).unwrap();
    [client, listener.accept().unwrap().0]
}

/// What is connected, in order.
fn connections() -> Vec<Connection> {
    let mut connections = read().unwrap().connections;
    connections.sort();
    connections
}

/// Both ends of a connection, in order.
fn ends(streams: &[TcpStream; 2]) -> Vec<Connection> {
    let mut ends = streams.each_ref().map(|stream| tcp(stream.local_addr().unwrap(), stream.peer_addr().unwrap()));
    ends.sort();
    ends.to_vec()
}

#[test]
fn what_waits_for_strangers_is_listed() {
    let host = Host::new("host");
    host.sysctl("net/ipv4/ip_local_port_range", "40000 50000");
    let (_listeners, _bound) = host.enter(|| {
        (
            ["127.0.0.1:1001", "0.0.0.0:1002", "[::1]:1003", "[::]:1004", "0.0.0.0:45001"]
                .map(|address| TcpListener::bind(address).unwrap()),
            ["127.0.0.1:2001", "0.0.0.0:2002", "[::1]:2003", "[::]:2004", "0.0.0.0:39999", "0.0.0.0:50001"]
                .map(|address| UdpSocket::bind(address).unwrap()),
        )
    });
    let _clients = host.enter(|| {
        ["0.0.0.0:0", "[::]:0", "0.0.0.0:40000", "[::]:50000"].map(|address| UdpSocket::bind(address).unwrap())
    });
    let expected = Listening {
        tcp: BTreeSet::from([1001, 1002, 1003, 1004, 45001]),
        udp: BTreeSet::from([2001, 2002, 2003, 2004, 39999, 50001]),
    };

    assert_eq!(host.enter(read).unwrap(), Sockets { listening: expected.clone(), connections: Vec::new() });
    assert_eq!(host.enter(read_listening).unwrap(), expected);

    host.sysctl("net/ipv4/ip_local_port_range", "30000 39999");
    let widened = host.enter(read_listening).unwrap().udp;
    assert!(widened.contains(&40000) && !widened.contains(&39999), "the range as it was before: {widened:?}");
}

#[test]
fn what_is_connected_is_listed_with_both_ends() {
    Host::new("host").enter(|| {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let dual = TcpListener::bind("[::]:0").unwrap();
        let streams = [pair(&v4, "127.0.0.1"), pair(&v6, "::1"), pair(&dual, "127.0.0.1"), pair(&dual, "::1")];
        let sockets = ["127.0.0.1:0", "[::1]:0"].map(|address| {
            let socket = UdpSocket::bind(address).unwrap();
            socket.connect((socket.local_addr().unwrap().ip(), 53)).unwrap();
            socket
        });
        let mut expected: Vec<_> = streams.iter().flat_map(ends).chain(sockets.iter().map(udp)).collect();
        expected.sort();

        assert_eq!(connections(), expected);
        assert_eq!(read_listening().unwrap(), read().unwrap().listening, "with connections and without");
    });
}

#[test]
fn a_connection_is_listed_until_both_ends_have_ended_it() {
    let host = Host::new("host");
    host.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();

        let streams = pair(&listener, "127.0.0.1");
        let both = ends(&streams);
        let [client, server] = streams;
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(connections(), both, "FIN_WAIT_2 and CLOSE_WAIT");
        drop(server);
        eventually("the client's end is in TIME_WAIT, which is not listed", SOON, || connections().is_empty());

        let streams = pair(&listener, "127.0.0.1");
        let both = ends(&streams);
        let [client, server] = streams;
        client.shutdown(std::net::Shutdown::Write).unwrap();
        host.ip(&["link", "set", "lo", "down"]);
        drop(server);
        assert_eq!(connections(), both, "FIN_WAIT_2 and LAST_ACK");
        host.ip(&["link", "set", "lo", "up"]);

        drop(client);
        eventually("the lost FIN is sent again", SOON, || connections().is_empty());
        let streams = pair(&listener, "127.0.0.1");
        let both = ends(&streams);
        host.ip(&["link", "set", "lo", "down"]);
        drop(streams);
        assert_eq!(connections(), both, "FIN_WAIT_1 on both sides");
    });
}

#[test]
fn who_has_called_and_not_been_answered_is_listed() {
    let [host, peer] = ["host", "peer"].map(Host::new);
    let link = Link::between(&host, "eth0", &peer, "eth0");
    link.left.add_address("192.0.2.1/24");
    host.ip(&["neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0"]);
    host.enter(|| {
        let caller: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
        let called = SockaddrIn::new(192, 0, 2, 9, 80);
        assert_eq!(connect(caller.as_raw_fd(), &called), Err(Errno::EINPROGRESS));
        let [connection] = connections()[..] else { panic!("one connection") };
        assert_eq!(connection.local.ip(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(connection.remote, SocketAddr::from(called));
    });
}

/// The kernel's datagrams hold some 250 sockets each.
#[test]
fn a_list_of_many_datagrams_is_read_whole() {
    Host::new("host").enter(|| {
        let sockets: Vec<_> = (1..=600)
            .map(|port| {
                let socket = UdpSocket::bind("[::1]:0").unwrap();
                socket.connect(("::1", port)).unwrap();
                socket
            })
            .collect();
        let mut expected: Vec<_> = sockets.iter().map(udp).collect();
        expected.sort();
        assert_eq!(connections(), expected);
    });
}

#[test]
fn a_range_of_ports_is_two_numbers() {
    let cases = [
        ("32768\t60999\n", Some(32768..=60999)),
        ("1 65535", Some(1..=65535)),
        ("", None),
        ("1024", None),
        ("1024 x", None),
        ("1024 65536", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_range(text), expected, "{text:?}");
    }
}
