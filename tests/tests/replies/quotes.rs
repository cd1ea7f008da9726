//! ICMP errors, frame by frame: each is judged as the answer to the packet that it quotes.

use std::net::IpAddr;

use guard_tests::{
    Probe,
    frame::{ACK, Extension, Frame, Icmp, Ipv4},
    in_each_family,
};

use crate::{
    scene::Scene,
    strangers::{Asked, ECHO, TCP, UDP},
};

/// A router that no list names, and one that is denied, by the last parts of their addresses.
const ROUTER: u8 = 1;
const DENIED: u8 = 13;

fn policy(default: &str) -> String {
    format!(
        r#"
        default = "{default}"
        allow.ips = ["192.0.2.0/24", "2001:db8:1::/48"]
        deny.ips = ["198.51.100.13", "2001:db8:66::13"]
        service = [{{ name = "web", ports = ["tcp/3000", "udp/3000"] }}]
        "#
    )
}

#[test]
fn errors_are_judged_by_what_they_quote() {
    in_each_family(|cell| {
        for default in ["drop", "pass"] {
            let scene = Scene::silent(cell);
            let guard = scene.site.guard(&policy(default));
            let mut probe = Probe::new(&scene.site, &guard);
            let _asked = Asked::new(&scene);
            let named = |(name, frame, dropping, passing)| {
                let row = if default == "drop" { dropping } else { passing };
                (format!("default {default}: {name}"), frame, row)
            };
            probe.expect(cases(&scene).into_iter().map(named));
        }
    });
}

/// Names, frames, and the rows under a default of drop and of pass.
type Case = (&'static str, Vec<u8>, &'static str, &'static str);

fn cases(scene: &Scene) -> Vec<Case> {
    let own = scene.site.address();
    let (office, outside, stranger, denied) = (scene.office, scene.outside, scene.stranger, router(scene, DENIED));
    let to = |remote| Frame::bare().ip(own, remote);
    let tcp = |remote, ports: [u16; 2]| to(remote).tcp(ports[0], ports[1], ACK).build();
    let udp = |remote, ports: [u16; 2]| to(remote).udp(ports[0], ports[1]).build();
    let by_router = |quote: Vec<u8>| too_big(scene, router(scene, ROUTER), quote);
    let unreachable = |quote| error(scene, router(scene, ROUTER), [3, 3], [1, 4], quote);
    let exceeded = |quote| error(scene, router(scene, ROUTER), [11, 0], [3, 0], quote);
    let bad_header = |quote| error(scene, router(scene, ROUTER), [12, 0], [4, 0], quote);
    let short = |mut quote: Vec<u8>| {
        quote.truncate(scene.site.cell.pick(20, 40) + 7);
        quote
    };
    let service = |remote| tcp(remote, [3000, 1234]);
    let unnamed = |remote| tcp(remote, [5000, 1234]);
    let (dropped, malformed, spoofed) = ("- drop not_allowed", "- drop malformed", "- drop spoofed");
    let (reply, default) = ("- pass reply", "- pass default");
    let (served, refused) = ("web pass allowed", "web drop not_allowed");
    vec![
        ("to a client of the service", by_router(service(office)), served, served),
        ("to its UDP client", by_router(udp(office, [3000, 1234])), served, served),
        ("the service's port, a stranger's", by_router(service(stranger)), refused, refused),
        ("the service's UDP port, a stranger's", by_router(udp(stranger, [3000, 1234])), refused, refused),
        ("a port of none, the office's", by_router(unnamed(office)), "- pass allowed", default),
        ("a port of none, a stranger's", by_router(unnamed(stranger)), dropped, default),
        ("the failsafe port", by_router(tcp(stranger, [22, 1234])), "- pass failsafe", "- pass failsafe"),
        ("an own connection, too big", by_router(tcp(outside, TCP)), reply, default),
        ("an own connection, unreachable", unreachable(tcp(outside, TCP)), reply, default),
        ("an own connection, time exceeded", exceeded(tcp(outside, TCP)), reply, default),
        ("an own connection, parameter problem", bad_header(tcp(outside, TCP)), reply, default),
        ("own datagrams, unreachable", unreachable(udp(outside, UDP)), reply, default),
        ("an own echo request", exceeded(echo_request(scene, ECHO)), reply, default),
        ("an own echo request that never was", exceeded(echo_request(scene, ECHO + 1)), dropped, default),
        ("a later fragment to whom was asked", exceeded(fragment(scene, outside)), reply, default),
        ("a later fragment to a stranger", exceeded(fragment(scene, stranger)), "- drop fragment", default),
        ("an own connection, other ports", unreachable(tcp(outside, [TCP[0], 8001])), dropped, default),
        ("an own connection, another address", unreachable(tcp(stranger, TCP)), dropped, default),
        (
            "another host's packet",
            by_router(Frame::bare().ip(another(scene), office).tcp(5000, 1234, ACK).build()),
            spoofed,
            spoofed,
        ),
        (
            "another host's packet from the service's port",
            by_router(Frame::bare().ip(another(scene), office).tcp(3000, 1234, ACK).build()),
            "web drop spoofed",
            "web drop spoofed",
        ),
        (
            "a packet from outside",
            by_router(Frame::bare().ip(outside, own).tcp(TCP[1], TCP[0], ACK).build()),
            spoofed,
            spoofed,
        ),
        ("cut within eight bytes of the header", by_router(short(service(office))), malformed, malformed),
        ("cut within the IP header", by_router(service(office)[..19].to_vec()), malformed, malformed),
        ("nothing quoted", by_router(Vec::new()), malformed, malformed),
        ("an error quoted", by_router(quoted_error(scene, office)), malformed, malformed),
        ("from a denied router", too_big(scene, denied, service(office)), "- drop blocked", "- drop blocked"),
        ("about a packet to a denied one", by_router(service(denied)), "web drop blocked", "web drop blocked"),
    ]
}

/// A router's address, by its last part.
fn router(scene: &Scene, number: u8) -> IpAddr {
    let network = scene.site.cell.pick("198.51.100.", "2001:db8:66::");
    format!("{network}{number}").parse().expect("an address")
}

fn another(scene: &Scene) -> IpAddr {
    scene.site.cell.pick("10.0.0.77", "2001:db8::77").parse().expect("an address")
}

fn too_big(scene: &Scene, from: IpAddr, quote: Vec<u8>) -> Vec<u8> {
    error(scene, from, [3, 4], [2, 0], quote)
}

/// An error by IPv4's type and code, and by IPv6's; all of them tell of the same MTU, where one is told.
fn error(scene: &Scene, from: IpAddr, v4: [u8; 2], v6: [u8; 2], quote: Vec<u8>) -> Vec<u8> {
    let message = scene.site.cell.pick(Icmp::v4(v4[0], v4[1]), Icmp::v6(v6[0], v6[1]));
    scene.site.packet(from).layer(message.rest([0, 0, 5, 20]).body(quote)).build()
}

fn echo_request(scene: &Scene, identifier: u16) -> Vec<u8> {
    let message = scene.site.cell.pick(Icmp::echo_request_v4(identifier, 1), Icmp::echo_request_v6(identifier, 1));
    Frame::bare().ip(scene.site.address(), scene.outside).layer(message).build()
}

fn quoted_error(scene: &Scene, to: IpAddr) -> Vec<u8> {
    let message = scene.site.cell.pick(Icmp::v4(3, 3), Icmp::v6(1, 4));
    Frame::bare().ip(scene.site.address(), to).layer(message.body([0; 28])).build()
}

/// A later fragment of a UDP datagram of the guarded host's own.
fn fragment(scene: &Scene, to: IpAddr) -> Vec<u8> {
    let frame = match (scene.site.address(), to) {
        (IpAddr::V4(own), IpAddr::V4(to)) => {
            Frame::bare().layer(Ipv4::new(own, to).fragment(100, false, 1).protocol(17))
        }
        (own, _) => Frame::bare().ip(own, to).layer(Extension::fragment(100, false, 1).next_header(17)),
    };
    frame.payload([0; 16]).build()
}
