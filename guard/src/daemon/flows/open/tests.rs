//! Named cases of what sockets, the tracker and routes say, on a host with an uplink, a bridge of containers and a second network.

use std::net::SocketAddr;

use super::*;
use crate::{network::conntrack::Direction, policy::Mode, samples};

const UPLINK: u32 = 2;
const BRIDGE: u32 = 3;

/// This host's address, a container's, a server's behind it, and one far away, of each family.
struct Places {
    own: &'static str,
    container: &'static str,
    far: &'static str,
}

const PLACES: [Places; 2] = [
    Places { own: "192.0.2.1", container: "172.17.0.2", far: "198.51.100.9" },
    Places { own: "[2001:db8::1]", container: "[fd00::2]", far: "[2001:db8:ffff::9]" },
];

fn reach(address: IpAddr) -> Reach {
    match address.to_string().as_str() {
        "192.0.2.1" | "2001:db8::1" | "172.17.0.1" | "127.0.0.1" | "fe80::1" => Reach::Here,
        container if container.starts_with("172.17.") || container.starts_with("fd00:") => Reach::By(BRIDGE),
        multicast if multicast.starts_with("ff") || multicast.starts_with("224.") => Reach::Nowhere,
        _ => Reach::By(UPLINK),
    }
}

fn at(place: &str, port: u16) -> SocketAddr {
    format!("{place}:{port}").parse().unwrap()
}

fn tracked(protocol: u8, original: [SocketAddr; 2], reply: [SocketAddr; 2]) -> Tracked {
    let direction = |[source, destination]: [SocketAddr; 2]| Direction { source, destination };
    Tracked { protocol, original: direction(original), reply: direction(reply) }
}

/// A flow whose addresses nobody translates.
fn plain(protocol: u8, from: SocketAddr, to: SocketAddr) -> Tracked {
    tracked(protocol, [from, to], [to, from])
}

fn open(sockets: Sockets, tracked: &[Tracked]) -> Open {
    let is_outside = |address| Ok(leads_outside(address, reach(address), |interface| interface == UPLINK));
    Open::of(sockets, tracked, 32_768..=60_999, is_outside).unwrap()
}

fn listening(tcp: &[u16], udp: &[u16]) -> Sockets {
    let listening = Listening { tcp: tcp.iter().copied().collect(), udp: udp.iter().copied().collect() };
    Sockets { listening, connections: Vec::new() }
}

/// A service at tcp/3000 and udp/3000, failsafe tcp/22.
fn ports(default: DefaultVerdict) -> PortPolicy {
    let ports = [Protocol::Tcp, Protocol::Udp].map(|protocol| samples::port(protocol, 3000));
    let mut policy = samples::policy(&[], &[], vec![samples::service("service", &ports, Mode::Enforce, &[])]);
    policy.default = default;
    PortPolicy::of(&policy)
}

fn connection(protocol: u8, local: SocketAddr, remote: SocketAddr) -> Connection {
    Connection { protocol, local, remote }
}

fn keys(connections: &[Connection]) -> BTreeSet<FlowKey> {
    connections.iter().map(|connection| key(connection).unwrap()).collect()
}

#[test]
fn what_leaves_is_remembered_as_it_looks_outside_and_what_enters_is_not() {
    use protocol::{ICMP, ICMPV6, TCP, UDP};
    const GRE: u8 = 47;
    for Places { own, container, far } in PLACES {
        let echo = if own.starts_with('[') { ICMPV6 } else { ICMP };
        let (client, server) = (at(own, 40_000), at(far, 443));
        let inside = at(container, 50_000);
        let stranger = at(far, 5_555);
        for (case, flow, remembered) in [
            ("own TCP", plain(TCP, client, server), Some((TCP, client, server))),
            ("own UDP", plain(UDP, client, at(far, 53)), Some((UDP, client, at(far, 53)))),
            ("own echo", plain(echo, at(own, 77), at(far, 0)), Some((echo, at(own, 77), at(far, 0)))),
            ("own GRE", plain(GRE, at(own, 0), at(far, 0)), Some((GRE, at(own, 0), at(far, 0)))),
            ("own TCP from a service's port", plain(TCP, at(own, 3000), server), Some((TCP, at(own, 3000), server))),
            ("own UDP from a service's port", plain(UDP, at(own, 3000), server), None),
            ("own TCP from a port that is listened on", plain(TCP, at(own, 8080), server), None),
            ("own UDP from a port that is listened on", plain(UDP, at(own, 5353), server), None),
            (
                "a masqueraded container's",
                tracked(TCP, [inside, server], [server, at(own, 61_000)]),
                Some((TCP, at(own, 61_000), server)),
            ),
            ("a routed container's", plain(TCP, inside, server), Some((TCP, inside, server))),
            ("a container's to the host", plain(TCP, inside, at(own, 9_999)), None),
            ("the host's to a container", plain(TCP, client, at(container, 80)), None),
            ("a stranger's to the host", plain(TCP, stranger, at(own, 9_999)), None),
            ("a stranger's UDP to the host", plain(UDP, stranger, at(own, 9_999)), None),
            ("a stranger's echo", plain(echo, at(far, 77), at(own, 0)), None),
            (
                "a stranger's to a container behind DNAT",
                tracked(TCP, [stranger, at(own, 8081)], [at(container, 80), stranger]),
                None,
            ),
            (
                "the same, masqueraded towards the container",
                tracked(TCP, [stranger, at(own, 8081)], [at(container, 80), at("172.17.0.1", 33_000)]),
                None,
            ),
            ("a stranger's to a routed container", plain(TCP, stranger, at(container, 80)), None),
            (
                "a container's to a published port of the host's own",
                tracked(TCP, [inside, at(own, 8081)], [at(container, 80), at("172.17.0.1", 33_001)]),
                None,
            ),
            ("to many", plain(UDP, client, at(if echo == ICMP { "224.0.0.251" } else { "[ff02::fb]" }, 5353)), None),
        ] {
            let open = open(listening(&[8080], &[5353]), &[flow]);
            let expected = remembered.map(|(protocol, local, remote)| connection(protocol, local, remote));
            let expected = keys(expected.as_slice());
            assert_eq!(open.to_remember(&ports(DefaultVerdict::Drop)), expected, "{case}, {own}");

            // Where other ports pass, TCP from a service's port (or a failsafe one) is all that matters.
            let expected = expected.into_iter().filter(|key| key.protocol == TCP && key.local_port == 3000).collect();
            assert_eq!(open.to_remember(&ports(DefaultVerdict::Pass)), expected, "{case}, {own}, default pass");
        }
    }
}

#[test]
fn a_connection_that_comes_in_and_goes_out_again_lets_in_only_its_end() {
    // Both networks are behind the uplink: a stranger's connection is passed on to another host there.
    let (stranger, server) = (at("198.51.100.9", 5_555), at("203.0.113.5", 80));
    let flow = tracked(protocol::TCP, [stranger, at("192.0.2.1", 80)], [server, at("192.0.2.1", 61_000)]);
    let open = open(Sockets::default(), &[flow]);
    let expected = keys(&[connection(protocol::TCP, at("192.0.2.1", 61_000), server)]);
    assert_eq!(open.to_remember(&ports(DefaultVerdict::Drop)), expected);
    assert!(open.entered_by.tcp.contains(&80));
}

#[test]
fn sockets_are_remembered_unless_they_answer() {
    use protocol::{TCP, UDP};
    for Places { own, far, .. } in PLACES {
        let server = at(far, 443);
        for (case, socket, remembered) in [
            ("TCP", connection(TCP, at(own, 40_000), server), true),
            ("UDP", connection(UDP, at(own, 40_000), server), true),
            ("TCP of a service's port", connection(TCP, at(own, 3000), server), false),
            ("UDP of a service's port", connection(UDP, at(own, 3000), server), false),
            ("TCP of a failsafe port", connection(TCP, at(own, 22), server), false),
            ("TCP of a port that is listened on", connection(TCP, at(own, 8080), server), false),
            ("UDP of a port where only TCP is listened on", connection(UDP, at(own, 8080), server), true),
            ("UDP of a port that is listened on", connection(UDP, at(own, 5353), server), false),
            ("TCP to itself", connection(TCP, at("127.0.0.1", 40_000), at("127.0.0.1", 9_999)), false),
        ] {
            let mut sockets = listening(&[8080], &[5353]);
            sockets.connections.push(socket);
            let open = open(sockets, &[]);
            let expected = if remembered { keys(&[socket]) } else { BTreeSet::new() };
            assert_eq!(open.to_remember(&ports(DefaultVerdict::Drop)), expected, "{case}, {own}");
            assert!(open.to_remember(&ports(DefaultVerdict::Pass)).is_empty(), "{case}, {own}, default pass");
        }
    }
}

#[test]
fn a_socket_that_a_stranger_opened_is_not_remembered_when_its_listener_is_gone() {
    let stranger = at("198.51.100.9", 5_555);
    let policy = ports(DefaultVerdict::Drop);
    for (port, may_ask) in [(9_999, false), (40_000, true)] {
        let local = at("192.0.2.1", port);
        let socket = connection(protocol::TCP, local, stranger);
        let sockets = || Sockets { connections: vec![socket], ..Sockets::default() };
        let expected = if may_ask { keys(&[socket]) } else { BTreeSet::new() };
        assert_eq!(open(sockets(), &[]).to_remember(&policy), expected, "nothing tells but port {port}");
        let entered = open(sockets(), &[plain(protocol::TCP, stranger, local)]);
        assert!(entered.to_remember(&policy).is_empty(), "the tracker tells, port {port}");
        let left = open(sockets(), &[plain(protocol::TCP, local, stranger)]);
        assert_eq!(left.to_remember(&policy), keys(&[socket]), "the tracker tells, port {port}");
    }
}

#[test]
fn ports_by_which_strangers_came_count_as_listened_on() {
    use protocol::{ICMP, TCP, UDP};
    let [Places { own, container, far }, _] = PLACES;
    let stranger = at(far, 5_555);
    let behind = |protocol, port| tracked(protocol, [stranger, at(own, port)], [at(container, 80), stranger]);
    for (case, flow, tcp, udp) in [
        ("TCP behind DNAT", behind(TCP, 8081), &[8081][..], &[][..]),
        ("UDP behind DNAT", behind(UDP, 8081), &[], &[8081]),
        ("UDP behind DNAT, in the ephemeral range", behind(UDP, 40_000), &[], &[40_000]),
        ("UDP to the host", plain(UDP, stranger, at(own, 5_000)), &[], &[5_000]),
        ("what may be a late answer", plain(UDP, stranger, at(own, 40_000)), &[], &[]),
        ("TCP to the host", plain(TCP, stranger, at(own, 40_000)), &[40_000], &[]),
        ("TCP to a routed container", plain(TCP, stranger, at(container, 80)), &[80], &[]),
        ("an echo", plain(ICMP, at(far, 77), at(own, 0)), &[], &[]),
        ("what leaves", plain(TCP, at(own, 40_000), at(far, 443)), &[], &[]),
        ("a container's to the host", plain(TCP, at(container, 50_000), at(own, 8081)), &[], &[]),
    ] {
        let open = open(listening(&[22], &[53]), &[flow]);
        let entered_by = listening(tcp, udp).listening;
        assert_eq!(open.entered_by, entered_by, "{case}");
        assert_eq!(open.answering, listening(&[&[22], tcp].concat(), &[&[53], udp].concat()).listening, "{case}");
    }
}

#[test]
fn strangers_in_a_table_are_found() {
    use protocol::{TCP, UDP};
    let [Places { own, container, far }, _] = PLACES;
    let (server, stranger) = (at(far, 443), at(far, 5_555));
    let published = tracked(TCP, [stranger, at(own, 8081)], [at(container, 80), stranger]);
    let opened = plain(TCP, at(own, 8080), server);
    let open = open(listening(&[8080], &[5353]), &[published, opened]);
    let is_stranger = open.strangers();
    for (case, flow, expected) in [
        ("own", connection(TCP, at(own, 40_000), server), false),
        ("what came in by a published port", connection(TCP, at(own, 8081), stranger), true),
        ("another one by it", connection(TCP, at(own, 8081), at(far, 5_556)), true),
        ("of a port that is listened on", connection(TCP, at(own, 8080), stranger), true),
        ("opened from such a port, as the tracker knows", connection(TCP, at(own, 8080), server), false),
        ("UDP of a port that is listened on", connection(UDP, at(own, 5353), server), true),
        ("UDP where only TCP is listened on", connection(UDP, at(own, 8080), stranger), false),
    ] {
        assert_eq!(is_stranger(&key(&flow).unwrap()), expected, "{case}");
    }
    assert!(
        !is_stranger(&key(&connection(TCP, at(own, 8080), server)).unwrap().of_fragments()),
        "fragments end by themselves"
    );
}

#[test]
fn link_local_addresses_are_outside_by_any_link() {
    for (address, reach, outside) in [
        ("fe80::9", Reach::By(BRIDGE), true),
        ("fe80::1", Reach::Here, false),
        ("198.51.100.9", Reach::By(UPLINK), true),
        ("172.17.0.2", Reach::By(BRIDGE), false),
        ("203.0.113.9", Reach::Nowhere, false),
    ] {
        assert_eq!(leads_outside(address.parse().unwrap(), reach, |index| index == UPLINK), outside, "{address}");
    }
}
