//! A host with a table of flows, as the kernel's programs keep it, and packets to and from it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use guard_common::{
    address::Address,
    flow::{Flow, FlowKey, Leaving, Ports, leaving, may_answer},
    packet::{Fragment, Packet, echo_reply, echo_request, protocol},
    policy::Target,
};

pub(crate) const SERVICE_PORT: u16 = 3_000;
pub(crate) const FAILSAFE_PORT: u16 = 22;
pub(crate) const LISTENING_PORT: u16 = 8_080;
pub(crate) const OTHER_PORT: u16 = 50_000;
pub(crate) const REMOTE_PORT: u16 = 443;
pub(crate) const IDENTIFIER: u16 = 7;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// Returns a packet without ports from the host to its peer.
    pub(crate) fn out(self, protocol: u8) -> Packet {
        let (local, remote, version) = match self {
            Self::V4 => ("192.0.2.1", "198.51.100.2", 4),
            Self::V6 => ("2001:db8::1", "2001:db8:2::2", 6),
        };
        let [source, destination] = [local, remote].map(address);
        Packet { source, destination, version, protocol, hop_limit: 64, length: 60, ..Packet::default() }
    }

    pub(crate) fn tcp(self, port: u16, tcp_flags: u8) -> Packet {
        Packet { source_port: port, destination_port: REMOTE_PORT, tcp_flags, ..self.out(protocol::TCP) }
    }

    pub(crate) fn udp(self, port: u16) -> Packet {
        Packet { source_port: port, destination_port: REMOTE_PORT, ..self.out(protocol::UDP) }
    }

    pub(crate) fn control(self, message_type: u8, detail: u16) -> Packet {
        let protocol = match self {
            Self::V4 => protocol::ICMP,
            Self::V6 => protocol::ICMPV6,
        };
        Packet { message_type, detail, ..self.out(protocol) }
    }

    pub(crate) fn echo_request(self) -> Packet {
        self.control(echo_request(self.out(0).version), IDENTIFIER)
    }

    pub(crate) fn echo_reply(self) -> Packet {
        self.control(echo_reply(self.out(0).version), IDENTIFIER)
    }

    pub(crate) fn elsewhere(self) -> Address {
        address(match self {
            Self::V4 => "203.0.113.3",
            Self::V6 => "2001:db8:3::3",
        })
    }

    pub(crate) fn multicast(self) -> Address {
        address(match self {
            Self::V4 => "224.0.0.251",
            Self::V6 => "ff02::fb",
        })
    }
}

/// Returns the packet that goes the other way, with other TCP flags.
pub(crate) fn answer(packet: &Packet, tcp_flags: u8) -> Packet {
    let asks = is_control(packet) && packet.message_type == echo_request(packet.version);
    let message_type = if asks { echo_reply(packet.version) } else { packet.message_type };
    Packet {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        tcp_flags,
        message_type,
        ..*packet
    }
}

pub(crate) fn is_control(packet: &Packet) -> bool {
    matches!((packet.version, packet.protocol), (4, protocol::ICMP) | (6, protocol::ICMPV6))
}

/// Returns a later fragment of the packet.
pub(crate) fn later(packet: &Packet) -> Packet {
    let fragment = Fragment::Later;
    Packet { source_port: 0, destination_port: 0, tcp_flags: 0, message_type: 0, detail: 0, fragment, ..*packet }
}

/// Ports of a kind each, whatever the protocol.
pub(crate) struct LocalPorts {
    pub(crate) passes_by_default: bool,
}

impl Ports for LocalPorts {
    fn target(&self, _: bool, port: u16) -> Target {
        match port {
            SERVICE_PORT => Target::Service(1),
            FAILSAFE_PORT => Target::Failsafe,
            _ => Target::Unnamed,
        }
    }

    fn passes_by_default(&self) -> bool {
        self.passes_by_default
    }

    fn is_listening(&self, _: bool, port: u16) -> bool {
        port == LISTENING_PORT
    }
}

pub(crate) struct Host {
    ports: LocalPorts,
    flows: BTreeMap<FlowKey, Flow>,
    now_ns: u64,
}

impl Host {
    pub(crate) fn new(passes_by_default: bool) -> Self {
        // Not long after it was started.
        Self { ports: LocalPorts { passes_by_default }, flows: BTreeMap::new(), now_ns: 5_000_000_000 }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now_ns += time.as_nanos() as u64;
    }

    /// Notes a packet that leaves, as the program at egress does.
    pub(crate) fn send(&mut self, packet: &Packet) {
        let leaving = leaving(packet, &self.ports);
        let (Some(key), true) = (FlowKey::of_outgoing(packet), leaving != Leaving::Nothing) else { return };
        let flow = match self.flows.get(&key) {
            Some(flow) => flow.after_leaving(&key, leaving, self.now_ns),
            None => Flow::first(&key, leaving, self.now_ns),
        };
        let Some(flow) = flow else { return };
        self.flows.insert(key, flow);
        let fragments = key.of_fragments();
        self.flows.insert(fragments, Flow::noted(&fragments, self.now_ns));
    }

    /// Tells whether a packet that comes in is an answer, and notes what it ends.
    pub(crate) fn takes(&mut self, packet: &Packet) -> bool {
        let to_service = packet.has_ports() && packet.destination_port == SERVICE_PORT;
        let Some(key) = FlowKey::of_answer(packet).filter(|_| may_answer(packet, to_service)) else { return false };
        let Some(flow) = self.flows.get_mut(&key).filter(|flow| flow.is_alive(self.now_ns)) else { return false };
        if let Some(ended) = flow.after_answer(packet, self.now_ns) {
            *flow = ended;
        }
        true
    }

    pub(crate) fn knows_flows(&self) -> bool {
        !self.flows.is_empty()
    }
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("a test names good addresses").into()
}
