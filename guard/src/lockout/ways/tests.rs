use std::fs;

use guard_tests::{Host, Link};

use super::*;

fn index(host: &Host, name: &str) -> u32 {
    let text = fs::read_to_string(host.outside(format!("/sys/class/net/{name}/ifindex"))).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn who_comes_by_what_a_guarded_interface_carries_comes_by_it() {
    let (host, peer) = (Host::new("host"), Host::new("peer"));
    let links = ["eth0", "eth1", "eth2"].map(|name| Link::between(&host, name, &peer, name));
    links[0].left.add_addresses(["10.0.0.1/24", "2001:db8::1/64"]);
    links[1].left.add_addresses(["10.1.0.1/24"]);
    for command in [
        "link add link eth0 name upper type macvlan",
        "link set upper up",
        "address add 10.2.0.1/24 dev upper",
        "link add bridge type bridge",
        "link set eth2 master bridge",
        "link set bridge up",
        "address add 10.3.0.1/24 dev bridge",
        "link add link bridge name top type macvlan",
        "link set top up",
        "address add 10.4.0.1/24 dev top",
        "link add link eth1 name other type macvlan",
        "link set other up",
        "address add 10.5.0.1/24 dev other",
        "route add 203.0.113.8 via 10.1.0.9",
        "route add 203.0.113.8 via 10.0.0.9 table 100",
        "rule add from 10.0.0.1 table 100",
    ] {
        host.ip(&command.split(' ').collect::<Vec<_>>());
    }
    let guarded = BTreeSet::from(["eth0", "eth2"].map(|name| index(&host, name)));
    for (case, peer, expected) in [
        ("by the guarded interface", "10.0.0.2", true),
        ("by the guarded interface, IPv6", "2001:db8::2", true),
        ("by another", "10.1.0.2", false),
        ("by one on the guarded one", "10.2.0.2", true),
        ("by a bridge with a guarded port", "10.3.0.2", true),
        ("by one on that bridge", "10.4.0.2", true),
        ("by one on another", "10.5.0.2", false),
        ("from here", "10.1.0.1", false),
        ("link-local", "fe80::2", true),
        ("by a way that depends on the own address", "203.0.113.8", true),
        ("by no way that is known", "203.0.113.7", true),
    ] {
        let peer: IpAddr = peer.parse().unwrap();
        let local = if peer.is_ipv4() { "10.0.0.1" } else { "2001:db8::1" }.parse().unwrap();
        assert_eq!(host.enter(|| is_guarded(local, peer, &guarded)), expected, "{case}");
    }
}
