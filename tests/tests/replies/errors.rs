//! ICMP errors from a router that no list names, to real programs: path-MTU discovery, refusals, hops counted out.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use guard_tests::{
    Cell, Connection, Counters, Host, Link, Site, client, in_each_cell, in_each_family, server::UdpEcho, wait,
};
use nix::sys::socket::{
    setsockopt,
    sockopt::{Ipv4RecvErr, Ipv4Ttl, Ipv6RecvErr, Ipv6Ttl},
};

use crate::scene::{DROP, SHORTLY, SOON};

/// What the router takes to fit through the link behind it.
const NARROW: u32 = 1300;
const MEGABYTES: usize = 4 << 20;

/// A guarded host, a router, and a host behind a link that the router takes for narrow, which has an address of the
/// office's and one outside.
struct Routed {
    site: Site,
    far: Host,
    office: IpAddr,
    outside: IpAddr,
    _narrow: Link,
}

impl Routed {
    fn new(cell: Cell) -> Self {
        let site = Site::new(cell);
        let (router, far) = (site.peer(), Host::new("far"));
        let narrow = Link::between(router, "eth1", &far, "eth0");
        site.link.right.add_addresses(["10.0.0.254/24", "2001:db8::fe/64"]);
        narrow.left.add_addresses(["203.0.113.254/24", "192.0.2.254/24", "2001:db8:9::fe/64", "2001:db8:1::fe/64"]);
        narrow.right.add_addresses(["203.0.113.9/24", "192.0.2.1/24", "2001:db8:9::9/64", "2001:db8:1::1/64"]);
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sysctl("net/ipv6/conf/all/forwarding", "1");
        for (network, gateway) in [
            ("203.0.113.0/24", "10.0.0.254"),
            ("192.0.2.0/24", "10.0.0.254"),
            ("2001:db8:9::/64", "2001:db8::fe"),
            ("2001:db8:1::/64", "2001:db8::fe"),
        ] {
            site.host().ip(&["route", "add", network, "via", gateway]);
        }
        // Were the link narrow itself, the far host would ask for small segments from the beginning.
        for address in ["203.0.113.9", "192.0.2.1", "2001:db8:9::9", "2001:db8:1::1"] {
            router.ip(&["route", "add", address, "dev", "eth1", "mtu", "lock", &NARROW.to_string()]);
        }
        far.ip(&["route", "add", "default", "via", "203.0.113.254"]);
        far.ip(&["route", "add", "default", "via", "2001:db8:9::fe"]);
        let [office, outside] = cell.pick(["192.0.2.1", "203.0.113.9"], ["2001:db8:1::1", "2001:db8:9::9"]);
        let [office, outside] = [office, outside].map(|text| text.parse().expect("an address"));
        Self { site, far, office, outside, _narrow: narrow }
    }

    /// Tells whether the guarded host has learnt what fits on the way to an address.
    fn has_learnt(&self, destination: IpAddr) -> bool {
        let route = self.site.host().ip(&["route", "get", &destination.to_string()]);
        route.contains(&format!(" mtu {NARROW}"))
    }

    fn udp_socket(&self) -> UdpSocket {
        let socket = self.site.host().enter(|| UdpSocket::bind(self.site.at(0))).expect("a port is free");
        socket.set_read_timeout(Some(SOON)).expect("a socket takes a time limit");
        socket
    }
}

#[test]
fn a_client_of_a_service_gets_large_answers_through_a_router_that_no_list_names() {
    in_each_cell(|cell| {
        let routed = Routed::new(cell);
        let guard = routed.site.guard(DROP);
        let client = SocketAddr::new(routed.office, 0);
        let connection = Connection::open(&routed.far, client, routed.site.host(), routed.site.at(3000));
        assert!(!routed.has_learnt(routed.office));
        connection.assert_carries_bytes(MEGABYTES, "a client of the service");
        assert!(routed.has_learnt(routed.office), "its packets were never too large");
        let counters = Counters::read(&guard);
        assert_eq!(counters.with_verdict("drop"), Default::default(), "{counters:?}");
        assert_eq!(counters.packets("- pass reply"), 0, "{counters:?}");
    });
}

#[test]
fn own_flows_learn_what_fits_on_the_way() {
    in_each_family(|cell| {
        let routed = Routed::new(cell);
        let (host, own) = (routed.site.host(), routed.site.address());
        let echo = UdpEcho::start_at(&routed.far, SocketAddr::new(routed.outside, 9000));
        let guard = routed.site.guard(DROP);
        let to = SocketAddr::new(routed.outside, 9000);
        let large = vec![0x5a; 1400];
        let exchange = |limit| client::udp_exchange(host, own, to, &large, limit);

        let first = exchange(SHORTLY);
        let lost = matches!(&first, Ok(None))
            || first.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EMSGSIZE));
        assert!(lost && echo.datagrams() == 0, "the first datagram fits: {first:?}");
        assert!(routed.has_learnt(routed.outside), "by UDP");
        assert_eq!(exchange(SOON).unwrap(), Some(large.clone()));

        host.ip(&["route", "flush", "cache"]);
        host.ip(&["-6", "route", "flush", "cache"]);
        wait::eventually("what was learnt is forgotten", SOON, || !routed.has_learnt(routed.outside));
        let at = SocketAddr::new(routed.outside, 8000);
        let connection = Connection::open(host, routed.site.at(0), &routed.far, at);
        connection.assert_carries_bytes(MEGABYTES, "a connection of the host's own");
        assert!(routed.has_learnt(routed.outside), "by TCP");
        assert_eq!(Counters::read(&guard).with_verdict("drop"), Default::default());
    });
}

#[test]
fn refusals_and_hops_counted_out_reach_the_socket_that_asked() {
    in_each_family(|cell| {
        let routed = Routed::new(cell);
        let _guard = routed.site.guard(DROP);
        let refused = routed.udp_socket();
        refused.connect((routed.outside, 9999)).unwrap();
        refused.send(b"?").unwrap();
        assert_eq!(refused.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused);

        let probe = routed.udp_socket();
        probe.connect((routed.outside, 33434)).unwrap();
        match routed.outside.is_ipv4() {
            true => setsockopt(&probe, Ipv4Ttl, &1).and_then(|()| setsockopt(&probe, Ipv4RecvErr, &true)),
            false => setsockopt(&probe, Ipv6Ttl, &1).and_then(|()| setsockopt(&probe, Ipv6RecvErr, &true)),
        }
        .expect("a socket counts hops and hears of errors");
        probe.send(b"?").unwrap();
        assert_eq!(probe.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::HostUnreachable);
    });
}
