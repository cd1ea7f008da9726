//! Flows that the model's host opened, and what answers them.

use guard_common::{
    address::Address,
    packet::{Fragment, Packet, echo_reply, echo_request, protocol},
};

use crate::model::{Family, SERVICE_PORT, Source};

/// The last number of the host's address, to which every packet goes.
pub(crate) const HOST: u8 = 100;

/// A port of no service from which the host opens flows, and the peer's port.
pub(crate) const LOCAL_PORT: u16 = 50_000;
pub(crate) const REMOTE_PORT: u16 = 443;
pub(crate) const IDENTIFIER: u16 = 7;

/// A flow between two hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    protocol: u8,
    local: Address,
    remote: Address,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Ports {
        local: u16,
        remote: u16,
    },
    /// Echo requests of an identifier.
    Echo(u16),
    /// All of the protocol that has no ports.
    All,
    /// Later fragments of the protocol.
    Fragments,
}

impl Opened {
    /// Returns the host's flows to its peers, also one by UDP from a service's port, which must not matter.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for family in Family::BOTH {
            let [gre, sctp] = [47, 132];
            let flows = [
                (protocol::TCP, What::Ports { local: LOCAL_PORT, remote: REMOTE_PORT }),
                (protocol::TCP, What::Ports { local: SERVICE_PORT, remote: REMOTE_PORT }),
                (protocol::UDP, What::Ports { local: LOCAL_PORT, remote: REMOTE_PORT }),
                (protocol::UDP, What::Ports { local: SERVICE_PORT, remote: REMOTE_PORT }),
                (family.control_protocol(), What::Echo(IDENTIFIER)),
                (gre, What::All),
                (sctp, What::All),
                (protocol::UDP, What::Fragments),
                (family.control_protocol(), What::Fragments),
            ];
            for peer in [Source::Peer, Source::DeniedPeer, Source::Banned, Source::Offender] {
                let Packet { source: remote, destination: local, .. } = family.packet(peer);
                all.extend(flows.map(|(protocol, what)| Self { protocol, local, remote, what }));
            }
        }
        all
    }

    /// Tells whether a packet that comes in belongs to the flow.
    pub(crate) fn is_answered_by(&self, packet: &Packet) -> bool {
        let is_later = packet.fragment == Fragment::Later;
        let is_control = matches!((packet.version, packet.protocol), (4, protocol::ICMP) | (6, protocol::ICMPV6));
        let fits = match self.what {
            What::Ports { local, remote } => {
                !is_later && (packet.destination_port, packet.source_port) == (local, remote)
            }
            What::Echo(identifier) => {
                !is_later
                    && is_control
                    && (packet.message_type, packet.detail) == (echo_reply(packet.version), identifier)
            }
            What::All => !is_later && !is_control,
            What::Fragments => is_later,
        };
        fits && (packet.protocol, packet.destination, packet.source) == (self.protocol, self.local, self.remote)
    }
}

/// Returns what the receiver of a packet would send back, in the facts that decide.
pub(crate) fn reversed(packet: &Packet) -> Packet {
    let is_control = matches!((packet.version, packet.protocol), (4, protocol::ICMP) | (6, protocol::ICMPV6));
    let [request, reply] = [echo_request(packet.version), echo_reply(packet.version)];
    let message_type = if is_control && packet.message_type == request {
        reply
    } else if is_control && packet.message_type == reply {
        request
    } else {
        packet.message_type
    };
    Packet {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        message_type,
        tcp_flags: 0,
        ..*packet
    }
}
