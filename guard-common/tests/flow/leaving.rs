//! What a packet that leaves does to its flow, by its port.

use guard_common::{
    flow::Leaving::{self, Closes, Continues, Keeps, Nothing, Opens},
    flow::leaving,
    packet::{
        Fragment, Packet,
        tcp_flag::{ACK, FIN, PSH, RST, SYN, URG},
    },
};

use crate::host::{FAILSAFE_PORT, Family, Host, LISTENING_PORT, LocalPorts, OTHER_PORT, SERVICE_PORT, later};

const PORTS: [(&str, u16); 4] = [
    ("other port", OTHER_PORT),
    ("listening port", LISTENING_PORT),
    ("failsafe port", FAILSAFE_PORT),
    ("service's port", SERVICE_PORT),
];

/// Checks a packet of each port, in the order of [`PORTS`].
fn check(
    table: &str,
    passes_by_default: bool,
    cases: &[(&str, [Leaving; 4])],
    packet: impl Fn(Family, usize, u16) -> Packet,
) {
    let ports = LocalPorts { passes_by_default };
    for family in Family::BOTH {
        for (row, (name, expected)) in cases.iter().enumerate() {
            for ((port_name, port), expected) in PORTS.into_iter().zip(expected) {
                let packet = packet(family, row, port);
                let case = format!("{table}, {family:?}, default pass {passes_by_default}: {name} from {port_name}");
                assert_eq!(leaving(&packet, &ports), *expected, "{case}");
            }
        }
    }
}

const SEGMENTS: [(&str, u8); 12] = [
    ("SYN", SYN),
    ("SYN that asks for ECN", SYN | 0xc0),
    ("SYN with data", SYN | PSH),
    ("SYN-ACK", SYN | ACK),
    ("SYN-ACK with ECN", SYN | ACK | 0x40),
    ("ACK", ACK),
    ("data", ACK | PSH),
    ("urgent data", ACK | URG),
    ("FIN", FIN | ACK),
    ("FIN with data", FIN | ACK | PSH),
    ("RST", RST),
    ("RST with ACK", RST | ACK),
];

#[test]
fn tcp() {
    let expected = |passes_by_default: bool| {
        SEGMENTS.map(|(name, flags)| {
            let leaving = match flags & (SYN | ACK | FIN | RST) {
                SYN if passes_by_default => [Nothing, Nothing, Opens, Opens],
                SYN => [Opens; 4],
                flags if flags & (FIN | RST) != 0 => [Closes; 4],
                flags if flags & SYN != 0 => [Nothing; 4],
                _ if passes_by_default => [Keeps; 4],
                _ => [Continues, Keeps, Keeps, Keeps],
            };
            (name, leaving)
        })
    };
    for passes_by_default in [false, true] {
        check("TCP", passes_by_default, &expected(passes_by_default), |family, row, port| {
            family.tcp(port, SEGMENTS[row].1)
        });
    }
}

#[test]
fn udp() {
    let datagrams = |family: Family, row: usize, port: u16| {
        let datagram = family.udp(port);
        match row {
            0 => datagram,
            1 => Packet { fragment: Fragment::First, ..datagram },
            2 => Packet { destination: family.multicast(), ..datagram },
            _ => later(&datagram),
        }
    };
    let counts = [Continues, Nothing, Nothing, Nothing];
    let cases =
        [("datagram", counts), ("first fragment", counts), ("to many", [Nothing; 4]), ("later fragment", [Nothing; 4])];
    check("UDP", false, &cases, datagrams);
    check("UDP", true, &cases.map(|(name, _)| (name, [Nothing; 4])), datagrams);
}

/// Tells whether a packet that leaves opens a flow where none is.
fn opens(passes_by_default: bool, packet: &Packet) -> bool {
    let mut host = Host::new(passes_by_default);
    host.send(packet);
    host.knows_flows()
}

#[test]
fn without_ports() {
    for family in Family::BOTH {
        let router_solicitation = 133;
        let cases = [
            ("echo request", family.echo_request(), true),
            ("echo request, first fragment", Packet { fragment: Fragment::First, ..family.echo_request() }, true),
            ("echo request, later fragment", later(&family.echo_request()), false),
            ("echo request to many", Packet { destination: family.multicast(), ..family.echo_request() }, false),
            ("echo reply", family.echo_reply(), false),
            ("error", family.control(3, 0), false),
            ("other message", family.control(router_solicitation, 0), false),
            ("GRE", family.out(47), true),
            ("GRE, later fragment", later(&family.out(47)), false),
            ("GRE to many", Packet { destination: family.multicast(), ..family.out(47) }, false),
        ];
        for (name, packet, expected) in cases {
            assert_eq!(opens(false, &packet), expected, "{family:?}, {name}");
            assert!(!opens(true, &packet), "{family:?}, {name}, where all passes by default");
        }
    }
}

#[test]
fn answers_open_nothing() {
    for family in Family::BOTH {
        for passes_by_default in [false, true] {
            for (name, port) in &PORTS[1..] {
                let mut host = Host::new(passes_by_default);
                for flags in [SYN | ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK] {
                    host.send(&family.tcp(*port, flags));
                }
                host.send(&family.udp(*port));
                host.send(&Packet { fragment: Fragment::First, ..family.udp(*port) });
                assert!(!host.knows_flows(), "{family:?}, default pass {passes_by_default}, {name}");
            }
            let mut refusing = Host::new(passes_by_default);
            for flags in [SYN | ACK, RST, RST | ACK, FIN | ACK, SYN | RST, SYN | FIN] {
                refusing.send(&family.tcp(OTHER_PORT, flags));
            }
            assert!(!refusing.knows_flows(), "{family:?}, default pass {passes_by_default}, other port");
        }
    }
}
