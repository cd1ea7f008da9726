//! A policy small enough to be checked by eye, and packets to ask it about.

use std::net::IpAddr;

use guard_common::{
    address::Address,
    packet::{Packet, protocol, tcp_flag},
    policy::{Decision, Facts, Reason, Set, Target, decide},
};

/// The first service has TCP and UDP ports, the second a TCP port alone.
pub(crate) const SERVICE_PORT: u16 = 3_000;
pub(crate) const TCP_SERVICE_PORT: u16 = 4_000;
pub(crate) const FAILSAFE_PORT: u16 = 22;
pub(crate) const OTHER_PORT: u16 = 9_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) fn version(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// Returns a packet without ports to another host's address.
    pub(crate) fn packet(self, source: Source) -> Packet {
        let network = match self {
            Self::V4 => "192.0.2.",
            Self::V6 => "2001:db8::",
        };
        Packet {
            source: address(&format!("{network}{}", source as u8)),
            destination: address(&format!("{network}100")),
            length: 60,
            version: self.version(),
            protocol: 47,
            hop_limit: 64,
            ..Packet::default()
        }
    }

    /// Returns a bare SYN.
    pub(crate) fn tcp(self, source: Source, port: u16) -> Packet {
        Packet {
            protocol: protocol::TCP,
            source_port: 40_000,
            destination_port: port,
            tcp_flags: tcp_flag::SYN,
            ..self.packet(source)
        }
    }

    pub(crate) fn udp(self, source: Source, port: u16) -> Packet {
        Packet { protocol: protocol::UDP, tcp_flags: 0, ..self.tcp(source, port) }
    }
}

/// Who sends; each has one address of each family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Source {
    /// In no set.
    Stranger = 1,
    /// In `allow`.
    Listed = 2,
    /// In the first service's set.
    Office = 3,
    /// In `deny`.
    Denied = 4,
    /// In every set, `deny` too.
    DeniedAndListed = 5,
    /// An own address of the host, in `allow` too.
    Own = 6,
    /// An own address of the host, in `deny` too.
    OwnAndDenied = 7,
}

/// Facts held in lists.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) passes_by_default: bool,
    pub(crate) members: Vec<(Set, Address)>,
    pub(crate) own: Vec<Address>,
}

impl Model {
    pub(crate) fn new(passes_by_default: bool) -> Self {
        let members = [
            (Set::Allow, Source::Listed),
            (Set::Service(1), Source::Office),
            (Set::Deny, Source::Denied),
            (Set::Deny, Source::DeniedAndListed),
            (Set::Allow, Source::DeniedAndListed),
            (Set::Service(1), Source::DeniedAndListed),
            (Set::Allow, Source::Own),
            (Set::Deny, Source::OwnAndDenied),
        ];
        let of_both = |source: Source| Family::BOTH.map(|family| family.packet(source).source);
        Self {
            passes_by_default,
            members: members.into_iter().flat_map(|(set, source)| of_both(source).map(|it| (set, it))).collect(),
            own: [Source::Own, Source::OwnAndDenied].into_iter().flat_map(of_both).collect(),
        }
    }

    /// Returns the same policy with one more address in a set.
    pub(crate) fn with(mut self, set: Set, address: Address) -> Self {
        self.members.push((set, address));
        self
    }

    pub(crate) fn decide(&self, packet: &Packet) -> Decision {
        decide(packet, self)
    }

    pub(crate) fn reason(&self, packet: &Packet) -> Reason {
        self.decide(packet).reason
    }
}

impl Facts for Model {
    fn target(&self, tcp: bool, port: u16) -> Target {
        match (tcp, port) {
            (_, SERVICE_PORT) => Target::Service(1),
            (true, TCP_SERVICE_PORT) => Target::Service(2),
            (true, FAILSAFE_PORT) => Target::Failsafe,
            _ => Target::Unnamed,
        }
    }

    fn passes_by_default(&self) -> bool {
        self.passes_by_default
    }

    fn contains(&self, set: Set, packet: &Packet) -> bool {
        self.members.iter().any(|&(of, member)| {
            let in_set = if set == Set::AnyService { matches!(of, Set::Service(_)) } else { of == set };
            in_set && member == packet.source
        })
    }

    fn is_own_address(&self, address: Address) -> bool {
        self.own.contains(&address)
    }
}

pub(crate) fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("a test names good addresses").into()
}
