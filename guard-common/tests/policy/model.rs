//! A policy small enough to be checked by eye, and packets to ask it about.

use std::{cell::RefCell, net::IpAddr};

use guard_common::{
    address::Address,
    limits::Limits,
    packet::{Packet, protocol, tcp_flag},
    policy::{Ban, Decision, Facts, Reason, Set, Target, decide},
    timed::{ANY_SERVICE, EVERY_SERVICE},
};

use crate::opened::{HOST, Opened, reversed};

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
            destination: address(&format!("{network}{HOST}")),
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

    /// Returns a message of the version's ICMP.
    pub(crate) fn control(self, source: Source, message_type: u8) -> Packet {
        Packet { protocol: self.control_protocol(), message_type, ..self.packet(source) }
    }

    pub(crate) fn echo_request(self, source: Source) -> Packet {
        self.control(source, self.by_version(8, 128))
    }

    pub(crate) fn echo_reply(self, source: Source, identifier: u16) -> Packet {
        Packet { detail: identifier, ..self.control(source, self.by_version(0, 129)) }
    }

    pub(crate) fn control_protocol(self) -> u8 {
        self.by_version(protocol::ICMP, protocol::ICMPV6)
    }

    /// Returns the types of ICMP errors (RFC 792, RFC 4443).
    pub(crate) fn error_types(self) -> &'static [u8] {
        self.by_version(&[3, 11, 12], &[1, 2, 3, 4])
    }

    pub(crate) fn by_version<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
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
    /// In no set, but the host has opened flows to it.
    Peer = 8,
    /// In `deny`, and the host has opened flows to it.
    DeniedPeer = 9,
    /// In `allow` and exempt from limits.
    Trusted = 10,
    /// Exempt from limits, in no other set.
    TrustedStranger = 11,
    /// Banned by hand, and in `allow`, trusted, granted every service and with flows that the host opened.
    Banned = 12,
    /// Banned by machine, and in `allow`, granted every service and with flows that the host opened.
    Offender = 13,
    /// Banned by machine, and in `allow`, but trusted.
    TrustedOffender = 14,
    /// Granted every service.
    Guest = 15,
    /// Granted the first service alone.
    FirstGuest = 16,
}

/// Facts held in lists.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) passes_by_default: bool,
    pub(crate) members: Vec<(Set, Address)>,
    pub(crate) bans: Vec<(Ban, Address)>,
    /// What is granted: a service's number, or every service.
    pub(crate) grants: Vec<(u8, Address)>,
    pub(crate) own: Vec<Address>,
    pub(crate) opened: Vec<Opened>,
    /// What the one error quotes that is asked about, as its sender sent it.
    pub(crate) quoted: Option<Packet>,
    /// Limits that there are, and those of them that refuse.
    pub(crate) limits: Vec<Limits>,
    pub(crate) refusing: Vec<Limits>,
    /// Limits that were asked.
    pub(crate) charged: RefCell<Vec<Limits>>,
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
            (Set::Deny, Source::DeniedPeer),
            (Set::Allow, Source::Trusted),
            (Set::Trusted, Source::Trusted),
            (Set::Trusted, Source::TrustedStranger),
            (Set::Allow, Source::Banned),
            (Set::Trusted, Source::Banned),
            (Set::Allow, Source::Offender),
            (Set::Allow, Source::TrustedOffender),
            (Set::Trusted, Source::TrustedOffender),
        ];
        let bans = [
            (Ban::ByHand, Source::Banned),
            (Ban::ByHand, Source::DeniedAndListed),
            (Ban::ByHand, Source::OwnAndDenied),
            (Ban::ByMachine, Source::Offender),
            (Ban::ByMachine, Source::TrustedOffender),
        ];
        let grants = [
            (EVERY_SERVICE, Source::Guest),
            (1, Source::FirstGuest),
            (EVERY_SERVICE, Source::Banned),
            (EVERY_SERVICE, Source::Offender),
            (EVERY_SERVICE, Source::Denied),
        ];
        let of_both = |source: Source| Family::BOTH.map(|family| family.packet(source).source);
        Self {
            passes_by_default,
            members: members.into_iter().flat_map(|(set, source)| of_both(source).map(|it| (set, it))).collect(),
            bans: bans.into_iter().flat_map(|(ban, source)| of_both(source).map(|it| (ban, it))).collect(),
            grants: grants.into_iter().flat_map(|(service, source)| of_both(source).map(|it| (service, it))).collect(),
            own: [Source::Own, Source::OwnAndDenied].into_iter().flat_map(of_both).collect(),
            opened: Opened::all(),
            quoted: None,
            limits: Vec::new(),
            refusing: Vec::new(),
            charged: RefCell::default(),
        }
    }

    /// Returns the same policy with every limit that there can be, of which some refuse.
    pub(crate) fn limited(self, refusing: &[Limits]) -> Self {
        Self { limits: LIMITS.to_vec(), refusing: refusing.to_vec(), ..self }
    }

    /// Returns the same policy, to be asked about an error that quotes a packet.
    pub(crate) fn quoting(self, quoted: Option<Packet>) -> Self {
        Self { quoted, ..self }
    }

    /// Returns the same policy with one more address in a set.
    pub(crate) fn with(mut self, set: Set, address: Address) -> Self {
        self.members.push((set, address));
        self
    }

    /// Returns the same policy with one more address that is banned so, and no other way.
    pub(crate) fn with_ban(mut self, ban: Ban, address: Address) -> Self {
        self.bans.retain(|(_, banned)| *banned != address);
        self.bans.push((ban, address));
        self
    }

    /// Returns the same policy with one more grant.
    pub(crate) fn with_grant(mut self, service: u8, address: Address) -> Self {
        self.grants.push((service, address));
        self
    }

    pub(crate) fn decide(&self, packet: &Packet) -> Decision {
        decide(packet, &mut Packet::default(), self)
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

    fn ban(&self, packet: &Packet) -> Ban {
        self.bans.iter().find(|(_, banned)| *banned == packet.source).map_or(Ban::None, |(ban, _)| *ban)
    }

    fn is_granted(&self, service: u8, packet: &Packet) -> bool {
        self.grants.iter().any(|&(granted, guest)| {
            guest == packet.source && (granted == EVERY_SERVICE || granted == service || service == ANY_SERVICE)
        })
    }

    fn is_own_address(&self, address: Address) -> bool {
        self.own.contains(&address)
    }

    fn is_answer(&self, packet: &Packet) -> bool {
        self.opened.iter().any(|flow| flow.is_answered_by(packet))
    }

    fn has_limits(&self, limits: Limits) -> bool {
        self.limits.contains(&limits)
    }

    fn refused_by(&self, limits: Limits, _: &Packet) -> Option<Reason> {
        assert!(self.has_limits(limits), "{limits:?} is asked, which there is not");
        self.charged.borrow_mut().push(limits);
        self.refusing.contains(&limits).then_some(refusal(limits))
    }

    fn take_for_answer(&self, error: &mut Packet) -> bool {
        assert!(error.is_error(), "{error:?} quotes nothing");
        let Some(quoted) = self.quoted else { return false };
        *error = Packet { length: error.length, hop_limit: error.hop_limit, ..reversed(&quoted) };
        true
    }
}

/// Every row of limits that a packet of these tests can be held to.
pub(crate) const LIMITS: [Limits; 4] = [Limits::Service(1), Limits::Service(2), Limits::Echo, Limits::Errors];

/// Returns why the model's limits refuse: a reason for each, so that a wrong one is seen.
pub(crate) fn refusal(limits: Limits) -> Reason {
    match limits {
        Limits::Service(1) => Reason::RatePackets,
        Limits::Service(_) => Reason::RateConnections,
        Limits::Echo => Reason::RateEcho,
        Limits::Errors => Reason::RateErrors,
    }
}

pub(crate) fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("a test names good addresses").into()
}
