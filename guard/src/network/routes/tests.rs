//! Routes of every kind, in a network of their own.

use std::collections::BTreeSet;

use futures_util::{FutureExt as _, StreamExt as _};
use guard_tests::{Host, Link};
use nix::net::if_::if_nametoindex;
use tokio::runtime;

use crate::network::Network;

/// A host with an interface and an address of each family for each name, and the one at the other ends.
fn host(names: &[&str]) -> (Host, Host) {
    let [host, peer] = ["host", "peer"].map(Host::new);
    for (number, name) in (1..).zip(names) {
        let link = Link::between(&host, name, &peer, name);
        link.left.add_addresses([format!("10.0.{number}.1/24"), format!("2001:db8:{number}::1/64")]);
    }
    (host, peer)
}

fn route(host: &Host, route: &str) {
    host.ip(&route.split(' ').collect::<Vec<_>>());
}

/// Runs a test in a host, with a runtime.
fn run(host: &Host, test: impl AsyncFnOnce() + Send) {
    host.enter(|| runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test()));
}

#[test]
fn interfaces_with_a_gateway_behind_them_are_listed() {
    let cases: [(&str, &[&str], &[&str]); 12] = [
        ("no route", &[], &[]),
        ("no gateway", &["route add 198.51.100.0/24 dev eth1"], &[]),
        ("no way", &["route add unreachable 198.51.100.0/24", "-6 route add blackhole 2001:db8:f::/48"], &[]),
        ("IPv4", &["route add default via 10.0.1.9"], &["eth1"]),
        ("IPv6", &["-6 route add default via 2001:db8:2::9"], &["eth2"]),
        ("IPv6, by a link-local address", &["-6 route add default via fe80::9 dev eth2"], &["eth2"]),
        ("IPv4 by an IPv6 gateway", &["route add default via inet6 fe80::9 dev eth3"], &["eth3"]),
        ("another table", &["route add default via 10.0.3.9 table 1000"], &["eth3"]),
        ("one each", &["route add default via 10.0.1.9", "-6 route add default via 2001:db8:2::9"], &["eth1", "eth2"]),
        (
            "several next hops, one of them without a gateway",
            &["route add default nexthop via 10.0.1.9 nexthop dev eth2 nexthop via 10.0.3.9"],
            &["eth1", "eth3"],
        ),
        (
            "several IPv6 next hops",
            &["-6 route add default nexthop via 2001:db8:1::9 nexthop via 2001:db8:2::9"],
            &["eth1", "eth2"],
        ),
        ("a nexthop object", &["nexthop add id 7 via 10.0.2.9 dev eth2", "route add default nhid 7"], &["eth2"]),
    ];
    for (case, routes, expected) in cases {
        let (host, _peer) = host(&["eth1", "eth2", "eth3"]);
        for text in routes {
            route(&host, text);
        }
        run(&host, async || {
            let listed = Network::open().unwrap().routing_interfaces().await.unwrap();
            let expected: BTreeSet<u32> = expected.iter().map(|&name| if_nametoindex(name).unwrap()).collect();
            assert_eq!(listed, expected, "{case}");
        });
    }
}

#[test]
fn routes_to_gateways_wake_and_others_do_not() {
    let (host, _peer) = host(&["eth1"]);
    run(&host, async || {
        let mut network = Network::open().unwrap();
        let cases = [
            ("route add 198.51.100.0/24 dev eth1", false),
            ("route add default via 10.0.1.9", true),
            ("route replace default dev eth1", true),
            ("route del 198.51.100.0/24", false),
            ("-6 route add default via fe80::9 dev eth1", true),
            ("-6 route del default via fe80::9 dev eth1", true),
        ];
        for (change, expected) in cases {
            // What came before an answer has been read when that is.
            network.routing_interfaces().await.unwrap();
            while network.changes.next().now_or_never().is_some() {}
            route(&host, change);
            network.routing_interfaces().await.unwrap();
            assert_eq!(network.changes.next().now_or_never().is_some(), expected, "{change}");
        }
    });
}
