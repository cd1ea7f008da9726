//! Real traffic of a host that masquerades: what its tracker holds is compared with what arrives at the far end.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use guard_common::packet::protocol;
use guard_tests::{Family, Host, Link, wait::eventually};
use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv, setsockopt, socket,
        sockopt,
    },
    time::{TimeVal, TimeValLike as _},
};

use crate::network::{
    NetworkError,
    conntrack::{Direction, Tracked, read},
};

const SOON: Duration = Duration::from_secs(10);

const MASQUERADE: &str = r#"
table inet test {
    chain out { type nat hook postrouting priority srcnat; oifname "outer" masquerade; }
}"#;

/// A host behind a router, and one out in the world.
struct Site {
    inside: Host,
    router: Host,
    outside: Host,
}

/// The addresses of a site, in one family.
#[derive(Clone, Copy)]
struct Addresses {
    inside: IpAddr,
    router: IpAddr,
    outside: IpAddr,
}

impl Addresses {
    fn of(family: Family) -> Self {
        let [inside, router, outside] = family
            .pick(["10.1.0.2", "10.2.0.1", "10.2.0.2"], ["2001:db8:1::2", "2001:db8:2::1", "2001:db8:2::2"])
            .map(|address| address.parse().unwrap());
        Self { inside, router, outside }
    }
}

fn flow(protocol: u8, source: SocketAddr, seen_as: SocketAddr, to: SocketAddr) -> Tracked {
    Tracked {
        protocol,
        original: Direction { source, destination: to },
        reply: Direction { source: to, destination: seen_as },
    }
}

impl Site {
    fn new() -> Self {
        let [inside, router, outside] = ["inside", "router", "outside"].map(Host::new);
        let inner = Link::between(&inside, "eth0", &router, "inner");
        let outer = Link::between(&router, "outer", &outside, "eth0");
        inner.left.add_addresses(["10.1.0.2/24", "2001:db8:1::2/64"]);
        inner.right.add_addresses(["10.1.0.1/24", "2001:db8:1::1/64"]);
        outer.left.add_addresses(["10.2.0.1/24", "2001:db8:2::1/64"]);
        outer.right.add_addresses(["10.2.0.2/24", "2001:db8:2::2/64"]);
        inside.ip(&["route", "add", "default", "via", "10.1.0.1"]);
        inside.ip(&["-6", "route", "add", "default", "via", "2001:db8:1::1"]);
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sysctl("net/ipv6/conf/all/forwarding", "1");
        for host in [&inside, &router] {
            host.sysctl("net/ipv4/ping_group_range", "0 0");
        }
        let rules = router.write("rules.nft", MASQUERADE);
        let loaded = router.command("nft").arg("-f").arg(rules).output().expect("nftables' `nft` can be started");
        assert!(loaded.status.success(), "nft: {}", String::from_utf8_lossy(&loaded.stderr));
        Self { inside, router, outside }
    }

    /// Checks that the router's tracker holds these flows and no others.
    #[track_caller]
    fn assert_tracked(&self, expected: &[Tracked]) {
        let tracked = self.router.enter(read).unwrap();
        for flow in expected {
            assert!(tracked.contains(flow), "{flow:#?} is not among {tracked:#?}");
        }
        assert_eq!(tracked.len(), expected.len(), "others than {expected:#?} are among {tracked:#?}");
    }

    /// Opens a connection from one host to a listener of another, of which the latter's address is given.
    fn open_tcp(from: &Host, to: &Host, address: IpAddr) -> (Tracked, [TcpStream; 2]) {
        let listener = to.enter(|| TcpListener::bind((address, 0))).unwrap();
        let to = listener.local_addr().unwrap();
        let client = from.enter(|| TcpStream::connect(to)).unwrap();
        let (server, seen_as) = listener.accept().unwrap();
        (flow(protocol::TCP, client.local_addr().unwrap(), seen_as, to), [client, server])
    }

    /// Sends a datagram to a receiver.
    fn open_udp(from: &Host, source: SocketAddr, receiver: &UdpSocket) -> Tracked {
        let to = receiver.local_addr().unwrap();
        from.enter(|| UdpSocket::bind(source)).unwrap().send_to(b"hello", to).unwrap();
        let (_, seen_as) = receiver.recv_from(&mut [0; 16]).unwrap();
        flow(protocol::UDP, source, seen_as, to)
    }

    /// Sends an echo request to the world, its identifier being the source's port.
    fn open_echo(&self, from: &Host, source: SocketAddr, to: Addresses, family: Family) -> Tracked {
        let domain = family.pick(AddressFamily::Inet, AddressFamily::Inet6);
        let icmp = family.pick(SockProtocol::Icmp, SockProtocol::IcmpV6);
        let open = |kind| socket(domain, kind, SockFlag::SOCK_CLOEXEC, icmp).unwrap();
        let receiver = self.outside.enter(|| open(SockType::Raw));
        let sender = from.enter(|| open(SockType::Datagram));
        bind(sender.as_raw_fd(), &SockaddrStorage::from(source)).unwrap();
        let request_type = family.pick(8, 128);
        let destination = SocketAddr::new(to.outside, 0);
        UdpSocket::from(sender).send_to(&[request_type, 0, 0, 0, 0, 0, 0, 1], destination).unwrap();
        let seen_as = SocketAddr::new(to.router, receive_identifier(&receiver, family, request_type));
        flow(family.pick(protocol::ICMP, protocol::ICMPV6), source, seen_as, destination)
    }
}

/// The identifier of the next echo request that a raw socket receives, which over IPv4 is given the IP header as well.
fn receive_identifier(receiver: &OwnedFd, family: Family, request_type: u8) -> u16 {
    setsockopt(receiver, sockopt::ReceiveTimeout, &TimeVal::seconds(10)).unwrap();
    loop {
        let mut packet = [0; 128];
        let length = recv(receiver.as_raw_fd(), &mut packet, MsgFlags::empty()).unwrap();
        let header_len = family.pick(usize::from(packet[0] & 0x0f) * 4, 0);
        if let [icmp_type, _, _, _, high, low, ..] = packet[header_len..length]
            && icmp_type == request_type
        {
            return u16::from_be_bytes([high, low]);
        }
    }
}

#[test]
fn flows_are_tracked_as_the_far_end_sees_them() {
    let site = Site::new();
    site.assert_tracked(&[]);
    let (mut expected, mut streams) = (Vec::new(), Vec::new());
    for family in Family::ALL {
        let at = Addresses::of(family);
        for (from, to, address) in [
            (&site.inside, &site.outside, at.outside),
            (&site.router, &site.outside, at.outside),
            (&site.outside, &site.router, at.router),
        ] {
            let (flow, ends) = Site::open_tcp(from, to, address);
            expected.push(flow);
            streams.push(ends);
        }
        let receiver = site.outside.enter(|| UdpSocket::bind((at.outside, 0))).unwrap();
        receiver.set_read_timeout(Some(SOON)).unwrap();
        // The router's own come first, so that those from inside can't keep their port and identifier.
        for (from, source) in [(&site.router, at.router), (&site.inside, at.inside)] {
            let source = SocketAddr::new(source, 5000);
            expected.push(Site::open_udp(from, source, &receiver));
            expected.push(site.open_echo(from, source, at, family));
        }
    }
    let translated = expected.iter().filter(|flow| flow.original.source != flow.reply.destination).count();
    assert_eq!(translated, 6, "three kinds from inside, in two families: {expected:#?}");
    let kept = expected.iter().filter(|flow| flow.original.source.port() == flow.reply.destination.port()).count();
    assert_eq!(kept, expected.len() - 4, "UDP and echo from inside have other ports and identifiers: {expected:#?}");

    site.assert_tracked(&expected);

    drop(streams);
    expected.retain(|flow| flow.protocol != protocol::TCP);
    eventually("connections that end are not listed", SOON, || {
        site.router.enter(read).unwrap().len() == expected.len()
    });
    site.assert_tracked(&expected);
}

#[test]
fn nothing_is_tracked_where_nothing_asks_for_it() {
    let host = Host::new("host");
    let listener = host.enter(|| TcpListener::bind("127.0.0.1:0")).unwrap();
    let _client = host.enter(|| TcpStream::connect(listener.local_addr().unwrap())).unwrap();
    assert_eq!(host.enter(read).unwrap(), []);
}

#[test]
fn who_may_not_administer_the_network_is_told_so() {
    let refused = Host::new("host").enter(|| {
        const NOBODY: libc::uid_t = 65534;
        // SAFETY: the call takes numbers only. Unlike the C library's it changes this thread alone, which ends with the test.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
        assert_eq!(changed, 0, "become nobody: {}", io::Error::last_os_error());
        read().unwrap_err()
    });
    let NetworkError::Dump { source, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
}
