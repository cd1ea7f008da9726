//! The routes of a host of the test.

use guard_tests::{Host, Link};

use super::*;

#[test]
fn each_address_is_reached_as_the_routes_say() {
    let [host, gateway, container] = ["host", "gateway", "container"].map(Host::new);
    let out = Link::between(&host, "out", &gateway, "eth0").left;
    let inside = Link::between(&host, "inside", &container, "eth0").left;
    out.add_addresses(["192.0.2.1/24", "2001:db8::1/64"]);
    inside.add_addresses(["172.17.0.1/16", "fd00::1/64"]);
    host.ip(&["route", "add", "default", "via", "192.0.2.254"]);
    host.ip(&["-6", "route", "add", "default", "via", "2001:db8::ff"]);
    host.ip(&["route", "add", "blackhole", "203.0.113.0/24"]);
    host.ip(&["-6", "route", "add", "prohibit", "2001:db8:bad::/48"]);
    host.enter(|| {
        let mut routes = Routes::open().unwrap();
        for (address, expected) in [
            ("192.0.2.1", Reach::Here),
            ("127.0.0.1", Reach::Here),
            ("172.17.0.1", Reach::Here),
            ("2001:db8::1", Reach::Here),
            ("::1", Reach::Here),
            ("192.0.2.254", Reach::By(out.index())),
            ("8.8.8.8", Reach::By(out.index())),
            ("2001:db8:1::1", Reach::By(out.index())),
            ("172.17.0.2", Reach::By(inside.index())),
            ("fd00::2", Reach::By(inside.index())),
            ("203.0.113.1", Reach::Nowhere),
            ("2001:db8:bad::1", Reach::Nowhere),
            ("192.0.2.255", Reach::Nowhere),
            ("224.0.0.251", Reach::Nowhere),
        ] {
            // The second time it is known.
            for _ in 0..2 {
                assert_eq!(routes.reach(address.parse().unwrap()).unwrap(), expected, "{address}");
            }
        }
    });
}

#[test]
fn routes_may_depend_on_the_own_address() {
    let [host, one, other] = ["host", "one", "other"].map(Host::new);
    let links = [(&one, "eth0"), (&other, "eth1")].map(|(peer, name)| Link::between(&host, name, peer, "eth0").left);
    links[0].add_addresses(["192.0.2.1/24", "2001:db8::1/64"]);
    links[1].add_addresses(["198.51.100.1/24", "2001:db8:1::1/64"]);
    host.ip(&["route", "add", "default", "via", "192.0.2.254"]);
    host.ip(&["-6", "route", "add", "default", "via", "2001:db8::ff"]);
    host.ip(&["route", "add", "default", "via", "198.51.100.254", "table", "100"]);
    host.ip(&["-6", "route", "add", "default", "via", "2001:db8:1::ff", "table", "100"]);
    host.ip(&["rule", "add", "from", "198.51.100.1", "table", "100"]);
    host.ip(&["-6", "rule", "add", "from", "2001:db8:1::1", "table", "100"]);
    host.enter(|| {
        let routes = Routes::open().unwrap();
        for (own, link) in [("192.0.2.1", 0), ("198.51.100.1", 1), ("2001:db8::1", 0), ("2001:db8:1::1", 1)] {
            let own: std::net::IpAddr = own.parse().unwrap();
            let peer = if own.is_ipv4() { "203.0.113.7" } else { "2001:db8:7::7" }.parse().unwrap();
            assert_eq!(routes.reach_from(own, peer).unwrap(), Reach::By(links[link].index()), "{own}");
            assert_eq!(routes.reach_from(own, own).unwrap(), Reach::Here, "{own}");
        }
    });
}
