//! Flows of a network behind the guarded host, which routes for it or stands in for it.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use guard_tests::{Cell, Connection, Host, Link, client, connection::reaches, in_each_family, server::UdpEcho};

use crate::scene::{DROP, SHORTLY, SOON, Scene, arrives, datagrams, run};

/// How the guarded host passes on what its container sends, as its kernel's rules; all have the kernel keep track.
const WAYS: [(&str, &str); 2] = [
    ("masqueraded", "table inet t { chain c { type nat hook postrouting priority 100; oifname eth0 masquerade; }; }"),
    ("routed", "table inet t { chain c { type filter hook forward priority 0; ct state new accept; }; }"),
];

/// A container behind the guarded host.
pub(crate) struct Container {
    pub(crate) scene: Scene,
    pub(crate) host: Host,
    address: IpAddr,
    _link: Link,
}

impl Container {
    pub(crate) fn new(cell: Cell, ruleset: &str) -> Self {
        let scene = Scene::new(cell);
        let host = Host::new("container");
        let link = Link::between(scene.host(), "ct0", &host, "eth0");
        link.left.add_addresses(["172.17.0.1/24", "2001:db8:17::1/64"]);
        link.right.add_addresses(["172.17.0.2/24", "2001:db8:17::2/64"]);
        let [gateway, address] = cell.pick(["172.17.0.1", "172.17.0.2"], ["2001:db8:17::1", "2001:db8:17::2"]);
        host.ip(&["route", "add", "default", "via", gateway]);
        let network = cell.pick("172.17.0.0/24", "2001:db8:17::/64");
        scene.peer().ip(&["route", "add", network, "via", &scene.site.address().to_string()]);
        scene.host().sysctl("net/ipv4/ip_forward", "1");
        scene.host().sysctl("net/ipv6/conf/all/forwarding", "1");
        run(scene.host(), "nft", &[ruleset]);
        let address = address.parse().expect("an address");
        Self { scene, host, address, _link: link }
    }

    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    fn connection_out(&self, to: u16) -> Connection {
        Connection::open(&self.host, self.at(0), self.scene.peer(), self.scene.outside_at(to))
    }
}

#[test]
fn a_containers_flows_are_answered_and_older_ones_go_on() {
    in_each_family(|cell| {
        for (way, ruleset) in WAYS {
            let container = Container::new(cell, ruleset);
            let Container { scene, host, address, .. } = &container;
            let older = container.connection_out(8000);
            older.assert_carries("before");
            // What stands in for it keeps its port where that is free.
            let seen = if way == "masqueraded" { scene.site.at(50_001) } else { container.at(50_001) };
            let [near, far] = datagrams(host, container.at(50_001), scene.peer(), scene.outside_at(9000));
            far.connect(seen).unwrap();
            assert!(arrives(&near, &far, SOON) && arrives(&far, &near, SOON));

            let _guard = scene.site.guard(DROP);
            older.assert_carries(way);
            assert!(arrives(&far, &near, SOON) && arrives(&near, &far, SOON), "{way}: older datagrams");

            container.connection_out(8001).assert_carries_bytes(1 << 20, way);
            let echo = UdpEcho::start_at(scene.peer(), scene.outside_at(9001));
            let answer = client::udp_exchange(host, *address, scene.outside_at(9001), b"?", SOON);
            assert_eq!((answer.unwrap(), echo.datagrams()), (Some(b"?".to_vec()), 1), "{way}");
            let answered = client::ping(host, *address, scene.outside, 1, Duration::ZERO, SOON).unwrap();
            assert_eq!(answered, 1, "{way}: no answer to an echo request");
            let refused = host.enter(|| UdpSocket::bind(container.at(0))).unwrap();
            refused.connect(scene.outside_at(9999)).unwrap();
            refused.set_read_timeout(Some(SOON)).unwrap();
            refused.send(b"?").unwrap();
            assert_eq!(refused.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{way}");
        }
    });
}

#[test]
fn strangers_reach_no_container() {
    in_each_family(|cell| {
        let published = "table inet t { chain c { type nat hook prerouting priority -100;
            iifname eth0 tcp dport 8080 dnat ip to 172.17.0.2:80;
            iifname eth0 tcp dport 8080 dnat ip6 to [2001:db8:17::2]:80; }; }";
        let container = Container::new(cell, published);
        let scene = &container.scene;
        let from = SocketAddr::new(scene.stranger, 0);
        let through =
            Connection::open_through(scene.peer(), from, scene.site.at(8080), &container.host, container.at(80));
        let routed = Connection::open(scene.peer(), from, &container.host, container.at(81));
        let connections = [("published", through), ("routed", routed)];
        connections.iter().for_each(|(_, connection)| connection.assert_carries("before"));
        let _guard = scene.site.guard(DROP);
        for _ in 0..2 {
            for (case, Connection { opener, acceptor, .. }) in &connections {
                assert!(!reaches(opener, acceptor, SHORTLY), "a stranger's connection goes on: {case}");
                // What the container says must not open a way.
                reaches(acceptor, opener, SHORTLY);
            }
        }
    });
}
