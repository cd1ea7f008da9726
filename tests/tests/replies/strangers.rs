//! What a host lets in because it asked, frame by frame, and the near misses that it does not.

use std::net::UdpSocket;

use guard_tests::{
    Family, Probe, Wire,
    frame::{ACK, FIN, Frame, Icmp, PSH, RST, SYN},
    in_each_cell, in_each_family,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::scene::{DROP, PASS, Scene};

/// The guarded host's ports, and those outside to which it sends.
pub(crate) const TCP: [u16; 2] = [50_001, 8000];
pub(crate) const UDP: [u16; 2] = [50_002, 9000];
pub(crate) const ECHO: u16 = 4711;
/// A protocol without ports, for experiments (RFC 3692).
const OTHER: u8 = 253;

const REPLY: &str = "- pass reply";
const DROPPED: &str = "- drop not_allowed";

/// The guarded host's sockets that have sent something to the address outside.
pub(crate) struct Asked {
    _sockets: Vec<Socket>,
    _udp: UdpSocket,
}

impl Asked {
    /// Asks a peer that does not answer by itself: by TCP, UDP, an echo request and [`OTHER`].
    pub(crate) fn new(scene: &Scene) -> Self {
        let icmp = scene.site.cell.pick((Protocol::ICMPV4, 8), (Protocol::ICMPV6, 128));
        scene.host().sysctl("net/ipv4/ping_group_range", "0 0");
        let domain = Domain::for_address(scene.outside_at(0));
        let socket = |kind, protocol, port| {
            let socket = scene.host().enter(|| Socket::new(domain, kind, Some(protocol))).expect("a socket");
            socket.bind(&scene.site.at(port).into()).expect("the port is free");
            socket
        };
        let tcp = tcp_from(scene, TCP[0], TCP[1]);
        let echo = socket(Type::DGRAM, icmp.0, ECHO);
        let other = socket(Type::RAW, Protocol::from(i32::from(OTHER)), 0);
        for (socket, bytes) in [(&echo, &[icmp.1, 0, 0, 0, 0, 0, 0, 1][..]), (&other, b"question")] {
            socket.send_to(bytes, &scene.outside_at(0).into()).expect("it can be sent");
        }
        let udp = scene.host().enter(|| UdpSocket::bind(scene.site.at(UDP[0]))).expect("the port is free");
        udp.send_to(b"question", scene.outside_at(UDP[1])).expect("it can be sent");
        Self { _sockets: vec![tcp, echo, other], _udp: udp }
    }
}

#[test]
fn only_answers_of_whom_the_host_asked_come_in() {
    in_each_cell(|cell| {
        let scene = Scene::silent(cell);
        let guard = scene.site.guard(DROP);
        let mut probe = Probe::new(&scene.site, &guard);
        let before: Vec<_> = answers(&scene).map(|(name, frame, _)| (format!("before: {name}"), frame, DROPPED)).into();
        probe.expect(before);
        let _asked = Asked::new(&scene);
        probe.expect(near_misses(&scene));
        probe.expect(answers(&scene));
        probe.expect(near_misses(&scene));
    });
}

#[test]
fn a_policy_that_passes_by_default_knows_no_answers_but_to_its_services_ports() {
    in_each_family(|cell| {
        let scene = Scene::silent(cell);
        let guard = scene.site.guard(PASS);
        let mut probe = Probe::new(&scene.site, &guard);
        let _asked = Asked::new(&scene);
        probe.expect(answers(&scene).map(|(name, frame, _)| (name, frame, "- pass default")));
        let service = |from, flags| scene.site.packet(scene.outside).tcp(from, 3000, flags).build();
        let cases = |flags, row| ("a packet to the service", service(8001, flags), row);
        probe.expect([cases(SYN | ACK, "web drop not_allowed"), cases(ACK, "web drop not_allowed")]);
        let socket = tcp_from(&scene, 3000, 8001);
        probe.expect([cases(SYN | ACK, "web pass reply"), cases(SYN, "web drop not_allowed")]);
        probe.expect([("from another port", service(8002, ACK), "web drop not_allowed")]);
        drop(socket);
    });
}

#[test]
fn questions_behind_tags_are_answered_behind_tags() {
    type Tags = fn(Frame) -> Frame;
    let tags: [(&str, Tags); 3] = [
        ("one tag", |frame| frame.vlan(5)),
        ("two tags", |frame| frame.service_vlan(7).vlan(5)),
        ("a PPPoE session", |frame| frame.pppoe(9)),
    ];
    in_each_family(|cell| {
        let scene = Scene::silent(cell);
        let guard = scene.site.guard(DROP);
        let sender = Wire::open(scene.host(), "eth0").through_queue();
        let mut probe = Probe::new(&scene.site, &guard);
        let (own, [near, far]) = (scene.site.address(), [scene.site.guarded().mac(), scene.site.link.right.mac()]);
        for (port, (name, tags)) in (50_021..).zip(tags) {
            let answer = |source| tags(scene.site.ethernet()).ip(source, own).udp(9000, port).build();
            probe.expect([(format!("{name}: before"), answer(scene.outside), DROPPED)]);
            sender.send(tags(Frame::ethernet(near, far)).ip(own, scene.outside).udp(port, 9000).build());
            let cases = [("who was asked", scene.outside, REPLY), ("a stranger", scene.stranger, DROPPED)];
            probe.expect(cases.map(|(who, source, row)| (format!("{name}: {who}"), answer(source), row)));
        }
    });
}

/// A socket that has sent a SYN which nobody answers.
fn tcp_from(scene: &Scene, port: u16, to: u16) -> Socket {
    let domain = Domain::for_address(scene.outside_at(to));
    let socket = scene.host().enter(|| Socket::new(domain, Type::STREAM, Some(Protocol::TCP))).expect("a socket");
    socket.bind(&scene.site.at(port).into()).expect("the port is free");
    socket.set_nonblocking(true).expect("a socket need not wait");
    socket.connect(&scene.outside_at(to).into()).expect_err("nobody answers");
    socket
}

type Case = (&'static str, Vec<u8>, &'static str);

fn answers(scene: &Scene) -> [Case; 7] {
    let from_outside = || scene.site.packet(scene.outside);
    let tcp = |flags| from_outside().tcp(TCP[1], TCP[0], flags).build();
    [
        ("SYN-ACK", tcp(SYN | ACK), REPLY),
        ("data", tcp(ACK | PSH), REPLY),
        ("UDP", from_outside().udp(UDP[1], UDP[0]).payload(*b"answer").build(), REPLY),
        ("echo reply", echo(scene, from_outside(), 0, ECHO), REPLY),
        ("another protocol", other(from_outside()), REPLY),
        ("the end of a connection", tcp(FIN | ACK), REPLY),
        ("a connection's reset", tcp(RST | ACK), REPLY),
    ]
}

fn near_misses(scene: &Scene) -> Vec<Case> {
    let from = |source| scene.site.packet(source);
    let (outside, stranger) = (scene.outside, scene.stranger);
    let tcp = |source, from_port, to_port, flags| from(source).tcp(from_port, to_port, flags).build();
    let udp = |source, from_port, to_port| from(source).udp(from_port, to_port).build();
    let mut cases = vec![
        ("a bare SYN with exactly the flow's ports", tcp(outside, TCP[1], TCP[0], SYN), DROPPED),
        ("a SYN for congestion notification", tcp(outside, TCP[1], TCP[0], SYN | 0xc0), DROPPED),
        ("data from another port", tcp(outside, 8001, TCP[0], ACK), DROPPED),
        ("data to another port", tcp(outside, TCP[1], 50_003, ACK), DROPPED),
        ("data from another address", tcp(stranger, TCP[1], TCP[0], ACK), DROPPED),
        ("a SYN-ACK from another address", tcp(stranger, TCP[1], TCP[0], SYN | ACK), DROPPED),
        ("a reset from another address", tcp(stranger, TCP[1], TCP[0], RST), DROPPED),
        ("an end from another address", tcp(stranger, TCP[1], TCP[0], FIN | ACK), DROPPED),
        ("data to a service", tcp(outside, TCP[1], 3000, ACK), "web drop not_allowed"),
        ("UDP from another port", udp(outside, 9001, UDP[0]), DROPPED),
        ("UDP to another port", udp(outside, UDP[1], 50_003), DROPPED),
        ("UDP from another address", udp(stranger, UDP[1], UDP[0]), DROPPED),
        ("UDP with TCP's ports", udp(outside, TCP[1], TCP[0]), DROPPED),
        ("TCP with UDP's ports", tcp(outside, UDP[1], UDP[0], ACK), DROPPED),
        ("an echo reply with another identifier", echo(scene, from(outside), 0, ECHO + 1), DROPPED),
        ("an echo reply from another address", echo(scene, from(stranger), 0, ECHO), DROPPED),
        ("an echo request", echo(scene, from(outside), 8, ECHO), DROPPED),
        ("another protocol from another address", other(from(stranger)), DROPPED),
        ("GRE of which nobody spoke", with_protocol(scene, from(outside), 47), DROPPED),
    ];
    for flags in [SYN, ACK, RST, FIN | ACK, SYN | ACK] {
        cases.push(("a stranger's TCP", tcp(stranger, 1234, 5000, flags), DROPPED));
    }
    cases
}

/// An echo message; 0 and 8 are IPv4's types, which stand for those of IPv6 as well.
fn echo(scene: &Scene, frame: Frame, kind: u8, identifier: u16) -> Vec<u8> {
    let message = match (scene.site.cell.family, kind) {
        (Family::V4, 0) => Icmp::echo_reply_v4(identifier, 1),
        (Family::V4, _) => Icmp::echo_request_v4(identifier, 1),
        (Family::V6, 0) => Icmp::echo_reply_v6(identifier, 1),
        (Family::V6, _) => Icmp::echo_request_v6(identifier, 1),
    };
    frame.layer(message).build()
}

/// A packet of [`OTHER`], which the harness gives what has no number of its own.
fn other(frame: Frame) -> Vec<u8> {
    frame.payload(*b"eight by").build()
}

fn with_protocol(scene: &Scene, frame: Frame, protocol: u8) -> Vec<u8> {
    let mut bytes = other(frame);
    // The number's place in the IPv4 and the IPv6 header, behind the Ethernet header; no checksum is looked at.
    bytes[scene.site.cell.pick(14 + 9, 14 + 6)] = protocol;
    bytes
}
