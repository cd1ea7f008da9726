//! A host gets and keeps its address by DHCP, whoever serves it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use guard_tests::{Family, Host, in_each_family};
use socket2::{Domain, Protocol, Socket, Type};

use crate::scene::{DROP, SOON, Scene};

#[test]
fn a_dhcp_server_that_no_list_names_is_asked_and_answers() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let guard = scene.site.guard(DROP);
        let [client_port, server_port] = cell.pick([68, 67], [546, 547]);
        let any = cell.pick(IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into());
        let client = socket(scene.host(), SocketAddr::new(any, client_port));
        let server = socket(scene.peer(), SocketAddr::new(any, server_port));
        let to_all = match cell.family {
            Family::V4 => SocketAddr::new(Ipv4Addr::BROADCAST.into(), server_port),
            // All servers and relays of the link (RFC 8415, 7.1).
            Family::V6 => SocketAddr::new("ff02::1:2".parse().unwrap(), server_port),
        };
        let index = [scene.site.link.left.index(), scene.site.link.right.index()];
        if cell.family == Family::V6 {
            server.join_multicast_v6(&"ff02::1:2".parse().unwrap(), index[1]).unwrap();
        }

        client.send_to(b"discover", to_all).unwrap();
        let asked = heard(&server, b"discover");
        let answers_to: Vec<SocketAddr> = match cell.family {
            // To all, as a client that can't be spoken to yet asks for, and to its address, as when it renews.
            Family::V4 => vec![SocketAddr::new(Ipv4Addr::BROADCAST.into(), client_port), scene.site.at(client_port)],
            Family::V6 => vec![asked],
        };
        for to in answers_to {
            server.send_to(b"offer", to).unwrap();
            heard(&client, b"offer");
        }
        let dropped = guard_tests::Counters::read(&guard).with_verdict("drop");
        assert!(dropped.is_empty(), "{dropped:?}");
    });
}

/// Waits for a datagram, and returns who sent it.
fn heard(socket: &UdpSocket, expected: &[u8]) -> SocketAddr {
    let mut datagram = [0; 64];
    let (length, sender) = socket.recv_from(&mut datagram).expect("a datagram comes");
    assert_eq!(&datagram[..length], expected);
    sender
}

/// A socket as DHCP programs have: on one interface, and heard by all.
fn socket(host: &Host, at: SocketAddr) -> UdpSocket {
    let socket = host.enter(|| {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(b"eth0"))?;
        socket.set_broadcast(at.is_ipv4())?;
        socket.set_read_timeout(Some(SOON))?;
        socket.bind(&at.into())?;
        io::Result::Ok(socket)
    });
    socket.unwrap_or_else(|error| panic!("a socket at {at} of {host:?}: {error}")).into()
}
