//! What is open on this host and through it, and who opened it.
//!
//! The connection tracker knows who sent a flow's first packet, and the routes on which side of the host that was:
//! - a flow **leaves** if the one whom its packets reach in the end, behind every translation, is reached by an exit. What
//!   is remembered of it is how it looks there: this side's address behind masquerading, and that one's. So what remembers a
//!   connection from outside to this host, or to a container behind its DNAT, is never that client: the end of
//!   such a one is the host itself, or the container, which no exit leads to. Even if one did, it would be the container's answers
//!   that were let in.
//! - a flow **enters** if its first sender is reached by an exit. It is listed by how it looked there, before any
//!   translation.
//!
//! Sockets do not say who opened them. One whose port is a service's or a failsafe one, or is listened on, or is a TCP one from
//! which no client here asks, is taken for an answering one.

use std::{collections::BTreeSet, net::IpAddr, ops::RangeInclusive};

use guard_common::{
    address::Address,
    flow::{FlowKey, Leaving, Ports, leaving},
    packet::{Packet, echo_request, protocol, tcp_flag},
    policy::Target,
};

use crate::{
    network::{
        Connection, NetworkError,
        conntrack::Tracked,
        reach::Reach,
        sockets::{Listening, Sockets},
    },
    policy::{DefaultVerdict, Policy, Protocol},
};

/// What is open at one moment.
#[derive(Debug)]
pub(super) struct Open {
    /// Ports from which answers to strangers leave: those that this host listens on, and those by which strangers reach what is
    /// behind it.
    pub(super) answering: Listening,
    /// The part of them by which strangers came that the tracker knows of.
    pub(super) entered_by: Listening,
    /// The ports from which clients here ask.
    pub(super) clients: RangeInclusive<u16>,
    /// Flows that leave, as the tracker has it.
    leave: Vec<Connection>,
    /// Flows that enter.
    enter: BTreeSet<FlowKey>,
    /// Connections of this host's sockets, whoever opened them.
    sockets: Vec<Connection>,
}

impl Open {
    /// Puts together what sockets and the tracker say. `clients` are the ports that clients have here; UDP from outside to one may
    /// be a late answer.
    pub(super) fn of(
        sockets: Sockets,
        tracked: &[Tracked],
        clients: RangeInclusive<u16>,
        mut is_outside: impl FnMut(IpAddr) -> Result<bool, NetworkError>,
    ) -> Result<Self, NetworkError> {
        let mut open = Self {
            answering: sockets.listening,
            entered_by: Listening::default(),
            clients,
            leave: Vec::new(),
            enter: BTreeSet::new(),
            sockets: sockets.connections,
        };
        for flow in tracked {
            if is_outside(flow.reply.source.ip())? {
                open.leave.push(flow.outward());
            }
            if is_outside(flow.original.source.ip())? {
                open.add_entering(flow);
            }
        }
        open.answering.tcp.extend(&open.entered_by.tcp);
        open.answering.udp.extend(&open.entered_by.udp);
        Ok(open)
    }

    fn add_entering(&mut self, flow: &Tracked) {
        let (protocol, local) = (flow.protocol, flow.original.destination);
        let is_translated = local != flow.reply.source;
        match protocol {
            protocol::TCP => {
                self.entered_by.tcp.insert(local.port());
            }
            protocol::UDP if is_translated || !self.clients.contains(&local.port()) => {
                self.entered_by.udp.insert(local.port());
            }
            // To any other an answer may come whoever began.
            _ => return,
        }
        self.enter.extend(key(&Connection { protocol, local, remote: flow.original.source }));
    }

    /// The flows to remember under a policy: those that the kernel program would have noted, had it been there.
    pub(super) fn to_remember(&self, policy: &PortPolicy) -> BTreeSet<FlowKey> {
        let ports = LocalPorts { policy, answering: &self.answering };
        let opens = |connection: &&Connection| {
            let packet = packet(connection, tcp_flag::SYN);
            // That a port is listened on says more than the tracker, which may have seen a connection's middle first.
            let answers =
                packet.has_ports() && ports.is_listening(packet.protocol == protocol::TCP, packet.source_port);
            !answers && matches!(leaving(&packet, &ports), Leaving::Opens | Leaving::Continues)
        };
        let continues = |connection: &&Connection| {
            let asks = connection.protocol != protocol::TCP || self.clients.contains(&connection.local.port());
            asks && !connection.remote.ip().is_loopback()
                && leaving(&packet(connection, tcp_flag::ACK), &ports) == Leaving::Continues
        };
        let tracked = self.leave.iter().filter(opens);
        let sockets = self.sockets.iter().filter(continues);
        tracked.chain(sockets).filter_map(key).filter(|key| !self.enter.contains(key)).collect()
    }

    /// Returns the flows that this host, or somebody behind it, opened, as far as the tracker knows.
    pub(super) fn leaving(&self) -> BTreeSet<FlowKey> {
        self.leave.iter().filter_map(key).collect()
    }

    /// Tells which flows, of a table that others filled, are none that this host opened: what entered, and what left a port
    /// that is listened on, unless the tracker knows that it was opened from here.
    pub(super) fn strangers(&self) -> impl Fn(&FlowKey) -> bool + '_ {
        let leave = self.leaving();
        move |key| {
            let ports = match key.protocol {
                protocol::TCP => &self.answering.tcp,
                protocol::UDP => &self.answering.udp,
                _ => return false,
            };
            self.enter.contains(key) || ports.contains(&key.local_port) && !leave.contains(key)
        }
    }
}

/// What a policy says of this host's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortPolicy {
    passes_by_default: bool,
    tcp: BTreeSet<u16>,
    udp: BTreeSet<u16>,
}

impl PortPolicy {
    pub(super) fn of(policy: &Policy) -> Self {
        let services = policy.services.iter().flat_map(|service| &service.ports);
        let named: Vec<_> = services.chain(&policy.failsafe_ports).collect();
        let of = |protocol: Protocol| {
            named.iter().filter(|port| port.protocol == protocol).map(|port| port.number).collect()
        };
        let passes_by_default = policy.default == DefaultVerdict::Pass;
        Self { passes_by_default, tcp: of(Protocol::Tcp), udp: of(Protocol::Udp) }
    }
}

/// Own ports as the kernel program asks for them.
struct LocalPorts<'a> {
    policy: &'a PortPolicy,
    answering: &'a Listening,
}

impl Ports for LocalPorts<'_> {
    fn target(&self, tcp: bool, port: u16) -> Target {
        let named = if tcp { &self.policy.tcp } else { &self.policy.udp };
        // Which service's it is makes no difference here.
        if named.contains(&port) { Target::Service(1) } else { Target::Unnamed }
    }

    fn passes_by_default(&self) -> bool {
        self.policy.passes_by_default
    }

    fn is_listening(&self, tcp: bool, port: u16) -> bool {
        if tcp { self.answering.tcp.contains(&port) } else { self.answering.udp.contains(&port) }
    }
}

/// The key that the kernel program has for a connection.
fn key(connection: &Connection) -> Option<FlowKey> {
    FlowKey::of_outgoing(&packet(connection, tcp_flag::ACK))
}

/// A packet of a connection on its way out; of ICMP, an echo request.
fn packet(connection: &Connection, tcp_flags: u8) -> Packet {
    let Connection { protocol, local, remote } = *connection;
    let version = if local.is_ipv4() { 4 } else { 6 };
    let mut packet = Packet {
        source: Address::from(local.ip()),
        destination: Address::from(remote.ip()),
        version,
        protocol,
        ..Packet::default()
    };
    if packet.has_ports() {
        (packet.source_port, packet.destination_port) = (local.port(), remote.port());
    }
    if protocol == protocol::TCP {
        packet.tcp_flags = tcp_flags;
    }
    if packet.is_control_message() {
        (packet.message_type, packet.detail) = (echo_request(version), local.port());
    }
    packet
}

/// Tells whether an address is reached by one of the exits. A link-local one is so by any of its links.
pub(super) fn leads_outside(address: IpAddr, reach: Reach, is_exit: impl Fn(u32) -> bool) -> bool {
    let is_link_local = Address::from(address).is_link_local();
    match reach {
        Reach::By(interface) => is_link_local || is_exit(interface),
        Reach::Here | Reach::Nowhere => false,
    }
}

#[cfg(test)]
mod tests;
